/* SPDX-License-Identifier: MIT */
/*
 * common: what the CUDA kernels share (private to kernels/cuda).
 *
 * One stream a device, and a second one for what may run beside it (branch.cu).  No slot
 * waits for the device; no sum is made with atomics, so two runs give the same bits.  Scratch grows when a larger batch than ever before comes, and
 * else nothing is allocated.  Every slot has the reference of the same name in
 * kernels/cpu.
 */
#ifndef BERTUTILS_CUDA_COMMON_CUH
#define BERTUTILS_CUDA_COMMON_CUH

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <type_traits>

extern "C" {
#include "backend.h"
}
#include "index.h"

using bf16 = __nv_bfloat16;

constexpr int WARP = 32, STAGES = 2, PLANS = 4096;
constexpr size_t STAGE_BYTES = 4 << 20, GEMM_WORKSPACE = 32 << 20;

/* An allocation of the model's; shadow: its floats as bf16, made when a product wants
 * them. */
struct block {
    char *p;
    size_t bytes;
    bf16 *shadow;
};

struct buffer {
    void *p;
    size_t size;
};

/* What work in a stream has for itself. */
struct lane {
    cudaStream_t stream;
    void *workspace; /* GEMM_WORKSPACE bytes */
    struct buffer scratch;
};

struct plan;  /* gemm.cu: a remembered product */
struct graph; /* graph.cu: a recorded part of a step */

struct dev {
    int index;
    enum dtype act;
    cudaStream_t stream;
    cublasLtHandle_t lt;
    void *workspace; /* GEMM_WORKSPACE bytes */
    struct plan *plans;
    int n_plans;
    int64_t plain; /* shapes that cuBLASLt has nothing for */
    bool bias_sums; /* gradients of biases come from products: gemm.cuh */
    struct buffer scratch; /* parts of sums; of no use after the slot */
    struct lane side;      /* the branch's; without a stream: there is none */
    bool in_branch;        /* that is where work goes now */
    cudaEvent_t forked, mark[DEV_MARKS];
    int processors;        /* multiprocessors of the GPU */
    struct buffer cast;    /* operands in another type, alive during the slot */
    struct block *blocks;
    int n_blocks, cap_blocks;
    char *stage[STAGES];      /* pinned host memory */
    cudaEvent_t stage_free[STAGES];
    int next_stage;
    cudaEvent_t fetched[DEV_TICKETS];
    struct graph *graphs;    /* (most_graphs) */
    struct graph *recording; /* one of them, or NULL */
    int most_graphs;         /* 0: nothing is recorded */
    int64_t uses, replays, records;
    size_t graph_room, graph_used, graph_peak; /* bytes: the limit, now, and the most */
    cudaError_t failed; /* sticky */
};

/* ---- devices (device.cu) ---- */

/* How many can be used, up to the first one that is too old; 0 and the reason. */
int device_probe(struct err *why);
/* The context, the kernels' code and the matrix library: what takes long the first time. */
void device_warm(int index);
/* Why a device that was counted cannot be opened, with what to do.  Always returns -1. */
int device_fail(struct dev *d, cudaError_t why, struct err *e);

#define OPEN_TRY(d, call, e)                                                            \
    do {                                                                                \
        const cudaError_t why_ = (call);                                                \
        if (why_ != cudaSuccess)                                                        \
            return device_fail(d, why_, e);                                               \
    } while (0)

/* ---- errors, memory (table.cu, shadow.cu) ---- */

/* Reports a failure of CUDA in `op`, also an earlier one.  Always returns -1. */
int cuda_fail(struct dev *d, cudaError_t why, const char *op, struct err *e);
/* Ends a slot: 0, or -1 when a launch failed. */
int cuda_launched(struct dev *d, const char *op, struct err *e);
/* Room of at least so many bytes, or NULL. */
void *cuda_scratch(struct dev *d, size_t bytes, struct err *e);
void *cuda_cast_room(struct dev *d, size_t bytes, struct err *e);
void *cuda_memory(struct dev *d, size_t bytes, struct err *e);

