/* SPDX-License-Identifier: MIT */
/*
 * What a checkpoint holds: state.json (progress, settings, data), the parameters and both
 * moments, which rows were ever touched, and the best weights so far.
 */
#include "checkpoint.h"
#include "jsontext.h"
#include "train_run.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

enum { CHECKPOINTS_KEPT = 2 }; /* the newest, and one to fall back on */

static const char *const state_names[STATE_COUNT] = {
    [STATE_PARAMS] = "params.f32",
    [STATE_MOMENT1] = "moment1.f32",
    [STATE_MOMENT2] = "moment2.f32",
    [STATE_TOUCHED] = "touched.u8",
};

/* ---- settings ---- */

static int hash_tensor(void *ctx, const struct model_tensor *tensor, struct err *e)
{
    (void)e;
    XXH3_128bits_update(ctx, tensor->data, (size_t)tensor->n * sizeof *tensor->data);
    return 0;
}

/* XXH3-128 of the weights that the run starts from. */
static int hash_weights(struct train *t, char hex[33], struct err *e)
{
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t h;
    int rc;

    if (!state)
        return err_oom(e, "a hash", 0);
    XXH3_128bits_reset(state);
    rc = model_tensors(t->model, NULL, hash_tensor, state, e);
    h = XXH3_128bits_digest(state);
    snprintf(hex, 33, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
    XXH3_freeState(state);
    return rc;
}

/* What results may depend on beside the settings: the kind of processor. */
static void name_machine(char text[80])
{
    struct utsname u;
    const char *level = "";

#if defined(__x86_64__)
    __builtin_cpu_init();
    level = __builtin_cpu_supports("avx512vl") ? " avx512"
            : __builtin_cpu_supports("avx2")   ? " avx2"
                                               : " sse";
#endif
    snprintf(text, 80, "%.40s%s", uname(&u) == 0 ? u.machine : "unknown", level);
}

static json_t *eval_json(const struct train *t)
{
    if (!t->o->eval)
        return json_null();
    return json_string(t->eval_percent < 0 ? t->heldout.totals.content : t->o->eval);
}

static const char *problem_name(const struct train *t)
{
    static const char *const names[] = {[PROBLEM_SINGLE] = "single",
                                        [PROBLEM_MULTI] = "multi",
                                        [PROBLEM_REGRESSION] = "regression"};

    return names[model_config(t->model)->problem];
}

static json_t *settings_json(const struct train *t, const char *weights,
                             const char *device, const char *machine)
{
    const struct train_options *o = t->o;
    json_t *s = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, "
        "s:f, s:f, s:s, s:I}",
        "tool", t->job->tool, "weights", weights, "max_len", (json_int_t)t->limit.max_len,
        "batch", (json_int_t)o->batch, "micro", (json_int_t)t->micro, "accum", (json_int_t)o->accum, "steps",
        (json_int_t)t->total, "lr", o->lr, "schedule", o->schedule, "warmup", o->warmup,
        "weight_decay", o->weight_decay, "layer_decay", o->layer_decay, "head_lr", o->head_lr, "eps", o->eps, "beta1", o->beta1, "beta2",
        o->beta2, "clip", o->clip, "dropout", o->dropout, "shuffle", o->shuffle, "seed",
        (json_int_t)o->common.seed);
    int bad = !s;

    bad = bad || json_object_set_new(s, "eval", eval_json(t)) ||
          json_object_set_new(s, "best", json_string(t->best ? t->best : "")) ||
          json_object_set_new(s, "eval_every", json_integer(o->eval_every)) ||
          json_object_set_new(s, "precision", json_string(o->common.precision)) ||
          json_object_set_new(s, "device", json_string(device)) ||
          json_object_set_new(s, "machine", json_string(machine));
    if (t->job->mlm)
        bad = bad || json_object_set_new(s, "mlm_prob", json_real(o->mlm_prob)) ||
              json_object_set_new(s, "mask", json_string(o->mask)) ||
              json_object_set_new(s, "whole_word", json_boolean(o->whole_word));
    else
        bad = bad || json_object_set_new(s, "problem", json_string(problem_name(t))) ||
              json_object_set_new(s, "truncate", json_string(t->truncate));
    if (bad) {
        json_decref(s);
        return NULL;
    }
    return s;
}

