/* SPDX-License-Identifier: MIT */
/*
 * order: the order of records as a pure function of seed, epoch and their number (L3).
 *
 * Each index gets a 64-bit number from Philox and the indices are sorted by it, so that
 * the order does not depend on batches, threads or ranks, and a run that is resumed needs
 * nothing but (seed, epoch) to go on in the middle of an epoch.
 */
#ifndef BERTUTILS_ORDER_H
#define BERTUTILS_ORDER_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

/*
 * A permutation of 0..n-1 into order[n].  `use` is an enum philox_site: orders for
 * different uses have nothing to do with each other.  Returns 0, or -1 when out of
 * memory.
 */
int order_permute(uint64_t seed, uint32_t epoch, uint32_t use, size_t n, uint32_t *order,
                  struct err *e) MUST_USE;

/* How many of n records `percent` % hold out: n - floor((1 - percent/100) * n). */
size_t order_heldout_count(double percent, size_t n);

/*
 * Which records are held out: held[i] becomes 1 for the last order_heldout_count() of a
 * permutation that depends on seed and n only, 0 for the others.
 */
int order_heldout(uint64_t seed, double percent, size_t n, uint8_t *held,
                  struct err *e) MUST_USE;

#endif