#define CUDA_TRY(d, call, op, e)                                                        \
    do {                                                                                \
        const cudaError_t why_ = (call);                                                \
        if (why_ != cudaSuccess)                                                        \
            return cuda_fail(d, why_, op, e);                                           \
    } while (0)

int block_add(struct dev *d, void *p, size_t bytes, struct err *e);
void block_drop(struct dev *d, void *p);
struct block *block_of(struct dev *d, const void *p);
/* Whether the plug-in has code for the device: cudaSuccess, or why not. */
cudaError_t code_is_there(void);
/* The bf16 twin of a parameter.  NULL and *e on failure. */
const bf16 *shadow_of(struct dev *d, const void *master, struct err *e);
/* Brings the shadow up to date after bytes at p were written; none: nothing to do. */
int shadow_refresh(struct dev *d, const void *p, size_t bytes, struct err *e);
/* The shadow of p where there is one, else NULL. */
bf16 *shadow_if_any(struct dev *d, const void *p);
/* x in the type of activations in room of its own, with ld a multiple of 8. */
int cast_to_act(struct dev *d, const struct mat *x, struct mat *y, struct err *e);

/* ---- types on the device ---- */

__device__ inline float to_float(float x)
{
    return x;
}
__device__ inline float to_float(bf16 x)
{
    return __bfloat162float(x);
}
template <class T> __device__ inline T from_float(float x)
{
    if constexpr (std::is_same_v<T, bf16>)
        return __float2bfloat16_rn(x);
    else
        return x;
}

/* Four neighbours at once; p is aligned to them where FAST, else n of them are there. */
template <bool FAST> __device__ inline float4 load4(const float *p, int64_t n)
{
    float4 v = {0, 0, 0, 0};

    if (FAST)
        return *(const float4 *)p;
    v.x = p[0];
    if (n > 1)
        v.y = p[1];
    if (n > 2)
        v.z = p[2];
    if (n > 3)
        v.w = p[3];
    return v;
}

template <bool FAST> __device__ inline float4 load4(const bf16 *p, int64_t n)
{
    float4 v = {0, 0, 0, 0};

    if (FAST) {
        const uint2 u = *(const uint2 *)p;

        v.x = __uint_as_float(u.x << 16);
        v.y = __uint_as_float(u.x & 0xffff0000u);
        v.z = __uint_as_float(u.y << 16);
        v.w = __uint_as_float(u.y & 0xffff0000u);
        return v;
    }
    v.x = to_float(p[0]);
    if (n > 1)
        v.y = to_float(p[1]);
    if (n > 2)
        v.z = to_float(p[2]);
    if (n > 3)
        v.w = to_float(p[3]);
    return v;
}

__device__ inline uint32_t pack_bf16(float low, float high)
{
    const __nv_bfloat162 v = __floats2bfloat162_rn(low, high);

    return *(const uint32_t *)&v;
}

template <bool FAST> __device__ inline void store4(float *p, float4 v, int64_t n)
{
    if (FAST) {
        *(float4 *)p = v;
        return;
    }
    p[0] = v.x;
    if (n > 1)
        p[1] = v.y;
    if (n > 2)
        p[2] = v.z;
    if (n > 3)
        p[3] = v.w;
}

template <bool FAST> __device__ inline void store4(bf16 *p, float4 v, int64_t n)
{
    if (FAST) {
        const uint2 u = {pack_bf16(v.x, v.y), pack_bf16(v.z, v.w)};

        *(uint2 *)p = u;
        return;
    }
    p[0] = __float2bfloat16_rn(v.x);
    if (n > 1)
        p[1] = __float2bfloat16_rn(v.y);
    if (n > 2)
        p[2] = __float2bfloat16_rn(v.z);
    if (n > 3)
        p[3] = __float2bfloat16_rn(v.w);
}

__device__ inline float warp_sum(float x)
{
#pragma unroll
    for (int i = WARP / 2; i > 0; i /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, i);
    return x;
}

