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

/*
 * dw += dyᵀ x, or = with `set`, and, where it is there, db += the sums of dy's columns; dw and
 * db are fp32.
 */
struct weight_grad {
    const struct mat *dy, *x, *dw;
    bool set;
    float *db;
    bool db_zero; /* db holds zeros */
};
/*
 * Whether gemm_dw is to take db from cuBLASLt's epilogue (BGRADB), which sums the columns in
 * passing, so that nothing else need read dy for them.  Only with BERTUTILS_BIAS_SUMS=1 in the
 * environment: reports differ on whether the kernels that can do so are slower by more than it
 * saves, and it has not been measured here.
 */
bool gemm_sums(const struct dev *d, const struct weight_grad *g);
int gemm_dw(struct dev *d, const struct weight_grad *g, const char *op, struct err *e);
/*
 * The same beside what is issued next, where that pays.  The slot ends with gemm_join: its
 * operands are of no other use until then.
 */
int gemm_dw_beside(struct dev *d, const struct weight_grad *g, const char *op,
                   struct err *e);
int gemm_join(struct dev *d, int64_t rows, struct err *e);

int gemm_open(struct dev *d, struct err *e);
void gemm_close(struct dev *d);

#endif
