/* SPDX-License-Identifier: MIT */
/* train_plan: how many steps, how large a micro-batch, and the memory for it (L6). */
#include "train_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * How much of the known order is looked at to plan memory; beyond that a bound will do.
 */
#define COUNT_BUDGET 50000000 /* tokens whose masks are drawn */
#define ITEM_BUDGET 4000000   /* items of all epochs */

struct extent {
    size_t tokens, rows, longest;
};

static void widen(struct model_limits *l, const struct extent *x, size_t n)
{
    if ((int64_t)x->tokens > l->tokens)
        l->tokens = (int64_t)x->tokens;
    if ((int64_t)x->rows > l->rows)
        l->rows = (int64_t)x->rows;
    if ((int64_t)x->longest > l->max_len)
        l->max_len = (int64_t)x->longest;
    if ((int64_t)n > l->sequences)
        l->sequences = (int64_t)n;
}

/* The largest of the micro-batches that items[0..n-1] (NULL: 0, 1, 2 ...) make. */
static void widen_set(const struct train *t, enum train_set set, uint32_t epoch,
                      const uint32_t *items, bool exact, struct model_limits *l)
{
    const size_t n = t->n[set], micro = (size_t)t->micro;

    for (size_t from = 0; from < n; from += micro) {
        const size_t m = micro < n - from ? micro : n - from;
        struct extent x = {0};

        for (size_t i = from; i < from + m; i++) {
            const size_t item = items ? items[i] : i;
            const size_t len = t->task->tokens(t, set, item);

            x.tokens += len;
            x.rows += exact ? t->task->rows(t, set, epoch, item) : len;
            if (len > x.longest)
                x.longest = len;
        }
        widen(l, &x, m);
    }
}

static int longest_first(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x > y ? -1 : x < y;
}

/* A bound for any order: the longest items in one micro-batch. */
static int widen_worst(const struct train *t, struct model_limits *l, struct err *e)
{
    const size_t n = t->n[TRAIN_SET];
    const size_t micro = n < (size_t)t->micro ? n : (size_t)t->micro;
    uint32_t *len = mem_alloc(n, sizeof *len, "lengths", e);
    struct extent x = {0};

    if (!len)
        return -1;
    for (size_t i = 0; i < n; i++)
        len[i] = (uint32_t)t->task->tokens(t, TRAIN_SET, i);
    qsort(len, n, sizeof *len, longest_first);
    for (size_t i = 0; i < micro; i++)
        x.tokens += len[i];
    x.longest = n ? len[0] : 0;
    x.rows = t->job->mlm ? x.tokens : micro;
    widen(l, &x, micro);
    free(len);
    return 0;
}

/* The micro-batches of the known order of all epochs. */
static int widen_epochs(struct train *t, int64_t epochs, bool exact,
                        struct model_limits *l, struct err *e)
{
    for (int64_t epoch = 0; epoch < epochs; epoch++) {
        if (train_order(t, epoch, e))
            return -1;
        widen_set(t, TRAIN_SET, (uint32_t)epoch, t->order, exact, l);
    }
    return 0;
}

/* What the largest micro-batch of the run takes. */
static int find_limits(struct train *t, struct model_limits *l, struct err *e)
{
    const int64_t epochs = t->steps_per_epoch
                               ? (t->total + t->steps_per_epoch - 1) / t->steps_per_epoch
                               : 0;
    const bool all_known = (double)epochs * (double)t->n[TRAIN_SET] < ITEM_BUDGET;
    double tokens = 0;
    bool exact;

    *l = (struct model_limits){.train = t->total > 0};
    for (size_t i = 0; i < t->n[TRAIN_SET]; i++)
        tokens += (double)t->task->tokens(t, TRAIN_SET, i);
    exact = !t->job->mlm || tokens * (double)(epochs + 1) < COUNT_BUDGET;
    if (all_known ? widen_epochs(t, epochs, exact, l, e) : widen_worst(t, l, e))
        return -1;
    widen_set(t, EVAL_SET, MASK_HELDOUT, NULL, exact, l);
    if (t->o->predictions)
        widen_set(t, SCORE_SET, 0, NULL, true, l);
    return 0;
}

