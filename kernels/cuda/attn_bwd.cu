/* SPDX-License-Identifier: MIT */
/*
 * attn_bwd: attention backwards.
 *
 * The probabilities are made again from lse.  dq has a pass of its own over the keys, dk
 * and dv one over the queries, so every sum is made by one warp in one order and nothing
 * is added with atomics; scores and dy vᵀ are computed twice for that.
 *
 *     p = exp(s scale - lse)    ds = p (dp keep - dy · y) scale    dp = dy vᵀ
 *     dq = ds k    dk = dsᵀ q    dv = (p keep)ᵀ dy
 *
 * keep is 0 or dropout's scale.  What all of a sum is multiplied with is left for its end:
 * ds is made of dp where it is kept and of (dy · y) / dropout's scale.  Both passes draw
 * what dropout drops: handing it on, a bit each, takes as many instructions.
 */
#include "attn.cuh"

template <int M, int N> __device__ static inline void clear(float (&c)[M][N][4])
{
#pragma unroll
    for (int i = 0; i < M * N * 4; i++)
        c[i / 4 / N][i / 4 % N][i % 4] = 0;
}

/*
 * The queries or keys of a warp, and the places of the other side that they meet: rows of
 * them, by 16, in two matrices that lie so far apart.
 */
struct tile_at {
    int own, place, rows, apart;
};

/* ---- dq: rows are queries, columns keys ---- */

/* M times 16 queries. */
template <int D, int M> struct query_side {
    uint32_t q[M][D / 16][4], dy[M][D / 16][4];
    float dq[M][D / 8][4];
    float2 stats[M][2]; /* attn_arg.stats of rows lane / 4 and lane / 4 + 8 */
};

__device__ static inline float dot_pair(uint32_t a, uint32_t b)
{
    return __uint_as_float(a << 16) * __uint_as_float(b << 16) +
           __uint_as_float(a & 0xffff0000u) * __uint_as_float(b & 0xffff0000u);
}

/* The stats of the 16 queries at `query`, whose dy and y are given, and dq = 0. */
template <int D, int M>
__device__ static inline void begin_queries(query_side<D, M> &f, const attn_arg &a,
                                            const head &h, const uint32_t (&y)[D / 16][4],
                                            int m, int query)
{
    const float keep = a.drop.scale > 0 ? 1 / a.drop.scale : 0;
    float sum[2] = {0, 0};

#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        sum[0] += dot_pair(f.dy[m][k][0], y[k][0]) + dot_pair(f.dy[m][k][2], y[k][2]);
        sum[1] += dot_pair(f.dy[m][k][1], y[k][1]) + dot_pair(f.dy[m][k][3], y[k][3]);
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int i = query + (int)(threadIdx.x % WARP) / 4 + 8 * r;
        const float delta = quad_sum(sum[r]) * keep;

        /* Behind the end p is 0. */
        f.stats[m][r] =
            i < h.n ? make_float2(a.lse[h.index * a.n_tok + h.first + i] * LOG2E, delta)
                    : make_float2(INFINITY, 0);
    }
}

/* Stores the stats where `to` has those of the sequence's first query. */
template <int D, int M> __device__ static inline void
store_stats(const query_side<D, M> &f, float2 *to, int query, int n)
{
    const int lane = threadIdx.x % WARP;

#pragma unroll
    for (int i = 0; i < 2 * M; i++)
        if (lane % 4 == 0 && query + lane / 4 + 8 * i < n)
            to[query + lane / 4 + 8 * i] = f.stats[i / 2][i % 2];
}

/*
 * dp becomes ds: M times 16 queries, 16 keys.  FULL: all are keys.  Places without a key
 * have rows of zeros, for which p may be infinite.
 */
template <int M, bool FULL, bool DROP, class Stats>
__device__ static inline void soften_queries(float (&s)[M][2][4], float (&dp)[M][2][4],
                                             const attn_arg &a, const head &h,
                                             const Stats &stats, const tile_at &t)
{
    const int lane = threadIdx.x % WARP;

#pragma unroll
    for (int m = 0; m < M; m++) {
        uint32_t w[4];

        if (DROP)
            draw_words(w, h, t.own + 16 * m, t.place);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int half = i / 4, c = i % 4;
            const float2 row = stats[m][c / 2];
            const float p = exp2_approx(fmaf(s[m][half][c], a.scale * LOG2E, -row.x));
            const bool drop = DROP && drops(a.drop, w[i / 2], i % 2);
            const float ds = p * ((drop ? 0 : dp[m][half][c]) - row.y);

            dp[m][half][c] =
                FULL || t.place + 8 * half + 2 * (lane % 4) + c % 2 < h.n ? ds : 0;
        }
    }
}

