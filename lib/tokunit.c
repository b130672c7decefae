/* SPDX-License-Identifier: MIT */
#include "tokunit.h"
#include "io.h"
#include "zio.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct units {
    char *const *names;
    int n_files, file; /* the input at hand */
    bool by_path;
    struct zio_in *early; /* (n_files) inputs opened before their turn, by units_peek */
    struct zio_in in;
    bool open;
    int id_bytes;
    uint32_t vocab_size;
    int n_slots, n_workers;
    struct unit *slots; /* unit i lies in slot i % n_slots */
    pthread_t *workers;
    int threads, stop_fd;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t next_read, next_take;
    bool reading;  /* a thread is at the input, and the input is its own */
    bool holding;  /* the caller has unit next_take - 1 */
    bool ended, stop;
};

/* ---- taking a unit from the input ---- */

static int open_file(struct units *u, struct err *e)
{
    int fd;

    if (u->open || !u->by_path)
        return 0;
    if (u->early[u->file].data) {
        u->in = u->early[u->file];
        u->early[u->file] = (struct zio_in){.fd = -1};
        u->in.stop_fd = u->stop_fd;
        u->open = true;
        return 0;
    }
    fd = io_open_in(u->names[u->file], e);
    if (fd < 0)
        return -1;
    zio_open(&u->in, fd, io_name(u->names[u->file]), u->stop_fd);
    u->open = true;
    return 0;
}

static void close_input(struct zio_in *z)
{
    if (z->fd > STDERR_FILENO)
        close(z->fd);
    zio_close(z);
}

static void close_file(struct units *u)
{
    if (u->by_path && u->open)
        close_input(&u->in);
    else
        zio_close(&u->in);
    u->open = false;
}

static int not_a_stream(const struct zio_in *z, struct err *e)
{
    for (size_t i = 0; i < 4; i++)
        if (z->data[z->pos + i] < 0x09 || z->data[z->pos + i] > 0x7E)
            return err_set(e, ERR_DATA, "not a token stream");
    return err_set(e, ERR_DATA,
                   "not a token stream but text ('%.4s...'); make one of it with "
                   "'tok'",
                   (const char *)z->data + z->pos);
}

static int cut(struct err *e)
{
    return err_set(e, ERR_DATA, "token stream is cut inside a block");
}

static int read_plain(struct zio_in *z, struct unit *t, struct err *e)
{
    int got = zio_need(z, BLOCK_HEAD, e);
    size_t length;

    if (got <= 0)
        return got < 0 ? -1 : cut(e);
    length = zio_u32(z, 8);
    if (length > BLOCK_MAX - BLOCK_HEAD)
        return err_set(e, ERR_DATA, "damaged block: it claims %zu bytes", length);
    t->n = tokblock_size(length);
    got = zio_need(z, t->n, e);
    if (got <= 0)
        return got < 0 ? -1 : cut(e);
    if (mem_grow(&t->inner, &t->inner_cap, t->n, 1, e))
        return -1;
    memcpy(t->inner, z->data + z->pos, t->n);
    z->pos += t->n;
    return 0;
}

static int read_frame(struct zio_in *z, struct unit *t, struct err *e)
{
    size_t size;
    const int got = zio_frame(z, &size, &t->n, e);

    if (got <= 0)
        return got < 0 ? -1 : cut(e);
    if (t->n < BLOCK_HEAD)
        return err_set(e, ERR_DATA, "not a token stream but other zstd data");
    if (buf_add(&t->raw, z->data + z->pos, size, e))
        return -1;
    z->pos += size;
    return 0;
}

