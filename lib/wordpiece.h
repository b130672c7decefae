/* SPDX-License-Identifier: MIT */
/*
 * wordpiece: greedy longest match from the left, "##" before all pieces but the first (L2).
 *
 * A word with a part that matches nothing, or of too many code points, is the unknown token
 * as a whole.  Source: tokenizers/src/models/wordpiece/mod.rs.
 */
#ifndef BERTUTILS_WORDPIECE_H
#define BERTUTILS_WORDPIECE_H

#include "trie.h"
#include "vocabmap.h"

struct wordpiece {
    struct trie trie;
    uint32_t inside; /* the node behind the prefix, where later pieces start */
    int32_t unk;
    size_t max_chars; /* per word */
};

int wordpiece_build(struct wordpiece *wp, const struct vocabmap *v, const char *prefix,
                    struct err *e) MUST_USE;
void wordpiece_free(struct wordpiece *wp);
/* Writes the ids of a word of n bytes, at most n of them (1 for none), and returns how many. */
size_t wordpiece_word(const struct wordpiece *wp, const uint8_t *word, size_t n, uint32_t *ids);

#endif
