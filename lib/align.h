/* SPDX-License-Identifier: MIT */
/*
 * align: which bytes of a text each byte of its normalized form came from (L2).
 *
 * Normalizers do not tell.  But what each character alone becomes, one after the other, is
 * nearly the normalized text, and where it is not (blanks at the ends, letters composed across
 * characters) a place lies between its neighbours.  So it serves any normalizer, and is for
 * people who look at one text: a text takes many times longer than to encode it.
 */
#ifndef BERTUTILS_ALIGN_H
#define BERTUTILS_ALIGN_H

#include "tokenizer.h"

struct aligner;

struct aligner *aligner_new(const struct tokenizer *t, struct err *e) MUST_USE;
void aligner_free(struct aligner *a);

/*
 * Writes from[i] and to[i], the range of raw[0..n-1] that normal[i] came from; it is empty
 * where normal[i] was put in between.  All bytes of a character have the same range.
 */
int align(struct aligner *a, const uint8_t *raw, size_t n, const uint8_t *normal, size_t m,
          uint32_t *from, uint32_t *to, struct err *e) MUST_USE;

#endif
