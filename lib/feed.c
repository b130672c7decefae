/* SPDX-License-Identifier: MIT */
#include "feed.h"
#include "io.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file_feed {
    struct feed base;
    int fd;
};

static ssize_t file_read(struct feed *f, void *data, size_t n, struct err *e)
{
    return io_read_some(((struct file_feed *)f)->fd, data, n, f->name, e);
}

static void file_close(struct feed *f)
{
    struct file_feed *file = (struct file_feed *)f;

    if (file->fd > STDIN_FILENO)
        close(file->fd);
    free(file);
}

struct feed *feed_open(const char *path, struct err *e)
{
    struct file_feed *f = mem_alloc(1, sizeof *f, "input", e);

    if (!f)
        return NULL;
    f->base.read = file_read;
    f->base.close = file_close;
    f->base.name = io_name(path);
    f->fd = io_open_in(path, e);
    if (f->fd >= 0)
        return &f->base;
    free(f);
    return NULL;
}

int feed_fd(const struct feed *f)
{
    return ((const struct file_feed *)f)->fd;
}

ssize_t feed_read(struct feed *f, void *data, size_t n, struct err *e)
{
    ssize_t got;

    if (f->head_at < f->head_len) {
        const size_t left = f->head_len - f->head_at;

        got = (ssize_t)(n < left ? n : left);
        memcpy(data, f->head + f->head_at, (size_t)got);
        f->head_at += (size_t)got;
    } else {
        got = f->read(f, data, n, e);
    }
    if (got > 0)
        f->given += (uint64_t)got;
    return got;
}

/* A tar header: its magic, or, for the oldest ones, its checksum. */
static bool is_tar(const char *head, size_t n)
{
    unsigned sum = 0, want = 0;

    if (n < 262 || head[0] == '\0')
        return false;
    if (memcmp(head + 257, "ustar", 5) == 0)
        return true;
    if (n < 512)
        return false;
    for (size_t i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)head[i];
    for (size_t i = 148; i < 156; i++) {
        if (head[i] >= '0' && head[i] <= '7')
            want = want * 8 + (unsigned)(head[i] - '0');
        else if (head[i] != ' ' && head[i] != '\0')
            return false;
    }
    return want == sum;
}

struct bytes {
    const char *at;
    size_t n;
};

/*
 * The head starts with the magic, or is the beginning of it: a file that was cut so early is
 * a cut archive, not a text.  The first `sure` bytes must be there, so that no word is taken
 * for an archive.
 */
static bool starts(const struct bytes *b, const char *magic, size_t n, size_t sure)
{
    const size_t have = b->n < n ? b->n : n;

    return have >= sure && memcmp(b->at, magic, have) == 0;
}

enum feed_kind feed_kind_of(const char *head, size_t n)
{
    const struct bytes b = {head, n};

    if (starts(&b, "\x1f\x8b\x08", 3, 2))
        return FEED_GZIP;
    if (starts(&b, "\x28\xb5\x2f\xfd", 4, 2))
        return FEED_ZSTD;
    if (starts(&b, "\xfd" "7zXZ\0", 6, 2))
        return FEED_XZ;
    /* "BZh9" could be a word; with the magic of a block, or of the empty file, it is none. */
    for (char level = '1'; level <= '9'; level++) {
        const char block[] = {'B', 'Z', 'h', level, '1', 'A', 'Y', '&', 'S', 'Y'};
        const char empty[] = {'B', 'Z', 'h', level, 0x17, 'r', 'E', '8', 'P', (char)0x90};

        if (starts(&b, block, sizeof block, 6) || starts(&b, empty, sizeof empty, 5))
            return FEED_BZIP2;
    }
    if (starts(&b, "PK\3\4", 4, 3) || starts(&b, "PK\5\6", 4, 3) || starts(&b, "PK\7\10", 4, 3))
        return FEED_ZIP;
    if (starts(&b, "TKSH", 4, 4))
        return FEED_TOKENS;
    return is_tar(head, n) ? FEED_TAR : FEED_PLAIN;
}

int feed_peek(struct feed *f, struct err *e)
{
    while (!f->peeked && f->head_len < sizeof f->head) {
        const ssize_t got = f->read(f, f->head + f->head_len, sizeof f->head - f->head_len, e);

        if (got < 0)
            return -1;
        if (got == 0)
            break;
        f->head_len += (size_t)got;
    }
    f->peeked = true;
    return (int)feed_kind_of(f->head, f->head_len);
}

void feed_close(struct feed *f)
{
    if (f)
        f->close(f);
}
