/* SPDX-License-Identifier: MIT */
#include "order.h"

#include "mem.h"
#include "philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ranked {
    uint64_t rank;
    uint32_t index;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

int order_permute(uint64_t seed, uint32_t epoch, uint32_t use, size_t n, uint32_t *order,
                  struct err *e)
{
    uint32_t key[2], word[4] = {0};
    struct ranked *all;

    if (n > UINT32_MAX)
        return err_set(e, ERR_DATA, "%zu records are more than can be put in order", n);
    all = mem_alloc(n, sizeof *all, "the order of the records", e);
    if (!all)
        return -1;
    philox_key(key, seed, epoch, use);
    for (size_t i = 0; i < n; i++) {
        if (i % 2 == 0) {
            const uint32_t counter[4] = {(uint32_t)(i / 2), 0, 0, 0};

            philox4x32(word, counter, key);
        }
        all[i].rank = (uint64_t)word[i % 2 * 2] << 32 | word[i % 2 * 2 + 1];
        all[i].index = (uint32_t)i;
    }
    qsort(all, n, sizeof *all, by_rank);
    for (size_t i = 0; i < n; i++)
        order[i] = all[i].index;
    free(all);
    return 0;
}

size_t order_heldout_count(double percent, size_t n)
{
    /*
     * The small number keeps a product that is whole, like 0.71 * 100, from falling
     * short.
     */
    const double stay = floor((100.0 - percent) * (double)n / 100.0 + 1e-9);

    return stay <= 0 ? n : n - (size_t)stay;
}

int order_heldout(uint64_t seed, double percent, size_t n, uint8_t *held, struct err *e)
{
    const size_t out = order_heldout_count(percent, n);
    uint32_t *order = mem_alloc(n, sizeof *order, "the held-out split", e);

    if (!order)
        return -1;
    if (order_permute(seed, 0, PHILOX_SITE_HELDOUT, n, order, e)) {
        free(order);
        return -1;
    }
    memset(held, 0, n);
    for (size_t i = n - out; i < n; i++)
        held[order[i]] = 1;
    free(order);
    return 0;
}