/* The queries of f against the keys of a tile. */
template <int D, int M, bool FULL, bool DROP> __device__ static inline void
step_queries(query_side<D, M> &f, const attn_arg &a, const head &h, const bf16 *k,
             const tile_at &t)
{
    const bf16 *v = k + t.apart;

#pragma unroll 1
    for (int g = 0; g < t.rows; g += 16) {
        float s[M][2][4], dp[M][2][4];
        uint32_t ds[M][4];

        times_rows_turned<D, M>(s, f.q, k + g * ROW_LD<D>);
        times_rows_turned<D, M>(dp, f.dy, v + g * ROW_LD<D>);
        soften_queries<M, FULL, DROP>(s, dp, a, h, f.stats,
                                      {t.own, t.place + g, 16, 0});
#pragma unroll
        for (int m = 0; m < M; m++)
            as_operand(ds[m], dp[m][0], dp[m][1]);
        times_rows<D, M>(f.dq, ds, k + g * ROW_LD<D>);
    }
}

template <int D, int M> __device__ static inline void
finish_queries(const query_side<D, M> &f, const attn_arg &a, const head &h, int query)
{
    const float factor = a.scale * a.drop.scale;

#pragma unroll
    for (int m = 0; m < M; m++)
        store_result<D>((bf16 *)a.dqkv + h.first * a.lddq + h.index * D, a.lddq, f.dq[m],
                        query + 16 * m, h.n, make_float2(factor, factor));
}

/* ---- dk and dv: rows are keys, columns queries ---- */

/* Whether v stays in registers, or is read from shared memory each time. */
template <int D> constexpr bool HOLDS_V = D <= 96;

template <int D> struct key_side {
    uint32_t k[1][D / 16][4], v[1][HOLDS_V<D> ? D / 16 : 1][4];
    float dk[1][D / 8][4], dv[1][D / 8][4];
    const bf16 *rows; /* of v, in shared memory */
};

template <int D>
__device__ static inline void begin_keys(key_side<D> &f, const bf16 *v)
{
    f.rows = v;
    clear(f.dk);
    clear(f.dv);
}

/* c (16, 16) = v (16, D) rowsᵀ */
template <int D> __device__ static inline void
times_v(float (&c)[1][2][4], const key_side<D> &f, const bf16 *rows)
{
    if constexpr (HOLDS_V<D>)
        times_rows_turned<D, 1>(c, f.v, rows);
    else
        shared_times_turned<D>(c[0], f.rows, rows);
}

/*
 * s becomes p keep, dp ds: 16 keys and 16 queries, whose stats and words are given.  Queries
 * behind the end have zeros in all, and so has what is made of them.
 */
template <bool DROP> __device__ static inline void
soften_keys(float (&s)[2][4], float (&dp)[2][4], const attn_arg &a, const float2 *stats,
            const uint32_t (&w)[4])
{
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const float4 two = *(const float4 *)(stats + 8 * i + 2 * (threadIdx.x % 4));

#pragma unroll
        for (int c = 0; c < 4; c++) {
            const float lse = c % 2 ? two.z : two.x, delta = c % 2 ? two.w : two.y;
            const float p = exp2_approx(fmaf(s[i][c], a.scale * LOG2E, -lse));
            const bool drop = DROP && drops(a.drop, w[2 * i + c / 2], c % 2);

            s[i][c] = drop ? 0 : p;
            dp[i][c] = p * ((drop ? 0 : dp[i][c]) - delta);
        }
    }
}

/* The keys of f against the queries of a tile. */
template <int D, bool DROP> __device__ static inline void
step_keys(key_side<D> &f, const attn_arg &a, const head &h, const bf16 *q,
          const float2 *stats, const tile_at &t)
{
    const bf16 *dy = q + t.apart;

#pragma unroll 1
    for (int g = 0; g < t.rows; g += 16) {
        float s[1][2][4], dp[1][2][4];
        uint32_t operand[1][4], w[4] = {0, 0, 0, 0};

        times_rows_turned<D, 1>(s, f.k, q + g * ROW_LD<D>);
        times_v(dp, f, dy + g * ROW_LD<D>);
        if (DROP)
            draw_words_turned(w, h, t.place + g, t.own);
        soften_keys<DROP>(s[0], dp[0], a, stats + g, w);
        as_operand(operand[0], s[0][0], s[0][1]);
        times_rows<D, 1>(f.dv, operand, dy + g * ROW_LD<D>);
        as_operand(operand[0], dp[0][0], dp[0][1]);
        times_rows<D, 1>(f.dk, operand, q + g * ROW_LD<D>);
    }
}

