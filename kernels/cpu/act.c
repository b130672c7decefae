/* SPDX-License-Identifier: MIT */
/* act: activations and their derivatives. */
#include "vmath.h"

static const float root_2_over_pi = 0.79788456f, cubic = 0.044715f;
static const float one_over_root_2pi = 0.39894228f;

MULTI_ISA
void act_forward(enum activation act, const float *z, float *y, int64_t n)
{
    switch (act) {
    case ACT_NONE:
        if (y != z)
            memcpy(y, z, (size_t)n * sizeof *y);
        break;
    case ACT_GELU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float unused;

            y[i] = z[i] * v_normal(z[i], &unused);
        }
        break;
    case ACT_TANH:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = v_tanh(z[i]);
        break;
    case ACT_RELU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = z[i] < 0 ? 0 : z[i];
        break;
    case ACT_GELU_TANH:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float x = z[i];

            y[i] = 0.5f * x * (1 + v_tanh(root_2_over_pi * (x + cubic * x * x * x)));
        }
        break;
    }
}

MULTI_ISA
void act_backward(enum activation act, const float *z_or_y, float *dy, int64_t n)
{
    switch (act) {
    case ACT_NONE:
        break;
    case ACT_GELU: /* Φ(x) + x φ(x) */
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float x = z_or_y[i];
            float e, phi = v_normal(x, &e);

            dy[i] *= phi + x * one_over_root_2pi * e;
        }
        break;
    case ACT_TANH:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dy[i] *= 1 - z_or_y[i] * z_or_y[i];
        break;
    case ACT_RELU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dy[i] = z_or_y[i] > 0 ? dy[i] : 0;
        break;
    case ACT_GELU_TANH:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float x = z_or_y[i];
            const float t = v_tanh(root_2_over_pi * (x + cubic * x * x * x));
            const float du = root_2_over_pi * (1 + 3 * cubic * x * x);

            dy[i] *= 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * du;
        }
        break;
    }
}
