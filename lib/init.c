/* SPDX-License-Identifier: MIT */
/*
 * init: random weights, the same on every machine (L4).
 *
 * libm's log differs in its last bit from one machine to the next and a fused multiply-add
 * from one compiler to the next; so the quantile is made of +, -, *, / and sqrt alone, which
 * IEEE 754 fixes, and contraction is off in this file (gcc: by -std=c11).
 */
#include "init.h"

#include "philox.h"

#include <math.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

/* ln x for x in (0, 1]: 2 atanh((m - 1) / (m + 1)) of the mantissa, by its series. */
static double exact_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent); /* in [1/2, 1) */
    double s, s2, sum = 0;

    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    s = (m - 1) / (m + 1); /* |s| < 0.172: 12 terms reach 1e-19 */
    s2 = s * s;
    for (int k = 23; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return 2 * s * sum + exponent * 0.69314718055994531;
}

/* Far from the middle: r = sqrt(-ln(the nearer tail)). */
static double tail_quantile(double r)
{
    if (r <= 5) {
        r -= 1.6;
        return (((1.7023821103e-1 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
               ((1.2021132975e-1 * r + 7.3700164250e-1) * r + 1.0);
    }
    r -= 5;
    return (((1.7337203997e-2 * r + 4.2868294337e-1) * r + 3.0812263860) * r + 6.6579051150) /
           ((1.2258202635e-2 * r + 2.4197894225e-1) * r + 1.0);
}

double init_quantile(double p)
{
    const double q = p - 0.5;

    if (q >= -0.425 && q <= 0.425) {
        const double r = 0.180625 - q * q;

        return q *
               (((5.9109374720e1 * r + 1.5929113202e2) * r + 5.0434271938e1) * r +
                3.3871327179) /
               (((6.7187563600e1 * r + 7.8757757664e1) * r + 1.7895169469e1) * r + 1.0);
    }
    return q < 0 ? -tail_quantile(sqrt(-exact_log(p)))
                 : tail_quantile(sqrt(-exact_log(1.0 - p)));
}

void init_normal(float *to, int64_t n, uint64_t seed, uint32_t number, double sd)
{
    uint32_t key[2], word[4];

    philox_key(key, seed, number, PHILOX_SITE_INIT);
    for (int64_t i = 0; i < n; i += 4) {
        const uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), 0, 0};

        philox4x32(word, counter, key);
        for (int64_t j = i; j < n && j < i + 4; j++)
            to[j] = (float)(sd * init_quantile((word[j - i] + 0.5) * 0x1p-32));
    }
}
