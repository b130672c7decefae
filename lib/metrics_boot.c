/* SPDX-License-Identifier: MIT */
/* Bootstrap intervals and paired tests. */
#include "mem.h"
#include "metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the distinct rows of one or two single-label files ---- */

struct cell {
    int32_t gold, a, b;
    uint64_t count;
};

struct cells {
    struct cell *at;
    size_t n, cap;
    size_t *table; /* number + 1 of a cell by hash; 0: free */
    size_t size;   /* a power of two */
};

static size_t *cell_slot(const struct cells *c, const struct cell *x)
{
    uint64_t h = (uint64_t)(uint32_t)x->gold * 0x9E3779B97F4A7C15u;
    size_t i;

    h = (h ^ (uint32_t)x->a) * 0x9E3779B97F4A7C15u;
    h = (h ^ (uint32_t)x->b) * 0x9E3779B97F4A7C15u;
    for (i = (size_t)(h >> 32) & (c->size - 1); c->table[i];
         i = (i + 1) & (c->size - 1)) {
        const struct cell *y = &c->at[c->table[i] - 1];

        if (y->gold == x->gold && y->a == x->a && y->b == x->b)
            break;
    }
    return &c->table[i];
}

static int cells_widen(struct cells *c, struct err *e)
{
    free(c->table);
    c->size = c->size ? 2 * c->size : 256;
    c->table = mem_alloc(c->size, sizeof *c->table, "cells", e);
    if (!c->table)
        return -1;
    for (size_t i = 0; i < c->n; i++)
        *cell_slot(c, &c->at[i]) = i + 1;
    return 0;
}

static int compare_cells(const void *p, const void *q)
{
    const struct cell *x = p, *y = q;

    if (x->gold != y->gold)
        return x->gold < y->gold ? -1 : 1;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

static void cells_free(struct cells *c)
{
    free(c->at);
    free(c->table);
}

/* In an order of their own, so that results do not depend on the order of the rows. */
static int cells_collect(struct cells *c, const struct scores *a, const struct scores *b,
                         struct err *e)
{
    *c = (struct cells){0};
    if (cells_widen(c, e))
        return -1;
    for (size_t i = 0; i < a->n; i++) {
        const struct cell x = {a->gold[i], a->pred[i], b->pred[i], 1};
        size_t *at = cell_slot(c, &x);

        if (*at) {
            c->at[*at - 1].count++;
            continue;
        }
        if (mem_grow(&c->at, &c->cap, c->n + 1, sizeof *c->at, e)) {
            cells_free(c);
            return -1;
        }
        c->at[c->n++] = x;
        *at = c->n;
        if (2 * c->n >= c->size && cells_widen(c, e)) {
            cells_free(c);
            return -1;
        }
    }
    qsort(c->at, c->n, sizeof *c->at, compare_cells);
    return 0;
}

static void count_cell(struct metrics_class *classes, int32_t gold, int32_t pred,
                       uint64_t n)
{
    classes[gold].gold += n;
    classes[pred].pred += n;
    if (gold == pred)
        classes[gold].tp += n;
}

/*
 * One resample of n rows: a multinomial as binomials, each of what the ones before left.
 */
static void resample_cells(const struct cells *c, uint64_t n, struct metrics_random *r,
                           struct metrics_class *a, struct metrics_class *b)
{
    uint64_t rows = n, weight = n;

    for (size_t i = 0; i < c->n && rows > 0; i++) {
        const struct cell *x = &c->at[i];
        const uint64_t k =
            x->count >= weight
                ? rows
                : metrics_binomial(r, rows, (double)x->count / (double)weight);

        count_cell(a, x->gold, x->a, k);
        if (b)
            count_cell(b, x->gold, x->b, k);
        rows -= k;
        weight -= x->count;
    }
}

/* ---- intervals ---- */

static const enum metric count_metrics[] = {METRIC_ACCURACY,     METRIC_MCC,
                                            METRIC_F1_MACRO,     METRIC_F1_MICRO,
                                            METRIC_F1_WEIGHTED,  METRIC_PRECISION_MACRO,
                                            METRIC_RECALL_MACRO, METRIC_KAPPA};
enum { N_COUNT_METRICS = sizeof count_metrics / sizeof *count_metrics };

static bool is_count_metric(enum metric m)
{
    for (int i = 0; i < N_COUNT_METRICS; i++)
        if (count_metrics[i] == m)
            return true;
    return false;
}

bool metrics_boot_has(enum metric m, enum scores_kind kind)
{
    /*
     * The calibration error of a resample is biased upwards: its percentiles would
     * mislead.
     */
    return metric_has(m, kind) && m != METRIC_ECE;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Linear between order statistics. */
static double quantile(const double *sorted, size_t n, double q)
{
    const double at = q * (double)(n - 1);
    const size_t i = (size_t)at;

    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i])
                     : sorted[i];
}

/* values: [times], used up. */
static struct metrics_interval interval_of(double *values, size_t times)
{
    size_t n = 0;

