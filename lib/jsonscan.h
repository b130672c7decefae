/* SPDX-License-Identifier: MIT */
/*
 * jsonscan: walks over JSON text without building a tree of it (L2).
 *
 * A tokenizer's vocabulary and merges are hundreds of thousands of small values, which a tree
 * makes the slowest part of starting a tool; everything else is left to jansson.
 */
#ifndef BERTUTILS_JSONSCAN_H
#define BERTUTILS_JSONSCAN_H

#include "mem.h"

struct jsonscan {
    const char *p, *end; /* what is still to be read */
    const char *start;   /* of the text, for messages */
    const char *name;    /* of the file, for messages */
    struct buf text;     /* a string with escapes, spelled out */
    int valid;           /* all of the text is UTF-8: 1, 0, or -1: not known yet */
};

void jsonscan_open(struct jsonscan *s, const char *text, size_t n, const char *name);
void jsonscan_close(struct jsonscan *s);

/* The next character that is no blank, without taking it; 0 at the end. */
static inline char jsonscan_peek(struct jsonscan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
    return s->p < s->end ? *s->p : '\0';
}
/* Takes character c; -1 and *e when another one is next. */
int jsonscan_take(struct jsonscan *s, char c, struct err *e) MUST_USE;
/*
 * Goes on in an object or array that ends with `close`: 1 when there is another member
 * (*first is true before the first one), 0 when the end was taken, -1 and *e.
 */
int jsonscan_more(struct jsonscan *s, char close, bool *first, struct err *e) MUST_USE;

/* A string, valid UTF-8; *out is good until the next call, and not NUL-terminated. */
int jsonscan_string(struct jsonscan *s, const char **out, size_t *n, struct err *e) MUST_USE;
/* A whole number that is not negative. */
int jsonscan_number(struct jsonscan *s, uint64_t *out, struct err *e) MUST_USE;
/*
 * A number as serde_json reads it: its digits as an integer, then one multiplication or division
 * by a power of ten.  The last bit may be another than that of the nearest double.
 */
int jsonscan_real(struct jsonscan *s, double *out, struct err *e) MUST_USE;
/* Any value; what is inside is checked for balance only. */
int jsonscan_skip(struct jsonscan *s, struct err *e) MUST_USE;

#endif
