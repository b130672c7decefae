/* SPDX-License-Identifier: MIT */
/*
 * embed: the sum of the embeddings of word, place and segment, its norm and its dropout.
 *
 * The gradients of the tables are sums over equal ids.  Tokens are sorted by id, keeping
 * their order, and the rows of a run are added up one after the other (index.h:
 * segments).  All tables go at once: the ids of each have a range of keys of their own, and
 * a token is in the list once a table.  Five launches: the gradient of the sum together with
 * the keys, its parts, the sort (one up to some thousand keys), and two for the segments.
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
    int32_t *key, *token; /* backward: (lists, rows) what is sorted */
    int32_t pos_key, type_key, lists;
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

/* The token's entries in the lists. */
__device__ static inline void put_keys(const embed_arg &a, int64_t row)
{
    const int64_t list = threadIdx.x % WARP;
    int32_t key;

    if (list >= a.lists)
        return;
    if (list == 0)
        key = a.ids[row];
    else if (list == 1)
        key = a.pos_key + a.positions[row];
    else
        key = a.type_key + (a.types ? a.types[row] : 0);
    a.key[list * a.rows + row] = key;
    a.token[list * a.rows + row] = (int32_t)row;
}

/*
 * dy := gradient of the sum, which is made again, the parts of dgamma and dbeta, and keys.
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

        put_keys(a, row);
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

enum { TABLES = 3 };

/* Scratch of the sort and of the sums; sizes by the number of tokens. */
struct sorted {
    int32_t *key_in, *token;      /* (n) what embed_bwd_kernel leaves */
    int32_t *key, *order;         /* (n) sorted keys, and their tokens in that order */
    float *parts;                 /* (chunks, 2, cols): SEG_HEAD and SEG_TAIL of each chunk */
    void *temp;
    size_t temp_bytes;
    int32_t n, chunks;
};

struct seg_table {
    float *p;
    int64_t ld;
    int32_t first; /* its first key */
};

struct seg_arg {
    const int32_t *key, *order;
    const void *dy;
    struct seg_table word, pos, type;
    float *parts;
    uint8_t *touched;
    int64_t ldy;
    int32_t n;
    int cols;
};

/* The row of the table that the key belongs to. */
__device__ static inline float *seg_row(const seg_arg &a, int32_t key)
{
    const seg_table t = key < a.pos.first ? a.word : key < a.type.first ? a.pos : a.type;

    return t.p + (key - t.first) * t.ld;
}

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
        if (a.touched && key < a.pos.first && blockIdx.y == 0 && threadIdx.x == 0)
            a.touched[key] = 1;
        if (col >= a.cols)
            continue;
#pragma unroll 4
        for (int32_t i = begin; i < end; i++)
            sum += to_float(((const T *)a.dy)[row[i - from] * a.ldy + col]);
        if (kind == SEG_WHOLE)
            seg_row(a, key)[col] += sum;
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
    int32_t last;
    float sum;

    if (col >= a.cols || !seg_owns(a.key, a.n, chunk))
        return;
    last = seg_last_chunk(a.key, a.n, chunk);
    sum = a.parts[((int64_t)chunk * 2 + SEG_TAIL) * a.cols + col];
#pragma unroll 8
    for (int32_t c = chunk + 1; c <= last; c++)
        sum += a.parts[((int64_t)c * 2 + SEG_HEAD) * a.cols + col];
    seg_row(a, key)[col] += sum;
}

/* Sorts the tokens by key, stably, and adds the rows of dy to the rows of the tables. */
static int add_to_tables(struct dev *d, const struct sorted *s, const struct embed_bwd *b,
                         const embed_arg *arg, struct err *e)
{
    static const char op[] = "embed_bwd";
    const seg_arg a = {s->key, s->order, b->dy.p,
                       {(float *)b->dword.p, b->dword.ld, 0},
                       {(float *)b->dpos.p, b->dpos.ld, arg->pos_key},
                       {(float *)b->dtype.p, b->dtype.ld, arg->type_key},
                       s->parts, b->touched, b->dy.ld, s->n, (int)b->dy.cols};
    const dim3 grid((unsigned)s->chunks, (unsigned)index_cut(a.cols, 128));
    const int64_t keys = arg->type_key + b->dtype.rows;
    size_t bytes = s->temp_bytes;

    CUDA_TRY(d,
             cub::DeviceRadixSort::SortPairs(s->temp, bytes, s->key_in, s->key, s->token,
                                             s->order, s->n, 0, index_bits(keys),
                                             d->stream),
             op, e);
    by_type(b->dy.t, [&](auto *type) {
        seg_run_kernel<element<decltype(type)>><<<grid, 128, 0, d->stream>>>(a);
    });
    seg_join_kernel<<<grid, 128, 0, d->stream>>>(a);
    return cuda_launched(d, op, e);
}