    for (size_t i = 0; i < times; i++)
        if (!isnan(values[i]))
            values[n++] = values[i];
    if (n == 0)
        return (struct metrics_interval){NAN, NAN};
    qsort(values, n, sizeof *values, compare_doubles);
    return (struct metrics_interval){quantile(values, n, 0.025),
                                     quantile(values, n, 0.975)};
}

static void clear_classes(struct metrics_class *c, size_t k)
{
    for (size_t i = 0; i < k; i++)
        c[i].tp = c[i].gold = c[i].pred = 0;
}

/* The count metrics of one file (b NULL), or the differences b - a of two. */
static int boot_counts(const struct scores *a, const struct scores *b, size_t times,
                       uint64_t seed, struct metrics_interval *interval, struct err *e)
{
    const size_t k = a->n_labels;
    struct metrics_class *classes = mem_alloc(k, 2 * sizeof *classes, "classes", e);
    double *values = mem_alloc(times, N_COUNT_METRICS * sizeof *values, "resamples", e);
    struct cells cells = {0};
    int rc = -1;

    if (!classes || !values || cells_collect(&cells, a, b ? b : a, e))
        goto out;
    for (size_t t = 0; t < times; t++) {
        double of_a[METRIC_COUNT], of_b[METRIC_COUNT] = {0};
        struct metrics_random r;

        clear_classes(classes, 2 * k);
        metrics_random_start(&r, seed, t);
        resample_cells(&cells, a->n, &r, classes, b ? classes + k : NULL);
        metrics_from_classes(classes, k, of_a);
        if (b)
            metrics_from_classes(classes + k, k, of_b);
        for (int i = 0; i < N_COUNT_METRICS; i++)
            values[(size_t)i * times + t] =
                b ? of_b[count_metrics[i]] - of_a[count_metrics[i]]
                  : of_a[count_metrics[i]];
    }
    for (int i = 0; i < N_COUNT_METRICS; i++)
        interval[count_metrics[i]] = interval_of(values + (size_t)i * times, times);
    cells_free(&cells);
    rc = 0;
out:
    free(classes);
    free(values);
    return rc;
}

/* Room for a resample of rows of the same shape as *s; scores_free releases it. */
static int like(const struct scores *s, struct scores *copy, struct err *e)
{
    const size_t n = s->n, k = s->n_labels;

    /* The labels' names are not copied: the metrics do not look at them. */
    *copy = (struct scores){.kind = s->kind, .n = n};
    if ((s->p && !(copy->p = mem_alloc(n, k * sizeof *copy->p, "resample", e))) ||
        (s->gold && (!(copy->gold = mem_alloc(n, sizeof *copy->gold, "resample", e)) ||
                     !(copy->pred = mem_alloc(n, sizeof *copy->pred, "resample", e)))) ||
        (s->gold_set && (!(copy->gold_set = mem_alloc(n, k, "resample", e)) ||
                         !(copy->pred_set = mem_alloc(n, k, "resample", e)))) ||
        (s->gold_value &&
         (!(copy->gold_value = mem_alloc(n, sizeof(double), "resample", e)) ||
          !(copy->pred_value = mem_alloc(n, sizeof(double), "resample", e))))) {
        scores_free(copy);
        return -1;
    }
    return 0;
}

static void copy_row(const struct scores *s, size_t from, struct scores *to, size_t i)
{
    const size_t k = s->n_labels;

    if (s->p)
        memcpy(to->p + i * k, s->p + from * k, k * sizeof *s->p);
    if (s->gold) {
        to->gold[i] = s->gold[from];
        to->pred[i] = s->pred[from];
    }
    if (s->gold_set) {
        memcpy(to->gold_set + i * k, s->gold_set + from * k, k);
        memcpy(to->pred_set + i * k, s->pred_set + from * k, k);
    }
    if (s->gold_value) {
        to->gold_value[i] = s->gold_value[from];
        to->pred_value[i] = s->pred_value[from];
    }
}

/* One resample: rows drawn with replacement, and all their metrics. */
static int resample_rows(const struct scores *s, struct scores *copy,
                         struct metrics_random *r, double *value, struct err *e)
{
    struct metrics m;
    int rc;

    for (size_t i = 0; i < s->n; i++)
        copy_row(s, (size_t)metrics_random_below(r, s->n), copy, i);
    copy->n_labels = s->n_labels;
    rc = metrics_compute(copy, &m, e);
    copy->n_labels = 0; /* there are no names for scores_free to release */
    if (rc)
        return -1;
    memcpy(value, m.value, sizeof m.value);
    metrics_free(&m);
    return 0;
}

static int boot_rows(const struct scores *s, size_t times, uint64_t seed,
                     struct metrics_interval *interval, struct err *e)
{
    double *values = mem_alloc(times, METRIC_COUNT * sizeof *values, "resamples", e);
    struct scores copy;
    int rc = -1;

