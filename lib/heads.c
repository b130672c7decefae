/* SPDX-License-Identifier: MIT */
/*
 * heads: classification and masked LM on top of the encoder, both ways (L4).
 *
 *     BERT     tanh(dense(x0)) -> drop -> classifier           (the pooler is the dense)
 *     RoBERTa  drop(x0) -> tanh(dense) -> drop -> out_proj
 *     MLM      act(dense(x at masked places)) -> LN -> decoder, tied to the word embedding
 *
 * transformers: BertPooler and BertForSequenceClassification, RobertaClassificationHead,
 * BertPredictionHeadTransform, RobertaLMHead.
 */
#include "model_int.h"

static struct drop drop_at(const struct model *m, const struct pass *pass, uint32_t site)
{
    const struct drop d = {pass->train ? m->drop_class : 0, m->in.key[site], m->in.head_row};

    return d;
}

/* RoBERTa's LM head has erf GELU whatever the config says (modeling_roberta.py). */
static enum activation mlm_activation(const struct model *m)
{
    return m->config.family == FAMILY_ROBERTA ? ACT_GELU : m->config.act;
}

/* The dense layer of either head; `dense` gets its output. */
static void dense_op(const struct model *m, const struct pass *pass, struct linear *o)
{
    const bool mlm = m->head == HEAD_MLM;
    const int64_t r = pass->n_rows;
    const struct mat none = {0};
    const struct linear op = {
        .x = bert_output(m, pass),
        .w = params_mat(&m->params, m->p, mlm ? PARAM_MLM_W : PARAM_DENSE_W, 0),
        .b = params_at(&m->params, m->p, mlm ? PARAM_MLM_B : PARAM_DENSE_B, 0),
        .act = mlm ? mlm_activation(m) : ACT_TANH,
        .y = mat_head(m->plan.dense, r),
        .pre = mlm ? mat_head(m->plan.pre, r) : none};

    *o = op;
}

static void classifier_op(const struct model *m, const struct pass *pass, struct linear *o)
{
    const struct mat none = {0};
    const struct linear op = {.x = mat_head(m->plan.out, pass->n_rows),
                              .w = params_mat(&m->params, m->p, PARAM_CLASS_W, 0),
                              .b = params_at(&m->params, m->p, PARAM_CLASS_B, 0),
                              .act = ACT_NONE,
                              .y = mat_head(m->plan.logits, pass->n_rows),
                              .pre = none};

    *o = op;
}

static void norm_op(const struct model *m, const struct pass *pass, struct add_norm *o)
{
    const struct add_norm op = {.x = mat_head(m->plan.dense, pass->n_rows),
                                .gamma = params_at(&m->params, m->p, PARAM_MLM_G, 0),
                                .beta = params_at(&m->params, m->p, PARAM_MLM_N, 0),
                                .eps = (float)m->config.eps,
                                .y = mat_head(m->plan.out, pass->n_rows),
                                .stats = m->plan.out_stats};

    *o = op;
}

int head_forward(struct model *m, const struct pass *pass, struct err *e)
{
    const struct ops *ops = &m->ops;
    struct drop drop = drop_at(m, pass, SITE_HEAD);
    struct linear dense, classifier;
    struct add_norm norm;

    dense_op(m, pass, &dense);
    if (m->head == HEAD_MLM) {
        norm_op(m, pass, &norm);
        return op_linear(ops, &dense, e) || op_add_norm(ops, &norm, e) ? -1 : 0;
    }
    if (m->config.family == FAMILY_ROBERTA && drop.p > 0 &&
        op_dropout(ops, &drop, dense.x, dense.x, e))
        return -1;
    drop.key = m->in.key[SITE_HEAD_OUT];
    classifier_op(m, pass, &classifier);
    return op_linear(ops, &dense, e) || op_dropout(ops, &drop, dense.y, classifier.x, e) ||
                   op_linear(ops, &classifier, e)
               ? -1
               : 0;
}

