/* SPDX-License-Identifier: MIT */
/*
 * gemm: matrix products by cuBLASLt, and by a plain kernel where it has none for a shape.
 *
 * cuBLASLt counts down columns; a row-major matrix is its own transpose there.  All below
 * is in its terms: c (m, n) = beta c + op(a) (m, k) op(b) (k, n).
 */
#include "gemm.cuh"

#include <stdlib.h>
#include <string.h>

/* The vector of a product: added to the rows of c; or written, the sums of b's rows. */
enum bias { BIAS_NONE, BIAS_ADD, BIAS_SUMS };

/* What decides about the algorithm; compared as bytes, so without padding. */
struct shape {
    int64_t m, n, k, lda, ldb, ldc;
    int32_t turn_a, turn_b; /* the operand is transposed */
    int32_t in, out;        /* enum dtype */
    int32_t add, bias;      /* beta is 1; enum bias */
    int32_t align_a, align_b, align_c, align_bias;
};

struct plan {
    struct shape shape;
    int used;
    int plain; /* cuBLASLt has nothing for it */
    cublasLtMatmulAlgo_t algo;
    size_t workspace;
};

struct product {
    struct shape s;
    const void *a, *b, *bias;
    void *c;
    const char *op;
};

struct description {
    cublasLtMatmulDescOpaque_t op;
    cublasLtMatrixLayoutOpaque_t a, b, c;
};

int gemm_open(struct dev *d, struct err *e)
{
    const char *sums = getenv("BERTUTILS_BIAS_SUMS");

    d->bias_sums = sums && strcmp(sums, "1") == 0;
    d->plans = (struct plan *)calloc(PLANS, sizeof *d->plans);
    if (!d->plans)
        return err_oom(e, "device", PLANS * sizeof *d->plans);
    if (cublasLtCreate(&d->lt) != CUBLAS_STATUS_SUCCESS) {
        d->lt = NULL;
        return err_set(e, ERR_RUN, "cuBLASLt cannot be started on cuda:%d", d->index);
    }
    d->workspace = cuda_memory(d, GEMM_WORKSPACE, e);
    return d->workspace ? 0 : -1;
}

void gemm_close(struct dev *d)
{
    if (d->lt)
        (void)cublasLtDestroy(d->lt);
    cudaFree(d->workspace);
    free(d->plans);
}

/* ---- the plain kernel ---- */

constexpr int TILE = 16;

struct plain_arg {
    const void *a, *b, *bias;
    void *c;
    int64_t m, n, k, lda, ldb, ldc;
    int turn_a, turn_b, add;
};

/*
 * c = beta c + op(a) op(b) + bias for shapes that cuBLASLt refuses, such as bf16 matrices
 * with odd strides.  Grid: (tiles of m, tiles of n), 16 x 16 threads, an element each;
 * fp32 sums in the order of k.  IN, OUT: types of a, b and of c, bias.  CPU: gemm_serial.
 */
template <class IN, class OUT> static __global__ void plain_kernel(const plain_arg g)
{
    __shared__ float a[TILE][TILE + 1], b[TILE][TILE + 1];
    const int x = threadIdx.x, y = threadIdx.y;
    const int64_t i0 = (int64_t)blockIdx.x * TILE, i = i0 + x;
    const int64_t j0 = (int64_t)blockIdx.y * TILE, j = j0 + y;
    const IN *pa = (const IN *)g.a, *pb = (const IN *)g.b;
    OUT *pc = (OUT *)g.c;
    float sum = 0;

    for (int64_t k0 = 0; k0 < g.k; k0 += TILE) {
        const int64_t ka = k0 + y, kb = k0 + x;

        a[y][x] = i < g.m && ka < g.k
                      ? to_float(pa[g.turn_a ? ka + i * g.lda : i + ka * g.lda])
                      : 0;
        b[y][x] = j < g.n && kb < g.k
                      ? to_float(pb[g.turn_b ? j + kb * g.ldb : kb + j * g.ldb])
                      : 0;
        __syncthreads();
        for (int k = 0; k < TILE; k++)
            sum += a[k][x] * b[y][k];
        __syncthreads();
    }
    if (i >= g.m || j >= g.n)
        return;
    if (g.bias)
        sum += to_float(((const OUT *)g.bias)[i]);
    if (g.add)
        sum += to_float(pc[i + j * g.ldc]);
    pc[i + j * g.ldc] = from_float<OUT>(sum);
}

