/* SPDX-License-Identifier: MIT */
/*
 * seedpieces: the substrings of words that a Unigram vocabulary is chosen from (L2).
 *
 * All suffixes of all words are sorted; a substring that is followed by different things, or
 * ends a word, is a common prefix of neighbours in that order, and its count is the sum of
 * their words' counts (an enhanced suffix array, Abouelhoda, Kurtz and Ohlebusch 2004).
 */
#ifndef BERTUTILS_SEEDPIECES_H
#define BERTUTILS_SEEDPIECES_H

#include "err.h"
#include "wordcount.h"

#include <stddef.h>
#include <stdint.h>

struct seed {
    uint32_t at;    /* its text is words->bytes + at */
    uint16_t n;     /* bytes */
    uint16_t chars; /* code points, at least 2 */
    uint64_t count; /* in the corpus */
};

struct seeds {
    struct seed *at; /* (n) by falling count * chars, of equals by text */
    size_t n, cap;
};

enum { SEED_CHARS = 16 }; /* no seed is longer */

/*
 * The `most` best seeds that occur at least min_count times.  No word holds NUL; ERR_DATA when
 * their bytes together are over 4 GiB.
 */
int seeds_find(const struct wordcount *words, uint64_t min_count, size_t most,
               struct seeds *s, struct err *e) MUST_USE;
void seeds_free(struct seeds *s);

#endif
