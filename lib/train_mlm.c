/* SPDX-License-Identifier: MIT */
/*
 * The task of mlm-pretrain: an item is a piece of a text.  Each segment of each record is
 * cut into pieces of at most --block tokens, each with special tokens of its own; nothing
 * is joined, and nothing but empty texts is left out.
 */
#include "mask.h"
#include "order.h"
#include "train_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    uint32_t record;
    uint32_t from;
    uint32_t n : 30;
    uint32_t segment : 1;
    uint32_t heldout : 1; /* of t->heldout */
};

struct mlm {
    struct mask mask;
    uint8_t *special;   /* (vocab) */
    uint32_t *ordinary;
    struct piece *item[TRAIN_SETS];
    size_t cap[TRAIN_SETS];
    uint32_t *ids;      /* (block) a piece as the model sees it */
    int32_t *target;    /* (block) */
    int32_t before;     /* special tokens before a text */
};

static struct mask_text text_of(const struct train *t, const struct piece *p)
{
    const struct dataset *d = p->heldout ? &t->heldout : &t->data;
    struct toks_record r;

    dataset_get(d, p->record, &r);
    if (p->segment)
        return (struct mask_text){r.b, r.start_b, r.n_b, p->record, 1};
    return (struct mask_text){r.a, r.start_a, r.n_a, p->record, 0};
}

/* ---- pieces ---- */

static int cut_text(struct train *t, enum train_set set, struct piece p, size_t n,
                    struct err *e)
{
    struct mlm *m = t->own;
    const size_t most = (size_t)t->limit.max_len -
                        (size_t)template_specials(&t->data.header.template, 0);

    for (size_t from = 0; from < n; from += most) {
        if (mem_grow(&m->item[set], &m->cap[set], t->n[set] + 1, sizeof p, e))
            return -1;
        p.from = (uint32_t)from;
        p.n = (uint32_t)(n - from < most ? n - from : most) & 0x3fffffffu;
        m->item[set][t->n[set]++] = p;
    }
    return 0;
}

static int cut_record(struct train *t, enum train_set set, const struct dataset *d,
                      size_t i, struct err *e)
{
    struct piece p = {.record = (uint32_t)i, .heldout = d == &t->heldout};
    struct toks_record r;

    dataset_get(d, i, &r);
    if (r.n_a > UINT32_MAX || (r.b && r.n_b > UINT32_MAX))
        return err_set(e, ERR_DATA, "%s: record %llu is too long", d->name,
                       (unsigned long long)r.number);
    if (cut_text(t, set, p, r.n_a, e))
        return -1;
    p.segment = 1;
    return r.b ? cut_text(t, set, p, r.n_b, e) : 0;
}

static int cut_all(struct train *t, struct err *e)
{
    uint8_t *held = mem_alloc(t->data.n, 1, "the held-out split", e);
    int rc = held ? 0 : -1;

    if (rc == 0 && (t->data.n > UINT32_MAX || t->heldout.n > UINT32_MAX))
        rc = err_set(e, ERR_DATA, "%zu records are too many for one run", t->data.n);
    if (rc == 0 && t->eval_percent >= 0)
        rc = order_heldout((uint64_t)t->o->common.seed, t->eval_percent, t->data.n, held,
                           e);
    for (size_t i = 0; rc == 0 && i < t->data.n; i++)
        rc = cut_record(t, held[i] ? EVAL_SET : TRAIN_SET, &t->data, i, e);
    for (size_t i = 0; rc == 0 && i < t->heldout.n; i++)
        rc = cut_record(t, EVAL_SET, &t->heldout, i, e);
    free(held);
    return rc;
}

/* ---- masks ---- */

/* Special ids are never targets, and never what a token is replaced by. */
static int find_special(struct train *t, struct mlm *m, struct err *e)
{
    const struct template *p = &t->data.header.template;
    const int32_t named[] = {p->cls, p->sep, p->pad, p->unk, p->mask};
    const size_t known = tokenizer_size(t->tokenizer);
    const size_t vocab = (size_t)t->config.vocab_size;

    m->special = mem_alloc(vocab, 1, "the special tokens", e);
    m->ordinary = mem_alloc(vocab, sizeof *m->ordinary, "the ordinary tokens", e);
    if (!m->special || !m->ordinary)
        return -1;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (named[i] >= 0 && (size_t)named[i] < vocab)
            m->special[named[i]] = 1;
    for (size_t id = 0; id < vocab && id < known; id++) {
        if (tokenizer_is_special(t->tokenizer, (uint32_t)id))
            m->special[id] = 1;
        else if (!m->special[id] && tokenizer_token(t->tokenizer, (uint32_t)id))
            m->ordinary[m->mask.n_ordinary++] = (uint32_t)id;
    }
    m->mask.special = m->special;
    m->mask.ordinary = m->ordinary;
    m->mask.vocab = vocab;
    return 0;
}

static int prepare_mask(struct train *t, struct mlm *m, struct err *e)
{
    const struct template *p = &t->data.header.template;

    if (mask_init(&m->mask, (uint64_t)t->o->common.seed, t->o->mlm_prob, t->o->mask,
                  t->o->whole_word, e))
        return -1;
    m->mask.mask_id = p->mask;
    if (m->mask.masked > 0 && (p->mask < 0 || p->mask >= t->config.vocab_size))
        return err_set(e, ERR_DATA,
                       "the tokenizer of '%s' has no mask token; --mask 0,A,B does "
                       "without",
                       t->model_name);
    while (m->before < p->n_single && p->single[m->before].id != SEGMENT_A)
        m->before++;
    return find_special(t, m, e);
}

