/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <jansson.h>
#include <math.h>
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

/* ---- one file ----------------------------------------------------------------------- */

/* Those of a single-label file are always there, null in files of another kind. */
static int add_metrics(const struct report *r, json_t *o)
{
    int bad = 0;

    for (int m = 0; m < METRIC_COUNT; m++)
        if (metric_has(m, r->s->kind) || metric_has(m, SCORES_SINGLE))
            bad |= json_object_set_new(o, metric_name(m), real(r->m->value[m]));
    return bad;
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
            json_array_append_new(row, whole(r->m->confusion[i * k + j]));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *labels(const struct report *r)
{
    json_t *array = json_array();

    for (size_t i = 0; i < r->m->n_labels; i++)
        json_array_append_new(array, json_string(r->s->labels[i]));
    return array;
}

static json_t *classes(const struct report *r)
{
    json_t *array = json_array();

    for (size_t i = 0; i < r->m->n_labels; i++) {
        const struct metrics_class *c = &r->m->classes[i];
        json_t *o = json_object();
        int bad = json_object_set_new(o, "label", json_string(r->s->labels[i])) |
                  json_object_set_new(o, "precision", real(c->precision)) |
                  json_object_set_new(o, "recall", real(c->recall)) |
                  json_object_set_new(o, "f1", real(c->f1)) |
                  json_object_set_new(o, "support", whole(c->gold)) |
                  json_object_set_new(o, "predicted", whole(c->pred));

        if (r->s->kind == SCORES_MULTI)
            bad |= json_object_set_new(o, "mcc", real(c->mcc)) |
                   json_object_set_new(o, "auc", real(c->auc)) |
                   json_object_set_new(o, "log_loss", real(c->log_loss));
        if (bad || json_array_append_new(array, o)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *intervals(const struct metrics_interval *interval)
{
    json_t *o = json_object();

    for (int m = 0; m < METRIC_COUNT; m++)
        if (!isnan(interval[m].low))
            json_object_set_new(o, metric_name(m), pair(&interval[m]));
    return o;
}

static json_t *batches(const struct report *r, struct err *e)
{
    const size_t k = r->s->n_labels;
    uint64_t *room = mem_alloc(k, k * sizeof *room, "confusion matrix", e);
    json_t *array = room ? json_array() : NULL;

    for (size_t from = 0, to; array && from < r->s->n; from = to) {
        to = r->s->n - from > r->batch ? from + r->batch : r->s->n;
        json_array_append_new(array, real(metrics_mcc_rows(r->s, from, to, room)));
    }
    free(room);
    return array;
}

/* The object as one line; takes it. */
static int dump(json_t *o, int bad, struct buf *out, struct err *e)
{
    char *text = bad ? NULL : json_dumps(o, JSON_PRESERVE_ORDER);
    int rc;

    json_decref(o);
    if (!text)
        return err_oom(e, "JSON", 0);
    rc = buf_puts(out, text, e) || buf_putc(out, '\n', e);
    free(text);
    return rc ? -1 : 0;
}

/* jansson takes UTF-8 alone, and JSON is nothing else. */
static int check_labels(const struct scores *s, struct err *e)
{
    for (size_t i = 0; i < s->n_labels; i++) {
        json_t *text = json_string(s->labels[i]);

        if (!text)
            return err_set(e, ERR_DATA, "label %zu of the scores is not UTF-8: no JSON can "
                           "hold it", i + 1);
        json_decref(text);
    }
    return 0;
}

int report_json(const struct report *r, struct buf *out, struct err *e)
{
    json_t *o;
    int bad;

    if (check_labels(r->s, e))
        return -1;
    o = json_object();
    bad = json_object_set_new(o, "n", whole(r->m->n)) |
          json_object_set_new(o, "skipped", whole(r->m->skipped)) |
          json_object_set_new(o, "kind", json_string(kind_names[r->s->kind])) |
          add_metrics(r, o) | json_object_set_new(o, "confusion", matrix(r)) |
          json_object_set_new(o, "labels", labels(r)) |
          json_object_set_new(o, "per_class", classes(r));
    if (r->batch)
        bad |= json_object_set_new(o, "mcc_batches", batches(r, e));
    if (r->times)
        bad |= json_object_set_new(o, "resamples", whole(r->times)) |
               json_object_set_new(o, "intervals", intervals(r->interval));
    return dump(o, bad, out, e);
}

/* ---- two files ---------------------------------------------------------------------- */

static json_t *count_values(const double *value)
{
    json_t *o = json_object();

    for (int m = 0; m < METRIC_COUNT; m++)
        if (metric_has(m, SCORES_SINGLE) && m < METRIC_AUC)
            json_object_set_new(o, metric_name(m), real(value[m]));
    return o;
}

int report_paired_json(const struct metrics_paired *p, size_t n, struct buf *out,
                       struct err *e)
{
    double difference[METRIC_COUNT];
    json_t *o = json_object();
    int bad;

    for (int m = 0; m < METRIC_COUNT; m++)
        difference[m] = p->b[m] - p->a[m];
    bad = json_object_set_new(o, "n", whole(n)) |
          json_object_set_new(o, "a", count_values(p->a)) |
          json_object_set_new(o, "b", count_values(p->b)) |
          json_object_set_new(o, "difference", count_values(difference)) |
          json_object_set_new(o, "intervals", intervals(p->interval)) |
          json_object_set_new(o, "both_right", whole(p->both)) |
          json_object_set_new(o, "only_a", whole(p->only_a)) |
          json_object_set_new(o, "only_b", whole(p->only_b)) |
          json_object_set_new(o, "both_wrong", whole(p->neither)) |
          json_object_set_new(o, "mcnemar_p", real(p->p_mcnemar));
    return dump(o, bad, out, e);
}
