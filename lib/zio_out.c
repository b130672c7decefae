/* SPDX-License-Identifier: MIT */
#include "zio_out.h"
#include "io.h"
#include "zio.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>

/* Bytes that wait for workers beyond which no more are taken; memory to be kept for more. */
enum { WAITING = 8 << 20, KEEP = 4 << 20 };

struct slot {
    struct buf in;
    char *out;
    size_t cap, len;
};

struct zio_out {
    int fd, level, n_slots, n_workers;
    const char *name;
    struct slot *slots;  /* chunk i lies in slot i % n_slots */
    ZSTD_CCtx *cctx;     /* of the caller's thread, when there are no workers */
    pthread_t *workers;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t put, taken, written; /* chunks */
    size_t waiting;               /* bytes of those that are put and not written */
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

static int compress(ZSTD_CCtx *c, struct slot *s, struct err *e)
{
    const size_t bound = ZSTD_compressBound(s->in.len);
    size_t got;

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

/* Compresses and writes chunk i; called with the lock held, which is given up meanwhile.
 */
static void run_chunk(struct zio_out *o, ZSTD_CCtx *c, uint64_t i)
{
    struct slot *s = &o->slots[i % (uint64_t)o->n_slots];
    struct err e = {0};

    pthread_mutex_unlock(&o->lock);
    (void)!compress(c, s, &e); /* a failure is in e */
    pthread_mutex_lock(&o->lock);
    while (o->written != i && !o->stop)
        pthread_cond_wait(&o->changed, &o->lock);
    if (o->stop)
        return;
    if (!e.code && !o->error.code) {
        /* It is this chunk's turn until `written` moves: nobody else writes now. */
        pthread_mutex_unlock(&o->lock);
        (void)!io_write_full(o->fd, s->out, s->len, o->name, &e);
        pthread_mutex_lock(&o->lock);
    }
    if (e.code && !o->error.code)
        o->error = e;
    o->waiting -= s->in.len;
    slim(s);
    o->written++;
    pthread_cond_broadcast(&o->changed);
}

static void *worker(void *arg)
{
    struct zio_out *o = arg;
    struct err e = {0};
    ZSTD_CCtx *c = new_cctx(o->level, &e);

    pthread_mutex_lock(&o->lock);
    if (!c && !o->error.code)
        o->error = e;
    while (c) {
        while (o->taken == o->put && !o->stop)
            pthread_cond_wait(&o->changed, &o->lock);
        if (o->stop)
            break;
        run_chunk(o, c, o->taken++);
    }
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    ZSTD_freeCCtx(c);
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

struct zio_out *zio_out_new(int fd, const char *name, int level, int threads,
                            struct err *e)
{
    struct zio_out *o = mem_alloc(1, sizeof *o, "output", e);

    if (!o)
        return NULL;
    o->fd = fd;
    o->name = name;
    o->level = level > ZIO_LEVEL_MAX ? ZIO_LEVEL_MAX : level;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
    o->n_slots = threads > 1 && level != ZIO_PLAIN ? threads + 1 : 1;
    o->slots = mem_alloc((size_t)o->n_slots, sizeof *o->slots, "output", e);
    if (!o->slots)
        goto fail;
    if (level == ZIO_PLAIN)
        return o;
    if (threads > 1) {
        if (start_workers(o, threads - 1, e))
            goto fail;
        return o;
    }
    o->cctx = new_cctx(o->level, e);
    if (o->cctx)
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
    rc = compress(o->cctx, s, e) || io_write_full(o->fd, s->out, s->len, o->name, e) ? -1 : 0;
    slim(s);
    return rc;
}

/* Whether so large a chunk has to wait; one alone never does. */
static bool is_full(const struct zio_out *o, size_t n)
{
    const uint64_t chunks = o->put - o->written;

    return chunks >= (uint64_t)o->n_slots || (chunks && o->waiting + n > WAITING);
}

int zio_out_put(struct zio_out *o, struct buf *chunk, struct err *e)
{
    int rc = 0;

    if (o->n_workers == 0)
        return put_alone(o, chunk, e);
    pthread_mutex_lock(&o->lock);
    while (is_full(o, chunk->len) && !o->error.code)
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
    ZSTD_freeCCtx(o->cctx);
    for (int i = 0; o->slots && i < o->n_slots; i++) {
        buf_free(&o->slots[i].in);
        free(o->slots[i].out);
    }
    free(o->slots);
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
    free(o);
}
