/* SPDX-License-Identifier: MIT */
/*
 * init: random weights, the same on every machine (L4).
 */
#ifndef BERTUTILS_INIT_H
#define BERTUTILS_INIT_H

#include <stdint.h>

/*
 * Fills to[0..n-1] with normal(0, sd) numbers: element i of tensor `number` is a pure function
 * of (seed, number, i), made with exactly rounded operations only, so that it has the same
 * bits on every machine.  `number` keeps tensors apart (param_number).
 */
void init_normal(float *to, int64_t n, uint64_t seed, uint32_t number, double sd);

/*
 * The standard normal quantile of p in (0, 1): algorithm AS 241, PPND7, of M. J. Wichura,
 * Applied Statistics 37 (1988), accurate to about 7 digits.
 */
double init_quantile(double p);

#endif
