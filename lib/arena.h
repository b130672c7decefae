/* SPDX-License-Identifier: MIT */
/*
 * arena: memory that is planned before it is taken (L4).
 *
 * The same function lays everything out twice.  The first time it measures: base is NULL and
 * takes only add up.  Then `used` bytes are allocated once, and the second time it binds.
 */
#ifndef BERTUTILS_ARENA_H
#define BERTUTILS_ARENA_H

#include "mat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena {
    char *base;    /* NULL: measuring */
    size_t used;   /* bytes so far */
    bool overflow; /* more was asked for than a size_t holds */
};

/* count objects of size bytes at a multiple of 64; NULL while measuring. */
void *arena_take(struct arena *a, int64_t count, size_t size);

/* A (rows, cols) matrix; its p is NULL while measuring. */
struct mat arena_mat(struct arena *a, int64_t rows, int64_t cols, enum dtype t);

#endif
