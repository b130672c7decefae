/* SPDX-License-Identifier: MIT */
#include "zio.h"
#include "io.h"
#include "mem.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { FIRST_BUFFER = 256 << 10 };

void zio_open(struct zio_in *z, int fd, const char *name, int stop_fd)
{
    *z = (struct zio_in){.fd = fd, .name = name, .stop_fd = stop_fd};
}

void zio_close(struct zio_in *z)
{
    free(z->data);
    *z = (struct zio_in){.fd = -1, .stop_fd = -1};
}

/* Makes room for n bytes behind pos; what was taken is dropped from the buffer. */
static int make_room(struct zio_in *z, size_t n, struct err *e)
{
    if (z->pos > 0 && z->cap - z->pos < n) {
        memmove(z->data, z->data + z->pos, z->len - z->pos);
        z->len -= z->pos;
        z->pos = 0;
    }
    if (z->cap >= z->pos + n)
        return 0;
    return mem_grow(&z->data, &z->cap, n < FIRST_BUFFER ? FIRST_BUFFER : n, 1, e);
}

/* Sleeps until there is something to read; a reader that is being freed wakes it up. */
static int wait_readable(struct zio_in *z, struct err *e)
{
    struct pollfd wait[2] = {{.fd = z->fd, .events = POLLIN},
                             {.fd = z->stop_fd, .events = POLLIN}};
    int got;

    if (z->stop_fd < 0)
        return 0;
    do
        got = poll(wait, 2, -1);
    while (got < 0 && errno == EINTR);
    if (got > 0 && wait[1].revents)
        return err_set(e, ERR_AGAIN, "stopped");
    return 0;
}

int zio_need(struct zio_in *z, size_t n, struct err *e)
{
    if (z->len - z->pos >= n)
        return 1;
    if (make_room(z, n, e))
        return -1;
    while (z->len - z->pos < n && !z->eof) {
        ssize_t got;

        if (wait_readable(z, e))
            return -1;
        got = io_read_some(z->fd, z->data + z->len, z->cap - z->len, z->name, e);
        if (got < 0)
            return -1;
        z->eof = got == 0;
        z->len += (size_t)got;
    }
    return z->len - z->pos >= n;
}

int zio_skip(struct zio_in *z, uint64_t n, struct err *e)
{
    while (n > 0) {
        const int got = zio_need(z, 1, e);
        const uint64_t have = z->len - z->pos;
        const size_t drop = (size_t)(n < have ? n : have);

        if (got <= 0)
            return got;
        z->pos += drop;
        n -= drop;
    }
    return 1;
}

uint32_t zio_u32(const struct zio_in *z, size_t at)
{
    const uint8_t *p = z->data + z->pos + at;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* What a frame's first bytes say. */
struct frame_head {
    size_t size;      /* of the header itself */
    uint64_t content; /* bytes when decompressed */
    uint64_t window;
};

/* The content size field: n bytes, little-endian; two of them count from 256. */
static uint64_t content_size(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return n == 2 ? v + 256 : v;
}

/* Reads the frame header; results as zio_frame. */
static int frame_head(struct zio_in *z, struct frame_head *h, struct err *e)
{
    static const uint8_t content_bytes[4] = {0, 2, 4, 8};
    int got = zio_need(z, 5, e);
    uint8_t desc;
    bool single;
    size_t n_content;

    if (got <= 0)
        return got;
    desc = z->data[z->pos + 4];
    single = desc & 0x20;
    n_content = content_bytes[desc >> 6];
    if (single && n_content == 0)
        n_content = 1;
    if (!(desc & 4))
        return err_set(e, ERR_DATA,
                       "zstd frame without a checksum: not written by these tools");
    if (desc & 0x0B)
        return err_set(e, ERR_DATA, "zstd frame with a dictionary or a reserved bit");
    if (n_content == 0)
        return err_set(e, ERR_DATA,
                       "zstd frame without a content size: not written by these "
                       "tools (recompressed? try 'zstd -dc FILE | shard')");
    h->size = 5 + !single + n_content;
    got = zio_need(z, h->size, e);
    if (got <= 0)
        return got;
    h->content = content_size(z->data + z->pos + 5 + !single, n_content);
    if (single) {
        h->window = h->content;
    } else {
        const uint8_t w = z->data[z->pos + 5];
        const uint64_t base = (uint64_t)1 << (10 + (w >> 3));

        h->window = base + base / 8 * (w & 7);
        if (h->window > ZIO_WINDOW_MAX)
            return err_set(e, ERR_DATA,
                           "zstd frame wants a window of %llu bytes; the limit is "
                           "%d",
                           (unsigned long long)h->window, ZIO_WINDOW_MAX);
    }
    if (h->content > ZIO_CONTENT_MAX)
        return err_set(e, ERR_DATA,
                       "zstd frame of %llu bytes; the limit of a block is %d",
                       (unsigned long long)h->content, ZIO_CONTENT_MAX);
    return 1;
}

int zio_frame(struct zio_in *z, size_t *size, size_t *content, struct err *e)
{
    struct frame_head h = {0};
    int got = frame_head(z, &h, e);
    size_t at, limit;
    bool last = false;

    if (got <= 0)
        return got;
    at = h.size;
    limit = ZSTD_compressBound((size_t)h.content) + 1024;
    while (!last) {
        uint32_t head, type, length;

        got = zio_need(z, at + 3, e);
        if (got <= 0)
            return got;
        head = z->data[z->pos + at] | (uint32_t)z->data[z->pos + at + 1] << 8 |
               (uint32_t)z->data[z->pos + at + 2] << 16;
        last = head & 1;
        type = head >> 1 & 3;
        length = type == 1 ? 1 : head >> 3; /* 1: one byte, repeated */
        at += 3 + length;
        if (type == 3 || at > limit)
            return err_set(e, ERR_DATA, "damaged zstd frame");
    }
    got = zio_need(z, at + 4, e); /* the checksum */
    *size = at + 4;
    *content = (size_t)h.content;
    return got;
}
