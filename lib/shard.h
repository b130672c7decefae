/* SPDX-License-Identifier: MIT */
/*
 * shard: token streams to token streams: merge, split, shuffle, sample, drop copies (L3).
 */
#ifndef BERTUTILS_SHARD_H
#define BERTUTILS_SHARD_H

#include "err.h"
#include "msg.h"

#include <stdbool.h>
#include <stdint.h>

struct shard_options {
    int64_t n;           /* so many equal parts; 0: not asked for */
    const char *split;   /* "train=90%,dev=10%", or NULL */
    const char *fold;    /* "K/N", or NULL */
    bool invert;         /* all but the fold */
    const char *sample;  /* "500" or "10%", or NULL */
    bool shuffle, stratify, dedup;
    const char *against; /* a stream whose records are dropped, or NULL */
    const char *part;    /* write only the part of this name, or NULL */
    uint64_t expect_records, seed;
    const char *output;  /* pattern, path, or NULL: standard output */
    const char *command; /* for the provenance */
    int threads, level;
    int64_t block_records;
    bool plain;
};

/*
 * Reads the streams (none: standard input) as one and writes what is asked for.  Files
 * appear only after the input's END was read, all of them or none.
 */
int shard_run(const struct shard_options *o, char *const *paths, int n, struct msg *m,
              struct err *e) MUST_USE;

#endif
