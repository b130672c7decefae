/* SPDX-License-Identifier: MIT */
#include "lengths.h"

const uint32_t length_limits[LENGTH_LIMITS] = {32, 64, 128, 256, 384, 512};

void lengths_add(struct lengths *l, uint64_t length)
{
    l->n++;
    l->sum += length;
    if (length > l->longest)
        l->longest = length;
    l->bin[length < LENGTH_BINS ? length : LENGTH_BINS - 1]++;
    for (int i = 0; i < LENGTH_LIMITS && length > length_limits[i]; i++) {
        l->over[i]++;
        l->cut[i] += length - length_limits[i];
    }
}

uint64_t lengths_quantile(const struct lengths *l, double share)
{
    uint64_t seen = 0;

    for (uint64_t i = 0; i < LENGTH_BINS - 1; i++) {
        seen += l->bin[i];
        if (seen > 0 && (double)seen >= share * (double)l->n)
            return i;
    }
    return l->longest;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

int lengths_print(const struct lengths *l, struct buf *out, struct err *e)
{
    if (buf_addf(out, e,
                 "tokens a record, special ones included: half up to %llu, 95 %% up to %llu, "
                 "99 %% up to %llu, longest %llu\n"
                 "limit  records cut          tokens cut\n",
                 (unsigned long long)lengths_quantile(l, 0.5),
                 (unsigned long long)lengths_quantile(l, 0.95),
                 (unsigned long long)lengths_quantile(l, 0.99), (unsigned long long)l->longest))
        return -1;
    for (int i = 0; i < LENGTH_LIMITS; i++)
        if (buf_addf(out, e, "%5u  %9llu %6.2f %%  %11llu %6.2f %%\n", length_limits[i],
                     (unsigned long long)l->over[i], percent(l->over[i], l->n),
                     (unsigned long long)l->cut[i], percent(l->cut[i], l->sum)))
            return -1;
    return 0;
}
