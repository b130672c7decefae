/* SPDX-License-Identifier: MIT */
/*
 * gemm: matrix products, cut into tiles for our own threads (private to kernels/cpu).
 *
 * A linear layer needs three: y = x Wᵀ, dx = dy W and dW += dyᵀ x.  Each is described by one
 * of the makers below; gemm_run does one or several that do not depend on each other, tile by
 * tile, each tile by one single-threaded call of oneDNN.
 */
#ifndef BERTUTILS_GEMM_H
#define BERTUTILS_GEMM_H

#include "cpu.h"

/* Rows i0..i1-1 and columns j0..j1-1 of the result are complete. */
typedef void gemm_after(const void *ctx, int64_t i0, int64_t i1, int64_t j0, int64_t j1);

struct gemm {
    char trans_a, trans_b; /* 'N' or 'T' */
    int64_t m, n, k;       /* c (m, n) = beta c + a (m, k) b (k, n) */
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
    float beta;
    int64_t tiles_m, tiles_n; /* by shape only */
    gemm_after *after;        /* called for each tile by the thread that made it, or NULL */
    const void *ctx;
};

struct gemm gemm_forward(const struct mat *x, const struct mat *w, const struct mat *y);
struct gemm gemm_dx(const struct mat *dy, const struct mat *w, const struct mat *dx, bool add);
struct gemm gemm_dw(const struct mat *dy, const struct mat *x, const struct mat *dw, bool set);

int gemm_run(struct dev *d, const struct gemm *g, int n, struct err *e) MUST_USE;

/*
 * oneDNN with OpenMP would start a team of its own in every one of our threads, so each says
 * first that it wants none; the number is the calling thread's own.  gemm_open looks up how;
 * where oneDNN has no OpenMP there is nothing to say.
 */
void gemm_open(struct dev *d);
void gemm_single_thread(const struct dev *d);

/* One product on this thread, uncut.  Returns 0, or -1 when oneDNN failed. */
int gemm_serial(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, const float *a,
                int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* sum[j] += column j of m, rows in order, columns j0..j1-1 */
void column_sums(const struct mat *m, int64_t j0, int64_t j1, float *sum);

#endif
