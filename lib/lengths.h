/* SPDX-License-Identifier: MIT */
/*
 * lengths: how long the inputs of a stream are, and what usual limits would cut (L0).
 *
 * Lengths are those that a model sees: tokens of both segments and the special tokens.
 */
#ifndef BERTUTILS_LENGTHS_H
#define BERTUTILS_LENGTHS_H

#include "mem.h"

#include <stdint.h>

enum { LENGTH_LIMITS = 6, LENGTH_BINS = 4096 };

/* 32, 64, 128, 256, 384, 512 */
extern const uint32_t length_limits[LENGTH_LIMITS];

/* {0} is empty. */
struct lengths {
    uint64_t n, sum, longest;
    uint64_t over[LENGTH_LIMITS]; /* inputs longer than each limit */
    uint64_t cut[LENGTH_LIMITS];  /* tokens beyond it */
    uint64_t bin[LENGTH_BINS];    /* inputs of each length; the last bin: of all longer ones */
};

void lengths_add(struct lengths *l, uint64_t length);
/* The smallest length that at least `share` (0..1) of the inputs do not exceed. */
uint64_t lengths_quantile(const struct lengths *l, double share);
/* Appends the table for people: a line of quantiles, then a line a limit. */
int lengths_print(const struct lengths *l, struct buf *out, struct err *e) MUST_USE;

#endif
