/* SPDX-License-Identifier: MIT */
/*
 * par: threads that wait asleep and never change a result (L0).
 *
 *   par_for       one function over the cuts of a piece of work (kernels)
 *   par_pipeline  read | work | write with order kept (tok, score, compression)
 *
 * Nothing here spins: a tool in a pipe always has a busy neighbour.  The caller cuts work by
 * its shape, never by the number of threads, so that results do not depend on `-@`.
 */
#ifndef BERTUTILS_PAR_H
#define BERTUTILS_PAR_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct par; /* a pool of threads, the caller's included */

/* Threads that this process may use (its affinity mask and cgroup quota), at least 1. */
int par_available(void);

/* A pool of n threads in all (n = 1 starts none).  NULL and *e on failure. */
struct par *par_open(int n, struct err *e) MUST_USE;
void par_close(struct par *p); /* NULL is fine */
int par_threads(const struct par *p);

/*
 * Calls fn(ctx, i, thread) once for every i in 0..n-1, in any order, from up to
 * par_threads(p) threads (thread: 0..threads-1), and returns when all are done.  A NULL pool
 * runs them in order on the caller's thread.  Not reentrant: one par_for on a pool at a time.
 */
void par_for(struct par *p, int64_t n, void (*fn)(void *ctx, int64_t i, int thread), void *ctx);

/* The stages of par_pipeline; each returns a negative number and fills *e on failure. */
struct par_stages {
    int (*read)(void *ctx, void *job, struct err *e); /* 1: a job was read, 0: the end */
    /* In parallel, from thread 0..n-1; a job may meet another thread each time. */
    int (*work)(void *ctx, void *job, int thread, struct err *e);
    int (*write)(void *ctx, void *job, struct err *e); /* in the order of reading */
    /* Does a piece of other work that waits; false: there is none.  In parallel, before a
       thread reads; may be NULL. */
    bool (*help)(void *ctx);
};

/*
 * Runs jobs through the stages with n threads and the jobs[n_jobs], at least one a thread; with
 * more, a thread that is done before its turn to write leaves its job and goes on.  read and
 * write are never called twice at once, and write sees the jobs in the order in which read made
 * them.  At an error the jobs before it are still written; then -1 and the error of the
 * earliest job.  With n = 1 everything runs on the caller's thread.
 */
int par_pipeline(int n, void **jobs, int n_jobs, const struct par_stages *stages, void *ctx,
                 struct err *e) MUST_USE;

#endif
