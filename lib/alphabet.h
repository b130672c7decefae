/* SPDX-License-Identifier: MIT */
/*
 * alphabet: the characters that a vocabulary starts from (L2).
 */
#ifndef BERTUTILS_ALPHABET_H
#define BERTUTILS_ALPHABET_H

#include "err.h"
#include "wordcount.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CODE_POINTS = 0x110000 };

struct letter {
    uint32_t code;
    uint64_t count; /* in the corpus */
    bool inside;    /* occurs after the first place of a word */
};

struct alphabet {
    struct letter *letter; /* (n) */
    size_t n;
};

/* Every character of the words, by code point. */
int alphabet_count(const struct wordcount *words, struct alphabet *a, struct err *e) MUST_USE;
/* Keeps the `most` most frequent ones, of equals the smaller code points; by code point. */
void alphabet_keep(struct alphabet *a, size_t most);
/* The place of a character, or -1. */
int64_t alphabet_find(const struct alphabet *a, uint32_t code);
void alphabet_free(struct alphabet *a);

#endif
