/* SPDX-License-Identifier: MIT */
#include "feed.h"
#include "mem.h"

#include <stdlib.h>
#include <zlib.h>

struct gunzip {
    struct feed base;
    struct feed *below;
    z_stream z;
    bool between; /* a member has ended and no other has begun */
    bool ended;
    unsigned char in[65536];
};

/* Fills z's input when it is empty; 0 at the end of the file. */
static int refill(struct gunzip *g, struct err *e)
{
    ssize_t got;

    if (g->z.avail_in > 0)
        return 1;
    got = feed_read(g->below, g->in, sizeof g->in, e);
    if (got <= 0)
        return (int)got;
    g->z.next_in = g->in;
    g->z.avail_in = (unsigned)got;
    return 1;
}

/* Behind a member: another one, zeros up to the end (tapes have them), or the end. */
static int next_member(struct gunzip *g, struct err *e)
{
    bool zeros = false;
    int more;

    while ((more = refill(g, e)) > 0 && *g->z.next_in == 0) {
        zeros = true;
        g->z.next_in++;
        g->z.avail_in--;
    }
    if (more < 0)
        return -1;
    if (more == 0) {
        g->ended = true;
        return 0;
    }
    if (zeros || *g->z.next_in != 0x1f)
        return err_set(e, ERR_DATA, "%s: something that is not gzip follows the gzip data",
                       g->base.name);
    if (inflateReset(&g->z) != Z_OK)
        return err_set(e, ERR_INTERNAL, "zlib cannot be started again");
    g->between = false;
    return 0;
}

static ssize_t gunzip_read(struct feed *f, void *data, size_t n, struct err *e)
{
    struct gunzip *g = (struct gunzip *)f;
    const unsigned want = n > 1u << 30 ? 1u << 30 : (unsigned)n;

    g->z.next_out = data;
    g->z.avail_out = want;
    while (!g->ended && g->z.avail_out == want) {
        int rc;

        if (g->between) {
            if (next_member(g, e))
                return -1;
            continue;
        }
        rc = refill(g, e);
        if (rc < 0)
            return -1;
        if (rc == 0)
            return err_set(e, ERR_DATA, "%s: the gzip data is cut", f->name);
        rc = inflate(&g->z, Z_NO_FLUSH);
        if (rc == Z_MEM_ERROR)
            return err_oom(e, "gzip window", 1 << 15);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return err_set(e, ERR_DATA, "%s: damaged gzip data: %s", f->name,
                           g->z.msg ? g->z.msg : "unknown fault");
        g->between = rc == Z_STREAM_END;
    }
    return (ssize_t)(want - g->z.avail_out);
}

static void gunzip_close(struct feed *f)
{
    struct gunzip *g = (struct gunzip *)f;

    inflateEnd(&g->z);
    feed_close(g->below);
    free(g);
}

struct feed *feed_gunzip(struct feed *below, struct err *e)
{
    struct gunzip *g = mem_alloc(1, sizeof *g, "gzip reader", e);

    if (!g) {
        feed_close(below);
        return NULL;
    }
    g->base.read = gunzip_read;
    g->base.close = gunzip_close;
    g->base.name = below->name;
    g->below = below;
    if (inflateInit2(&g->z, 15 + 16) == Z_OK) /* a window of 32 KiB, gzip headers and trailers */
        return &g->base;
    err_oom(e, "gzip reader", sizeof *g);
    gunzip_close(&g->base);
    return NULL;
}
