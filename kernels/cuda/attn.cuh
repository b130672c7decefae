/* SPDX-License-Identifier: MIT */
/*
 * attn: what the kernels of attention share (private to kernels/cuda).
 *
 * Two families.  attn_plain.cu does fp32 and any head up to ATTN_WIDTH_MAX wide, a warp a
 * query or key.  attn.cu and attn_bwd.cu do bf16 with heads of 32, 64, 96 and 128 by the
 * matrix instruction m16n8k16: a warp has 16 queries (or keys), rows of the other side
 * come through shared memory.  Sequences up to ATTN_SHORT places are a warp's each, so
 * that a block holds several heads and nobody waits for another; of longer ones a block
 * has ATTN_TILE queries (or keys) of a head.
 */
#ifndef BERTUTILS_CUDA_ATTN_CUH
#define BERTUTILS_CUDA_ATTN_CUH

#include "common.cuh"

constexpr int ATTN_WIDTH_MAX = 256, ATTN_SHORT = 64, ATTN_TILE = 64, ATTN_WARPS = 4;
constexpr int ATTN_THREADS = ATTN_WARPS * WARP, ATTN_ROOM = 96 << 10;
constexpr float LOG2E = 1.4426950408889634f;

struct attn_arg {
    const void *qkv;     /* (T, 3H) */
    void *y;             /* (T, H) */
    float *lse;          /* (A, T) or NULL */
    const void *dy;      /* backward, (T, H) */
    void *dqkv;          /* (T, 3H) */
    float *delta;        /* (A, T): dy · y of each query and head */
    const int32_t *cu;
    const struct row_id *row;
    int64_t ldq, ldy, lddy, lddq, n_tok, tasks;
    int heads, width, h; /* h: of all heads */
    int tiles, rows; /* tiles of the longest sequence; rows of shared memory of a warp */
    float scale;
    struct drop_arg drop;
};

attn_arg attn_fill(const struct attn *a);
/* Places of the longest sequence, with room for the shift of dropout. */
static inline int64_t attn_places(const struct attn *a)
{
    return a->seqs.max_len + (a->drop.p > 0 ? 3 : 0);
}

int attn_plain(struct dev *d, const struct attn *a, struct err *e);
int attn_plain_bwd(struct dev *d, const struct attn_bwd *b, struct err *e);
/* a.delta, in scratch. */
int attn_delta(struct dev *d, const struct attn *f, const struct mat *dy, attn_arg *a,
               struct err *e);

/* Whether the matrix instructions do this one: bf16, a width of theirs, rows by 16 bytes.
 */
bool attn_is_fast(const struct dev *d, const struct attn *a);
static inline bool attn_rows_fit(const struct mat *m)
{
    return m->ld % 8 == 0 && is_aligned(m->p, 16);
}

/* Calls f with the width as an integral constant. */
template <class F> static inline void by_head_width(int64_t width, F f)
{
    switch (width) {
    case 32: f(std::integral_constant<int, 32>()); break;
    case 64: f(std::integral_constant<int, 64>()); break;
    case 96: f(std::integral_constant<int, 96>()); break;
    case 128: f(std::integral_constant<int, 128>()); break;
    default: break;
    }
}

