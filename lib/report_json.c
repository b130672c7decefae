/* SPDX-License-Identifier: MIT */
#include "report.h"
#include "utf8.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"single", "multi", "regression"};

/* JSON has no NaN: an undefined value is null. */
static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *whole(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *pair(const struct metrics_interval *i)
{
    return json_pack("[o, o]", real(i->low), real(i->high));
}

/*
 * Both give NULL, and free what they were given, once memory is short: the callers go on.
 */
static json_t *append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *put(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* ---- one file ---- */

/* Those of a single-label file are always there, null in files of another kind. */
static json_t *add_metrics(const struct report *r, json_t *o)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (metric_has(m, r->s->kind) || metric_has(m, SCORES_SINGLE))
            o = put(o, metric_name(m), real(r->m->value[m]));
    return o;
}

static json_t *matrix(const struct report *r)
{
    const size_t k = r->m->n_labels;
    json_t *rows;

    if (!r->m->confusion)
        return json_null();
    rows = json_array();
    for (size_t i = 0; i < k; i++) {
        json_t *row = json_array();

        for (size_t j = 0; j < k; j++)
            row = append(row, whole(r->m->confusion[i * k + j]));
        rows = append(rows, row);
    }
    return rows;
}

static json_t *labels(const struct report *r)
{
    json_t *array = json_array();

    for (size_t i = 0; i < r->m->n_labels; i++)
        array = append(array, json_string(r->s->labels[i]));
    return array;
}

static json_t *classes(const struct report *r)
{
    json_t *array = json_array();

    for (size_t i = 0; i < r->m->n_labels; i++) {
        const struct metrics_class *c = &r->m->classes[i];
        json_t *o = json_object();

        o = put(o, "label", json_string(r->s->labels[i]));
        o = put(o, "precision", real(c->precision));
        o = put(o, "recall", real(c->recall));
        o = put(o, "f1", real(c->f1));
        o = put(o, "support", whole(c->gold));
        o = put(o, "predicted", whole(c->pred));
        if (r->s->kind == SCORES_MULTI) {
            o = put(o, "mcc", real(c->mcc));
            o = put(o, "auc", real(c->auc));
            o = put(o, "log_loss", real(c->log_loss));
        }
        array = append(array, o);
    }
    return array;
}

static json_t *intervals(const struct metrics_interval *interval)
{
    json_t *o = json_object();

    for (int m = 0; m < METRIC_COUNT; m++)
        if (!isnan(interval[m].low))
            o = put(o, metric_name(m), pair(&interval[m]));
    return o;
}

static json_t *batches(const struct report *r, struct err *e)
{
    const size_t k = r->s->n_labels;
    uint64_t *room = mem_alloc(k, k * sizeof *room, "confusion matrix", e);
    json_t *array = room ? json_array() : NULL;

    for (size_t from = 0, to; array && from < r->s->n; from = to) {
        to = r->s->n - from > r->batch ? from + r->batch : r->s->n;
        array = append(array, real(metrics_mcc_rows(r->s, from, to, room)));
    }
    free(room);
    return array;
}

struct sink {
    struct buf *out;
    struct err *e;
};

static int take_text(const char *text, size_t n, void *data)
{
    const struct sink *to = data;

    return buf_add(to->out, text, n, to->e);
}

/*
 * The object as one line; takes it.  Our own callback, because jansson can miss a failure
 * to grow its own buffer in the middle of a text.
 */
static int dump(json_t *o, struct buf *out, struct err *e)
{
    struct sink to = {out, e};
    const int rc = o ? json_dump_callback(o, take_text, &to, JSON_PRESERVE_ORDER) : -1;

    json_decref(o);
    if (e->code)
        return -1;
    return rc ? err_oom(e, "JSON", 0) : buf_putc(out, '\n', e);
}

static bool is_utf8(const char *s)
{
    const size_t n = strlen(s);

    for (size_t at = 0, used; at < n; at += used) {
        const uint32_t c = utf8_next((const uint8_t *)s + at, n - at, &used);

        if ((used == 1 && c > 0x7f) || (used == 3 && c < 0x800) ||
            (used == 4 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return false;
    }
    return true;
}

/* JSON is UTF-8 and nothing else. */
static int check_labels(const struct scores *s, struct err *e)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (!is_utf8(s->labels[i]))
            return err_set(e, ERR_DATA,
                           "label %zu of the scores is not UTF-8: no JSON can "
                           "hold it",
                           i + 1);
    return 0;
}

int report_json(const struct report *r, struct buf *out, struct err *e)
{
    json_t *o;

    if (check_labels(r->s, e))
        return -1;
    o = put(json_object(), "n", whole(r->m->n));
    o = put(o, "skipped", whole(r->m->skipped));
    o = put(o, "kind", json_string(kind_names[r->s->kind]));
    o = add_metrics(r, o);
    o = put(o, "confusion", matrix(r));
    o = put(o, "labels", labels(r));
    o = put(o, "per_class", classes(r));
    if (r->batch)
        o = put(o, "mcc_batches", batches(r, e));
    if (r->times) {
        o = put(o, "resamples", whole(r->times));
        o = put(o, "intervals", intervals(r->interval));
    }
    return dump(o, out, e);
}

/* ---- two files ---- */

static json_t *count_values(const double *value)
{
    json_t *o = json_object();

    for (int m = 0; m < METRIC_COUNT; m++)
        if (metric_has(m, SCORES_SINGLE) && m < METRIC_AUC)
            o = put(o, metric_name(m), real(value[m]));
    return o;
}

int report_paired_json(const struct metrics_paired *p, size_t n, struct buf *out,
                       struct err *e)
{
    double difference[METRIC_COUNT];
    json_t *o = put(json_object(), "n", whole(n));

    for (int m = 0; m < METRIC_COUNT; m++)
        difference[m] = p->b[m] - p->a[m];
    o = put(o, "a", count_values(p->a));
    o = put(o, "b", count_values(p->b));
    o = put(o, "difference", count_values(difference));
    o = put(o, "intervals", intervals(p->interval));
    o = put(o, "both_right", whole(p->both));
    o = put(o, "only_a", whole(p->only_a));
    o = put(o, "only_b", whole(p->only_b));
    o = put(o, "both_wrong", whole(p->neither));
    o = put(o, "mcnemar_p", real(p->p_mcnemar));
    return dump(o, out, e);
}