template <int D> __device__ static inline void
finish_keys(const key_side<D> &f, const attn_arg &a, const head &h, int place)
{
    bf16 *k = (bf16 *)a.dqkv + h.first * a.lddq + a.h + h.index * D;
    const float factor = a.scale * a.drop.scale;

    store_result<D>(k, a.lddq, f.dk[0], place, h.n, make_float2(factor, factor));
    store_result<D>(k + a.h, a.lddq, f.dv[0], place, h.n,
                    make_float2(a.drop.scale, a.drop.scale));
}

/* ---- kernels ---- */

__device__ static inline int rows_left(int places, int place)
{
    const int left = places - place;

    return left < ATTN_TILE ? (left + 15) / 16 * 16 : ATTN_TILE;
}

/*
 * dq of long sequences, and stats.  Grid: a block for every ATTN_WARPS * 16 M queries of
 * each head of each sequence; a warp has 16 M of them.  CPU: attn_bwd_head.
 */
template <int D, int M, bool DROP>
static __global__ void __launch_bounds__(ATTN_THREADS, M > 1 ? 2 : 1)
    dq_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    const attn_place p = attn_find(blockIdx.x, a.heads, a.tiles);
    const head h = head_at(a, p.seq, p.head);
    const int query = (p.tile * ATTN_WARPS + (int)(threadIdx.x / WARP)) * 16 * M;
    const bf16 *q = (const bf16 *)a.qkv + h.first * a.ldq + h.index * D;
    const bf16 *dy = (const bf16 *)a.dy + h.first * a.lddy + h.index * D;
    const bf16 *y = (const bf16 *)a.y + h.first * a.ldy + h.index * D;
    query_side<D, M> f;

    if (p.tile * ATTN_WARPS * 16 * M >= h.n)
        return;
#pragma unroll
    for (int m = 0; m < M; m++) {
        uint32_t kept[D / 16][4];

        load_operand<D>(f.q[m], {q, a.ldq, h.n}, query + 16 * m);
        load_operand<D>(f.dy[m], {dy, a.lddy, h.n}, query + 16 * m);
        load_operand<D>(kept, {y, a.ldy, h.n}, query + 16 * m);
        begin_queries(f, a, h, kept, m, query + 16 * m);
    }
    clear(f.dq);
    store_stats(f, a.stats + h.index * a.n_tok + h.first, query, h.n);
    each_tile<D>(
        (bf16 *)room, {q + a.h, a.ldq, h.n}, {q + 2 * a.h, a.ldq, h.n},
        [](int, int) {},
        [&](int, const bf16 *k, int place) {
            const tile_at t = {query, place, rows_left(h.n, place),
                               ATTN_TILE * ROW_LD<D>};

            if (query >= h.n)
                return;
            if (place + ATTN_TILE <= h.n)
                step_queries<D, M, true, DROP>(f, a, h, k, t);
            else
                step_queries<D, M, false, DROP>(f, a, h, k, t);
        });
    finish_queries(f, a, h, query);
}

/*
 * dk and dv of long sequences; needs the stats of dq_kernel.  Grid: a block for every
 * ATTN_WARPS * 16 places of keys of each head of each sequence; a warp has 16 of them.
 * CPU: attn_bwd_head.
 */
