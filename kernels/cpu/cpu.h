/* SPDX-License-Identifier: MIT */
/*
 * cpu: what the CPU's kernels share (L4, private to kernels/cpu).
 *
 * Work is cut into blocks by its shape alone and every sum has one order, so that results are
 * the same bits for any number of threads.
 */
#ifndef BERTUTILS_CPU_H
#define BERTUTILS_CPU_H

#include "backend.h"
#include "mat.h"
#include "par.h"
#include "philox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A function with MULTI_ISA is compiled for several x86-64 levels, and the loader takes the
 * best one for the machine.  Address sanitizer cannot run before the resolvers do.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&   \
    !defined(__SANITIZE_ADDRESS__)
#if __GNUC__ >= 12
#define MULTI_ISA                                                                          \
    __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#endif
#endif
#ifndef MULTI_ISA
#define MULTI_ISA
#endif

/* Helpers of MULTI_ISA functions must be inlined, else they would be the default ISA's. */
#define INLINE static inline __attribute__((always_inline))

/* Memory of a thread, or of all, kept between calls; grows, never shrinks. */
struct scratch {
    void *p;
    size_t size;
};

struct dev {
    struct par *par;
    int threads;
    void (*omp_threads)(int); /* see gemm.h */
    struct scratch *own;      /* [threads] */
    struct scratch shared;    /* written by the blocks of one call, then summed in order */
};

/* `bytes` of scratch for every thread, or for all of them; 64-byte aligned. */
int scratch_own(struct dev *d, size_t bytes, struct err *e) MUST_USE;
int scratch_shared(struct dev *d, size_t bytes, struct err *e) MUST_USE;

/* Number of blocks of at most `size` in n, and where block i starts when they are even. */
static inline int64_t cut_count(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static inline int64_t cut_at(int64_t n, int64_t blocks, int64_t i, int64_t unit)
{
    const int64_t units = (n + unit - 1) / unit;
    const int64_t at = (units / blocks * i + (i < units % blocks ? i : units % blocks)) * unit;

    return at < n ? at : n;
}

/* Rows that norms and other row-wise work take at once; partial sums have this grain. */
enum { ROW_BLOCK = 32 };

/* dropout.c: one row.  y may be x. */
struct drop_key {
    uint32_t key[2], threshold;
    float scale;
    bool on;
};
struct drop_key drop_key(const struct drop *drop);
void drop_row(const struct drop_key *k, struct row_id id, const float *x, float *y, int64_t n);

/*
 * philox.c: the half-words of up to 256 columns of a matrix's row, drop_group(column) being
 * group..group+n-1, n at most 32: those of the first 128 columns, DROP_APART behind them those
 * of the others; half-words of columns behind the last one are there too.
 */
enum { DROP_APART = 128, DROP_TILE = 16 };
void philox_columns(uint16_t *out, int64_t n, struct row_id id, uint32_t group,
                    const uint32_t key[2]);

/*
 * The half-words of at most 16 queries of attention, from a multiple of 16 on, for all keys:
 * row i is out + i ld.  Rows i and i + 8 come together, so that with fewer than 8 pairs the
 * rows behind them are left as they are.
 */
struct drop_rows {
    const uint32_t *key;
    uint32_t record, offset, head; /* offset: of the first query */
    int64_t pairs, tiles;          /* up to 8; DROP_TILE keys each */
    uint16_t *out;
    int64_t ld;
};
void philox_rows(const struct drop_rows *r);

/* act.c: y = act(z);  dy *= act'(z), where TANH and RELU are told y instead of z. */
void act_forward(enum activation act, const float *z, float *y, int64_t n);
void act_backward(enum activation act, const float *z_or_y, float *dy, int64_t n);

/* norm.c: the parts of layer norm that embed shares. */
void norm_row(const float *x, const float *gamma, const float *beta, float eps, float *y,
              float stats[2], int64_t n);
/* dx from dy (may be the same), dgamma += and dbeta += of one row */
void norm_row_bwd(const float *x, const float *gamma, const float stats[2], const float *dy,
                  float *dx, float *dgamma, float *dbeta, int64_t n);
/* dgamma += sum of the blocks' parts, in order; parts: (blocks, 2n), gamma's half first */
void norm_sum_parts(const float *parts, int64_t blocks, float *dgamma, float *dbeta,
                    int64_t n);

/* The slots. */
int cpu_embed(struct dev *d, const struct embed *a, struct err *e);
int cpu_embed_bwd(struct dev *d, const struct embed_bwd *a, struct err *e);
int cpu_linear(struct dev *d, const struct linear *a, struct err *e);
int cpu_linear_bwd(struct dev *d, const struct linear_bwd *a, struct err *e);
int cpu_attn(struct dev *d, const struct attn *a, struct err *e);
int cpu_attn_bwd(struct dev *d, const struct attn_bwd *a, struct err *e);
int cpu_ffn(struct dev *d, const struct ffn *a, struct err *e);
int cpu_ffn_bwd(struct dev *d, const struct ffn_bwd *a, struct err *e);
int cpu_add_norm(struct dev *d, const struct add_norm *a, struct err *e);
int cpu_add_norm_bwd(struct dev *d, const struct add_norm_bwd *a, struct err *e);
int cpu_dropout(struct dev *d, const struct drop *drop, struct mat x, struct mat y,
                struct err *e);
int cpu_rows_get(struct dev *d, struct mat x, const int32_t *row, struct mat y, struct err *e);
int cpu_rows_add(struct dev *d, struct mat x, const int32_t *row, struct mat y, struct err *e);
int cpu_loss(struct dev *d, const struct loss *a, struct err *e);
int cpu_vocab_loss(struct dev *d, const struct vocab_loss *a, struct err *e);
int cpu_sqnorm(struct dev *d, const float *g, const struct param_run *run, int n_run,
               double *sumsq, struct err *e);
int cpu_adamw(struct dev *d, const struct adamw *a, struct err *e);

#endif
