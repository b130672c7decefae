/* SPDX-License-Identifier: MIT */
/*
 * pattern_int: a compiled pattern, shared by what makes it and what runs it (L2, private).
 */
#ifndef BERTUTILS_PATTERN_INT_H
#define BERTUTILS_PATTERN_INT_H

#include "pattern.h"

enum {
    PATTERN_MAX = 2000,    /* instructions */
    PATTERN_CLASSES = 250,
    PATTERN_NEST = 50      /* groups in one another */
};

enum pattern_op {
    OP_CLASS,  /* one code point of class x */
    OP_RUN,    /* x: class, as many as there are from min to max; `own`: gives none back */
    OP_LAZY,   /* the same, as few as will do */
    OP_FORK,   /* tries x, then y */
    OP_JUMP,   /* x */
    OP_AHEAD,  /* class x stands here; `not`: it does not */
    OP_BEHIND,
    OP_START,  /* of a line (x = 1) or the text */
    OP_END,
    OP_MATCH
};

struct pattern_step {
    uint8_t op;
    bool own, not;
    uint16_t x, y;
    uint32_t min, max; /* max UINT32_MAX: no limit */
};

/* A part of a class: code points, a category set, or another class. */
struct pattern_part {
    enum { PART_RANGE, PART_CATEGORY, PART_SPACE, PART_WORD, PART_CLASS } kind;
    bool not;
    uint32_t from, to; /* range; from: bits of categories, or a class, or a \w on its own */
};

struct pattern_class {
    uint32_t ascii[4]; /* which of them are in it */
    uint16_t part, n;  /* of the pattern's parts */
    bool not;
};

struct pattern {
    struct pattern_step *step;
    size_t n, cap;
    struct pattern_class class[PATTERN_CLASSES];
    size_t classes;
    struct pattern_part *part;
    size_t parts, part_cap;
    bool first[256]; /* bytes that a match can start with */
    char *literal;   /* the text itself, or NULL */
    size_t n_literal;
};

/* Whether a code point is of a class, by its parts. */
bool pattern_in(const struct pattern *pt, unsigned class, uint32_t c);

static inline bool pattern_has(const struct pattern *pt, unsigned class, uint32_t c)
{
    return c < 128 ? pt->class[class].ascii[c >> 5] >> (c & 31) & 1
                   : pattern_in(pt, class, c);
}

#endif
