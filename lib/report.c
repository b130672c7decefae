/* SPDX-License-Identifier: MIT */
/* Tables for people and TSV for plots; the JSON is in report_json.c. */
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MATRIX_LABELS = 12, /* a wider confusion matrix fits no terminal */
    LABEL_WIDTH = 24
};

int report_number(double x, struct buf *out, struct err *e)
{
    char text[40];

    if (isnan(x))
        return buf_puts(out, "nan", e);
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, x);
        if (strtod(text, NULL) == x)
            break;
    }
    return buf_puts(out, text, e);
}

/* Columns that a UTF-8 text takes, near enough: its code points. */
static int width_of(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/*
 * Adds n bytes of a label; control characters of a hostile file do not reach a terminal.
 */
static int add_clean(const char *s, size_t n, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (buf_putc(out, (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i], e))
            return -1;
    return 0;
}

/*
 * A label in `width` columns, cut with "..." where it is longer; left or right in them.
 */
static int add_label(const char *label, int width, bool right, struct buf *out,
                     struct err *e)
{
    const int n = width_of(label), pad = n < width ? width - n : 0;
    const char *p = label;

    if (right && buf_addf(out, e, "%*s", pad, ""))
        return -1;
    if (n <= width) {
        if (add_clean(label, strlen(label), out, e))
            return -1;
    } else {
        for (int left = width - 3; left > 0 || ((unsigned char)*p & 0xc0) == 0x80; p++)
            left -= ((unsigned char)*p & 0xc0) != 0x80;
        if (add_clean(label, (size_t)(p - label), out, e) || buf_puts(out, "...", e))
            return -1;
    }
    return right ? 0 : buf_addf(out, e, "%*s", pad, "");
}

/* The width of the column of labels. */
static int label_column(const struct scores *s, int least)
{
    int width = least;

    for (size_t i = 0; i < s->n_labels; i++) {
        const int n = width_of(s->labels[i]);

        width = n > width ? n : width;
    }
    return width < LABEL_WIDTH ? width : LABEL_WIDTH;
}

/* A number of a table; '-' where it is undefined. */
static int add_value(double x, struct buf *out, struct err *e)
{
    return isnan(x) ? buf_addf(out, e, "%9s", "-") : buf_addf(out, e, "%9.4f", x);
}

static int add_metric(const struct report *r, const char *name, enum metric m,
                      struct buf *out, struct err *e)
{
    const struct metrics_interval *i = &r->interval[m];

    if (!metric_has(m, r->s->kind))
        return 0;
    if (buf_addf(out, e, "%-17s", name) || add_value(r->m->value[m], out, e))
        return -1;
    if (r->times && !isnan(i->low) &&
        buf_addf(out, e, "   [%.4f, %.4f]", i->low, i->high))
        return -1;
    return buf_putc(out, '\n', e);
}

/* ---- parts of the table ---- */

static int add_rows_line(const struct report *r, struct buf *out, struct err *e)
{
    if (buf_addf(out, e, "%-17s%9zu", "rows", r->m->n))
        return -1;
    if (r->m->skipped &&
        buf_addf(out, e, "   and %zu without gold, skipped", r->m->skipped))
        return -1;
    return buf_putc(out, '\n', e);
}

/* What always saying the most frequent label would get right. */
static int add_majority(const struct report *r, struct buf *out, struct err *e)
{
    size_t best = 0;

    for (size_t i = 1; i < r->m->n_labels; i++)
        if (r->m->classes[i].gold > r->m->classes[best].gold)
            best = i;
    return buf_addf(out, e, "%-17s%9.4f   '", "majority class",
                    (double)r->m->classes[best].gold / (double)r->m->n) ||
                   add_clean(r->s->labels[best], strlen(r->s->labels[best]), out, e) ||
                   buf_puts(out, "'\n", e)
               ? -1
               : 0;
}

static int add_metrics(const struct report *r, struct buf *out, struct err *e)
{
    static const struct {
        const char *name;
        enum metric m;
    } lines[] = {
        {"accuracy", METRIC_ACCURACY},
        {"MCC", METRIC_MCC},
        {"F1 macro", METRIC_F1_MACRO},
        {"F1 micro", METRIC_F1_MICRO},
        {"F1 weighted", METRIC_F1_WEIGHTED},
        {"F1 samples", METRIC_F1_SAMPLES},
        {"precision macro", METRIC_PRECISION_MACRO},
        {"recall macro", METRIC_RECALL_MACRO},
        {"Hamming loss", METRIC_HAMMING},
        {"kappa", METRIC_KAPPA},
        {"AUC", METRIC_AUC},
        {"log loss", METRIC_LOG_LOSS},
        {"ECE", METRIC_ECE},
        {"Brier", METRIC_BRIER},
        {"MSE", METRIC_MSE},
        {"RMSE", METRIC_RMSE},
        {"MAE", METRIC_MAE},
        {"R squared", METRIC_R2},
        {"Pearson", METRIC_PEARSON},
        {"Spearman", METRIC_SPEARMAN},
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (add_metric(r, lines[i].name, lines[i].m, out, e))
            return -1;
    if (r->times)
        return buf_addf(out, e, "[95 %% intervals: bootstrap, %zu resamples]\n",
                        r->times);
    return 0;
}

static int add_matrix(const struct report *r, struct buf *out, struct err *e)
{
    const size_t k = r->m->n_labels;
    const int width = label_column(r->s, 5);

    if (k > MATRIX_LABELS)
        return buf_addf(out, e, "\nconfusion: %zu labels; --confusion prints it\n", k);
    if (buf_puts(out, "\nconfusion: rows gold, columns predicted, % of the row\n", e) ||
        buf_addf(out, e, "%*s", width, ""))
        return -1;
    for (size_t j = 0; j < k; j++)
        if (buf_puts(out, "  ", e) || add_label(r->s->labels[j], 16, true, out, e))
            return -1;
    if (buf_putc(out, '\n', e))
        return -1;
    for (size_t i = 0; i < k; i++) {
        const double gold = (double)r->m->classes[i].gold;

        if (add_label(r->s->labels[i], width, false, out, e))
            return -1;
        for (size_t j = 0; j < k; j++) {
            const uint64_t n = r->m->confusion[i * k + j];

            if (buf_addf(out, e, "  %8llu %5.1f %%", (unsigned long long)n,
                         gold > 0 ? 100 * (double)n / gold : 0.0))
                return -1;
        }
        if (buf_putc(out, '\n', e))
            return -1;
    }
    return 0;
}

static int add_classes(const struct report *r, struct buf *out, struct err *e)
{
    const bool multi = r->s->kind == SCORES_MULTI;
    const int width = label_column(r->s, 5);

    if (buf_addf(out, e, "\n%-*s  precision   recall       F1 %s     gold     pred\n",
                 width, "label", multi ? "     MCC      AUC" : ""))
        return -1;
    for (size_t i = 0; i < r->m->n_labels; i++) {
        const struct metrics_class *c = &r->m->classes[i];

        if (add_label(r->s->labels[i], width, false, out, e) || buf_puts(out, "  ", e) ||
            add_value(c->precision, out, e) || add_value(c->recall, out, e) ||
            add_value(c->f1, out, e))
            return -1;
        if (multi && (add_value(c->mcc, out, e) || add_value(c->auc, out, e)))
            return -1;
        if (buf_addf(out, e, " %8llu %8llu\n", (unsigned long long)c->gold,
                     (unsigned long long)c->pred))
            return -1;
    }
    return 0;
}

int report_table(const struct report *r, struct buf *out, struct err *e)
{
    if (add_rows_line(r, out, e))
        return -1;
    if (r->s->kind == SCORES_SINGLE && add_majority(r, out, e))
        return -1;
    if (add_metrics(r, out, e))
        return -1;
    if (r->s->kind == SCORES_SINGLE && add_matrix(r, out, e))
        return -1;
    return r->s->kind == SCORES_REGRESSION ? 0 : add_classes(r, out, e);
}

/* ---- TSV ---- */

int report_batches(const struct report *r, struct buf *out, struct err *e)
{
    const size_t k = r->s->n_labels;
    uint64_t *room = mem_alloc(k, k * sizeof *room, "confusion matrix", e);
    int rc = room ? buf_puts(out, "batch\trows\tmcc\n", e) : -1;

    for (size_t from = 0, to, i = 1; !rc && from < r->s->n; from = to, i++) {
        to = r->s->n - from > r->batch ? from + r->batch : r->s->n;
        rc = buf_addf(out, e, "%zu\t%zu\t%.3f\n", i, to - from,
                      metrics_mcc_rows(r->s, from, to, room));
    }
    free(room);
    return rc ? -1 : buf_addf(out, e, "Total MCC: %.3f\n", r->m->value[METRIC_MCC]);
}

/* A TAB and a number. */
static int add_field(double x, struct buf *out, struct err *e)
{
    return buf_putc(out, '\t', e) || report_number(x, out, e) ? -1 : 0;
}

int report_per_class(const struct report *r, struct buf *out, struct err *e)
{
    const bool multi = r->s->kind == SCORES_MULTI;

    if (buf_addf(out, e, "label\tprecision\trecall\tf1\tsupport\tpredicted%s\n",
                 multi ? "\tmcc\tauc\tlog_loss" : ""))
        return -1;
    for (size_t i = 0; i < r->m->n_labels; i++) {
        const struct metrics_class *c = &r->m->classes[i];

        if (buf_puts(out, r->s->labels[i], e) || add_field(c->precision, out, e) ||
            add_field(c->recall, out, e) || add_field(c->f1, out, e) ||
            buf_addf(out, e, "\t%llu\t%llu", (unsigned long long)c->gold,
                     (unsigned long long)c->pred))
            return -1;
        if (multi && (add_field(c->mcc, out, e) || add_field(c->auc, out, e) ||
                      add_field(c->log_loss, out, e)))
            return -1;
        if (buf_putc(out, '\n', e))
            return -1;
    }
    return 0;
}

int report_calibration(const struct report *r, struct buf *out, struct err *e)
{
    struct metrics_bin bins[METRICS_BINS];

    metrics_calibration(r->s, bins);
    if (buf_puts(out, "low\thigh\trows\tconfidence\taccuracy\n", e))
        return -1;
    for (int b = 0; b < METRICS_BINS; b++)
        if (buf_addf(out, e, "%.4f\t%.4f\t%zu", (double)b / METRICS_BINS,
                     (double)(b + 1) / METRICS_BINS, bins[b].n) ||
            add_field(bins[b].confidence, out, e) ||
            add_field(bins[b].accuracy, out, e) || buf_putc(out, '\n', e))
            return -1;
    return 0;
}

int report_confusion(const struct report *r, struct buf *out, struct err *e)
{
    const size_t k = r->m->n_labels;

    if (buf_puts(out, "gold", e))
        return -1;
    for (size_t j = 0; j < k; j++)
        if (buf_addf(out, e, "\t%s", r->s->labels[j]))
            return -1;
    for (size_t i = 0; i < k; i++) {
        if (buf_addf(out, e, "\n%s", r->s->labels[i]))
            return -1;
        for (size_t j = 0; j < k; j++)
            if (buf_addf(out, e, "\t%llu",
                         (unsigned long long)r->m->confusion[i * k + j]))
                return -1;
    }
    return buf_putc(out, '\n', e);
}

/* ---- two files ---- */

int report_paired(const struct metrics_paired *p, size_t n, const char *a, const char *b,
                  struct buf *out, struct err *e)
{
    static const enum metric shown[] = {METRIC_ACCURACY, METRIC_MCC, METRIC_F1_MACRO,
                                        METRIC_F1_WEIGHTED, METRIC_KAPPA};

    if (buf_addf(out, e, "A: %s\nB: %s\n\n%-17s%9s%9s%9s\n", a, b, "", "A", "B", "B - A"))
        return -1;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const enum metric m = shown[i];

        if (buf_addf(out, e, "%-17s", metric_name(m)) || add_value(p->a[m], out, e) ||
            add_value(p->b[m], out, e) || add_value(p->b[m] - p->a[m], out, e))
            return -1;
        if (!isnan(p->interval[m].low) &&
            buf_addf(out, e, "   [%.4f, %.4f]", p->interval[m].low, p->interval[m].high))
            return -1;
        if (buf_putc(out, '\n', e))
            return -1;
    }
    return buf_addf(out, e,
                    "\nof %zu rows: both right %llu, only A %llu, only B %llu, "
                    "neither %llu\nMcNemar's exact test: p = %.4g\n",
                    n, (unsigned long long)p->both, (unsigned long long)p->only_a,
                    (unsigned long long)p->only_b, (unsigned long long)p->neither,
                    p->p_mcnemar);
}
