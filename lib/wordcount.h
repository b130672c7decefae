/* SPDX-License-Identifier: MIT */
/*
 * wordcount: how often each word of a corpus occurs (L2).
 *
 * A hash table from bytes to counts.  The result of a training run must not depend on the
 * order of counting (threads), so the words are sorted by bytes before they are used.
 */
#ifndef BERTUTILS_WORDCOUNT_H
#define BERTUTILS_WORDCOUNT_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct word {
    size_t at;      /* offset of its bytes */
    uint32_t n;     /* length in bytes */
    uint64_t count;
};

struct wordcount {
    struct word *word; /* (n) in order of first sight, or sorted */
    size_t n, cap;
    char *bytes;
    size_t n_bytes, cap_bytes;
    uint32_t *slot;    /* (slots) 1 + index into word, 0: free */
    size_t slots;      /* a power of two */
};

/* Counts `times` more of a word.  Returns 0, or -1 when out of memory. */
int wordcount_add(struct wordcount *w, const char *word, size_t n, uint64_t times,
                  struct err *e) MUST_USE;
/* Adds all counts of `from`. */
int wordcount_merge(struct wordcount *w, const struct wordcount *from, struct err *e) MUST_USE;
/* Sorts by bytes; nothing may be added afterwards. */
void wordcount_sort(struct wordcount *w);
/* The same, by falling count, of equals by bytes. */
void wordcount_rank(struct wordcount *w);
void wordcount_free(struct wordcount *w);

#endif
