/* SPDX-License-Identifier: MIT */
/*
 * ops_rig: what the tests of the op table share: a device, its memory, random
 * inputs, naive references in double and comparison with finite differences.
 *
 * Nothing here knows which backend it is; device memory is only touched through
 * the table.
 */
#ifndef BERTUTILS_OPS_RIG_H
#define BERTUTILS_OPS_RIG_H

#include "backend.h"
#include "par.h"
#include "philox.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

enum { RIG_MAX = 256 };

struct rig {
    const struct backend *b;
    struct dev *d;
    struct err e;
    double tolerance; /* of an element, relative to the largest of its tensor */
    uint64_t random, hash;
    void *device[RIG_MAX], *host[RIG_MAX];
    int n_device, n_host;
    bool bits_only; /* no comparisons: only the hash is wanted */
};

static struct rig *rig; /* of the suite that runs */
static const uint64_t rig_seed = 77;
enum { RIG_STEP = 5 };

#define NEED(call)                                                                       \
    do {                                                                                 \
        if ((call) != 0) {                                                               \
            printf("# %s: %s\n", #call, rig->e.text);                                    \
            test_bad = 1;                                                                \
        }                                                                                \
    } while (0)

static inline void *rig_keep(void **list, int *n, void *p)
{
    if (!p || *n == RIG_MAX)
        abort(); /* a test that cannot run must not pass */
    return list[(*n)++] = p;
}

/* Zeroed host memory until the case ends. */
static inline void *rig_host(size_t n, size_t size)
{
    return rig_keep(rig->host, &rig->n_host, calloc(n, size));
}

/* Frees what the last case made. */
static inline void rig_reset(void)
{
    while (rig->n_device > 0)
        rig->b->release(rig->d, rig->device[--rig->n_device]);
    while (rig->n_host > 0)
        free(rig->host[--rig->n_host]);
}

/* Runs a suite with so many threads; returns the hash of all it took off the device. */
static inline uint64_t rig_suite(const struct backend *b, int index, int threads,
                                 void (*suite)(void))
{
    struct err e = {0};
    struct par *par = par_open(threads, &e);
    const struct dev_options o = {.par = par, .index = index, .precision = "fp32"};
    struct rig r = {.b = b, .tolerance = 2e-5, .random = 1, .hash = 1469598103u};

    rig = &r;
    r.d = par ? b->open(&o, &e) : NULL;
    if (!r.d)
        abort();
    r.bits_only = threads > 1;
    suite();
    rig_reset();
    b->close(r.d);
    par_close(par);
    return r.hash;
}

static uint64_t rig_hash[3];

static inline void same_bits_with_any_threads(void)
{
    CHECK(rig_hash[0] == rig_hash[1]);
    CHECK(rig_hash[0] == rig_hash[2]);
}

/*
 * The suite on the CPU, or on the device that BERTUTILS_TEST_DEVICE names, with 1, 2 and 3
 * threads: there, three runs that must give the same bits.
 */
static inline void rig_run(void (*suite)(void))
{
    const char *device = getenv("BERTUTILS_TEST_DEVICE");
    struct err e = {0};
    int index;
    const struct backend *b = backend_choose(device ? device : "cpu", &index, NULL, &e);

    if (!b) {
        SKIP(ops, e.text);
        return;
    }
    for (int i = 0; i < 3; i++)
        rig_hash[i] = rig_suite(b, index, i + 1, suite);
    RUN(same_bits_with_any_threads);
}

static inline double rig_random(void)
{
    rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(rig->random >> 40) / 8388608.0 - 1; /* -1..1 */
}

static inline double *rig_doubles(int64_t n)
{
    return rig_host((size_t)n + 1, sizeof(double));
}

/* n random numbers, each a float's value. */
static inline double *rig_input(int64_t n, double size)
{
    double *p = rig_doubles(n);

    for (int64_t i = 0; i < n; i++)
        p[i] = (double)(float)(rig_random() * size);
    return p;
}

static inline void *rig_bytes(const void *from, size_t bytes)
{
    void *p = rig_keep(rig->device, &rig->n_device,
                       rig->b->alloc(rig->d, bytes ? bytes : 1, &rig->e));

    if (bytes && from)
        NEED(rig->b->put(rig->d, p, from, bytes, &rig->e));
    return p;
}

/* Floats on the device: copies of the numbers, or, without them, a value that no test wants. */
static inline float *rig_floats(const double *from, int64_t n)
{
    float *host = rig_host((size_t)n + 1, sizeof *host);

    for (int64_t i = 0; i < n; i++)
        host[i] = from ? (float)from[i] : 1e30f;
    return rig_bytes(host, (size_t)n * sizeof *host);
}

static inline struct mat rig_mat(const double *from, int64_t rows, int64_t cols)
{
    return mat_f32(rig_floats(from, rows * cols), rows, cols);
}

/* The numbers of a device's floats; they go into the hash of all results. */
static inline float *rig_down(const float *device, int64_t n)
{
    float *host = rig_host((size_t)n + 1, sizeof *host);

    NEED(rig->b->get(rig->d, host, device, (size_t)n * sizeof *host, &rig->e));
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, &host[i], sizeof bits);
        rig->hash = (rig->hash ^ bits) * 1099511628211u;
    }
    return host;
}

static inline void rig_compare(const char *what, const float *got, const double *want,
                               int64_t n)
{
    double largest = 0.05; /* numbers here are of order 1 */

    if (rig->bits_only)
        return;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs((double)got[i] - want[i]) <= rig->tolerance * largest)) {
            printf("# %s[%ld] is %.9g, not %.9g\n", what, (long)i, (double)got[i],
                   want[i]);
            test_bad = 1;
            return;
        }
    }
}