/* 2^x, to 22 bits; what would be denormal is 0. */
__device__ inline float exp2_approx(float x)
{
    float y;

    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ inline float warp_max(float x)
{
#pragma unroll
    for (int i = WARP / 2; i > 0; i /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, i));
    return x;
}

/* ---- dropout ---- */

struct drop_arg {
    const uint2 *key;
    const struct row_id *row;
    uint32_t threshold; /* drop_threshold in the upper half of a word */
    float scale;
    int on;
};

static inline struct drop_arg drop_arg(const struct drop *drop)
{
    struct drop_arg a;

    a.key = (const uint2 *)drop->key;
    a.row = drop->row;
    a.threshold = drop_threshold(drop->p) << 16;
    a.scale = drop_scale(drop->p);
    a.on = drop->p > 0;
    return a;
}

__device__ inline uint2 drop_key(const struct drop_arg &a)
{
    return *a.key;
}

/* The four words of one counter. */
__device__ inline uint4 drop_words(uint2 key, uint32_t record, uint32_t offset,
                                   uint32_t group, uint32_t head)
{
    const uint32_t counter[4] = {record, offset, group, head}, k[2] = {key.x, key.y};
    uint32_t out[4];

    philox_rounds(out, counter, k, PHILOX_DROP_ROUNDS);
    return make_uint4(out[0], out[1], out[2], out[3]);
}

/* Whether the lower or the upper half of a word drops its element. */
__device__ inline bool drops(const struct drop_arg &a, uint32_t word, int half)
{
    return (half % 2 ? word : word << 16) < a.threshold;
}

/*
 * Columns 4 lane .. + 3 of the piece-th 128 columns of a row.  One call is for two pieces:
 * an even one draws `w`, which the odd one behind it takes too.
 */
__device__ inline float4 drop4(const struct drop_arg &a, uint2 key, struct row_id id,
                               int piece, uint4 &w, float4 v)
{
    const int lane = threadIdx.x % WARP;

    if (piece % 2 == 0)
        w = drop_words(key, id.record, id.offset, (uint32_t)(piece / 2 * WARP + lane), 0);
    const uint32_t low = piece % 2 ? w.z : w.x, high = piece % 2 ? w.w : w.y;

    v.x = drops(a, low, 0) ? 0 : v.x * a.scale;
    v.y = drops(a, low, 1) ? 0 : v.y * a.scale;
    v.z = drops(a, high, 0) ? 0 : v.z * a.scale;
    v.w = drops(a, high, 1) ? 0 : v.w * a.scale;
    return v;
}

/* ---- choosing an instance on the host ---- */

/* f gets a null pointer of the element type. */
template <class F> static inline auto by_type(enum dtype t, F f)
{
    return t == DT_BF16 ? f((bf16 *)nullptr) : f((float *)nullptr);
}
template <class P> using element = std::remove_pointer_t<P>;

static inline bool is_aligned(const void *p, size_t bytes)
{
    return (uintptr_t)p % bytes == 0;
}

static inline size_t type_size(enum dtype t)
{
    return t == DT_BF16 ? sizeof(bf16) : sizeof(float);
}

/* Whether rows of a matrix can be taken four elements at a time; an absent one can. */
static inline bool mat_by_4(const struct mat *m)
{
    return !m->p ||
           (m->cols % 4 == 0 && m->ld % 4 == 0 && is_aligned(m->p, 4 * type_size(m->t)));
}

/* A vector of fp32 that can be taken four at a time. */
static inline bool by_4(const float *p)
{
    return is_aligned(p, 4 * sizeof *p);
}

/* ---- the sums of columns (columns.cu) ---- */

/*
 * sum[c] += parts (n, cols) in order, of each of the `outs` pieces that a row of parts is
 * made of: out[0] gets columns 0..cols/outs-1, out[1] the next ones.
 */
int sum_parts(struct dev *d, const float *parts, int64_t n, int64_t cols, float *out0,
              float *out1, const char *op, struct err *e);
/* sum[c] += column c of m. */
int column_sums(struct dev *d, const struct mat *m, float *sum, const char *op,
                struct err *e);