static int choose_best(struct train *t, struct err *e)
{
    t->best = !t->o->eval ? "last" : t->o->best ? t->o->best : t->task->default_best(t);
    if (strcmp(t->best, "last") == 0 || t->task->knows(t, t->best, &t->best_lower))
        return 0;
    return err_set(e, ERR_USAGE,
                   "--best %s: there is no such metric for this kind of model", t->best);
}

static int count_steps(struct train *t, struct err *e)
{
    const int64_t n = (int64_t)t->n[TRAIN_SET], step = t->o->batch * t->o->accum;

    t->steps_per_epoch = (n + step - 1) / step;
    if (t->o->max_steps >= 0)
        t->total = t->o->max_steps;
    else
        t->total = t->o->epochs * t->steps_per_epoch;
    if (n == 0 && t->o->max_steps != 0)
        return err_set(e, ERR_DATA, "%s: no %s to train on", t->data.name,
                       t->task->items);
    return schedule_init(&t->schedule, t->o->schedule, t->o->lr, t->o->warmup, t->total,
                         e);
}

static int reserve(struct train *t, const struct model_limits *l, struct err *e)
{
    const bool classify = !t->job->mlm;
    const struct config *c = model_config(t->model);
    const int targets = classify && c->problem != PROBLEM_SINGLE ? c->n_labels : 0;

    if (batch_reserve(&t->batch, (size_t)l->tokens, (size_t)l->sequences,
                      (size_t)(l->rows > l->sequences ? l->rows : l->sequences) + 1,
                      targets, e))
        return -1;
    if (classify) {
        t->logits = mem_alloc((size_t)l->sequences,
                              (size_t)c->n_labels * sizeof *t->logits, "logits", e);
        if (!t->logits)
            return -1;
    }
    return model_reserve(t->model, l, e);
}

