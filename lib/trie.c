/* SPDX-License-Identifier: MIT */
/*
 * Building: of sorted strings a node is a range, whose children lie between those neighbours
 * that differ right behind it: no node is ever looked for.
 */
#include "triesort.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOWEST = 256, /* places below it stay empty, so that no base is negative */
    FEW = 1024,   /* strings below one node, whose nodes lie together */
    TAIL_MAX = 255,
    PATIENCE = 4 /* words of the map that a search may pass before the next one starts later */
};

/* Strings lo..hi-1 in their order, equal in their first `depth` bytes. */
struct range {
    uint32_t lo, hi, depth;
    uint32_t node; /* that these bytes lead to */
};

struct builder {
    struct triesort s;
    struct range *todo, *few; /* (n_todo), (n_few) those of FEW strings */
    size_t n_todo, cap, n_few, few_cap;
    bool tails;
    struct trie *trie;
    size_t room, value_room, used_room;
    uint64_t *used;  /* a bit for each place */
    size_t low, far; /* where a free place, and one for a family, is looked for from */
};

static int push(struct builder *b, struct range r, struct err *e)
{
    if (mem_grow(&b->todo, &b->cap, b->n_todo + 1, sizeof *b->todo, e))
        return -1;
    b->todo[b->n_todo++] = r;
    return 0;
}

/* ---- places ---- */

/* Room for so many places at first: zeros, and so free. */
static int first_room(struct builder *b, size_t places, struct err *e)
{
    struct trie *t = b->trie;

    t->node = triesort_make(places, sizeof *t->node, e);
    t->value = triesort_make(places, sizeof *t->value, e);
    b->used_room = places / 64 + 16;
    b->used = triesort_make(b->used_room, sizeof *b->used, e);
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
    if (last >= TRIE_NODES_MAX)
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
    b->trie->value[node] = b->s.string[i].value;
}

/* The rest of the one string of a range: its tail, behind a chain of only children. */
static int place_tail(struct builder *b, const struct range *r, struct err *e)
{
    const struct trie_string *s = &b->s.string[r->lo];
    uint8_t *text = b->s.text + s->at;
    uint32_t node = r->node, base, k = r->depth;

    while (k < s->len && (!b->tails || b->trie->node[node].base & TRIE_END ||
                          s->len - k > TAIL_MAX)) {
        if (place(b, node, &text[k], 1, &base, e))
            return -1;
        node = base + text[k++];
    }
    if (k == s->len) {
        end_here(b, node, r->lo);
        return 0;
    }
    /* The byte before it is told by the node. */
    text[k - 1] = (uint8_t)(s->len - k);
    b->trie->node[node].base = TRIE_TAIL | (uint32_t)(s->at + k - 1);
    b->trie->value[node] = s->value;
    return 0;
}

/* What is to be done behind a new node for strings lo..hi-1. */
static int go_on(struct builder *b, struct range r, struct err *e)
{
    /* Those that end here are the first; of equal ones the last counts. */
    for (; r.lo < r.hi && b->s.string[r.lo].len == r.depth; r.lo++)
        end_here(b, r.node, r.lo);
    if (r.lo == r.hi)
        return 0;
    if (r.hi - r.lo == 1)
        return place_tail(b, &r, e);
    if (r.hi - r.lo > FEW)
        return push(b, r, e);
    if (mem_grow(&b->few, &b->few_cap, b->n_few + 1, sizeof *b->few, e))
        return -1;
    b->few[b->n_few++] = r;
    return 0;
}

static int place_children(struct builder *b, const struct range *r, struct err *e)
{
    uint32_t from[257], base;
    uint8_t byte[256];
    int count = 0;

    for (uint32_t i = r->lo; i < r->hi; i++)
        if (i == r->lo || b->s.common[i] == r->depth) {
            byte[count] = b->s.text[b->s.string[i].at + r->depth];
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

/*
 * Level by level, so that what every search passes lies together; but what few strings share at
 * once, while they are at hand.
 */
static int place_all(struct builder *b, struct err *e)
{
    uint64_t nodes = LOWEST;
    uint32_t first = 0;

    for (size_t i = 0; i < b->s.n; i++)
        nodes += b->s.string[i].len - (i ? b->s.common[i] : 0);
    b->low = b->far = LOWEST;
    if (first_room(b, (size_t)nodes + nodes / 16 + 2048, e))
        return -1;
    b->trie->node[TRIE_ROOT].parent = TRIE_NONE; /* taken, and nobody's child */
    while (first < b->s.n && b->s.string[first].len == 0)
        first++;
    if (first < b->s.n && push(b, (struct range){first, (uint32_t)b->s.n, 0, TRIE_ROOT}, e))
        return -1;
    for (size_t i = 0; i < b->n_todo; i++) {
        struct range r = b->todo[i];

        if (place_children(b, &r, e))
            return -1;
        while (b->n_few) {
            r = b->few[--b->n_few];
            if (place_children(b, &r, e))
                return -1;
        }
    }
    return room(b, b->trie->n + 512, e);
}

static int build_with(struct builder *b, struct err *e)
{
    const int rc = triesort(&b->s, e) || place_all(b, e) ? -1 : 0;

    if (b->tails) {
        b->trie->tail = b->s.text;
        b->s.text = NULL;
    }
    if (rc)
        trie_free(b->trie);
    triesort_free(&b->s);
    free(b->todo);
    free(b->few);
    free(b->used);
    return rc;
}

int trie_build(struct trie *t, const struct trie_entry *entry, size_t n, struct err *e)
{
    struct builder b = {.s = {.entry = entry, .n = n}, .trie = t};

    *t = (struct trie){0};
    return build_with(&b, e);
}

int trie_build_vocab(struct trie *t, const struct vocabmap *v, struct err *e)
{
    struct builder b = {.s = {.vocab = v, .n = v->size}, .trie = t, .tails = true};

    *t = (struct trie){0};
    return build_with(&b, e);
}

void trie_free(struct trie *t)
{
    free(t->node);
    free(t->value);
    free(t->tail);
    *t = (struct trie){0};
}

bool trie_move(const struct trie *t, struct trie_place *at, uint8_t byte)
{
    const uint32_t base = t->node[at->node].base;
    uint32_t child;

    if (base & TRIE_TAIL) {
        const uint8_t *tail = t->tail + (base & TRIE_BASE);

        if (at->taken == tail[0] || tail[1 + at->taken] != byte)
            return false;
        at->taken++;
        return true;
    }
    child = (base & TRIE_BASE) + byte;
    if (t->node[child].parent != at->node)
        return false;
    at->node = child;
    return true;
}

bool trie_ends(const struct trie *t, const struct trie_place *at, int32_t *value)
{
    const uint32_t base = t->node[at->node].base;

    if (base & TRIE_TAIL ? at->taken < t->tail[base & TRIE_BASE] : !(base & TRIE_END))
        return false;
    *value = t->value[at->node];
    return true;
}

uint32_t trie_walk(const struct trie *t, const uint8_t *p, size_t n)
{
    uint32_t node = TRIE_ROOT;

    for (size_t i = 0; i < n && node != TRIE_NONE; i++)
        node = trie_step(t, node, p[i]);
    return node;
}
