/* SPDX-License-Identifier: MIT */
/*
 * feed: bytes that can be looked at before they are read (L1).
 *
 *     file -> [gunzip | unpack] -> [tar members]        each step is a feed over the last
 *
 * The first FEED_HEAD bytes of any feed can be peeked at to see what they are: detection is
 * by content, never by name.
 */
#ifndef BERTUTILS_FEED_H
#define BERTUTILS_FEED_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FEED_HEAD = 1024 };

struct feed {
    /* Up to n bytes, 0 at the end, -1 and *e.  Set by the constructors; call feed_read. */
    ssize_t (*read)(struct feed *f, void *data, size_t n, struct err *e);
    void (*close)(struct feed *f); /* releases everything below, too */
    const char *name;              /* of the file, for messages */
    uint64_t given;                /* bytes handed out by feed_read so far */
    char head[FEED_HEAD];
    size_t head_len, head_at;
    bool peeked;
};

/* What a feed's first bytes are. */
enum feed_kind {
    FEED_PLAIN,
    FEED_GZIP,
    FEED_ZSTD,
    FEED_XZ,
    FEED_BZIP2,
    FEED_ZIP,
    FEED_TAR,
    FEED_TOKENS /* a token stream, not compressed */
};

/* A file, or standard input for "-".  NULL and *e. */
struct feed *feed_open(const char *path, struct err *e) MUST_USE;
/* The descriptor of a feed made by feed_open. */
int feed_fd(const struct feed *f);

/*
 * What is in a gzip file (several members are one text; wrong checksums, cuts and trailing
 * garbage are ERR_DATA; libarchive does not look at the checksum, hence zlib).  `below` is
 * closed with it, also on failure.
 */
struct feed *feed_gunzip(struct feed *below, struct err *e) MUST_USE;
/* The same for FEED_ZSTD, FEED_XZ and FEED_BZIP2, through libarchive. */
struct feed *feed_unpack(struct feed *below, enum feed_kind kind, struct err *e) MUST_USE;

ssize_t feed_read(struct feed *f, void *data, size_t n, struct err *e) MUST_USE;
/* Reads up to FEED_HEAD bytes ahead and says what they are; -1 and *e. */
int feed_peek(struct feed *f, struct err *e) MUST_USE;
/* What something that starts with head[0..n-1] is. */
enum feed_kind feed_kind_of(const char *head, size_t n);
void feed_close(struct feed *f); /* NULL is fine */

#endif