int train_settings(struct train *t, struct err *e)
{
    char weights[33], machine[80];
    json_t *s;

    if (hash_weights(t, weights, e))
        return -1;
    name_machine(machine);
    s = settings_json(t, weights, model_device(t->model), machine);
    t->settings =
        s ? jsontext_dump(s, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(s);
    return t->settings ? 0 : err_oom(e, "the settings", 0);
}

/* ---- progress as JSON ---- */

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *result_json(const struct train_result *r, bool seconds)
{
    json_t *o = json_object();
    int bad = !o || json_object_set_new(o, "step", json_integer(r->step));

    if (seconds)
        bad = bad || json_object_set_new(o, "seconds", real(r->seconds));
    for (int i = 0; i < r->n; i++)
        bad = bad || json_object_set_new(o, r->at[i].name, real(r->at[i].value));
    if (bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

json_t *train_results_json(const struct train *t)
{
    json_t *all = json_array();

    for (size_t i = 0; all && i < t->state.n_results; i++)
        if (json_array_append_new(all, result_json(&t->state.results[i], false))) {
            json_decref(all);
            all = NULL;
        }
    return all;
}

static json_t *epochs_json(const struct train_state *s)
{
    json_t *all = json_array();

    for (size_t i = 0; i < s->n_epochs; i++)
        if (json_array_append_new(all, json_pack("{s:o,s:o,s:I}", "loss",
                                                 real(s->epochs[i].loss), "seconds",
                                                 real(s->epochs[i].seconds), "step",
                                                 (json_int_t)s->epochs[i].step)))
            return NULL;
    return all;
}

/* Results in the order of their values, as arrays: names and numbers. */
static json_t *results_state(const struct train_state *s)
{
    json_t *all = json_array();

    for (size_t i = 0; i < s->n_results; i++) {
        const struct train_result *r = &s->results[i];
        json_t *values = json_array();

        for (int k = 0; k < r->n; k++)
            json_array_append_new(values, json_pack("[s,o]", r->at[k].name,
                                                    real(r->at[k].value)));
        json_array_append_new(all,
                              json_pack("{s:I,s:o,s:o}", "step", (json_int_t)r->step,
                                        "seconds", real(r->seconds), "values", values));
    }
    return all;
}

static char *state_text(const struct train *t)
{
    const struct train_state *s = &t->state;
    json_t *settings, *o;
    char *text;

    errno = 0; /* without memory the lists lack members, and nothing else tells */
    settings = json_loads(t->settings, 0, NULL);
    o = json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:s, s:o}",
                  "step", (json_int_t)s->step, "evaluated", (json_int_t)s->evaluated,
                  "best_step", (json_int_t)s->best_step, "best_value",
                  real(s->best_value), "sum_loss", real(s->sum.loss), "sum_weight",
                  real(s->sum.weight), "sum_rows", (json_int_t)s->sum.rows, "sum_right",
                  (json_int_t)s->sum.right, "seconds", real(s->seconds), "epochs",
                  epochs_json(s), "results", results_state(s), "content",
                  t->data.totals.content, "settings", settings);
    text = o ? jsontext_dump(o, JSON_INDENT(1) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17))
             : NULL;
    json_decref(o);
    if (errno == ENOMEM) {
        free(text);
        text = NULL;
    }
    return text;
}

/* ---- saving ---- */

