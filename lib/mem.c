/* SPDX-License-Identifier: MIT */
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *mem_alloc(size_t count, size_t size, const char *what, struct err *e)
{
    void *p;

    if (size != 0 && count > SIZE_MAX / size) {
        err_oom(e, what, SIZE_MAX);
        return NULL;
    }
    p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        err_oom(e, what, count * size);
    return p;
}

void *mem_alloc_aligned(size_t bytes, const char *what, struct err *e)
{
    void *p = NULL;

    if (bytes > SIZE_MAX - 64 ||
        posix_memalign(&p, 64, bytes ? (bytes + 63) / 64 * 64 : 64) != 0) {
        err_oom(e, what, bytes);
        return NULL;
    }
    return p;
}

void mem_free_aligned(void *p)
{
    free(p);
}

int mem_grow(void *array, size_t *cap, size_t need, size_t size, struct err *e)
{
    void *old, *grown;
    size_t want = *cap < 8 ? 8 : *cap;

    if (need <= *cap)
        return 0;
    while (want < need)
        want = want > SIZE_MAX / 2 ? need : want * 2;
    if (want > SIZE_MAX / size)
        return err_oom(e, "array", SIZE_MAX);
    memcpy(&old, array, sizeof old);
    grown = realloc(old, want * size);
    if (!grown)
        return err_oom(e, "array", want * size);
    memcpy(array, &grown, sizeof grown);
    *cap = want;
    return 0;
}

char *mem_dupn(const char *s, size_t n, struct err *e)
{
    char *copy = malloc(n + 1);

    if (!copy) {
        err_oom(e, "string", n + 1);
        return NULL;
    }
    if (n)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *mem_dup(const char *s, struct err *e)
{
    return mem_dupn(s, strlen(s), e);
}

void mem_heap_ahead(size_t n)
{
    const uintptr_t page = 2 << 20, small = 64 << 10, end = (uintptr_t)sbrk(0);
    const uintptr_t large = (end + small + page - 1) / page * page;
    void *first;

    /* malloc begins with a header, and a page that was touched cannot be part of a large one. */
    if (end == UINTPTR_MAX || sbrk((intptr_t)(large - small - end)) == (void *)-1)
        return;
    first = malloc(n + small);
    if (first && (uintptr_t)first < large && (uintptr_t)first + small >= large)
        (void)madvise((void *)large, n & ~(page - 1), MADV_HUGEPAGE);
    free(first);
}

int buf_reserve(struct buf *b, size_t n, struct err *e)
{
    if (n > SIZE_MAX - b->len - 1)
        return err_oom(e, "buffer", SIZE_MAX);
    return mem_grow(&b->data, &b->cap, b->len + n + 1, 1, e);
}

int buf_add(struct buf *b, const void *data, size_t n, struct err *e)
{
    if (buf_reserve(b, n, e))
        return -1;
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
    return 0;
}

int buf_puts(struct buf *b, const char *s, struct err *e)
{
    return buf_add(b, s, strlen(s), e);
}

int buf_putc(struct buf *b, char c, struct err *e)
{
    return buf_add(b, &c, 1, e);
}

int buf_addf(struct buf *b, struct err *e, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return err_set(e, ERR_INTERNAL, "cannot format a message");
    if (buf_reserve(b, (size_t)n, e))
        return -1;
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
    return 0;
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
