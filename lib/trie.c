/* SPDX-License-Identifier: MIT */
/*
 * Building is in two steps.  The strings are sorted, KEY bytes at a time, which also tells how
 * much of each is that of the one before it.  Then a node is a range of sorted strings, whose
 * children lie between those neighbours that differ right behind it: no node is ever looked for.
 */
#include "trie.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    KEY = 7,     /* bytes compared at once */
    SMALL = 64,  /* strings that are sorted by insertion */
    LOWEST = 256, /* places below it stay empty, so that no base is negative */
    NODES_MAX = 1 << 30,
    PAGE = 4096,
    LARGE = 2 << 20,
    AHEAD = 8,   /* strings that are fetched before they are needed */
    PATIENCE = 4 /* words of the map that a search may pass before the next one starts later */
};

/* A string with its next bytes, most significant first, and below them how many are left. */
struct sorted {
    uint64_t key;
    uint32_t entry;
};

/* The same string afterwards, where its neighbours lie beside it. */
struct string {
    uint32_t at, len; /* in text */
    int32_t value;
};

/* Strings lo..hi-1 in their order, equal in their first `depth` bytes. */
struct range {
    uint32_t lo, hi, depth;
    uint32_t node; /* that these bytes lead to */
};

struct builder {
    const struct trie_entry *entry;
    struct sorted *at, *other; /* (n) */
    size_t n;
    struct string *string; /* (n) */
    uint8_t *text;
    uint32_t *common;    /* (n) bytes that a string shares with the one before it */
    struct range *todo;  /* (n_todo) of which `done` were looked at */
    size_t n_todo, done, cap;
    struct trie *trie;
    size_t room, value_room, used_room;
    uint64_t *used;      /* a bit for each place */
    size_t low, far;     /* where a free place, and one for a family, is looked for from */
};

/* Zeros; in large pages where the system has them, since they are looked at all over. */
static void *make(size_t n, size_t size, struct err *e)
{
    void *p = mem_alloc(n, size, "trie", e);

    if (p && n * size >= LARGE) {
        const uintptr_t at = ((uintptr_t)p + PAGE - 1) / PAGE * PAGE;

        (void)madvise((void *)at, n * size - PAGE, MADV_HUGEPAGE);
    }
    return p;
}

/* Up to eight bytes, the first in the highest place; zeros where there are fewer. */
static uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;

    if (n >= 8) {
        memcpy(&v, p, 8);
    } else if (n >= 4) {
        uint32_t first, last; /* which overlap */

        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        v = first | (uint64_t)last << 8 * (n - 4);
    } else if (n) {
        const uint8_t *u = (const uint8_t *)p;

        v = u[0] | (uint64_t)u[n / 2] << 8 * (n / 2) | (uint64_t)u[n - 1] << 8 * (n - 1);
    }
    return __builtin_bswap64(v);
}

static uint64_t key_of(const struct trie_entry *s, uint32_t depth)
{
    const size_t left = s->len - depth;

    return (load(s->bytes + depth, left) & ~(uint64_t)0xff) | (left > KEY ? KEY + 1 : left);
}

static void insertion_sort(struct sorted *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const struct sorted s = at[i];
        size_t k = i;

        for (; k > 0 && at[k - 1].key > s.key; k--)
            at[k] = at[k - 1];
        at[k] = s;
    }
}

/* From the last byte of the keys to the first; bytes that all have in common take no pass. */
static void radix_sort(struct sorted *at, struct sorted *other, size_t n)
{
    static const size_t zeros[256];
    size_t count[8][256];
    struct sorted *from = at, *to = other;

    for (int b = 0; b < 8; b++)
        memcpy(count[b], zeros, sizeof zeros);
    for (size_t i = 0; i < n; i++)
        for (int b = 0; b < 8; b++)
            count[b][at[i].key >> 8 * b & 0xff]++;
    for (int b = 0; b < 8; b++) {
        size_t sum = 0;

        if (count[b][at[0].key >> 8 * b & 0xff] == n)
            continue;
        for (int v = 0; v < 256; v++) {
            const size_t here = count[b][v];

            count[b][v] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[b][from[i].key >> 8 * b & 0xff]++] = from[i];
        other = from;
        from = to;
        to = other;
    }
    if (from != at)
        memcpy(at, from, n * sizeof *at);
}

static int push(struct builder *b, struct range r, struct err *e)
{
    if (mem_grow(&b->todo, &b->cap, b->n_todo + 1, sizeof *b->todo, e))
        return -1;
    b->todo[b->n_todo++] = r;
    return 0;
}

/* Bytes that two strings share whose keys differ at `depth`. */
static uint32_t shared(uint64_t a, uint64_t b, uint32_t depth)
{
    const uint32_t same = (uint32_t)__builtin_clzll(a ^ b) / 8;
    const uint32_t left = (uint32_t)((a & 0xff) < (b & 0xff) ? a & 0xff : b & 0xff);

    return depth + (same < left ? same : left);
}

