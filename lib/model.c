/* SPDX-License-Identifier: MIT */
/*
 * model: opening, planning and the state of training (L4).
 *
 * Device memory comes in three pieces: the parameters (at model_open), the rest of the state
 * of training (once), and everything that depends on the size of a micro-batch:
 *
 *     inputs | results | activations | gradients of activations
 *
 * Inputs and results have twins in host memory and travel as one block each way, so that a
 * micro-batch costs two transfers.
 */
#include "model_int.h"

#include "mem.h"
#include "weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that the masked-LM head may take for the logits of a chunk of rows. */
enum { VOCAB_WORK = 64 << 20, VOCAB_ROWS_MIN = 16 };

/* ---- opening ---- */

static int set_dropout(struct model *m, const struct model_options *o, struct err *e)
{
    const struct config *c = &m->config;

    if (o->dropout >= 1)
        return err_set(e, ERR_USAGE, "dropout %g is not below 1", o->dropout);
    m->drop_hidden = (float)(o->dropout >= 0 ? o->dropout : c->hidden_dropout);
    m->drop_attn = (float)(o->dropout >= 0 ? o->dropout : c->attn_dropout);
    m->drop_class = (float)(o->dropout >= 0 ? o->dropout : c->classifier_dropout);
    return 0;
}

/* A GPU that cannot be opened is an error only where it was asked for. */
static int open_device(struct model *m, const struct model_options *o, struct msg *msg,
                       struct err *e)
{
    struct dev_options options = {.par = o->par, .precision = o->precision};
    const char *device = o->device ? o->device : "auto";
    struct err why = {0};

    m->ops.be = backend_choose(device, &options.index, msg, e);
    if (!m->ops.be)
        return -1;
    m->ops.dev = m->ops.be->open(&options, &why);
    if (!m->ops.dev && m->ops.be->behind && strcmp(device, "auto") == 0 &&
        why.code != ERR_USAGE) {
        if (msg)
            msg_warn(msg, "the GPU is not used: %s", why.text);
        err_clear(&why);
        m->ops.be = backend_cpu();
        m->ops.dev = m->ops.be->open(&options, &why);
    }
    if (!m->ops.dev)
        return err_set(e, why.code, "%s", why.text);
    m->ops.act = m->ops.be->activations(m->ops.dev);
    return 0;
}

struct model *model_open(const struct model_options *o, struct msg *msg, struct err *e)
{
    struct model *m = mem_alloc(1, sizeof *m, "the model", e);
    struct weights *w = NULL;
    int32_t *label_map = NULL;
    int rc = -1;

    if (!m)
        return NULL;
    m->head = o->head;
    m->seed = o->seed;
    if (config_load(&m->config, o->dir, e) || set_dropout(m, o, e) ||
        (o->truncate && config_set_truncate(&m->config, o->truncate, e)))
        goto out;
    m->tied = o->head == HEAD_MLM && m->config.tied;
    if (o->head == HEAD_CLASSIFY) {
        label_map = model_labels(m, o, e);
        if (!label_map)
            goto out;
    }
    /* A checkpoint that is not there is said before a GPU is started, which takes a while;
       one that is there is on its way into memory meanwhile (tensorfile.c). */
    if (!o->init) {
        w = weights_open(o->dir, e);
        if (!w)
            goto out;
    }
    if (open_device(m, o, msg, e) ||
        params_plan(&m->params, &m->config, o->head, e))
        goto out;
    m->plan.layer = mem_alloc((size_t)m->config.layers, sizeof *m->plan.layer, "layers", e);
    m->run = mem_alloc((size_t)m->params.n, sizeof *m->run, "the table of tensors", e);
    if (m->plan.layer && m->run)
        rc = model_load(m, o, w, label_map, msg, e);
out:
    weights_close(w);
    free(label_map);
    if (rc) {
        model_close(m);
        return NULL;
    }
    return m;
}

static void free_slot(struct model *m, struct slot *s)
{
    const struct dev_behind *behind = m->ops.be->behind;

    if (behind) {
        behind->unpin(m->ops.dev, s->in_block);
        behind->unpin(m->ops.dev, s->out_block);
    } else {
        mem_free_aligned(s->in_block);
        mem_free_aligned(s->out_block);
    }
    s->in_block = s->out_block = NULL;
}

void model_close(struct model *m)
{
    struct err ignored = {0};

    if (!m)
        return;
    if (m->ops.dev) {
        (void)m->ops.be->sync(m->ops.dev, &ignored); /* parts that nobody has collected */
        for (int i = 0; i < SLOTS; i++)
            free_slot(m, &m->slot[i]);
        m->ops.be->release(m->ops.dev, m->memory);
        m->ops.be->release(m->ops.dev, m->state);
        m->ops.be->release(m->ops.dev, m->p);
        m->ops.be->close(m->ops.dev);
    }
    free(m->plan.layer);
    free(m->run);
    params_free(&m->params);
    config_free(&m->config);
    free(m);
}

