/* SPDX-License-Identifier: MIT */
/*
 * pretoken: cuts normalized text into words, by hand-written scanners (L2).
 *
 * Source: tokenizers/src/pre_tokenizers/{bert,byte_level,whitespace,punctuation,digits}.rs.
 * Steps that have settings or change the text are taken by presplit.
 */
#ifndef BERTUTILS_PRETOKEN_H
#define BERTUTILS_PRETOKEN_H

#include "mem.h"

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
    PRE_NONE,      /* the piece is one word */
    PRE_METASPACE, /* the rest have a rule, and are taken by presplit */
    PRE_SPLIT,
    PRE_MARKS,     /* Punctuation that does not stand alone */
    PRE_BYTES      /* ByteLevel that spells its bytes as letters */
};

enum { PRE_MAX = 16 };

/* What becomes of what a pattern matches; its names in tokenizer.json are those. */
enum pre_behavior {
    PRE_ISOLATED, PRE_REMOVED, PRE_WITH_PREVIOUS, PRE_WITH_NEXT, PRE_CONTIGUOUS
};
/* Where Metaspace puts its mark: never, before all pieces, before the text's first. */
enum pre_scheme { PRE_NEVER, PRE_ALWAYS, PRE_FIRST };

struct pattern;
struct pre_rule {
    enum pre_behavior behavior; /* SPLIT, MARKS */
    bool invert;
    struct pattern *pattern; /* SPLIT */
    enum pre_scheme scheme;  /* METASPACE */
    bool split;
    uint8_t mark[4];
    size_t n_mark;
    bool words, prefix; /* BYTES: by the pattern of ByteLevel; a space in front */
};

struct pretokenizer {
    uint8_t step[PRE_MAX];
    struct pre_rule rule[PRE_MAX];
    int n;
    bool bytes;        /* words go to a byte-level model */
    bool prefix_space; /* a space before every piece that has none */
    bool rules;        /* some of the steps have one */
    bool joins;        /* a text without blanks is one word: Metaspace, WhitespaceSplit before it */
    uint32_t mark;     /* then: Metaspace's */
    struct buf facts;  /* the rules as bytes, for the tokenizer's hash */
};
void pretokenizer_free(struct pretokenizer *p);

int pretokenizer_add(struct pretokenizer *p, enum pre_step step);
/* The same with a rule, whose pattern, of the text `source`, it takes over in any case. */
int pretokenizer_rule(struct pretokenizer *p, enum pre_step step, const struct pre_rule *rule,
                      const char *source, struct err *e) MUST_USE;

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

/* The length of 's 't 'm 'd 're 've 'll at the apostrophe p[0], or 0. */
size_t pre_contraction(const uint8_t *p, size_t n);

#endif
