/* SPDX-License-Identifier: MIT */
/*
 * normalize: a tokenizer's normalizer, as a list of steps over code points (L2).
 *
 * BertNormalizer is four of them (CLEAN, CJK, NFD + STRIP_MN, LOWER), each on its own flag; a
 * Sequence is the steps of its parts.  Source: tokenizers/src/normalizers/{bert,strip,
 * unicode,utils,precompiled,prepend,replace,byte_level}.rs; Unicode Standard Annex 15.
 */
#ifndef BERTUTILS_NORMALIZE_H
#define BERTUTILS_NORMALIZE_H

#include "charsmap.h"
#include "pattern.h"

#include <stdint.h>

enum norm_step {
    NORM_CLEAN = 1,  /* drop controls, make white space a space */
    NORM_CJK,        /* a space on both sides of ideographs */
    NORM_NFD,
    NORM_NFC,
    NORM_STRIP_MN,   /* BertNormalizer's accents: non-spacing marks */
    NORM_STRIP_MARK, /* StripAccents: all marks */
    NORM_LOWER,
    NORM_NFKD,
    NORM_NFKC,
    NORM_NMT,         /* SentencePiece's: controls go, some characters are spaces */
    NORM_BYTES,       /* every byte as the letter that stands for it */
    NORM_STRIP_LEFT,  /* white space at the ends */
    NORM_STRIP_RIGHT,
    NORM_PREPEND,     /* these have an argument: see the functions below */
    NORM_REPLACE,
    NORM_CHARSMAP
};

enum { NORM_MAX = 24 };

/* What a step needs beside its name. */
struct norm_arg {
    struct pattern *pattern; /* REPLACE: of UTF-8 */
    bool is_text, is_blanks; /* which is the text `from`; two blanks and more */
    uint32_t *from, *text;   /* (n_from), (n) PREPEND, REPLACE: what is put in */
    size_t n_from, n;
    struct charsmap *charsmap;
};

struct normalizer {
    uint8_t step[NORM_MAX];
    struct norm_arg arg[NORM_MAX];
    int n;
    struct buf facts; /* the arguments as bytes, for the tokenizer's hash */
};
void normalizer_free(struct normalizer *nz);

/* Two arrays of code points that steps write into in turn.  {0} is empty. */
struct norm_scratch {
    uint32_t *at, *spare;
    size_t cap, spare_cap;
    size_t first; /* how many of them at the front belong to the text's first character */
    size_t first_bytes; /* the same of the result, in bytes */
    bool inside;     /* set by the caller: more of the text stands before, so its start stays */
    struct buf text; /* as UTF-8, for patterns */
    struct pattern_scratch pattern;
};
void norm_scratch_free(struct norm_scratch *s);

/* Adds a step without an argument; -1 when there are too many. */
int normalizer_add(struct normalizer *nz, enum norm_step step);
/* Steps with one; ERR_DATA when there are too many, or for what patterns cannot do. */
int normalizer_prepend(struct normalizer *nz, const char *text, size_t n,
                       struct err *e) MUST_USE;
int normalizer_charsmap(struct normalizer *nz, const void *data, size_t n,
                        struct err *e) MUST_USE;
/* Replaces what matches: a pattern (regex), or the text itself. */
struct norm_replace {
    const char *pattern, *content;
    size_t n_pattern, n_content;
    bool regex;
};
int normalizer_replace(struct normalizer *nz, const struct norm_replace *r,
                       struct err *e) MUST_USE;

/* One step over *n code points at s->at; norm_step_more: one of those from NFKD on. */
int norm_step(const struct normalizer *nz, int step, struct norm_scratch *s, size_t *n,
              struct err *e) MUST_USE;
int norm_step_more(const struct normalizer *nz, int step, struct norm_scratch *s, size_t *n,
                   struct err *e) MUST_USE;

/* Orders the marks of *n decomposed code points at s->at, and composes them. */
int norm_marks(struct norm_scratch *s, size_t *n, bool compose, struct err *e) MUST_USE;

/* Replaces *out by the normalized text of p[0..n-1]. */
int normalize(const struct normalizer *nz, const uint8_t *p, size_t n, struct norm_scratch *s,
              struct buf *out, struct err *e) MUST_USE;

#endif
