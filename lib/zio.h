/* SPDX-License-Identifier: MIT */
/*
 * zio: a buffered input of zstd frames and plain bytes, read as a pipe fills (L1).
 *
 * Frames are found by walking their block headers (RFC 8878, sections 3.1.1.1
 * and 3.1.1.2), so that one is taken out of a pipe as soon as its last byte came, and so
 * that limits are checked before anything is allocated or decompressed.
 */
#ifndef BERTUTILS_ZIO_H
#define BERTUTILS_ZIO_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ZIO_CONTENT_MAX = 16 << 20, /* largest content of a frame, bytes */
    ZIO_WINDOW_MAX = 8 << 20,   /* largest window: windowLog 23 */
    ZIO_LEVEL_MAX = 12 /* above it zstd 1.5.4 has a known defect, and little to gain */
};

struct zio_in {
    int fd;
    int stop_fd;      /* readable: stop waiting for input; -1: wait for ever */
    const char *name; /* for messages */
    uint8_t *data;    /* data[pos..len-1] was read and not yet taken */
    size_t pos, len, cap;
    bool eof;
};

/* Takes no ownership of fd. */
void zio_open(struct zio_in *z, int fd, const char *name, int stop_fd);
void zio_close(struct zio_in *z); /* frees the buffer */

/*
 * Waits until n bytes lie at data + pos: 1, or 0 when the input ends before, or -1 and *e
 * (ERR_AGAIN when stop_fd called).
 */
int zio_need(struct zio_in *z, size_t n, struct err *e) MUST_USE;

/* Drops n bytes, which may be more than the buffer holds.  1, 0 at a premature end, -1
 * and *e. */
int zio_skip(struct zio_in *z, uint64_t n, struct err *e) MUST_USE;

/* Little-endian number at data + pos + at; the bytes must be there. */
uint32_t zio_u32(const struct zio_in *z, size_t at);

enum {
    ZIO_MAGIC = 0xFD2FB528u,
    ZIO_SKIP_MAGIC = 0x184D2A50u,
    ZIO_SKIP_MASK = 0xFFFFFFF0u
};

/*
 * Waits for a whole zstd frame at data + pos: 1 with its size and the size of its
 * content, 0 when the input ends inside it, -1 and *e: ERR_DATA for a frame that no token
 * stream holds (no checksum, no content size, a dictionary, too large).
 */
int zio_frame(struct zio_in *z, size_t *size, size_t *content, struct err *e) MUST_USE;

#endif