static int run_plain(struct dev *d, const struct product *p, struct err *e)
{
    const struct shape *s = &p->s;
    const dim3 block(TILE, TILE);
    /* The second extent of a grid is short, so the product is done in slices of n. */
    const int64_t slice = (int64_t)65535 * TILE;

    for (int64_t j = 0; j < s->n; j += slice) {
        const int64_t n = s->n - j < slice ? s->n - j : slice;
        const dim3 grid((unsigned)index_cut(s->m, TILE), (unsigned)index_cut(n, TILE));
        const size_t in = type_size((enum dtype)s->in),
                     out = type_size((enum dtype)s->out);
        const plain_arg g = {
            p->a,      (const char *)p->b + (s->turn_b ? j : j * s->ldb) * (int64_t)in,
            p->bias,   (char *)p->c + j * s->ldc * (int64_t)out,
            s->m,      n,
            s->k,      s->lda,
            s->ldb,    s->ldc,
            s->turn_a, s->turn_b,
            s->add};

        by_type((enum dtype)s->in, [&](auto *in_type) {
            by_type((enum dtype)s->out, [&](auto *out_type) {
                plain_kernel<element<decltype(in_type)>, element<decltype(out_type)>>
                    <<<grid, block, 0, d->stream>>>(g);
            });
        });
    }
    return cuda_launched(d, p->op, e);
}

/* ---- cuBLASLt ---- */

/* Of the vector that an epilogue adds: it is read 16 bytes at a time by some kernels. */
constexpr int BIAS_ALIGNMENT = 16;

static cudaDataType_t lt_type(int32_t t)
{
    return t == DT_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static bool set(cublasLtMatmulDesc_t op, cublasLtMatmulDescAttributes_t what,
                const void *value, size_t size)
{
    return cublasLtMatmulDescSetAttribute(op, what, value, size) == CUBLAS_STATUS_SUCCESS;
}

static bool describe(const struct product *p, struct description *t)
{
    const struct shape *s = &p->s;
    const cublasOperation_t turn = CUBLAS_OP_T;
    const cublasLtEpilogue_t bias =
        s->bias == BIAS_SUMS ? CUBLASLT_EPILOGUE_BGRADB : CUBLASLT_EPILOGUE_BIAS;
    const uint64_t am = (uint64_t)(s->turn_a ? s->k : s->m);
    const uint64_t ak = (uint64_t)(s->turn_a ? s->m : s->k);
    const uint64_t bk = (uint64_t)(s->turn_b ? s->n : s->k);
    const uint64_t bn = (uint64_t)(s->turn_b ? s->k : s->n);

    if (cublasLtMatmulDescInit(&t->op, CUBLAS_COMPUTE_32F, CUDA_R_32F) ||
        cublasLtMatrixLayoutInit(&t->a, lt_type(s->in), am, ak, s->lda) ||
        cublasLtMatrixLayoutInit(&t->b, lt_type(s->in), bk, bn, s->ldb) ||
        cublasLtMatrixLayoutInit(&t->c, lt_type(s->out), (uint64_t)s->m, (uint64_t)s->n,
                                 s->ldc))
        return false;
    if (s->turn_a && !set(&t->op, CUBLASLT_MATMUL_DESC_TRANSA, &turn, sizeof turn))
        return false;
    if (s->turn_b && !set(&t->op, CUBLASLT_MATMUL_DESC_TRANSB, &turn, sizeof turn))
        return false;
    if (!s->bias)
        return true;
    return set(&t->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &bias, sizeof bias) &&
           set(&t->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
}

/* What the heuristic may choose: within our workspace, sums in a fixed order in fp32. */
static bool prefer(const struct shape *s, cublasLtMatmulPreferenceOpaque_t *pref)
{
    const size_t room = GEMM_WORKSPACE;
    const uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const uint32_t align[3] = {(uint32_t)s->align_a, (uint32_t)s->align_b,
                               (uint32_t)s->align_c};
    const struct {
        cublasLtMatmulPreferenceAttributes_t what;
        const void *value;
        size_t size;
    } list[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room, sizeof room},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &scheme, sizeof scheme},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align[0], sizeof align[0]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align[1], sizeof align[1]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align[2], sizeof align[2]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align[2], sizeof align[2]},
    };

    if (cublasLtMatmulPreferenceInit(pref))
        return false;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (cublasLtMatmulPreferenceSetAttribute(pref, list[i].what, list[i].value,
                                                 list[i].size))
            return false;
    return true;
}

