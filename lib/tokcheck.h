/* SPDX-License-Identifier: MIT */
/*
 * tokcheck: is a token stream whole? (L1)
 */
#ifndef BERTUTILS_TOKCHECK_H
#define BERTUTILS_TOKCHECK_H

#include "err.h"

#include <stdint.h>

/*
 * Looks at the framing of each file ("-": standard input) without decompressing its
 * records: the first block is a header, the last an END.  Finds what is cut; what is
 * changed within is found by reading, which is the thorough check.
 */
int tokcheck_quick(char *const *paths, int n, struct err *e) MUST_USE;

/* Reads everything: each hash, count and limit. */
int tokcheck_whole(char *const *paths, int n, int threads, uint64_t expect_records,
                   struct err *e) MUST_USE;

#endif
