/* SPDX-License-Identifier: MIT */
/*
 * bench_ops: the time of every slot of the op table, in training steps of encoders.
 *
 *     bench_ops [-@ N] [-r REPEATS] [-p DROPOUT] [-d DEVICE] [-f PRECISION] [-s SHAPE]
 *               [-n LEN,LEN,...] [-o SLOT,SLOT,...] [-a] [-j]
 *
 * SHAPE is a name of the table in bench_rig.h; without it, MiniLM's and BERT-base's CoLA.  -n:
 * these sequences instead of the shape's.  -o: these slots alone.  -j: JSON lines.
 *
 * There are two ways to measure.  In a step, the CPU's way: slots in a step's order, a wait
 * behind each; the fastest of all repeats counts, because neighbours only ever add time.
 * Alone (-a), the GPU's way: a slot of all layers, again and again, launched back to
 * back, so that neither launching nor waiting counts; the median counts.
 */
#include "bench_rig.h"

#include <getopt.h>
#include <time.h>

enum { MAX_REPEATS = 1000 };

struct plan {
    int repeats;
    bool alone, json;
    const char *only; /* "slot,slot,..." or NULL: all */
    double best[SLOTS], step;
    int64_t steps; /* updates so far */
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool wanted(const struct plan *p, enum slot slot)
{
    const size_t n = strlen(slot_name[slot]);
    const char *at = p->only;

    for (; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, slot_name[slot], n) == 0 && (at[n] == ',' || !at[n]))
            return true;
    return !p->only;
}

/* ---- in a step ---- */

static void timed(struct bench *x, double *now, enum slot slot, int64_t i)
{
    const double start = seconds();

    launch(x, slot, i);
    must(x, x->b->sync(x->d, &x->e));
    now[slot] += seconds() - start;
}

static void one_step(struct bench *x, double *now)
{
    const int64_t layers = x->s.layers;

    timed(x, now, EMBED, 0);
    for (int64_t i = 0; i < layers; i++) {
        timed(x, now, QKV, i);
        timed(x, now, ATTN, i);
        timed(x, now, OUT, i);
        timed(x, now, NORM, 2 * i);
        timed(x, now, FFN, i);
        timed(x, now, NORM, 2 * i + 1);
    }
    if (x->s.mlm)
        timed(x, now, VOCAB, 0);
    for (int64_t i = layers - 1; i >= 0; i--) {
        timed(x, now, NORM_B, 2 * i + 1);
        timed(x, now, FFN_B, i);
        timed(x, now, NORM_B, 2 * i);
        timed(x, now, OUT_B, i);
        timed(x, now, ATTN_B, i);
        timed(x, now, QKV_B, i);
    }
    timed(x, now, EMBED_B, 0);
    timed(x, now, SQNORM, 0);
    timed(x, now, ADAMW, 0);
}

static void in_a_step(struct bench *x, struct plan *p)
{
    p->step = 1e9;
    for (int i = 0; i < p->repeats; i++) {
        double now[SLOTS] = {0}, start;

        set_step(x, ++p->steps);
        start = seconds();
        one_step(x, now);
        start = seconds() - start;
        p->step = start < p->step ? start : p->step;
        for (int k = 0; k < SLOTS; k++)
            if (i == 0 || now[k] < p->best[k])
                p->best[k] = now[k];
    }
}

/* ---- alone ---- */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Seconds that the slot takes in all layers together, over `rounds` of them. */
static double rounds_of(struct bench *x, enum slot slot, int rounds)
{
    const double start = seconds();

    for (int r = 0; r < rounds; r++)
        for (int64_t i = 0; i < calls(x, slot); i++)
            launch(x, slot, i);
    must(x, x->b->sync(x->d, &x->e));
    return (seconds() - start) / rounds;
}

static void alone(struct bench *x, struct plan *p)
{
    static const double enough = 5e-3; /* so long that one wait does not count */
    double taken[MAX_REPEATS];

    for (int k = 0; k < SLOTS; k++) {
        const enum slot slot = (enum slot)k;
        double first;
        int rounds;

        if (!wanted(p, slot) || calls(x, slot) == 0)
            continue;
        refresh(x);
        rounds_of(x, slot, 1); /* plans are made, memory is taken */
        first = rounds_of(x, slot, 1);
        rounds = first < enough ? (int)(enough / (first + 1e-7)) + 1 : 1;
        for (int i = 0; i < p->repeats; i++)
            taken[i] = rounds_of(x, slot, rounds);
        qsort(taken, (size_t)p->repeats, sizeof *taken, ascending);
        p->best[k] = taken[p->repeats / 2];
        p->step += p->best[k];
    }
}

/* ---- what was found ---- */

