/* SPDX-License-Identifier: MIT */
/*
 * source: an operand of a tool as one text or, for an archive, several (L1).
 *
 *     s = source_open(path, &options, msg, &e);
 *     while ((got = source_next(s, &e)) > 0)
 *         while ((n = source_read(s, data, size, &e)) > 0) ...
 *
 * A plain file is read straight from its descriptor; gzip, zstd, xz and bzip2 are undone; the
 * members of zip and tar archives (a tar may be compressed) follow each other.  UTF-16 with a byte
 * order mark is given as UTF-8; what encoding.h refuses is ERR_DATA.
 */
#ifndef BERTUTILS_SOURCE_H
#define BERTUTILS_SOURCE_H

#include "members.h"

struct source;

/* "-" is standard input.  options->glob is refused for what is no archive. */
struct source *source_open(const char *path, const struct members_options *options,
                           struct msg *msg, struct err *e) MUST_USE;
/* The next text: 1, 0 when there is no other, -1 and *e. */
int source_next(struct source *s, struct err *e) MUST_USE;
/* Some bytes of the text at hand, 0 at its end, -1 and *e. */
ssize_t source_read(struct source *s, void *data, size_t n, struct err *e) MUST_USE;
/* For messages: "FILE" or "FILE(MEMBER)". */
const char *source_name(const struct source *s);
/* Whose extension tells the format: the member's path, else the file's without ".gz" etc. */
const char *source_path(const struct source *s);
bool source_is_archive(const struct source *s);
uint64_t source_bytes(const struct source *s); /* bytes of the file read so far */
void source_close(struct source *s); /* NULL is fine */

#endif
