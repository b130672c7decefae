/* SPDX-License-Identifier: MIT */
/* dropout: random numbers by counter, and the dropout of whole rows. */
#include "cpu.h"

#include <string.h>

/* philox4x32 of one counter, in a form of which compilers make SIMD code. */
INLINE void philox_one(uint32_t *out, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                       uint32_t k0, uint32_t k1)
{
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

MULTI_ISA
void philox_fill(uint32_t *out, int64_t n, uint32_t c0, const uint32_t *c1,
                 const uint32_t *c2, uint32_t c3, const uint32_t key[2])
{
    const uint32_t k0 = key[0], k1 = key[1];

#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        philox_one(out + 4 * i, c0, c1[i], c2[i], c3, k0, k1);
}

struct drop_key drop_key(const struct dev *d, const struct drop *drop)
{
    struct drop_key k = {.threshold = philox_threshold(drop->p), .on = drop->p > 0};

    k.scale = drop->p < 1 ? 1 / (1 - drop->p) : 0;
    if (k.on)
        philox_key(k.key, d->seed, d->step, drop->site);
    return k;
}

MULTI_ISA
static void drop_words(const struct drop_key *k, struct row_id id, uint32_t first,
                       uint32_t *word, int groups)
{
    const uint32_t k0 = k->key[0], k1 = k->key[1];

#pragma omp simd
    for (int g = 0; g < groups; g++)
        philox_one(word + 4 * g, id.record, id.offset, first + (uint32_t)g, 0, k0, k1);
}

MULTI_ISA
void drop_row(const struct drop_key *k, struct row_id id, const float *x, float *y, int64_t n)
{
    enum { CHUNK = 512 };
    uint32_t word[CHUNK];

    if (!k->on) {
        if (y != x)
            memcpy(y, x, (size_t)n * sizeof *y);
        return;
    }
    for (int64_t at = 0; at < n; at += CHUNK) {
        const int m = n - at < CHUNK ? (int)(n - at) : CHUNK;
        const float scale = k->scale;
        const uint32_t threshold = k->threshold;

        drop_words(k, id, (uint32_t)(at / 4), word, (m + 3) / 4);
#pragma omp simd
        for (int j = 0; j < m; j++)
            y[at + j] = word[j] < threshold ? 0 : x[at + j] * scale;
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
    struct drop_job j = {drop, drop_key(d, drop), x, y};

    (void)e;
    if (j.key.on || x.p != y.p)
        par_for(d->par, cut_count(x.rows, ROW_BLOCK), drop_block, &j);
    return 0;
}
