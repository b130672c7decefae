/* SPDX-License-Identifier: MIT */
/*
 * Definitions are those of scikit-learn 1.9.1 (sklearn/metrics/_classification.py,
 * _ranking.py, _regression.py), which tests/parity/metrics.py compares on random files.
 */
#include "metrics.h"
#include "mem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { S = 1 << SCORES_SINGLE, M = 1 << SCORES_MULTI, R = 1 << SCORES_REGRESSION };

static const struct {
    const char *name;
    int kinds; /* bits: 1 << enum scores_kind */
} metric_table[METRIC_COUNT] = {
    [METRIC_ACCURACY] = {"accuracy", S | M},
    [METRIC_MCC] = {"mcc", S},
    [METRIC_F1_MACRO] = {"f1_macro", S | M},
    [METRIC_F1_MICRO] = {"f1_micro", S | M},
    [METRIC_F1_WEIGHTED] = {"f1_weighted", S | M},
    [METRIC_F1_SAMPLES] = {"f1_samples", M},
    [METRIC_PRECISION_MACRO] = {"precision_macro", S | M},
    [METRIC_RECALL_MACRO] = {"recall_macro", S | M},
    [METRIC_HAMMING] = {"hamming_loss", M},
    [METRIC_KAPPA] = {"kappa", S},
    [METRIC_AUC] = {"auc", S | M},
    [METRIC_LOG_LOSS] = {"log_loss", S | M},
    [METRIC_ECE] = {"ece", S},
    [METRIC_BRIER] = {"brier", S | M},
    [METRIC_MSE] = {"mse", R},
    [METRIC_RMSE] = {"rmse", R},
    [METRIC_MAE] = {"mae", R},
    [METRIC_R2] = {"r2", R},
    [METRIC_PEARSON] = {"pearson", R},
    [METRIC_SPEARMAN] = {"spearman", R},
};

const char *metric_name(enum metric m)
{
    return metric_table[m].name;
}

enum metric metric_find(const char *name)
{
    int m = 0;

    while (m < METRIC_COUNT && strcmp(metric_table[m].name, name) != 0)
        m++;
    return m;
}

bool metric_has(enum metric m, enum scores_kind kind)
{
    return metric_table[m].kinds & 1 << kind;
}

/* ---- from counts ---- */

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0.0;
}

/* Precision, recall and F1 of every class from its counts. */
static void class_values(struct metrics_class *c)
{
    c->precision = share((double)c->tp, (double)c->pred);
    c->recall = share((double)c->tp, (double)c->gold);
    c->f1 = share(2.0 * (double)c->tp, (double)c->gold + (double)c->pred);
}

/*
 * The averages over classes; `all`: those never seen count too, as in a multi-label file.
 */
static void average(const struct metrics_class *classes, size_t k, bool all,
                    double *value)
{
    double precision = 0, recall = 0, f1 = 0, weighted = 0, seen = 0;
    double tp = 0, gold = 0, pred = 0;

    for (size_t i = 0; i < k; i++) {
        const struct metrics_class *c = &classes[i];

        if (!all && c->gold == 0 && c->pred == 0)
            continue;
        seen++;
        precision += c->precision;
        recall += c->recall;
        f1 += c->f1;
        weighted += c->f1 * (double)c->gold;
        tp += (double)c->tp;
        gold += (double)c->gold;
        pred += (double)c->pred;
    }
    value[METRIC_PRECISION_MACRO] = share(precision, seen);
    value[METRIC_RECALL_MACRO] = share(recall, seen);
    value[METRIC_F1_MACRO] = share(f1, seen);
    value[METRIC_F1_WEIGHTED] = share(weighted, gold);
    value[METRIC_F1_MICRO] = share(2 * tp, gold + pred);
}

/* R_K from the counts of the classes alone: no sum over cells is needed. */
static double mcc(double n, double right, double cross, double gold_sq, double pred_sq)
{
    const double spread = (n * n - pred_sq) * (n * n - gold_sq);

    return spread == 0 ? 0.0 : (right * n - cross) / sqrt(spread);
}

