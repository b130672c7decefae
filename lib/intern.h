/* SPDX-License-Identifier: MIT */
/*
 * intern: byte strings to dense numbers 0, 1, 2 ... in order of first appearance (L1).
 */
#ifndef BERTUTILS_INTERN_H
#define BERTUTILS_INTERN_H

#include "err.h"
#include "mem.h"

#include <stddef.h>
#include <stdint.h>

/* {0} is empty. */
struct intern {
    struct buf text;
    size_t *off;      /* (n + 1) where each string starts in text */
    uint32_t *slot;   /* hash table of index + 1, 0 free; n_slot is a power of two */
    size_t n, off_cap, n_slot;
};

/* The number of a string, added when it is new.  -1 and *e when out of memory. */
int64_t intern_add(struct intern *t, const char *s, size_t len, struct err *e) MUST_USE;
/* The number of a string, or -1 when it is not there. */
int64_t intern_find(const struct intern *t, const char *s, size_t len);
const char *intern_get(const struct intern *t, size_t i, size_t *len);
void intern_reset(struct intern *t); /* empty, memory kept */
void intern_free(struct intern *t);

#endif
