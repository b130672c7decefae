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

/* The classes of the ByteLevel pattern; PRE_HIGH: not ASCII, to be looked up. */
enum { PRE_HIGH = 0, PRE_L, PRE_N, PRE_S, PRE_O };
extern const uint8_t pre_class[256];

/* Where the word of the ByteLevel pattern that starts at p[at] ends; at < n. */
size_t pre_gpt2_end(const uint8_t *p, size_t n, size_t at);

/* The same, with the most usual words (ASCII letters, perhaps behind a space) told here. */
static inline size_t pre_gpt2_fast(const uint8_t *p, size_t n, size_t at)
{
    size_t i = at + (p[at] == ' ');

    if (i == n || pre_class[p[i]] != PRE_L)
        return pre_gpt2_end(p, n, at);
    for (i++; i < n && pre_class[p[i]] == PRE_L;)
        i++;
    return i < n && pre_class[p[i]] == PRE_HIGH ? pre_gpt2_end(p, n, at) : i;
}

#endif