/* Two runs in one DIR.ckpt would take each other's files away. */
static int lock_root(struct train *t, struct err *e)
{
    if (t->lock >= 0)
        return 0;
    t->lock = open(t->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->lock < 0)
        return err_sys(e, ERR_CREATE, "cannot open '%s'", t->root);
    if (flock(t->lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return err_set(e, ERR_CREATE, "another run is at work in '%s'", t->root);
    return 0;
}

static int put_model(struct train *t, struct checkpoint *c, struct err *e)
{
    size_t most = 0;
    void *room;
    int rc = 0;

    for (int i = 0; i < STATE_COUNT; i++) {
        const size_t n = model_state_bytes(t->model, (enum model_state)i);

        most = n > most ? n : most;
    }
    room = mem_alloc(most, 1, "a checkpoint", e);
    if (!room)
        return -1;
    for (int i = 0; rc == 0 && i < STATE_COUNT; i++) {
        const size_t n = model_state_bytes(t->model, (enum model_state)i);

        rc = model_state_get(t->model, (enum model_state)i, room, e) ||
                     checkpoint_put(c, state_names[i], room, n, e)
                 ? -1
                 : 0;
    }
    free(room);
    if (rc == 0 && t->best_params)
        rc = checkpoint_put(c, "best.f32", t->best_params,
                            model_state_bytes(t->model, STATE_PARAMS), e);
    return rc;
}

int train_save(struct train *t, struct err *e)
{
    const int64_t keep = t->o->keep > CHECKPOINTS_KEPT ? t->o->keep : CHECKPOINTS_KEPT;
    struct checkpoint c;
    char *text;
    int rc = -1;

    if (mkdir(t->root, 0777) && errno != EEXIST)
        return err_sys(e, ERR_CREATE, "cannot create '%s'", t->root);
    /* The checkpoint must not count before the log has what leads to it. */
    if (lock_root(t, e) || train_log_sync(t, e) ||
        checkpoint_begin(&c, t->root, t->state.step, e))
        return -1;
    text = state_text(t);
    if (!text)
        err_oom(e, "a checkpoint", 0);
    else if (put_model(t, &c, e) == 0 &&
             checkpoint_put(&c, "state.json", text, strlen(text), e) == 0)
        rc = checkpoint_commit(&c, t->saved || t->resumed ? (int)keep : 0, e);
    free(text);
    checkpoint_abort(&c);
    if (rc == 0) {
        t->saved = true;
        t->saved_step = t->state.step;
    }
    return rc;
}

/* ---- restoring ---- */

/* Names of the settings that differ, as "lr (2e-05, now 1e-05), ...". */
static int compare_settings(const struct train *t, const json_t *saved, const char *path,
                            struct err *e)
{
    json_t *mine = json_loads(t->settings, 0, NULL), *value;
    struct buf differ = {0};
    const char *name;
    int rc = mine ? 0 : err_oom(e, "the settings", 0);

    json_object_foreach(mine, name, value) {
        json_t *other = json_object_get(saved, name);
        char *a, *b;

        if (rc || json_equal(value, other) ||
            (t->o->elastic && strcmp(name, "machine") == 0))
            continue;
        a = other ? jsontext_dump(other, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)) : NULL;
        b = jsontext_dump(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        rc = buf_addf(&differ, e, "%s%s (%s, now %s)", differ.len ? ", " : "", name,
                      a ? a : "none", b ? b : "none");
        free(a);
        free(b);
    }
    if (rc == 0 && differ.len)
        rc = err_set(e, ERR_USAGE, "the checkpoint '%s' was made with other settings: %s",
                     path, differ.data);
    buf_free(&differ);
    json_decref(mine);
    return rc;
}

static double number(const json_t *o, const char *name, double otherwise)
{
    const json_t *v = json_object_get(o, name);

    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static int64_t integer(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static int read_epochs(struct train_state *s, const json_t *all, struct err *e)
{
    const size_t n = json_array_size(all);

    if (mem_grow(&s->epochs, &s->cap_epochs, n + 1, sizeof *s->epochs, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(all, i);

        s->epochs[s->n_epochs++] = (struct train_epoch){
            number(o, "loss", NAN), number(o, "seconds", 0), integer(o, "step")};
    }
    return 0;
}

/* Metric names as static text: those of this run's task, as they are spelled here. */
static const char *static_name(const char *name)
{
    static const char *const names[] = {
        "loss",         "perplexity", "masked",      "accuracy",   "mcc",
        "f1_macro",     "f1_micro",   "f1_weighted", "f1_samples", "precision_macro",
        "recall_macro", "hamming",    "kappa",       "auc",        "log_loss",
        "ece",          "brier",      "mse",         "rmse",       "mae",
        "r2",           "pearson",    "spearman"};

    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return names[i];
    return NULL;
}

static int read_results(struct train_state *s, const json_t *all, struct err *e)
{
    const size_t n = json_array_size(all);

    if (mem_grow(&s->results, &s->cap_results, n + 1, sizeof *s->results, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(all, i), *values = json_object_get(o, "values");
        struct train_result *r = &s->results[s->n_results++];

        *r = (struct train_result){.step = integer(o, "step"),
                                   .seconds = number(o, "seconds", 0)};
        for (size_t k = 0; k < json_array_size(values) && r->n < TRAIN_VALUES; k++) {
            const json_t *pair = json_array_get(values, k), *v = json_array_get(pair, 1);
            const char *name = static_name(json_string_value(json_array_get(pair, 0)));

            if (name)
                r->at[r->n++] = (struct train_value){
                    name, json_is_number(v) ? json_number_value(v) : NAN};
        }
    }
    return 0;
}

static int read_state(struct train *t, const json_t *o, struct err *e)
{
    struct train_state *s = &t->state;

    s->step = integer(o, "step");
    s->evaluated = integer(o, "evaluated");
    s->best_step = integer(o, "best_step");
    s->best_value = number(o, "best_value", NAN);
    s->sum.loss = number(o, "sum_loss", NAN);
    s->sum.weight = number(o, "sum_weight", NAN);
    s->sum.rows = integer(o, "sum_rows");
    s->sum.right = integer(o, "sum_right");
    s->seconds = number(o, "seconds", 0);
    return read_epochs(s, json_object_get(o, "epochs"), e) ||
                   read_results(s, json_object_get(o, "results"), e)
               ? -1
               : 0;
}

static int get_model(struct train *t, const struct checkpoint_found *f, struct err *e)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < STATE_COUNT; i++) {
        const size_t n = model_state_bytes(t->model, (enum model_state)i);
        void *room = mem_alloc(n, 1, "a checkpoint", e);

        rc = !room || checkpoint_get(f, state_names[i], room, n, e) ||
             model_state_set(t->model, (enum model_state)i, room, e);
        free(room);
    }
    if (rc == 0 && checkpoint_has(f, "best.f32")) {
        const size_t n = model_state_bytes(t->model, STATE_PARAMS);

        t->best_params = mem_alloc(n, 1, "the best weights", e);
        rc = !t->best_params || checkpoint_get(f, "best.f32", t->best_params, n, e);
    }
    return rc ? -1 : 0;
}

static int restore(struct train *t, const struct checkpoint_found *f, struct err *e)
{
    char *text = checkpoint_text(f, "state.json", e);
    json_t *o = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *content = json_string_value(json_object_get(o, "content"));
    int rc = -1;

    free(text);
    if (e->code)
        return -1;
    if (!content || integer(o, "step") != f->step)
        err_set(e, ERR_DATA, "the checkpoint '%s' has no state that can be read",
                f->path);
    else if (strcmp(content, t->data.totals.content) != 0)
        err_set(e, ERR_USAGE,
                "the checkpoint '%s' was made with other data: content %.8s, "
                "now %.8s",
                f->path, content, t->data.totals.content);
    else if (compare_settings(t, json_object_get(o, "settings"), f->path, e) == 0 &&
             read_state(t, o, e) == 0)
        rc = get_model(t, f, e);
    json_decref(o);
    return rc;
}

int train_restore(struct train *t, struct err *e)
{
    struct checkpoint_found f;
    int found;

    if (!io_is_dir(t->root))
        return 0;
    if (lock_root(t, e))
        return -1;
    found = checkpoint_find(&f, t->root, t->msg, e);
    if (found == 1 && restore(t, &f, e))
        found = -1;
    if (found == 1)
        t->saved_step = f.step;
    if (found)
        checkpoint_found_free(&f);
    return found;
}
