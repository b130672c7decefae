/* SPDX-License-Identifier: MIT */
/* linear: the ends of tiles that linear and ffn share (private to kernels/cpu). */
#ifndef BERTUTILS_LINEAR_H
#define BERTUTILS_LINEAR_H

#include "gemm.h"

/* gemm_after of a forward product; ctx: struct linear.  Bias and activation of a tile. */
void linear_after(const void *ctx, int64_t i0, int64_t i1, int64_t j0, int64_t j1);

/*
 * gemm_after of dW; ctx: struct linear_bias.  db is summed beside dW, each piece of it by the
 * thread that made the first tile of the same rows.
 */
struct linear_bias {
    const struct mat *dy;
    float *db;
};
void linear_bias_after(const void *ctx, int64_t i0, int64_t i1, int64_t j0, int64_t j1);

/* What act_backward wants to be told: pre or y.  NULL and *e where it was not kept. */
const struct mat *linear_kept(const struct linear *a, struct err *e);

#endif
