/* SPDX-License-Identifier: MIT */
/*
 * attn: what the kernels of attention share (private to kernels/cuda).
 *
 * Two families.  attn_plain.cu does fp32 and any head up to ATTN_WIDTH_MAX wide, a warp a
 * query or key.  attn.cu and attn_bwd.cu do bf16 with heads of 32, 64, 96 and 128 by the
 * matrix instruction m16n8k16: a warp has ROWS times 16 queries (or keys), rows of the
 * other side come through shared memory.  Sequences up to ATTN_SHORT places are a warp's
 * each, so that a block holds several heads and nobody waits for another; of longer ones a
 * block has ATTN_WARPS * 16 * ROWS queries (or keys) of a head.  ROWS is 2 where the
 * registers allow it: each row that is read from shared memory then serves twice.
 */
#ifndef BERTUTILS_CUDA_ATTN_CUH
#define BERTUTILS_CUDA_ATTN_CUH

#include "common.cuh"

constexpr int ATTN_WIDTH_MAX = 256, ATTN_SHORT = 32, ATTN_TILE = 64, ATTN_WARPS = 4;
constexpr int ATTN_THREADS = ATTN_WARPS * WARP, ATTN_ROOM = 96 << 10;
constexpr float LOG2E = 1.4426950408889634f;

struct attn_arg {
    const void *qkv;     /* (T, 3H) */
    void *y;             /* (T, H) */
    float *lse;          /* (A, T) or NULL */
    const void *dy;      /* backward, (T, H) */
    void *dqkv;          /* (T, 3H) */
    float *delta;        /* (A, T): dy · y of each query and head; attn_plain.cu */
    float2 *stats;       /* (A, T): lse in powers of 2, and dy · y before dropout's scale */
    const int32_t *cu;
    const struct row_id *row;
    int64_t ldq, ldy, lddy, lddq, n_tok, tasks;
    int heads, width, h; /* h: of all heads */
    int tiles, rows;     /* tiles of the longest sequence; rows of a warp's matrices */
    float scale;
    struct drop_arg drop;
};

attn_arg attn_fill(const struct attn *a);
int attn_plain(struct dev *d, const struct attn *a, struct err *e);
int attn_plain_bwd(struct dev *d, const struct attn_bwd *b, struct err *e);
/* Whether the matrix instructions do this one: bf16, a width of theirs, rows by 16 bytes.
 */
bool attn_is_fast(const struct dev *d, const struct attn *a);
static inline bool attn_rows_fit(const struct mat *m)
{
    return m->ld % 8 == 0 && is_aligned(m->p, 16);
}

template <class F, class D> static inline void by_drop(bool drop, F f, D width)
{
    if (drop)
        f(width, std::true_type());
    else
        f(width, std::false_type());
}

/* Calls f with the width and whether there is dropout, as integral constants. */
template <class F> static inline void by_head(int64_t width, bool drop, F f)
{
    switch (width) {
    case 32: by_drop(drop, f, std::integral_constant<int, 32>()); break;
    case 64: by_drop(drop, f, std::integral_constant<int, 64>()); break;
    case 96: by_drop(drop, f, std::integral_constant<int, 96>()); break;
    case 128: by_drop(drop, f, std::integral_constant<int, 128>()); break;
    default: break;
    }
}

/* How often a warp has 16 rows, for sequences so long and heads so wide. */
template <int D> constexpr int ROWS_MOST = D <= 64 ? 2 : 1;
static inline bool attn_rows_once(int64_t longest)
{
    return longest <= ATTN_WARPS * 16;
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
    uint32_t record, base; /* of the first token */
    uint2 key;
};

__device__ inline head head_at(const attn_arg &a, int seq, int index)
{
    head h;

    h.first = a.cu[seq];
    h.n = a.cu[seq + 1] - (int)h.first;
    h.index = index;
    h.record = h.base = 0;
    h.key = make_uint2(0, 0);
    if (a.drop.on && h.n > 0) {
        const struct row_id id = a.row[h.first];

        h.record = id.record;
        h.base = id.offset;
        h.key = drop_key(a.drop);
    }
    return h;
}

/* The sum over the four lanes that share rows of a result. */
__device__ inline float quad_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
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

/* Rows of a head, and zeros behind the last one. */
struct head_rows {
    const bf16 *p;
    int64_t ld;
    int n;
};

__device__ inline void copy_16(void *to, const void *from, bool there)
{
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
        "l"(from), "r"(there ? 16 : 0)
        : "memory");
}

__device__ inline void copy_8(void *to, const void *from, bool there)
{
    asm volatile(
        "cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)),
        "l"(from), "r"(there ? 8 : 0)
        : "memory");
}

