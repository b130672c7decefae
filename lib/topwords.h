/* SPDX-License-Identifier: MIT */
/*
 * topwords: the most frequent of many words in memory of a fixed size (L1).
 *
 * Space-Saving (Metwally, Agrawal, El Abbadi 2005): a word that is not among the counted takes
 * the place and the count of the rarest, which is its possible error.  Any word that is more
 * than 1 / TOPWORDS of all is in the table; up to TOPWORDS different words counts are exact.
 * The table depends on the words and their order alone.
 */
#ifndef BERTUTILS_TOPWORDS_H
#define BERTUTILS_TOPWORDS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { TOPWORDS = 1024, TOPWORD_BYTES = 47 };

struct topword {
    uint64_t hash[2];  /* of the whole word, which stands for it */
    uint64_t count;    /* at most `error` too many */
    uint64_t error;
    char text[TOPWORD_BYTES + 1]; /* its beginning, whole code points */
};

struct topwords;

struct topwords *topwords_new(struct err *e) MUST_USE;
void topwords_free(struct topwords *t);

/* One more p[0..n-1], UTF-8. */
void topwords_add(struct topwords *t, const char *p, size_t n);

/* All words added, the same ones counted each time. */
uint64_t topwords_total(const struct topwords *t);

/*
 * Writes the up to `most` most frequent words to top[], by falling count (count - error where
 * that is the same, then bytes); returns how many.
 */
size_t topwords_get(const struct topwords *t, struct topword *top, size_t most);

#endif
