/* SPDX-License-Identifier: MIT */
/*
 * normalize: a tokenizer's normalizer, as a list of steps over code points (L2).
 *
 * BertNormalizer is four of them (CLEAN, CJK, NFD + STRIP_MN, LOWER), each on its own flag; a
 * Sequence is the steps of its parts.  Source: tokenizers/src/normalizers/{bert,strip,
 * unicode,utils}.rs; Unicode Standard Annex 15 for NFD and NFC.
 */
#ifndef BERTUTILS_NORMALIZE_H
#define BERTUTILS_NORMALIZE_H

#include "err.h"
#include "mem.h"

#include <stdint.h>

enum norm_step {
    NORM_CLEAN = 1,  /* drop controls, make white space a space */
    NORM_CJK,        /* a space on both sides of ideographs */
    NORM_NFD,
    NORM_NFC,
    NORM_STRIP_MN,   /* BertNormalizer's accents: non-spacing marks */
    NORM_STRIP_MARK, /* StripAccents: all marks */
    NORM_LOWER
};

enum { NORM_MAX = 24 };

struct normalizer {
    uint8_t step[NORM_MAX];
    int n;
};

/* Two arrays of code points that steps write into in turn.  {0} is empty. */
struct norm_scratch {
    uint32_t *at, *spare;
    size_t cap, spare_cap;
};
void norm_scratch_free(struct norm_scratch *s);

/* Adds a step; -1 when there are too many. */
int normalizer_add(struct normalizer *nz, enum norm_step step);

/* Replaces *out by the normalized text of p[0..n-1]. */
int normalize(const struct normalizer *nz, const uint8_t *p, size_t n, struct norm_scratch *s,
              struct buf *out, struct err *e) MUST_USE;

#endif
