/* SPDX-License-Identifier: MIT */
/*
 * model_run: a micro-batch to the device and its losses back; evaluation (L4).
 *
 * Ids, positions and types come from files: they are checked here, before any table is
 * indexed with them.
 */
#include "model_int.h"

#include <math.h>
#include <string.h>

/* ---- the batch ---- */

static int check_size(const struct model *m, const struct batch *b, struct err *e)
{
    const struct model_limits *l = &m->limits;

    if (!m->memory || b->n_tok > l->tokens || b->n_seq > l->sequences || b->n_rows > l->rows ||
        b->n_rows > b->n_tok)
        return err_set(e, ERR_INTERNAL,
                       "a batch of %d tokens, %d sequences and %d rows is beyond what was "
                       "reserved", b->n_tok, b->n_seq, b->n_rows);
    if (b->cu[0] != 0 || b->cu[b->n_seq] != b->n_tok)
        return err_set(e, ERR_INTERNAL, "the sequences of a batch do not cover its tokens");
    for (int32_t i = 0; i < b->n_seq; i++)
        if (b->cu[i + 1] < b->cu[i])
            return err_set(e, ERR_INTERNAL, "sequence %d of a batch has no length", i);
    return 0;
}

/* Tokens into the host's block.  RoBERTa's positions start behind the padding id. */
static int put_tokens(const struct model *m, struct slot *s, const struct batch *b,
                      struct err *e)
{
    const struct config *c = &m->config;
    const int64_t first = c->family == FAMILY_ROBERTA ? (int64_t)c->pad_id + 1 : 0;

    for (int32_t i = 0; i < b->n_tok; i++) {
        const int32_t type = c->types == 1 ? 0 : b->types[i];
        const unsigned record = b->row[i].record + 1;

        if (b->ids[i] < 0 || b->ids[i] >= c->vocab_size)
            return err_set(e, ERR_DATA,
                           "record %u of the batch: token id %d, but the model's vocabulary "
                           "has %lld: is this its tokenizer's stream?",
                           record, b->ids[i], (long long)c->vocab_size);
        if (b->positions[i] < 0 || first + b->positions[i] >= c->positions)
            return err_set(e, ERR_DATA,
                           "record %u of the batch has more than the %lld tokens that the "
                           "model can see; see --max-len",
                           record, (long long)config_max_len(c));
        if (type < 0 || type >= c->types)
            return err_set(e, ERR_DATA,
                           "record %u of the batch: token type %d, but the model has %lld",
                           record, type, (long long)c->types);
        s->in.ids[i] = b->ids[i];
        s->in.positions[i] = (int32_t)first + b->positions[i];
        s->in.types[i] = type;
    }
    memcpy(s->in.row, b->row, (size_t)b->n_tok * sizeof *b->row);
    memcpy(s->in.cu, b->cu, ((size_t)b->n_seq + 1) * sizeof *b->cu);
    return 0;
}

/* Whether row i has what its loss needs. */
static bool has_gold(const struct model *m, const struct batch *b, int32_t i)
{
    if (m->in.target)
        return b->target && !isnan(b->target[(int64_t)i * b->n_targets]);
    return b->label[i] >= 0;
}

/* Rows without gold get the label -1 and weight 0: their loss is not looked at. */
static int put_gold(const struct model *m, struct slot *s, const struct batch *b, int32_t i,
                    bool must, struct err *e)
{
    const int classes = m->config.n_labels;
    const bool gold = has_gold(m, b, i);
    const int64_t limit = m->head == HEAD_MLM ? m->config.vocab_size : classes;
    const unsigned record = b->row[b->rows[i]].record + 1;

    if (must && !gold)
        return err_set(e, ERR_DATA, "record %u of the batch has no label", record);
    if (m->in.target && gold && b->n_targets != classes)
        return err_set(e, ERR_INTERNAL, "a batch has %d targets, the model %d", b->n_targets,
                       classes);
    if (!m->in.target && gold && b->label[i] >= limit)
        return err_set(e, ERR_DATA, "record %u of the batch: label %d, but the model has %lld",
                       record, b->label[i], (long long)limit);
    s->in.label[i] = !gold ? -1 : m->in.target ? 0 : b->label[i];
    s->in.weight[i] = !gold ? 0 : m->head == HEAD_MLM ? 1 : b->weight[i];
    for (int k = 0; k < classes && m->in.target; k++) {
        const int64_t at = (int64_t)i * classes + k;

        s->in.target[at] = gold ? b->target[at] : 0;
    }
    return 0;
}

static int put_rows(const struct model *m, struct slot *s, const struct batch *b, bool must,
                    struct err *e)
{
    for (int32_t i = 0; i < b->n_rows; i++) {
        const int32_t at = b->rows[i];

        if (at < 0 || at >= b->n_tok)
            return err_set(e, ERR_INTERNAL, "row %d of a batch is no token of it", i);
        s->in.rows[i] = at;
        s->in.head_row[i] = b->row[at];
        if (put_gold(m, s, b, i, must, e))
            return -1;
    }
    return 0;
}

int batch_fill(const struct model *m, struct slot *s, const struct batch *b, bool must,
               struct pass *pass, struct err *e)
{
    if (check_size(m, b, e) || put_tokens(m, s, b, e) || put_rows(m, s, b, must, e))
        return -1;
    pass->seqs.n_tok = b->n_tok;
    pass->seqs.n_seq = b->n_seq;
    pass->seqs.max_len = b->max_len;
    pass->seqs.cu = m->in.cu;
    pass->seqs.row = m->in.row;
    pass->n_rows = b->n_rows;
    return 0;
}

/* ---- the results ---- */

