/* SPDX-License-Identifier: MIT */
/*
 * bert: embeddings and the post-norm layers of BERT, forwards (L4).
 *
 *     x = drop(LN(word + position + type))
 *     layer:  y1 = LN(x + drop(attention(x)))
 *             y2 = LN(y1 + drop(feed-forward(y1)))        and y2 is the next layer's x
 *
 * In the last layer all tokens are attended to, but only those that the head looks at go on
 * from there.
 *
 * transformers: modeling_bert.py, modeling_roberta.py.  The descriptors of a layer are built
 * in one place and used by both passes, so they cannot disagree.
 */
#include "model_int.h"

#include <math.h>

static struct mat weight(const struct model *m, enum param_id id, int layer)
{
    return params_mat(&m->params, m->p, id, layer);
}

static const float *vector(const struct model *m, enum param_id id, int layer)
{
    return params_at(&m->params, m->p, id, layer);
}

static struct drop drop_at(const struct model *m, const struct pass *pass, float p,
                           uint32_t site, const struct row_id *row)
{
    const struct drop d = {pass->train ? p : 0, m->in.key[site], row};

    return d;
}

void bert_embed_op(const struct model *m, const struct pass *pass, struct embed *o)
{
    const struct embed op = {
        .seqs = pass->seqs,
        .ids = m->in.ids,
        .positions = m->in.positions,
        .types = m->in.types,
        .word = weight(m, PARAM_WORD, 0),
        .pos = weight(m, PARAM_POS, 0),
        .type = weight(m, PARAM_TYPE, 0),
        .gamma = vector(m, PARAM_EMB_G, 0),
        .beta = vector(m, PARAM_EMB_B, 0),
        .eps = (float)m->config.eps,
        .drop = drop_at(m, pass, m->drop_hidden, SITE_EMBED, m->in.row),
        .y = mat_head(m->plan.embed, pass->seqs.n_tok),
        .stats = m->plan.embed_stats,
    };

    *o = op;
}

/* The (3H, H) matrix of query, key and value, which lie one behind the other. */
static struct mat qkv_weight(const struct model *m, int layer)
{
    struct mat w = weight(m, PARAM_Q_W, layer);

    w.rows *= 3;
    return w;
}

static void attention_ops(const struct model *m, const struct pass *pass, int layer,
                          struct layer_ops *o)
{
    const struct layer_acts *acts = &m->plan.layer[layer];
    const bool last = is_last(m, layer);
    const int64_t t = pass->seqs.n_tok, r = last ? pass->n_rows : t;
    const struct mat x = mat_head(layer ? acts[-1].y2 : m->plan.embed, t), none = {0};
    const uint32_t site = SITE_LAYER + 3 * (uint32_t)layer;
    const struct linear qkv = {.x = x,
                               .w = qkv_weight(m, layer),
                               .b = vector(m, PARAM_Q_B, layer),
                               .act = ACT_NONE,
                               .y = mat_head(acts->qkv, t),
                               .pre = none};
    const struct attn attn = {
        .seqs = pass->seqs,
        .heads = (int32_t)m->config.heads,
        .scale = (float)(1.0 / sqrt((double)(m->config.hidden / m->config.heads))),
        .drop = drop_at(m, pass, m->drop_attn, site, m->in.row),
        .qkv = qkv.y,
        .y = mat_head(acts->mix, t),
        .lse = pass->train ? acts->lse : NULL};
    const struct linear proj = {.x = last ? mat_head(m->plan.last_mix, r) : attn.y,
                                .w = weight(m, PARAM_O_W, layer),
                                .b = vector(m, PARAM_O_B, layer),
                                .act = ACT_NONE,
                                .y = mat_head(acts->sum1, r),
                                .pre = none};
    const struct add_norm norm = {.x = proj.y,
                                  .residual = last ? mat_head(m->plan.last_x, r) : x,
                                  .gamma = vector(m, PARAM_LN1_G, layer),
                                  .beta = vector(m, PARAM_LN1_B, layer),
                                  .eps = (float)m->config.eps,
                                  .drop = drop_at(m, pass, m->drop_hidden, site + 1,
                                                  last ? m->in.head_row : m->in.row),
                                  .y = mat_head(acts->y1, r),
                                  .stats = acts->stats1};

    o->qkv = qkv;
    o->attn = attn;
    o->proj = proj;
    o->norm1 = norm;
}

static void ffn_ops(const struct model *m, const struct pass *pass, int layer,
                    struct layer_ops *o)
{
    const struct layer_acts *acts = &m->plan.layer[layer];
    const bool last = is_last(m, layer);
    const int64_t t = last ? pass->n_rows : pass->seqs.n_tok;
    const struct mat none = {0};
    const struct ffn ffn = {.x = mat_head(acts->y1, t),
                            .w1 = weight(m, PARAM_F1_W, layer),
                            .w2 = weight(m, PARAM_F2_W, layer),
                            .b1 = vector(m, PARAM_F1_B, layer),
                            .b2 = vector(m, PARAM_F2_B, layer),
                            .act = m->config.act,
                            .pre = pass->train ? mat_head(acts->pre, t) : none,
                            .mid = mat_head(acts->mid, t),
                            .y = mat_head(acts->sum2, t)};
    const struct add_norm norm = {
        .x = ffn.y,
        .residual = ffn.x,
        .gamma = vector(m, PARAM_LN2_G, layer),
        .beta = vector(m, PARAM_LN2_B, layer),
        .eps = (float)m->config.eps,
        .drop = drop_at(m, pass, m->drop_hidden, SITE_LAYER + 3 * (uint32_t)layer + 2,
                        last ? m->in.head_row : m->in.row),
        .y = mat_head(acts->y2, t),
        .stats = acts->stats2};

    o->ffn = ffn;
    o->norm2 = norm;
}

void bert_layer_ops(const struct model *m, const struct pass *pass, int layer,
                       struct layer_ops *o)
{
    attention_ops(m, pass, layer, o);
    ffn_ops(m, pass, layer, o);
}

struct mat bert_output(const struct model *m, const struct pass *pass)
{
    return mat_head(m->plan.layer[m->config.layers - 1].y2, pass->n_rows);
}

int bert_forward(struct model *m, const struct pass *pass, struct err *e)
{
    const struct ops *ops = &m->ops;
    struct embed embed;

    bert_embed_op(m, pass, &embed);
    if (update_reach(m, -1, e) || op_embed(ops, &embed, e))
        return -1;
    for (int l = 0; l < (int)m->config.layers; l++) {
        struct layer_ops o;

        bert_layer_ops(m, pass, l, &o);
        if (update_reach(m, l, e) || op_linear(ops, &o.qkv, e) || op_attn(ops, &o.attn, e))
            return -1;
        if (is_last(m, l) && (op_rows_get(ops, o.attn.y, m->in.rows, o.proj.x, e) ||
                              op_rows_get(ops, o.qkv.x, m->in.rows, o.norm1.residual, e)))
            return -1;
        if (op_linear(ops, &o.proj, e) || op_add_norm(ops, &o.norm1, e) ||
            op_ffn(ops, &o.ffn, e) || op_add_norm(ops, &o.norm2, e))
            return -1;
    }
    return 0;
}