__device__ inline void copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until all that this thread copies is there; the other threads' needs a barrier. */
__device__ inline void copy_wait()
{
    asm volatile("cp.async.wait_group 0;" ::: "memory");
}

/* Starts copying rows at..at+rows-1; `thread` is one of THREADS that do it. */
template <int D, int THREADS> __device__ inline void
copy_rows(bf16 *to, const head_rows &from, int at, int rows, int thread)
{
    constexpr int PIECES = D / 8, STEP = THREADS / PIECES; /* pieces of 16 bytes in a row */
    const int first = thread / PIECES, c = thread % PIECES * 8;
    const bf16 *p = from.p + (at + first) * from.ld + c;

    if (first >= STEP) /* 96 columns leave some threads without work */
        return;
    to += first * ROW_LD<D> + c;
#pragma unroll 4
    for (int r = first; r < rows; r += STEP) {
        const bool there = at + r < from.n;

        copy_16(to, there ? p : from.p, there);
        p += STEP * from.ld;
        to += STEP * ROW_LD<D>;
    }
}

/* A (16, D) operand straight from memory: rows at..at+15, zeros behind the last one. */
template <int D> __device__ inline void load_operand(uint32_t (&a)[D / 16][4],
                                                     const head_rows &from, int at)
{
    const int lane = threadIdx.x % WARP, r0 = at + lane / 4, r1 = r0 + 8;
    const bool is0 = r0 < from.n, is1 = r1 < from.n;
    const bf16 *p0 = from.p + (is0 ? r0 : 0) * from.ld + 2 * (lane % 4);
    const bf16 *p1 = from.p + (is1 ? r1 : 0) * from.ld + 2 * (lane % 4);

#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        a[k][0] = is0 ? *(const uint32_t *)(p0 + 16 * k) : 0;
        a[k][1] = is1 ? *(const uint32_t *)(p1 + 16 * k) : 0;
        a[k][2] = is0 ? *(const uint32_t *)(p0 + 16 * k + 8) : 0;
        a[k][3] = is1 ? *(const uint32_t *)(p1 + 16 * k + 8) : 0;
    }
}

/* A (16, D) operand from 16 rows of shared memory. */
template <int D>
__device__ inline void take_operand(uint32_t (&a)[D / 16][4], const bf16 *rows)
{
    const int lane = threadIdx.x % WARP;
    const bf16 *p = rows + lane % 16 * ROW_LD<D> + lane / 16 * 8;

#pragma unroll
    for (int k = 0; k < D / 16; k++)
        load_matrix(a[k], p + 16 * k);
}

/* c[m] (16, 16) = a[m] (16, D) rowsᵀ, rows (16, D) in shared memory. */
template <int D, int M> __device__ inline void
times_rows_turned(float (&c)[M][2][4], const uint32_t (&a)[M][D / 16][4], const bf16 *rows)
{
    const int lane = threadIdx.x % WARP;
    const bf16 *p = rows + (lane % 8 + lane / 16 * 8) * ROW_LD<D> + lane / 8 % 2 * 8;

#pragma unroll
    for (int i = 0; i < 8 * M; i++)
        c[i / 8][i / 4 % 2][i % 4] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t b[4];

        load_matrix(b, p + 16 * k);
#pragma unroll
        for (int m = 0; m < M; m++) {
            multiply(c[m][0], a[m][k], b[0], b[1]);
            multiply(c[m][1], a[m][k], b[2], b[3]);
        }
    }
}

/* c (16, 16) = a (16, D) rowsᵀ, both in shared memory. */
template <int D> __device__ inline void
shared_times_turned(float (&c)[2][4], const bf16 *a, const bf16 *rows)
{
    const int lane = threadIdx.x % WARP;
    const bf16 *p = rows + (lane % 8 + lane / 16 * 8) * ROW_LD<D> + lane / 8 % 2 * 8;

    a += lane % 16 * ROW_LD<D> + lane / 16 * 8;
#pragma unroll
    for (int i = 0; i < 8; i++)
        c[i / 4][i % 4] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t own[4], b[4];

        load_matrix(own, a + 16 * k);
        load_matrix(b, p + 16 * k);
        multiply(c[0], own, b[0], b[1]);
        multiply(c[1], own, b[2], b[3]);
    }
}