/* Bytes of a list, and of the parts, of n keys. */
static int64_t list_bytes(int64_t n)
{
    return index_round(n, 64) * (int64_t)sizeof(int32_t);
}

static int64_t seg_bytes(int64_t n, int64_t cols)
{
    return index_round(2 * index_cut(n, SEG_CHUNK) * cols * (int64_t)sizeof(float), 256);
}

/* Temporary memory of the sort. */
static cudaError_t sort_bytes(int32_t n, size_t *bytes, cudaStream_t stream)
{
    int32_t *none = NULL;

    *bytes = 0;
    return cub::DeviceRadixSort::SortPairs(NULL, *bytes, none, none, none, none, n, 0, 31,
                                           stream);
}

/* Room for the sort of n keys and for the parts of dgamma and dbeta. */
static int sorted_take(struct dev *d, int32_t n, const struct mat *dy, struct sorted *s,
                       struct norm_parts *t, struct err *e)
{
    const int64_t list = list_bytes(n), parts = seg_bytes(n, dy->cols);
    const int64_t norm = index_round((int64_t)norm_parts_bytes(dy, t), 256);
    char *p;

    s->n = n;
    s->chunks = (int32_t)index_cut(n, SEG_CHUNK);
    CUDA_TRY(d, sort_bytes(n, &s->temp_bytes, d->stream), "embed_bwd", e);
    p = (char *)cuda_scratch(d, (size_t)(norm + parts + 4 * list) + s->temp_bytes, e);
    if (!p)
        return -1;
    t->p = (float *)p;
    s->parts = (float *)(p + norm);
    s->key_in = (int32_t *)(p + norm + parts);
    s->token = s->key_in + list / 4;
    s->key = s->token + list / 4;
    s->order = s->key + list / 4;
    s->temp = s->order + list / 4;
    return 0;
}

size_t embed_scratch(int64_t tokens, int64_t cols)
{
    /* See index_rows_per_part and index_rows_per_block. */
    const int64_t many = index_cut(tokens, 32), parts = (many > 512 ? many : 512) + 1;
    const int64_t norm = index_round(parts * 2 * cols * (int64_t)sizeof(float), 256);
    const int64_t n = TABLES * tokens;
    size_t temp = 0;

    if (n > INT32_MAX)
        return 0; /* cuda_embed_bwd refuses it */
    if (sort_bytes((int32_t)n, &temp, NULL) != cudaSuccess)
        (void)cudaGetLastError();
    return (size_t)(norm + seg_bytes(n, cols) + 4 * list_bytes(n)) + temp;
}

/* The gradient of the sum, those of the norm, and the keys. */
static int sum_bwd(struct dev *d, const struct embed_bwd *b, const embed_arg *arg,
                   const struct norm_parts *parts, struct err *e)
{
    by_type(b->dy.t, [&](auto *type) {
        by_width(arg->cols, embed_by_4(b->fwd, &b->dy), [&](auto groups, auto is_fast) {
            embed_bwd_kernel<element<decltype(type)>, groups(), is_fast()>
                <<<(unsigned)parts->n, parts->threads, 0, d->stream>>>(*arg);
        });
    });
    if (cuda_launched(d, "embed_bwd", e))
        return -1;
    return sum_parts(d, parts->p, parts->n, 2 * arg->cols, b->dgamma, b->dbeta,
                     "embed_bwd", e);
}

int cuda_embed_bwd(struct dev *d, const struct embed_bwd *b, struct err *e)
{
    const struct embed *a = b->fwd;
    const int64_t lists = b->dtype.p ? TABLES : TABLES - 1, n = lists * a->seqs.n_tok;
    struct norm_parts parts = norm_parts_cut(&b->dy, embed_by_4(a, &b->dy));
    embed_arg arg = embed_fill(a);
    struct sorted s = {};

    if (n == 0)
        return 0;
    if (check_width(a->y.cols, "embed_bwd", e))
        return -1;
    if (n > INT32_MAX || b->dword.rows + b->dpos.rows + b->dtype.rows > INT32_MAX)
        return err_set(e, ERR_RUN,
                       "embed_bwd: a batch of %lld tokens is too large for the GPU",
                       (long long)a->seqs.n_tok);
    if (sorted_take(d, (int32_t)n, &b->dy, &s, &parts, e))
        return -1;
    arg.y = b->dy.p;
    arg.ldy = b->dy.ld;
    arg.parts = parts.p;
    arg.per_part = parts.per_part;
    arg.key = s.key_in;
    arg.token = s.token;
    arg.lists = (int32_t)lists;
    arg.pos_key = (int32_t)b->dword.rows;
    arg.type_key = (int32_t)(b->dword.rows + b->dpos.rows);
    return sum_bwd(d, b, &arg, &parts, e) || add_to_tables(d, &s, b, &arg, e) ? -1 : 0;
}
