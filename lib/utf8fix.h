/* SPDX-License-Identifier: MIT */
/*
 * utf8fix: bytes to valid UTF-8, as Python's bytes.decode("utf-8", "replace") does it (L1).
 *
 * Every maximal part of an ill-formed sequence becomes one U+FFFD (Unicode 15, section 3.9;
 * the WHATWG Encoding Standard does the same).  NUL becomes U+FFFD too.  ASCII is never
 * swallowed, so that tabs, quotes and line ends stay where they are.
 */
#ifndef BERTUTILS_UTF8FIX_H
#define BERTUTILS_UTF8FIX_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when all n bytes are 1..127: then there is nothing to do. */
bool utf8_is_plain(const char *s, size_t n);

/* Where the first ill-formed sequence or NUL starts; n when there is none. */
size_t utf8_first_bad(const char *s, size_t n);

/*
 * Writes the repaired text to out, which has room for 3 * n bytes, and returns its length;
 * *replaced grows by the number of U+FFFD written.
 */
size_t utf8_fix(const char *s, size_t n, char *out, uint64_t *replaced);

#endif
