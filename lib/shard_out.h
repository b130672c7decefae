/* SPDX-License-Identifier: MIT */
/*
 * shard_out: the streams that shard writes, published together (L3).
 */
#ifndef BERTUTILS_SHARD_OUT_H
#define BERTUTILS_SHARD_OUT_H

#include "io.h"
#include "split.h"
#include "tokstream.h"

struct shard_out {
    const struct split_part *part; /* its name, and how many records it gets */
    char *path;                    /* NULL: standard output */
    struct io_out file;
    bool opened, published, existed;
    struct toks_writer *writer;
    uint64_t put, unk;
};

struct shard_outs {
    struct shard_out *at;
    size_t n;
    const struct toks_header *header; /* of the input, with its provenance */
    const char *command;              /* the step to add */
    bool name_parts;                  /* add " --part NAME" to it */
    struct toks_write_options options;
    struct toks_end end; /* upstream and invalid_utf8; unk is counted */
};

/*
 * "x-%03d.toks.zst" or "%s.toks.zst" for part number i called name; "%%" is a percent
 * sign. Without a directive the path is the pattern.
 */
char *shard_path(const char *pattern, size_t i, const char *name, struct err *e) MUST_USE;
/* Has the pattern a %d or %s? */
bool shard_pattern(const char *pattern);

/* One output for each part, all paths different.  Nothing is opened yet. */
int shard_outs_plan(struct shard_outs *o, const char *pattern, const struct split *parts,
                    struct err *e) MUST_USE;
/* Puts a record into output i; the output ends after the last record of its part. */
int shard_outs_put(struct shard_outs *o, size_t i, const struct toks_record *r,
                   struct err *e) MUST_USE;
/* Ends what is still open, makes the empty ones, and gives all files their names. */
int shard_outs_publish(struct shard_outs *o, struct err *e) MUST_USE;
void shard_outs_free(struct shard_outs *o); /* leaves no unpublished file */

#endif