/* c[m] (16, D) += a[m] (16, 16) rows, rows (16, D) in shared memory. */
template <int D, int M> __device__ inline void
times_rows(float (&c)[M][D / 8][4], const uint32_t (&a)[M][4], const bf16 *rows)
{
    const int lane = threadIdx.x % WARP;
    const bf16 *p = rows + lane % 16 * ROW_LD<D> + lane / 16 * 8;

#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t b[4];

        load_matrix_turned(b, p + 16 * k);
#pragma unroll
        for (int m = 0; m < M; m++) {
            multiply(c[m][2 * k], a[m], b[0], b[1]);
            multiply(c[m][2 * k + 1], a[m], b[2], b[3]);
        }
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

/* Writes a result (16, D), each half of its rows times its factor, to rows before n. */
template <int D>
__device__ inline void store_result(bf16 *to, int64_t ld, const float (&c)[D / 8][4],
                                    int at, int n, float2 factor)
{
    const int lane = threadIdx.x % WARP, r0 = at + lane / 4, r1 = r0 + 8;
    bf16 *p = to + 2 * (lane % 4);

#pragma unroll
    for (int k = 0; k < D / 8; k++) {
        if (r0 < n)
            *(uint32_t *)(p + r0 * ld + 8 * k) =
                pack_bf16(c[k][0] * factor.x, c[k][1] * factor.x);
        if (r1 < n)
            *(uint32_t *)(p + r1 * ld + 8 * k) =
                pack_bf16(c[k][2] * factor.y, c[k][3] * factor.y);
    }
}

/* Of two stages of two tiles. */
template <int D>
constexpr size_t TILES_BYTES = 4 * ATTN_TILE * ROW_LD<D> * sizeof(bf16);

/*
 * A pair of matrices through shared memory, ATTN_TILE rows at a time: while one tile is
 * used the next is on its way, and one barrier a tile tells that the one has come and that
 * nobody needs the room of the other any more.  more(stage, place) starts what else
 * belongs to a tile; f(stage, tile, place) uses it, by all threads;
 * the second tile lies behind the first.
 */
template <int D, class More, class F>
__device__ static inline void each_tile(bf16 *room, const head_rows &first,
                                        const head_rows &second, More more, F f)
{
    constexpr int SIZE = ATTN_TILE * ROW_LD<D>;
    const auto start = [&](int place) {
        const int stage = place / ATTN_TILE & 1;
        bf16 *to = room + stage * 2 * SIZE;

        copy_rows<D, ATTN_THREADS>(to, first, place, ATTN_TILE, threadIdx.x);
        copy_rows<D, ATTN_THREADS>(to + SIZE, second, place, ATTN_TILE, threadIdx.x);
        more(stage, place);
        copy_commit();
    };

    start(0);
    for (int place = 0; place < first.n; place += ATTN_TILE) {
        const int stage = place / ATTN_TILE & 1;

        copy_wait();
        __syncthreads();
        if (place + ATTN_TILE < first.n)
            start(place + ATTN_TILE);
        f(stage, (const bf16 *)room + stage * 2 * SIZE, place);
    }
}

/* ---- dropout in fragments; see index.h ---- */

/*
 * Words for the 16 x 16 values of which a lane has 8: half c % 2 of word 2 i + c / 2 is for
 * value c of the i-th result.  Rows are queries from `query` on, columns keys from `key`;
 * both are multiples of 16.
 */
__device__ inline void draw_words(uint32_t (&w)[4], const head &h, int query, int key)
{
    const int lane = threadIdx.x % WARP;
    const uint4 own = drop_words(h.key, h.record, h.base + (uint32_t)(query + lane / 4),
                                 (uint32_t)(key / 4 + lane % 4), (uint32_t)h.index);

    w[0] = own.x;
    w[1] = own.y;
    w[2] = own.z;
    w[3] = own.w;
}

/* The same with rows keys and columns queries. */
__device__ inline void draw_words_turned(uint32_t (&w)[4], const head &h, int query, int key)
{
    const int lane = threadIdx.x % WARP;
    const bool odd = lane / 4 % 2;
    const uint4 own =
        drop_words(h.key, h.record, h.base + (uint32_t)(query + attn_turn_query(lane)),
                   drop_attn_group((uint32_t)(key + attn_turn_key(lane))), (uint32_t)h.index);
    /* Lower or upper halves, of words 0 and 1 (keys r) and of 2 and 3 (keys r + 8). */
    const uint32_t low = 0x5410, high = 0x7632, keep = odd ? high : low, give = odd ? low : high;
    const uint32_t own0 = __byte_perm(own.x, own.y, keep), own1 = __byte_perm(own.z, own.w, keep);
    const uint32_t got0 = __shfl_xor_sync(0xffffffffu, __byte_perm(own.x, own.y, give), 4);
    const uint32_t got1 = __shfl_xor_sync(0xffffffffu, __byte_perm(own.z, own.w, give), 4);
    /* What is of query c into the lower half. */
    const uint32_t first = odd ? 0x1054 : low, second = odd ? 0x3276 : high;

    w[0] = __byte_perm(own0, got0, first);
    w[1] = __byte_perm(own1, got1, first);
    w[2] = __byte_perm(own0, got0, second);
    w[3] = __byte_perm(own1, got1, second);
}

#endif