    if (!values || like(s, &copy, e)) {
        free(values);
        return -1;
    }
    for (size_t t = 0; t < times; t++) {
        struct metrics_random r;
        double value[METRIC_COUNT];

        metrics_random_start(&r, seed, (uint64_t)1 << 32 | t);
        if (resample_rows(s, &copy, &r, value, e))
            goto out;
        for (int m = 0; m < METRIC_COUNT; m++)
            values[(size_t)m * times + t] = value[m];
    }
    for (int m = 0; m < METRIC_COUNT; m++)
        if (metrics_boot_has(m, s->kind) &&
            !(s->kind == SCORES_SINGLE && is_count_metric(m)))
            interval[m] = interval_of(values + (size_t)m * times, times);
    rc = 0;
out:
    scores_free(&copy);
    free(values);
    return rc;
}

int metrics_bootstrap(const struct scores *s, size_t times, uint64_t seed,
                      bool counts_only, struct metrics_interval interval[METRIC_COUNT],
                      struct err *e)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        interval[m] = (struct metrics_interval){NAN, NAN};
    if (times == 0)
        return 0;
    if (s->kind == SCORES_SINGLE && boot_counts(s, NULL, times, seed, interval, e))
        return -1;
    return counts_only ? 0 : boot_rows(s, times, seed, interval, e);
}

/* ---- two files ---- */

static double log_factorial(double k)
{
    int sign; /* lgamma itself would write a global */

    return lgamma_r(k + 1, &sign);
}

double metrics_mcnemar(uint64_t b, uint64_t c)
{
    const double n = (double)b + (double)c, k = (double)(b < c ? b : c);
    double term, sum = 0;

    if (b == c)
        return 1.0;
    term = exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) - n * log(2));
    for (double i = k; i >= 0 && term > sum * 1e-18; i--) {
        sum += term;
        term *= i / (n - i + 1);
    }
    return 2 * sum < 1 ? 2 * sum : 1.0;
}

static int check_same(const struct scores *a, const struct scores *b, struct err *e)
{
    if (a->kind != SCORES_SINGLE || b->kind != SCORES_SINGLE)
        return err_set(e, ERR_DATA, "only single-label scores can be compared");
    if (a->n_labels != b->n_labels)
        return err_set(e, ERR_DATA, "the two files have %zu and %zu labels", a->n_labels,
                       b->n_labels);
    for (size_t i = 0; i < a->n_labels; i++)
        if (strcmp(a->labels[i], b->labels[i]) != 0)
            return err_set(e, ERR_DATA,
                           "label %zu is '%s' in one file, '%s' in the other", i + 1,
                           a->labels[i], b->labels[i]);
    if (a->n != b->n)
        return err_set(e, ERR_DATA, "the two files have %zu and %zu rows with gold", a->n,
                       b->n);
    for (size_t i = 0, from = 0; i < a->n; from = a->key_end[i++]) {
        const size_t len = a->key_end[i] - from;

        if (a->key_end[i] != b->key_end[i] ||
            memcmp(a->keys + from, b->keys + from, len) != 0)
            return err_set(e, ERR_DATA,
                           "row %zu with gold has the key '%.*s' in one file, "
                           "another in the other",
                           i + 1, len > 100 ? 100 : (int)len, a->keys + from);
        if (a->gold[i] != b->gold[i])
            return err_set(e, ERR_DATA,
                           "key '%.*s' has the gold '%s' in one file, '%s' in the "
                           "other",
                           len > 100 ? 100 : (int)len, a->keys + from,
                           a->labels[a->gold[i]], b->labels[b->gold[i]]);
    }
    return 0;
}

static int count_values(const struct scores *s, double *value, struct err *e)
{
    struct metrics_class *classes = mem_alloc(s->n_labels, sizeof *classes, "classes", e);

    if (!classes)
        return -1;
    for (size_t i = 0; i < s->n; i++)
        count_cell(classes, s->gold[i], s->pred[i], 1);
    metrics_from_classes(classes, s->n_labels, value);
    free(classes);
    return 0;
}

int metrics_compare(const struct scores *a, const struct scores *b, size_t times,
                    uint64_t seed, struct metrics_paired *p, struct err *e)
{
    *p = (struct metrics_paired){0};
    for (int m = 0; m < METRIC_COUNT; m++) {
        p->a[m] = p->b[m] = NAN;
        p->interval[m] = (struct metrics_interval){NAN, NAN};
    }
    if (check_same(a, b, e) || count_values(a, p->a, e) || count_values(b, p->b, e))
        return -1;
    for (size_t i = 0; i < a->n; i++) {
        const bool right_a = a->pred[i] == a->gold[i], right_b = b->pred[i] == b->gold[i];

        p->both += right_a && right_b;
        p->only_a += right_a && !right_b;
        p->only_b += !right_a && right_b;
        p->neither += !right_a && !right_b;
    }
    p->p_mcnemar = metrics_mcnemar(p->only_a, p->only_b);
    return times ? boot_counts(a, b, times, seed, p->interval, e) : 0;
}
