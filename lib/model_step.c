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
 * one part later, and the update of a step runs beside the forward pass of the next part
 * (model_update.c).  The copy of a batch, some 20 bytes a token, goes in line with the rest: a
 * second block of inputs would let it run beside what is before it and save a few
 * microseconds a step, but take two records for each size.
 */
#include "model_int.h"

#include <math.h>

/* ---- a part ---- */

/*
 * What a part does to the parameters: the update that is owed from the part before, the norm
 * of its own step's gradients when it is the last one, and, on a device that does not run
 * behind its caller, the update with it.
 */
struct duty {
    const struct model_update *before, *after;
    bool norm;
};

/* What a part does; equal work has equal bytes. */
struct work {
    int32_t n_tok, n_seq, max_len, n_rows;
    int32_t first, stale, norm, update;
    float beta1, beta2, eps, clip, decay, layer_decay, head_lr; /* of the update: in its descriptors */
};
_Static_assert(sizeof(struct work) <= DEV_KEY, "the key of a part's work");

static struct work work_of(const struct model *m, const struct pass *pass,
                           const struct duty *duty)
{
    const struct model_update *u = duty->before;
    const struct work w = {.n_tok = pass->seqs.n_tok,
                           .n_seq = pass->seqs.n_seq,
                           .max_len = pass->seqs.max_len,
                           .n_rows = pass->n_rows,
                           .first = pass->first,
                           .stale = m->stale,
                           .norm = duty->norm,
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

static int issue(struct model *m, const struct pass *pass, const struct duty *duty,
                 struct err *e)
{
    const bool rows = pass->n_rows > 0;

    if (duty->before && (rows ? update_beside(m, duty->before, e)
                              : update_apply(m, duty->before, e)))
        return -1;
    if (rows &&
        (bert_forward(m, pass, e) || head_forward(m, pass, e) || head_loss(m, pass, true, e) ||
         head_backward(m, pass, e) || bert_backward(m, pass, e)))
        return -1;
    /* No part of this step had rows: the linear layers hold gradients of the one before. */
    if (duty->norm && update_norm(m, m->stale && !rows, e))
        return -1;
    return duty->after ? update_apply(m, duty->after, e) : 0;
}

/* Runs a part, from a record of it where the device has one. */
static int run_part(struct model *m, const struct pass *pass, const struct duty *duty,
                    struct err *e)
{
    const struct dev_behind *behind = m->ops.be->behind;
    const struct work w = work_of(m, pass, duty);

    if (!behind)
        return issue(m, pass, duty, e);
    for (;;) {
        const int known = behind->replay(m->ops.dev, &w, sizeof w, e);
        int rc, end;

        if (known)
            return known < 0 ? -1 : 0;
        rc = issue(m, pass, duty, e);
        m->beside = false; /* also when it failed on the way */
        end = behind->replay_end(m->ops.dev, rc != 0, e);
        if (end <= 0)
            return end;
        err_clear(e); /* it could not be recorded: once more without */
    }
}

/* What changes with every step, and the batch, into a slot. */
static int fill_slot(struct model *m, struct slot *s, const struct batch *b,
                     const struct model_part *part, const struct duty *duty,
                     struct pass *pass, struct err *e)
{
    const struct model_update *u = duty->before ? duty->before : duty->after;

    s->in.step->scale = (float)part->scale;
    if (u)
        step_set_rates(s->in.step, (float)u->lr, (float)u->beta1, (float)u->beta2, u->t);
    for (int64_t site = 0; site < model_sites(m); site++)
        philox_key(s->in.key[site], m->seed, part->step, (uint32_t)site);
    s->n_rows = 0;
    s->scale = part->scale;
    s->update = duty->norm;
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
    const struct model_update owed = m->owed;
    const struct duty duty = {.before = m->owes ? &owed : NULL,
                              .after = be->behind ? NULL : part->update,
                              .norm = part->update != NULL};

    if (!m->train || m->pending == m->n_slots || (m->pending && m->asked))
        return err_set(e, ERR_INTERNAL, "a step of training without memory for it");
    if (fill_slot(m, s, b, part, &duty, &pass, e) || slot_send(m, s, e))
        return -1;
    /* The update leaves gradients in the linear layers, and the next batch writes over them. */
    pass.first = m->stale && pass.n_rows > 0;
    if ((pass.n_rows > 0 || duty.norm || duty.before) && run_part(m, &pass, &duty, e))
        return -1;
    m->owes = be->behind && part->update;
    if (m->owes)
        m->owed = *part->update;
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

int model_settle(struct model *m, struct err *e)
{
    const struct model_part nothing = {0};

    if (!m->owes)
        return 0;
    if (m->pending)
        return err_set(e, ERR_INTERNAL, "the model is wanted while a step is under way");
    return model_submit(m, NULL, &nothing, e) || model_collect(m, NULL, NULL, e) ? -1 : 0;
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
