/* SPDX-License-Identifier: MIT */
/*
 * attn_bwd: attention backwards.
 *
 * The probabilities are made again from lse.  dq has a pass of its own over the keys, dk
 * and dv one over the queries, so every sum is made by one warp in one order and nothing
 * is added with atomics; scores and dy vᵀ are computed twice for that.
 *
 *     p = exp(s scale - lse)    ds = p (dp keep - delta) scale    dp = dy vᵀ
 *     dq = ds k    dk = dsᵀ q    dv = (p keep)ᵀ dy
 */
#include "attn.cuh"

__device__ static inline void clear(float (&c)[4])
{
    c[0] = c[1] = c[2] = c[3] = 0;
}

/* ---- dq: rows are queries, columns keys ---- */

template <int D> struct query_side {
    uint32_t q[D / 16][4], dy[D / 16][4];
    float dq[D / 8][4];
    float lse[2], delta[2]; /* of rows lane / 4 and lane / 4 + 8; lse in powers of 2 */
    uint32_t offset;
};

template <int D> __device__ static inline void
begin_queries(query_side<D> &f, const attn_arg &a, const head &h, int query)
{
    const int lane = threadIdx.x % WARP;

    load_operand<D>(f.q, (const bf16 *)a.qkv + h.first * a.ldq + h.index * D, a.ldq,
                    query, h.n);
    load_operand<D>(f.dy, (const bf16 *)a.dy + h.first * a.lddy + h.index * D, a.lddy,
                    query, h.n);
#pragma unroll
    for (int i = 0; i < D / 8; i++)
        clear(f.dq[i]);
    for (int r = 0; r < 2; r++) {
        const int i = query + lane / 4 + 8 * r;
        const int64_t at = h.index * a.n_tok + h.first + i;

        f.lse[r] = i < h.n ? a.lse[at] * LOG2E : INFINITY; /* behind the end p is 0 */
        f.delta[r] = i < h.n ? a.delta[at] : 0;
    }
    f.offset = a.drop.on ? query_offset(a, h, query + attn_draw_row(lane)) : 0;
}

/* 16 queries against the keys at places place..place+rows-1. */
template <int D>
__device__ static inline void step_queries(query_side<D> &f, const attn_arg &a,
                                           const head &h, const bf16 *k, const bf16 *v,
                                           int place, int rows)
{
    const int lane = threadIdx.x % WARP;

    for (int g = 0; g < rows; g += 16) {
        float s[2][4], dp[2][4];
        uint32_t ds[4];

        times_rows_turned<D>(s, f.q, k + g * ROW_LD<D>);
        times_rows_turned<D>(dp, f.dy, v + g * ROW_LD<D>);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            uint32_t w[4] = {};

            if (a.drop.on)
                draw_words(w, h, f.offset, place + g + 8 * i);
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const int at = place + g + 8 * i + 2 * (lane % 4) + c % 2;
                const bool there = at >= h.shift && at < h.n + h.shift;
                const float p = exp2f(s[i][c] * (a.scale * LOG2E) - f.lse[c / 2]);
                const float keep = !a.drop.on                ? 1
                                   : w[c] < a.drop.threshold ? 0
                                                             : a.drop.scale;

                s[i][c] = there ? p * (dp[i][c] * keep - f.delta[c / 2]) * a.scale : 0;
            }
        }
        as_operand(ds, s[0], s[1]);
        times_rows<D>(f.dq, ds, k + g * ROW_LD<D>);
    }
}

template <int D>
__device__ static inline void finish_queries(const query_side<D> &f, const attn_arg &a,
                                             const head &h, int query)
{
    store_result<D>((bf16 *)a.dqkv + h.first * a.lddq + h.index * D, a.lddq, f.dq, query,
                    h.n, 1, 1);
}

/* ---- dk and dv: rows are keys, columns queries ---- */

template <int D> struct key_side {
    uint32_t k[D / 16][4], v[D / 16][4];
    float dk[D / 8][4], dv[D / 8][4];
};

