/* SPDX-License-Identifier: MIT */
/*
 * tokunit: the front half of reading a token stream: units (blocks) are taken from the
 * inputs in order, decompressed and decoded on threads, and handed over in order (L1,
 * private to tokstream_read).
 *
 * What needs no knowledge of other blocks is checked here; hash, sequence and counts are
 * the caller's.
 */
#ifndef BERTUTILS_TOKUNIT_H
#define BERTUTILS_TOKUNIT_H

#include "tokblock.h"

#include <zstd.h>

enum unit_kind {
    UNIT_BLOCK,   /* inner, n and head are filled in; block too for a data block */
    UNIT_SKIP,    /* a skippable frame went by */
    UNIT_FILE_END /* an input ended between two blocks */
};

struct unit {
    enum unit_kind kind;
    int file;              /* index of the input */
    struct buf raw;        /* a compressed frame; empty for a plain block */
    uint8_t *inner;        /* (n) the block */
    size_t n, inner_cap;
    struct tokblock_head head;
    struct toks_block *block; /* decoded; the caller may swap it for another or NULL */
    bool decoded;
    struct err error;      /* why the unit is bad; the others are then not to be used */
    bool ready;
    ZSTD_DCtx *dctx;
};

struct units;

/*
 * Either one descriptor (fd >= 0, n = 1, not closed) or n paths, opened one after the
 * other. The strings are the caller's and must live on.
 */
struct units *units_new(int fd, char *const *names, int n, int threads,
                        struct err *e) MUST_USE;
void units_free(struct units *u); /* also while input is waited for */

/* Needed before the first data block is read. */
void units_set_format(struct units *u, int id_bytes, uint32_t vocab_size);

/*
 * The first unit of an input whose turn is yet to come, into *t: 1, 0 when the input is
 * empty, -1 and *e.  It is not taken: a pipe stays open with what was read.
 */
int units_peek(struct units *u, int file, struct unit *t, struct err *e) MUST_USE;
void unit_free(struct unit *t); /* of a unit that is the caller's */

/* The next unit, valid until the next call; NULL behind the end of the last input. */
struct unit *units_next(struct units *u);

#endif