/* Takes the next unit of one input as it is: 1, 0 at its end, -1 and *e. */
static int take_unit(struct zio_in *z, struct unit *t, struct err *e)
{
    uint32_t magic;
    int got = zio_need(z, 1, e);

    t->kind = UNIT_BLOCK;
    t->decoded = false;
    buf_reset(&t->raw);
    if (got <= 0)
        return got;
    got = zio_need(z, 4, e);
    if (got <= 0)
        return got < 0 ? -1 : cut(e);
    magic = zio_u32(z, 0);
    if (magic == ZIO_MAGIC)
        return read_frame(z, t, e) ? -1 : 1;
    if (memcmp(z->data + z->pos, "TKS", 3) == 0)
        return read_plain(z, t, e) ? -1 : 1;
    if ((magic & ZIO_SKIP_MASK) != ZIO_SKIP_MAGIC)
        return not_a_stream(z, e);
    t->kind = UNIT_SKIP;
    got = zio_need(z, 8, e);
    if (got > 0)
        got = zio_skip(z, 8 + (uint64_t)zio_u32(z, 4), e);
    return got == 0 ? cut(e) : got;
}

/* The next unit of the inputs, or the end of one of them. */
static int read_unit(struct units *u, struct unit *t, struct err *e)
{
    int got;

    t->file = u->file;
    if (open_file(u, e))
        return -1;
    got = take_unit(&u->in, t, e);
    if (got != 0)
        return got < 0 ? -1 : 0;
    t->kind = UNIT_FILE_END;
    close_file(u);
    u->file++;
    return 0;
}

/* ---- what can be done on any thread ---- */

static int decompress(struct unit *t, struct err *e)
{
    size_t got;

    if (!t->dctx) {
        t->dctx = ZSTD_createDCtx();
        if (!t->dctx)
            return err_oom(e, "decompressor", 0);
    }
    if (mem_grow(&t->inner, &t->inner_cap, t->n, 1, e))
        return -1;
    got = ZSTD_decompressDCtx(t->dctx, t->inner, t->n, t->raw.data, t->raw.len);
    if (ZSTD_isError(got))
        return err_set(e, ERR_DATA, "damaged block: %s", ZSTD_getErrorName(got));
    if (got != t->n)
        return err_set(e, ERR_DATA, "damaged block: its size is wrong");
    return 0;
}

static int work(const struct units *u, struct unit *t, struct err *e)
{
    if (t->kind != UNIT_BLOCK)
        return 0;
    if (t->raw.len && decompress(t, e))
        return -1;
    if (tokblock_open(t->inner, t->n, &t->head, e))
        return -1;
    if (memcmp(t->head.type, "TKSD", 4) != 0 || u->id_bytes == 0)
        return 0;
    if (!t->block) {
        t->block = mem_alloc(1, sizeof *t->block, "block", e);
        if (!t->block)
            return -1;
    }
    if (tokblock_decode(t->block, t->inner + BLOCK_HEAD, t->head.length, u->id_bytes,
                        u->vocab_size, e))
        return -1;
    if (t->block->n != t->head.records)
        return err_set(e, ERR_DATA, "damaged block: its counts differ");
    t->decoded = true;
    return 0;
}

/* ---- threads ---- */

static bool may_read(const struct units *u)
{
    /* The unit that the caller looks at keeps its slot. */
    const uint64_t kept = u->next_take - u->holding;

    return !u->reading && u->next_read - kept < (uint64_t)u->n_slots;
}

/* Reads one unit and works on it; called and left with the lock held. */
static void run_unit(struct units *u)
{
    struct unit *t = &u->slots[u->next_read % (uint64_t)u->n_slots];

    u->reading = true;
    pthread_mutex_unlock(&u->lock);
    t->error = (struct err){0};
    (void)!read_unit(u, t, &t->error); /* a failure is in t->error */
    pthread_mutex_lock(&u->lock);
    u->reading = false;
    u->next_read++;
    u->ended = t->error.code || u->file == u->n_files;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
    if (!t->error.code)
        (void)!work(u, t, &t->error);
    pthread_mutex_lock(&u->lock);
    t->ready = true;
    pthread_cond_broadcast(&u->changed);
}