static int prepare(struct train *t, struct err *e)
{
    struct mlm *m = mem_alloc(1, sizeof *m, "the run", e);

    t->own = m;
    if (!m || prepare_mask(t, m, e) || cut_all(t, e))
        return -1;
    m->ids = mem_alloc((size_t)t->limit.max_len, sizeof *m->ids, "a piece", e);
    m->target = mem_alloc((size_t)t->limit.max_len, sizeof *m->target, "a piece", e);
    if (!m->ids || !m->target)
        return -1;
    if (t->o->eval && t->n[EVAL_SET] == 0)
        return err_set(e, t->eval_percent >= 0 ? ERR_USAGE : ERR_DATA,
                       "--eval %s: that is none of the texts", t->o->eval);
    return 0;
}

static void choose_model(const struct train *t, struct model_options *o)
{
    (void)t, (void)o;
}

/* ---- items ---- */

static size_t tokens(const struct train *t, enum train_set set, size_t item)
{
    const struct mlm *m = t->own;

    return m->item[set][item].n + (size_t)template_specials(&t->data.header.template, 0);
}

static uint32_t mask_epoch(enum train_set set, uint32_t epoch)
{
    return set == EVAL_SET ? MASK_HELDOUT : epoch;
}

static size_t rows(const struct train *t, enum train_set set, uint32_t epoch, size_t item)
{
    const struct mlm *m = t->own;
    const struct piece *p = &m->item[set][item];
    const struct mask_text text = text_of(t, p);

    return mask_piece(&m->mask, mask_epoch(set, epoch), &text, p->from, p->n, NULL, NULL);
}

static double weight(const struct train *t, enum train_set set, uint32_t epoch,
                     size_t item)
{
    return (double)rows(t, set, epoch, item);
}

static int add(struct train *t, enum train_set set, uint32_t epoch, size_t item,
               uint32_t place, struct err *e)
{
    const struct mlm *m = t->own;
    const struct piece *p = &m->item[set][item];
    const struct mask_text text = text_of(t, p);
    const size_t targets = mask_piece(&m->mask, mask_epoch(set, epoch), &text, p->from,
                                      p->n, m->ids, m->target);
    const struct toks_record piece = {.a = m->ids, .n_a = p->n, .weight = 1};
    static const struct template_limit whole = {.max_len = 0, .head = -1};
    struct batch *b = &t->batch;
    const int32_t start = b->n_tok + m->before;

    if (batch_add(b, &t->data.header.template, &piece, &whole, place, e) < 0)
        return -1;
    b->n_rows--; /* the row of the first token: this head looks at the targets instead */
    if (batch_reserve(b, b->cap_tok, b->cap_seq, (size_t)b->n_rows + targets, 0, e))
        return -1;
    for (uint32_t i = 0; i < p->n; i++)
        if (m->target[i] >= 0) {
            b->rows[b->n_rows] = start + (int32_t)i;
            b->label[b->n_rows] = m->target[i];
            b->weight[b->n_rows++] = 1;
        }
    return 0;
}

static void record(const struct train *t, size_t item, struct toks_record *r)
{
    const struct mlm *m = t->own;

    dataset_get(&t->data, m->item[TRAIN_SET][item].record, r);
}

/* ---- evaluation ---- */

static int judge_begin(struct train *t, struct err *e)
{
    (void)t, (void)e;
    return 0;
}

static int judge_end(struct train *t, const struct loss_sum *sum, struct train_result *r,
                     struct err *e)
{
    const double loss = sum->weight > 0 ? sum->loss / sum->weight : NAN;

    (void)t, (void)e;
    r->at[r->n++] = (struct train_value){"loss", loss};
    r->at[r->n++] = (struct train_value){"perplexity", exp(loss)};
    r->at[r->n++] = (struct train_value){
        "accuracy", sum->rows ? (double)sum->right / (double)sum->rows : NAN};
    r->at[r->n++] = (struct train_value){"masked", (double)sum->rows};
    return 0;
}

static bool knows(const struct train *t, const char *name, bool *lower)
{
    (void)t;
    *lower = strcmp(name, "accuracy") != 0;
    return strcmp(name, "loss") == 0 || strcmp(name, "perplexity") == 0 ||
           strcmp(name, "accuracy") == 0;
}

static const char *default_best(const struct train *t)
{
    (void)t;
    return "loss";
}

static void release(struct train *t)
{
    struct mlm *m = t->own;

    if (!m)
        return;
    for (int set = 0; set < TRAIN_SETS; set++)
        free(m->item[set]);
    free(m->special);
    free(m->ordinary);
    free(m->ids);
    free(m->target);
    free(m);
}

const struct train_task train_mlm = {
    .items = "pieces",
    .prepare = prepare,
    .model_options = choose_model,
    .tokens = tokens,
    .rows = rows,
    .weight = weight,
    .add = add,
    .record = record,
    .judge_begin = judge_begin,
    .judge_batch = judge_begin,
    .judge_end = judge_end,
    .knows = knows,
    .default_best = default_best,
    .release = release,
};
