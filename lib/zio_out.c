/* SPDX-License-Identifier: MIT */
#include "zio_out.h"
#include "io.h"
#include "zio.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Bytes that wait for workers beyond which no more are taken; memory to be kept for more. */
enum { WAITING = 8 << 20, KEEP = 4 << 20 };

struct slot {
    struct buf in;
    char *out;
    size_t cap, len;
    bool packed; /* and to be written when its turn comes */
};

struct zio_out {
    int fd, level, n_slots, n_workers;
    const char *name;
    struct slot *slots;  /* chunk i lies in slot i % n_slots */
    bool helped;         /* the caller's threads compress */
    pthread_t *workers;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    ZSTD_CCtx **spare; /* (n_spare) not in use; the one last used is taken first */
    int n_spare;
    uint64_t put, taken, written; /* chunks */
    size_t waiting;               /* bytes of those that are put and not written */
    bool writing;                 /* a thread does so */
    bool stop;
    struct err error; /* the first one */
};

static ZSTD_CCtx *new_cctx(int level, struct err *e)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    if (c && !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)))
        return c;
    ZSTD_freeCCtx(c);
    err_oom(e, "compressor", 0);
    return NULL;
}

/*
 * Whether of some thousand places in a chunk few begin with eight bytes that an earlier one
 * began with.  It depends on the bytes alone.
 */
static bool repeats_little(const char *p, size_t n)
{
    enum { PLACES = 4096, STEP = 2, SLOT_BITS = 12, FEW = PLACES / 16 };
    uint64_t seen[1 << SLOT_BITS] = {0};
    unsigned again = 0;

    /* Ids are in the last of a block's columns. */
    p += n / 4 * 3 & ~(size_t)7;
    for (size_t i = 0; i < PLACES * STEP; i += STEP) {
        uint64_t eight, *slot;

        memcpy(&eight, p + i, sizeof eight);
        slot = &seen[eight * 0x9e3779b97f4a7c15u >> (64 - SLOT_BITS)];
        again += *slot == eight;
        *slot = eight;
    }
    return again < FEW;
}

/*
 * zstd's level 1 looks for matches at every place and finds few of seven bytes among ids of texts
 * without repetitions.  There it is to look at two places of five, for five bytes, in a table that
 * stays in the core's cache, and to go on packing what matches nothing (experimentalParam5, which
 * else is off with such steps): a quarter of its time less for 0 to 3 % more bytes.  A zstd that
 * does not know that goes on as always.
 */
static void choose_search(ZSTD_CCtx *c, const struct buf *in)
{
    enum { LARGE = 256 << 10, PACK = 1 };
    const bool little = in->len >= LARGE && repeats_little(in->data, in->len);

    if (ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_experimentalParam5, little ? PACK : 0)))
        return;
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_targetLength, little ? 4 : 0);
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_minMatch, little ? 5 : 0);
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_hashLog, little ? 12 : 0);
}

static int compress(ZSTD_CCtx *c, int level, struct slot *s, struct err *e)
{
    const size_t bound = ZSTD_compressBound(s->in.len);
    size_t got;

    if (level == 1)
        choose_search(c, &s->in);
    if (mem_grow(&s->out, &s->cap, bound, 1, e))
        return -1;
    got = ZSTD_compress2(c, s->out, s->cap, s->in.data, s->in.len);
    if (ZSTD_isError(got))
        return err_set(e, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(got));
    s->len = got;
    return 0;
}

/* What a large chunk took is not kept for the usual ones. */
static void slim(struct slot *s)
{
    if (s->in.cap > KEEP)
        buf_free(&s->in);
    if (s->cap > KEEP) {
        free(s->out);
        s->out = NULL;
        s->cap = 0;
    }
}

/* A compressor that is not in use, or a new one; with the lock held, or before threads start. */
static ZSTD_CCtx *take_cctx(struct zio_out *o, struct err *e)
{
    return o->n_spare ? o->spare[--o->n_spare] : new_cctx(o->level, e);
}

static void give_cctx(struct zio_out *o, ZSTD_CCtx *c)
{
    if (c)
        o->spare[o->n_spare++] = c;
}

/* Writes the chunks whose turn it is, unless another thread does; with the lock held. */
static void write_packed(struct zio_out *o)
{
    while (!o->writing && o->written < o->taken && !o->stop) {
        struct slot *s = &o->slots[o->written % (uint64_t)o->n_slots];
        struct err e = {0};

        if (!s->packed)
            break;
        if (!o->error.code) {
            o->writing = true;
            pthread_mutex_unlock(&o->lock);
            (void)!io_write_full(o->fd, s->out, s->len, o->name, &e);
            pthread_mutex_lock(&o->lock);
            o->writing = false;
        }
        if (e.code && !o->error.code)
            o->error = e;
        o->waiting -= s->in.len;
        s->packed = false;
        slim(s);
        o->written++;
        pthread_cond_broadcast(&o->changed);
    }
}