template <int D, bool DROP>
static __global__ void __launch_bounds__(ATTN_THREADS, D <= 64 ? 3 : 1)
    dkv_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    const attn_place p = attn_find(blockIdx.x, a.heads, a.tiles);
    const head h = head_at(a, p.seq, p.head);
    const int own = (p.tile * ATTN_WARPS + (int)(threadIdx.x / WARP)) * 16;
    const bf16 *q = (const bf16 *)a.qkv + h.first * a.ldq + h.index * D;
    const bf16 *dy = (const bf16 *)a.dy + h.first * a.lddy + h.index * D;
    bf16 *v = (bf16 *)room + 4 * ATTN_TILE * ROW_LD<D>;
    float2 *stats = (float2 *)(v + (HOLDS_V<D> ? 0 : ATTN_TILE * ROW_LD<D>));
    const head_rows keys = {q + a.h, a.ldq, h.n}, values = {q + 2 * a.h, a.ldq, h.n};
    key_side<D> f;

    if (h.n == 0 || p.tile * ATTN_WARPS * 16 >= h.n)
        return;
    load_operand<D>(f.k[0], keys, own);
    if constexpr (HOLDS_V<D>)
        load_operand<D>(f.v[0], values, own);
    else
        copy_rows<D, ATTN_THREADS>(v, values, p.tile * ATTN_TILE, ATTN_TILE, threadIdx.x);
    begin_keys<D>(f, v + threadIdx.x / WARP * 16 * ROW_LD<D>);
    each_tile<D>(
        (bf16 *)room, {q, a.ldq, h.n}, {dy, a.lddy, h.n},
        [&](int stage, int place) {
            const int i = place + (int)threadIdx.x;

            if (threadIdx.x < ATTN_TILE)
                copy_8(stats + stage * ATTN_TILE + threadIdx.x,
                       a.stats + h.index * a.n_tok + h.first + (i < h.n ? i : 0),
                       i < h.n);
        },
        [&](int stage, const bf16 *qs, int place) {
            if (own < h.n)
                step_keys<D, DROP>(
                    f, a, h, qs, stats + stage * ATTN_TILE,
                    {own, place, rows_left(h.n, place), ATTN_TILE * ROW_LD<D>});
        });
    finish_keys(f, a, h, own);
}

/* Bytes of shared memory of a warp of short_bwd_kernel. */
template <int D> __host__ __device__ static inline size_t short_bytes(int rows)
{
    return (size_t)rows * (5 * ROW_LD<D> * sizeof(bf16) + sizeof(float2));
}

/* The same of one head by a warp, everything being in shared memory. */
template <int D, bool DROP> __device__ static inline void
short_bwd(const attn_arg &a, const head &h, bf16 *k, float2 *stats)
{
    const int size = a.rows * ROW_LD<D>, lane = threadIdx.x % WARP;
    const int rows = (h.n + 15) / 16 * 16;
    const bf16 *v = k + size, *q = v + size, *dy = q + size, *y = dy + size;

    for (int i = h.n + lane; i < rows; i += WARP)
        stats[i] = make_float2(0, 0);
    for (int query = 0; query < h.n; query += 16) {
        query_side<D, 1> f;
        uint32_t kept[D / 16][4];

        take_operand<D>(f.q[0], q + query * ROW_LD<D>);
        take_operand<D>(f.dy[0], dy + query * ROW_LD<D>);
        take_operand<D>(kept, y + query * ROW_LD<D>);
        begin_queries(f, a, h, kept, 0, query);
        clear(f.dq);
        store_stats(f, stats, query, h.n);
        step_queries<D, 1, false, DROP>(f, a, h, k, {query, 0, rows, size});
        finish_queries(f, a, h, query);
    }
    __syncwarp();
    for (int place = 0; place < h.n; place += 16) {
        key_side<D> f;

        take_operand<D>(f.k[0], k + place * ROW_LD<D>);
        if constexpr (HOLDS_V<D>)
            take_operand<D>(f.v[0], v + place * ROW_LD<D>);
        begin_keys(f, v + place * ROW_LD<D>);
        step_keys<D, DROP>(f, a, h, q, stats, {place, 0, rows, size});
        finish_keys(f, a, h, place);
    }
}

/*
 * Short sequences, all three gradients.  Grid: a warp for each head of each sequence, as
 * many in a block as its shared memory holds; a warp has k, v, q, dy and y in a.rows rows
 * each, and the stats.  CPU: attn_bwd_head.
 */
template <int D, bool DROP>
static __global__ void __launch_bounds__(ATTN_THREADS) short_bwd_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int64_t task = (int64_t)blockIdx.x * (blockDim.x / WARP) + warp;
    const int size = a.rows * ROW_LD<D>;
    bf16 *k = (bf16 *)(room + warp * short_bytes<D>(a.rows));

    if (task >= a.tasks)
        return;
    const attn_place p = attn_find(task, a.heads, 1);
    const head h = head_at(a, p.seq, p.head);
    const bf16 *from = (const bf16 *)a.qkv + h.first * a.ldq + h.index * D;
    const int rows = (h.n + 15) / 16 * 16;

    if (h.n == 0)
        return;
    copy_rows<D, WARP>(k, {from + a.h, a.ldq, h.n}, 0, rows, lane);
    copy_rows<D, WARP>(k + size, {from + 2 * a.h, a.ldq, h.n}, 0, rows, lane);
    copy_rows<D, WARP>(k + 2 * size, {from, a.ldq, h.n}, 0, rows, lane);
    copy_rows<D, WARP>(
        k + 3 * size,
        {(const bf16 *)a.dy + h.first * a.lddy + h.index * D, a.lddy, h.n}, 0, rows,
        lane);
    copy_rows<D, WARP>(
        k + 4 * size,
        {(const bf16 *)a.y + h.first * a.ldy + h.index * D, a.ldy, h.n}, 0, rows,
        lane);
    copy_commit();
    copy_wait();
    __syncwarp();
    short_bwd<D, DROP>(a, h, k, (float2 *)(k + 5 * size));
}