/* Bytes of this process that are in memory now; 0 where the system does not say. */
static double resident(void)
{
    struct err ignored = {0};
    char *text;
    size_t n;
    double pages = 0;

    text = io_slurp("/proc/self/statm", 4096, &n, &ignored);
    if (text && strchr(text, ' '))
        pages = strtod(strchr(text, ' '), NULL);
    free(text);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

/* What the matrix library and the allocator take beside what is planned, as measured. */
#define MEMORY_SLACK 1.12
/* Program, libraries and vocabulary, and a token of the data with its share of keys. */
#define PROGRAM_BYTES 80e6
#define TOKEN_BYTES 12.0

/* What training adds to what is in memory already: on the CPU, the weights. */
static double planned(const struct train *t, const struct model_limits *l)
{
    const double params = (double)model_state_bytes(t->model, STATE_PARAMS);
    const double gpu = (double)model_gpu_bytes(t->model, l);
    double bytes = (double)model_bytes(t->model, l) - (gpu > 0 ? gpu : params);

    if (t->total > 0 && strcmp(t->best, "last") != 0)
        bytes += params;
    if (t->o->save_every)
        bytes += params;
    return bytes;
}

static void show_memory(const struct train *t, const struct model_limits *l)
{
    const double bytes = (resident() + planned(t, l)) * MEMORY_SLACK / 1e6;
    const double gpu = (double)model_gpu_bytes(t->model, l) / 1e6;
    const double params = (double)model_parameters(t->model) / 1e6;

    if (gpu > 0)
        msg_note(t->msg, "%.2f million parameters, peak memory about %.0f MB, and %.0f MB of "
                 "the GPU's", params, bytes, gpu);
    else
        msg_note(t->msg, "%.2f million parameters, peak memory about %.0f MB", params, bytes);
}

void train_show_device(const struct train *t)
{
    struct dev_count c;

    model_count(t->model, &c);
    if (c.replays || c.records || c.plain)
        msg_verbose(t->msg, "the GPU ran %lld micro-batches as one of %lld records (%.0f MB); "
                    "%lld kinds of products had to do without cuBLASLt", (long long)c.replays,
                    (long long)c.records, (double)c.record_bytes / 1e6, (long long)c.plain);
}

/* ---- --memory ---- */

/*
 * Bytes of a run with micro-batches of n items; on a GPU, the GPU's.  A function of data and settings alone, not
 * of what is resident: a resumed run must choose the same.
 */
static int memory_of(struct train *t, int64_t n, double *bytes, struct err *e)
{
    const double tokens = (double)(t->data.totals.tokens + t->heldout.totals.tokens);
    struct model_limits l;

    t->micro = n;
    if (find_limits(t, &l, e))
        return -1;
    *bytes = (double)model_gpu_bytes(t->model, &l);
    if (*bytes > 0)
        return 0;
    *bytes = planned(t, &l) + (double)model_state_bytes(t->model, STATE_PARAMS);
    *bytes = (*bytes + PROGRAM_BYTES + tokens * TOKEN_BYTES) * MEMORY_SLACK;
    return 0;
}

static int too_small(const struct train *t, double bytes, struct err *e)
{
    return err_set(e, ERR_RUN,
                   "--memory: even one of the %s at a time takes %.0f MB; give that, or a "
                   "smaller %s",
                   t->task->items, ceil(bytes / 1e6), t->job->mlm ? "--block" : "--max-len");
}

/* The largest micro-batch within a limit, 0 if none; *bytes: what the last one tried takes. */
static int find_fit(struct train *t, double limit, int64_t *fits, double *bytes, struct err *e)
{
    const int64_t batch = t->o->batch;
    int64_t not = batch + 1;

    *fits = 0;
    while (not - *fits > 1) {
        const int64_t n = not == batch + 1 ? batch : (*fits + not) / 2;

        if (memory_of(t, n, bytes, e))
            return -1;
        if (*bytes <= limit)
            *fits = n;
        else
            not = n;
    }
    return 0;
}

/* Micro-batches that fit, made even: 32 items as 16 and 16 and not 20 and 12. */
static int choose_micro(struct train *t, struct err *e)
{
    const int64_t batch = t->o->batch;
    int64_t fits;
    double bytes = 0;

    t->micro = batch;
    if (!t->o->memory)
        return 0;
    if (find_fit(t, (double)t->o->memory, &fits, &bytes, e))
        return -1;
    if (fits == 0)
        return too_small(t, bytes, e);
    t->micro = (batch + (batch + fits - 1) / fits - 1) / ((batch + fits - 1) / fits);
    if (t->micro < batch)
        msg_note(t->msg, "--memory: a batch of %lld is cut into micro-batches of %lld",
                 (long long)batch, (long long)t->micro);
    return 0;
}

/*
 * A GPU without room for the run is refused before anything is taken, with what would fit.
 * It is not done unasked: the bytes of the result would depend on who else is on the GPU.
 */
static int check_gpu(struct train *t, const struct model_limits *l, struct err *e)
{
    const double room = (double)model_gpu_room(t->model);
    const double bytes = (double)model_gpu_bytes(t->model, l);
    const char *shorter = t->job->mlm ? "--block" : "--max-len";
    double least = 0, some;
    int64_t fits;

    if (room <= 0 || bytes <= room)
        return 0;
    if (find_fit(t, room, &fits, &least, e))
        return -1;
    if (fits == 0)
        return err_set(e, ERR_INTERNAL,
                       "out of memory on the GPU: even one of the %s at a time takes %.0f MB, "
                       "%.0f MB can be had; a smaller %s or model, or --device cpu",
                       t->task->items, ceil(least / 1e6), floor(room / 1e6), shorter);
    if (memory_of(t, fits, &least, e))
        return -1;
    some = 0.98 * room > least ? 0.98 * room : least;
    return err_set(e, ERR_INTERNAL,
                   "out of memory on the GPU: %.0f MB are wanted, %.0f MB can be had; "
                   "--memory %.0fK makes the same steps of micro-batches that fit, and --batch "
                   "%lld or a smaller %s takes less",
                   ceil(bytes / 1e6), floor(room / 1e6), ceil(some / 1024),
                   (long long)fits, shorter);
}

int train_plan(struct train *t, struct err *e)
{
    struct model_limits l;

    if (choose_best(t, e) || count_steps(t, e))
        return -1;
    t->order = mem_alloc(t->n[TRAIN_SET], sizeof *t->order, "the order of the items", e);
    if (!t->order || choose_micro(t, e) || find_limits(t, &l, e) || check_gpu(t, &l, e))
        return -1;
    if (t->o->predictions && io_out_open(&t->predictions, t->o->predictions, e))
        return -1;
    if (l.sequences == 0) /* nothing to run: the model is written as loaded */
        l = (struct model_limits){.tokens = 1, .sequences = 1, .rows = 1, .max_len = 1};
    show_memory(t, &l);
    return reserve(t, &l, e);
}
