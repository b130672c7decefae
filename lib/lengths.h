/* SPDX-License-Identifier: MIT */
/*
 * lengths: how long the inputs of a stream are, and what limits would cut (L0).
 *
 * Lengths are those that a model sees: tokens of both segments and the special tokens.  They
 * are counted one by one up to LENGTH_EXACT and in 64 bins an octave above, so that the memory
 * is fixed, what a limit up to LENGTH_EXACT cuts is exact, and a quantile is within 1.6 %.
 */
#ifndef BERTUTILS_LENGTHS_H
#define BERTUTILS_LENGTHS_H

#include "mem.h"
#include "screen.h"

#include <stdint.h>

enum { LENGTH_LIMITS = 6, LENGTH_EXACT = 4096, LENGTH_BINS = LENGTH_EXACT + 32 * 64 };

/* 32, 64, 128, 256, 384, 512 */
extern const uint32_t length_limits[LENGTH_LIMITS];

/* {0} is empty. */
struct lengths {
    uint64_t n, sum, longest;
    uint64_t tokens; /* of the texts: sum without the special tokens */
    uint64_t bin[LENGTH_BINS];
};

/* An input of so many tokens, and as many special ones. */
void lengths_add(struct lengths *l, uint64_t tokens, uint64_t specials);

/* The smallest and the largest length of a bin. */
uint64_t lengths_from(size_t bin);
uint64_t lengths_to(size_t bin);

/* The length that a share of the inputs does not exceed (nearest rank). */
uint64_t lengths_quantile(const struct lengths *l, double share);
double lengths_mean(const struct lengths *l);

/* How many inputs are longer than a limit (at most LENGTH_EXACT), and the tokens beyond it. */
struct lengths_cut {
    uint64_t inputs, tokens;
};
struct lengths_cut lengths_cut(const struct lengths *l, uint64_t limit);

/*
 * The answer to "which --max-len": the lowest of the usual limits that cuts at most 1 % of the
 * tokens, 512 when none does; and in *all the lowest multiple of 8 that cuts nothing.
 */
uint32_t lengths_advice(const struct lengths *l, uint64_t *all);

/* Quantiles, the table of the usual limits and the advice, as lines. */
int lengths_print(const struct lengths *l, struct buf *out, struct err *e) MUST_USE;

/* A bar for each of at most 20 ranges of lengths, as wide as the screen. */
int lengths_bars(const struct lengths *l, const struct screen *screen, struct buf *out,
                 struct err *e) MUST_USE;

/* part / whole in per cent, 0 where the whole is. */
double lengths_percent(uint64_t part, uint64_t whole);

#endif
