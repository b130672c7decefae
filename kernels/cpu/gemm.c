/* SPDX-License-Identifier: MIT */
/* gemm: matrix products by oneDNN, one single-threaded call a tile. */
#include "gemm.h"

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdatomic.h>
#include <string.h>

/*
 * Tiles of about 512 tokens by 192 columns lose nothing against an uncut product: measured
 * for the shapes of MiniLM and BERT-base, 352 and 2048 tokens, with AVX-512.
 */
enum { MAX_PARTS = 4, TILE_ROWS = 512, TILE_COLUMNS = 192, FEW_TILES = 4, LEAST_ROWS = 64 };

/*
 * With fewer rows than this oneDNN adds in another order (seen with 2.6 on AVX-512, for all
 * shapes).  Such a product is made with rows of zeros behind it, so that the result of a row
 * does not depend on which others are in its batch.
 */
enum { SAME_ORDER_ROWS = 16 };

void gemm_open(struct dev *d)
{
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");

    memcpy(&d->omp_threads, &symbol, sizeof d->omp_threads);
}

void gemm_single_thread(const struct dev *d)
{
    if (d->omp_threads)
        d->omp_threads(1);
}

int gemm_serial(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, const float *a,
                int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    return dnnl_sgemm(trans_a, trans_b, m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc) ==
                   dnnl_success
               ? 0
               : -1;
}

static int64_t tiles(int64_t n, int64_t size)
{
    const int64_t count = (n + size / 2) / size; /* the nearest: 200 is not worth two tiles */

    return count < 1 ? 1 : count;
}

/* Cuts by shape; a product of few tiles is cut once more, for the sake of the other threads. */
static struct gemm cut(struct gemm g, int64_t size_m, int64_t size_n)
{
    g.tiles_m = tiles(g.m, size_m);
    g.tiles_n = tiles(g.n, size_n);
    while (g.tiles_m * g.tiles_n < FEW_TILES && g.m / g.tiles_m >= 2 * LEAST_ROWS)
        g.tiles_m *= 2;
    return g;
}

struct gemm gemm_forward(const struct mat *x, const struct mat *w, const struct mat *y)
{
    const struct gemm g = {
        .trans_a = 'N', .trans_b = 'T', .m = x->rows, .n = w->rows, .k = x->cols,
        .a = x->p, .lda = x->ld, .b = w->p, .ldb = w->ld, .c = y->p, .ldc = y->ld};

    return cut(g, TILE_ROWS, TILE_COLUMNS);
}

struct gemm gemm_dx(const struct mat *dy, const struct mat *w, const struct mat *dx, bool add)
{
    const struct gemm g = {
        .trans_a = 'N', .trans_b = 'N', .m = dy->rows, .n = w->cols, .k = w->rows,
        .a = dy->p, .lda = dy->ld, .b = w->p, .ldb = w->ld, .c = dx->p, .ldc = dx->ld,
        .beta = add ? 1.0f : 0.0f};

    return cut(g, TILE_ROWS, TILE_COLUMNS);
}

struct gemm gemm_dw(const struct mat *dy, const struct mat *x, const struct mat *dw, bool set)
{
    const struct gemm g = {
        .trans_a = 'T', .trans_b = 'N', .m = dy->cols, .n = x->cols, .k = dy->rows,
        .a = dy->p, .lda = dy->ld, .b = x->p, .ldb = x->ld, .c = dw->p, .ldc = dw->ld,
        .beta = set ? 0.0f : 1.0f};

    return cut(g, TILE_COLUMNS, TILE_ROWS);
}

struct gemm_job {
    const struct dev *d;
    const struct gemm *g;
    int n;
    atomic_bool failed;
};

static bool is_short(const struct gemm *g)
{
    return g->trans_a == 'N' && g->m < SAME_ORDER_ROWS;
}