/* dy *= act'(kept), and, where sum is there, sum[c] += column c of dy. */
int act_backward(struct dev *d, enum activation act, const struct mat *kept,
                 const struct mat *dy, float *sum, const char *op, struct err *e);
/* y = act(z); y may be z. */
int act_forward(struct dev *d, enum activation act, const struct mat *z,
                const struct mat *y, const char *op, struct err *e);

/* ---- work beside the rest (branch.cu) ---- */

/* Opens the device's streams. */
int branch_open(struct dev *d, struct err *e);
void branch_close(struct dev *d);
/* Until nothing is under way any more. */
void branch_wait(struct dev *d);
/* What is issued from now on runs behind what was, and beside what comes after branch_leave. */
int branch_enter(struct dev *d, struct err *e);
void branch_leave(struct dev *d);
/* A place in the branch, which the stream later waits for. */
int branch_mark(struct dev *d, int i, struct err *e);
int branch_reach(struct dev *d, int i, struct err *e);
/* Whether products of so many rows leave room beside them. */
bool branch_pays(const struct dev *d, int64_t rows);
/* Takes what the branch needs of the device; how much it has; how much it will have then. */
int branch_reserve(struct dev *d, size_t scratch, struct err *e);
size_t branch_taken(const struct dev *d);
size_t branch_bytes(const struct dev *d, size_t scratch);

/* ---- records of work (graph.cu), and what the device needs beside alloc's (room.cu) ---- */

int graph_open(struct dev *d, struct err *e);
void graph_close(struct dev *d);
/* Forgets what was recorded: memory that it uses goes away. */
void graph_forget(struct dev *d);
int graph_replay(struct dev *d, const void *key, size_t n, struct err *e);
int graph_replay_end(struct dev *d, bool failed, struct err *e);
/* Bytes that the graphs may take; beyond that the oldest ones go. */
size_t graph_bytes(const struct dev *d, const struct dev_load *l);
size_t room_overhead(struct dev *d, const struct dev_load *l);
int room_reserve(struct dev *d, const struct dev_load *l, struct err *e);
/* What cuda_scratch and cuda_cast_room take when asked for so much. */
size_t buffer_size(size_t bytes);
/* Scratch of the sums of the embeddings' gradients. */
size_t embed_scratch(int64_t tokens, int64_t cols);

/* ---- the slots ---- */

int cuda_embed(struct dev *d, const struct embed *a, struct err *e);
int cuda_embed_bwd(struct dev *d, const struct embed_bwd *a, struct err *e);
int cuda_linear(struct dev *d, const struct linear *a, struct err *e);
int cuda_linear_bwd(struct dev *d, const struct linear_bwd *a, struct err *e);
int cuda_attn(struct dev *d, const struct attn *a, struct err *e);
int cuda_attn_bwd(struct dev *d, const struct attn_bwd *a, struct err *e);
int cuda_ffn(struct dev *d, const struct ffn *a, struct err *e);
int cuda_ffn_bwd(struct dev *d, const struct ffn_bwd *a, struct err *e);
int cuda_add_norm(struct dev *d, const struct add_norm *a, struct err *e);
int cuda_add_norm_bwd(struct dev *d, const struct add_norm_bwd *a, struct err *e);
int cuda_dropout(struct dev *d, const struct drop *drop, struct mat x, struct mat y,
                 struct err *e);
int cuda_rows_get(struct dev *d, struct mat x, const int32_t *row, struct mat y,
                  struct err *e);
int cuda_rows_add(struct dev *d, struct mat x, const int32_t *row, struct mat y,
                  struct err *e);
int cuda_loss(struct dev *d, const struct loss *a, struct err *e);
int cuda_vocab_loss(struct dev *d, const struct vocab_loss *a, struct err *e);
int cuda_sqnorm(struct dev *d, const float *g, const struct param_run *run, int n_run,
                double *sumsq, struct err *e);
int cuda_adamw(struct dev *d, const struct adamw *a, struct err *e);

#endif
