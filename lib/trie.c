/* SPDX-License-Identifier: MIT */
#include "trie.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* An edge while the trie is being made, found through a hash table of its parent and byte. */
struct edge {
    uint32_t parent, child;
    uint8_t byte;
};

struct builder {
    struct edge *edge; /* (n): edge i leads to node i + 1 */
    size_t n, cap;
    uint32_t *slot; /* (slots) edge + 1 */
    size_t slots;
    int64_t *value; /* (n + 1) by node; -1: no string ends there */
    size_t value_cap;
    /* Then: the children of each node, and where each node goes. */
    uint32_t *first, *child, *place;
};

static size_t edge_slot(const struct builder *b, uint32_t parent, uint8_t byte)
{
    const uint64_t key = (uint64_t)parent << 8 | byte;
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 24) & (b->slots - 1);

    for (; b->slot[i]; i = (i + 1) & (b->slots - 1)) {
        const struct edge *at = &b->edge[b->slot[i] - 1];

        if (at->parent == parent && at->byte == byte)
            break;
    }
    return i;
}

static int widen(struct builder *b, struct err *e)
{
    if ((b->n + 1) * 2 <= b->slots)
        return 0;
    free(b->slot);
    b->slots = b->slots ? b->slots * 4 : 1024;
    b->slot = mem_alloc(b->slots, sizeof *b->slot, "trie", e);
    if (!b->slot)
        return -1;
    for (size_t i = 0; i < b->n; i++)
        b->slot[edge_slot(b, b->edge[i].parent, b->edge[i].byte)] = (uint32_t)i + 1;
    return 0;
}

static int insert(struct builder *b, const struct trie_entry *entry, struct err *e)
{
    uint32_t node = 0;

    for (size_t i = 0; i < entry->len; i++) {
        const uint8_t byte = (uint8_t)entry->bytes[i];
        size_t at;

        if (widen(b, e))
            return -1;
        at = edge_slot(b, node, byte);
        if (!b->slot[at]) {
            if (b->n >= (1u << 30))
                return err_set(e, ERR_DATA, "the vocabulary is too large");
            if (mem_grow(&b->edge, &b->cap, b->n + 1, sizeof *b->edge, e) ||
                mem_grow(&b->value, &b->value_cap, b->n + 2, sizeof *b->value, e))
                return -1;
            b->edge[b->n] = (struct edge){node, (uint32_t)b->n + 1, byte};
            b->value[b->n + 1] = -1;
            b->slot[at] = (uint32_t)++b->n;
        }
        node = b->slot[at];
    }
    if (node)
        b->value[node] = entry->value;
    return 0;
}

/* Children of node k are child[first[k]..first[k + 1] - 1], as edge numbers. */
static int group(struct builder *b, struct err *e)
{
    b->first = mem_alloc(b->n + 3, sizeof *b->first, "trie", e);
    b->child = mem_alloc(b->n, sizeof *b->child, "trie", e);
    b->place = mem_alloc(b->n + 1, sizeof *b->place, "trie", e);
    if (!b->first || !b->child || !b->place)
        return -1;
    for (size_t i = 0; i < b->n; i++)
        b->first[b->edge[i].parent + 2]++;
    for (size_t k = 2; k < b->n + 3; k++)
        b->first[k] += b->first[k - 1];
    for (size_t i = 0; i < b->n; i++)
        b->child[b->first[b->edge[i].parent + 1]++] = (uint32_t)i;
    return 0;
}

/* Room for places up to `need`; new ones are free. */
static int room(struct trie *t, size_t *cap, size_t *value_cap, size_t need, struct err *e)
{
    const size_t old = *cap;

    if (mem_grow(&t->node, cap, need, sizeof *t->node, e) ||
        mem_grow(&t->value, value_cap, need, sizeof *t->value, e))
        return -1;
    for (size_t i = old; i < *cap; i++)
        t->node[i] = (struct trie_node){0, TRIE_NONE};
    return 0;
}

/* Whether all children of a node fit behind `base`. */
static int fits(const struct builder *b, const struct trie *t, uint32_t k, size_t base)
{
    for (uint32_t i = b->first[k]; i < b->first[k + 1]; i++)
        if (t->node[base + b->edge[b->child[i]].byte].parent != TRIE_NONE)
            return 0;
    return 1;
}

/*
 * Places the children of every node, parents first (nodes are numbered in order of their
 * making).  An only child takes the lowest free place; larger families, which rarely fit into
 * gaps, are looked for from where the search for the last one had to go.  Places below 256
 * stay empty, so that no base is negative.
 */
static int place_all(const struct builder *b, struct trie *t, struct err *e)
{
    size_t cap = 0, value_cap = 0, low = 256, far = 256;

    if (room(t, &cap, &value_cap, 1024, e))
        return -1;
    t->node[TRIE_ROOT].parent = TRIE_NONE - 1; /* taken, and nobody's child */
    for (uint32_t k = 0; k <= b->n; k++) {
        const uint32_t count = b->first[k + 1] - b->first[k];
        uint32_t least = 255;
        size_t at = count == 1 || far < low ? low : far, tries = 0;

        if (b->value[k] >= 0) {
            t->node[b->place[k]].base |= 0x80000000u;
            t->value[b->place[k]] = (int32_t)b->value[k];
        }
        if (count == 0)
            continue;
        for (uint32_t i = b->first[k]; i < b->first[k + 1]; i++)
            if (b->edge[b->child[i]].byte < least)
                least = b->edge[b->child[i]].byte;
        for (;; at++, tries++) {
            if (room(t, &cap, &value_cap, at + 1024, e))
                return -1;
            if (t->node[at].parent == TRIE_NONE && fits(b, t, k, at - least))
                break;
        }
        if (tries > 64 && count > 1)
            far = at - 32;
        for (uint32_t i = b->first[k]; i < b->first[k + 1]; i++) {
            const struct edge *edge = &b->edge[b->child[i]];

            b->place[edge->child] = (uint32_t)(at - least + edge->byte);
            t->node[b->place[edge->child]].parent = b->place[k];
            if (t->n <= b->place[edge->child])
                t->n = (size_t)b->place[edge->child] + 1;
        }
        t->node[b->place[k]].base |= (uint32_t)(at - least);
        while (t->node[low].parent != TRIE_NONE)
            low++;
    }
    return room(t, &cap, &value_cap, t->n + 512, e);
}

static int build(struct builder *b, struct trie *t, const struct trie_entry *entry, size_t n,
                 struct err *e)
{
    if (mem_grow(&b->value, &b->value_cap, 1, sizeof *b->value, e))
        return -1;
    b->value[0] = -1;
    for (size_t i = 0; i < n; i++)
        if (insert(b, &entry[i], e))
            return -1;
    return group(b, e) || place_all(b, t, e) ? -1 : 0;
}

int trie_build(struct trie *t, const struct trie_entry *entry, size_t n, struct err *e)
{
    struct builder b = {0};
    int rc;

    *t = (struct trie){0};
    rc = build(&b, t, entry, n, e);
    if (rc)
        trie_free(t);
    free(b.edge);
    free(b.slot);
    free(b.value);
    free(b.first);
    free(b.child);
    free(b.place);
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
