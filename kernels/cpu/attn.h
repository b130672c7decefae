/* SPDX-License-Identifier: MIT */
/* attn: the small products inside attention (private to kernels/cpu). */
#ifndef BERTUTILS_ATTN_H
#define BERTUTILS_ATTN_H

#include "gemm.h"

enum {
    QUERY_BLOCK = 128,
    SHORT_SEQUENCE = 64, /* up to here one task does all heads */
    ATTN_PAD = 16,
    SMALL_PRODUCT = 64 * 64 * 32 /* from this many multiplications on, oneDNN is faster */
};

/*
 * c (m, n) = or += a (m, k) b (k, n), n a multiple of ATTN_PAD.  Element (i, p) of a is
 * a[i * row_stride + p * step_stride], one of the strides being 1.
 */
struct small_product {
    int64_t m, n, k;
    const float *a;
    int64_t row_stride, step_stride;
    const float *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
    bool add;
};

void attn_small_product(const struct small_product *p);

#endif