static void make_plan(struct dev *d, const struct product *p, struct description *t,
                      struct plan *plan)
{
    cublasLtMatmulPreferenceOpaque_t pref;
    cublasLtMatmulHeuristicResult_t found[8];
    int n = 0;

    plan->shape = p->s;
    plan->used = plan->plain = 1;
    if (p->s.bias != BIAS_SUMS)
        d->plain++;
    if (p->s.bias && p->s.align_bias < BIAS_ALIGNMENT)
        return;
    if (!prefer(&p->s, &pref) ||
        cublasLtMatmulAlgoGetHeuristic(d->lt, &t->op, &t->a, &t->b, &t->c, &t->c, &pref,
                                       8, found, &n))
        return;
    for (int i = 0; i < n; i++) {
        if (found[i].state == CUBLAS_STATUS_SUCCESS &&
            found[i].workspaceSize <= GEMM_WORKSPACE) {
            plan->algo = found[i].algo;
            plan->workspace = found[i].workspaceSize;
            plan->plain = 0;
            if (p->s.bias != BIAS_SUMS)
                d->plain--;
            return;
        }
    }
}

/* The place of a shape in the table of plans, an empty one when it is new. */
static struct plan *find_plan(struct dev *d, const struct shape *s)
{
    const unsigned char *bytes = (const unsigned char *)s;
    uint64_t hash = 1469598103934665603u;
    size_t at;