void metrics_from_classes(struct metrics_class *classes, size_t k, double *value)
{
    double n = 0, right = 0, cross = 0, gold_sq = 0, pred_sq = 0;

    for (size_t i = 0; i < k; i++) {
        const double gold = (double)classes[i].gold, pred = (double)classes[i].pred;

        class_values(&classes[i]);
        n += gold;
        right += (double)classes[i].tp;
        cross += gold * pred;
        gold_sq += gold * gold;
        pred_sq += pred * pred;
    }
    average(classes, k, false, value);
    value[METRIC_ACCURACY] = right / n;
    value[METRIC_MCC] = mcc(n, right, cross, gold_sq, pred_sq);
    /* Cohen, "A coefficient of agreement for nominal scales" (1960). */
    value[METRIC_KAPPA] = n * n == cross ? NAN : 1 - (n - right) * n / (n * n - cross);
}

double metrics_mcc(const uint64_t *confusion, size_t k)
{
    double n = 0, right = 0, cross = 0, gold_sq = 0, pred_sq = 0;

    for (size_t i = 0; i < k; i++) {
        double gold = 0, pred = 0;

        for (size_t j = 0; j < k; j++) {
            gold += (double)confusion[i * k + j];
            pred += (double)confusion[j * k + i];
        }
        n += gold;
        right += (double)confusion[i * k + i];
        cross += gold * pred;
        gold_sq += gold * gold;
        pred_sq += pred * pred;
    }
    return mcc(n, right, cross, gold_sq, pred_sq);
}

double metrics_mcc_rows(const struct scores *s, size_t from, size_t to, uint64_t *room)
{
    memset(room, 0, s->n_labels * s->n_labels * sizeof *room);
    for (size_t i = from; i < to; i++)
        room[(size_t)s->gold[i] * s->n_labels + (size_t)s->pred[i]]++;
    return metrics_mcc(room, s->n_labels);
}

/* ---- from probabilities ---- */

/* The clipping of scikit-learn's log_loss: float64's eps. */
static double clipped(double p)
{
    return p < DBL_EPSILON ? DBL_EPSILON : p > 1 - DBL_EPSILON ? 1 - DBL_EPSILON : p;
}

/* Sums of a million small terms keep their last digits (Kahan, CACM 8 (1965)). */
struct sum {
    double total, lost;
};

static void add(struct sum *s, double x)
{
    const double y = x - s->lost, t = s->total + y;

    s->lost = (t - s->total) - y;
    s->total = t;
}

/*
 * Bin i holds i/15 < p <= (i+1)/15; 0 is in the first, and so is what is no probability.
 */
static int bin_of(double p)
{
    int i;

    if (!(p > 0))
        return 0;
    i = p < 1 ? (int)(p * METRICS_BINS) : METRICS_BINS - 1;
    i = i < METRICS_BINS ? i : METRICS_BINS - 1;
    if (i > 0 && p <= (double)i / METRICS_BINS)
        i--;
    else if (i + 1 < METRICS_BINS && p > (double)(i + 1) / METRICS_BINS)
        i++;
    return i;
}

void metrics_calibration(const struct scores *s, struct metrics_bin bins[METRICS_BINS])
{
    struct sum confidence[METRICS_BINS] = {0};
    size_t right[METRICS_BINS] = {0};

    memset(bins, 0, METRICS_BINS * sizeof *bins);
    for (size_t i = 0; i < s->n; i++) {
        const double *row = s->p + i * s->n_labels;
        double top = row[0];
        int b;

        for (size_t k = 1; k < s->n_labels; k++)
            top = row[k] > top ? row[k] : top;
        b = bin_of(top);
        bins[b].n++;
        add(&confidence[b], top);
        right[b] += s->gold[i] == s->pred[i];
    }
    for (int b = 0; b < METRICS_BINS; b++) {
        bins[b].confidence = bins[b].n ? confidence[b].total / (double)bins[b].n : NAN;
        bins[b].accuracy = bins[b].n ? (double)right[b] / (double)bins[b].n : NAN;
    }
}