/* Sorts a range by its next bytes; runs of equal ones that have more are to be sorted further. */
static int sort_range(struct builder *b, const struct range *r, struct err *e)
{
    const size_t n = r->hi - r->lo;
    struct sorted *at = b->at + r->lo;
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(b->entry[at[i + AHEAD].entry].bytes + r->depth);
        at[i].key = key_of(&b->entry[at[i].entry], r->depth);
    }
    if (n <= SMALL)
        insertion_sort(at, n);
    else
        radix_sort(at, b->other, n);
    for (size_t i = 1; i <= n; i++) {
        if (i < n && at[i].key == at[i - 1].key) {
            b->common[r->lo + i] = r->depth + (uint32_t)(at[i].key & 0xff);
            continue;
        }
        if (i - from > 1 && (at[from].key & 0xff) > KEY &&
            push(b, (struct range){r->lo + (uint32_t)from, r->lo + (uint32_t)i, r->depth + KEY, 0},
                 e))
            return -1;
        from = i;
        if (i < n)
            b->common[r->lo + i] = shared(at[i].key, at[i - 1].key, r->depth);
    }
    return 0;
}

static int sort_all(struct builder *b, struct err *e)
{
    for (size_t i = 0; i < b->n; i++)
        b->at[i].entry = (uint32_t)i;
    if (push(b, (struct range){0, (uint32_t)b->n, 0, 0}, e))
        return -1;
    /* Taken from the end: their number is bounded by that of the strings. */
    while (b->n_todo) {
        const struct range r = b->todo[--b->n_todo];

        if (sort_range(b, &r, e))
            return -1;
    }
    return 0;
}

/* Copies the strings in their order: what comes then walks over them again and again. */
static int line_up(struct builder *b, size_t bytes, struct err *e)
{
    size_t at = 0;

    b->string = make(b->n, sizeof *b->string, e);
    b->text = b->string ? make(bytes, 1, e) : NULL;
    if (!b->text)
        return -1;
    for (size_t i = 0; i < b->n; i++) {
        const struct trie_entry *s = &b->entry[b->at[i].entry];

        if (i + 2 * AHEAD < b->n)
            __builtin_prefetch(&b->entry[b->at[i + 2 * AHEAD].entry]);
        if (i + AHEAD < b->n)
            __builtin_prefetch(b->entry[b->at[i + AHEAD].entry].bytes);
        memcpy(b->text + at, s->bytes, s->len);
        b->string[i] = (struct string){(uint32_t)at, (uint32_t)s->len, s->value};
        at += s->len;
    }
    return 0;
}

/* ---- places ---- */

/* Room for so many places at first: zeros, and so free. */
static int first_room(struct builder *b, size_t places, struct err *e)
{
    struct trie *t = b->trie;

    t->node = make(places, sizeof *t->node, e);
    t->value = make(places, sizeof *t->value, e);
    b->used_room = places / 64 + 16;
    b->used = make(b->used_room, sizeof *b->used, e);
    b->room = b->value_room = places;
    return t->node && t->value && b->used ? 0 : -1;
}

/* Room for places below `need`. */
static int room(struct builder *b, size_t need, struct err *e)
{
    const size_t old = b->room, old_value = b->value_room, old_used = b->used_room;
    struct trie *t = b->trie;

    if (need <= old)
        return 0;
    /* The words of the map that a search looks at may lie far behind. */
    if (mem_grow(&t->node, &b->room, need, sizeof *t->node, e) ||
        mem_grow(&t->value, &b->value_room, need, sizeof *t->value, e) ||
        mem_grow(&b->used, &b->used_room, b->room / 64 + 16, sizeof *b->used, e))
        return -1;
    memset(t->node + old, 0, (b->room - old) * sizeof *t->node);
    memset(t->value + old_value, 0, (b->value_room - old_value) * sizeof *t->value);
    memset(b->used + old_used, 0, (b->used_room - old_used) * sizeof *b->used);
    return 0;
}

/* The 64 bits of the map from place `at` on. */
static uint64_t bits(const struct builder *b, size_t at)
{
    const uint64_t *w = b->used + at / 64;

    return at % 64 ? w[0] >> at % 64 | w[1] << (64 - at % 64) : w[0];
}

/* The first place for the first of `count` siblings (bytes in ascending order), 64 at a look. */
static int find_places(struct builder *b, const uint8_t *byte, int count, size_t *found,
                       struct err *e)
{
    const size_t start = count == 1 || b->far < b->low ? b->low : b->far;

    for (size_t at = start / 64 * 64;; at += 64) {
        uint64_t fits;

        if (room(b, at + 1024, e))
            return -1;
        fits = ~bits(b, at);
        if (at < start)
            fits &= UINT64_MAX << start % 64;
        for (int i = 1; i < count && fits; i++)
            fits &= ~bits(b, at + byte[i] - byte[0]);
        if (fits) {
            *found = at + (size_t)__builtin_ctzll(fits);
            if (count > 1 && at - start / 64 * 64 > PATIENCE * 64)
                b->far = at;
            return 0;
        }
    }
}