static int too_large(const attn_arg *a, struct err *e)
{
    return err_set(e, ERR_RUN,
                   "attn_bwd: a batch of %lld tokens is too large for the GPU",
                   (long long)a->n_tok);
}

template <int D, bool DROP>
static int run_keys(struct dev *d, attn_arg a, const struct attn *f, struct err *e)
{
    const size_t own = HOLDS_V<D> ? 0 : ATTN_TILE * ROW_LD<D> * sizeof(bf16);
    const size_t bytes =
        TILES_BYTES<D> + own + 2 * ATTN_TILE * sizeof(float2);

    a.tiles = (int)index_cut(f->seqs.max_len, ATTN_WARPS * 16);
    a.tasks = (int64_t)f->seqs.n_seq * a.heads * a.tiles;
    if (a.tasks > INT32_MAX)
        return too_large(&a, e);
    CUDA_TRY(d, allow_room(dkv_kernel<D, DROP>, bytes), "attn_bwd", e);
    dkv_kernel<D, DROP><<<(unsigned)a.tasks, ATTN_THREADS, bytes, d->stream>>>(a);
    return cuda_launched(d, "attn_bwd", e);
}

template <int D, int M, bool DROP>
static int run_long(struct dev *d, attn_arg a, const struct attn *f, struct err *e)
{
    a.stats =
        (float2 *)cuda_scratch(d, (size_t)(a.heads * a.n_tok) * sizeof *a.stats, e);
    if (!a.stats)
        return -1;
    a.tiles = (int)index_cut(f->seqs.max_len, ATTN_WARPS * 16 * M);
    a.tasks = (int64_t)f->seqs.n_seq * a.heads * a.tiles;
    if (a.tasks > INT32_MAX)
        return too_large(&a, e);
    CUDA_TRY(d, allow_room(dq_kernel<D, M, DROP>, TILES_BYTES<D>), "attn_bwd", e);
    dq_kernel<D, M, DROP>
        <<<(unsigned)a.tasks, ATTN_THREADS, TILES_BYTES<D>, d->stream>>>(a);
    if (cuda_launched(d, "attn_bwd", e))
        return -1;
    return run_keys<D, DROP>(d, a, f, e);
}

template <int D, bool DROP>
static int run_short(struct dev *d, attn_arg a, const struct attn *f, struct err *e)
{
    a.rows = (int)index_round(f->seqs.max_len, 16);
    const size_t each = short_bytes<D>(a.rows);
    const int fit = (int)(ATTN_ROOM / each), warps = fit < ATTN_WARPS ? fit : ATTN_WARPS;

    a.tasks = (int64_t)f->seqs.n_seq * a.heads;
    if (a.tasks > INT32_MAX)
        return too_large(&a, e);
    CUDA_TRY(d, allow_room(short_bwd_kernel<D, DROP>, warps * each), "attn_bwd", e);
    short_bwd_kernel<D, DROP><<<(unsigned)index_cut(a.tasks, warps),
                                (unsigned)(warps * WARP), warps * each, d->stream>>>(a);
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
    a.dy = b->dy.p;
    a.lddy = b->dy.ld;
    a.dqkv = b->dqkv.p;
    a.lddq = b->dqkv.ld;
    by_head(a.width, f->drop.p > 0, [&](auto width, auto drop) {
        if (f->seqs.max_len <= ATTN_SHORT)
            rc = run_short<width(), drop()>(d, a, f, e);
        else if (attn_rows_once(f->seqs.max_len))
            rc = run_long<width(), 1, drop()>(d, a, f, e);
        else
            rc = run_long<width(), ROWS_MOST<width()>, drop()>(d, a, f, e);
    });
    return rc;
}
