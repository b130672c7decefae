/* SPDX-License-Identifier: MIT */
/*
 * ops: the only way into the op table (L4).
 *
 * Each wrapper checks shapes and types once, so that no slot has to, and calls the slot.  A
 * mismatch is a fault of ours (ERR_INTERNAL) and names the op and the condition.  Calls with
 * no rows do nothing.
 */
#ifndef BERTUTILS_OPS_H
#define BERTUTILS_OPS_H

#include "backend.h"

struct ops {
    const struct backend *be;
    struct dev *dev;
    enum dtype act; /* type of activations */
};

#define OP_CHECK(condition, op)                                                            \
    do {                                                                                   \
        if (!(condition))                                                                  \
            return err_set(e, ERR_INTERNAL, op ": %s does not hold", #condition);          \
    } while (0)

static inline bool ops_is(const struct mat *m, int64_t rows, int64_t cols)
{
    return m->p && m->rows == rows && m->cols == cols && m->ld >= cols;
}

/* A matrix of activations. */
static inline bool ops_act(const struct ops *o, const struct mat *m, int64_t rows, int64_t cols)
{
    return ops_is(m, rows, cols) && m->t == o->act;
}

/* A parameter or a gradient of one: fp32, without gaps. */
static inline bool ops_param(const struct mat *m, int64_t rows, int64_t cols)
{
    return ops_is(m, rows, cols) && m->t == DT_F32 && m->ld == cols;
}

static inline bool ops_drop(const struct drop *d)
{
    return d->p >= 0 && d->p < 1 && (d->p == 0 || d->row);
}

static inline int op_embed(const struct ops *o, const struct embed *a, struct err *e)
{
    const int64_t t = a->seqs.n_tok, h = a->y.cols;

    OP_CHECK(ops_act(o, &a->y, t, h), "embed");
    OP_CHECK(ops_param(&a->word, a->word.rows, h), "embed");
    OP_CHECK(ops_param(&a->pos, a->pos.rows, h), "embed");
    OP_CHECK(!a->type.p || ops_param(&a->type, a->type.rows, h), "embed");
    OP_CHECK(a->ids && a->positions && a->types && a->gamma && a->beta && a->stats, "embed");
    OP_CHECK(ops_drop(&a->drop), "embed");
    return t ? o->be->embed(o->dev, a, e) : 0;
}

static inline int op_embed_bwd(const struct ops *o, const struct embed_bwd *a, struct err *e)
{
    const struct embed *f = a->fwd;
    const int64_t h = f->y.cols;

    OP_CHECK(ops_act(o, &a->dy, f->y.rows, h), "embed_bwd");
    OP_CHECK(ops_param(&a->dword, f->word.rows, h), "embed_bwd");
    OP_CHECK(ops_param(&a->dpos, f->pos.rows, h), "embed_bwd");
    OP_CHECK(!f->type.p || ops_param(&a->dtype, f->type.rows, h), "embed_bwd");
    OP_CHECK(a->dgamma && a->dbeta, "embed_bwd");
    return f->y.rows ? o->be->embed_bwd(o->dev, a, e) : 0;
}

static inline int op_linear(const struct ops *o, const struct linear *a, struct err *e)
{
    OP_CHECK(ops_act(o, &a->x, a->x.rows, a->w.cols), "linear");
    OP_CHECK(ops_param(&a->w, a->w.rows, a->x.cols), "linear");
    OP_CHECK(ops_is(&a->y, a->x.rows, a->w.rows), "linear");
    OP_CHECK(a->y.t == o->act || a->y.t == DT_F32, "linear");
    OP_CHECK(!a->pre.p || (ops_is(&a->pre, a->x.rows, a->w.rows) && a->pre.t == a->y.t),
             "linear");
    return a->x.rows ? o->be->linear(o->dev, a, e) : 0;
}

static inline int op_linear_bwd(const struct ops *o, const struct linear_bwd *a, struct err *e)
{
    const struct linear *f = a->fwd;

    OP_CHECK(ops_is(&a->dy, f->y.rows, f->y.cols) && a->dy.t == f->y.t, "linear_bwd");
    OP_CHECK(!a->dx.p || ops_act(o, &a->dx, f->x.rows, f->x.cols), "linear_bwd");
    OP_CHECK(ops_param(&a->dw, f->w.rows, f->w.cols), "linear_bwd");
    OP_CHECK(!f->b == !a->db, "linear_bwd");
    OP_CHECK((f->act != ACT_GELU && f->act != ACT_GELU_TANH) || f->pre.p, "linear_bwd");
    return f->x.rows ? o->be->linear_bwd(o->dev, a, e) : 0;
}

static inline int op_attn(const struct ops *o, const struct attn *a, struct err *e)
{
    const int64_t t = a->seqs.n_tok, h = a->y.cols;

    OP_CHECK(ops_act(o, &a->qkv, t, 3 * h), "attn");
    OP_CHECK(ops_act(o, &a->y, t, h), "attn");
    OP_CHECK(a->heads > 0 && h % a->heads == 0 && a->seqs.cu, "attn");
    OP_CHECK(ops_drop(&a->drop), "attn");
    return t ? o->be->attn(o->dev, a, e) : 0;
}

static inline int op_attn_bwd(const struct ops *o, const struct attn_bwd *a, struct err *e)
{
    const struct attn *f = a->fwd;
    const int64_t t = f->y.rows, h = f->y.cols;

    OP_CHECK(ops_act(o, &a->dy, t, h), "attn_bwd");
    OP_CHECK(ops_act(o, &a->dqkv, t, 3 * h), "attn_bwd");
    OP_CHECK(f->lse, "attn_bwd");
    return t ? o->be->attn_bwd(o->dev, a, e) : 0;
}

static inline int op_ffn(const struct ops *o, const struct ffn *a, struct err *e)
{
    const int64_t t = a->x.rows, h = a->x.cols, i = a->w1.rows;

    OP_CHECK(ops_act(o, &a->x, t, h), "ffn");
    OP_CHECK(ops_param(&a->w1, i, h) && ops_param(&a->w2, h, i), "ffn");
    OP_CHECK(a->b1 && a->b2, "ffn");
    OP_CHECK(!a->pre.p || ops_act(o, &a->pre, t, i), "ffn");
    OP_CHECK(ops_act(o, &a->mid, t, i), "ffn");
    OP_CHECK(ops_act(o, &a->y, t, h), "ffn");
    return t ? o->be->ffn(o->dev, a, e) : 0;
}

static inline int op_ffn_bwd(const struct ops *o, const struct ffn_bwd *a, struct err *e)
{
    const struct ffn *f = a->fwd;
    const int64_t t = f->x.rows, h = f->x.cols, i = f->w1.rows;

    OP_CHECK(f->pre.p, "ffn_bwd");
    OP_CHECK(ops_act(o, &a->dy, t, h) && ops_act(o, &a->dx, t, h), "ffn_bwd");
    OP_CHECK(ops_act(o, &a->dmid, t, i), "ffn_bwd");
    OP_CHECK(ops_param(&a->dw1, i, h) && ops_param(&a->dw2, h, i), "ffn_bwd");
    OP_CHECK(a->db1 && a->db2, "ffn_bwd");
    return t ? o->be->ffn_bwd(o->dev, a, e) : 0;
}

static inline int op_add_norm(const struct ops *o, const struct add_norm *a, struct err *e)
{
    const int64_t t = a->x.rows, h = a->x.cols;

    OP_CHECK(ops_act(o, &a->x, t, h) && ops_act(o, &a->y, t, h), "add_norm");
    OP_CHECK(!a->residual.p || ops_act(o, &a->residual, t, h), "add_norm");
    OP_CHECK(a->gamma && a->beta && a->stats, "add_norm");
    OP_CHECK(ops_drop(&a->drop), "add_norm");
    return t ? o->be->add_norm(o->dev, a, e) : 0;
}

static inline int op_add_norm_bwd(const struct ops *o, const struct add_norm_bwd *a,
                                  struct err *e)
{
    const struct add_norm *f = a->fwd;
    const int64_t t = f->x.rows, h = f->x.cols;

    OP_CHECK(ops_act(o, &a->dy, t, h) && ops_act(o, &a->dx, t, h), "add_norm_bwd");
    OP_CHECK(!f->residual.p || ops_act(o, &a->dresidual, t, h), "add_norm_bwd");
    OP_CHECK(a->dgamma && a->dbeta, "add_norm_bwd");
    return t ? o->be->add_norm_bwd(o->dev, a, e) : 0;
}

static inline int op_dropout(const struct ops *o, const struct drop *d, struct mat x,
                             struct mat y, struct err *e)
{
    OP_CHECK(ops_act(o, &x, x.rows, x.cols) && ops_act(o, &y, x.rows, x.cols), "dropout");
    OP_CHECK(ops_drop(d), "dropout");
    return x.rows ? o->be->dropout(o->dev, d, x, y, e) : 0;
}

static inline int op_rows_get(const struct ops *o, struct mat x, const int32_t *row,
                              struct mat y, struct err *e)
{
    OP_CHECK(ops_act(o, &x, x.rows, y.cols) && ops_act(o, &y, y.rows, x.cols), "rows_get");
    OP_CHECK(row, "rows_get");
    return y.rows ? o->be->rows_get(o->dev, x, row, y, e) : 0;
}

static inline int op_rows_add(const struct ops *o, struct mat x, const int32_t *row,
                              struct mat y, struct err *e)
{
    OP_CHECK(ops_act(o, &x, x.rows, y.cols) && ops_act(o, &y, y.rows, x.cols), "rows_add");
    OP_CHECK(row, "rows_add");
    return y.rows ? o->be->rows_add(o->dev, x, row, y, e) : 0;
}

static inline int op_loss(const struct ops *o, const struct loss *a, struct err *e)
{
    OP_CHECK(ops_is(&a->logits, a->logits.rows, a->logits.cols), "loss");
    OP_CHECK(a->logits.t == DT_F32 && a->row_loss, "loss");
    OP_CHECK(a->kind == LOSS_SINGLE ? a->label != NULL : a->target != NULL, "loss");
    return a->logits.rows ? o->be->loss(o->dev, a, e) : 0;
}

static inline int op_vocab_loss(const struct ops *o, const struct vocab_loss *a, struct err *e)
{
    const int64_t r = a->x.rows, h = a->x.cols, v = a->w.rows;

    OP_CHECK(ops_act(o, &a->x, r, h) && ops_param(&a->w, v, h), "vocab_loss");
    OP_CHECK(a->b && a->label && a->row_loss, "vocab_loss");
    OP_CHECK(!a->gradient || ops_act(o, &a->dx, r, h), "vocab_loss");
    OP_CHECK(!a->gradient || (ops_param(&a->dw, v, h) && a->db), "vocab_loss");
    OP_CHECK(r == 0 || (ops_is(&a->work, a->work.rows, v) && a->work.rows > 0), "vocab_loss");
    return r ? o->be->vocab_loss(o->dev, a, e) : 0;
}

#endif
