/* SPDX-License-Identifier: MIT */
#include "chunk.h"

#include <stdlib.h>

/* Blocks are never moved or grown, so that records can point into them. */
struct chunk_pool {
    struct chunk_pool *next;
    size_t used, cap;
    char data[];
};

enum { BLOCK = 64 << 10, LARGE = 1 << 20 };

static void free_blocks(struct chunk_pool *p)
{
    while (p) {
        struct chunk_pool *next = p->next;

        free(p);
        p = next;
    }
}

char *chunk_room(struct record_chunk *c, size_t n, struct err *e)
{
    struct chunk_pool *p = c->pool;

    if (!p || p->cap - p->used < n) {
        const size_t cap = n > BLOCK ? n : BLOCK;

        p = cap > SIZE_MAX / 2 ? NULL : malloc(sizeof *p + cap + CHUNK_SLACK);
        if (!p) {
            err_oom(e, "text", cap);
            return NULL;
        }
        *p = (struct chunk_pool){.next = c->pool, .cap = cap};
        c->pool = p;
    }
    return p->data + p->used;
}

void chunk_keep(struct record_chunk *c, size_t n)
{
    c->pool->used += n;
}

void chunk_reset(struct record_chunk *c)
{
    c->n = 0;
    c->invalid_utf8 = 0;
    buf_reset(&c->bytes);
    if (c->bytes.cap > LARGE)
        buf_free(&c->bytes);
    if (c->cap * sizeof *c->at > LARGE) {
        free(c->at);
        c->at = NULL;
        c->cap = 0;
    }
    if (!c->pool)
        return;
    free_blocks(c->pool->next);
    c->pool->next = NULL;
    c->pool->used = 0;
    if (c->pool->cap > LARGE) {
        free(c->pool);
        c->pool = NULL;
    }
}

struct record *chunk_add(struct record_chunk *c, struct err *e)
{
    if (mem_grow(&c->at, &c->cap, c->n + 1, sizeof *c->at, e))
        return NULL;
    c->at[c->n] = (struct record){.weight = 1};
    return &c->at[c->n++];
}

size_t record_chunk_memory(const struct record_chunk *c)
{
    size_t n = c->bytes.len + c->n * sizeof *c->at;

    for (const struct chunk_pool *p = c->pool; p; p = p->next)
        n += p->used;
    return n;
}

void record_chunk_free(struct record_chunk *c)
{
    free(c->at);
    buf_free(&c->bytes);
    free_blocks(c->pool);
    *c = (struct record_chunk){0};
}
