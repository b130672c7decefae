/* SPDX-License-Identifier: MIT */
#include "dataset.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int keep(struct dataset *d, struct toks_reader *r, struct err *e)
{
    struct toks_block *b;

    if (mem_grow(&d->block, &d->cap_block, d->n_blocks + 1, sizeof *d->block, e) ||
        mem_grow(&d->first, &d->cap_first, d->n_blocks + 2, sizeof *d->first, e))
        return -1;
    b = toks_block_keep(r);
    if (!b)
        return err_oom(e, "a block of the token stream", 0);
    d->block[d->n_blocks] = b;
    d->first[d->n_blocks] = d->n;
    d->n += toks_block_records(b);
    d->first[++d->n_blocks] = d->n;
    return 0;
}

int dataset_read(struct dataset *d, struct toks_reader *r, const char *name,
                 dataset_tap tap, void *ctx, struct err *e)
{
    const struct toks_block *b;
    int got;

    memset(d, 0, sizeof *d);
    d->name = mem_dup(name, e);
    if (!d->name || toks_header_copy(&d->header, toks_reader_header(r), e))
        return -1;
    while ((got = toks_next_block(r, &b, e)) > 0)
        if ((tap && tap(ctx, b, e)) || keep(d, r, e))
            return -1;
    if (got < 0)
        return -1;
    d->totals = *toks_reader_totals(r);
    return 0;
}

void dataset_free(struct dataset *d)
{
    for (size_t i = 0; i < d->n_blocks; i++)
        toks_block_free(d->block[i]);
    toks_header_free(&d->header);
    free(d->block);
    free(d->first);
    free(d->name);
    memset(d, 0, sizeof *d);
}

void dataset_get(const struct dataset *d, size_t i, struct toks_record *r)
{
    size_t low = 0, high = d->n_blocks;

    while (high - low > 1) {
        const size_t mid = low + (high - low) / 2;

        if (d->first[mid] <= i)
            low = mid;
        else
            high = mid;
    }
    toks_get(d->block[low], i - d->first[low], r);
}

const char *dataset_key(const struct toks_record *r, char room[24], size_t *len)
{
    if (r->key) {
        *len = r->key_len;
        return r->key;
    }
    *len = (size_t)snprintf(room, 24, "%llu", (unsigned long long)r->number);
    return room;
}
