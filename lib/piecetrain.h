/* SPDX-License-Identifier: MIT */
/*
 * piecetrain: Unigram vocabularies, by expectation maximization and pruning (L2).
 *
 * Kudo, "Subword regularization" (ACL 2018), section 3.2, as SentencePiece and `tokenizers`
 * do it: from many substrings, estimate the probability of each, drop those whose loss
 * lowers the likelihood of the corpus least, and so on until few enough are left.
 */
#ifndef BERTUTILS_PIECETRAIN_H
#define BERTUTILS_PIECETRAIN_H

#include "err.h"
#include "vocablist.h"
#include "wordcount.h"

#include <stddef.h>
#include <stdint.h>

struct piece_options {
    size_t size;         /* tokens in all, special ones and alphabet included */
    uint64_t min_count;  /* no longer piece is rarer in the corpus */
    size_t max_alphabet; /* keep the most frequent characters only */
    const char *const *special; /* first tokens of the vocabulary, with score 0 */
    int n_special;
    int threads; /* never changes the result */
};

/*
 * Words are UTF-8 text without NUL, sorted by wordcount_sort.  The tokens behind the special
 * ones are sorted by falling score; every character that is kept is one of them.  ERR_USAGE
 * when `size` does not hold the alphabet.
 */
int pieces_train(const struct wordcount *words, const struct piece_options *o,
                 struct vocablist *result, struct err *e) MUST_USE;

#endif
