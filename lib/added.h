/* SPDX-License-Identifier: MIT */
/*
 * added: tokens that are found in the text itself, before the model sees it (L2).
 *
 * Those with normalized = false are looked for in the raw text, the others, themselves
 * normalized, in the normalized pieces between; leftmost and longest first.
 * Source: tokenizers/src/tokenizer/added_vocabulary.rs.
 */
#ifndef BERTUTILS_ADDED_H
#define BERTUTILS_ADDED_H

#include "mem.h"
#include "trie.h"
#include "vocabmap.h"

#include <stdbool.h>
#include <stdint.h>

struct added_token {
    char *content, *shown; /* shown: as the reference decodes it, normalized when it is */
    size_t len, shown_len;
    uint32_t id;
    bool special, lstrip, rstrip, single_word, normalized;
};

enum { ADDED_SOME = 4 };

/* One set to look for: the raw or the normalized ones. */
struct added_set {
    struct trie trie;    /* values are indices of the tokens */
    bool first[256];     /* bytes that a token starts with */
    int only;            /* the one such byte, -1: several */
    uint8_t some[ADDED_SOME]; /* has_some: all of them, some perhaps twice */
    bool has_some;
    int n;
};

struct added {
    struct added_token *at;
    size_t n, cap;
    struct vocabmap place; /* of each content in at */
    uint32_t max_id;
    struct added_set raw, normalized;
    uint32_t *by_id; /* (ids) place in at + 1, or 0 */
    size_t ids;
};

/* Adds a copy of a token; one whose content is there already replaces it. */
int added_put(struct added *a, const struct added_token *token, struct err *e) MUST_USE;
const struct added_token *added_find(const struct added *a, const char *content, size_t len);
/* Makes by_id, once all tokens are there. */
int added_index(struct added *a, size_t ids, struct err *e) MUST_USE;
const struct added_token *added_by_id(const struct added *a, uint32_t id);
void added_free(struct added *a);

/* A piece of a split text: a token, or with token = NULL the text between. */
struct added_piece {
    const struct added_token *token;
    size_t at, n;
};

/* The place of a walk over the pieces of a text; start with {0}. */
struct added_walk {
    size_t scan;  /* where the next search starts */
    size_t done;  /* pieces up to here were given */
    struct added_piece held; /* a token that waits behind the text before it */
    bool has_held;
};

/*
 * The next piece of p[0..n-1]: 1, or 0 at the end.  With specials = false special tokens are
 * text.  No piece of text is empty.
 */
int added_next(const struct added *a, const struct added_set *set, bool specials,
               const uint8_t *p, size_t n, struct added_walk *walk, struct added_piece *piece);

#endif
