/* SPDX-License-Identifier: MIT */
/* embed: the sum of the embeddings of word, place and segment, its norm and its dropout. */
#include "cpu.h"

#include <string.h>

enum { COLUMN_BLOCK = 64 }; /* columns of the tables that one call of scatter_block owns */

struct embed_job {
    const struct embed *a;
    const struct embed_bwd *b;
    struct drop_key key;
    float *parts; /* (blocks, 2H): each block's share of dgamma and dbeta */
};

MULTI_ISA
static void sum_row(const struct embed *a, int64_t t, float *y)
{
    const float *word = mat_row(&a->word, a->ids[t]), *pos = mat_row(&a->pos, a->positions[t]);
    const int64_t n = a->y.cols;

    if (!a->type.p) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = word[i] + pos[i];
    } else {
        const float *type = mat_row(&a->type, a->types ? a->types[t] : 0);

#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = word[i] + type[i] + pos[i];
    }
}

static void embed_block(void *ctx, int64_t i, int thread)
{
    const struct embed_job *j = ctx;
    const struct embed *a = j->a;
    const int64_t last = (i + 1) * ROW_BLOCK, n = a->y.cols;
    const int64_t end = last < a->seqs.n_tok ? last : a->seqs.n_tok;

    (void)thread;
    for (int64_t t = i * ROW_BLOCK; t < end; t++) {
        float *y = mat_row(&a->y, t);

        sum_row(a, t, y);
        norm_row(y, a->gamma, a->beta, a->eps, y, a->stats + 2 * t, n);
        if (j->key.on)
            drop_row(&j->key, a->drop.row[t], y, y, n);
    }
}

int cpu_embed(struct dev *d, const struct embed *a, struct err *e)
{
    struct embed_job j = {.a = a, .key = drop_key(&a->drop)};

    (void)e;
    par_for(d->par, cut_count(a->seqs.n_tok, ROW_BLOCK), embed_block, &j);
    return 0;
}

/* Turns dy of a block's tokens into the gradient of the sum, which is made again. */
static void embed_bwd_block(void *ctx, int64_t i, int thread)
{
    const struct embed_job *j = ctx;
    const struct embed *a = j->a;
    const int64_t last = (i + 1) * ROW_BLOCK, n = a->y.cols;
    const int64_t end = last < a->seqs.n_tok ? last : a->seqs.n_tok;
    float *part = j->parts + i * 2 * n;
    float *sum = j->parts + (cut_count(a->seqs.n_tok, ROW_BLOCK) * 2 + i) * n;

    (void)thread;
    memset(part, 0, 2 * (size_t)n * sizeof *part);
    for (int64_t t = i * ROW_BLOCK; t < end; t++) {
        float *dy = mat_row(&j->b->dy, t);

        sum_row(a, t, sum);
        if (j->key.on)
            drop_row(&j->key, a->drop.row[t], dy, dy, n);
        norm_row_bwd(sum, a->gamma, a->stats + 2 * t, dy, dy, part, part + n, n);
    }
}

/* Adds the rows of dy to the tables, in the order of the tokens, for some of the columns. */
MULTI_ISA
static void scatter_block(void *ctx, int64_t i, int thread)
{
    const struct embed_job *j = ctx;
    const struct embed *a = j->a;
    const struct embed_bwd *b = j->b;
    const int64_t from = i * COLUMN_BLOCK, left = a->y.cols - from;
    const int64_t n = left < COLUMN_BLOCK ? left : COLUMN_BLOCK;

    (void)thread;
    for (int64_t t = 0; t < a->seqs.n_tok; t++) {
        const float *dy = mat_row(&b->dy, t) + from;
        float *word = mat_row(&b->dword, a->ids[t]) + from;
        float *pos = mat_row(&b->dpos, a->positions[t]) + from;

#pragma omp simd
        for (int64_t k = 0; k < n; k++) {
            word[k] += dy[k];
            pos[k] += dy[k];
        }
        if (b->dtype.p) {
            float *type = mat_row(&b->dtype, a->types ? a->types[t] : 0) + from;

#pragma omp simd
            for (int64_t k = 0; k < n; k++)
                type[k] += dy[k];
        }
        if (i == 0 && b->touched)
            b->touched[a->ids[t]] = 1;
    }
}

int cpu_embed_bwd(struct dev *d, const struct embed_bwd *b, struct err *e)
{
    const struct embed *a = b->fwd;
    const int64_t blocks = cut_count(a->seqs.n_tok, ROW_BLOCK), n = a->y.cols;
    struct embed_job j = {.a = a, .b = b, .key = drop_key(&a->drop)};

    if (scratch_shared(d, (size_t)(blocks * 3 * n) * sizeof(float), e) != 0)
        return -1;
    j.parts = d->shared.p;
    par_for(d->par, blocks, embed_bwd_block, &j);
    norm_sum_parts(j.parts, blocks, b->dgamma, b->dbeta, n);
    par_for(d->par, cut_count(n, COLUMN_BLOCK), scatter_block, &j);
    return 0;
}
