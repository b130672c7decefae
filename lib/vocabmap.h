/* SPDX-License-Identifier: MIT */
/*
 * vocabmap: tokens by id and ids by token (L2).
 *
 * Of several entries with one token the last wins, and the others' ids have no token, as in
 * the reference (but for Unigram, where they keep it).  Tokens are bytes and may hold NUL.
 */
#ifndef BERTUTILS_VOCABMAP_H
#define BERTUTILS_VOCABMAP_H

#include "err.h"
#include "mem.h"

#include <stdbool.h>
#include <stdint.h>

enum { VOCAB_MAX_ID = 1 << 24 }; /* ids of real vocabularies are far below */
/*
 * The id of a model's unknown token where the vocabulary has none.  No token has it; a text whose
 * ids hold it is refused.
 */
enum { VOCAB_NO_ID = (1 << 21) - 1 };

/* Where a token is in bytes.data; a NUL follows it. */
struct vocab_token {
    uint32_t at;
    uint32_t len; /* VOCAB_UNUSED: the id has no token */
};
#define VOCAB_UNUSED UINT32_MAX

/* A place of the hash table; the tag tells most strangers without a look at the token. */
struct vocab_slot {
    uint32_t tag; /* other bits of the hash */
    uint32_t id;  /* + 1; 0: free */
};

struct vocabmap {
    struct buf bytes;
    struct vocab_token *token; /* (size) by id */
    size_t size, cap;
    struct vocab_slot *slot; /* (slots), open addressing */
    size_t slots, entries;
    uint32_t *added; /* (n_added) ids that vocabmap_index has not seen, in their order */
    size_t n_added, added_cap;
    bool keep_spelling; /* ids that lost their token to a later one still show it */
};

void vocabmap_free(struct vocabmap *v);
/* Makes room for about n tokens more, which saves growing step by step. */
int vocabmap_reserve(struct vocabmap *v, size_t n, struct err *e) MUST_USE;
/* Gives a token an id; -1 and *e when out of memory or the id is over VOCAB_MAX_ID. */
int vocabmap_put(struct vocabmap *v, const char *token, size_t len, uint64_t id,
                 struct err *e) MUST_USE;
/*
 * The same for a token that is found only after vocabmap_index: many tokens are sooner in the
 * table together than one by one, each of which would wait for memory.
 */
int vocabmap_add(struct vocabmap *v, const char *token, size_t len, uint64_t id,
                 struct err *e) MUST_USE;
int vocabmap_index(struct vocabmap *v, struct err *e) MUST_USE;
/* The id of a token, or -1. */
int64_t vocabmap_id(const struct vocabmap *v, const char *token, size_t len);
/* The ids of n tokens, looked for together. */
enum { VOCAB_SLACK = 16 };
struct vocab_query {
    const char *token; /* VOCAB_SLACK bytes may be read from it on, however long it is */
    size_t len;
    int64_t id; /* set by vocabmap_ids; -1: there is none */
};
void vocabmap_ids(const struct vocabmap *v, struct vocab_query *query, size_t n);
/* The token of an id and its length, or NULL. */
const char *vocabmap_token(const struct vocabmap *v, uint32_t id, size_t *len);

#endif
