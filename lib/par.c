/* SPDX-License-Identifier: MIT */
#include "par.h"
#include "mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct worker {
    struct par *pool;
    pthread_t id;
    int thread;
};

struct par {
    int n;
    struct worker *workers; /* n - 1 of them; the caller is thread 0 */
    int started;
    pthread_mutex_t lock;
    pthread_cond_t go, done;
    uint64_t round; /* counts par_for calls; a worker runs each round once */
    int busy;       /* workers that have not finished this round */
    bool stop;
    void (*fn)(void *, int64_t, int);
    void *ctx;
    int64_t count;
    atomic_llong next;
};

/* The CPU quota of cgroup v2, in whole CPUs rounded up, or 0 where there is none. */
static int cgroup_quota(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    long long quota = 0, period = 0;
    int n = 0;

    if (!f)
        return 0;
    if (fscanf(f, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0)
        n = (int)((quota + period - 1) / period);
    fclose(f);
    return n;
}

int par_available(void)
{
    cpu_set_t set;
    int n = 1;
    const int quota = cgroup_quota();

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    if (quota > 0 && quota < n)
        n = quota;
    return n < 1 ? 1 : n;
}

static void par_run(struct par *p, int thread)
{
    long long i;

    while ((i = atomic_fetch_add(&p->next, 1)) < p->count)
        p->fn(p->ctx, i, thread);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct par *p = w->pool;
    uint64_t seen = 0;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && p->round == seen)
            pthread_cond_wait(&p->go, &p->lock);
        if (p->stop)
            break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        par_run(p, w->thread);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct par *par_open(int n, struct err *e)
{
    struct par *p = mem_alloc(1, sizeof *p, "thread pool", e);

    if (!p)
        return NULL;
    p->n = n < 1 ? 1 : n;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->go, NULL);
    pthread_cond_init(&p->done, NULL);
    p->workers = mem_alloc((size_t)p->n, sizeof *p->workers, "thread pool", e);
    if (!p->workers)
        goto fail;
    while (p->started < p->n - 1) {
        struct worker *w = &p->workers[p->started];

        *w = (struct worker){.pool = p, .thread = p->started + 1};
        if (pthread_create(&w->id, NULL, worker_main, w) != 0) {
            err_set(e, ERR_INTERNAL, "cannot start thread %d of %d; use a smaller -@",
                    p->started + 2, p->n);
            goto fail;
        }
        p->started++;
    }
    return p;
fail:
    par_close(p);
    return NULL;
}

void par_close(struct par *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->go);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i].id, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->go);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int par_threads(const struct par *p)
{
    return p ? p->n : 1;
}

