/* SPDX-License-Identifier: MIT */
#include "train.h"

#include "checkpoint.h"
#include "modeldir.h"
#include "train_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Is there a finished model, so that only -f would do? */
static bool is_finished(const struct train *t)
{
    struct err refused = {0}, ignored = {0};

    return modeldir_check(t->out, false, &refused) &&
           modeldir_check(t->out, true, &ignored) == 0;
}

/* A DIR that is finished already: says so and lets the pipe end well. */
static int already_done(struct train *t, struct err *e)
{
    struct err ignored = {0};

    msg_note(t->msg, "'%s' is finished: nothing to resume", t->out);
    if (!t->o->keep && checkpoint_trim(t->root, 0, &ignored))
        err_clear(&ignored);
    if (t->job->mlm)
        return modeldir_hash(t->out, t->model_hash, e) || train_drain_input(t, e) ||
                       train_end_pass(t, e)
                   ? -1
                   : 0;
    return train_drain_input(t, e);
}

/* Is there something that --resume would go on from? */
static bool has_checkpoint(const struct train *t)
{
    struct checkpoint_found f;
    struct err ignored = {0};
    const int found = checkpoint_find(&f, t->root, NULL, &ignored);

    if (found > 0)
        checkpoint_found_free(&f);
    return found != 0;
}

static int open_model(struct train *t, struct err *e)
{
    struct model_options m = {
        .dir = t->model_dir,
        .head = t->job->mlm ? HEAD_MLM : HEAD_CLASSIFY,
        .init = t->o->init,
        .seed = (uint64_t)t->o->common.seed,
        .dropout = t->o->dropout,
        .device = t->o->common.device,
        .precision = t->o->common.precision,
        .par = t->par,
    };

    t->task->model_options(t, &m);
    /* A vocabulary takes more memory than it looks, and its work is done. */
    tokenizer_free(t->tokenizer);
    t->tokenizer = NULL;
    backend_warmed(&t->start);
    t->model = model_open(&m, t->msg, e);
    return t->model ? 0 : -1;
}

/* Loads a checkpoint, or says why the run starts from the beginning. */
static int find_start(struct train *t, struct err *e)
{
    if (!t->o->resume) {
        if (has_checkpoint(t))
            msg_note(t->msg, "'%s' holds checkpoints of an earlier run; this one starts "
                     "afresh (--resume would go on from them)", t->root);
        return 0;
    }
    switch (train_restore(t, e)) {
    case 1:
        t->resumed = true;
        msg_note(t->msg, "going on after step %lld of %lld", (long long)t->state.step,
                 (long long)t->total);
        return 0;
    case 0:
        msg_note(t->msg, "no checkpoint in '%s': starting afresh", t->root);
        return 0;
    default:
        return -1;
    }
}

static int run(struct train *t, struct err *e)
{
    struct err ignored = {0};

    if (train_check_options(t, e))
        return -1;
    if (t->o->resume && is_finished(t) && !(t->o->force && has_checkpoint(t)))
        return already_done(t, e);
    if (modeldir_check(t->out, t->o->force || t->o->resume, e))
        return -1;
    backend_warm(&t->start, t->o->common.device);
    if (train_read_input(t, e))
        return -1;
    t->par = par_open(opt_threads(&t->o->common), e);
    if (!t->par || t->task->prepare(t, e) || open_model(t, e) || train_plan(t, e) ||
        train_settings(t, e) || find_start(t, e) || train_log_open(t, e))
        return -1;
    stop_saving(t->job->stop, true);
    if (train_loop(t, e))
        return -1;
    train_show_device(t);
    if (train_publish(t, e))
        return -1;
    if (checkpoint_trim(t->root, t->o->keep, &ignored))
        msg_warn(t->msg, "%s", ignored.text);
    return train_end_pass(t, e);
}

static void release(struct train *t)
{
    if (t->task->release)
        t->task->release(t);
    backend_warmed(&t->start);
    model_close(t->model);
    par_close(t->par);
    batch_free(&t->batch);
    dataset_free(&t->data);
    dataset_free(&t->heldout);
    config_free(&t->config);
    tokenizer_free(t->tokenizer);
    toks_writer_free(t->pass);
    io_discard(&t->predictions);
    if (t->lock >= 0)
        close(t->lock);
    free(t->logits);
    free(t->order);
    free(t->best_params);
    free(t->settings);
    free(t->state.epochs);
    free(t->state.results);
    free(t->model_dir);
    free(t->out);
    free(t->root);
    buf_free(&t->log.line);
}

int train_run(const struct train_job *job, struct msg *m, struct err *e)
{
    struct train t = {
        .job = job,
        .o = job->options,
        .msg = m,
        .task = job->mlm ? &train_mlm : &train_classify,
        .log = {.fd = -1},
        .predictions = {.fd = -1},
        .order_epoch = -1,
        .saved_step = -1,
        .lock = -1,
        .guess = NAN,
        .state = {.evaluated = -1, .best_step = -1},
    };
    const int rc = run(&t, e);

    msg_progress_end(m);
    /* A failed run leaves nothing behind but what --resume can go on from. */
    train_log_close(&t, rc && !t.saved && !t.resumed);
    release(&t);
    return rc;
}
