/* SPDX-License-Identifier: MIT */
/*
 * model_step: the steps of training (L4).
 *
 * A step has parts: micro-batches, the last of which brings the update.  What a part does on
 * the device depends on its sizes and on a few flags; everything else that changes lies in
 * the block of its inputs.  So a device that can record its work (dev_behind) runs a part
 * whose like it has seen as one piece, without a call for each op.
 *
 * On such a device a part is under way while the host makes the next one: it is collected
 * one part later.  The copy of a batch, some 20 bytes a token, goes in line with the rest: a
 * second block of inputs would let it run beside the update before it and save a few
 * microseconds a step, but take two records for each size.  The update itself cannot begin
 * beside the backward pass, because clipping needs the norm of all gradients, and the next
 * forward pass needs all of it: nothing in a step is left to run beside it.
 */
#include "model_int.h"

#include <math.h>
#include <string.h>

/* ---- the update ---- */

/*
 * What the learning rate of a tensor is multiplied with: 1 for the top layer, and by
 * layer_decay less for each layer further down; the embeddings are below the first (Sun et
 * al. 2019, section 5.3.3).  The head has a factor of its own.
 */
static double rate_of(const struct model *m, const struct param *t,
                      const struct model_update *u)
{
    const enum param_group group = param_group(t->id);
    const int layers = (int)m->config.layers;
    const int below = group == GROUP_BASE ? layers : layers - 1 - t->layer;

    if (group != GROUP_BASE && group != GROUP_LAYER)
        return u->head_lr;
    return below ? pow(u->layer_decay, below) : 1;
}

static bool alike(const struct param_run *a, const struct param_run *b)
{
    return a->decay == b->decay && a->lr_scale == b->lr_scale && a->keep_g == b->keep_g &&
           a->touched == b->touched;
}

/*
 * Tensors that follow each other and are treated alike, as one run.  With one rate for all
 * these are: the word embedding; position and type; the linear layers, whose gradients are
 * written over and not added up from zero; an untied decoder; all vectors.
 */
static int make_runs(const struct model *m, const struct model_update *u,
                     struct param_run *run)
{
    const struct params *p = &m->params;
    int n = 0;

    for (int i = 0; i < p->n; i++) {
        const struct param *t = &p->list[i];
        const bool word = t->id == PARAM_WORD;
        const struct param_run r = {
            .at = t->at,
            .n = t->n,
            .decay = t->vector ? 0 : (float)u->weight_decay,
            .lr_scale = (float)rate_of(m, t, u),
            .touched = word ? m->touched : NULL,
            .cols = word && m->touched ? t->cols : 0,
            .keep_g = t->at >= p->linear && t->at < p->linear_end,
        };

        if (n > 0 && alike(&run[n - 1], &r))
            run[n - 1].n = t->at + t->n - run[n - 1].at;
        else
            run[n++] = r;
    }
    return n;
}

/*
 * The norm and the update.  `stale`: no part of this step had rows, so that the linear
 * layers still hold the gradients of the step before.
 */
static int issue_update(struct model *m, const struct model_update *u, bool stale,
                        struct err *e)
{
    const struct ops *o = &m->ops;
    const struct params *p = &m->params;
    const struct model_update one_rate = {.layer_decay = 1, .head_lr = 1};
    const int n_sum = make_runs(m, &one_rate, m->run);
    struct adamw adamw = {.p = m->p,
                                .g = m->g,
                                .m = m->m,
                                .v = m->v,
                                .run = m->run,
                                .beta1 = (float)u->beta1,
                                .beta2 = (float)u->beta2,
                                .eps = (float)u->eps,
                                .clip = (float)u->clip,
                                .step = m->in.step,
                                .sumsq = m->out.sumsq};

    if (stale && o->be->zero(o->dev, m->g + p->linear,
                             (size_t)(p->linear_end - p->linear) * sizeof *m->g, e))
        return -1;
    if (o->be->sqnorm(o->dev, m->g, m->run, n_sum, m->out.sumsq, e))
        return -1;
    adamw.n_run = make_runs(m, u, m->run);
    return o->be->adamw(o->dev, &adamw, e);
}

/* ---- a part ---- */

/* What a part does; equal work has equal bytes. */
struct work {
    int32_t n_tok, n_seq, max_len, n_rows;
    int32_t first, stale, update;
    float beta1, beta2, eps, clip, decay, layer_decay, head_lr; /* of the update: in its descriptors */
};
_Static_assert(sizeof(struct work) <= DEV_KEY, "the key of a part's work");

static struct work work_of(const struct model *m, const struct pass *pass,
                           const struct model_update *u)
{
    const struct work w = {.n_tok = pass->seqs.n_tok,
                           .n_seq = pass->seqs.n_seq,
                           .max_len = pass->seqs.max_len,
                           .n_rows = pass->n_rows,
                           .first = pass->first,
                           .stale = m->stale,
                           .update = u != NULL,
                           .beta1 = u ? (float)u->beta1 : 0,
                           .beta2 = u ? (float)u->beta2 : 0,
                           .eps = u ? (float)u->eps : 0,
                           .clip = u ? (float)u->clip : 0,
                           .decay = u ? (float)u->weight_decay : 0,
                           .layer_decay = u ? (float)u->layer_decay : 0,
                           .head_lr = u ? (float)u->head_lr : 0};

    return w;
}