/* The 16 keys at places place..place+15. */
template <int D>
__device__ static inline void begin_keys(key_side<D> &f, const attn_arg &a, const head &h,
                                         int place)
{
    const bf16 *k = (const bf16 *)a.qkv + h.first * a.ldq + a.h + h.index * D;

    load_operand<D>(f.k, k, a.ldq, place - h.shift, h.n);
    load_operand<D>(f.v, k + a.h, a.ldq, place - h.shift, h.n);
#pragma unroll
    for (int i = 0; i < D / 8; i++) {
        clear(f.dk[i]);
        clear(f.dv[i]);
    }
}

/* The 16 keys at `place` against queries query..query+rows-1. */
template <int D> __device__ static inline void step_keys(key_side<D> &f,
                                                         const attn_arg &a, const head &h,
                                                         const bf16 *q, const bf16 *dy,
                                                         int place, int query, int rows)
{
    const int lane = threadIdx.x % WARP;
    const float *lse = a.lse + h.index * a.n_tok + h.first;
    const float *delta = a.delta + h.index * a.n_tok + h.first;

    for (int g = 0; g < rows; g += 16) {
        float s[2][4], dp[2][4];
        uint32_t operand[4];

        times_rows_turned<D>(s, f.k, q + g * ROW_LD<D>);
        times_rows_turned<D>(dp, f.v, dy + g * ROW_LD<D>);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int column = query + g + 8 * i;
            uint32_t w[4] = {};

            if (a.drop.on)
                draw_words_turned(
                    w, h, query_offset(a, h, column + attn_turn_column(lane)), place);
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const int at = column + 2 * (lane % 4) + c % 2;
                const bool there = at < h.n;
                const float top = there ? lse[at] * LOG2E : INFINITY;
                const float p = exp2f(s[i][c] * (a.scale * LOG2E) - top);
                const float keep = !a.drop.on                ? 1
                                   : w[c] < a.drop.threshold ? 0
                                                             : a.drop.scale;

                s[i][c] = p * keep;
                dp[i][c] = p * (dp[i][c] * keep - (there ? delta[at] : 0)) * a.scale;
            }
        }
        as_operand(operand, s[0], s[1]);
        times_rows<D>(f.dv, operand, dy + g * ROW_LD<D>);
        as_operand(operand, dp[0], dp[1]);
        times_rows<D>(f.dk, operand, q + g * ROW_LD<D>);
    }
}

template <int D> __device__ static inline void
finish_keys(const key_side<D> &f, const attn_arg &a, const head &h, int place)
{
    bf16 *k = (bf16 *)a.dqkv + h.first * a.lddq + a.h + h.index * D;

    store_result<D>(k, a.lddq, f.dk, place - h.shift, h.n, 1, 1);
    store_result<D>(k + a.h, a.lddq, f.dv, place - h.shift, h.n, 1, 1);
}

/* ---- kernels ---- */

/*
 * A pair of matrices through shared memory, ATTN_TILE rows at a time, two tiles deep;
 * f(tile, second tile, first row, rows) for each.  Rows are places 0..places-1, shift of
 * them empty.
 */
template <int D, class F>
__device__ static inline void each_tile(bf16 *room, const bf16 *first, int64_t ld_first,
                                        const bf16 *second, int64_t ld_second, int shift,
                                        int n, F f)
{
    constexpr int SIZE = ATTN_TILE * ROW_LD<D>;
    const int places = n + shift;

    for (int t = -1; t * ATTN_TILE < places; t++) {
        const int next = (t + 1) * ATTN_TILE, left = places - t * ATTN_TILE;
        bf16 *to = room + ((t + 1) & 1) * 2 * SIZE, *now = room + (t & 1) * 2 * SIZE;

        if (next < places) {
            copy_rows<D>(to, first, ld_first, next, shift, n, ATTN_TILE, threadIdx.x,
                         ATTN_THREADS);
            copy_rows<D>(to + SIZE, second, ld_second, next, shift, n, ATTN_TILE,
                         threadIdx.x, ATTN_THREADS);
        }
        copy_commit();
        if (t < 0)
            continue;
        copy_wait<1>();
        __syncthreads();
        f(now, now + SIZE, t * ATTN_TILE,
          left < ATTN_TILE ? (left + 15) / 16 * 16 : ATTN_TILE);
        __syncthreads();
    }
}