static double ece(const struct scores *s)
{
    struct metrics_bin bins[METRICS_BINS];
    double sum = 0;

    metrics_calibration(s, bins);
    for (int b = 0; b < METRICS_BINS; b++)
        if (bins[b].n)
            sum += (double)bins[b].n * fabs(bins[b].accuracy - bins[b].confidence);
    return sum / (double)s->n;
}

/* Is label k in row i's gold? */
static bool is_gold(const struct scores *s, size_t i, size_t k)
{
    return s->kind == SCORES_SINGLE ? (size_t)s->gold[i] == k
                                    : s->gold_set[i * s->n_labels + k];
}

/* The AUC of label k; room: 2 n doubles. */
static double label_auc(const struct scores *s, size_t k, double *room)
{
    size_t pos = 0, neg = s->n;

    for (size_t i = 0; i < s->n; i++) {
        const double p = s->p[i * s->n_labels + k];

        if (is_gold(s, i, k))
            room[pos++] = p;
        else
            room[--neg] = p;
    }
    return metrics_auc(room, pos, room + pos, s->n - pos, room + s->n);
}

static int probability_values(const struct scores *s, struct metrics *m, struct err *e)
{
    double *room = mem_alloc(s->n, 2 * sizeof *room, "ranks", e), aucs = 0;
    struct sum loss = {0}, brier = {0};

    if (!room)
        return -1;
    for (size_t k = 0; k < s->n_labels; k++) {
        struct sum label_loss = {0};
        double auc;

        for (size_t i = 0; i < s->n; i++) {
            const double p = s->p[i * s->n_labels + k];
            const bool gold = is_gold(s, i, k);

            add(&brier, (gold - p) * (gold - p));
            if (gold)
                add(&label_loss, -log(clipped(p)));
            else if (s->kind == SCORES_MULTI)
                add(&label_loss, -log(clipped(1 - p)));
        }
        add(&loss, label_loss.total / (double)s->n);
        if (s->kind == SCORES_MULTI)
            m->classes[k].log_loss = label_loss.total / (double)s->n;
        if (s->kind == SCORES_SINGLE && s->n_labels == 2 && k == 0)
            continue; /* the second label's stands for both */
        auc = label_auc(s, k, room);
        aucs += auc;
        if (s->kind == SCORES_MULTI)
            m->classes[k].auc = auc;
    }
    free(room);
    m->value[METRIC_BRIER] = brier.total / (double)s->n;
    m->value[METRIC_LOG_LOSS] = loss.total;
    m->value[METRIC_AUC] = aucs;
    if (s->kind == SCORES_MULTI) {
        m->value[METRIC_LOG_LOSS] /= (double)s->n_labels;
        m->value[METRIC_AUC] /= (double)s->n_labels;
        return 0;
    }
    if (s->n_labels > 2)
        m->value[METRIC_AUC] /= (double)s->n_labels;
    else if (s->n_labels < 2) /* with one label there is nothing to choose */
        m->value[METRIC_AUC] = m->value[METRIC_LOG_LOSS] = NAN;
    m->value[METRIC_ECE] = ece(s);
    return 0;
}

/* ---- the three kinds ---- */

static int compute_single(const struct scores *s, struct metrics *m, struct err *e)
{
    const size_t k = s->n_labels;

    m->confusion = mem_alloc(k, k * sizeof *m->confusion, "confusion matrix", e);
    if (!m->confusion)
        return -1;
    for (size_t i = 0; i < s->n; i++)
        m->confusion[(size_t)s->gold[i] * k + (size_t)s->pred[i]]++;
    for (size_t i = 0; i < k; i++) {
        struct metrics_class *c = &m->classes[i];

        c->mcc = c->auc = c->log_loss = NAN;
        c->tp = m->confusion[i * k + i];
        for (size_t j = 0; j < k; j++) {
            c->gold += m->confusion[i * k + j];
            c->pred += m->confusion[j * k + i];
        }
    }
    metrics_from_classes(m->classes, k, m->value);
    return probability_values(s, m, e);
}

