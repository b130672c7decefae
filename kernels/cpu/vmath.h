/* SPDX-License-Identifier: MIT */
/*
 * vmath: exp, erf and tanh that compilers can vectorise (private to kernels/cpu).
 *
 * No branches, no tables and no calls, so that a loop over them becomes SIMD code.
 */
#ifndef BERTUTILS_VMATH_H
#define BERTUTILS_VMATH_H

#include "cpu.h"

#include <string.h>

/*
 * exp(x), relative error under 2e-7; below -87.3 the smallest normal number.  x = n ln 2 + r,
 * and e^r by the Taylor polynomial of degree 7, |r| <= 0.347 (the next term is under 6e-9).
 */
INLINE float v_exp(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float t, n, r, p, scale;
    uint32_t bits;

    x = x < -87.3f ? -87.3f : x;
    x = x > 88.3f ? 88.3f : x;
    t = x * 1.44269504f + magic;
    n = t - magic;
    r = x - n * 0.693359375f; /* ln 2 in two parts: this one has 9 bits */
    r = r + n * 2.12194440e-4f;
    p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits << 23) + 0x3f800000u; /* 2^n */
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/*
 * Φ(x), the normal distribution, and e^(-x²/2), which is needed for it and is its derivative
 * but for a factor.  erfc by Abramowitz and Stegun, formula 7.1.26: error under 1.5e-7.
 */
INLINE float v_normal(float x, float *exp_half)
{
    const float z = (x < 0 ? -x : x) * 0.70710678f;
    const float t = 1.0f / (1.0f + 0.3275911f * z);
    const float e = v_exp(-z * z);
    float p = 1.061405429f, tail;

    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    tail = 0.5f * p * t * e; /* 1 - Φ(|x|) */
    *exp_half = e;
    return x < 0 ? tail : 1.0f - tail;
}

/* tanh(x), relative error under 1e-6: by e^(-2|x|), near 0 by its series. */
INLINE float v_tanh(float x)
{
    const float a = x < 0 ? -x : x;
    const float e = v_exp(-2.0f * a);
    const float far = (1.0f - e) / (1.0f + e);
    const float s = x * x;
    const float near = x * (1 + s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315 +
                                                                   s * (62.0f / 2835)))));

    return a < 0.25f ? near : x < 0 ? -far : far;
}

#endif
