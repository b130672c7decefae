/* SPDX-License-Identifier: MIT */
#include "order.h"
#include "philox.h"
#include "train_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPORT_EVERY = 40 };   /* micro-batches between two lines, as in the documents */
/* ---- order ---- */

int train_order(struct train *t, int64_t epoch, struct err *e)
{
    const size_t n = t->n[TRAIN_SET];

    if (t->order_epoch == epoch)
        return 0;
    t->order_epoch = epoch;
    if (strcmp(t->o->shuffle, "none") != 0)
        return order_permute((uint64_t)t->o->common.seed, (uint32_t)epoch,
                             PHILOX_SITE_ORDER, n, t->order, e);
    for (size_t i = 0; i < n; i++)
        t->order[i] = (uint32_t)i;
    return 0;
}

/* ---- evaluation ---- */

int train_score_batch(struct train *t, struct loss_sum *sum, struct err *e)
{
    if (t->batch.n_rows == 0)
        return 0;
    return model_evaluate(t->model, &t->batch, t->logits, sum, e);
}

/* 1: a signal came, the evaluation is dropped. */
static int run_eval(struct train *t, struct train_result *r, struct err *e)
{
    const size_t n = t->n[EVAL_SET], micro = (size_t)t->micro;
    struct loss_sum sum = {0};

    if (t->task->judge_begin(t, e))
        return -1;
    for (size_t from = 0; from < n; from += micro) {
        const size_t to = n - from < micro ? n : from + micro;

        if (stop_asked(t->job->stop))
            return 1;
        batch_reset(&t->batch);
        for (size_t i = from; i < to; i++)
            if (t->task->add(t, EVAL_SET, MASK_HELDOUT, i, (uint32_t)(i - from), e))
                return -1;
        if (train_score_batch(t, &sum, e) || t->task->judge_batch(t, e))
            return -1;
        msg_progress(t->msg, "validation: %zu of %zu %s", to, n, t->task->items);
    }
    return t->task->judge_end(t, &sum, r, e);
}

/* Keeps the weights when they are the best so far; of equals the earliest stay. */
static int keep_best(struct train *t, const struct train_result *r, struct err *e)
{
    const double value = train_value(r, t->best);
    const bool better = t->state.best_step < 0 ||
                        (t->best_lower ? value < t->state.best_value
                                       : value > t->state.best_value);

    if (strcmp(t->best, "last") == 0 || isnan(value) || !better)
        return 0;
    t->state.best_step = r->step;
    t->state.best_value = value;
    if (!t->best_params)
        t->best_params = mem_alloc(model_state_bytes(t->model, STATE_PARAMS), 1,
                                   "the best weights", e);
    return t->best_params ? model_state_get(t->model, STATE_PARAMS, t->best_params, e)
                          : -1;
}

static int evaluate(struct train *t, struct err *e)
{
    struct train_state *s = &t->state;
    struct train_result r = {.step = s->step};
    const double start = train_clock();
    int rc = run_eval(t, &r, e);

    if (rc)
        return rc;
    r.seconds = train_clock() - start;
    if (mem_grow(&s->results, &s->cap_results, s->n_results + 1, sizeof r, e))
        return -1;
    s->results[s->n_results++] = r;
    s->evaluated = s->step;
    train_show_eval(t, &r);
    return keep_best(t, &r, e) || train_log_eval(t, &r, e) ? -1 : 0;
}

static bool eval_is_due(const struct train *t, int64_t step)
{
    const bool last = step == t->total;

    if (!t->o->eval || t->state.evaluated == step)
        return false;
    if (step == 0)
        return last;
    if (t->o->eval_every)
        return step % t->o->eval_every == 0 || last;
    return step % t->steps_per_epoch == 0 || last;
}

/* ---- steps ---- */

/* What a step is made of: items [from, to) of the epoch's order. */
struct step {
    int64_t number; /* from 1 */
    uint32_t epoch;
    size_t from, to;
    double weight, scale, lr, norm, start;
    int64_t tokens;
    struct loss_sum sum;
};

/*
 * Micro-batches that were submitted and not yet collected, the oldest first, and their
 * steps: a GPU works on one while the next is made.  Everything that is said, logged, saved
 * or checked comes when a micro-batch is collected, so it comes in the same order and with
 * the same numbers on every device.
 *
 * The host makes a batch while the GPU has another one to do: 28 µs for 32 sentences of CoLA
 * and 46 ns a token with masks (measured), where a step takes some forty times as long.  A
 * thread that reads ahead would gain nothing, and on the CPU it would take a core's time.
 */