static int issue(struct model *m, const struct pass *pass, const struct model_update *u,
                 struct err *e)
{
    if (pass->n_rows > 0 &&
        (bert_forward(m, pass, e) || head_forward(m, pass, e) || head_loss(m, pass, true, e) ||
         head_backward(m, pass, e) || bert_backward(m, pass, e)))
        return -1;
    return u ? issue_update(m, u, m->stale && pass->n_rows == 0, e) : 0;
}

/* Runs a part, from a record of it where the device has one. */
static int run_part(struct model *m, const struct pass *pass, const struct model_update *u,
                    struct err *e)
{
    const struct dev_behind *behind = m->ops.be->behind;
    const struct work w = work_of(m, pass, u);

    if (!behind)
        return issue(m, pass, u, e);
    for (;;) {
        const int known = behind->replay(m->ops.dev, &w, sizeof w, e);
        int rc, end;

        if (known)
            return known < 0 ? -1 : 0;
        rc = issue(m, pass, u, e);
        end = behind->replay_end(m->ops.dev, rc != 0, e);
        if (end <= 0)
            return end;
        err_clear(e); /* it could not be recorded: once more without */
    }
}

/* What changes with every step, and the batch, into a slot. */
static int fill_slot(struct model *m, struct slot *s, const struct batch *b,
                     const struct model_part *part, struct pass *pass, struct err *e)
{
    const struct model_update *u = part->update;

    s->in.step->scale = (float)part->scale;
    if (u)
        step_set_rates(s->in.step, (float)u->lr, (float)u->beta1, (float)u->beta2, u->t);
    for (int64_t site = 0; site < model_sites(m); site++)
        philox_key(s->in.key[site], m->seed, part->step, (uint32_t)site);
    s->n_rows = 0;
    s->scale = part->scale;
    s->update = u != NULL;
    if (!b || b->n_rows == 0)
        return 0;
    if (batch_fill(m, s, b, true, pass, e))
        return -1;
    s->n_rows = b->n_rows;
    if (m->ops.be->behind && !pad_batch(m, s, pass))
        return err_set(e, ERR_INTERNAL, "a padded batch of %d tokens is beyond what was "
                       "reserved", pass->seqs.n_tok);
    return 0;
}

int model_submit(struct model *m, const struct batch *b, const struct model_part *part,
                 struct err *e)
{
    const struct backend *be = m->ops.be;
    struct slot *s = &m->slot[m->next];
    struct pass pass = {.train = true};

    if (!m->train || m->pending == m->n_slots || (m->pending && m->asked))
        return err_set(e, ERR_INTERNAL, "a step of training without memory for it");
    if (fill_slot(m, s, b, part, &pass, e))
        return -1;
    if (slot_send(m, s, e))
        return -1;
    /* The update leaves gradients in the linear layers, and the next batch writes over them. */
    pass.first = m->stale && pass.n_rows > 0;
    if ((pass.n_rows > 0 || part->update) && run_part(m, &pass, part->update, e))
        return -1;
    if (pass.n_rows > 0)
        m->stale = false;
    if (part->update)
        m->stale = true;
    if (be->behind && be->behind->fetch(m->ops.dev, s->out_block, m->out_dev, m->out_bytes,
                                        m->next, e))
        return -1;
    m->asked = false;
    m->next = (m->next + 1) % m->n_slots;
    m->pending++;
    return 0;
}

int model_collect(struct model *m, struct loss_sum *sum, double *norm, struct err *e)
{
    const struct slot *s = slot_oldest(m);

    if (m->pending == 0 || m->asked)
        return err_set(e, ERR_INTERNAL, "no part of a step is under way");
    if (slot_await(m, e))
        return -1;
    if (sum)
        add_losses(m, s, sum);
    if (norm && s->update)
        *norm = sqrt(*s->out.sumsq);
    return 0;
}

int model_slots(const struct model *m)
{
    return m->n_slots;
}

void model_count(const struct model *m, struct dev_count *c)
{
    const struct dev_behind *behind = m->ops.be->behind;

    *c = (struct dev_count){0};
    if (behind)
        behind->count(m->ops.dev, c);
}

/* ---- one half at a time ---- */

int model_gradient(struct model *m, const struct batch *b, double scale, uint32_t step,
                   struct loss_sum *sum, struct err *e)
{
    const struct model_part part = {.step = step, .scale = scale};

    return model_submit(m, b, &part, e) || model_collect(m, sum, NULL, e) ? -1 : 0;
}

int model_update(struct model *m, const struct model_update *u, double *norm, struct err *e)
{
    const struct model_part part = {.step = (uint32_t)u->t, .update = u};

    return model_submit(m, NULL, &part, e) || model_collect(m, NULL, norm, e) ? -1 : 0;
}
