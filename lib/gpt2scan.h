/* SPDX-License-Identifier: MIT */
/*
 * gpt2scan: the words of ByteLevel's pattern, 64 bytes at a time where they are ASCII (L2,
 * private).
 *
 * Of ASCII a word starts where the class changes; then a space goes with the word behind it, the
 * last of several blanks is a word alone, and 's, 't, 're ... end where they end.  A word that
 * touches what is not ASCII goes through bpechars, or pre_gpt2_end.
 */
#ifndef BERTUTILS_GPT2SCAN_H
#define BERTUTILS_GPT2SCAN_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct encoder;

/* Queues the words of p[0..n-1]; ENCODER_SLACK bytes may be read behind it. */
int gpt2_words(struct encoder *enc, const uint8_t *p, size_t n) MUST_USE;

#endif
