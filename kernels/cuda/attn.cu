/* SPDX-License-Identifier: MIT */
/*
 * attn: attention of every sequence with itself, forwards.
 *
 * A warp keeps 16 queries, the running maximum and sum of their scores (Milakov and
 * Gimelshein's online softmax; Dao et al., FlashAttention-2, arXiv:2307.08691) and 16
 * rows of the output in registers and goes over tiles of keys in shared memory.
 */
#include "attn.cuh"

attn_arg attn_fill(const struct attn *a)
{
    attn_arg g = {};

    g.qkv = a->qkv.p;
    g.y = a->y.p;
    g.lse = a->lse;
    g.cu = a->seqs.cu;
    g.row = a->seqs.row;
    g.ldq = a->qkv.ld;
    g.ldy = a->y.ld;
    g.n_tok = a->seqs.n_tok;
    g.heads = a->heads;
    g.h = (int)a->y.cols;
    g.width = g.h / g.heads;
    g.scale = a->scale;
    g.drop = drop_arg(&a->drop);
    return g;
}

bool attn_is_fast(const struct dev *d, const struct attn *a)
{
    const int64_t width = a->y.cols / a->heads;

    return d->act == DT_BF16 &&
           (width == 32 || width == 64 || width == 96 || width == 128) &&
           attn_rows_fit(&a->qkv) && attn_rows_fit(&a->y);
}

/* M times 16 queries. */
template <int D, int M> struct forward {
    uint32_t q[M][D / 16][4];
    float o[M][D / 8][4];
    float top[M][2], sum[M][2]; /* of rows lane / 4 and + 8; sum: this lane's share */
};

template <int D, int M> __device__ static inline void begin(forward<D, M> &f)
{
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int i = 0; i < D / 8 * 4; i++)
            f.o[m][i / 4][i % 4] = 0;
        f.top[m][0] = f.top[m][1] = -INFINITY;
        f.sum[m][0] = f.sum[m][1] = 0;
    }
}

/* The maximum over the four lanes that share rows. */
__device__ static inline float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

/*
 * Scores (of G times 16 keys) become probabilities relative to the new maximum; o and sum
 * follow.  Every row has seen a key: the first tile has one.
 */
template <int D, int M, int G>
__device__ static inline void soften(forward<D, M> &f, float (&s)[G][M][2][4], float unit)
{
#pragma unroll
    for (int i = 0; i < 2 * M; i++) {
        const int m = i / 2, r = i % 2;
        float top = f.top[m][r], old, shift;

#pragma unroll
        for (int j = 0; j < 4 * G; j++)
            top = fmaxf(top, s[j / 4][m][j / 2 % 2][2 * r + j % 2]);
        top = quad_max(top);
        old = exp2_approx((f.top[m][r] - top) * unit);
        shift = top * unit;
        f.top[m][r] = top;
        f.sum[m][r] *= old;
#pragma unroll
        for (int j = 0; j < 4 * G; j++) {
            float &x = s[j / 4][m][j / 2 % 2][2 * r + j % 2];

            x = exp2_approx(fmaf(x, unit, -shift));
            f.sum[m][r] += x;
        }
#pragma unroll
        for (int j = 0; j < D / 4; j++)
            f.o[m][j / 2][2 * r + j % 2] *= old;
    }
}

/* Where the keys of a tile are, and the queries of a warp. */
struct tile_at {
    int query, place, rows; /* rows: of 16 */
};

/* Scores of places that have no key count nothing. */
template <int M, int G> __device__ static inline void
mask(float (&s)[G][M][2][4], const head &h, const tile_at &t)
{
    const int first = t.place + 2 * (int)(threadIdx.x % 4);

#pragma unroll
    for (int i = 0; i < 4 * G; i++) {
        if (i / 4 * 16 < t.rows && first + i / 2 * 8 + i % 2 < h.n)
            continue;
#pragma unroll
        for (int m = 0; m < M; m++)
            s[i / 4][m][i / 2 % 2][i % 2] = s[i / 4][m][i / 2 % 2][2 + i % 2] = -INFINITY;
    }
}

/* Drops some of the probabilities s of the 16 queries from `query`, the 16 keys from `place`. */
__device__ static inline void drop_scores(float (&s)[2][4], const attn_arg &a, const head &h,
                                          int query, int place)
{
    uint32_t w[4];

    draw_words(w, h, query, place);
#pragma unroll
    for (int i = 0; i < 8; i++)
        s[i / 4][i % 4] = drops(a.drop, w[i / 2], i % 2) ? 0 : s[i / 4][i % 4];
}