/*
 * dq of long sequences.  Grid: a block for every ATTN_TILE queries of each head of each
 * sequence; 4 warps with 16 queries each.  CPU: attn_bwd_head.
 */
template <int D>
static __global__ void __launch_bounds__(ATTN_THREADS) dq_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    const attn_place p = attn_find(blockIdx.x, a.heads, a.tiles);
    const head h = head_at(a, p.seq, p.head);
    const int query = p.tile * ATTN_TILE + (int)(threadIdx.x / WARP) * 16;
    const bf16 *k = (const bf16 *)a.qkv + h.first * a.ldq + a.h + h.index * D;
    query_side<D> f;

    if (p.tile * ATTN_TILE >= h.n)
        return;
    begin_queries<D>(f, a, h, query);
    each_tile<D>((bf16 *)room, k, a.ldq, k + a.h, a.ldq, h.shift, h.n,
                 [&](const bf16 *ks, const bf16 *vs, int place, int rows) {
                     if (query < h.n)
                         step_queries<D>(f, a, h, ks, vs, place, rows);
                 });
    finish_queries<D>(f, a, h, query);
}

/*
 * dk and dv of long sequences.  Grid: a block for every ATTN_TILE places of keys of each
 * head of each sequence; 4 warps with 16 keys each.  CPU: attn_bwd_head.
 */
template <int D>
static __global__ void __launch_bounds__(ATTN_THREADS) dkv_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    const attn_place p = attn_find(blockIdx.x, a.heads, a.tiles);
    const head h = head_at(a, p.seq, p.head);
    const int place = p.tile * ATTN_TILE + (int)(threadIdx.x / WARP) * 16;
    const bf16 *q = (const bf16 *)a.qkv + h.first * a.ldq + h.index * D;
    const bf16 *dy = (const bf16 *)a.dy + h.first * a.lddy + h.index * D;
    key_side<D> f;

    if (h.n == 0 || p.tile * ATTN_TILE >= h.n + h.shift)
        return;
    begin_keys<D>(f, a, h, place);
    each_tile<D>((bf16 *)room, q, a.ldq, dy, a.lddy, 0, h.n,
                 [&](const bf16 *qs, const bf16 *dys, int query, int rows) {
                     if (place < h.n + h.shift)
                         step_keys<D>(f, a, h, qs, dys, place, query, rows);
                 });
    finish_keys<D>(f, a, h, place);
}

/*
 * Short sequences, all three gradients.  Grid: a warp for each head of each sequence, as
 * many in a block as its shared memory holds; a warp has k, v, q and dy in a.rows rows
 * each.  CPU: attn_bwd_head.
 */
template <int D>
static __global__ void __launch_bounds__(ATTN_THREADS) short_bwd_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP,
              size = a.rows * ROW_LD<D>;
    const int64_t task = (int64_t)blockIdx.x * (blockDim.x / WARP) + warp;
    bf16 *k = (bf16 *)room + (size_t)warp * 4 * size, *v = k + size, *q = v + size;
    bf16 *dy = q + size;

    if (task >= a.tasks)
        return;
    const attn_place p = attn_find(task, a.heads, 1);
    const head h = head_at(a, p.seq, p.head);
    const bf16 *from = (const bf16 *)a.qkv + h.first * a.ldq + h.index * D;
    const int keys = (h.n + h.shift + 15) / 16 * 16, queries = (h.n + 15) / 16 * 16;

    if (h.n == 0)
        return;
    copy_rows<D>(k, from + a.h, a.ldq, 0, h.shift, h.n, keys, lane, WARP);
    copy_rows<D>(v, from + 2 * a.h, a.ldq, 0, h.shift, h.n, keys, lane, WARP);
    copy_rows<D>(q, from, a.ldq, 0, 0, h.n, queries, lane, WARP);
    copy_rows<D>(dy, (const bf16 *)a.dy + h.first * a.lddy + h.index * D, a.lddy, 0, 0,
                 h.n, queries, lane, WARP);
    copy_commit();
    copy_wait<0>();
    __syncwarp();
    for (int query = 0; query < h.n; query += 16) {
        query_side<D> f;

        begin_queries<D>(f, a, h, query);
        step_queries<D>(f, a, h, k, v, 0, keys);
        finish_queries<D>(f, a, h, query);
    }
    for (int place = 0; place < h.n + h.shift; place += 16) {
        key_side<D> f;

        begin_keys<D>(f, a, h, place);
        step_keys<D>(f, a, h, q, dy, place, 0, queries);
        finish_keys<D>(f, a, h, place);
    }
}