const struct config *model_config(const struct model *m)
{
    return &m->config;
}

int64_t model_parameters(const struct model *m)
{
    return m->params.trained;
}

const char *model_device(const struct model *m)
{
    return m->ops.be->name;
}

/* ---- planning ---- */

static void plan_state(const struct model *m, struct arena *a, struct model *to)
{
    to->g = arena_take(a, m->params.size, sizeof *to->g);
    to->m = arena_take(a, m->params.size, sizeof *to->m);
    to->v = arena_take(a, m->params.size, sizeof *to->v);
    to->touched = m->tied ? NULL : arena_take(a, m->config.vocab_size, 1);
}

void plan_inputs(const struct model *m, const struct model_limits *l, struct arena *a,
                 struct inputs *in)
{
    const bool targets = m->head == HEAD_CLASSIFY && m->config.problem != PROBLEM_SINGLE;

    in->step = arena_take(a, 1, sizeof *in->step);
    in->key = arena_take(a, model_sites(m), sizeof *in->key);
    in->ids = arena_take(a, l->tokens, sizeof *in->ids);
    in->positions = arena_take(a, l->tokens, sizeof *in->positions);
    in->types = arena_take(a, l->tokens, sizeof *in->types);
    in->row = arena_take(a, l->tokens, sizeof *in->row);
    in->cu = arena_take(a, l->sequences + 1, sizeof *in->cu);
    in->rows = arena_take(a, l->rows, sizeof *in->rows);
    in->head_row = arena_take(a, l->rows, sizeof *in->head_row);
    in->label = arena_take(a, l->rows, sizeof *in->label);
    in->weight = arena_take(a, l->rows, sizeof *in->weight);
    in->target = NULL;
    if (targets)
        in->target = arena_take(a, l->rows * m->config.n_labels, sizeof *in->target);
}

void plan_results(const struct model *m, const struct model_limits *l, struct arena *a,
                  struct results *out)
{
    const bool mlm = m->head == HEAD_MLM;

    out->sumsq = arena_take(a, 1, sizeof *out->sumsq);
    out->row_loss = arena_take(a, l->rows, sizeof *out->row_loss);
    out->best = mlm ? arena_take(a, l->rows, sizeof *out->best) : NULL;
    out->logits = NULL;
    if (m->head == HEAD_CLASSIFY)
        out->logits = arena_take(a, l->rows * m->config.n_labels, sizeof *out->logits);
}

static void plan_layer(const struct model *m, const struct model_limits *l, struct arena *a,
                       struct layer_acts *acts)
{
    const int64_t t = l->tokens, h = m->config.hidden, inner = m->config.inner;
    const struct mat none = {0};
    const enum dtype act = m->ops.act;

    acts->qkv = arena_mat(a, t, 3 * h, act);
    acts->lse = l->train ? arena_take(a, m->config.heads * t, sizeof *acts->lse) : NULL;
    acts->mix = arena_mat(a, t, h, act);
    acts->sum1 = arena_mat(a, t, h, act);
    acts->stats1 = arena_take(a, 2 * t, sizeof *acts->stats1);
    acts->y1 = arena_mat(a, t, h, act);
    acts->pre = l->train ? arena_mat(a, t, inner, act) : none;
    acts->mid = arena_mat(a, t, inner, act);
    acts->sum2 = arena_mat(a, t, h, act);
    acts->stats2 = arena_take(a, 2 * t, sizeof *acts->stats2);
    acts->y2 = arena_mat(a, t, h, act);
}

static void plan_head(const struct model *m, const struct model_limits *l, struct arena *a,
                      struct plan *plan)
{
    const int64_t r = l->rows, h = m->config.hidden, v = m->config.vocab_size;
    const enum dtype act = m->ops.act;
    int64_t chunk = VOCAB_WORK / 4 / v;

    chunk = chunk < VOCAB_ROWS_MIN ? VOCAB_ROWS_MIN : chunk;
    plan->last_mix = arena_mat(a, r, h, act);
    plan->last_x = arena_mat(a, r, h, act);
    if (m->head == HEAD_NONE)
        return;
    plan->dense = arena_mat(a, r, h, act);
    plan->out = arena_mat(a, r, h, act);
    if (m->head == HEAD_MLM) {
        plan->pre = arena_mat(a, r, h, act);
        plan->out_stats = arena_take(a, 2 * r, sizeof *plan->out_stats);
        plan->work = arena_mat(a, r < chunk ? r : chunk, v, DT_F32);
    }
    if (l->train) {
        plan->dout = arena_mat(a, r, h, act);
        plan->ddense = arena_mat(a, r, h, act);
    }
}