static int vocab_loss(struct model *m, const struct pass *pass, bool gradient,
                      struct err *e)
{
    const enum param_id decoder = m->tied ? PARAM_WORD : PARAM_DECODER_W;
    const enum param_id bias = m->tied ? PARAM_VOCAB_B : PARAM_DECODER_B;
    struct vocab_loss op = {.x = mat_head(m->plan.out, pass->n_rows),
                            .w = params_mat(&m->params, m->p, decoder, 0),
                            .b = params_at(&m->params, m->p, bias, 0),
                            .label = m->in.label,
                            .step = m->in.step,
                            .gradient = gradient,
                            .row_loss = m->out.row_loss,
                            .best = m->out.best,
                            .work = m->plan.work};

    if (gradient) {
        op.dx = mat_head(m->plan.dout, pass->n_rows);
        op.dw = params_mat(&m->params, m->g, decoder, 0);
        op.db = params_at(&m->params, m->g, bias, 0);
    }
    return op_vocab_loss(&m->ops, &op, e);
}

int head_loss(struct model *m, const struct pass *pass, bool gradient, struct err *e)
{
    static const enum loss_kind kinds[] = {[PROBLEM_SINGLE] = LOSS_SINGLE,
                                           [PROBLEM_MULTI] = LOSS_MULTI,
                                           [PROBLEM_REGRESSION] = LOSS_REGRESSION};
    const struct loss op = {.kind = kinds[m->config.problem],
                            .logits = mat_head(m->plan.logits, pass->n_rows),
                            .label = m->in.label,
                            .target = m->in.target,
                            .weight = m->in.weight,
                            .step = m->in.step,
                            .gradient = gradient,
                            .row_loss = m->out.row_loss};

    if (m->head == HEAD_MLM)
        return vocab_loss(m, pass, gradient, e);
    return op_loss(&m->ops, &op, e);
}

/* The gradient of the logits, or of plan.out -> ddense, the gradient of the dense's output. */
static int upper_backward(struct model *m, const struct pass *pass, struct err *e)
{
    const struct mat ddense = mat_head(m->plan.ddense, pass->n_rows), none = {0};
    const struct drop drop = drop_at(m, pass, SITE_HEAD_OUT);

    if (m->head == HEAD_MLM) {
        struct add_norm norm;
        const struct add_norm_bwd back = {.fwd = &norm,
                                          .dy = mat_head(m->plan.dout, pass->n_rows),
                                          .dresidual = none,
                                          .dx = ddense,
                                          .dgamma = params_at(&m->params, m->g, PARAM_MLM_G, 0),
                                          .dbeta = params_at(&m->params, m->g, PARAM_MLM_N, 0)};

        norm_op(m, pass, &norm);
        return op_add_norm_bwd(&m->ops, &back, e);
    }
    struct linear classifier;
    const struct linear_bwd back = {.fwd = &classifier,
                                    .dy = mat_head(m->plan.logits, pass->n_rows),
                                    .dx = ddense,
                                    .dw = params_mat(&m->params, m->g, PARAM_CLASS_W, 0),
                                    .dw_set = pass->first,
                                    .db_zero = pass->first,
                                    .db = params_at(&m->params, m->g, PARAM_CLASS_B, 0)};

    classifier_op(m, pass, &classifier);
    if (op_linear_bwd(&m->ops, &back, e))
        return -1;
    return drop.p > 0 ? op_dropout(&m->ops, &drop, ddense, ddense, e) : 0;
}

int head_backward(struct model *m, const struct pass *pass, struct err *e)
{
    const bool mlm = m->head == HEAD_MLM;
    const struct drop drop = drop_at(m, pass, SITE_HEAD);
    struct linear dense;
    const struct linear_bwd back = {
        .fwd = &dense,
        .dy = mat_head(m->plan.ddense, pass->n_rows),
        .dx = mat_head(m->plan.d0, pass->n_rows),
        .dw = params_mat(&m->params, m->g, mlm ? PARAM_MLM_W : PARAM_DENSE_W, 0),
        .dw_set = pass->first,
        .db_zero = pass->first,
        .db = params_at(&m->params, m->g, mlm ? PARAM_MLM_B : PARAM_DENSE_B, 0)};

    dense_op(m, pass, &dense);
    if (upper_backward(m, pass, e) || op_linear_bwd(&m->ops, &back, e))
        return -1;
    if (!mlm && m->config.family == FAMILY_ROBERTA && drop.p > 0 &&
        op_dropout(&m->ops, &drop, back.dx, back.dx, e))
        return -1;
    return 0;
}
