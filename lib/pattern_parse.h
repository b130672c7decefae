/* SPDX-License-Identifier: MIT */
/*
 * pattern_parse: what the readers of patterns and of their classes share (L2, private).
 */
#ifndef BERTUTILS_PATTERN_PARSE_H
#define BERTUTILS_PATTERN_PARSE_H

#include "pattern_int.h"
#include "utf8.h"

#include <string.h>

struct pattern_parser {
    struct pattern *pt;
    const uint8_t *p;
    size_t n, at;
    int depth;
    bool caseless;
    uint32_t last; /* the letter before, where case does not count; 0: none */
    struct err *e;
};

/* ERR_DATA: the pattern has what is not implemented. */
int pattern_cannot(const struct pattern_parser *q, const char *what);

/* What matches one code point, at q->at: the number of its class, or -1 and *e. */
int pattern_one_point(struct pattern_parser *q);

static inline bool pattern_more(const struct pattern_parser *q)
{
    return q->at < q->n;
}

/* Takes `text` when it stands next. */
static inline bool pattern_takes(struct pattern_parser *q, const char *text)
{
    const size_t len = strlen(text);

    if (q->n - q->at < len || memcmp(q->p + q->at, text, len) != 0)
        return false;
    q->at += len;
    return true;
}

#endif
