/* SPDX-License-Identifier: MIT */
/*
 * statfile: statistics as a JSON file beside the stream that they are of (L1).
 */
#ifndef BERTUTILS_STATFILE_H
#define BERTUTILS_STATFILE_H

#include "io.h"
#include "stat.h"

/* Opens `path` (NULL: nothing); ERR_USAGE where it and the stream are both standard output. */
int statfile_open(struct io_out *file, const char *path, const char *stream,
                  struct err *e) MUST_USE;

/*
 * Writes the file and publishes it and the stream at `path`: both or none, except where a
 * stream was there before, which is gone already then.
 */
int statfile_publish(struct io_out *file, const struct stream_stat *s,
                     const struct toks_header *h, struct io_out *stream, const char *path,
                     struct err *e) MUST_USE;

#endif