/* More dynamic shared memory than a kernel gets unasked. */
template <class K> static inline cudaError_t allow_room(K kernel, size_t bytes)
{
    return cudaFuncSetAttribute((const void *)kernel,
                                cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
}

/* ---- a head of a sequence ---- */

struct head {
    int64_t first;         /* token */
    int n, index;          /* length, number of the head */
    int shift;             /* attn_shift: key j is at place j + shift */
    uint32_t record, base; /* of the first token */
    uint2 key;
};

__device__ inline head head_at(const attn_arg &a, int seq, int index)
{
    head h;

    h.first = a.cu[seq];
    h.n = a.cu[seq + 1] - (int)h.first;
    h.index = index;
    h.shift = 0;
    h.record = h.base = 0;
    h.key = make_uint2(0, 0);
    if (a.drop.on && h.n > 0) {
        const struct row_id id = a.row[h.first];

        h.record = id.record;
        h.base = id.offset;
        h.shift = attn_shift(id.offset, true);
        h.key = drop_key(a.drop);
    }
    return h;
}

/* The offset of query i in its record; behind the end any will do. */
__device__ inline uint32_t query_offset(const attn_arg &a, const head &h, int i)
{
    return i < h.n ? a.row[h.first + i].offset : 0;
}

/* ---- the matrix instruction ---- */

__device__ inline uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

__device__ inline void load_matrix(uint32_t (&r)[4], const bf16 *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
}

__device__ inline void load_matrix_turned(uint32_t (&r)[4], const bf16 *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
}

/* c (16, 8) += a (16, 16) b (16, 8) */
__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* ---- rows in shared memory ---- */

/* Rows are padded by 16 bytes, so that the 8 rows of a matrix lie in different banks. */
template <int D> constexpr int ROW_LD = D + 8;

__device__ inline void copy_16(void *to, const void *from, bool there)
{
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
        "l"(from), "r"(there ? 16 : 0)
        : "memory");
}

__device__ inline void copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most N of the committed groups are on their way. */
template <int N> __device__ inline void copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/*
 * Starts copying `rows` rows of D columns to shared memory: row r is row place + r -
 * shift of `from`, zeros where that is not in 0..n-1.  By `threads` threads, of which
 * this is one.
 */
template <int D> __device__ inline void copy_rows(bf16 *to, const bf16 *from, int64_t ld,
                                                  int place, int shift, int n, int rows,
                                                  int thread, int threads)
{
    for (int i = thread; i < rows * (D / 8); i += threads) {
        const int r = i / (D / 8), c = i % (D / 8) * 8, at = place + r - shift;
        const bool there = at >= 0 && at < n;

        copy_16(to + r * ROW_LD<D> + c, from + (there ? at : 0) * ld + c, there);
    }
}

/* A (16, D) operand straight from memory: rows at..at+15 of 0..n-1, zeros outside. */
template <int D> __device__ inline void
load_operand(uint32_t (&a)[D / 16][4], const bf16 *from, int64_t ld, int at, int n)
{
    const int lane = threadIdx.x % WARP, r0 = at + lane / 4, r1 = r0 + 8;
    const bool is0 = r0 >= 0 && r0 < n, is1 = r1 >= 0 && r1 < n;
    const bf16 *p0 = from + (is0 ? r0 : 0) * ld + 2 * (lane % 4);
    const bf16 *p1 = from + (is1 ? r1 : 0) * ld + 2 * (lane % 4);

#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        a[k][0] = is0 ? *(const uint32_t *)(p0 + 16 * k) : 0;
        a[k][1] = is1 ? *(const uint32_t *)(p1 + 16 * k) : 0;
        a[k][2] = is0 ? *(const uint32_t *)(p0 + 16 * k + 8) : 0;
        a[k][3] = is1 ? *(const uint32_t *)(p1 + 16 * k + 8) : 0;
    }
}

/* c (16, 16) = a (16, D) rowsᵀ, rows (16, D) in shared memory. */
template <int D>
__device__ inline void times_rows_turned(float (&c)[2][4], const uint32_t (&a)[D / 16][4],
                                         const bf16 *rows)
{
    const int lane = threadIdx.x % WARP;
    const bf16 *p = rows + (lane % 8 + lane / 16 * 8) * ROW_LD<D> + lane / 8 % 2 * 8;

#pragma unroll
    for (int i = 0; i < 8; i++)
        c[i / 4][i % 4] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t b[4];

        load_matrix(b, p + 16 * k);
        multiply(c[0], a[k], b[0], b[1]);
        multiply(c[1], a[k], b[2], b[3]);
    }
}

