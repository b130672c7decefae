/* SPDX-License-Identifier: MIT */
/*
 * attn: attention of every sequence with itself.
 *
 * One head of one sequence goes through its queries QUERY_BLOCK at a time, so that (length,
 * length) scores are never stored.  Keys and values are first copied out of qkv in the form
 * that the small products want: width padded to whole vectors.
 */
#include "attn.h"
#include "vmath.h"

#include <math.h>
#include <string.h>

static inline int64_t padded(int64_t n)
{
    return (n + ATTN_PAD - 1) / ATTN_PAD * ATTN_PAD;
}

struct attn_job {
    struct dev *d;
    const struct attn *a;
    const struct attn_bwd *b;
    struct drop_key key;
    int64_t group; /* heads of a sequence in one task */
};

/* One head of one sequence, and the scratch of the thread that has it. */
struct head {
    int64_t n, pn, w, pw;      /* length, width; padded */
    int64_t ld;                /* of q, k, v */
    int64_t first;             /* token */
    const float *q, *k, *v;    /* in qkv */
    uint32_t index;            /* of the head */
    float *kt, *vt;            /* (w, pn) transposed */
    float *kp, *vp, *qp, *dyp; /* (n, pw) */
    float *dk, *dv;            /* (n, pw) */
    float *s, *ds;             /* (QUERY_BLOCK, pn) */
    float *out;                /* (QUERY_BLOCK, pw) */
    uint16_t *half;            /* (QUERY_BLOCK, pn): of dropout */
};

static float *take(float *memory, int64_t *used, int64_t n)
{
    float *p = memory ? memory + *used : NULL;

    *used += padded(n);
    return p;
}

/* Divides a thread's scratch; with memory NULL only counts.  Returns the floats needed. */
static int64_t head_plan(struct head *h, float *memory, bool backward)
{
    int64_t used = 0;

    h->kt = take(memory, &used, h->w * h->pn);
    h->kp = take(memory, &used, h->n * h->pw);
    h->vp = take(memory, &used, h->n * h->pw);
    h->s = take(memory, &used, QUERY_BLOCK * h->pn);
    h->out = take(memory, &used, QUERY_BLOCK * h->pw);
    h->half = (uint16_t *)take(memory, &used, QUERY_BLOCK * h->pn / 2);
    if (backward) {
        h->vt = take(memory, &used, h->w * h->pn);
        h->qp = take(memory, &used, h->n * h->pw);
        h->dyp = take(memory, &used, h->n * h->pw);
        h->dk = take(memory, &used, h->n * h->pw);
        h->dv = take(memory, &used, h->n * h->pw);
        h->ds = take(memory, &used, QUERY_BLOCK * h->pn);
    }
    return used;
}

static void head_open(struct head *h, const struct attn_job *j, int64_t seq, int64_t index,
                      int thread)
{
    const struct attn *a = j->a;
    const int64_t width = a->y.cols / a->heads;

    h->index = (uint32_t)index;
    h->first = a->seqs.cu[seq];
    h->n = a->seqs.cu[seq + 1] - h->first;
    h->pn = padded(h->n);
    h->w = width;
    h->pw = padded(width);
    h->ld = a->qkv.ld;
    h->q = mat_row(&a->qkv, h->first) + h->index * width;
    h->k = h->q + a->y.cols;
    h->v = h->k + a->y.cols;
    head_plan(h, j->d->own[thread].p, j->b != NULL);
}

/* Scratch of every thread for the longest sequence. */
static int attn_scratch(struct dev *d, const struct attn *a, bool backward, struct err *e)
{
    struct head h = {.n = a->seqs.max_len, .pn = padded(a->seqs.max_len),
                     .w = a->y.cols / a->heads};

    h.pw = padded(h.w);
    return scratch_own(d, (size_t)head_plan(&h, NULL, backward) * sizeof(float), e);
}

/* to (n, pw) = from (n, w), padded with zeros. */
static void copy_padded(float *to, const float *from, int64_t n, int64_t w, int64_t pw,
                        int64_t ld)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * pw, from + i * ld, (size_t)w * sizeof *to);
        memset(to + i * pw + w, 0, (size_t)(pw - w) * sizeof *to);
    }
}

/* to (w, pn) = from (n, pw) transposed, padded with zeros. */
static void transpose(const struct head *h, float *to, const float *from)
{
    for (int64_t i = 0; i < h->w; i++) {
        for (int64_t j = 0; j < h->n; j++)
            to[i * h->pn + j] = from[j * h->pw + i];
        for (int64_t j = h->n; j < h->pn; j++)
            to[i * h->pn + j] = 0;
    }
}

/* The product of a block: small ones by our own loop, others by oneDNN. */
static void product(const struct small_product *p)
{
    if (p->m * p->n * p->k < SMALL_PRODUCT)
        attn_small_product(p);
    else
        gemm_serial(p->row_stride == 1 ? 'T' : 'N', 'N', p->m, p->n, p->k, p->a,
                    p->row_stride == 1 ? p->step_stride : p->row_stride, p->b, p->ldb,
                    p->add ? 1.0f : 0.0f, p->c, p->ldc);
}

