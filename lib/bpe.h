/* SPDX-License-Identifier: MIT */
/*
 * bpe: byte-level byte-pair encoding of one word (L2).
 *
 * Pairs are merged by rank, the leftmost first among equals.  Short words look for the best
 * pair in an array, long ones in a heap.  Very long ones are merged window by window, as far as
 * what follows cannot change it: time and memory of a word do not grow faster than its length.
 * Sources: tokenizers/src/models/bpe/{model,word}.rs; the spelling of bytes as letters is
 * that of pre_tokenizers/byte_level.rs.
 */
#ifndef BERTUTILS_BPE_H
#define BERTUTILS_BPE_H

#include "vocabmap.h"

enum {
    BPE_ID_BITS = 21, /* ids of byte-level vocabularies and ranks are below 1 << 21 */
    BPE_RANK_MASK = (1 << (BPE_ID_BITS + 1)) - 1,
    BPE_FILTER_BITS = 19
};

/*
 * Merges are an open-addressed table of left << 43 | right << 22 | rank + 1, 0 a free place:
 * eight to a cache line.
 */
struct bpe {
    uint64_t *slot;    /* (slots) */
    uint32_t *made;    /* the token that a merge makes, by rank */
    uint64_t *filter;  /* one bit for the hash of every merge: most pairs are none */
    size_t slots, merges;
    size_t window;     /* symbols looked at together of a word that has more, at least 1 */
    size_t longest;    /* bytes of a token: none is made of more symbols */
    int64_t byte_id[256]; /* -1: a byte that is no token */
    int64_t unk;          /* for such bytes; -1: they are left out */
    bool fuse_unk;        /* one unknown token for a run of them */
    bool whole;           /* a word that is a token is not merged (ignore_merges) */
    bool bytes_only;      /* all bytes have tokens */
};

/* What a long word is merged in; one a thread. */
struct bpe_scratch {
    struct bpe_symbol *symbol;
    uint64_t *heap;
    size_t cap, heap_cap;
    size_t most; /* ids of a word beyond which it is refused (ERR_DATA); 0: none */
};
void bpe_scratch_free(struct bpe_scratch *s);

/* The code point that stands for a byte in byte-level vocabularies. */
uint32_t bpe_letter(uint8_t byte);
/* The byte that a code point stands for, or -1. */
int bpe_byte(uint32_t letter);

/* Room for n merges; then bpe_add for each (a pair given twice has its last rank). */
int bpe_init(struct bpe *b, const struct vocabmap *v, size_t n, struct err *e) MUST_USE;
/* Adds (left, right), which become id; rank < n. */
void bpe_add(struct bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id);
/* Fetches the place of a pair that is to be added soon. */
void bpe_fetch(const struct bpe *b, uint32_t left, uint32_t right);
/* The rank of a pair of ids, UINT32_MAX when it is no merge. */
uint32_t bpe_rank(const struct bpe *b, uint32_t left, uint32_t right);
/* Whether place i < slots holds a merge, and of which ids. */
bool bpe_slot(const struct bpe *b, size_t i, uint32_t *left, uint32_t *right);
void bpe_free(struct bpe *b);

/* Writes the ids of a word of n bytes, at most n of them; returns how many, or -1 and *e. */
int64_t bpe_word(const struct bpe *b, const struct vocabmap *v, const uint8_t *word, size_t n,
                 struct bpe_scratch *s, uint32_t *ids, struct err *e) MUST_USE;
/* Merges n symbols in place, as the reference does; returns how many are left, or -1 and *e. */
int64_t bpe_merge(const struct bpe *b, struct bpe_scratch *s, uint32_t *ids, size_t n,
                  struct err *e) MUST_USE;

#endif
