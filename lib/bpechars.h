/* SPDX-License-Identifier: MIT */
/*
 * bpechars: the byte-level pattern and model over text that is not ASCII (L2, private).
 *
 * Where no merge joins the byte before a place with the one behind it, no token lies across
 * the place, whatever is around it: what is merged on its left has nothing to do with what is
 * on its right.  Scripts without blanks make words of whole sentences, which no memo has seen
 * before; cut at such places they are mostly single characters, whose tokens a table has.
 * Between two cuts the characters' tokens are still those of all together when each two
 * neighbours are those of their own bytes: the first merge across a border would be one of the two
 * tokens on its sides as well.
 */
#ifndef BERTUTILS_BPECHARS_H
#define BERTUTILS_BPECHARS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct encoder;

/* What one thread knows of characters; made when the first one is met. */
struct bpe_chars;
void bpechars_free(struct bpe_chars *c);

/* Whether the encoder's tokenizer is one that this can be used for. */
bool bpechars_can(const struct encoder *enc);

/*
 * Encodes the word of the ByteLevel pattern that starts at p[at], and others behind it; *end is
 * where the last one ends, `at` when the first is left to others.  ENCODER_SLACK bytes may be read behind p[n].
 */
int bpechars_word(struct encoder *enc, const uint8_t *p, size_t n, size_t at,
                  size_t *end) MUST_USE;

#endif
