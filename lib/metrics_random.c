/* SPDX-License-Identifier: MIT */
#include "metrics.h"
#include "philox.h"

#include <math.h>

void metrics_random_start(struct metrics_random *r, uint64_t seed, uint64_t stream)
{
    *r = (struct metrics_random){.used = 4};
    philox_key(r->key, seed, 0, PHILOX_SITE_BOOTSTRAP);
    r->counter[2] = (uint32_t)stream;
    r->counter[3] = (uint32_t)(stream >> 32);
}

/* Two words: 64 random bits. */
static void two_words(struct metrics_random *r, uint32_t *hi, uint32_t *lo)
{
    if (r->used == 4) {
        philox4x32(r->word, r->counter, r->key);
        if (++r->counter[0] == 0)
            r->counter[1]++;
        r->used = 0;
    }
    *hi = r->word[r->used];
    *lo = r->word[r->used + 1];
    r->used += 2;
}

double metrics_random_unit(struct metrics_random *r)
{
    uint32_t hi, lo;

    two_words(r, &hi, &lo);
    return ((double)((uint64_t)hi << 20 | lo >> 12) + 0.5) * 0x1p-52;
}

uint64_t metrics_random_below(struct metrics_random *r, uint64_t n)
{
    uint32_t hi, lo;

    two_words(r, &hi, &lo);
    return philox_below(hi, lo, n);
}

/* Small n p: from 0 upwards along the distribution. */
static uint64_t binomial_walk(struct metrics_random *r, uint64_t n, double p)
{
    const double odds = p / (1 - p), a = ((double)n + 1) * odds;
    double f = exp((double)n * log1p(-p)), u = metrics_random_unit(r);
    uint64_t k = 0;

    while (u > f && k < n) {
        u -= f;
        k++;
        f *= a / (double)k - odds;
    }
    return k;
}

static double log_factorial(double k)
{
    int sign; /* lgamma itself would write a global */

    return lgamma_r(k + 1, &sign);
}

/*
 * Rejection with a transformed hat, at a cost that does not grow with n: algorithm BTRS
 * of Hoermann, "The generation of binomial random variates", J. Stat. Comput. Simul. 46
 * (1993). Needs p <= 1/2 and n p >= 10.
 */
static uint64_t binomial_reject(struct metrics_random *r, uint64_t n, double p)
{
    const double count = (double)n, odds = log(p / (1 - p));
    const double sd = sqrt(count * p * (1 - p)), b = 1.15 + 2.53 * sd;
    const double a = -0.0873 + 0.0248 * b + 0.01 * p, c = count * p + 0.5;
    const double vr = 0.92 - 4.2 / b, alpha = (2.83 + 5.1 / b) * sd;
    const double mode = floor((count + 1) * p);
    const double top = log_factorial(mode) + log_factorial(count - mode);

    for (;;) {
        const double u = metrics_random_unit(r) - 0.5, us = 0.5 - fabs(u);
        const double k = floor((2 * a / us + b) * u + c);
        double v = metrics_random_unit(r);

        if (k < 0 || k > count)
            continue;
        if (us >= 0.07 && v <= vr)
            return (uint64_t)k;
        v = log(v * alpha / (a / (us * us) + b));
        if (v <= top - log_factorial(k) - log_factorial(count - k) + (k - mode) * odds)
            return (uint64_t)k;
    }
}

uint64_t metrics_binomial(struct metrics_random *r, uint64_t n, double p)
{
    if (n == 0 || p <= 0)
        return 0;
    if (p >= 1)
        return n;
    if (p > 0.5)
        return n - metrics_binomial(r, n, 1 - p);
    return (double)n * p < 10 ? binomial_walk(r, n, p) : binomial_reject(r, n, p);
}
