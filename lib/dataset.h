/* SPDX-License-Identifier: MIT */
/*
 * dataset: a whole token stream in memory, read to its END, records by their index (L3).
 *
 * Training needs its records several times and in any order, and a pipe cannot be
 * rewound, so the decoded blocks are kept as they came.
 */
#ifndef BERTUTILS_DATASET_H
#define BERTUTILS_DATASET_H

#include "err.h"
#include "tokstream.h"

#include <stddef.h>
#include <stdint.h>

struct dataset {
    struct toks_header header;
    struct toks_totals totals;
    struct toks_block **block;
    size_t *first;  /* (n_blocks + 1) index of the first record of each block */
    size_t n_blocks, n; /* blocks, records */
    size_t cap_block, cap_first;
    char *name;     /* of the input, for messages */
};

/* Called with each block as it comes, before it is kept. */
typedef int (*dataset_tap)(void *ctx, const struct toks_block *b, struct err *e);

/*
 * Reads everything that is left of r; tap may be NULL.  *d needs dataset_free in any
 * case.
 */
int dataset_read(struct dataset *d, struct toks_reader *r, const char *name,
                 dataset_tap tap, void *ctx, struct err *e) MUST_USE;
void dataset_free(struct dataset *d);

/* Record i of 0..n-1; what *r points to lives as long as the dataset. */
void dataset_get(const struct dataset *d, size_t i, struct toks_record *r);

/* The key of a record as text: its own, or its number in room[24]. */
const char *dataset_key(const struct toks_record *r, char room[24], size_t *len);

#endif
