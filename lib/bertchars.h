/* SPDX-License-Identifier: MIT */
/*
 * bertchars: BERT's rules over text that is not ASCII, one character at a time (L2, private).
 *
 * What most characters become has nothing to do with their neighbours: a blank, a word of its
 * own (ideographs, punctuation), a few bytes of a word, nothing.  The normalizer itself tells
 * it, once a character, and a table remembers.
 */
#ifndef BERTUTILS_BERTCHARS_H
#define BERTUTILS_BERTCHARS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct encoder;

/* What a character becomes; eight bytes, so that a few thousand stay in a level-1 cache. */
struct bert_char {
    union {
        uint32_t id;     /* CHAR_ALONE: its token */
        uint8_t byte[4]; /* CHAR_WORD: (n) UTF-8 */
    };
    uint8_t kind; /* 0: not looked up yet */
    uint8_t n;
};

/* Where a scan of a text stands. */
struct bert_scan {
    const uint8_t *p; /* (n) the text */
    size_t n;
    uint8_t *lower; /* (n + 128) the words; each starts where it does in the text */
    size_t at;
    size_t open; /* start of the word that is not over yet, or NOT_OPEN */
};
#define NOT_OPEN SIZE_MAX

/*
 * Goes on character by character to the end of the text or to ASCII behind the end of a word:
 * 0.  1: the character at s->at cannot be told alone.  -1: *enc has the error.
 */
int bertchars_run(struct encoder *enc, struct bert_scan *s) MUST_USE;

#endif
