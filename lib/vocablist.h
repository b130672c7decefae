/* SPDX-License-Identifier: MIT */
/*
 * vocablist: what a trainer has learnt: tokens by id, and what their model needs beside them
 * (L2).
 */
#ifndef BERTUTILS_VOCABLIST_H
#define BERTUTILS_VOCABLIST_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct vocab_merge {
    uint32_t a, b; /* ids of the two parts */
};

/* {0} is empty. */
struct vocablist {
    char **token; /* (n) UTF-8, by id */
    float *score; /* (n) Unigram: log probability, 0 of special tokens */
    size_t n, cap, score_cap;
    struct vocab_merge *merge; /* (n_merges) BPE and WordPiece: in the order of learning */
    size_t n_merges, cap_merges;
};

/* Appends a copy of a token of n bytes. */
int vocablist_add(struct vocablist *v, const char *token, size_t n, float score,
                  struct err *e) MUST_USE;
void vocablist_free(struct vocablist *v);

#endif
