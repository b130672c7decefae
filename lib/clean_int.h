/* SPDX-License-Identifier: MIT */
/*
 * clean_int: what the steps of lib/clean*.c share (L2, private to them).
 */
#ifndef BERTUTILS_CLEAN_INT_H
#define BERTUTILS_CLEAN_INT_H

#include "clean.h"
#include "err.h"
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

/* One step over one text. */
struct clean_pass {
    const uint8_t *p; /* (n) the text */
    size_t n;
    const char *word; /* (word_n) what is put in place of what is found; may be empty */
    size_t word_n;
    int count;        /* of `repeat` */
    struct buf *out;
    size_t longest;   /* that out may become */
    struct norm_scratch *points;
    struct err *e;
};

typedef int clean_fn(struct clean_pass *c);

/* html */
clean_fn clean_tags, clean_entities, clean_lost_amp;
/* marks of typing and of files */
clean_fn clean_ws, clean_trim, clean_lines, clean_ctrl, clean_escapes, clean_backslash,
    clean_quotes;
/* things put as a word */
clean_fn clean_url, clean_email, clean_user, clean_digits, clean_emoji, clean_repeat;
/* letters */
clean_fn clean_nfc, clean_nfd, clean_nfkc, clean_nfkd, clean_accents, clean_lower;

/* Out of line: the text is longer than it may be, or room must be found. */
int clean_room(struct clean_pass *c, size_t n) MUST_USE;

/* Appends to the result. */
static inline int clean_put(struct clean_pass *c, const void *data, size_t n)
{
    if (n == 0)
        return 0;
    if ((n >= c->out->cap - c->out->len || c->out->len + n > c->longest) && clean_room(c, n))
        return -1;
    memcpy(c->out->data + c->out->len, data, n);
    c->out->len += n;
    return 0;
}

/* What stands from `from` to `to` in the text. */
static inline int clean_keep(struct clean_pass *c, size_t from, size_t to)
{
    return clean_put(c, c->p + from, to - from);
}

static inline int clean_put_point(struct clean_pass *c, uint32_t point)
{
    uint8_t bytes[4];

    return clean_put(c, bytes, utf8_put(point, bytes));
}

static inline int clean_put_word(struct clean_pass *c)
{
    return clean_put(c, c->word, c->word_n);
}

/* The code point at `at`, and its length. */
static inline uint32_t clean_at(const struct clean_pass *c, size_t at, size_t *used)
{
    return utf8_next(c->p + at, c->n - at, used);
}

static inline bool clean_is_alnum(uint8_t b)
{
    return (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
}

static inline bool clean_is_alpha(uint8_t b)
{
    return (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
}

/* Letters, digits and _ of ASCII. */
static inline bool clean_is_word(uint8_t b)
{
    return clean_is_alnum(b) || b == '_';
}

/* Whether the text has this word (lower case) at `at`, in whatever case of ASCII. */
static inline bool clean_has(const struct clean_pass *c, size_t at, const char *word)
{
    for (; *word; word++, at++)
        if (at >= c->n || (c->p[at] | (clean_is_alpha(c->p[at]) ? 0x20 : 0)) != (uint8_t)*word)
            return false;
    return true;
}

#endif