template <int D>
static int run_long(struct dev *d, attn_arg a, const struct attn *f, struct err *e)
{
    static const char op[] = "attn_bwd";
    const size_t bytes = 4 * ATTN_TILE * ROW_LD<D> * sizeof(bf16);
    attn_arg keys = a;

    a.tiles = (int)index_cut(f->seqs.max_len, ATTN_TILE);
    a.tasks = (int64_t)f->seqs.n_seq * a.heads * a.tiles;
    keys.tiles = (int)index_cut(attn_places(f), ATTN_TILE);
    keys.tasks = (int64_t)f->seqs.n_seq * a.heads * keys.tiles;
    if (keys.tasks > INT32_MAX)
        return err_set(e, ERR_RUN,
                       "attn_bwd: a batch of %lld tokens is too large for the GPU",
                       (long long)a.n_tok);
    CUDA_TRY(d, allow_room(dq_kernel<D>, bytes), op, e);
    CUDA_TRY(d, allow_room(dkv_kernel<D>, bytes), op, e);
    dq_kernel<D><<<(unsigned)a.tasks, ATTN_THREADS, bytes, d->stream>>>(a);
    dkv_kernel<D><<<(unsigned)keys.tasks, ATTN_THREADS, bytes, d->stream>>>(keys);
    return cuda_launched(d, op, e);
}

template <int D>
static int run_short(struct dev *d, attn_arg a, const struct attn *f, struct err *e)
{
    a.rows = (int)index_round(attn_places(f), 16);
    const size_t each = 4 * (size_t)a.rows * ROW_LD<D> * sizeof(bf16);
    const int fit = (int)(ATTN_ROOM / each), warps = fit < ATTN_WARPS ? fit : ATTN_WARPS;

    a.tasks = (int64_t)f->seqs.n_seq * a.heads;
    CUDA_TRY(d, allow_room(short_bwd_kernel<D>, warps * each), "attn_bwd", e);
    short_bwd_kernel<D><<<(unsigned)index_cut(a.tasks, warps), (unsigned)(warps * WARP),
                          warps * each, d->stream>>>(a);
    return cuda_launched(d, "attn_bwd", e);
}

int cuda_attn_bwd(struct dev *d, const struct attn_bwd *b, struct err *e)
{
    const struct attn *f = b->fwd;
    attn_arg a = attn_fill(f);
    int rc = -1;

    if (f->seqs.n_tok == 0 || f->seqs.n_seq == 0)
        return 0;
    if (!f->lse)
        return err_set(e, ERR_INTERNAL, "attention's backward pass needs lse");
    if (!attn_is_fast(d, f) || !attn_rows_fit(&b->dy) || !attn_rows_fit(&b->dqkv))
        return attn_plain_bwd(d, b, e);
    if (attn_delta(d, f, &b->dy, &a, e))
        return -1;
    a.dqkv = b->dqkv.p;
    a.lddq = b->dqkv.ld;
    by_head_width(a.width, [&](auto width) {
        rc = attn_places(f) <= ATTN_SHORT ? run_short<width()>(d, a, f, e)
                                          : run_long<width()>(d, a, f, e);
    });
    return rc;
}
