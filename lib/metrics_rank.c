/* SPDX-License-Identifier: MIT */
/* Metrics that need an order: AUC, and the correlations of regression. */
#include "mem.h"
#include "metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A double >= 0 has the order of its bits; -0 becomes 0. */
static uint64_t bits_of(double x)
{
    uint64_t bits;

    x += 0.0;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/*
 * Least-significant-digit radix sort of doubles >= 0, 8 bits a pass.  Passes in which all
 * have one digit are left out, which for probabilities are few, so that a million rows
 * take tens of milliseconds.
 */
static void sort_doubles(double *x, size_t n, double *room)
{
    double *from = x, *to = room;

    for (int shift = 0; shift < 64; shift += 8) {
        size_t start[257] = {0};
        double *t;

        for (size_t i = 0; i < n; i++)
            start[(bits_of(from[i]) >> shift & 255) + 1]++;
        if (n && start[(bits_of(from[0]) >> shift & 255) + 1] == n)
            continue;
        for (int d = 0; d < 256; d++)
            start[d + 1] += start[d];
        for (size_t i = 0; i < n; i++)
            to[start[bits_of(from[i]) >> shift & 255]++] = from[i];
        t = from;
        from = to;
        to = t;
    }
    if (from != x)
        memcpy(x, from, n * sizeof *x);
}

double metrics_auc(double *pos, size_t n_pos, double *neg, size_t n_neg, double *room)
{
    size_t below = 0,
           upto = 0; /* negatives less than, and not more than, this positive */
    double u = 0;

    if (n_pos == 0 || n_neg == 0)
        return NAN;
    sort_doubles(pos, n_pos, room);
    sort_doubles(neg, n_neg, room);
    for (size_t i = 0; i < n_pos; i++) {
        while (below < n_neg && neg[below] < pos[i])
            below++;
        while (upto < n_neg && neg[upto] <= pos[i])
            upto++;
        u += 0.5 * (double)(below + upto);
    }
    return u / (double)n_pos / (double)n_neg;
}

double metrics_pearson(const double *x, const double *y, size_t n)
{
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0, r;
    bool same_x = true, same_y = true;

    for (size_t i = 0; i < n; i++) {
        mean_x += x[i];
        mean_y += y[i];
        same_x = same_x && x[i] == x[0];
        same_y = same_y && y[i] == y[0];
    }
    if (n < 2 || same_x || same_y)
        return NAN;
    mean_x /= (double)n;
    mean_y /= (double)n;
    for (size_t i = 0; i < n; i++) {
        const double dx = x[i] - mean_x, dy = y[i] - mean_y;

        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    r = xy / (sqrt(xx) * sqrt(yy));
    return r > 1 ? 1 : r < -1 ? -1 : r;
}

struct ranked {
    double x;
    size_t i;
};

static int compare_ranked(const void *a, const void *b)
{
    const double x = ((const struct ranked *)a)->x, y = ((const struct ranked *)b)->x;

    return (x > y) - (x < y);
}

/* Ranks from 1; equal values get the mean of theirs. */
static int ranks(const double *x, size_t n, double *rank, struct err *e)
{
    struct ranked *sorted = mem_alloc(n, sizeof *sorted, "ranks", e);

    if (!sorted)
        return -1;
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct ranked){x[i], i};
    qsort(sorted, n, sizeof *sorted, compare_ranked);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && !(sorted[to].x > sorted[from].x); to++)
            ;
        for (size_t i = from; i < to; i++)
            rank[sorted[i].i] = 0.5 * (double)(from + to + 1);
    }
    free(sorted);
    return 0;
}

int metrics_spearman(const double *x, const double *y, size_t n, double *r, struct err *e)
{
    double *rank = mem_alloc(n, 2 * sizeof *rank, "ranks", e);
    int rc = -1;

    if (rank && !ranks(x, n, rank, e) && !ranks(y, n, rank + n, e)) {
        *r = metrics_pearson(rank, rank + n, n);
        rc = 0;
    }
    free(rank);
    return rc;
}
