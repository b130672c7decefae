/* SPDX-License-Identifier: MIT */
/* par_pipeline: order, errors, help, with jobs that take very different times. */
#include "par.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { JOBS = 24, ITEMS = 600 };

struct job {
    int number;
    bool worked;
};

struct count {
    int items, read, written, fail_at, fail_too;
    int threads;
    bool in_order, one_reader, one_writer;
    atomic_int reading, writing, working, waiting, helped;
};

static int read_one(void *ctx, void *job, struct err *e)
{
    struct count *c = ctx;
    struct job *j = job;

    (void)e;
    c->one_reader = c->one_reader && atomic_fetch_add(&c->reading, 1) == 0;
    *j = (struct job){.number = c->read};
    c->read += c->read < c->items;
    atomic_fetch_sub(&c->reading, 1);
    return j->number < c->items;
}

/* Every seventh takes a thousand times as long as the others. */
static int work_on(void *ctx, void *job, int thread, struct err *e)
{
    const struct timespec nap = {0, 300000};
    struct count *c = ctx;
    struct job *j = job;

    if (thread < 0 || thread >= c->threads || j->worked)
        return err_set(e, ERR_INTERNAL, "job %d on thread %d", j->number, thread);
    if (j->number % 7 == 0)
        nanosleep(&nap, NULL);
    j->worked = true;
    if (j->number == c->fail_at || j->number == c->fail_too)
        return err_set(e, ERR_DATA, "job %d", j->number);
    return 0;
}

static int write_one(void *ctx, void *job, struct err *e)
{
    struct count *c = ctx;
    const struct job *j = job;

    (void)e;
    c->one_writer = c->one_writer && atomic_fetch_add(&c->writing, 1) == 0;
    c->in_order = c->in_order && j->number == c->written && j->worked;
    c->written++;
    atomic_fetch_add(&c->waiting, 1); /* work for help */
    atomic_fetch_sub(&c->writing, 1);
    return 0;
}

static bool help(void *ctx)
{
    struct count *c = ctx;
    int waiting = atomic_load(&c->waiting);

    while (waiting > 0 && !atomic_compare_exchange_weak(&c->waiting, &waiting, waiting - 1))
        ;
    if (waiting <= 0)
        return false;
    atomic_fetch_add(&c->helped, 1);
    return true;
}

static int run(struct count *c, int threads, int n_jobs, struct err *e)
{
    static const struct par_stages stages = {read_one, work_on, write_one, help};
    struct job job[JOBS];
    void *list[JOBS];

    for (int i = 0; i < n_jobs; i++)
        list[i] = &job[i];
    c->threads = threads;
    c->in_order = c->one_reader = c->one_writer = true;
    return par_pipeline(threads, list, n_jobs, &stages, c, e);
}

static void keeps_the_order(void)
{
    for (int threads = 1; threads <= 8; threads++)
        for (int more = 0; more <= 16; more += 4) {
            struct count c = {.items = ITEMS, .fail_at = -1, .fail_too = -1};
            struct err e = {0};

            CHECK_MSG(run(&c, threads, threads + more, &e) == 0, "%s", e.text);
            CHECK_MSG(c.written == ITEMS && c.in_order && c.one_reader && c.one_writer,
                      "%d threads, %d jobs: %d written", threads, threads + more, c.written);
            /* What the last jobs left is the caller's. */
            CHECK(c.helped + c.waiting == ITEMS && c.waiting <= threads + more);
        }
}

static void stops_at_the_earliest_error(void)
{
    for (int threads = 1; threads <= 6; threads++) {
        struct count c = {.items = ITEMS, .fail_at = 203, .fail_too = 207};
        struct err e = {0};

        CHECK(run(&c, threads, threads + 4, &e) == -1);
        CHECK_MSG(e.code == ERR_DATA && strcmp(e.text, "job 203") == 0, "%s", e.text);
        CHECK_MSG(c.written == 203 && c.in_order, "%d written", c.written);
        CHECK(c.read <= 203 + threads + 5);
    }
}

static void nothing_to_read(void)
{
    struct count c = {.fail_at = -1, .fail_too = -1};
    struct err e = {0};

    CHECK(run(&c, 4, 8, &e) == 0 && c.written == 0);
}

int main(void)
{
    RUN(keeps_the_order);
    RUN(stops_at_the_earliest_error);
    RUN(nothing_to_read);
    return test_end();
}
