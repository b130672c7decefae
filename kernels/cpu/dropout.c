/* SPDX-License-Identifier: MIT */
/* dropout: rows with some of their elements dropped. */
#include "cpu.h"

#include <string.h>

struct drop_key drop_key(const struct drop *drop)
{
    struct drop_key k = {.threshold = drop_threshold(drop->p),
                         .scale = drop_scale(drop->p),
                         .on = drop->p > 0};

    if (k.on)
        memcpy(k.key, drop->key, sizeof k.key);
    return k;
}

MULTI_ISA
static void drop_columns(const struct drop_key *k, const uint16_t *half, const float *x,
                         float *y, int64_t n)
{
    const float scale = k->scale;
    const uint32_t threshold = k->threshold;

#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        y[j] = half[j] < threshold ? 0 : x[j] * scale;
}

void drop_row(const struct drop_key *k, struct row_id id, const float *x, float *y, int64_t n)
{
    uint16_t half[2 * DROP_APART];

    if (!k->on) {
        if (y != x)
            memcpy(y, x, (size_t)n * sizeof *y);
        return;
    }
    for (int64_t at = 0; at < n; at += 2 * DROP_APART) {
        const int64_t m = n - at < 2 * DROP_APART ? n - at : 2 * DROP_APART;

        philox_columns(half, m < DROP_APART ? (m + 3) / 4 : DROP_APART / 4, id,
                       drop_group((uint32_t)at), k->key);
        drop_columns(k, half, x + at, y + at, m);
    }
}

struct drop_job {
    const struct drop *drop;
    struct drop_key key;
    struct mat x, y;
};

static void drop_block(void *ctx, int64_t i, int thread)
{
    const struct drop_job *j = ctx;
    const int64_t end = (i + 1) * ROW_BLOCK < j->x.rows ? (i + 1) * ROW_BLOCK : j->x.rows;

    (void)thread;
    for (int64_t r = i * ROW_BLOCK; r < end; r++)
        drop_row(&j->key, j->key.on ? j->drop->row[r] : (struct row_id){0, 0},
                 mat_row(&j->x, r), mat_row(&j->y, r), j->x.cols);
}

int cpu_dropout(struct dev *d, const struct drop *drop, struct mat x, struct mat y,
                struct err *e)
{
    struct drop_job j = {drop, drop_key(drop), x, y};

    (void)e;
    if (j.key.on || x.p != y.p)
        par_for(d->par, cut_count(x.rows, ROW_BLOCK), drop_block, &j);
    return 0;
}
