/* SPDX-License-Identifier: MIT */
/*
 * gpu_rig: every slot on the GPU against the CPU in fp32, over a table of shapes; twice, for
 * the same bits.
 *
 * A suite runs once with the GPU in fp32 and once in bf16.  Inputs are rounded to bf16 on
 * both sides, so that only the arithmetic differs.  What is compared is |gpu - cpu| / |cpu|
 * over a whole result: FP32_TOLERANCE, and the case's own in bf16.
 */
#ifndef BERTUTILS_GPU_RIG_H
#define BERTUTILS_GPU_RIG_H

#include "../unit/test.h"
#include "backend.h"
#include "par.h"

#include <math.h>
#include <stdlib.h>

/* Sums of fp32 in another order, and other approximations of exp and erf, of 3072 terms. */
#define FP32_TOLERANCE 3e-5
#define FP32_ZERO 1e-12

enum { MAX_TAKEN = 512, MAX_RESULTS = 32, MAX_SEQS = 6, MAX_NAME = 64 };

struct result {
    const char *name;
    float *v;
    int64_t n;
};

struct side {
    const struct backend *b;
    struct dev *d;
    enum dtype act;
    struct err e;
    uint64_t random;
    void *taken[MAX_TAKEN], *host[MAX_TAKEN];
    int n_taken, n_host;
    struct result result[MAX_RESULTS];
    int n_results;
};

static struct side cpu, gpu;
static struct side *now; /* whose descriptors are being made */

#define NEED(call)                                                                      \
    do {                                                                                \
        if ((call) != 0) {                                                              \
            printf("# %s: %s\n", #call, now->e.text);                                   \
            test_bad = 1;                                                               \
        }                                                                               \
    } while (0)

static inline void *host(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);

    if (!p || now->n_host == MAX_TAKEN)
        abort();
    return now->host[now->n_host++] = p;
}

static inline void *bytes(const void *from, size_t n)
{
    void *p = now->b->alloc(now->d, n ? n : 1, &now->e);

    if (!p || now->n_taken == MAX_TAKEN)
        abort();
    if (from && n)
        NEED(now->b->put(now->d, p, from, n, &now->e));
    return now->taken[now->n_taken++] = p;
}

static inline void reset(struct side *s)
{
    while (s->n_taken > 0)
        s->b->release(s->d, s->taken[--s->n_taken]);
    while (s->n_host > 0)
        free(s->host[--s->n_host]);
    s->n_results = 0;
    s->random = 1;
}

