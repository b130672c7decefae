/* SPDX-License-Identifier: MIT */
/*
 * unigram: the most probable cut of a word into pieces, by Viterbi's algorithm (L2).
 *
 * A character that is no piece is the unknown token with the lowest score less 10; a run of
 * them is one token, or the tokens of its bytes ("<0x0A>") where the model has them.  Of equal
 * cuts the one whose last piece is longest wins.  Sums are doubles, in the reference's order.
 * Source: tokenizers/src/models/unigram/model.rs.
 */
#ifndef BERTUTILS_UNIGRAM_H
#define BERTUTILS_UNIGRAM_H

#include "trie.h"
#include "vocabmap.h"

#include <stdbool.h>

/*
 * {0} is empty.  The maker adds the pieces in the order of their ids, sets unk and
 * byte_fallback, and unigram_build does the rest:
 *
 *     unigram_add(&t->unigram, &t->vocab, piece, len, score, e)    for each piece
 *     t->unigram.unk = 0;                                          or VOCAB_NO_ID
 */
struct unigram {
    double *score; /* (n) by id */
    size_t n, cap;
    int32_t unk;
    bool byte_fallback;
    bool any_bytes; /* pieces may be other than UTF-8 */
    /* made by unigram_build */
    struct trie trie;
    double unk_score;
    size_t longest; /* piece, in bytes */
    int32_t byte_id[256]; /* with byte_fallback; -1: none */
};

/* Where a word is cut; one a thread.  {0} is empty. */
struct unigram_scratch {
    double *score; /* (mask + 1) */
    size_t mask;
    uint32_t *link; /* (cap) */
    size_t cap;
    struct unigram_char *chars; /* what is known of them, with one vocabulary */
};
void unigram_scratch_free(struct unigram_scratch *s);

/* Makes room for about n pieces. */
int unigram_reserve(struct unigram *u, size_t n, struct err *e) MUST_USE;
/*
 * Adds the piece with the next id, 0 at first, as vocabmap_add does.  Of two equal pieces the last one is found in
 * text; both ids keep their spelling.
 */
int unigram_add(struct unigram *u, struct vocabmap *v, const char *piece, size_t len,
                double score, struct err *e) MUST_USE;
/* ERR_DATA when unk is no piece. */
int unigram_build(struct unigram *u, struct vocabmap *v, struct err *e) MUST_USE;
void unigram_free(struct unigram *u);

/* Writes the ids of a word of n bytes, at most n of them; returns how many, or -1 and *e. */
int64_t unigram_word(const struct unigram *u, const struct vocabmap *v, const uint8_t *word,
                     size_t n, struct unigram_scratch *s, uint32_t *ids,
                     struct err *e) MUST_USE;

#endif