/* Everything of the encoder; layer is NULL when only its size is wanted. */
static void plan_encoder(const struct model *m, const struct model_limits *l, struct arena *a,
                         struct plan *plan)
{
    const int64_t t = l->tokens, h = m->config.hidden;
    const int64_t wide = 3 * h > m->config.inner ? 3 * h : m->config.inner;
    const enum dtype act = m->ops.act;
    struct layer_acts unused;

    plan->embed = arena_mat(a, t, h, act);
    plan->embed_stats = arena_take(a, 2 * t, sizeof *plan->embed_stats);
    for (int64_t i = 0; i < m->config.layers; i++) {
        struct layer_acts *layer = plan->layer ? &plan->layer[i] : &unused;

        if (i == 0 || l->train)
            plan_layer(m, l, a, layer);
        else if (plan->layer)
            *layer = plan->layer[0]; /* what is not kept can be written over */
    }
    if (l->train) {
        plan->d0 = arena_mat(a, t, h, act);
        plan->d1 = arena_mat(a, t, h, act);
        plan->d2 = arena_mat(a, t, h, act);
        plan->dqkv = arena_mat(a, t, wide, act);
        plan->dmid = plan->dqkv;
        plan->dqkv.cols = plan->dqkv.ld = 3 * h;
        plan->dmid.cols = plan->dmid.ld = m->config.inner;
    }
}

/* The device memory of a micro-batch, laid out in `to` from a->base on. */
static void plan_memory(const struct model *m, const struct model_limits *l, struct arena *a,
                        struct model *to)
{
    struct layer_acts *layer = to->plan.layer;

    memset(&to->plan, 0, sizeof to->plan);
    to->plan.layer = layer;
    plan_inputs(m, l, a, &to->in);
    to->in_bytes = a->used;
    to->in_dev = a->base;
    plan_results(m, l, a, &to->out);
    to->out_bytes = a->used - to->in_bytes;
    to->out_dev = a->base ? a->base + to->in_bytes : NULL;
    plan_encoder(m, l, a, &to->plan);
    plan_head(m, l, a, &to->plan);
    to->plan.logits = mat_f32(to->out.logits, l->rows, m->config.n_labels);
}

/* Within these no product of two extents leaves 64 bits. */
static bool can_plan(const struct model_limits *l)
{
    return l->tokens >= 0 && l->tokens <= INT32_MAX && l->sequences >= 0 &&
           l->sequences < INT32_MAX && l->rows >= 0 && l->rows <= INT32_MAX;
}

/* The limits as they are planned for: those of padded batches where batches are padded. */
static struct model_limits planned(const struct model *m, const struct model_limits *l)
{
    return l->train && m->ops.be->behind ? pad_limits(l) : *l;
}

/* sizes: where plan_memory has been. */
static struct dev_load load_of(const struct model *m, const struct model_limits *l,
                               const struct model *sizes)
{
    const struct config *c = &m->config;
    const struct dev_load load = {.tokens = l->tokens,
                                  .sequences = l->sequences,
                                  .rows = l->rows,
                                  .layers = c->layers,
                                  .width = c->hidden,
                                  .inner = c->inner,
                                  .heads = c->heads,
                                  .vocab = c->vocab_size,
                                  .classes = c->n_labels,
                                  .params = m->params.size,
                                  .weights = m->p,
                                  .chunk = sizes->plan.work.rows,
                                  .mlm = m->head == HEAD_MLM,
                                  .train = l->train};

    return load;
}

/* Bytes of the device, and of its host for the twins of inputs and results. */
static bool count_bytes(const struct model *m, const struct model_limits *limits,
                        size_t *device, size_t *host)
{
    const struct dev_behind *behind = m->ops.be->behind;
    struct model sizes = {0};
    struct arena state = {0}, memory = {0};
    struct model_limits l;

    if (!can_plan(limits))
        return false;
    l = planned(m, limits);
    plan_state(m, &state, &sizes);
    plan_memory(m, &l, &memory, &sizes);
    if (!can_plan(&l) || state.overflow || memory.overflow)
        return false;
    *device = (size_t)m->params.size * sizeof *m->p + (l.train ? state.used : 0) + memory.used;
    *host = (sizes.in_bytes + sizes.out_bytes) * (behind ? SLOTS : 1);
    if (behind) {
        const struct dev_load load = load_of(m, &l, &sizes);

        *device += behind->overhead(m->ops.dev, &load);
    }
    return true;
}

size_t model_bytes(const struct model *m, const struct model_limits *l)
{
    size_t device, host;

    return count_bytes(m, l, &device, &host) ? device + host : SIZE_MAX;
}

size_t model_gpu_bytes(const struct model *m, const struct model_limits *l)
{
    size_t device, host;

    if (!m->ops.be->behind)
        return 0;
    return count_bytes(m, l, &device, &host) ? device : SIZE_MAX;
}

