/* SPDX-License-Identifier: MIT */
/*
 * mask: which tokens of a text a masked language model has to guess (L3).
 *
 * As Devlin et al., "BERT" (NAACL 2019), section 3.1, and transformers'
 * DataCollatorForLanguageModeling: every token is chosen with a probability; of the
 * chosen a share becomes the mask token, a share a random ordinary token, and the rest
 * stays.  With whole words, a word is chosen or not as one, by its first token.
 *
 * A choice depends on (seed, epoch, text, place in the text) and on nothing else: not on
 * how the text is cut into pieces, nor on batches or threads.
 */
#ifndef BERTUTILS_MASK_H
#define BERTUTILS_MASK_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MASK_HELDOUT \
    UINT32_MAX /* the epoch of held-out texts: their masks are always the same */

struct mask {
    uint64_t seed;
    uint64_t prob;              /* of 2^32: a token is chosen */
    uint64_t masked, replaced;  /* of 2^32: bounds of the shares of the chosen */
    bool whole_word;
    int32_t mask_id;
    const uint8_t *special;     /* (vocab) 1: an id that is never a target */
    const uint32_t *ordinary;   /* (n_ordinary) ids that a random token is drawn from */
    size_t n_ordinary, vocab;
};

/*
 * prob in 0..1, shares "A,B,C" in percent: masked, replaced, kept; they sum to 100.
 * ERR_USAGE otherwise.  The pointers of *m are the caller's to set.
 */
int mask_init(struct mask *m, uint64_t seed, double prob, const char *shares,
              bool whole_word, struct err *e) MUST_USE;

/* One text: the ids and word starts of a segment of record `record`. */
struct mask_text {
    const uint32_t *ids;  /* (n) */
    const uint8_t *start; /* (n) */
    size_t n;
    uint64_t record;
    int segment; /* 0 or 1 */
};

/*
 * Masks the piece [from, from + n) of a text: out[n] gets the ids as the model sees them,
 * target[n] the id that was there where it has to be guessed, else -1; both may be NULL.
 * Returns how many targets there are.
 */
size_t mask_piece(const struct mask *m, uint32_t epoch, const struct mask_text *t,
                  size_t from, size_t n, uint32_t *out, int32_t *target);

#endif