struct part {
    struct step *step;
    size_t from, to;
};
struct flight {
    struct step step[DEV_TICKETS]; /* as many as there can be parts */
    struct part part[DEV_TICKETS];
    int n;
    int64_t submitted; /* steps */
    double done;       /* when the last part was collected */
};

static int begin_step(struct train *t, const struct flight *f, struct step *s, struct err *e)
{
    const size_t n = t->n[TRAIN_SET], size = (size_t)(t->o->batch * t->o->accum);
    const int64_t at = f->submitted % t->steps_per_epoch;

    *s = (struct step){.number = f->submitted + 1,
                       .epoch = (uint32_t)(f->submitted / t->steps_per_epoch),
                       .lr = schedule_lr(&t->schedule, f->submitted + 1),
                       .start = train_clock()};
    if (train_order(t, s->epoch, e))
        return -1;
    s->from = (size_t)at * size;
    s->to = n - s->from < size ? n : s->from + size;
    for (size_t i = s->from; i < s->to; i++)
        s->weight += t->task->weight(t, TRAIN_SET, s->epoch, t->order[i]);
    s->scale = s->weight > 0 ? 1.0 / s->weight : 0;
    return 0;
}

/* A loss or gradient that is no number: names the records of the micro-batch or step. */
static int not_a_number(struct train *t, const struct step *s, const char *what,
                        size_t from, size_t to, struct err *e)
{
    struct buf keys = {0};
    struct err ignored = {0};
    struct toks_record r;
    char room[24];
    size_t len;

    if (train_order(t, s->epoch, e)) /* the next epoch may have begun */
        return -1;
    for (size_t i = from; i < to; i++) {
        const char *key;

        t->task->record(t, t->order[i], &r);
        key = dataset_key(&r, room, &len);
        if (buf_addf(&keys, &ignored, "%s%.*s", i > from ? ", " : "",
                     (int)(len < 80 ? len : 80), key))
            break;
        if (keys.len > 1200 && i + 1 < to) {
            if (buf_puts(&keys, " and more", &ignored))
                err_clear(&ignored);
            break;
        }
    }
    err_set(e, ERR_RUN,
            "the %s of step %lld is not a finite number; a smaller --lr may help; "
            "its records have the keys %s",
            what, (long long)s->number, keys.data ? keys.data : "");
    buf_free(&keys);
    return -1;
}

/* Lines count batches, of however many micro-batches they are made. */
static void report(struct train *t, size_t from, size_t to)
{
    const int64_t size = t->o->batch, n = (int64_t)t->n[TRAIN_SET];
    const int64_t batches = (n + size - 1) / size;
    const int64_t batch = (int64_t)to == n ? batches : (int64_t)to / size;

    if (batch == (int64_t)from / size)
        return;
    train_show_progress(t, batch, batches);
    if (batch % REPORT_EVERY == 0 && batch < batches)
        train_show_batch(t, batch, batches);
}

static int end_epoch(struct train *t, struct err *e)
{
    struct train_state *s = &t->state;

    if (mem_grow(&s->epochs, &s->cap_epochs, s->n_epochs + 1, sizeof *s->epochs, e))
        return -1;
    s->epochs[s->n_epochs++] = (struct train_epoch){
        s->sum.weight > 0 ? s->sum.loss / s->sum.weight : 0, s->seconds, s->step};
    train_show_epoch(t);
    return 0;
}

static int finish_step(struct train *t, struct flight *f, const struct step *s, struct err *e)
{
    struct train_state *state = &t->state;
    const double now = train_clock();
    const double seconds = now - (s->start > f->done ? s->start : f->done);

    f->done = now;
    if (!isfinite(s->norm))
        return not_a_number(t, s, "gradient", s->from, s->to, e);
    state->step++;
    state->sum.loss += s->sum.loss;
    state->sum.weight += s->sum.weight;
    state->seconds += seconds;
    if (train_log_step(t, &s->sum, s->lr, s->norm, s->tokens, seconds, e))
        return -1;
    if (state->step % t->steps_per_epoch == 0 || state->step == t->total)
        return end_epoch(t, e);
    return 0;
}

