/* SPDX-License-Identifier: MIT */
/*
 * mem: overflow-checked allocation and growable byte buffers (L0).
 *
 * Counts read from files go straight into these functions: count * size is checked before
 * anything is allocated.  A failure fills *e with ERR_INTERNAL and names what was wanted.
 */
#ifndef BERTUTILS_MEM_H
#define BERTUTILS_MEM_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* count objects of size bytes, zeroed; never NULL for 0 of them.  NULL and *e on failure. */
void *mem_alloc(size_t count, size_t size, const char *what, struct err *e) MUST_USE;

/* Like mem_alloc, aligned to 64 bytes and not zeroed; release with mem_free_aligned. */
void *mem_alloc_aligned(size_t bytes, const char *what, struct err *e) MUST_USE;
void mem_free_aligned(void *p);

/*
 * Makes room for `need` objects of `size` bytes in *array (a pointer to a pointer), at least
 * doubling *cap when it grows; what was there stays.  Returns 0, or -1 and *e.
 */
int mem_grow(void *array, size_t *cap, size_t need, size_t size, struct err *e) MUST_USE;

/* Copies of a string or of n bytes, NUL-terminated. */
char *mem_dup(const char *s, struct err *e) MUST_USE;
char *mem_dupn(const char *s, size_t n, struct err *e) MUST_USE;

/*
 * Takes n bytes for the heap at once, in large pages where the system has them: what is allocated
 * next takes a few page faults in place of one each 4 KiB.  A hint, without effect where malloc
 * has no such heap, or gets so large a piece elsewhere: before much is allocated.
 */
void mem_heap_ahead(size_t n);

/* A growable run of bytes.  {0} is empty.  data[len] is always NUL once anything was added. */
struct buf {
    char *data;
    size_t len, cap;
};

int buf_add(struct buf *b, const void *data, size_t n, struct err *e) MUST_USE;
int buf_puts(struct buf *b, const char *s, struct err *e) MUST_USE;
int buf_putc(struct buf *b, char c, struct err *e) MUST_USE;
int buf_addf(struct buf *b, struct err *e, const char *format, ...) ERR_FORMAT(3, 4) MUST_USE;
/* Room for n more bytes behind len; the caller writes them and adds to len. */
int buf_reserve(struct buf *b, size_t n, struct err *e) MUST_USE;
void buf_reset(struct buf *b); /* length 0, memory kept */
void buf_free(struct buf *b);

#endif
