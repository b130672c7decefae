/* SPDX-License-Identifier: MIT */
/*
 * pairmerge: vocabularies by repeated merging of the most frequent pair (L2).
 *
 * Byte-pair encoding as Sennrich, Haddow and Birch, "Neural machine translation of rare words
 * with subword units" (ACL 2016); WordPiece vocabularies are trained by the same procedure
 * over characters with a continuation prefix, as `tokenizers` does.  Ties go to the pair with
 * the smaller ids, so that the result depends on the counts alone.
 */
#ifndef BERTUTILS_PAIRMERGE_H
#define BERTUTILS_PAIRMERGE_H

#include "err.h"
#include "vocablist.h"
#include "wordcount.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pairmerge_options {
    size_t size;               /* tokens in all, special ones and alphabet included */
    uint64_t min_count;        /* a pair that is rarer is not merged */
    size_t max_alphabet;       /* keep the most frequent characters only; 0: all */
    const char *prefix;        /* of a piece that continues a word: "##" or "" */
    const char *const *special; /* first tokens of the vocabulary */
    int n_special;
    bool bytes;                /* the alphabet is the 256 byte characters of GPT-2 */
};

/*
 * Words are UTF-8 text (with `bytes`: already in GPT-2's byte characters), in any order.
 * ERR_USAGE when `size` does not hold the alphabet.
 */
int pairmerge_train(const struct wordcount *words, const struct pairmerge_options *o,
                    struct vocablist *result, struct err *e) MUST_USE;

/* The character (code point) that stands for a byte in GPT-2's byte-level vocabularies. */
uint32_t pairmerge_byte_char(uint8_t byte);

#endif