    for (size_t i = 0; i < sizeof *s; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    at = (size_t)(hash >> 20) % PLANS;
    while (d->plans[at].used && memcmp(&d->plans[at].shape, s, sizeof *s) != 0)
        at = (at + 1) % PLANS;
    if (!d->plans[at].used && ++d->n_plans > PLANS / 2) {
        memset(d->plans, 0, PLANS * sizeof *d->plans); /* so many shapes: start again */
        d->n_plans = 1;
    }
    return &d->plans[at];
}

/* Nothing was launched: the shape, type or layout is not there for this device. */
static bool is_refusal(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED ||
           status == CUBLAS_STATUS_INVALID_VALUE || status == CUBLAS_STATUS_ARCH_MISMATCH;
}

/* A launch that failed has left its reason with the runtime, too. */
static int lt_fail(struct dev *d, cublasStatus_t status, const char *op, struct err *e)
{
    const cudaError_t why = cudaGetLastError();

    if (why != cudaSuccess)
        return cuda_fail(d, why, op, e);
    return err_set(e, ERR_RUN, "%s on cuda:%d: cuBLASLt: %s", op, d->index,
                   cublasLtGetStatusString(status));
}

/* 1: the sums cannot be had in passing, and nothing was done. */
static int run(struct dev *d, const struct product *p, struct err *e)
{
    const float one = 1, beta = p->s.add ? 1.0f : 0.0f;
    struct description t;
    struct plan *plan;

    if (d->failed != cudaSuccess)
        return cuda_fail(d, d->failed, p->op, e);
    if (!describe(p, &t))
        return err_set(e, ERR_INTERNAL, "%s: cuBLASLt refused a description", p->op);
    plan = find_plan(d, &p->s);
    if (!plan->used)
        make_plan(d, p, &t, plan);
    if (!plan->plain) {
        const cublasStatus_t status = cublasLtMatmul(
            d->lt, &t.op, &one, p->a, &t.a, p->b, &t.b, &beta, p->c, &t.c, p->c, &t.c,
            &plan->algo, d->workspace, plan->workspace, d->stream);

        if (status == CUBLAS_STATUS_SUCCESS)
            return cuda_launched(d, p->op, e);
        if (!is_refusal(status))
            return lt_fail(d, status, p->op, e);
        plan->plain = 1;
        d->plain += p->s.bias != BIAS_SUMS;
    }
    return p->s.bias == BIAS_SUMS ? 1 : run_plain(d, p, e);
}

/* ---- the three products ---- */

/*
 * The largest power of two up to 16 that divides an address.  More is never needed, and to
 * tell more than that would make several plans, with sums in different orders, of one shape.
 */
static int32_t alignment(const void *p)
{
    int32_t n = 16;

    while (n > 1 && !is_aligned(p, (size_t)n))
        n /= 2;
    return n;
}

static int finish(struct dev *d, struct product *p, struct err *e)
{
    if (p->s.m == 0 || p->s.n == 0 || p->s.k == 0)
        return 0; /* a sum over nothing; the model has no such matrix */
    p->s.align_a = alignment(p->a);
    p->s.align_b = alignment(p->b);
    p->s.align_c = alignment(p->c);
    p->s.align_bias = p->bias ? alignment(p->bias) : 0;
    if (p->bias && p->s.bias == BIAS_NONE)
        p->s.bias = BIAS_ADD;
    return run(d, p, e);
}

/* A weight as the operand of a product. */
static const void *operand(struct dev *d, const struct mat *w, struct err *e)
{
    return d->act == DT_BF16 ? (const void *)shadow_of(d, w->p, e) : w->p;
}

int gemm_forward(struct dev *d, const struct mat *x, const struct mat *w, const float *b,
                 const struct mat *y, const char *op, struct err *e)
{
    struct product p = {};

    p.s.m = w->rows;
    p.s.n = x->rows;
    p.s.k = x->cols;
    p.s.turn_a = 1;
    p.s.lda = w->ld;
    p.s.ldb = x->ld;
    p.s.ldc = y->ld;
    p.s.in = d->act;
    p.s.out = y->t;
    p.a = operand(d, w, e);
    p.b = x->p;
    p.c = y->p;
    p.op = op;
    p.bias = b;
    if (b && y->t == DT_BF16) /* the type of a bias is that of y */
        p.bias = shadow_of(d, b, e);
    if (!p.a || (b && !p.bias))
        return -1;
    return finish(d, &p, e);
}

int gemm_dx(struct dev *d, const struct mat *dy, const struct mat *w,
            const struct mat *dx, bool add, const char *op, struct err *e)
{
    struct product p = {};

    p.s.m = w->cols;
    p.s.n = dy->rows;
    p.s.k = w->rows;
    p.s.lda = w->ld;
    p.s.ldb = dy->ld;
    p.s.ldc = dx->ld;
    p.s.in = d->act;
    p.s.out = dx->t;
    p.s.add = add;
    p.a = operand(d, w, e);
    p.b = dy->p;
    p.c = dx->p;
    p.op = op;
    return p.a ? finish(d, &p, e) : -1;
}

/* What is written need not be read: only then are the sums right whatever the epilogue does. */
bool gemm_sums(const struct dev *d, const struct weight_grad *g)
{
    return d->bias_sums && g->db && g->db_zero && g->set && g->dy->t == d->act &&
           is_aligned(g->db, BIAS_ALIGNMENT);
}

int gemm_dw(struct dev *d, const struct weight_grad *g, const char *op, struct err *e)
{
    struct product p = {};
    int rc = 1;

    p.s.m = g->x->cols;
    p.s.n = g->dy->cols;
    p.s.k = g->dy->rows;
    p.s.turn_b = 1;
    p.s.lda = g->x->ld;
    p.s.ldb = g->dy->ld;
    p.s.ldc = g->dw->ld;
    p.s.in = d->act;
    p.s.out = DT_F32;
    p.s.add = !g->set;
    p.a = g->x->p;
    p.b = g->dy->p;
    p.c = g->dw->p;
    p.op = op;
    if (gemm_sums(d, g)) {
        p.bias = g->db;
        p.s.bias = BIAS_SUMS;
        rc = finish(d, &p, e);
        p.bias = NULL;
        p.s.bias = BIAS_NONE;
    }
    if (rc <= 0)
        return rc;
    if (g->db && column_sums(d, g->dy, g->db, op, e))
        return -1;
    return finish(d, &p, e);
}

constexpr int MARK_JOIN = DEV_MARKS - 1; /* the model's marks are reached before any gradient */

int gemm_dw_beside(struct dev *d, const struct weight_grad *g, const char *op, struct err *e)
{
    int rc;

    if (!branch_pays(d, g->dy->rows))
        return gemm_dw(d, g, op, e);
    if (branch_enter(d, e))
        return -1;
    rc = gemm_dw(d, g, op, e);
    if (rc == 0)
        rc = branch_mark(d, MARK_JOIN, e);
    branch_leave(d);
    return rc;
}

int gemm_join(struct dev *d, int64_t rows, struct err *e)
{
    return branch_pays(d, rows) ? branch_reach(d, MARK_JOIN, e) : 0;
}
