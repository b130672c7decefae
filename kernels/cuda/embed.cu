/* SPDX-License-Identifier: MIT */
/*
 * embed: the sum of the embeddings of word, place and segment, its norm and its dropout.
 *
 * The gradients of the tables are sums over equal ids.  Tokens are sorted by id, keeping
 * their order, and the rows of a run are added up one after the other (index.h:
 * segments).
 */
#include "norm.cuh"

#include <cub/device/device_radix_sort.cuh>

struct embed_arg {
    const int32_t *ids, *positions, *types;
    const float *word, *pos, *type; /* type may be NULL */
    const float *gamma, *beta;
    float *stats;
    void *y; /* backward: dy, which becomes the gradient of the sum */
    float *parts;
    float eps;
    int64_t rows, ldw, ldp, ldt, ldy, per_part;
    int cols;
    struct drop_arg drop;
};

template <bool FAST>
__device__ static inline float4 embed_sum(const embed_arg &a, int64_t t, int col)
{
    const int64_t n = a.cols - col;
    float4 v = load4<FAST>(a.word + a.ids[t] * a.ldw + col, n);

    if (a.type)
        v = v + load4<FAST>(a.type + (a.types ? a.types[t] : 0) * a.ldt + col, n);
    return v + load4<FAST>(a.pos + a.positions[t] * a.ldp + col, n);
}

/*
 * y = drop(LN(word + type + pos)).  Grid: ROW_WARPS tokens a block, ROW_THREADS threads,
 * a warp a token.  CPU: cpu_embed.
 */
template <class T, int GROUPS, bool FAST>
static __global__ void __launch_bounds__(ROW_THREADS) embed_kernel(const embed_arg a)
{
    const int64_t row = (int64_t)blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
    const int n = a.cols;
    struct row_id id = {0, 0};
    uint2 key = {0, 0};
    uint4 w = {0, 0, 0, 0};
    float4 v[GROUPS];

    if (row >= a.rows)
        return;
    if (a.drop.on) {
        id = a.drop.row[row];
        key = drop_key(a.drop);
    }
    each_group<GROUPS>(n, [&](int g, int col) { v[g] = embed_sum<FAST>(a, row, col); });
    row_norm<GROUPS, FAST>(v, a.gamma, a.beta, a.eps, a.stats + 2 * row, n);
    each_group<GROUPS>(n, [&](int g, int col) {
        if (a.drop.on)
            v[g] = drop4(a.drop, key, id, g, w, v[g]);
        store4<FAST>((T *)a.y + row * a.ldy + col, v[g], n - col);
    });
}

/*
 * dy := gradient of the sum, which is made again, and the parts of dgamma and dbeta.
 * Grid: a block a part, whose rows its warps take in turn.  CPU: embed_bwd_block.
 */
template <class T, int GROUPS, bool FAST>
static __global__ void __launch_bounds__(ROW_THREADS) embed_bwd_kernel(const embed_arg a)
{
    const int64_t from = blockIdx.x * a.per_part, last = from + a.per_part;
    const int64_t to = last < a.rows ? last : a.rows;
    const float4 zero = {0, 0, 0, 0};
    const int n = a.cols;
    float4 x[GROUPS], dy[GROUPS], dgamma[GROUPS], dbeta[GROUPS];
    uint2 key = {0, 0};
    uint4 w = {0, 0, 0, 0};

    if (a.drop.on)
        key = drop_key(a.drop);
    each_group<GROUPS>(n, [&](int g, int) { dgamma[g] = dbeta[g] = zero; });
    for (int64_t row = from + threadIdx.x / WARP; row < to; row += blockDim.x / WARP) {
        T *p = (T *)a.y + row * a.ldy;
        struct row_id id = {0, 0};

        if (a.drop.on)
            id = a.drop.row[row];
        each_group<GROUPS>(n, [&](int g, int col) {
            x[g] = embed_sum<FAST>(a, row, col);
            dy[g] = load4<FAST>(p + col, n - col);
            if (a.drop.on)
                dy[g] = drop4(a.drop, key, id, g, w, dy[g]);
            dy[g] = mask4(dy[g], n - col);
        });
        row_norm_bwd<GROUPS, FAST>(x, dy, dgamma, dbeta, a.gamma, a.stats + 2 * row, n);
        each_group<GROUPS>(n, [&](int g, int col) {
            store4<FAST>(p + col, dy[g], n - col);
        });
    }
    write_parts<GROUPS>(a.parts + (int64_t)blockIdx.x * 2 * n, dgamma, dbeta, n);
}