/* Compresses the next chunk, and writes what can be; with the lock held, given up meanwhile. */
static void run_chunk(struct zio_out *o)
{
    struct slot *s = &o->slots[o->taken++ % (uint64_t)o->n_slots];
    struct err e = {0};
    ZSTD_CCtx *c = take_cctx(o, &e);

    pthread_mutex_unlock(&o->lock);
    if (c)
        (void)!compress(c, o->level, s, &e); /* a failure is in e */
    pthread_mutex_lock(&o->lock);
    give_cctx(o, c);
    if (e.code && !o->error.code)
        o->error = e;
    s->packed = true;
    write_packed(o);
}

static void *worker(void *arg)
{
    struct zio_out *o = arg;

    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (o->taken == o->put && !o->stop)
            pthread_cond_wait(&o->changed, &o->lock);
        if (o->stop)
            break;
        run_chunk(o);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

static int start_workers(struct zio_out *o, int n, struct err *e)
{
    o->workers = mem_alloc((size_t)n, sizeof *o->workers, "threads", e);
    if (!o->workers)
        return -1;
    while (o->n_workers < n) {
        if (pthread_create(&o->workers[o->n_workers], NULL, worker, o) != 0)
            return err_set(e, ERR_INTERNAL, "cannot start a thread; use a smaller -@");
        o->n_workers++;
    }
    return 0;
}

struct zio_out *zio_out_new(int fd, const char *name, int level, int threads, bool helped,
                            struct err *e)
{
    struct zio_out *o = mem_alloc(1, sizeof *o, "output", e);
    const bool many = threads > 1 && level != ZIO_PLAIN;
    ZSTD_CCtx *first;

    if (!o)
        return NULL;
    o->fd = fd;
    o->name = name;
    o->level = level > ZIO_LEVEL_MAX ? ZIO_LEVEL_MAX : level;
    o->helped = helped && many;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
    o->n_slots = many ? threads + 1 : 1;
    o->slots = mem_alloc((size_t)o->n_slots, sizeof *o->slots, "output", e);
    o->spare = o->slots ? mem_alloc((size_t)o->n_slots, sizeof(ZSTD_CCtx *), "output", e) : NULL;
    if (!o->spare)
        goto fail;
    if (level == ZIO_PLAIN)
        return o;
    first = new_cctx(o->level, e);
    give_cctx(o, first);
    if (first && (!many || helped || start_workers(o, threads - 1, e) == 0))
        return o;
fail:
    zio_out_free(o);
    return NULL;
}

static void swap_in(struct slot *s, struct buf *chunk)
{
    const struct buf other = s->in;

    s->in = *chunk;
    *chunk = other;
    buf_reset(chunk);
}

static int put_alone(struct zio_out *o, struct buf *chunk, struct err *e)
{
    struct slot *s = &o->slots[0];
    int rc;

    if (o->level == ZIO_PLAIN) {
        if (io_write_full(o->fd, chunk->data, chunk->len, o->name, e))
            return -1;
        buf_reset(chunk);
        return 0;
    }
    swap_in(s, chunk);
    rc = compress(o->spare[0], o->level, s, e) || io_write_full(o->fd, s->out, s->len, o->name, e) ? -1 : 0;
    slim(s);
    return rc;
}

/* Whether so large a chunk has to wait; one alone never does. */
static bool is_full(const struct zio_out *o, size_t n)
{
    const uint64_t chunks = o->put - o->written;

    return chunks >= (uint64_t)o->n_slots || (chunks && o->waiting + n > WAITING);
}

/* With the lock held. */
static bool help(struct zio_out *o)
{
    if (!o->helped || o->taken == o->put)
        return false;
    run_chunk(o);
    return true;
}

bool zio_out_help(struct zio_out *o)
{
    bool did;

    pthread_mutex_lock(&o->lock);
    did = help(o);
    pthread_mutex_unlock(&o->lock);
    return did;
}

int zio_out_put(struct zio_out *o, struct buf *chunk, struct err *e)
{
    int rc = 0;

    if (o->n_workers == 0 && !o->helped)
        return put_alone(o, chunk, e);
    pthread_mutex_lock(&o->lock);
    while (is_full(o, chunk->len) && !o->error.code)
        if (!help(o))
            pthread_cond_wait(&o->changed, &o->lock);
    if (o->error.code) {
        rc = err_set(e, o->error.code, "%s", o->error.text);
    } else {
        o->waiting += chunk->len;
        swap_in(&o->slots[o->put % (uint64_t)o->n_slots], chunk);
        o->put++;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    return rc;
}

int zio_out_finish(struct zio_out *o, struct err *e)
{
    int rc = 0;

    pthread_mutex_lock(&o->lock);
    while (o->written != o->put && !o->error.code)
        if (!help(o))
            pthread_cond_wait(&o->changed, &o->lock);
    if (o->error.code)
        rc = err_set(e, o->error.code, "%s", o->error.text);
    pthread_mutex_unlock(&o->lock);
    return rc;
}

void zio_out_free(struct zio_out *o)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    for (int i = 0; i < o->n_workers; i++)
        pthread_join(o->workers[i], NULL);
    free(o->workers);
    for (int i = 0; i < o->n_spare; i++)
        ZSTD_freeCCtx(o->spare[i]);
    free(o->spare);
    for (int i = 0; o->slots && i < o->n_slots; i++) {
        buf_free(&o->slots[i].in);
        free(o->slots[i].out);
    }
    free(o->slots);
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
    free(o);
}