/* Floats of scratch for a short product: its rows of a, padded, and those of c. */
static size_t short_scratch(const struct gemm *g)
{
    return (size_t)(SAME_ORDER_ROWS * (g->k + g->n));
}

/* Columns j0..j1-1 of a short product. */
static int gemm_short(const struct gemm *g, const float *b, int64_t j0, int64_t j1,
                      float *scratch)
{
    const int64_t n = j1 - j0;
    float *a = scratch, *c = scratch + SAME_ORDER_ROWS * g->k; // (16, k) (16, n)

    memset(a, 0, (size_t)(SAME_ORDER_ROWS * g->k) * sizeof *a);
    for (int64_t i = 0; i < g->m; i++)
        memcpy(a + i * g->k, g->a + i * g->lda, (size_t)g->k * sizeof *a);
    if (gemm_serial('N', g->trans_b, SAME_ORDER_ROWS, n, g->k, a, g->k, b, g->ldb, 0, c, n))
        return -1;
    for (int64_t i = 0; i < g->m; i++) {
        float *to = g->c + i * g->ldc + j0;

        for (int64_t j = 0; j < n; j++)
            to[j] = g->beta == 0 ? c[i * n + j] : g->beta * to[j] + c[i * n + j];
    }
    return 0;
}

static void gemm_tile(void *ctx, int64_t i, int thread)
{
    struct gemm_job *job = ctx;
    const struct gemm *g = job->g;
    int64_t i0, i1, j0, j1;
    const float *a, *b;
    int rc;

    while (i >= g->tiles_m * g->tiles_n) {
        i -= g->tiles_m * g->tiles_n;
        g++;
    }
    i0 = cut_at(g->m, g->tiles_m, i / g->tiles_n, 16);
    i1 = cut_at(g->m, g->tiles_m, i / g->tiles_n + 1, 16);
    j0 = cut_at(g->n, g->tiles_n, i % g->tiles_n, 16);
    j1 = cut_at(g->n, g->tiles_n, i % g->tiles_n + 1, 16);
    if (i0 == i1 || j0 == j1)
        return;
    a = g->a + (g->trans_a == 'N' ? i0 * g->lda : i0);
    b = g->b + (g->trans_b == 'N' ? j0 : j0 * g->ldb);
    gemm_single_thread(job->d);
    if (is_short(g))
        rc = gemm_short(g, b, j0, j1, job->d->own[thread].p);
    else
        rc = gemm_serial(g->trans_a, g->trans_b, i1 - i0, j1 - j0, g->k, a, g->lda, b, g->ldb,
                         g->beta, g->c + i0 * g->ldc + j0, g->ldc);
    if (rc)
        atomic_store(&job->failed, true);
    if (g->after)
        g->after(g->ctx, i0, i1, j0, j1);
}

int gemm_run(struct dev *d, const struct gemm *g, int n, struct err *e)
{
    struct gemm part[MAX_PARTS];
    struct gemm_job job = {.d = d, .g = part};
    int64_t count = 0;

    for (int i = 0; i < n; i++) {
        /* A sum over nothing: c stays, or is cleared; oneDNN is not asked. */
        if (g[i].m <= 0 || g[i].n <= 0 || g[i].k <= 0)
            continue;
        if (is_short(&g[i]) && scratch_own(d, short_scratch(&g[i]) * sizeof(float), e))
            return -1;
        part[job.n++] = g[i];
        count += g[i].tiles_m * g[i].tiles_n;
    }
    par_for(d->par, count, gemm_tile, &job);
    if (atomic_load(&job.failed))
        return err_set(e, ERR_INTERNAL, "oneDNN failed in a matrix product");
    return 0;
}

MULTI_ISA
void column_sums(const struct mat *m, int64_t j0, int64_t j1, float *sum)
{
    for (int64_t i = 0; i < m->rows; i++) {
        const float *row = mat_row(m, i);

#pragma omp simd
        for (int64_t j = j0; j < j1; j++)
            sum[j] += row[j];
    }
}
