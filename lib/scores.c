/* SPDX-License-Identifier: MIT */
#include "scores.h"
#include "io.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLUSH_AT = 65536 }; /* bytes; a pipe's usual size */

/* A TAB or a line end in a field would make another field or row of it. */
static bool breaks_row(const char *s, size_t n)
{
    return memchr(s, '\t', n) || memchr(s, '\n', n) || memchr(s, '\r', n);
}

void scores_softmax(const double *logits, size_t n, double *p)
{
    double top = -INFINITY, sum = 0;

    for (size_t i = 0; i < n; i++)
        if (logits[i] > top)
            top = logits[i];
    for (size_t i = 0; i < n; i++) {
        p[i] = exp(logits[i] - top);
        sum += p[i];
    }
    for (size_t i = 0; i < n; i++)
        p[i] /= sum;
}

double scores_sigmoid(double logit)
{
    /* exp of a positive number could overflow; of a negative one it only vanishes. */
    if (logit >= 0)
        return 1 / (1 + exp(-logit));
    return exp(logit) / (1 + exp(logit));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Two equal labels would make `pred` ambiguous. */
static int check_twins(const struct scores_format *f, struct err *e)
{
    const char **sorted = mem_alloc(f->n_labels, sizeof *sorted, "labels", e);
    int rc = 0;

    if (!sorted)
        return -1;
    for (size_t i = 0; i < f->n_labels; i++)
        sorted[i] = f->labels[i];
    qsort(sorted, f->n_labels, sizeof *sorted, compare_names);
    for (size_t i = 1; i < f->n_labels && !rc; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            rc = err_set(e, ERR_DATA, "the model has the label '%s' twice", sorted[i]);
    free(sorted);
    return rc;
}

static int check_labels(const struct scores_format *f, struct err *e)
{
    for (size_t i = 0; i < f->n_labels; i++) {
        const char *label = f->labels[i];

        if (!*label)
            return err_set(e, ERR_DATA, "label %zu of the model is empty", i);
        if (breaks_row(label, strlen(label)))
            return err_set(e, ERR_DATA, "the label '%s' holds a tab or a line end",
                           label);
        if (f->kind == SCORES_MULTI && strchr(label, ','))
            return err_set(e, ERR_DATA,
                           "the label '%s' holds a comma, which separates the "
                           "labels of a multi-label model",
                           label);
    }
    return check_twins(f, e);
}

/* The columns behind gold. */
static int add_columns(struct scores_writer *w, struct err *e)
{
    const char *mark = w->f.logits ? "z" : "p";

    if (w->f.kind == SCORES_VECTOR) {
        for (size_t i = 1; i <= w->f.n_labels; i++)
            if (buf_addf(&w->out, e, "\te:%zu", i))
                return -1;
        return 0;
    }
    if (buf_puts(&w->out, "\tpred", e))
        return -1;
    if (w->f.kind == SCORES_REGRESSION)
        return w->f.logits ? buf_puts(&w->out, "\tz:value", e) : 0;
    for (size_t i = 1; i <= w->f.top; i++)
        if (buf_addf(&w->out, e, "\ttop%zu\t%s%zu", i, mark, i))
            return -1;
    for (size_t i = 0; i < w->f.n_labels && !w->f.top; i++)
        if (buf_addf(&w->out, e, "\t%s:%s", mark, w->f.labels[i]))
            return -1;
    return 0;
}

static int add_header(struct scores_writer *w, struct err *e)
{
    return buf_puts(&w->out, "key\tgold", e) || add_columns(w, e) ||
                   buf_putc(&w->out, '\n', e)
               ? -1
               : 0;
}

static int start_top(struct scores_writer *w, struct err *e)
{
    if (w->f.kind == SCORES_REGRESSION)
        return err_set(e, ERR_USAGE,
                       "--top: the model is a regression, which has no labels");
    if (w->f.top > w->f.n_labels)
        w->f.top = w->f.n_labels;
    w->best = mem_alloc(w->f.n_labels, sizeof *w->best, "labels", e);
    return w->best ? 0 : -1;
}

int scores_begin(struct scores_writer *w, int fd, const char *name,
                 const struct scores_format *f, struct err *e)
{
    *w = (struct scores_writer){.f = *f, .fd = fd, .name = name};
    if (f->kind == SCORES_REGRESSION)
        w->f.n_labels = 0;
    else if (f->n_labels == 0)
        return err_set(e, ERR_INTERNAL, "a file of scores needs labels");
    else if (f->kind != SCORES_VECTOR && check_labels(f, e))
        return -1;
    w->p = mem_alloc(w->f.n_labels, sizeof *w->p, "probabilities", e);
    if (!w->p || (f->top && start_top(w, e)) || add_header(w, e)) {
        scores_abort(w);
        return -1;
    }
    return 0;
}

/* Nine significant digits, in the C locale because no tool calls setlocale. */
static int add_number(struct scores_writer *w, const char *before, double x,
                      struct err *e)
{
    char text[40];
    const int n = snprintf(text, sizeof text, "%s%.9g", before, x);

    return buf_add(&w->out, text, (size_t)n, e);
}

static int add_single(struct scores_writer *w, struct err *e)
{
    size_t best = 0;

    for (size_t i = 1; i < w->f.n_labels; i++)
        if (w->p[i] > w->p[best])
            best = i;
    scores_softmax(w->p, w->f.n_labels, w->p);
    return buf_puts(&w->out, w->f.labels[best], e);
}

static int add_multi(struct scores_writer *w, struct err *e)
{
    bool first = true;

    for (size_t i = 0; i < w->f.n_labels; i++) {
        w->p[i] = scores_sigmoid(w->p[i]);
        if (!(w->p[i] > (w->f.thresholds ? w->f.thresholds[i] : 0.5)))
            continue;
        if ((!first && buf_putc(&w->out, ',', e)) || buf_puts(&w->out, w->f.labels[i], e))
            return -1;
        first = false;
    }
    return 0;
}

/* The best labels, each with its value; of equal ones the first of the model's order. */
static int add_top(struct scores_writer *w, const float *logits, struct err *e)
{
    const size_t n = w->f.n_labels;

    for (size_t i = 0; i < n; i++)
        w->best[i] = i;
    for (size_t k = 0; k < w->f.top; k++) {
        size_t at = k, label;

        for (size_t i = k + 1; i < n; i++) {
            const float x = logits[w->best[i]], y = logits[w->best[at]];

            if (x > y || (x == y && w->best[i] < w->best[at]))
                at = i;
        }
        label = w->best[at];
        w->best[at] = w->best[k];
        w->best[k] = label;
        if (buf_putc(&w->out, '\t', e) || buf_puts(&w->out, w->f.labels[label], e) ||
            add_number(w, "\t", w->f.logits ? (double)logits[label] : w->p[label], e))
            return -1;
    }
    return 0;
}

static int add_vector(struct scores_writer *w, const float *x, struct err *e)
{
    for (size_t i = 0; i < w->f.n_labels; i++)
        if (add_number(w, "\t", x[i], e))
            return -1;
    return 0;
}

/* The prediction and the columns behind it. */
static int add_values(struct scores_writer *w, const float *logits, struct err *e)
{
    if (w->f.kind == SCORES_VECTOR)
        return add_vector(w, logits, e);
    if (buf_putc(&w->out, '\t', e))
        return -1;
    if (w->f.kind == SCORES_REGRESSION)
        return add_number(w, "", logits[0], e) ||
                       (w->f.logits && add_number(w, "\t", logits[0], e))
                   ? -1
                   : 0;
    for (size_t i = 0; i < w->f.n_labels; i++)
        w->p[i] = logits[i];
    if (w->f.kind == SCORES_SINGLE ? add_single(w, e) : add_multi(w, e))
        return -1;
    if (w->f.top)
        return add_top(w, logits, e);
    for (size_t i = 0; i < w->f.n_labels; i++)
        if (add_number(w, "\t", w->f.logits ? (double)logits[i] : w->p[i], e))
            return -1;
    return 0;
}

static int check_row(const struct scores_writer *w, const char *key, size_t key_len,
                     const char *gold, size_t gold_len, const float *logits,
                     struct err *e)
{
    const size_t n = w->f.kind == SCORES_REGRESSION ? 1 : w->f.n_labels;
    const int shown = key_len > 200 ? 200 : (int)key_len;

    if (key_len && breaks_row(key, key_len))
        return err_set(e, ERR_DATA, "the key '%.*s' holds a tab or a line end", shown,
                       key);
    if (gold_len && breaks_row(gold, gold_len))
        return err_set(e, ERR_DATA, "record '%.*s': its label holds a tab or a line end",
                       shown, key);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(logits[i]))
            return err_set(e, ERR_RUN,
                           "record '%.*s': the model's output is not a finite "
                           "number (was its training stable?)",
                           shown, key);
    return 0;
}

int scores_flush(struct scores_writer *w, struct err *e)
{
    if (w->held == 0)
        return 0;
    if (io_write_full(w->fd, w->out.data, w->held, w->name, e))
        return -1;
    memmove(w->out.data, w->out.data + w->held, w->out.len - w->held);
    w->out.len -= w->held;
    w->held = 0;
    return 0;
}

int scores_row(struct scores_writer *w, const char *key, size_t key_len, const char *gold,
               size_t gold_len, const float *logits, struct err *e)
{
    if (!gold)
        gold_len = 0;
    if (check_row(w, key, key_len, gold, gold_len, logits, e))
        return -1;
    if (w->out.len >= FLUSH_AT && scores_flush(w, e))
        return -1;
    w->held = w->out.len;
    if (buf_add(&w->out, key, key_len, e) || buf_putc(&w->out, '\t', e) ||
        buf_add(&w->out, gold, gold_len, e) ||
        add_values(w, logits, e) || buf_putc(&w->out, '\n', e))
        return -1;
    return 0;
}

int scores_end(struct scores_writer *w, struct err *e)
{
    const int rc = io_write_full(w->fd, w->out.data, w->out.len, w->name, e);

    scores_abort(w);
    return rc;
}

void scores_abort(struct scores_writer *w)
{
    buf_free(&w->out);
    free(w->p);
    free(w->best);
    w->p = NULL;
    w->best = NULL;
    w->held = 0;
}
