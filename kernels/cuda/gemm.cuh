/* SPDX-License-Identifier: MIT */
/*
 * gemm: matrix products by cuBLASLt (private to kernels/cuda).
 *
 * A linear layer needs three: y = x Wᵀ + b, dx = dy W and dW += dyᵀ x.  Operands have the
 * device's type of activations, sums are fp32, and W is the fp32 master, whose shadow is
 * taken where that type is bf16.  The algorithm is the first that the heuristic names for
 * the shape and whose sums have a fixed order; it is remembered.
 */
#ifndef BERTUTILS_CUDA_GEMM_CUH
#define BERTUTILS_CUDA_GEMM_CUH

#include "common.cuh"

/* y = x Wᵀ + b; y may be fp32 beside bf16 operands; b may be NULL. */
int gemm_forward(struct dev *d, const struct mat *x, const struct mat *w, const float *b,
                 const struct mat *y, const char *op, struct err *e);
/* dx = dy W, or += with `add`. */
int gemm_dx(struct dev *d, const struct mat *dy, const struct mat *w,
            const struct mat *dx, bool add, const char *op, struct err *e);
/* dw += dyᵀ x, or = with `set`; dw is fp32. */
int gemm_dw(struct dev *d, const struct mat *dy, const struct mat *x,
            const struct mat *dw, bool set, const char *op, struct err *e);

int gemm_open(struct dev *d, struct err *e);
void gemm_close(struct dev *d);

#endif