/*
 * The queries of f against the keys of a tile of at most 16 G rows; FULL: it has all of
 * them, and all are keys.  What dropout scales with, finish() does.
 */
template <int D, int M, int G, bool FULL, bool DROP> __device__ static inline void
step(forward<D, M> &f, const attn_arg &a, const head &h, const bf16 *k, const bf16 *v,
     const tile_at &t)
{
    float s[G][M][2][4];
    uint32_t p[G][M][4];

#pragma unroll
    for (int g = 0; g < G; g++)
        if (FULL || 16 * g < t.rows)
            times_rows_turned<D, M>(s[g], f.q, k + 16 * g * ROW_LD<D>);
    if (!FULL)
        mask(s, h, t);
    soften<D, M, G>(f, s, a.scale * LOG2E);
#pragma unroll
    for (int i = 0; i < G * M; i++) {
        float(&x)[2][4] = s[i / M][i % M];

        if (DROP && (FULL || i / M * 16 < t.rows))
            drop_scores(x, a, h, t.query + i % M * 16, t.place + i / M * 16);
        as_operand(p[i / M][i % M], x[0], x[1]);
    }
#pragma unroll
    for (int g = 0; g < G; g++)
        if (FULL || 16 * g < t.rows)
            times_rows<D, M>(f.o, p[g], v + 16 * g * ROW_LD<D>);
}

template <int D, int M> __device__ static inline void
finish(const forward<D, M> &f, const attn_arg &a, const head &h, int query)
{
    const int lane = threadIdx.x % WARP;

#pragma unroll
    for (int m = 0; m < M; m++) {
        const float sum[2] = {quad_sum(f.sum[m][0]), quad_sum(f.sum[m][1])};

        store_result<D>((bf16 *)a.y + h.first * a.ldy + h.index * D, a.ldy, f.o[m],
                        query + 16 * m, h.n,
                        make_float2(a.drop.scale / sum[0], a.drop.scale / sum[1]));
        if (!a.lse || lane % 4)
            continue;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int i = query + 16 * m + lane / 4 + 8 * r;

            if (i < h.n)
                a.lse[h.index * a.n_tok + h.first + i] =
                    f.top[m][r] * a.scale + logf(sum[r]);
        }
    }
}

/*
 * Long sequences.  Grid: a block for every ATTN_WARPS * 16 M queries of each head of each
 * sequence, as many as the longest has; a warp has 16 M of them.  Shared memory: two tiles
 * of keys and two of values.  CPU: attn_head.
 */
template <int D, int M, bool DROP>
static __global__ void __launch_bounds__(ATTN_THREADS, D <= 64 ? 4 - M : 1)
    attn_long_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    /* Keys at a time: more of them need more registers than there are. */
    constexpr int G = M > 1 || DROP ? 2 : ATTN_TILE / 16;
    const attn_place p = attn_find(blockIdx.x, a.heads, a.tiles);
    const head h = head_at(a, p.seq, p.head);
    const int query = (p.tile * ATTN_WARPS + (int)(threadIdx.x / WARP)) * 16 * M;
    const bf16 *q = (const bf16 *)a.qkv + h.first * a.ldq + h.index * D;
    forward<D, M> f;

    if (p.tile * ATTN_WARPS * 16 * M >= h.n)
        return;
#pragma unroll
    for (int m = 0; m < M; m++)
        load_operand<D>(f.q[m], {q, a.ldq, h.n}, query + 16 * m);
    begin(f);
    each_tile<D>(
        (bf16 *)room, {q + a.h, a.ldq, h.n}, {q + 2 * a.h, a.ldq, h.n},
        [](int, int) {},
        [&](int, const bf16 *k, int place) {
            const bf16 *v = k + ATTN_TILE * ROW_LD<D>;
            const int end = h.n - place;

            if (query >= h.n)
                return;
#pragma unroll 1
            for (int g = 0; g < ATTN_TILE && g < end; g += 16 * G) {
                const bf16 *kg = k + g * ROW_LD<D>, *vg = v + g * ROW_LD<D>;
                const tile_at t = {query, place + g, (end - g + 15) / 16 * 16};

                if (g + 16 * G <= end)
                    step<D, M, G, true, DROP>(f, a, h, kg, vg, t);
                else
                    step<D, M, G, false, DROP>(f, a, h, kg, vg, t);
            }
        });
    if (query < h.n)
        finish(f, a, h, query);
}

