/* SPDX-License-Identifier: MIT */
/*
 * normchars: a normalizer over long texts, one character at a time where it can be (L2).
 *
 * What most characters become has nothing to do with their neighbours.  The normalizer itself
 * tells it, once a character, and a table remembers; what may touch a neighbour goes, with both
 * its neighbours, through all steps.
 */
#ifndef BERTUTILS_NORMCHARS_H
#define BERTUTILS_NORMCHARS_H

#include "normalize.h"

/*
 * A character that is normalized.  A text can be cut between two that are not SLOW, nor both
 * TOUCHY: what stands on one side has nothing to do with what stands on the other.
 */
enum {
    NORM_CHAR_KNOWN = 1,
    NORM_CHAR_SLOW = 2,
    NORM_CHAR_TOUCHY = 4,
    NORM_CHAR_BLANK = 8 /* has white space in it, or the mark that stands for a blank */
};
enum { NORM_CHAR_BYTES = 14 };
struct norm_char {
    uint8_t byte[NORM_CHAR_BYTES]; /* (n) UTF-8 */
    uint8_t n, flags;              /* 0: not looked up yet */
};

/* What one thread knows of characters under one normalizer; {0} is nothing. */
struct norm_chars {
    struct norm_char *at; /* made when the first one is met */
    uint64_t *same;       /* a bit for each: it stays what it is, and touches no neighbour */
    uint32_t mark;        /* set by the caller: a code point that counts as a blank, or 0 */
    bool cannot;          /* a step looks further than to a neighbour */
    unsigned seen;        /* flags of the last text's characters */
    struct buf piece;
};
void norm_chars_free(struct norm_chars *c);

/* As normalize, but it appends, and fills c->seen; s->inside holds for the start of the text. */
struct norm_text {
    const uint8_t *p;
    size_t n;
};
int normalize_chars(const struct normalizer *nz, const struct norm_text *text,
                    struct norm_chars *c, struct norm_scratch *s, struct buf *out,
                    struct err *e) MUST_USE;

/* The same without the table: all steps over all of it, long texts in pieces where they can be. */
int normalize_long(const struct normalizer *nz, const struct norm_text *text,
                   struct norm_scratch *s, struct buf *piece, struct buf *out,
                   struct err *e) MUST_USE;

#endif