/* Makes the children of a node, at base + byte. */
static int place(struct builder *b, uint32_t node, const uint8_t *byte, int count,
                 uint32_t *base, struct err *e)
{
    struct trie *t = b->trie;
    size_t at, last;

    if (find_places(b, byte, count, &at, e))
        return -1;
    *base = (uint32_t)(at - byte[0]);
    last = *base + (size_t)byte[count - 1];
    if (last >= NODES_MAX)
        return err_set(e, ERR_DATA, "the vocabulary is too large");
    for (int i = 0; i < count; i++) {
        const size_t child = *base + (size_t)byte[i];

        t->node[child].parent = node;
        b->used[child / 64] |= (uint64_t)1 << child % 64;
    }
    t->node[node].base |= *base;
    t->n = t->n <= last ? last + 1 : t->n;
    while (b->used[b->low / 64] == UINT64_MAX)
        b->low = (b->low / 64 + 1) * 64;
    b->low += (size_t)__builtin_ctzll(~(b->used[b->low / 64] >> b->low % 64));
    return 0;
}

static void end_here(struct builder *b, uint32_t node, uint32_t i)
{
    b->trie->node[node].base |= 0x80000000u;
    b->trie->value[node] = b->string[i].value;
}

/* The rest of the one string of a range: a chain of only children. */
static int place_tail(struct builder *b, const struct range *r, struct err *e)
{
    const struct string *s = &b->string[r->lo];
    const uint8_t *text = b->text + s->at;
    uint32_t node = r->node, base;

    for (size_t k = r->depth; k < s->len; k++) {
        if (place(b, node, &text[k], 1, &base, e))
            return -1;
        node = base + text[k];
    }
    end_here(b, node, r->lo);
    return 0;
}

/* What is to be done behind a new node for strings lo..hi-1. */
static int go_on(struct builder *b, struct range r, struct err *e)
{
    /* Those that end here are the first; of equal ones the last counts. */
    for (; r.lo < r.hi && b->string[r.lo].len == r.depth; r.lo++)
        end_here(b, r.node, r.lo);
    if (r.lo == r.hi)
        return 0;
    return r.hi - r.lo == 1 ? place_tail(b, &r, e) : push(b, r, e);
}

static int place_children(struct builder *b, const struct range *r, struct err *e)
{
    uint32_t from[257], base;
    uint8_t byte[256];
    int count = 0;

    for (uint32_t i = r->lo; i < r->hi; i++)
        if (i == r->lo || b->common[i] == r->depth) {
            byte[count] = b->text[b->string[i].at + r->depth];
            from[count++] = i;
        }
    from[count] = r->hi;
    if (place(b, r->node, byte, count, &base, e))
        return -1;
    for (int i = 0; i < count; i++)
        if (go_on(b, (struct range){from[i], from[i + 1], r->depth + 1, base + byte[i]}, e))
            return -1;
    return 0;
}

/* Level by level, so that what every search passes lies together; but tails at once. */
static int place_all(struct builder *b, struct err *e)
{
    uint64_t nodes = LOWEST;
    uint32_t first = 0;

    for (size_t i = 0; i < b->n; i++)
        nodes += b->string[i].len - (i ? b->common[i] : 0);
    b->low = b->far = LOWEST;
    if (first_room(b, (size_t)nodes + nodes / 16 + 2048, e))
        return -1;
    b->trie->node[TRIE_ROOT].parent = TRIE_NONE; /* taken, and nobody's child */
    while (first < b->n && b->string[first].len == 0)
        first++;
    if (first < b->n && push(b, (struct range){first, (uint32_t)b->n, 0, TRIE_ROOT}, e))
        return -1;
    for (size_t i = 0; i < b->n_todo; i++) {
        const struct range r = b->todo[i];

        if (place_children(b, &r, e))
            return -1;
    }
    return room(b, b->trie->n + 512, e);
}

static int build(struct builder *b, struct err *e)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < b->n; i++)
        bytes += b->entry[i].len;
    if (bytes + b->n >= NODES_MAX)
        return err_set(e, ERR_DATA, "the vocabulary is too large");
    b->at = make(2 * b->n, sizeof *b->at, e);
    b->common = b->at ? make(b->n, sizeof *b->common, e) : NULL;
    if (!b->common)
        return -1;
    b->other = b->at + b->n;
    return sort_all(b, e) || line_up(b, (size_t)bytes, e) || place_all(b, e) ? -1 : 0;
}

int trie_build(struct trie *t, const struct trie_entry *entry, size_t n, struct err *e)
{
    struct builder b = {.entry = entry, .n = n, .trie = t};
    int rc;

    *t = (struct trie){0};
    rc = build(&b, e);
    if (rc)
        trie_free(t);
    free(b.at);
    free(b.common);
    free(b.string);
    free(b.text);
    free(b.todo);
    free(b.used);
    return rc;
}

void trie_free(struct trie *t)
{
    free(t->node);
    free(t->value);
    *t = (struct trie){0};
}

uint32_t trie_walk(const struct trie *t, const uint8_t *p, size_t n)
{
    uint32_t node = TRIE_ROOT;

    for (size_t i = 0; i < n && node != TRIE_NONE; i++)
        node = trie_step(t, node, p[i]);
    return node;
}
