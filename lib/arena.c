/* SPDX-License-Identifier: MIT */
/*
 * arena: memory that is planned before it is taken (L4).
 */
#include "arena.h"

void *arena_take(struct arena *a, int64_t count, size_t size)
{
    const size_t at = a->used;
    size_t bytes;

    if (count < 0 || __builtin_mul_overflow((size_t)count, size, &bytes) ||
        bytes > SIZE_MAX / 2 - at) {
        a->overflow = true;
        return NULL;
    }
    a->used = (at + bytes + 63) / 64 * 64;
    return a->base ? a->base + at : NULL;
}

struct mat arena_mat(struct arena *a, int64_t rows, int64_t cols, enum dtype t)
{
    struct mat m = {NULL, rows, cols, cols, t};
    int64_t n;

    if (__builtin_mul_overflow(rows, cols, &n)) {
        a->overflow = true;
        return m;
    }
    m.p = arena_take(a, n, t == DT_BF16 ? 2 : 4);
    return m;
}