static void *worker(void *arg)
{
    struct units *u = arg;

    pthread_mutex_lock(&u->lock);
    for (;;) {
        while (!u->stop && !u->ended && !may_read(u))
            pthread_cond_wait(&u->changed, &u->lock);
        if (u->stop || u->ended)
            break;
        run_unit(u);
    }
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

/* Workers start when the format is known; without them the caller's thread does
 * everything. */
static void start_workers(struct units *u)
{
    if (u->workers || u->threads < 2 || u->id_bytes == 0)
        return;
    u->workers = calloc((size_t)u->threads, sizeof *u->workers);
    while (u->workers && u->n_workers < u->threads - 1 &&
           pthread_create(&u->workers[u->n_workers], NULL, worker, u) == 0)
        u->n_workers++;
}

struct unit *units_next(struct units *u)
{
    struct unit *t = NULL;

    pthread_mutex_lock(&u->lock);
    u->holding = false;
    pthread_cond_broadcast(&u->changed);
    start_workers(u);
    if (u->n_workers == 0 && !u->ended && u->next_read == u->next_take)
        run_unit(u);
    for (;;) {
        if (u->next_take < u->next_read) {
            t = &u->slots[u->next_take % (uint64_t)u->n_slots];
            if (t->ready)
                break;
        } else if (u->ended) {
            t = NULL;
            break;
        }
        pthread_cond_wait(&u->changed, &u->lock);
    }
    if (t) {
        t->ready = false;
        u->next_take++;
        u->holding = true;
    }
    pthread_mutex_unlock(&u->lock);
    return t;
}

int units_peek(struct units *u, int file, struct unit *t, struct err *e)
{
    struct zio_in *z = &u->early[file];
    struct stat st;
    const int fd = io_open_in(u->names[file], e);
    int got;

    if (fd < 0)
        return -1;
    zio_open(z, fd, io_name(u->names[file]), -1);
    got = take_unit(z, t, e);
    if (got > 0 && work(u, t, e))
        got = -1;
    z->pos = 0; /* nothing was taken: it is read again when its turn comes */
    if (got <= 0 || fstat(fd, &st) != 0 || S_ISREG(st.st_mode))
        close_input(z);
    return got;
}

void unit_free(struct unit *t)
{
    buf_free(&t->raw);
    free(t->inner);
    toks_block_free(t->block);
    ZSTD_freeDCtx(t->dctx);
}

void units_set_format(struct units *u, int id_bytes, uint32_t vocab_size)
{
    u->id_bytes = id_bytes;
    u->vocab_size = vocab_size;
}

struct units *units_new(int fd, char *const *names, int n, int threads, struct err *e)
{
    struct units *u = mem_alloc(1, sizeof *u, "stream reader", e);

    if (!u)
        return NULL;
    u->names = names;
    u->n_files = n;
    u->by_path = fd < 0;
    u->threads = threads;
    u->stop_fd = -1;
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->changed, NULL);
    u->n_slots = threads > 1 ? threads + 2 : 1;
    u->slots = mem_alloc((size_t)u->n_slots, sizeof *u->slots, "stream reader", e);
    u->early = mem_alloc((size_t)n, sizeof *u->early, "stream reader", e);
    if (threads > 1)
        u->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (!u->slots || !u->early || (threads > 1 && u->stop_fd < 0)) {
        err_sys(e, ERR_INTERNAL, "cannot start reading");
        units_free(u);
        return NULL;
    }
    if (!u->by_path) {
        zio_open(&u->in, fd, names[0], u->stop_fd);
        u->open = true;
    }
    return u;
}

void units_free(struct units *u)
{
    const uint64_t one = 1;

    if (!u)
        return;
    pthread_mutex_lock(&u->lock);
    u->stop = true;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
    /* Wakes a worker that waits for input; if that failed, it ends when input comes. */
    if (u->n_workers > 0 && write(u->stop_fd, &one, sizeof one) < 0)
        u->stop = true;
    for (int i = 0; i < u->n_workers; i++)
        pthread_join(u->workers[i], NULL);
    free(u->workers);
    close_file(u);
    for (int i = 0; u->early && i < u->n_files; i++)
        if (u->early[i].data)
            close_input(&u->early[i]);
    free(u->early);
    for (int i = 0; u->slots && i < u->n_slots; i++)
        unit_free(&u->slots[i]);
    free(u->slots);
    if (u->stop_fd >= 0)
        close(u->stop_fd);
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->lock);
    free(u);
}