/*
 * The class that a row of results says.  After a training pass the logits have become their
 * gradient, unit * (softmax - [label]), which says the same.
 */
static int32_t best_class(const struct model *m, const struct slot *s, int32_t i,
                          double unit)
{
    const int n = m->config.n_labels;
    const float *z = s->out.logits + (int64_t)i * n;
    int32_t best = 0;
    double most = -INFINITY;

    for (int k = 0; k < n; k++) {
        const double x =
            unit != 0 ? z[k] / unit + (k == s->in.label[i] ? 1 : 0) : (double)z[k];

        if (x > most) {
            most = x;
            best = k;
        }
    }
    return best;
}

void add_losses(const struct model *m, const struct slot *s, struct loss_sum *sum)
{
    const bool mlm = m->head == HEAD_MLM;

    for (int32_t i = 0; i < s->n_rows; i++) {
        const double weight = s->in.weight[i];

        if (s->in.label[i] < 0)
            continue;
        sum->loss += weight * s->out.row_loss[i];
        sum->weight += weight;
        sum->rows++;
        if (mlm)
            sum->right += s->out.best[i] == s->in.label[i];
        else if (m->config.problem == PROBLEM_SINGLE && (s->scale == 0 || weight != 0))
            sum->right += best_class(m, s, i, s->scale * weight) == s->in.label[i];
    }
}

/* ---- slots ---- */

int slot_send(struct model *m, const struct slot *s, struct err *e)
{
    const struct backend *be = m->ops.be;

    return be->behind ? be->behind->send(m->ops.dev, m->in_dev, s->in_block, m->in_bytes, e)
                      : be->put(m->ops.dev, m->in_dev, s->in_block, m->in_bytes, e);
}

struct slot *slot_oldest(struct model *m)
{
    return &m->slot[(m->next + m->n_slots - m->pending) % (m->n_slots ? m->n_slots : 1)];
}

int slot_await(struct model *m, struct err *e)
{
    const struct backend *be = m->ops.be;
    const struct slot *s = slot_oldest(m);

    m->pending--;
    return be->behind ? be->behind->await(m->ops.dev, (int)(s - m->slot), e)
                      : be->get(m->ops.dev, s->out_block, m->out_dev, m->out_bytes, e);
}

/* ---- evaluation ---- */

int model_ask(struct model *m, const struct batch *b, bool losses, struct err *e)
{
    const struct backend *be = m->ops.be;
    struct pass pass = {.train = false};
    struct slot *s;

    if (m->pending && (!m->asked || m->pending == m->n_slots))
        return err_set(e, ERR_INTERNAL, "an evaluation while other work is under way");
    if (m->pending == 0 && model_settle(m, e))
        return -1;
    s = &m->slot[m->next];
    if (batch_fill(m, s, b, m->head == HEAD_MLM, &pass, e) || slot_send(m, s, e))
        return -1;
    if (bert_forward(m, &pass, e) || head_forward(m, &pass, e))
        return -1;
    if ((losses || m->head == HEAD_MLM) && head_loss(m, &pass, false, e))
        return -1;
    if (be->behind && be->behind->fetch(m->ops.dev, s->out_block, m->out_dev, m->out_bytes,
                                        m->next, e))
        return -1;
    s->n_rows = b->n_rows;
    s->scale = 0;
    m->asked = true;
    m->next = (m->next + 1) % m->n_slots;
    m->pending++;
    return 0;
}

int model_answer(struct model *m, float *logits, struct loss_sum *sum, struct err *e)
{
    struct slot *s = slot_oldest(m);

    if (m->pending == 0 || !m->asked)
        return err_set(e, ERR_INTERNAL, "no evaluation is under way");
    if (slot_await(m, e))
        return -1;
    if (logits && m->head != HEAD_MLM)
        memcpy(logits, s->out.logits,
               (size_t)s->n_rows * (size_t)m->config.n_labels * sizeof *logits);
    if (sum)
        add_losses(m, s, sum);
    return 0;
}

int model_evaluate(struct model *m, const struct batch *b, float *logits, struct loss_sum *sum,
                   struct err *e)
{
    if (m->pending)
        return err_set(e, ERR_INTERNAL, "an evaluation while other work is under way");
    if (logits && m->head == HEAD_MLM)
        return err_set(e, ERR_INTERNAL, "a masked-LM head keeps no logits");
    return model_ask(m, b, sum, e) || model_answer(m, logits, sum, e) ? -1 : 0;
}

/* bf16 numbers in the upper half of a row of floats become these; bf16 is a float's upper half. */
static void widen(float *x, int64_t n)
{
    const unsigned char *from = (const unsigned char *)x + 2 * n;

    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        uint32_t whole;

        memcpy(&half, from + 2 * i, sizeof half);
        whole = (uint32_t)half << 16;
        memcpy(&x[i], &whole, sizeof whole);
    }
}

int model_embed(struct model *m, const struct batch *b, float *out, struct err *e)
{
    const struct backend *be = m->ops.be;
    struct pass pass = {.train = false};
    struct slot *s;
    struct mat y;
    int64_t n;

    if (m->pending)
        return err_set(e, ERR_INTERNAL, "an evaluation while other work is under way");
    if (model_settle(m, e))
        return -1;
    s = &m->slot[m->next];
    if (batch_fill(m, s, b, false, &pass, e) || slot_send(m, s, e) || bert_forward(m, &pass, e))
        return -1;
    y = bert_output(m, &pass);
    n = y.rows * y.ld;
    if (y.t == DT_F32)
        return be->get(m->ops.dev, out, y.p, (size_t)n * sizeof *out, e);
    if (be->get(m->ops.dev, (char *)out + 2 * n, y.p, (size_t)n * 2, e))
        return -1;
    widen(out, n);
    return 0;
}
