/* SPDX-License-Identifier: MIT */
/*
 * seen: a set of records by a hash of their tokens, to find copies (L1).
 *
 * Two records are copies when their ids are the same, segment by segment; keys, labels
 * and weights do not count.  The 128-bit hash stands for the ids: among 10^12 different
 * records two share one with a chance of 10^-15.
 */
#ifndef BERTUTILS_SEEN_H
#define BERTUTILS_SEEN_H

#include "err.h"
#include "tokstream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen_slot {
    uint64_t high, low; /* the hash; both 0: free */
    uint64_t value;
};

/* {0} is empty. */
struct seen {
    struct seen_slot *slot;
    size_t n, n_slot; /* n_slot is 0 or a power of two */
};

/*
 * 1 and the value of the first copy in *value when the record was there; 0 when it was
 * not, and it is added with *value; -1 and *e when out of memory.
 */
int seen_add(struct seen *s, const struct toks_record *r, uint64_t *value,
             struct err *e) MUST_USE;
/* The same without adding: 1 and the value, or 0. */
int seen_find(const struct seen *s, const struct toks_record *r, uint64_t *value);
bool seen_has(const struct seen *s, const struct toks_record *r);
void seen_free(struct seen *s);

#endif