/*
 * s := softmax(s scale) of n values, padded to whole vectors by what adds nothing, so that no
 * short row falls out of the vector loops.  Returns log sum exp.
 */
MULTI_ISA
static float softmax_row(float *s, int64_t used, float scale)
{
    const int64_t n = padded(used);
    float top = s[0], sum = 0, factor;

    for (int64_t i = used; i < n; i++)
        s[i] = -1e30f;
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++)
        top = s[i] > top ? s[i] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        s[i] = v_exp((s[i] - top) * scale);
        sum += s[i];
    }
    factor = 1 / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        s[i] *= factor;
    return top * scale + logf(sum);
}

MULTI_ISA
static void drop_probabilities(float *s, const uint16_t *half, int64_t n, uint32_t threshold,
                               float scale)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        s[i] = half[i] < threshold ? 0 : s[i] * scale;
}

/* Half-words of queries from..from+m-1 against all keys: rows of h->half. */
static void draw_halves(const struct attn_job *j, const struct head *h, int64_t from, int64_t m)
{
    const struct row_id *row = j->a->seqs.row + h->first;

    for (int64_t i = 0; i < m; i += DROP_TILE) {
        const int64_t left = m - i;

        philox_rows(&(struct drop_rows){.key = j->key.key,
                                        .record = row->record,
                                        .offset = row->offset + (uint32_t)(from + i),
                                        .head = h->index,
                                        .pairs = left < DROP_TILE / 2 ? left : DROP_TILE / 2,
                                        .tiles = h->pn / DROP_TILE,
                                        .out = h->half + i * h->pn,
                                        .ld = h->pn});
    }
}

static void attn_head(const struct attn_job *j, int64_t seq, int64_t index, int thread)
{
    const struct attn *a = j->a;
    struct head h;

    head_open(&h, j, seq, index, thread);
    if (h.n == 0)
        return;
    copy_padded(h.kp, h.k, h.n, h.w, h.pw, h.ld);
    copy_padded(h.vp, h.v, h.n, h.w, h.pw, h.ld);
    transpose(&h, h.kt, h.kp);
    for (int64_t from = 0; from < h.n; from += QUERY_BLOCK) {
        const int64_t m = h.n - from < QUERY_BLOCK ? h.n - from : QUERY_BLOCK;

        if (j->key.on)
            draw_halves(j, &h, from, m);
        product(&(struct small_product){m, h.pn, h.w, h.q + from * h.ld, h.ld, 1, h.kt, h.pn,
                                        h.s, h.pn, false});
        for (int64_t i = 0; i < m; i++) {
            const float lse = softmax_row(h.s + i * h.pn, h.n, a->scale);

            if (a->lse)
                a->lse[h.index * (int64_t)a->seqs.n_tok + h.first + from + i] = lse;
            if (j->key.on)
                drop_probabilities(h.s + i * h.pn, h.half + i * h.pn, h.pn,
                                   j->key.threshold, j->key.scale);
        }
        product(&(struct small_product){m, h.pw, h.n, h.s, h.pn, 1, h.vp, h.pw, h.out, h.pw,
                                        false});
        for (int64_t i = 0; i < m; i++)
            memcpy(mat_row(&a->y, h.first + from + i) + h.index * h.w, h.out + i * h.pw,
                   (size_t)h.w * sizeof(float));
    }
}

struct row_grad {
    float scale, lse, dot; /* dot: dy · y of the row */
    const uint16_t *half;  /* NULL: no dropout */
    uint32_t threshold;
    float drop_scale;
};

/*
 * From s = q kᵀ and ds = dy vᵀ of one row: s becomes the probabilities after dropout, for dv,
 * and ds the gradient of q kᵀ, p (dp - sum(p dp)) scale, where that sum is dy · y.  The
 * padding at the end of a row goes along; no product reads it.
 */
MULTI_ISA
static void softmax_row_bwd(float *s, float *ds, int64_t n, const struct row_grad *r)
{
    const float scale = r->scale, lse = r->lse, dot = r->dot, drop_scale = r->drop_scale;
    const uint16_t *half = r->half;
    const uint32_t threshold = r->threshold;

    if (!half) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float p = v_exp(s[i] * scale - lse);

            s[i] = p;
            ds[i] = p * (ds[i] - dot) * scale;
        }
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float p = v_exp(s[i] * scale - lse);
        const float keep = half[i] < threshold ? 0 : drop_scale;

        s[i] = p * keep;
        ds[i] = p * (ds[i] * keep - dot) * scale;
    }
}