void par_for(struct par *p, int64_t n, void (*fn)(void *, int64_t, int), void *ctx)
{
    if (!p || p->n == 1 || n <= 1) {
        for (int64_t i = 0; i < n; i++)
            fn(ctx, i, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->ctx = ctx;
    p->count = n;
    atomic_store(&p->next, 0);
    p->busy = p->n - 1;
    p->round++;
    pthread_cond_broadcast(&p->go);
    pthread_mutex_unlock(&p->lock);
    par_run(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->busy > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/*
 * The pipeline: every thread takes a free job, reads it (under `reading`) and works on it.  Then
 * the job lies in `landed` until those before it are written; the thread that closes the gap
 * writes all that wait, while the others go on with the next ones.
 */
struct line {
    const struct par_stages *stages;
    void *ctx;
    int n_jobs;
    pthread_mutex_t reading, turn;
    pthread_cond_t freed;
    uint64_t next_read; /* guarded by reading, as is `ended` */
    bool ended;         /* nothing more is to be read */
    /* Guarded by turn: */
    uint64_t next_write;
    void **landed; /* (n_jobs) job i that can be written is landed[i % n_jobs] */
    void **free;   /* (n_free) */
    int n_free;
    bool writing;       /* a thread does so */
    uint64_t failed_at; /* the earliest failed job, or UINT64_MAX */
    struct err error;   /* its error */
};

struct line_thread {
    struct line *line;
    int thread;
    pthread_t id;
};

static void line_fail(struct line *l, uint64_t job, const struct err *e)
{
    pthread_mutex_lock(&l->turn);
    if (job < l->failed_at) {
        l->failed_at = job;
        l->error = *e;
    }
    pthread_mutex_unlock(&l->turn);
}

static bool line_failed(struct line *l)
{
    bool failed;

    pthread_mutex_lock(&l->turn);
    failed = l->failed_at != UINT64_MAX;
    pthread_mutex_unlock(&l->turn);
    return failed;
}

static void *line_take(struct line *l)
{
    void *job;

    pthread_mutex_lock(&l->turn);
    while (l->n_free == 0)
        pthread_cond_wait(&l->freed, &l->turn);
    job = l->free[--l->n_free];
    pthread_mutex_unlock(&l->turn);
    return job;
}

/* Reads the next job; false at the end.  *number is its place in the order. */
static bool line_read(struct line *l, void *job, uint64_t *number)
{
    struct err e = {0};
    int got = 0;

    pthread_mutex_lock(&l->reading);
    if (!l->ended && !line_failed(l)) {
        got = l->stages->read(l->ctx, job, &e);
        if (got < 0)
            line_fail(l, l->next_read, &e);
    }
    if (got > 0)
        *number = l->next_read++;
    else
        l->ended = true;
    pthread_mutex_unlock(&l->reading);
    return got > 0;
}

/* Writes the job whose turn it is; called with `turn` held, which is given up meanwhile. */
static void line_write(struct line *l, void *job)
{
    const uint64_t number = l->next_write;
    struct err e = {0};

    if (number < l->failed_at) {
        pthread_mutex_unlock(&l->turn);
        if (l->stages->write(l->ctx, job, &e) < 0)
            line_fail(l, number, &e);
        pthread_mutex_lock(&l->turn);
    }
    l->next_write++;
    l->free[l->n_free++] = job;
    pthread_cond_signal(&l->freed);
}

static void line_land(struct line *l, void *job, uint64_t number)
{
    const uint64_t n = (uint64_t)l->n_jobs;

    pthread_mutex_lock(&l->turn);
    l->landed[number % n] = job;
    while (!l->writing && l->landed[l->next_write % n]) {
        void **first = &l->landed[l->next_write % n];

        job = *first;
        *first = NULL;
        l->writing = true;
        line_write(l, job);
        l->writing = false;
    }
    pthread_mutex_unlock(&l->turn);
}

static void *line_main(void *arg)
{
    const struct line_thread *t = arg;
    struct line *l = t->line;
    uint64_t number;

    for (;;) {
        struct err e = {0};
        void *job;

        while (l->stages->help && l->stages->help(l->ctx))
            ;
        job = line_take(l);
        if (!line_read(l, job, &number))
            break; /* nobody needs the job again: of the others, each has one left */
        if (l->stages->work && l->stages->work(l->ctx, job, t->thread, &e) < 0)
            line_fail(l, number, &e);
        line_land(l, job, number);
    }
    return NULL;
}

static void line_run(struct line *l, struct line_thread *threads, int n)
{
    int started = 1;

    pthread_mutex_init(&l->reading, NULL);
    pthread_mutex_init(&l->turn, NULL);
    pthread_cond_init(&l->freed, NULL);
    for (int i = 0; i < n; i++)
        threads[i] = (struct line_thread){.line = l, .thread = i};
    /* A thread that cannot be started costs speed, not the result. */
    while (started < n &&
           pthread_create(&threads[started].id, NULL, line_main, &threads[started]) == 0)
        started++;
    line_main(&threads[0]);
    for (int i = 1; i < started; i++)
        pthread_join(threads[i].id, NULL);
    pthread_cond_destroy(&l->freed);
    pthread_mutex_destroy(&l->turn);
    pthread_mutex_destroy(&l->reading);
}

int par_pipeline(int n, void **jobs, int n_jobs, const struct par_stages *stages, void *ctx,
                 struct err *e)
{
    struct line l = {.stages = stages, .ctx = ctx, .n_jobs = n_jobs, .n_free = n_jobs,
                     .failed_at = UINT64_MAX};
    struct line_thread *threads = mem_alloc((size_t)n, sizeof *threads, "threads", e);

    l.landed = threads ? mem_alloc(2 * (size_t)n_jobs, sizeof *l.landed, "threads", e) : NULL;
    if (l.landed) {
        l.free = l.landed + n_jobs;
        memcpy(l.free, jobs, (size_t)n_jobs * sizeof *jobs);
        line_run(&l, threads, n);
    }
    free(threads);
    free(l.landed);
    if (!l.landed)
        return -1;
    if (l.failed_at == UINT64_MAX)
        return 0;
    return err_set(e, l.error.code, "%s", l.error.text);
}
