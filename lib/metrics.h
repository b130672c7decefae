/* SPDX-License-Identifier: MIT */
/*
 * metrics: how good predictions are, equal to scikit-learn's numbers on the same rows
 * (L5).
 *
 * A value that is undefined is NaN, as scikit-learn 1.9 has it; MCC alone is 0 there.
 * "Seen" labels are those that occur in gold or pred; zero_division is 0 throughout.
 */
#ifndef BERTUTILS_METRICS_H
#define BERTUTILS_METRICS_H

#include "err.h"
#include "scores.h"

#include <stddef.h>
#include <stdint.h>

/* The order is that of the JSON object. */
enum metric {
    METRIC_ACCURACY, /* multi-label: the whole set right */
    METRIC_MCC,
    METRIC_F1_MACRO, /* mean over the labels seen; multi-label: over all */
    METRIC_F1_MICRO,
    METRIC_F1_WEIGHTED, /* by the number of gold rows */
    METRIC_F1_SAMPLES,  /* multi-label: mean over rows */
    METRIC_PRECISION_MACRO,
    METRIC_RECALL_MACRO,
    METRIC_HAMMING,  /* multi-label: share of wrong cells */
    METRIC_KAPPA,    /* Cohen's */
    METRIC_AUC,      /* two labels: the second's; more: one against the rest, macro */
    METRIC_LOG_LOSS, /* natural logarithm; multi-label: mean over rows and labels */
    METRIC_ECE,      /* 15 equal bins of the largest probability */
    METRIC_BRIER,    /* sum over labels, mean over rows */
    METRIC_MSE,      /* from here on: regression */
    METRIC_RMSE,
    METRIC_MAE,
    METRIC_R2,
    METRIC_PEARSON,
    METRIC_SPEARMAN, /* Pearson's of the ranks, equal values share the mean rank */
    METRIC_COUNT
};

const char *metric_name(enum metric m);
/* METRIC_COUNT where there is none of that name. */
enum metric metric_find(const char *name);
/* Does a file of that kind have it? */
bool metric_has(enum metric m, enum scores_kind kind);

struct metrics_class {
    uint64_t tp;         /* rows that have it in both */
    uint64_t gold, pred; /* rows that have it in gold, in pred */
    double precision, recall, f1;
    double mcc, auc, log_loss; /* multi-label only: the label as a question of its own */
};

struct metrics {
    enum scores_kind kind;
    size_t n, skipped, n_labels;
    double value[METRIC_COUNT];    /* NaN: undefined, or not of this kind */
    struct metrics_class *classes; /* [n_labels] */
    uint64_t *confusion;           /* SCORES_SINGLE: [n_labels gold][n_labels pred] */
};

/*
 * Everything above.  s->n must be at least 1; of *s only kind, n, n_labels, skipped and
 * the arrays of its kind are read, and NaN among the probabilities of a model that has
 * diverged makes the values that they touch NaN.  *m needs metrics_free after success.
 */
int metrics_compute(const struct scores *s, struct metrics *m, struct err *e) MUST_USE;
void metrics_free(struct metrics *m);

/*
 * Matthews' correlation of a confusion matrix [k gold][k pred]: for two classes Matthews'
 * own (1975), for more R_K of Gorodkin, "Comparing two K-category assignments by a
 * K-category correlation coefficient", Comput. Biol. Chem. 28 (2004).  0 where gold or
 * pred is constant.
 */
double metrics_mcc(const uint64_t *confusion, size_t k);

/*
 * What single-label counts alone give: from tp, gold and pred of k classes their
 * precision, recall and F1, and accuracy, MCC, kappa and the averages in
 * value[METRIC_COUNT].
 */
void metrics_from_classes(struct metrics_class *classes, size_t k, double *value);

/* MCC of rows from..to-1 of a single-label file; `room` has n_labels * n_labels cells. */
double metrics_mcc_rows(const struct scores *s, size_t from, size_t to, uint64_t *room);

/*
 * Area under the ROC curve of scores >= 0: the share of (positive, negative) pairs in the
 * right order, equal scores counting one half (Mann and Whitney's U).  NaN without one of
 * the two.  Sorts pos and neg; `room` is as long as the longer of them.
 */
double metrics_auc(double *pos, size_t n_pos, double *neg, size_t n_neg, double *room);

/*
 * Correlation of x and y [n]; NaN where one is constant.  Spearman's: *e only for memory.
 */
double metrics_pearson(const double *x, const double *y, size_t n);
int metrics_spearman(const double *x, const double *y, size_t n, double *r,
                     struct err *e) MUST_USE;

/*
 * Reliability: rows by their largest probability in equal bins; a probability on an edge
 * is in the lower bin (Guo et al., "On calibration of modern neural networks", ICML
 * 2017).
 */
enum { METRICS_BINS = 15 };
struct metrics_bin {
    size_t n;
    double confidence; /* mean of the largest probability */
    double accuracy;   /* share of right predictions */
};
void metrics_calibration(const struct scores *s, struct metrics_bin bins[METRICS_BINS]);

/* ---- bootstrap (metrics_boot.c) ---- */

/* A percentile interval of 95 % (Efron 1979). */
struct metrics_interval {
    double low, high;
};

/*
 * Resamples the rows `times` times and gives the interval of every metric that
 * metrics_boot_has names; the others are NaN.  A pure function of the file and of seed.
 * Resamples in which a metric is undefined are left out of its interval.
 *
 * A resample of a single-label file's counts is drawn as a multinomial over the cells of
 * its confusion matrix, which is the same distribution at a cost that does not grow with
 * n. `counts_only` stops there; the rest (probabilities, other kinds) copies rows: n *
 * times.
 */
int metrics_bootstrap(const struct scores *s, size_t times, uint64_t seed,
                      bool counts_only, struct metrics_interval interval[METRIC_COUNT],
                      struct err *e) MUST_USE;
bool metrics_boot_has(enum metric m, enum scores_kind kind);

/* Two classifiers on the same rows. */
struct metrics_paired {
    uint64_t both, only_a, only_b, neither; /* rows right */
    double p_mcnemar; /* exact two-sided binomial test of only_a against only_b */
    double a[METRIC_COUNT], b[METRIC_COUNT];        /* the count metrics; others NaN */
    struct metrics_interval interval[METRIC_COUNT]; /* of b - a */
};

/*
 * Compares the single-label files a and b, whose labels, keys and gold must be the same,
 * in the same order: ERR_DATA names what differs.  times 0: no intervals.
 */
int metrics_compare(const struct scores *a, const struct scores *b, size_t times,
                    uint64_t seed, struct metrics_paired *p, struct err *e) MUST_USE;

/*
 * McNemar's exact test (1947): min(1, 2 P(X <= min(b, c))) for X ~ Binomial(b + c, 1/2).
 */
double metrics_mcnemar(uint64_t b, uint64_t c);

/* A stream of random numbers (metrics_random.c) and a draw of Binomial(n, p) from it. */
struct metrics_random {
    uint32_t key[2], counter[4], word[4];
    int used;
};
void metrics_random_start(struct metrics_random *r, uint64_t seed, uint64_t stream);
double metrics_random_unit(struct metrics_random *r);                /* in (0, 1) */
uint64_t metrics_random_below(struct metrics_random *r, uint64_t n); /* in 0..n-1 */
uint64_t metrics_binomial(struct metrics_random *r, uint64_t n, double p);

#endif