/*
 * Short sequences.  Grid: a warp for each head of each sequence, as many in a block as
 * its shared memory holds.  A warp has all queries, keys and values of its head in a.rows
 * rows each and goes over the queries 16 at a time; no warp waits for another.  CPU:
 * attn_head.
 */
template <int D, bool DROP>
static __global__ void __launch_bounds__(ATTN_THREADS, D <= 64 ? 3 : 1)
    attn_short_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int64_t task = (int64_t)blockIdx.x * (blockDim.x / WARP) + warp;
    const int size = a.rows * ROW_LD<D>;
    bf16 *q = (bf16 *)room + (size_t)warp * 3 * size, *k = q + size, *v = k + size;

    if (task >= a.tasks)
        return;
    const attn_place p = attn_find(task, a.heads, 1);
    const head h = head_at(a, p.seq, p.head);
    const bf16 *from = (const bf16 *)a.qkv + h.first * a.ldq + h.index * D;
    const int rows = (h.n + 15) / 16 * 16;

    if (h.n == 0)
        return;
    copy_rows<D, WARP>(q, {from, a.ldq, h.n}, 0, rows, lane);
    copy_rows<D, WARP>(k, {from + a.h, a.ldq, h.n}, 0, rows, lane);
    copy_rows<D, WARP>(v, {from + 2 * a.h, a.ldq, h.n}, 0, rows, lane);
    copy_commit();
    copy_wait();
    __syncwarp();
    for (int query = 0; query < h.n; query += 16) {
        forward<D, 1> f;

        take_operand<D>(f.q[0], q + query * ROW_LD<D>);
        begin(f);
        step<D, 1, ATTN_SHORT / 16, false, DROP>(f, a, h, k, v, {query, 0, rows});
        finish(f, a, h, query);
    }
}

template <int D, int M, bool DROP>
static int run_long(struct dev *d, attn_arg a, const struct seqs *s, struct err *e)
{
    a.tiles = (int)index_cut(s->max_len, ATTN_WARPS * 16 * M);
    a.tasks = (int64_t)s->n_seq * a.heads * a.tiles;
    if (a.tasks > INT32_MAX)
        return err_set(e, ERR_RUN,
                       "attn: a batch of %lld tokens is too large for the GPU",
                       (long long)a.n_tok);
    CUDA_TRY(d, allow_room(attn_long_kernel<D, M, DROP>, TILES_BYTES<D>), "attn", e);
    attn_long_kernel<D, M, DROP>
        <<<(unsigned)a.tasks, ATTN_THREADS, TILES_BYTES<D>, d->stream>>>(a);
    return cuda_launched(d, "attn", e);
}

template <int D, bool DROP>
static int run_short(struct dev *d, attn_arg a, const struct seqs *s, struct err *e)
{
    a.rows = (int)index_round(s->max_len, 16);
    const size_t each = 3 * (size_t)a.rows * ROW_LD<D> * sizeof(bf16);
    const int fit = (int)(ATTN_ROOM / each), warps = fit < ATTN_WARPS ? fit : ATTN_WARPS;

    a.tasks = (int64_t)s->n_seq * a.heads;
    CUDA_TRY(d, allow_room(attn_short_kernel<D, DROP>, warps * each), "attn", e);
    attn_short_kernel<D, DROP><<<(unsigned)index_cut(a.tasks, warps),
                                 (unsigned)(warps * WARP), warps * each, d->stream>>>(a);
    return cuda_launched(d, "attn", e);
}

int cuda_attn(struct dev *d, const struct attn *f, struct err *e)
{
    int rc = -1;

    if (f->seqs.n_tok == 0 || f->seqs.n_seq == 0)
        return 0;
    if (!attn_is_fast(d, f))
        return attn_plain(d, f, e);
    by_head(f->y.cols / f->heads, f->drop.p > 0, [&](auto width, auto drop) {
        if (f->seqs.max_len <= ATTN_SHORT)
            rc = run_short<width(), drop()>(d, attn_fill(f), &f->seqs, e);
        else if (attn_rows_once(f->seqs.max_len))
            rc = run_long<width(), 1, drop()>(d, attn_fill(f), &f->seqs, e);
        else
            rc = run_long<width(), ROWS_MOST<width()>, drop()>(d, attn_fill(f), &f->seqs,
                                                               e);
    });
    return rc;
}