static void multi_rows(const struct scores *s, struct metrics *m)
{
    size_t right = 0, wrong_cells = 0;
    struct sum f1 = {0};

    for (size_t i = 0; i < s->n; i++) {
        const uint8_t *gold = s->gold_set + i * s->n_labels;
        const uint8_t *pred = s->pred_set + i * s->n_labels;
        size_t tp = 0, either = 0, wrong = 0;

        for (size_t k = 0; k < s->n_labels; k++) {
            m->classes[k].gold += gold[k];
            m->classes[k].pred += pred[k];
            m->classes[k].tp += gold[k] & pred[k];
            tp += gold[k] & pred[k];
            either += (size_t)gold[k] + pred[k];
            wrong += gold[k] != pred[k];
        }
        right += wrong == 0;
        wrong_cells += wrong;
        add(&f1, share(2.0 * (double)tp, (double)either));
    }
    m->value[METRIC_ACCURACY] = (double)right / (double)s->n;
    m->value[METRIC_HAMMING] = (double)wrong_cells / ((double)s->n * (double)s->n_labels);
    m->value[METRIC_F1_SAMPLES] = f1.total / (double)s->n;
}

static int compute_multi(const struct scores *s, struct metrics *m, struct err *e)
{
    multi_rows(s, m);
    for (size_t k = 0; k < s->n_labels; k++) {
        struct metrics_class *c = &m->classes[k];
        const uint64_t fp = c->pred - c->tp, fn = c->gold - c->tp;
        const uint64_t cells[4] = {s->n - c->tp - fp - fn, fp, fn, c->tp};

        class_values(c);
        c->mcc = metrics_mcc(cells, 2);
    }
    average(m->classes, s->n_labels, true, m->value);
    return probability_values(s, m, e);
}

static int compute_regression(const struct scores *s, struct metrics *m, struct err *e)
{
    const double *gold = s->gold_value, *pred = s->pred_value, n = (double)s->n;
    struct sum squares = {0}, absolute = {0}, mean = {0}, spread = {0};

    for (size_t i = 0; i < s->n; i++)
        add(&mean, gold[i]);
    for (size_t i = 0; i < s->n; i++) {
        const double miss = gold[i] - pred[i], off = gold[i] - mean.total / n;

        add(&squares, miss * miss);
        add(&absolute, fabs(miss));
        add(&spread, off * off);
    }
    m->value[METRIC_MSE] = squares.total / n;
    m->value[METRIC_RMSE] = sqrt(squares.total / n);
    m->value[METRIC_MAE] = absolute.total / n;
    if (s->n < 2)
        return 0;
    /* Constant gold: scikit-learn's force_finite. */
    m->value[METRIC_R2] = spread.total > 0    ? 1 - squares.total / spread.total
                          : squares.total > 0 ? 0.0
                                              : 1.0;
    m->value[METRIC_PEARSON] = metrics_pearson(gold, pred, s->n);
    return metrics_spearman(gold, pred, s->n, &m->value[METRIC_SPEARMAN], e);
}

int metrics_compute(const struct scores *s, struct metrics *m, struct err *e)
{
    int rc;

    *m = (struct metrics){
        .kind = s->kind, .n = s->n, .skipped = s->skipped, .n_labels = s->n_labels};
    for (int i = 0; i < METRIC_COUNT; i++)
        m->value[i] = NAN;
    if (s->n == 0)
        return err_set(e, ERR_INTERNAL, "metrics of no rows");
    m->classes = mem_alloc(s->n_labels, sizeof *m->classes, "classes", e);
    if (!m->classes)
        return -1;
    rc = s->kind == SCORES_SINGLE  ? compute_single(s, m, e)
         : s->kind == SCORES_MULTI ? compute_multi(s, m, e)
                                   : compute_regression(s, m, e);
    if (rc)
        metrics_free(m);
    return rc;
}

void metrics_free(struct metrics *m)
{
    free(m->classes);
    free(m->confusion);
    *m = (struct metrics){0};
}
