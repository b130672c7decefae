/* SPDX-License-Identifier: MIT */
/*
 * trie: longest match over byte strings, as a double array (L2).
 *
 * Eight bytes a node, so that a vocabulary of 30,000 tokens stays in a level-2 cache.
 * Source: Aoe, "An Efficient Digital Search Algorithm by Using a Double-Array Structure",
 * IEEE Transactions on Software Engineering 15 (1989).
 */
#ifndef BERTUTILS_TRIE_H
#define BERTUTILS_TRIE_H

#include "err.h"
#include "vocabmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRIE_ROOT = 1, TRIE_NONE = UINT32_MAX };

struct trie_node {
    uint32_t base;   /* where the children are; the top bit: a string ends here */
    uint32_t parent; /* 0: a free place */
};

struct trie {
    struct trie_node *node; /* (n + 256), so that base + byte needs no check */
    int32_t *value;         /* (n + 256) of the string that ends at a node, or in its tail */
    size_t n;
    uint8_t *tail; /* trie_build_vocab: of strings that go on alone, each behind its length */
};

/*
 * Bits of a base.  A node with a tail has no children, and no string ends there: its string
 * goes on with the bytes at tail + (base & TRIE_BASE) + 1, as many as that place tells.
 */
#define TRIE_END 0x80000000u
#define TRIE_TAIL 0x40000000u
#define TRIE_BASE 0x3fffffffu

/* One string to put in; of two equal ones the last wins. */
struct trie_entry {
    const char *bytes;
    size_t len;
    int32_t value;
};

int trie_build(struct trie *t, const struct trie_entry *entry, size_t n, struct err *e) MUST_USE;
/*
 * The same of a vocabulary's tokens, values their ids, with tails: a third of the nodes where
 * there are many scripts.  It is walked with trie_move, or by hand; the other functions here do
 * not know of tails.
 */
int trie_build_vocab(struct trie *t, const struct vocabmap *v, struct err *e) MUST_USE;
void trie_free(struct trie *t);

static inline uint32_t trie_step(const struct trie *t, uint32_t node, uint8_t byte)
{
    const uint32_t child = (t->node[node].base & 0x7fffffff) + byte;

    return t->node[child].parent == node ? child : TRIE_NONE;
}

/* A place of a walk: a node, and how many bytes of its tail were taken. */
struct trie_place {
    uint32_t node, taken;
};

/* Goes on by a byte; false when no string does, and *at is as it was. */
bool trie_move(const struct trie *t, struct trie_place *at, uint8_t byte);
/* Whether a string ends there, and its value. */
bool trie_ends(const struct trie *t, const struct trie_place *at, int32_t *value);

/* The node that p[0..n-1] leads to from the root, or TRIE_NONE. */
uint32_t trie_walk(const struct trie *t, const uint8_t *p, size_t n);

/*
 * The longest string of the trie that p[0..n-1] starts with, looked for from `node`: its
 * length in bytes and *value; 0 when there is none.
 */
static inline size_t trie_longest(const struct trie *t, uint32_t node, const uint8_t *p,
                                  size_t n, int32_t *value)
{
    uint32_t best = TRIE_NONE;
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        node = trie_step(t, node, p[i]);
        if (node == TRIE_NONE)
            break;
        if (t->node[node].base >> 31) {
            best = node;
            len = i + 1;
        }
    }
    if (len)
        *value = t->value[best];
    return len;
}

#endif
