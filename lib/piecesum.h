/* SPDX-License-Identifier: MIT */
/*
 * piecesum: sums over all ways to cut the words of a corpus into pieces (L2, private to
 * piecetrain).
 */
#ifndef BERTUTILS_PIECESUM_H
#define BERTUTILS_PIECESUM_H

#include "alphabet.h"
#include "mem.h"
#include "par.h"
#include "piecetrain.h"
#include "seedpieces.h"
#include "trie.h"

#include <stdbool.h>

/*
 * Words are cut after LONGEST characters.  Probabilities are multiplied by e^LIFT for each
 * character, which cancels out: so the sums over one word stay within a double's range, for
 * e^(40 * (LOWEST + LIFT)) is 1e-295.
 */
enum { LONGEST = 40, MAX_BYTES = 4 * LONGEST, MAX_EDGES = LONGEST * SEED_CHARS };
enum { SEEDS = 1000000, BLOCK = 256, LIFT = 5, LOWEST = -22 };

struct piece {
    const char *text;
    uint16_t n, chars; /* bytes, code points; one code point: part of the alphabet, stays */
    double weight;     /* how often it is expected in the corpus */
    double log_p, lifted; /* log probability; probability * e^(LIFT * chars), 0: dropped */
    uint64_t best;     /* how often it is in the best cut of the corpus */
    double loss;       /* of log likelihood, when it is taken away */
};

struct edge {
    uint16_t from, to;
    uint32_t piece;
};

/* What one thread works with. */
struct worker {
    int64_t *sum; /* (pieces) */
    struct edge edge[MAX_EDGES];
    double ahead[MAX_BYTES + 1], back[MAX_BYTES + 1];
};

struct trainer {
    const struct piece_options *o;
    struct alphabet alphabet;
    struct wordcount cut; /* parts of words; the bytes are the words' own */
    size_t cap_cut;
    struct buf letters;   /* the text of the alphabet's pieces */
    struct seeds seeds;
    struct piece *piece;
    size_t n;
    struct trie trie;     /* values are indices of pieces */
    struct par *pool;
    struct worker **worker;
    double unit; /* of the sums: one occurrence */
    double all;  /* of the best cut: how many pieces it has */
};

/* Sets log_p and what follows from it. */
void piece_set(struct piece *x, double log_p);

/* How often each piece is expected in a word, added to the worker's sums. */
void piece_expect(const struct trainer *t, struct worker *k, const struct word *w);

/*
 * Two rounds of expectation and maximization over the corpus.  With `drop` pieces that are
 * expected less than half a time are dropped (lifted = 0).
 */
void pieces_estimate(struct trainer *t, bool drop);

/* Fills `best` and `loss` of every piece. */
void pieces_losses(struct trainer *t);

#endif
