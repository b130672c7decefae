/* SPDX-License-Identifier: MIT */
#include "jsontext.h"
#include "modeldir.h"
#include "train_run.h"
#include "version.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The weights that are kept become the model's own. */
static int take_best(struct train *t, struct err *e)
{
    if (!t->best_params || t->state.best_step == t->state.step)
        return 0;
    return model_state_set(t->model, STATE_PARAMS, t->best_params, e);
}

static json_t *provenance(const struct train *t)
{
    const struct toks_totals *totals = &t->data.totals;
    const int64_t best = t->state.best_step;

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:{s:o*, s:s, s:I, s:I, s:s, s:s}, s:{s:s, s:b}, s:o, "
        "s:I, s:I, s:s, s:o}",
        "format", "bertutils provenance 1", "program", t->job->tool, "version",
        BERTUTILS_VERSION, "command", t->job->full_command, "settings_command",
        t->job->command, "stream", "chain",
        t->data.header.provenance ? json_loads(t->data.header.provenance, 0, NULL) : NULL,
        "content", totals->content, "records", (json_int_t)totals->records, "tokens",
        (json_int_t)totals->tokens, "tokenizer", t->data.header.tok_name,
        "tokenizer_hash", t->data.header.tok_hash, "model", "name", t->model_name, "init",
        (int)t->o->init, "settings", json_loads(t->settings, 0, NULL), "steps",
        (json_int_t)t->state.step, "weights_of_step",
        (json_int_t)(best < 0 ? t->state.step : best), "best", t->best, "evaluations",
        train_results_json(t));
}

static int put_provenance(const struct train *t, struct modeldir *d, struct err *e)
{
    json_t *o;
    char *text;
    struct buf b = {0};
    int rc = -1;

    errno = 0; /* without memory the lists lack members, and nothing else tells */
    o = provenance(t);
    text = o ? jsontext_dump(o, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    if (!text || errno == ENOMEM)
        err_oom(e, "provenance.json", 0);
    else if (buf_addf(&b, e, "%s\n", text) == 0)
        rc = modeldir_put(d, "provenance.json", b.data, b.len, e);
    json_decref(o);
    free(text);
    buf_free(&b);
    return rc;
}

static int build(struct train *t, struct modeldir *d, struct err *e)
{
    return modeldir_copy_tokenizer(d, t->model_dir, e) || put_provenance(t, d, e) ||
                   modeldir_put_model(d, t->model, NULL, t->job->mlm, e)
               ? -1
               : 0;
}

/* Takes back the scores of a model that did not come to be. */
static void withdraw_predictions(const struct train *t)
{
    struct stat st;

    if (!t->predictions_old && t->o->predictions && lstat(t->o->predictions, &st) == 0 &&
        S_ISREG(st.st_mode))
        unlink(t->o->predictions);
}

static int publish_predictions(struct train *t, struct err *e)
{
    if (t->predictions.fd < 0)
        return 0;
    t->predictions_old = t->predictions.path && io_exists(t->predictions.path);
    if (io_publish(&t->predictions, e) == 0)
        return 0;
    withdraw_predictions(t);
    return -1;
}

int train_publish(struct train *t, struct err *e)
{
    const bool force = t->o->force || t->o->resume;
    struct modeldir d;

    if (t->total > 0)
        train_show_table(t);
    if (take_best(t, e))
        return -1;
    /* Everything that can fail comes before the directory gets its name. */
    if (t->o->predictions && t->task->predict && t->task->predict(t, e))
        return -1;
    if (train_log_end(t, e) || modeldir_begin(&d, t->out, force, e))
        return -1;
    if (build(t, &d, e) || publish_predictions(t, e)) {
        modeldir_discard(&d);
        return -1;
    }
    if (modeldir_publish(&d, t->job->mlm ? t->model_hash : NULL, e)) {
        withdraw_predictions(t);
        modeldir_discard(&d);
        return -1;
    }
    modeldir_discard(&d);
    msg_note(t->msg, "the model is in '%s'", t->out);
    return 0;
}
