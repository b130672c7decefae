/* SPDX-License-Identifier: MIT */
#include "tokcheck.h"
#include "io.h"
#include "tokblock.h"
#include "zio.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

int tokcheck_whole(char *const *paths, int n, int threads, uint64_t expect_records,
                   struct err *e)
{
    const struct toks_read_options o = {.threads = threads,
                                        .expect_records = expect_records};
    struct toks_reader *r = toks_open_files(paths, n, &o, e);
    const struct toks_block *b;
    int got = -1;

    while (r && (got = toks_next_block(r, &b, e)) > 0)
        ;
    toks_reader_free(r);
    return got;
}

/* One block as it lies in the file. */
struct outer {
    size_t size;  /* bytes in the file; 0 at the end of the input */
    size_t inner; /* bytes of the block */
    bool plain, skip;
};

/* Waits for the next block or frame: 1, 0 when it is cut, -1 and *e. */
static int next_outer(struct zio_in *z, struct outer *o, struct err *e)
{
    int got = zio_need(z, 1, e);
    uint32_t magic;

    *o = (struct outer){0};
    if (got <= 0)
        return got < 0 ? -1 : 1;
    got = zio_need(z, 4, e);
    if (got <= 0)
        return got;
    magic = zio_u32(z, 0);
    if (magic == ZIO_MAGIC)
        return zio_frame(z, &o->size, &o->inner, e);
    if ((magic & ZIO_SKIP_MASK) == ZIO_SKIP_MAGIC) {
        o->skip = true;
        got = zio_need(z, 8, e);
        o->size = got > 0 ? 8 + (size_t)zio_u32(z, 4) : 0;
        return got;
    }
    if (memcmp(z->data + z->pos, "TKS", 3) != 0)
        return err_set(e, ERR_DATA, "not a token stream");
    o->plain = true;
    got = zio_need(z, BLOCK_HEAD, e);
    if (got <= 0)
        return got;
    if (zio_u32(z, 8) > BLOCK_MAX - BLOCK_HEAD)
        return err_set(e, ERR_DATA, "damaged block");
    o->size = o->inner = tokblock_size(zio_u32(z, 8));
    return zio_need(z, o->size, e);
}

/* Is the block in these bytes whole and of that type?  Its seal needs the stream before
 * it. */
static int is_type(const uint8_t *bytes, const struct outer *o, const char *type,
                   struct err *e)
{
    struct tokblock_head h;
    uint8_t *inner = mem_alloc(o->inner, 1, "block", e);
    int rc = 0;

    if (!inner)
        return -1;
    if (o->plain)
        memcpy(inner, bytes, o->inner);
    else if (ZSTD_decompress(inner, o->inner, bytes, o->size) != o->inner)
        rc = err_set(e, ERR_DATA, "damaged block");
    if (!rc)
        rc = tokblock_open(inner, o->inner, &h, e);
    if (!rc && memcmp(h.type, type, 4) != 0)
        rc = err_set(e, ERR_DATA,
                     strcmp(type, "TKSH") ? "token stream ends without END block "
                                            "(upstream was killed?)"
                                          : "token stream does not start with a header");
    free(inner);
    return rc;
}

static int quick_blocks(struct zio_in *z, struct err *e)
{
    struct outer o, last = {0};
    struct buf kept = {0}; /* the last block seen */
    bool first = true;
    int rc = 0;

    while (!rc) {
        const int got = next_outer(z, &o, e);

        if (got <= 0) {
            rc =
                got < 0 ? -1 : err_set(e, ERR_DATA, "token stream is cut inside a block");
        } else if (o.size == 0) {
            break;
        } else if (o.skip) {
            const int skipped = first ? 0 : zio_skip(z, o.size, e);

            rc = skipped > 0
                     ? 0
                     : err_set(e, ERR_DATA, "skippable frame is cut or misplaced");
        } else {
            rc = first ? is_type(z->data + z->pos, &o, "TKSH", e) : 0;
            first = false;
            last = o;
            buf_reset(&kept);
            rc = rc || buf_add(&kept, z->data + z->pos, o.size, e) ? -1 : 0;
            z->pos += rc ? 0 : o.size;
        }
    }
    if (!rc && first)
        rc = err_set(e, ERR_NOINPUT, "empty; expected a token stream");
    if (!rc)
        rc = is_type((uint8_t *)kept.data, &last, "TKSE", e);
    buf_free(&kept);
    return rc;
}

int tokcheck_quick(char *const *paths, int n, struct err *e)
{
    static char *const standard_input[] = {(char *)"-"};

    if (n < 1) {
        paths = standard_input;
        n = 1;
    }
    for (int i = 0; i < n; i++) {
        const int fd = io_open_in(paths[i], e);
        struct zio_in z;
        int rc;

        if (fd < 0)
            return -1;
        zio_open(&z, fd, io_name(paths[i]), -1);
        rc = quick_blocks(&z, e);
        zio_close(&z);
        if (fd > STDERR_FILENO)
            close(fd);
        if (rc && e->code != ERR_IO)
            return err_prefix(e, "%s: ", io_name(paths[i]));
        if (rc)
            return -1;
    }
    return 0;
}
