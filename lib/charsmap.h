/* SPDX-License-Identifier: MIT */
/*
 * charsmap: SentencePiece's compiled normalization rules (L2).
 *
 * A double array of UTF-8 strings (u32 little endian: its size in bytes, then its units), and
 * behind it the replacements, each ended by NUL.  A unit is offset << 10 | wide offset << 9 |
 * leaf << 8 | label; a leaf's value is the place of its replacement.
 * Sources: spm_precompiled/src/lib.rs; Darts-clone, darts.h.
 */
#ifndef BERTUTILS_CHARSMAP_H
#define BERTUTILS_CHARSMAP_H

#include "mem.h"

struct charsmap {
    uint32_t *unit; /* (units) */
    size_t units;
    char *text; /* (n_text), NUL behind */
    size_t n_text;
    bool has[128]; /* of ASCII: a rule starts with it */
};

/* Reads the n bytes of a charsmap; ERR_DATA when they are none. */
int charsmap_load(struct charsmap *m, const void *data, size_t n, struct err *e) MUST_USE;
void charsmap_free(struct charsmap *m);

/*
 * What the shortest beginning of p[0..n-1] that has a rule becomes: *len bytes, or NULL when
 * no beginning has one.  (The whole of p is replaced by it: so does the reference.)
 */
const char *charsmap_find(const struct charsmap *m, const uint8_t *p, size_t n, size_t *len);

#endif