static embed_arg embed_fill(const struct embed *a)
{
    embed_arg arg = {};

    arg.ids = a->ids;
    arg.positions = a->positions;
    arg.types = a->types;
    arg.word = (const float *)a->word.p;
    arg.pos = (const float *)a->pos.p;
    arg.type = (const float *)a->type.p;
    arg.gamma = a->gamma;
    arg.beta = a->beta;
    arg.stats = a->stats;
    arg.y = a->y.p;
    arg.eps = a->eps;
    arg.rows = a->seqs.n_tok;
    arg.ldw = a->word.ld;
    arg.ldp = a->pos.ld;
    arg.ldt = a->type.ld;
    arg.ldy = a->y.ld;
    arg.cols = (int)a->y.cols;
    arg.drop = drop_arg(&a->drop);
    return arg;
}

static bool embed_by_4(const struct embed *a, const struct mat *y)
{
    return mat_by_4(&a->word) && mat_by_4(&a->pos) && mat_by_4(&a->type) && mat_by_4(y) &&
           by_4(a->gamma) && by_4(a->beta);
}

int cuda_embed(struct dev *d, const struct embed *a, struct err *e)
{
    const embed_arg arg = embed_fill(a);

    if (arg.rows == 0)
        return 0;
    if (check_width(arg.cols, "embed", e))
        return -1;
    by_type(a->y.t, [&](auto *type) {
        by_width(arg.cols, embed_by_4(a, &a->y), [&](auto groups, auto is_fast) {
            embed_kernel<element<decltype(type)>, groups(), is_fast()>
                <<<(unsigned)index_cut(arg.rows, ROW_WARPS), ROW_THREADS, 0, d->stream>>>(
                    arg);
        });
    });
    return cuda_launched(d, "embed", e);
}

/* ---- the tables ---- */

/* Scratch of the sort and of the sums; sizes by the number of tokens. */
struct sorted {
    int32_t *key, *order;  /* (n) sorted ids, and the tokens in that order */
    int32_t *token;        /* (n) 0, 1, 2 ... */
    float *parts;          /* (chunks, 2, cols): SEG_HEAD and SEG_TAIL of each chunk */
    void *temp;
    size_t temp_bytes;
    int32_t n, chunks;
};

/* token[i] = i.  Grid: n / 256 blocks of 256 threads. */
static __global__ void count_kernel(int32_t *token, int32_t n)
{
    const int32_t i = (int32_t)(blockIdx.x * blockDim.x + threadIdx.x);

    if (i < n)
        token[i] = i;
}

struct seg_arg {
    const int32_t *key, *order;
    const void *dy;
    float *table, *parts;
    uint8_t *touched;
    int64_t ldy, ldt;
    int32_t n;
    int cols;
};

/*
 * The runs of a chunk: whole ones into the table, others into parts.  Grid: (chunks,
 * pieces of 128 columns), 128 threads, a column each.  CPU: scatter_block.
 */
template <class T> static __global__ void seg_run_kernel(const seg_arg a)
{
    __shared__ int32_t row[SEG_CHUNK];
    const int32_t chunk = (int32_t)blockIdx.x, from = chunk * SEG_CHUNK;
    const int32_t to = seg_chunk_end(a.n, chunk);
    const int col = (int)(blockIdx.y * 128 + threadIdx.x);

    if (threadIdx.x < to - from)
        row[threadIdx.x] = a.order[from + threadIdx.x];
    __syncthreads();
    for (int32_t begin = from, end; begin < to; begin = end) {
        const int32_t key = a.key[begin];
        int kind;
        float sum = 0;

        end = seg_run_end(a.key, begin, to);
        kind = seg_kind(a.key, a.n, begin, end);
        if (a.touched && blockIdx.y == 0 && threadIdx.x == 0)
            a.touched[key] = 1;
        if (col >= a.cols)
            continue;
#pragma unroll 4
        for (int32_t i = begin; i < end; i++)
            sum += to_float(((const T *)a.dy)[row[i - from] * a.ldy + col]);
        if (kind == SEG_WHOLE)
            a.table[key * a.ldt + col] += sum;
        else
            a.parts[((int64_t)chunk * 2 + kind) * a.cols + col] = sum;
    }
}

/*
 * Keys that go over the ends of chunks, by the chunk where they begin.  Grid and block as
 * above.  CPU: scatter_block.
 */
static __global__ void seg_join_kernel(const seg_arg a)
{
    const int32_t chunk = (int32_t)blockIdx.x, key = a.key[seg_chunk_end(a.n, chunk) - 1];
    const int col = (int)(blockIdx.y * 128 + threadIdx.x);
    float sum;

    if (col >= a.cols || !seg_owns(a.key, a.n, chunk))
        return;
    sum = a.parts[((int64_t)chunk * 2 + SEG_TAIL) * a.cols + col];
    for (int32_t c = chunk + 1;; c++) {
        sum += a.parts[((int64_t)c * 2 + SEG_HEAD) * a.cols + col];
        if (!seg_goes_on(a.key, a.n, c, key))
            break;
    }
    a.table[key * a.ldt + col] += sum;
}

