/* SPDX-License-Identifier: MIT */
#include "feed.h"
#include "libarchive.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>

struct unpack {
    struct feed base;
    struct feed *below;
    struct libarchive la;
    struct archive *archive;
    struct archive_entry *entry; /* ours: libarchive does not check that it got its own */
    struct err below_error; /* why `below` could not be read */
    bool ended;
    char in[65536];
};

static la_ssize_t pull(struct archive *a, void *ctx, const void **data)
{
    struct unpack *u = ctx;
    const ssize_t got = feed_read(u->below, u->in, sizeof u->in, &u->below_error);

    *data = u->in;
    if (got < 0)
        u->la.archive_set_error(a, EIO, "read error");
    return got;
}

static int failed(struct unpack *u, struct err *e)
{
    const char *why = u->la.archive_error_string(u->archive);

    if (u->below_error.code)
        return err_set(e, u->below_error.code, "%s", u->below_error.text);
    /* libarchive is silent where it could not even keep its message. */
    if (u->la.archive_errno(u->archive) == ENOMEM || !why)
        return err_set(e, ERR_INTERNAL, "%s: out of memory in libarchive", u->base.name);
    return err_set(e, ERR_DATA, "%s: the compressed data is damaged or cut (%s)", u->base.name,
                   why);
}

/* The decompressors stop at the end of what is theirs; nothing else may follow. */
static int check_rest(struct unpack *u, struct err *e)
{
    char more[4096];
    const ssize_t got = feed_read(u->below, more, sizeof more, e);

    if (got < 0)
        return -1;
    if (got > 0 || (uint64_t)u->la.archive_filter_bytes(u->archive, -1) < u->below->given)
        return err_set(e, ERR_DATA, "%s: something follows the compressed data", u->base.name);
    return 0;
}

static ssize_t unpack_read(struct feed *f, void *data, size_t n, struct err *e)
{
    struct unpack *u = (struct unpack *)f;
    la_ssize_t got;

    if (u->ended)
        return 0;
    got = u->la.archive_read_data(u->archive, data, n);
    if (got < 0)
        return failed(u, e);
    if (got == 0) {
        u->ended = true;
        return check_rest(u, e);
    }
    return (ssize_t)got;
}

static void unpack_close(struct feed *f)
{
    struct unpack *u = (struct unpack *)f;

    if (u->archive)
        u->la.archive_read_free(u->archive);
    if (u->entry)
        u->la.archive_entry_free(u->entry);
    feed_close(u->below);
    free(u);
}

static int support(const struct unpack *u, enum feed_kind kind)
{
    struct archive *a = u->archive;

    if (kind == FEED_ZSTD)
        return u->la.archive_read_support_filter_zstd(a);
    if (kind == FEED_XZ)
        return u->la.archive_read_support_filter_xz(a);
    return u->la.archive_read_support_filter_bzip2(a);
}

struct feed *feed_unpack(struct feed *below, enum feed_kind kind, struct err *e)
{
    struct unpack *u = mem_alloc(1, sizeof *u, "decompressor", e);
    int rc;

    if (!u) {
        feed_close(below);
        return NULL;
    }
    u->base.read = unpack_read;
    u->base.close = unpack_close;
    u->base.name = below->name;
    u->below = below;
    if (libarchive_load(&u->la, e))
        goto fail;
    u->archive = u->la.archive_read_new();
    u->entry = u->archive ? u->la.archive_entry_new() : NULL;
    if (!u->entry) {
        err_oom(e, "decompressor", sizeof *u);
        goto fail;
    }
    /* ARCHIVE_WARN would mean an external program, which is never started. */
    if (support(u, kind) != ARCHIVE_OK ||
        u->la.archive_read_support_format_raw(u->archive) != ARCHIVE_OK ||
        u->la.archive_read_support_format_empty(u->archive) != ARCHIVE_OK) {
        err_set(e, ERR_RUN, "%s: this libarchive cannot decompress it", u->base.name);
        goto fail;
    }
    rc = u->la.archive_read_open(u->archive, u, NULL, pull, NULL);
    if (rc == ARCHIVE_OK)
        rc = u->la.archive_read_next_header2(u->archive, u->entry);
    if (rc == ARCHIVE_EOF)
        u->ended = true; /* something empty was compressed */
    else if (rc != ARCHIVE_OK) {
        failed(u, e);
        goto fail;
    }
    return &u->base;
fail:
    unpack_close(&u->base);
    return NULL;
}
