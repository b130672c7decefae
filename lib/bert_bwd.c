/* SPDX-License-Identifier: MIT */
/*
 * bert_bwd: the layers and embeddings backwards (L4).
 *
 * Three (T, H) buffers go round.  On the way through a layer
 *
 *     d0   dy2 -> dsum2, the residual's part of dy1 -> dy1 -> dsum1, part of dx -> dx
 *     d1   gradient of the feed-forward's output; later of the projection's
 *     d2   gradient of the attention's output
 *
 * and d0 is the gradient of the layer's input at the end, where the next one starts.  The
 * last layer comes with R rows and spreads them over the T tokens around its attention; what
 * has R rows meanwhile lies in the head's buffers.
 */
#include "model_int.h"

static struct mat gradient(const struct model *m, enum param_id id, int layer)
{
    return params_mat(&m->params, m->g, id, layer);
}

static float *vector(const struct model *m, enum param_id id, int layer)
{
    return params_at(&m->params, m->g, id, layer);
}

/* dy2 in d0 -> dy1 in d0. */
static int ffn_backward(struct model *m, const struct pass *pass, const struct layer_ops *o,
                        int layer, struct err *e)
{
    const int64_t t = o->ffn.x.rows;
    const struct mat d0 = mat_head(m->plan.d0, t), d1 = mat_head(m->plan.d1, t);
    const struct add_norm_bwd norm = {.fwd = &o->norm2,
                                      .dy = d0,
                                      .dresidual = d0,
                                      .dx = d1,
                                      .dgamma = vector(m, PARAM_LN2_G, layer),
                                      .dbeta = vector(m, PARAM_LN2_B, layer)};
    const struct ffn_bwd ffn = {.fwd = &o->ffn,
                                .dy = d1,
                                .dmid = mat_head(m->plan.dmid, t),
                                .dx = d0,
                                .dw1 = gradient(m, PARAM_F1_W, layer),
                                .dw2 = gradient(m, PARAM_F2_W, layer),
                                .dw_set = pass->first,
                                .db_zero = pass->first,
                                .db1 = vector(m, PARAM_F1_B, layer),
                                .db2 = vector(m, PARAM_F2_B, layer)};

    return op_add_norm_bwd(&m->ops, &norm, e) || op_ffn_bwd(&m->ops, &ffn, e) ? -1 : 0;
}

/* to (T, H) = zeros, and the R rows where they belong. */
static int spread(struct model *m, struct mat to, struct mat rows, struct err *e)
{
    const size_t bytes = (size_t)to.rows * (size_t)to.cols * (to.t == DT_BF16 ? 2 : 4);

    if (m->ops.be->zero(m->ops.dev, to.p, bytes, e))
        return -1;
    return op_rows_add(&m->ops, to, m->in.rows, rows, e);
}

/* dy1 in d0 -> dx in d0. */
static int attention_backward(struct model *m, const struct pass *pass,
                              const struct layer_ops *o, int layer, struct err *e)
{
    const bool last = is_last(m, layer);
    const int64_t t = o->qkv.x.rows, r = o->proj.x.rows;
    const struct mat d0 = mat_head(m->plan.d0, t), d1 = mat_head(m->plan.d1, t);
    const struct mat d2 = mat_head(m->plan.d2, t);
    const struct add_norm_bwd norm = {.fwd = &o->norm1,
                                      .dy = mat_head(d0, r),
                                      .dresidual = mat_head(last ? m->plan.ddense : d0, r),
                                      .dx = mat_head(d1, r),
                                      .dgamma = vector(m, PARAM_LN1_G, layer),
                                      .dbeta = vector(m, PARAM_LN1_B, layer)};
    const struct linear_bwd proj = {.fwd = &o->proj,
                                    .dy = norm.dx,
                                    .dx = mat_head(last ? m->plan.dout : d2, r),
                                    .dw = gradient(m, PARAM_O_W, layer),
                                    .dw_set = pass->first,
                                    .db_zero = pass->first,
                                    .db = vector(m, PARAM_O_B, layer)};
    const struct attn_bwd attn = {.fwd = &o->attn, .dy = d2, .dqkv = mat_head(m->plan.dqkv, t)};
    struct linear_bwd qkv = {.fwd = &o->qkv,
                             .dy = attn.dqkv,
                             .dx = d0,
                             .dx_add = true,
                             .dw = gradient(m, PARAM_Q_W, layer),
                             .dw_set = pass->first,
                             .db_zero = pass->first,
                             .db = vector(m, PARAM_Q_B, layer)};

    qkv.dw.rows *= 3; /* key and value follow */
    if (op_add_norm_bwd(&m->ops, &norm, e) || op_linear_bwd(&m->ops, &proj, e))
        return -1;
    if (last && (spread(m, d2, proj.dx, e) || spread(m, d0, norm.dresidual, e)))
        return -1;
    return op_attn_bwd(&m->ops, &attn, e) || op_linear_bwd(&m->ops, &qkv, e) ? -1 : 0;
}

int bert_backward(struct model *m, const struct pass *pass, struct err *e)
{
    struct embed embed;
    const struct embed_bwd back = {.fwd = &embed,
                                   .dy = mat_head(m->plan.d0, pass->seqs.n_tok),
                                   .dword = gradient(m, PARAM_WORD, 0),
                                   .dpos = gradient(m, PARAM_POS, 0),
                                   .dtype = gradient(m, PARAM_TYPE, 0),
                                   .dgamma = vector(m, PARAM_EMB_G, 0),
                                   .dbeta = vector(m, PARAM_EMB_B, 0),
                                   .touched = m->touched};

    for (int l = (int)m->config.layers - 1; l >= 0; l--) {
        struct layer_ops o;

        bert_layer_ops(m, pass, l, &o);
        if (ffn_backward(m, pass, &o, l, e) || attention_backward(m, pass, &o, l, e))
            return -1;
    }
    bert_embed_op(m, pass, &embed);
    return op_embed_bwd(&m->ops, &back, e);
}