/* c (16, D) += a (16, 16) rows, rows (16, D) in shared memory. */
template <int D>
__device__ inline void times_rows(float (&c)[D / 8][4], const uint32_t (&a)[4],
                                  const bf16 *rows)
{
    const int lane = threadIdx.x % WARP;
    const bf16 *p = rows + lane % 16 * ROW_LD<D> + lane / 16 * 8;

#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t b[4];

        load_matrix_turned(b, p + 16 * k);
        multiply(c[2 * k], a, b[0], b[1]);
        multiply(c[2 * k + 1], a, b[2], b[3]);
    }
}

/* A result (16, 16) as the first operand of the next product. */
__device__ inline void as_operand(uint32_t (&a)[4], const float (&c0)[4],
                                  const float (&c1)[4])
{
    a[0] = pack_bf16(c0[0], c0[1]);
    a[1] = pack_bf16(c0[2], c0[3]);
    a[2] = pack_bf16(c1[0], c1[1]);
    a[3] = pack_bf16(c1[2], c1[3]);
}

/* Writes a result (16, D), each half of its rows times its factor, to rows of 0..n-1. */
template <int D> __device__ inline void store_result(bf16 *to, int64_t ld,
                                                     const float (&c)[D / 8][4], int at,
                                                     int n, float factor0, float factor1)
{
    const int lane = threadIdx.x % WARP, r0 = at + lane / 4, r1 = r0 + 8;
    bf16 *p = to + 2 * (lane % 4);

#pragma unroll
    for (int k = 0; k < D / 8; k++) {
        if (r0 >= 0 && r0 < n)
            *(uint32_t *)(p + r0 * ld + 8 * k) =
                pack_bf16(c[k][0] * factor0, c[k][1] * factor0);
        if (r1 >= 0 && r1 < n)
            *(uint32_t *)(p + r1 * ld + 8 * k) =
                pack_bf16(c[k][2] * factor1, c[k][3] * factor1);
    }
}

/* ---- dropout in fragments; see index.h ---- */

/*
 * Words for the four values of a lane, rows queries and columns keys from `place` on;
 * offset: of query attn_draw_row(lane).
 */
__device__ inline void draw_words(uint32_t (&w)[4], const head &h, uint32_t offset,
                                  int place)
{
    const int lane = threadIdx.x % WARP;
    const bool odd = lane & 1;
    const uint4 own = drop_words(h.key, h.record, offset,
                                 attn_group(h.base, place + attn_draw_column(lane)),
                                 (uint32_t)h.index);
    const uint32_t got0 = __shfl_xor_sync(0xffffffffu, odd ? own.x : own.z, 1);
    const uint32_t got1 = __shfl_xor_sync(0xffffffffu, odd ? own.y : own.w, 1);

    w[0] = odd ? got0 : own.x;
    w[1] = odd ? got1 : own.y;
    w[2] = odd ? own.z : got0;
    w[3] = odd ? own.w : got1;
}

__device__ inline uint32_t pick(uint32_t x0, uint32_t x1, uint32_t x2, uint32_t x3, int i)
{
    const uint32_t low = i & 1 ? x1 : x0, high = i & 1 ? x3 : x2;

    return i & 2 ? high : low;
}

/*
 * The same with rows keys from `place` on and columns queries; offset: of the query in
 * column attn_turn_column(lane).
 */
__device__ inline void draw_words_turned(uint32_t (&w)[4], const head &h, uint32_t offset,
                                         int place)
{
    const int lane = threadIdx.x % WARP, word = attn_turn_word(lane);
    const uint4 own = drop_words(h.key, h.record, offset,
                                 attn_group(h.base, place + attn_turn_row(lane)),
                                 (uint32_t)h.index);
    uint32_t got[4];

    got[0] = pick(own.x, own.y, own.z, own.w, word);
#pragma unroll
    for (int i = 1; i < 4; i++)
        got[i] = __shfl_xor_sync(0xffffffffu, pick(own.x, own.y, own.z, own.w, word ^ i),
                                 4 * i);
#pragma unroll
    for (int i = 0; i < 4; i++)
        w[i] = pick(got[0], got[1], got[2], got[3], word ^ i);
}

#endif