static inline void rig_check(const char *what, const float *device, const double *want,
                             int64_t n)
{
    rig_compare(what, rig_down(device, n), want, n);
}

/*
 * A gradient against central differences of `value`, which depends on
 * x[0..n-1]; before is what the gradient was added to, or NULL.  At most 31
 * elements are tried.
 */
static inline void rig_gradient(const char *what, const float *device,
                                const double *before, double *x, int64_t n,
                                double (*value)(const void *ctx), const void *ctx)
{
    const int64_t step = n > 16 ? n / 16 : 1;
    const float *got = rig_down(device, n);
    double *want = rig_doubles(n);
    float *tried = rig_host((size_t)n + 1, sizeof *tried);
    int64_t count = 0;

    for (int64_t i = 0; i < n && !rig->bits_only; i += step) {
        const double keep = x[i], h = 1e-5;
        double up, down;

        x[i] = keep + h;
        up = value(ctx);
        x[i] = keep - h;
        down = value(ctx);
        x[i] = keep;
        tried[count] = got[i];
        want[count++] = (up - down) / (2 * h) + (before ? before[i] : 0);
    }
    rig_compare(what, tried, want, count);
}

/* ---- references ---- */

static inline double ref_act(enum activation act, double x)
{
    switch (act) {
    case ACT_NONE: return x;
    case ACT_GELU: return x * 0.5 * erfc(-x / sqrt(2));
    case ACT_TANH: return tanh(x);
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    }
    return x;
}

/* y (t, n) = act(x (t, k) w (n, k)ᵀ + b) */
static inline void ref_linear(const double *x, const double *w, const double *b,
                              enum activation act, double *y, int64_t t, int64_t n,
                              int64_t k)
{
    for (int64_t i = 0; i < t; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = b ? b[j] : 0;

            for (int64_t c = 0; c < k; c++)
                sum += x[i * k + c] * w[j * k + c];
            y[i * n + j] = ref_act(act, sum);
        }
    }
}

static inline void ref_norm(const double *x, const double *gamma, const double *beta,
                            double eps, double *y, int64_t n)
{
    double mean = 0, square = 0;

    for (int64_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(square + eps) * gamma[i] + beta[i];
}

/* Dropout at a site, as the device gets it. */
static inline struct drop rig_drop(float p, uint32_t site, const struct row_id *row)
{
    uint32_t key[2];

    philox_key(key, rig_seed, RIG_STEP, site);
    return (struct drop){p, rig_bytes(key, sizeof key), row};
}

/* The numbers of a step on the device. */
static inline const struct dev_step *rig_step(struct dev_step s)
{
    return rig_bytes(&s, sizeof s);
}

/* What dropout multiplies what takes a half-word of a call with. */
static inline double ref_keep(float p, uint32_t site, const uint32_t counter[4], int half)
{
    uint32_t key[2], word[4];

    if (p == 0)
        return 1;
    philox_key(key, rig_seed, RIG_STEP, site);
    philox_rounds(word, counter, key, 7);
    return (word[half / 2] >> 16 * (half % 2) & 0xffff) < drop_threshold(p)
               ? 0
               : 65536 / (65536 - (double)drop_threshold(p));
}

/* The same for element (row, j) of a matrix. */
static inline double ref_drop(float p, uint32_t site, struct row_id row, uint32_t j)
{
    const uint32_t counter[4] = {row.record, row.offset, drop_group(j), 0};

    return ref_keep(p, site, counter, drop_half(j));
}

/* The same for the probability of at = {query, key, head} of the sequence that row begins. */
static inline double ref_drop_attn(float p, uint32_t site, struct row_id row,
                                   const uint32_t at[3])
{
    const uint32_t counter[4] = {row.record, row.offset + drop_attn_query(at[0]),
                                 drop_attn_group(at[1]), at[2]};

    return ref_keep(p, site, counter, drop_attn_half(at[0], at[1]));
}

static inline double ref_dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* ---- sequences ---- */

enum { MAX_SEQS = 6 };
struct lengths {
    int n;
    int len[MAX_SEQS];
};

struct places {
    int64_t t, s, max;
    int32_t *cu;
    struct row_id *row;
};

/* Sequences of the given lengths; the second one starts in the middle of its record. */
static inline struct places rig_places(const struct lengths *l)
{
    struct places p = {.s = l->n};
    int64_t at = 0;

    for (int i = 0; i < l->n; i++)
        p.t += l->len[i];
    p.cu = rig_host((size_t)l->n + 1, sizeof *p.cu);
    p.row = rig_host((size_t)p.t + 1, sizeof *p.row);
    for (int i = 0; i < l->n; i++) {
        p.max = l->len[i] > p.max ? l->len[i] : p.max;
        for (int j = 0; j < l->len[i]; j++, at++)
            p.row[at] =
                (struct row_id){(uint32_t)(100 + i), (uint32_t)(j + (i == 1 ? 7 : 0))};
        p.cu[i + 1] = (int32_t)at;
    }
    return p;
}

static inline struct seqs rig_seqs(const struct places *p)
{
    return (struct seqs){.n_tok = (int32_t)p->t,
                         .n_seq = (int32_t)p->s,
                         .max_len = (int32_t)p->max,
                         .cu = rig_bytes(p->cu, ((size_t)p->s + 1) * sizeof *p->cu),
                         .row = rig_bytes(p->row, (size_t)p->t * sizeof *p->row)};
}

#endif