size_t model_gpu_room(const struct model *m)
{
    const struct dev_behind *behind = m->ops.be->behind;
    const size_t left = behind ? behind->left(m->ops.dev) : 0;

    return left ? left + (size_t)m->params.size * sizeof *m->p : 0;
}

static int reserve_state(struct model *m, struct err *e)
{
    struct arena a = {0};
    struct model sizes = {0};

    if (m->state)
        return 0;
    plan_state(m, &a, &sizes);
    m->state = m->ops.be->alloc(m->ops.dev, a.used, e);
    if (!m->state)
        return -1;
    if (m->ops.be->zero(m->ops.dev, m->state, a.used, e))
        return -1;
    a = (struct arena){.base = m->state};
    plan_state(m, &a, m);
    m->stale = true; /* a resumed run begins as the one that it goes on from went on */
    return 0;
}

static void *host_memory(struct model *m, size_t bytes, struct err *e)
{
    const struct dev_behind *behind = m->ops.be->behind;
    void *p = behind ? behind->pin(m->ops.dev, bytes, e)
                     : mem_alloc_aligned(bytes, "a batch", e);

    if (p)
        memset(p, 0, bytes);
    return p;
}

/* The host's twins of inputs and results. */
static int reserve_slot(struct model *m, struct slot *s, struct err *e)
{
    struct arena in = {0}, out = {0};

    free_slot(m, s);
    s->in_block = host_memory(m, m->in_bytes, e);
    s->out_block = host_memory(m, m->out_bytes, e);
    if (!s->in_block || !s->out_block)
        return -1;
    in.base = s->in_block;
    out.base = s->out_block;
    plan_inputs(m, &m->limits, &in, &s->in);
    plan_results(m, &m->limits, &out, &s->out);
    return 0;
}

static int reserve_host(struct model *m, struct err *e)
{
    const struct dev_behind *behind = m->ops.be->behind;
    const struct dev_load load = load_of(m, &m->limits, m);

    m->n_slots = behind ? SLOTS : 1;
    m->next = m->pending = 0;
    for (int i = 0; i < m->n_slots; i++)
        if (reserve_slot(m, &m->slot[i], e))
            return -1;
    return behind ? behind->reserve(m->ops.dev, &load, e) : 0;
}

int model_reserve(struct model *m, const struct model_limits *limits, struct err *e)
{
    struct arena a = {0};
    struct model sizes = {0};
    struct model_limits l;

    if (!can_plan(limits) || m->pending)
        return err_set(e, ERR_INTERNAL, "a batch of %lld tokens cannot be planned",
                       (long long)limits->tokens);
    l = planned(m, limits);
    if (!can_plan(&l))
        return err_oom(e, "activations", SIZE_MAX);
    if (l.train && reserve_state(m, e))
        return -1;
    plan_memory(m, &l, &a, &sizes);
    if (a.overflow)
        return err_oom(e, "activations", SIZE_MAX);
    m->ops.be->release(m->ops.dev, m->memory);
    m->memory = m->ops.be->alloc(m->ops.dev, a.used, e);
    if (!m->memory)
        return -1;
    a = (struct arena){.base = m->memory};
    plan_memory(m, &l, &a, m);
    m->limits = l;
    m->train = l.train;
    return reserve_host(m, e);
}

/* ---- state ---- */

static void *state_of(const struct model *m, enum model_state which, size_t *bytes)
{
    const size_t flat = (size_t)m->params.size * sizeof(float);

    *bytes = flat;
    switch (which) {
    case STATE_PARAMS: return m->p;
    case STATE_MOMENT1: *bytes = m->m ? flat : 0; return m->m;
    case STATE_MOMENT2: *bytes = m->v ? flat : 0; return m->v;
    case STATE_TOUCHED:
        *bytes = m->touched ? (size_t)m->config.vocab_size : 0;
        return m->touched;
    default: *bytes = 0; return NULL;
    }
}

size_t model_state_bytes(const struct model *m, enum model_state which)
{
    size_t bytes;

    (void)state_of(m, which, &bytes);
    return bytes;
}

int model_state_get(struct model *m, enum model_state which, void *host, struct err *e)
{
    size_t bytes;
    const void *p = state_of(m, which, &bytes);

    if (model_settle(m, e))
        return -1;
    return bytes ? m->ops.be->get(m->ops.dev, host, p, bytes, e) : 0;
}

int model_state_set(struct model *m, enum model_state which, const void *host, struct err *e)
{
    size_t bytes;
    void *p = state_of(m, which, &bytes);

    if (model_settle(m, e))
        return -1;
    return bytes ? m->ops.be->put(m->ops.dev, p, host, bytes, e) : 0;
}