/* Sorts the tokens by key, stably, and adds the rows of dy to the rows of the table. */
static int add_to_table(struct dev *d, const struct sorted *s, const int32_t *key,
                        const struct mat *dy, const struct mat *table, uint8_t *touched,
                        struct err *e)
{
    static const char op[] = "embed_bwd";
    const seg_arg a = {s->key, s->order, dy->p, (float *)table->p, s->parts, touched,
                       dy->ld, table->ld, s->n, (int)dy->cols};
    const dim3 grid((unsigned)s->chunks, (unsigned)index_cut(a.cols, 128));
    size_t bytes = s->temp_bytes;

    CUDA_TRY(d,
             cub::DeviceRadixSort::SortPairs(s->temp, bytes, key, s->key, s->token,
                                             s->order, s->n, 0, index_bits(table->rows),
                                             d->stream),
             op, e);
    by_type(dy->t, [&](auto *type) {
        seg_run_kernel<element<decltype(type)>><<<grid, 128, 0, d->stream>>>(a);
    });
    seg_join_kernel<<<grid, 128, 0, d->stream>>>(a);
    return cuda_launched(d, op, e);
}

static int sorted_take(struct dev *d, int32_t n, int64_t cols, struct sorted *s,
                       struct err *e)
{
    const int64_t list = index_round(n, 64) * (int64_t)sizeof(int32_t);
    int64_t parts;
    char *p;

    s->n = n;
    s->chunks = (int32_t)index_cut(n, SEG_CHUNK);
    s->temp_bytes = 0;
    parts = index_round(2 * (int64_t)s->chunks * cols * (int64_t)sizeof(float), 256);
    CUDA_TRY(d,
             cub::DeviceRadixSort::SortPairs(NULL, s->temp_bytes, s->key, s->key,
                                             s->order, s->order, n, 0, 31, d->stream),
             "embed_bwd", e);
    p = (char *)cuda_scratch(d, (size_t)(3 * list + parts) + s->temp_bytes, e);
    if (!p)
        return -1;
    s->parts = (float *)p;
    s->key = (int32_t *)(p + parts);
    s->order = s->key + list / 4;
    s->token = s->order + list / 4;
    s->temp = s->token + list / 4;
    count_kernel<<<(unsigned)index_cut(n, 256), 256, 0, d->stream>>>(s->token, n);
    return cuda_launched(d, "embed_bwd", e);
}

size_t embed_scratch(int64_t tokens, int64_t cols)
{
    const int64_t list = index_round(tokens, 64) * (int64_t)sizeof(int32_t);
    const int64_t parts = 2 * index_cut(tokens, SEG_CHUNK) * cols * (int64_t)sizeof(float);
    int32_t *none = NULL;
    size_t temp = 0;

    if (cub::DeviceRadixSort::SortPairs(NULL, temp, none, none, none, none, (int)tokens, 0,
                                        31) != cudaSuccess)
        (void)cudaGetLastError();
    return (size_t)(3 * list + index_round(parts, 256)) + temp;
}

static int sum_bwd(struct dev *d, const struct embed_bwd *b, struct err *e)
{
    const struct embed *a = b->fwd;
    embed_arg arg = embed_fill(a);
    const bool fast = embed_by_4(a, &b->dy);
    struct norm_parts parts;

    if (norm_parts_take(d, &b->dy, fast, &parts, e))
        return -1;
    arg.y = b->dy.p;
    arg.ldy = b->dy.ld;
    arg.parts = parts.p;
    arg.per_part = parts.per_part;
    by_type(b->dy.t, [&](auto *type) {
        by_width(arg.cols, fast, [&](auto groups, auto is_fast) {
            embed_bwd_kernel<element<decltype(type)>, groups(), is_fast()>
                <<<(unsigned)parts.n, parts.threads, 0, d->stream>>>(arg);
        });
    });
    if (cuda_launched(d, "embed_bwd", e))
        return -1;
    return sum_parts(d, parts.p, parts.n, 2 * arg.cols, b->dgamma, b->dbeta, "embed_bwd",
                     e);
}

int cuda_embed_bwd(struct dev *d, const struct embed_bwd *b, struct err *e)
{
    const struct embed *a = b->fwd;
    struct sorted s = {};

    if (a->seqs.n_tok == 0)
        return 0;
    if (check_width(a->y.cols, "embed_bwd", e) || sum_bwd(d, b, e) ||
        sorted_take(d, a->seqs.n_tok, a->y.cols, &s, e))
        return -1;
    if (add_to_table(d, &s, a->ids, &b->dy, &b->dword, b->touched, e) ||
        add_to_table(d, &s, a->positions, &b->dy, &b->dpos, NULL, e))
        return -1;
    if (!b->dtype.p)
        return 0;
    if (b->dtype.rows == 1 || !a->types) /* RoBERTa: every token has the one type */
        return column_sums(d, &b->dy, (float *)b->dtype.p, "embed_bwd", e);
    return add_to_table(d, &s, a->types, &b->dy, &b->dtype, NULL, e);
}
