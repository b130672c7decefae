/* SPDX-License-Identifier: MIT */
/*
 * triesort: the strings of a trie in their order (L2, private).
 *
 * They are sorted KEY bytes at a time, which also tells how much of each is that of the one
 * before it, and copied in that order: who builds the trie walks over them again and again.
 */
#ifndef BERTUTILS_TRIESORT_H
#define BERTUTILS_TRIESORT_H

#include "trie.h"

enum { TRIE_NODES_MAX = 1 << 30 };

/* A string where its neighbours lie beside it. */
struct trie_string {
    uint32_t at, len; /* in text */
    int32_t value;
};

/* Of `entry`, or of the tokens of a vocabulary by id, empty ones and ids without one left out. */
struct triesort {
    const struct trie_entry *entry;
    const struct vocabmap *vocab;
    size_t n;
    /* made by triesort */
    struct trie_string *string; /* (n) */
    uint8_t *text;
    uint32_t *common; /* (n) bytes that a string shares with the one before it */
    /* while it is at work */
    struct trie_sorted *at, *other; /* (n) */
    struct trie_equal *todo;        /* (n_todo) */
    size_t n_todo, cap;
};

/* Strings that are equal stay in order.  ERR_DATA when they are too many. */
int triesort(struct triesort *s, struct err *e) MUST_USE;
void triesort_free(struct triesort *s);

/* Zeros; in large pages where the system has them, since they are looked at all over. */
void *triesort_make(size_t n, size_t size, struct err *e) MUST_USE;

#endif