static void print_json(const struct bench *x, const struct plan *p, const double *flop,
                       const double *moved)
{
    const char *comma = "";

    printf("{\"shape\": \"%s\", \"device\": \"%s\", \"activations\": \"%s\", \"tokens\": %ld, "
           "\"sequences\": %ld, \"dropout\": %g, \"alone\": %s, \"ms\": %.6f, \"slots\": {",
           x->s.name, x->b->name, x->act == DT_BF16 ? "bf16" : "fp32", (long)x->t,
           (long)x->s.seqs, (double)x->p, p->alone ? "true" : "false", 1e3 * p->step);
    for (int k = 0; k < SLOTS; k++) {
        if (p->best[k] == 0)
            continue;
        printf("%s\"%s\": {\"ms\": %.6f, \"calls\": %ld, \"tflops\": %.4f, \"gbytes_s\": %.2f}", comma,
               slot_name[k], 1e3 * p->best[k], (long)calls(x, (enum slot)k),
               1e-12 * flop[k] / p->best[k], 1e-9 * moved[k] / p->best[k]);
        comma = ", ";
    }
    printf("}}\n");
}

static void print_table(const struct bench *x, const struct plan *p, const double *flop,
                        const double *moved)
{
    double sum = 0, all = 0;

    for (int k = 0; k < SLOTS; k++)
        sum += p->best[k];
    printf("%s, %ld tokens, %s on %s: %.3f ms a step\n", x->s.name, (long)x->t,
           x->act == DT_BF16 ? "bf16" : "fp32", x->b->name, 1e3 * p->step);
    for (int k = 0; k < SLOTS; k++) {
        if (p->best[k] == 0)
            continue;
        all += flop[k];
        printf("  %-15s %9.3f ms %5.1f %%", slot_name[k], 1e3 * p->best[k],
               100 * p->best[k] / sum);
        if (flop[k] > 0)
            printf(" %10.1f GFLOP/s", 1e-9 * flop[k] / p->best[k]);
        else
            printf(" %10.1f GB/s", 1e-9 * moved[k] / p->best[k]);
        printf("\n");
    }
    printf("  %-15s %9.3f ms         %10.1f GFLOP/s\n", p->alone ? "sum" : "sum of fastest",
           1e3 * sum, 1e-9 * all / sum);
}

static void report(const struct bench *x, const struct plan *p)
{
    double flop[SLOTS], moved[SLOTS];

    work_of(x, flop, moved);
    if (p->json)
        print_json(x, p, flop, moved);
    else
        print_table(x, p, flop, moved);
    fflush(stdout);
}

static void usage(void)
{
    fputs("usage: bench_ops [-@ THREADS] [-r REPEATS] [-p DROPOUT] [-d DEVICE] [-f PRECISION]\n"
          "                 [-s SHAPE] [-n LEN,LEN,...] [-o SLOT,...] [-a] [-j]\nshapes:\n",
          stderr);
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        fprintf(stderr, "  %s\n", shapes[k].name);
    exit(2);
}

/* The lengths of -n, and how many; they replace the shape's. */
static void take_lengths(struct bench *x, const char *list)
{
    x->s.seqs = 0;
    for (char *end; *list; list = *end ? end + 1 : end) {
        const long n = strtol(list, &end, 10);

        if (end == list || (*end && *end != ',') || n < 0 || n > MAX_LENGTH ||
            x->s.seqs == MAX_SEQUENCES)
            usage();
        x->length[x->s.seqs++] = (int32_t)n;
    }
}

int main(int argc, char **argv)
{
    static struct bench x;
    struct plan plan = {.repeats = 5};
    struct dev_options o = {.precision = "auto"};
    const char *device = "cpu", *shape = NULL, *lengths = NULL;
    int threads = par_available(), ran = 0;
    float dropout = 0.1f;

    for (int c; (c = getopt(argc, argv, "@:r:p:d:f:s:n:o:aj")) != -1;) {
        switch (c) {
        case '@': threads = (int)strtol(optarg, NULL, 10); break;
        case 'r': plan.repeats = (int)strtol(optarg, NULL, 10); break;
        case 'p': dropout = strtof(optarg, NULL); break;
        case 'd': device = optarg; break;
        case 'f': o.precision = optarg; break;
        case 's': shape = optarg; break;
        case 'n': lengths = optarg; break;
        case 'o': plan.only = optarg; break;
        case 'a': plan.alone = true; break;
        case 'j': plan.json = true; break;
        default: usage();
        }
    }
    if (optind < argc || plan.repeats < 1 || plan.repeats > MAX_REPEATS || threads < 1 ||
        (plan.only && !plan.alone))
        usage();
    o.par = par_open(threads, &x.e);
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        if (shape ? strcmp(shape, shapes[k].name) != 0 : !shapes[k].usual)
            continue;
        ran++;
        begin(&x, &shapes[k], dropout);
        if (lengths)
            take_lengths(&x, lengths);
        open_device(&x, device, &o);
        make(&x);
        memset(plan.best, 0, sizeof plan.best);
        plan.step = 0;
        plan.steps = 0;
        (plan.alone ? alone : in_a_step)(&x, &plan);
        report(&x, &plan);
        finish(&x);
    }
    par_close(o.par);
    if (!ran)
        usage();
    return 0;
}