static inline uint16_t to_bf16(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float from_bf16(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

/* n random numbers that bf16 has. */
static inline float *numbers(int64_t n, double size)
{
    float *p = host((size_t)n, sizeof *p);

    for (int64_t i = 0; i < n; i++) {
        now->random = now->random * 6364136223846793005u + 1442695040888963407u;
        p[i] = from_bf16(
            to_bf16((float)(((double)(now->random >> 40) / 8388608.0 - 1) * size)));
    }
    return p;
}

/* A parameter, a gradient of one, or an fp32 result, filled with random numbers. */
static inline struct mat weights(int64_t rows, int64_t cols, double size)
{
    return mat_f32(bytes(numbers(rows * cols, size), (size_t)(rows * cols) * 4), rows,
                   cols);
}

static inline float *vector(int64_t n, double size)
{
    return weights(1, n, size).p;
}

/* Activations; size 0: memory for a result, filled with what no test wants. */
static inline struct mat acts(int64_t rows, int64_t cols, double size)
{
    const int64_t n = rows * cols;
    float *v = numbers(n, size);
    uint16_t *h = host((size_t)n, sizeof *h);
    struct mat m = {NULL, rows, cols, cols, now->act};

    for (int64_t i = 0; i < n; i++) {
        v[i] = size > 0 ? v[i] : 1e30f;
        h[i] = to_bf16(v[i]);
    }
    m.p = now->act == DT_BF16 ? bytes(h, (size_t)n * 2) : bytes(v, (size_t)n * 4);
    return m;
}

/* Dropout at a site of some step, and that step's other numbers. */
static inline struct drop dropped(float p, const struct row_id *row)
{
    uint32_t key[2];

    philox_key(key, 77, 5, 3);
    return (struct drop){p, bytes(key, sizeof key), row};
}

static inline const struct dev_step *step_of(float scale, float lr, int64_t t)
{
    struct dev_step s = {.scale = scale};

    step_set_rates(&s, lr, 0.9f, 0.999f, t);
    return bytes(&s, sizeof s);
}

/* Takes a result off the device. */
static inline void take(const char *name, const void *p, int64_t n, enum dtype t)
{
    struct result *r = &now->result[now->n_results++];

    if (now->n_results > MAX_RESULTS)
        abort();
    *r = (struct result){name, host((size_t)n, sizeof *r->v), n};
    if (t == DT_F32) {
        NEED(now->b->get(now->d, r->v, p, (size_t)n * 4, &now->e));
    } else {
        uint16_t *h = host((size_t)n, sizeof *h);

        NEED(now->b->get(now->d, h, p, (size_t)n * 2, &now->e));
        for (int64_t i = 0; i < n; i++)
            r->v[i] = from_bf16(h[i]);
    }
}

static inline void take_mat(const char *name, const struct mat *m)
{
    take(name, m->p, m->rows * m->cols, m->t);
}

static inline void compare(const char *test, const struct result *c, const struct result *g,
                    double tolerance)
{
    double miss = 0, size = 0;

    for (int64_t i = 0; i < c->n; i++) {
        miss += ((double)g->v[i] - c->v[i]) * ((double)g->v[i] - c->v[i]);
        size += (double)c->v[i] * c->v[i];
    }
    if (!(sqrt(miss) <= tolerance * sqrt(size) + FP32_ZERO)) {
        printf("# %s: %s is off by %.3g of it\n", test, c->name, sqrt(miss / size));
        test_bad = 1;
    }
}

/* Compares what the last run on the CPU and on the GPU gave, and keeps a copy of the GPU's. */
static inline void compare_first(const char *test, double tolerance, float **first)
{
    for (int i = 0; i < cpu.n_results; i++) {
        const size_t n = (size_t)gpu.result[i].n * sizeof(float);

        compare(test, &cpu.result[i], &gpu.result[i], tolerance);
        first[i] = malloc(n + 1);
        if (!first[i])
            abort();
        memcpy(first[i], gpu.result[i].v, n);
    }
}

/* Runs a case on the CPU, and twice on the GPU; tolerance is that of bf16. */
static inline void both(const char *name, void (*one)(const void *), const void *arg,
                        double tolerance)
{
    const bool bf16 = gpu.act == DT_BF16;
    float *first[MAX_RESULTS];
    char test[2 * MAX_NAME];

    snprintf(test, sizeof test, "%s, %s", name, bf16 ? "bf16" : "fp32");
    now = &cpu;
    reset(now);
    one(arg);
    now = &gpu;
    reset(now);
    one(arg);
    compare_first(test, bf16 ? tolerance : FP32_TOLERANCE, first);
    reset(now);
    one(arg);
    for (int i = 0; i < cpu.n_results; i++) {
        if (memcmp(first[i], gpu.result[i].v, (size_t)gpu.result[i].n * sizeof(float)) !=
            0) {
            printf("# %s: %s differs between two runs\n", test, gpu.result[i].name);
            test_bad = 1;
        }
        free(first[i]);
    }
    reset(&cpu);
    reset(&gpu);
}

/* ---- sequences ---- */

struct lengths {
    int n, len[MAX_SEQS];
};

/* Sequences of the given lengths; the second and third start in the middle of a record.
 */
static inline struct seqs places(const struct lengths *l)
{
    struct seqs s = {.n_seq = l->n};
    int32_t *cu = host((size_t)l->n + 1, sizeof *cu);
    struct row_id *row;
    int at = 0;

    for (int i = 0; i < l->n; i++) {
        cu[i + 1] = s.n_tok += l->len[i];
        s.max_len = l->len[i] > s.max_len ? l->len[i] : s.max_len;
    }
    row = host((size_t)s.n_tok, sizeof *row);
    for (int i = 0; i < l->n; i++)
        for (int j = 0; j < l->len[i]; j++)
            row[at++] = (struct row_id){(uint32_t)(100 + i),
                                        (uint32_t)(j + (i == 1 ? 7 : i == 2 ? 254 : 0))};
    s.cu = bytes(cu, ((size_t)l->n + 1) * sizeof *cu);
    s.row = bytes(row, (size_t)s.n_tok * sizeof *row);
    return s;
}

/*
 * Are shapes of real models wanted?  Not in the emulator and under a sanitizer, where they
 * would take hours.
 */
static inline bool large_shapes(void)
{
    return !getenv("BERTUTILS_TEST_SMALL");
}

static inline bool open_side(struct side *s, const struct dev_options *o)
{
    s->d = s->b->open(o, &s->e);
    if (!s->d) {
        printf("# %s\nnot ok 1 - open\n1..1\n", s->e.text);
        return false;
    }
    s->act = s->b->activations(s->d);
    now = s;
    return true;
}

/* The main function of a test: the suite in fp32 and in bf16. */
static inline int gpu_main(void (*suite)(void))
{
    struct err e = {0};
    struct dev_options o = {.par = par_open(par_available(), &e), .precision = "fp32"};
    int index = 0;

    gpu.b = backend_choose("cuda", &index, NULL, &e);
    if (!gpu.b) {
        SKIP(all, e.text);
        par_close(o.par);
        return test_end();
    }
    cpu.b = backend_cpu();
    if (!open_side(&cpu, &o))
        return 1;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        o.precision = bf16 ? "bf16" : "fp32";
        o.index = index;
        printf("# the GPU in %s\n", o.precision);
        if (!open_side(&gpu, &o))
            return 1;
        suite();
        gpu.b->close(gpu.d);
    }
    cpu.b->close(cpu.d);
    par_close(o.par);
    return test_end();
}

#endif
