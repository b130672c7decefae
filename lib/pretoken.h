/* SPDX-License-Identifier: MIT */
/*
 * pretoken: cuts normalized text into words, by hand-written scanners (L2).
 *
 * Source: tokenizers/src/pre_tokenizers/{bert,byte_level,whitespace,punctuation,digits}.rs.
 */
#ifndef BERTUTILS_PRETOKEN_H
#define BERTUTILS_PRETOKEN_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pre_step {
    PRE_BERT = 1,  /* white space separates, punctuation stands alone */
    PRE_SPACE,     /* WhitespaceSplit */
    PRE_WORDS,     /* Whitespace: \w+|[^\w\s]+ */
    PRE_PUNCT,     /* Punctuation, each one alone */
    PRE_DIGITS,    /* Digits: runs of them are set apart */
    PRE_DIGIT,     /* Digits, each one alone */
    PRE_GPT2,      /* the pattern of ByteLevel */
    PRE_NONE       /* the piece is one word */
};

enum { PRE_MAX = 8 };

struct pretokenizer {
    uint8_t step[PRE_MAX];
    int n;
    bool bytes;        /* words go to a byte-level model */
    bool prefix_space; /* a space before every piece that has none */
};

int pretokenizer_add(struct pretokenizer *p, enum pre_step step);

struct span {
    size_t at, n;
};

/*
 * The next word of p[0..n-1] from *at on, by one step: 1 and *word, or 0 at the end.
 * *at moves on behind it.
 */
int pre_next(enum pre_step step, const uint8_t *p, size_t n, size_t *at, struct span *word);

/* Where the word of the ByteLevel pattern that starts at p[at] ends; at < n. */
size_t pre_gpt2_end(const uint8_t *p, size_t n, size_t at);

#endif
