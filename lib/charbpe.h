/* SPDX-License-Identifier: MIT */
/*
 * charbpe: byte-pair encoding of words that are made of characters (L2).
 *
 * A character may have a prefix (all but the first) and a suffix (the last); one that is no
 * token is the tokens of its bytes ("<0x0A>") where the model has them, else the unknown token.
 * Source: tokenizers/src/models/bpe/model.rs.
 */
#ifndef BERTUTILS_CHARBPE_H
#define BERTUTILS_CHARBPE_H

#include "bpe.h"

struct charbpe {
    char *prefix, *suffix; /* NULL: none */
    bool byte_fallback;
    bool on; /* made by charbpe_build: words go this way */
    int32_t ascii[128]; /* without prefix and suffix */
    int32_t byte_id[256];
};

void charbpe_build(struct charbpe *c, const struct vocabmap *v);
void charbpe_free(struct charbpe *c);

/* Room for ids that charbpe_word needs. */
size_t charbpe_room(const struct charbpe *c, size_t n);
struct charbpe_model {
    const struct charbpe *chars;
    const struct bpe *bpe;
    const struct vocabmap *vocab;
};
/* Writes the ids of a word of n bytes; returns how many, or -1 and *e. */
int64_t charbpe_word(const struct charbpe_model *m, const uint8_t *word, size_t n,
                     struct bpe_scratch *s, uint32_t *ids, struct err *e) MUST_USE;

#endif