MULTI_ISA
static float dot_row(const float *a, const float *b, int64_t n)
{
    float sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The rows of a block between the products: see softmax_row_bwd. */
static void block_softmax_bwd(const struct attn_job *j, const struct head *h, int64_t from,
                              int64_t m)
{
    const struct attn *a = j->a;

    if (j->key.on)
        draw_halves(j, h, from, m);
    for (int64_t i = 0; i < m; i++) {
        const int64_t t = h->first + from + i;
        const struct row_grad r = {
            .scale = a->scale,
            .lse = a->lse[h->index * (int64_t)a->seqs.n_tok + t],
            .dot = dot_row(h->dyp + (from + i) * h->pw,
                           mat_row(&a->y, t) + h->index * h->w, h->w),
            .half = j->key.on ? h->half + i * h->pn : NULL,
            .threshold = j->key.threshold,
            .drop_scale = j->key.scale};

        softmax_row_bwd(h->s + i * h->pn, h->ds + i * h->pn, h->pn, &r);
    }
}

static void attn_bwd_head(const struct attn_job *j, int64_t seq, int64_t index, int thread)
{
    const struct attn *a = j->a;
    const int64_t width = a->y.cols;
    struct head h;
    float *out;

    head_open(&h, j, seq, index, thread);
    if (h.n == 0)
        return;
    copy_padded(h.kp, h.k, h.n, h.w, h.pw, h.ld);
    copy_padded(h.qp, h.q, h.n, h.w, h.pw, h.ld);
    copy_padded(h.vp, h.v, h.n, h.w, h.pw, h.ld);
    copy_padded(h.dyp, mat_row(&j->b->dy, h.first) + h.index * h.w, h.n, h.w, h.pw,
                j->b->dy.ld);
    transpose(&h, h.kt, h.kp);
    transpose(&h, h.vt, h.vp);
    out = mat_row(&j->b->dqkv, h.first) + h.index * h.w;
    for (int64_t from = 0; from < h.n; from += QUERY_BLOCK) {
        const int64_t m = h.n - from < QUERY_BLOCK ? h.n - from : QUERY_BLOCK;
        const float *q = h.qp + from * h.pw, *dy = h.dyp + from * h.pw;
        const bool add = from > 0;

        product(&(struct small_product){m, h.pn, h.w, q, h.pw, 1, h.kt, h.pn, h.s, h.pn,
                                        false});
        product(&(struct small_product){m, h.pn, h.w, dy, h.pw, 1, h.vt, h.pn, h.ds, h.pn,
                                        false});
        block_softmax_bwd(j, &h, from, m);
        product(&(struct small_product){h.n, h.pw, m, h.s, 1, h.pn, dy, h.pw, h.dv, h.pw,
                                        add});
        product(&(struct small_product){h.n, h.pw, m, h.ds, 1, h.pn, q, h.pw, h.dk, h.pw,
                                        add});
        product(&(struct small_product){m, h.pw, h.n, h.ds, h.pn, 1, h.kp, h.pw, h.out, h.pw,
                                        false});
        for (int64_t i = 0; i < m; i++)
            memcpy(out + (from + i) * j->b->dqkv.ld, h.out + i * h.pw,
                   (size_t)h.w * sizeof(float));
    }
    for (int64_t i = 0; i < h.n; i++) {
        float *to = out + i * j->b->dqkv.ld;

        memcpy(to + width, h.dk + i * h.pw, (size_t)h.w * sizeof(float));
        memcpy(to + 2 * width, h.dv + i * h.pw, (size_t)h.w * sizeof(float));
    }
}

/*
 * Short sequences are a task with all their heads, whose parts of qkv lie side by side; of
 * long ones each head is a task.
 */
static void attn_task(void *ctx, int64_t task, int thread)
{
    const struct attn_job *j = ctx;
    const int64_t groups = j->a->heads / j->group, first = task % groups * j->group;

    gemm_single_thread(j->d);
    for (int64_t index = first; index < first + j->group; index++) {
        if (j->b)
            attn_bwd_head(j, task / groups, index, thread);
        else
            attn_head(j, task / groups, index, thread);
    }
}

static int attn_run(struct attn_job *j, struct err *e)
{
    const struct attn *a = j->a;

    j->key = drop_key(&a->drop);
    j->group = a->seqs.max_len <= SHORT_SEQUENCE ? a->heads : 1;
    if (attn_scratch(j->d, a, j->b != NULL, e) != 0)
        return -1;
    par_for(j->d->par, a->seqs.n_seq * (a->heads / j->group), attn_task, j);
    return 0;
}

int cpu_attn(struct dev *d, const struct attn *a, struct err *e)
{
    struct attn_job j = {.d = d, .a = a};

    return attn_run(&j, e);
}

int cpu_attn_bwd(struct dev *d, const struct attn_bwd *b, struct err *e)
{
    struct attn_job j = {.d = d, .a = b->fwd, .b = b};

    if (!j.a->lse)
        return err_set(e, ERR_INTERNAL, "attention's backward pass needs lse");
    return attn_run(&j, e);
}
