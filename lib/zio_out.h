/* SPDX-License-Identifier: MIT */
/*
 * zio_out: chunks of bytes to zstd frames, one each, compressed on threads and written in
 * order (L1).  The bytes do not depend on the number of threads.
 */
#ifndef BERTUTILS_ZIO_OUT_H
#define BERTUTILS_ZIO_OUT_H

#include "err.h"
#include "mem.h"

#include <stdbool.h>

enum { ZIO_PLAIN = -1 }; /* a level: chunks are written as they are */

struct zio_out;

/*
 * threads in all, the caller's included; with 1 chunks are compressed where they are put.  With
 * `helped` no thread is started: the caller's own, so many, compress by zio_out_help.
 */
struct zio_out *zio_out_new(int fd, const char *name, int level, int threads, bool helped,
                            struct err *e) MUST_USE;
/*
 * Puts a chunk; *chunk gets other memory, empty.  An error of an earlier chunk may show
 * here, at a later call, or at the latest in zio_out_finish.
 */
int zio_out_put(struct zio_out *o, struct buf *chunk, struct err *e) MUST_USE;
/* Compresses a chunk that waits, on any thread; false: there is none. */
bool zio_out_help(struct zio_out *o);
/* Waits until everything is written. */
int zio_out_finish(struct zio_out *o, struct err *e) MUST_USE;
void zio_out_free(
    struct zio_out *o); /* what was not written yet is dropped; NULL is fine */

#endif