/* Waits for the oldest micro-batch under way, and ends its step when it is the last of it. */
static int collect(struct train *t, struct flight *f, struct err *e)
{
    const struct part p = f->part[0];
    struct step *s = p.step;
    struct loss_sum sum = {0};

    f->n--;
    memmove(f->part, f->part + 1, (size_t)f->n * sizeof *f->part);
    if (model_collect(t->model, &sum, &s->norm, e))
        return -1;
    if (p.from == 0) { /* an epoch begins */
        t->state.sum = (struct loss_sum){0};
        t->state.seconds = 0;
    }
    if (!isfinite(sum.loss))
        return not_a_number(t, s, "loss", p.from, p.to, e);
    s->sum.loss += sum.loss;
    s->sum.weight += sum.weight;
    s->sum.rows += sum.rows;
    s->sum.right += sum.right;
    report(t, p.from, p.to);
    return p.to == s->to ? finish_step(t, f, s, e) : 0;
}

static int drain(struct train *t, struct flight *f, struct err *e)
{
    while (f->n > 0)
        if (collect(t, f, e))
            return -1;
    return 0;
}

/* Items [from, to) of a step; with the last of them comes the update. */
static int submit(struct train *t, struct flight *f, struct step *s, size_t from, size_t to,
                  struct err *e)
{
    const struct model_update u = {
        .lr = s->lr,
        .beta1 = t->o->beta1,
        .beta2 = t->o->beta2,
        .eps = t->o->eps,
        .clip = t->o->clip,
        .weight_decay = t->o->weight_decay,
        .layer_decay = t->o->layer_decay,
        .head_lr = t->o->head_lr >= 0 && t->o->lr > 0 ? t->o->head_lr / t->o->lr : 1,
        .t = s->number,
    };
    const struct model_part part = {.step = (uint32_t)s->number,
                                    .scale = s->scale,
                                    .update = to == s->to ? &u : NULL};

    batch_reset(&t->batch);
    for (size_t i = from; i < to; i++)
        if (t->task->add(t, TRAIN_SET, s->epoch, t->order[i], (uint32_t)(i - s->from), e))
            return -1;
    s->tokens += t->batch.n_tok;
    if (model_submit(t->model, &t->batch, &part, e))
        return -1;
    f->part[f->n++] = (struct part){s, from, to};
    while (f->n >= model_slots(t->model))
        if (collect(t, f, e))
            return -1;
    return 0;
}

static int one_step(struct train *t, struct flight *f, struct err *e)
{
    struct step *s = &f->step[f->submitted % DEV_TICKETS];

    if (begin_step(t, f, s, e))
        return -1;
    f->submitted++;
    for (size_t from = s->from; from < s->to; from += (size_t)t->micro) {
        const size_t rest = s->to - from, micro = (size_t)t->micro;

        if (submit(t, f, s, from, from + (rest < micro ? rest : micro), e))
            return -1;
    }
    return 0;
}

/* ---- the loop ---- */

static int stop_here(struct train *t, struct err *e)
{
    if (t->saved_step != t->state.step && train_save(t, e))
        return -1;
    return err_set(e, ERR_AGAIN,
                   "stopped after step %lld of %lld; saved in '%s': the same "
                   "command with --resume goes on",
                   (long long)t->state.step, (long long)t->total, t->root);
}

static bool save_is_due(const struct train *t, int64_t step)
{
    return t->o->save_every && step > t->start_step && step < t->total &&
           step % t->o->save_every == 0;
}

/* What wants the state behind the last step.  1: the training is over. */
static int between_steps(struct train *t, struct err *e)
{
    const int64_t step = t->state.step;

    if (eval_is_due(t, step) && evaluate(t, e) < 0)
        return -1;
    if (stop_asked(t->job->stop))
        return stop_here(t, e);
    if (save_is_due(t, step) && train_save(t, e))
        return -1;
    return step >= t->total;
}

int train_loop(struct train *t, struct err *e)
{
    struct flight f = {.submitted = t->state.step};

    t->start_step = t->state.step;
    t->start_clock = train_clock();
    train_show_plan(t);
    for (;;) {
        const int64_t step = f.submitted;
        int over = 0;

        if (step >= t->total || eval_is_due(t, step) || save_is_due(t, step) ||
            stop_asked(t->job->stop)) {
            if (drain(t, &f, e))
                return -1;
            over = between_steps(t, e);
        }
        if (over)
            return over < 0 ? -1 : 0;
        if (one_step(t, &f, e))
            return -1;
    }
}
