/* SPDX-License-Identifier: MIT */
/*
 * Every slot on the GPU in bf16 against the CPU in fp32, over a table of shapes; twice,
 * for the same bits.  (In fp32 the GPU goes through tests/unit/test_ops*.c itself.)
 *
 * Inputs are rounded to bf16 on both sides, so that only the arithmetic differs.  What is
 * compared is |gpu - cpu| / |cpu| over a whole result.
 */
#include "backend.h"
#include "../unit/test.h"

#include <math.h>
#include <stdlib.h>

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

static void *host(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);

    if (!p || now->n_host == MAX_TAKEN)
        abort();
    return now->host[now->n_host++] = p;
}

static void *bytes(const void *from, size_t n)
{
    void *p = now->b->alloc(now->d, n ? n : 1, &now->e);

    if (!p || now->n_taken == MAX_TAKEN)
        abort();
    if (from && n)
        NEED(now->b->put(now->d, p, from, n, &now->e));
    return now->taken[now->n_taken++] = p;
}

static void reset(struct side *s)
{
    while (s->n_taken > 0)
        s->b->release(s->d, s->taken[--s->n_taken]);
    while (s->n_host > 0)
        free(s->host[--s->n_host]);
    s->n_results = 0;
    s->random = 1;
}

static uint16_t to_bf16(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float from_bf16(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

/* n random numbers that bf16 has. */
static float *numbers(int64_t n, double size)
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
static struct mat weights(int64_t rows, int64_t cols, double size)
{
    return mat_f32(bytes(numbers(rows * cols, size), (size_t)(rows * cols) * 4), rows,
                   cols);
}

static float *vector(int64_t n, double size)
{
    return weights(1, n, size).p;
}

/* Activations; size 0: memory for a result, filled with what no test wants. */
static struct mat acts(int64_t rows, int64_t cols, double size)
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

/* Takes a result off the device. */
static void take(const char *name, const void *p, int64_t n, enum dtype t)
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

static void take_mat(const char *name, const struct mat *m)
{
    take(name, m->p, m->rows * m->cols, m->t);
}

static void compare(const char *test, const struct result *c, const struct result *g,
                    double tolerance)
{
    double miss = 0, size = 0;

    for (int64_t i = 0; i < c->n; i++) {
        miss += ((double)g->v[i] - c->v[i]) * ((double)g->v[i] - c->v[i]);
        size += (double)c->v[i] * c->v[i];
    }
    if (!(sqrt(miss) <= tolerance * sqrt(size) + 1e-12)) {
        printf("# %s: %s is off by %.3g of it\n", test, c->name, sqrt(miss / size));
        test_bad = 1;
    }
}

/* Runs a case on the CPU, and twice on the GPU. */
static void both(const char *name, void (*one)(const void *), const void *arg,
                 double tolerance)
{
    float *first[MAX_RESULTS];

    now = &cpu;
    reset(now);
    one(arg);
    now = &gpu;
    reset(now);
    one(arg);
    for (int i = 0; i < cpu.n_results; i++) {
        const size_t n = (size_t)gpu.result[i].n * sizeof(float);

        compare(name, &cpu.result[i], &gpu.result[i], tolerance);
        first[i] = malloc(n + 1);
        if (!first[i])
            abort();
        memcpy(first[i], gpu.result[i].v, n);
    }
    reset(now);
    one(arg);
    for (int i = 0; i < cpu.n_results; i++) {
        if (memcmp(first[i], gpu.result[i].v, (size_t)gpu.result[i].n * sizeof(float)) !=
            0) {
            printf("# %s: %s differs between two runs\n", name, gpu.result[i].name);
            test_bad = 1;
        }
        free(first[i]);
    }
    reset(&cpu);
    reset(&gpu);
}

/* ---- products ---- */

struct linear_shape {
    int64_t t, n, k;
    enum activation act;
    bool fp32; /* y, as the logits */
};

static void linear_case(const void *arg)
{
    const struct linear_shape *s = arg;
    struct linear f = {.act = s->act};
    struct linear_bwd b = {.fwd = &f, .dx_add = !s->fp32};

    f.x = acts(s->t, s->k, 1);
    f.w = weights(s->n, s->k, 1 / sqrt((double)s->k));
    f.b = vector(s->n, 0.5);
    f.y = s->fp32 ? weights(s->t, s->n, 1) : acts(s->t, s->n, 0);
    if (s->act == ACT_GELU || s->act == ACT_GELU_TANH)
        f.pre = acts(s->t, s->n, 0);
    NEED(now->b->linear(now->d, &f, &now->e));
    take_mat("y", &f.y);
    b.dy = s->fp32 ? weights(s->t, s->n, 1) : acts(s->t, s->n, 1);
    b.dx = acts(s->t, s->k, 1);
    b.dw = weights(s->n, s->k, 1);
    b.db = vector(s->n, 1);
    NEED(now->b->linear_bwd(now->d, &b, &now->e));
    take_mat("dx", &b.dx);
    take_mat("dw", &b.dw);
    take("db", b.db, s->n, DT_F32);
}

static void test_linear(void)
{
    static const struct linear_shape shapes[] = {
        {1, 64, 32, ACT_NONE, false},    {37, 96, 64, ACT_GELU, false},
        {130, 64, 48, ACT_TANH, false},  {19, 5, 21, ACT_NONE, false},
        {9, 2, 64, ACT_NONE, true},      {33, 21, 64, ACT_NONE, true},
        {70, 64, 64, ACT_GELU_TANH, false},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        both("linear", linear_case, &shapes[i], 1e-2);
}

static void ffn_case(const void *arg)
{
    const int64_t *s = arg, t = s[0], h = s[1], i = s[2];
    struct ffn f = {.act = ACT_GELU};
    struct ffn_bwd b = {.fwd = &f};

    f.x = acts(t, h, 1);
    f.w1 = weights(i, h, 2 / sqrt((double)h));
    f.w2 = weights(h, i, 2 / sqrt((double)i));
    f.b1 = vector(i, 0.5);
    f.b2 = vector(h, 0.5);
    f.pre = acts(t, i, 0);
    f.mid = acts(t, i, 0);
    f.y = acts(t, h, 0);
    NEED(now->b->ffn(now->d, &f, &now->e));
    take_mat("y", &f.y);
    b.dy = acts(t, h, 1);
    b.dmid = acts(t, i, 0);
    b.dx = acts(t, h, 1);
    b.dw1 = weights(i, h, 1);
    b.dw2 = weights(h, i, 1);
    b.db1 = vector(i, 1);
    b.db2 = vector(h, 1);
    NEED(now->b->ffn_bwd(now->d, &b, &now->e));
    take_mat("dx", &b.dx);
    take_mat("dw1", &b.dw1);
    take_mat("dw2", &b.dw2);
    take("db1", b.db1, i, DT_F32);
    take("db2", b.db2, h, DT_F32);
    f.pre.p = NULL; /* inference */
    NEED(now->b->ffn(now->d, &f, &now->e));
    take_mat("y without pre", &f.y);
}

static void test_ffn(void)
{
    static const int64_t shapes[][3] = {{1, 32, 64}, {45, 64, 128}, {33, 40, 72}};

    for (int i = 0; i < 3; i++)
        both("ffn", ffn_case, shapes[i], 1e-2);
}

/* ---- sequences ---- */

struct lengths {
    int n, len[MAX_SEQS];
};

/* Sequences of the given lengths; the second and third start in the middle of a record.
 */
static struct seqs places(const struct lengths *l)
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

struct attn_shape {
    const struct lengths *l;
    int64_t heads, width;
    float p;
};

static void attn_case(const void *arg)
{
    const struct attn_shape *s = arg;
    const struct seqs seqs = places(s->l);
    const int64_t t = seqs.n_tok, h = s->heads * s->width;
    struct attn f = {.seqs = seqs, .heads = (int32_t)s->heads,
                     .scale = (float)(1 / sqrt((double)s->width)),
                     .drop = {s->p, 3, seqs.row}};
    struct attn_bwd b = {.fwd = &f};

    f.qkv = acts(t, 3 * h, 2);
    f.y = acts(t, h, 0);
    f.lse = bytes(NULL, (size_t)(s->heads * t) * 4);
    NEED(now->b->attn(now->d, &f, &now->e));
    take_mat("y", &f.y);
    take("lse", f.lse, s->heads * t, DT_F32);
    b.dy = acts(t, h, 1);
    b.dqkv = acts(t, 3 * h, 0);
    b.work = acts(t, h, 0);
    NEED(now->b->attn_bwd(now->d, &b, &now->e));
    take_mat("dqkv", &b.dqkv);
    f.lse = NULL;
    NEED(now->b->attn(now->d, &f, &now->e));
    take_mat("y without lse", &f.y);
}

static void test_attn(void)
{
    static const struct lengths shapes[] = {
        {1, {1}},           {1, {16}},      {4, {11, 3, 1, 17}}, {5, {5, 0, 61, 4, 33}},
        {3, {64, 65, 130}}, {2, {0, 200}},  {3, {62, 61, 64}},
    };
    static const int64_t heads[][2] = {{2, 32}, {3, 64}, {1, 96}, {2, 128}, {2, 20}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (size_t j = 0; j < sizeof heads / sizeof *heads; j++) {
            for (int p = 0; p < 2; p++) {
                const struct attn_shape s = {&shapes[i], heads[j][0], heads[j][1],
                                             p ? 0.25f : 0};
                char name[MAX_NAME];

                snprintf(name, sizeof name, "attn, lengths %zu, width %ld, p %g", i,
                         (long)s.width, (double)s.p);
                both(name, attn_case, &s, 1.5e-2);
            }
        }
    }
}

/* ---- rows ---- */

struct row_shape {
    const struct lengths *l;
    int64_t h;
    float p;
};

static void norm_case(const void *arg)
{
    const struct row_shape *s = arg;
    const struct seqs seqs = places(s->l);
    const int64_t t = seqs.n_tok, h = s->h;
    struct add_norm f = {.eps = 1e-5f, .drop = {s->p, 3, seqs.row}};
    struct add_norm_bwd b = {.fwd = &f};

    f.x = acts(t, h, 2);
    f.residual = acts(t, h, 2);
    f.gamma = vector(h, 2);
    f.beta = vector(h, 1);
    f.y = acts(t, h, 0);
    f.stats = bytes(NULL, (size_t)t * 8);
    NEED(now->b->add_norm(now->d, &f, &now->e));
    take_mat("x", &f.x);
    take_mat("y", &f.y);
    b.dy = acts(t, h, 1);
    b.dresidual = b.dy;
    b.dx = s->p > 0 ? acts(t, h, 0) : b.dy;
    b.dgamma = vector(h, 1);
    b.dbeta = vector(h, 1);
    NEED(now->b->add_norm_bwd(now->d, &b, &now->e));
    take_mat("dresidual", &b.dresidual);
    take_mat("dx", &b.dx);
    take("dgamma", b.dgamma, h, DT_F32);
    take("dbeta", b.dbeta, h, DT_F32);
    NEED(now->b->dropout(now->d, &f.drop, f.y, f.y, &now->e));
    take_mat("dropout", &f.y);
}

static void embed_case(const void *arg)
{
    enum { WORDS = 12, PLACES = 300, TYPES = 2 };
    const struct row_shape *s = arg;
    const struct seqs seqs = places(s->l);
    const int64_t t = seqs.n_tok, h = s->h;
    int32_t *ids = host(3 * (size_t)t, sizeof *ids), *positions = ids + t,
            *types = positions + t;
    struct embed f = {.seqs = seqs, .eps = 1e-5f, .drop = {s->p, 3, seqs.row}};
    struct embed_bwd b = {.fwd = &f};

    for (int64_t i = 0; i < t; i++) {
        ids[i] = i % 3 ? (int32_t)(i * i % (WORDS - 1)) : 4;
        positions[i] = (int32_t)(i * 7 % PLACES);
        types[i] = (int32_t)(i % TYPES);
    }
    f.ids = bytes(ids, (size_t)t * 4);
    f.positions = bytes(positions, (size_t)t * 4);
    f.types = bytes(types, (size_t)t * 4);
    f.word = weights(WORDS, h, 1);
    f.pos = weights(PLACES, h, 1);
    f.type = weights(TYPES, h, 1);
    f.gamma = vector(h, 2);
    f.beta = vector(h, 1);
    f.y = acts(t, h, 0);
    f.stats = bytes(NULL, (size_t)t * 8);
    NEED(now->b->embed(now->d, &f, &now->e));
    take_mat("y", &f.y);
    b.dy = acts(t, h, 1);
    b.dword = weights(WORDS, h, 0.1);
    b.dpos = weights(PLACES, h, 0.1);
    b.dtype = weights(TYPES, h, 0.1);
    b.dgamma = vector(h, 1);
    b.dbeta = vector(h, 1);
    NEED(now->b->embed_bwd(now->d, &b, &now->e));
    take_mat("dword", &b.dword);
    take_mat("dpos", &b.dpos);
    take_mat("dtype", &b.dtype);
    take("dgamma", b.dgamma, h, DT_F32);
    take("dbeta", b.dbeta, h, DT_F32);
}

static const struct lengths row_lengths[] = {{1, {1}}, {2, {5, 8}}, {3, {133, 1, 150}}};
static const int64_t row_widths[] = {5, 64, 300, 768};

static void each_row_shape(const char *name, void (*one)(const void *))
{
    for (int i = 0; i < 3; i++) {
        for (int w = 0; w < 4; w++) {
            for (int p = 0; p < 2; p++) {
                const struct row_shape s = {&row_lengths[i], row_widths[w], p ? 0.3f : 0};

                both(name, one, &s, 1.5e-2);
            }
        }
    }
}

static void test_norm(void)
{
    each_row_shape("add_norm", norm_case);
}

static void test_embed(void)
{
    each_row_shape("embed", embed_case);
}

static void rows_case(const void *arg)
{
    enum { T = 90, H = 36, R = 40 };
    int32_t row[R];
    struct mat x = acts(T, H, 1), y = acts(R, H, 0);
    const int32_t *device;

    (void)arg;
    for (int i = 0; i < R; i++)
        row[i] = (i * 7 + 3) % T;
    device = bytes(row, sizeof row);
    NEED(now->b->rows_get(now->d, x, device, y, &now->e));
    take_mat("rows_get", &y);
    NEED(now->b->rows_add(now->d, x, device, y, &now->e));
    take_mat("rows_add", &x);
}

static void test_rows(void)
{
    both("rows", rows_case, NULL, 1e-2);
}

/* ---- vocabulary, update ---- */

static void vocab_case(const void *arg)
{
    const int64_t *s = arg, r = s[0], h = s[1], v = s[2];
    struct vocab_loss f = {.scale = 0.25f, .gradient = true};
    int32_t *label = host((size_t)r, sizeof *label);

    for (int64_t i = 0; i < r; i++)
        label[i] = i % 7 == 5 ? -1 : (int32_t)(i * 31 % v);
    f.x = acts(r, h, 1);
    f.w = weights(v, h, 1);
    f.b = vector(v, 1);
    f.label = bytes(label, (size_t)r * 4);
    f.row_loss = bytes(NULL, (size_t)r * 4);
    f.best = bytes(NULL, (size_t)r * 4);
    f.dx = acts(r, h, 0);
    f.dw = weights(v, h, 0.1);
    f.db = vector(v, 0.1);
    f.work = weights(s[3], v, 1);
    NEED(now->b->vocab_loss(now->d, &f, &now->e));
    take("row_loss", f.row_loss, r, DT_F32);
    take_mat("dx", &f.dx);
    take_mat("dw", &f.dw);
    take("db", f.db, v, DT_F32);
}

static void test_vocab(void)
{
    static const int64_t shapes[][4] = {
        {1, 32, 30, 1}, {13, 32, 101, 5}, {40, 48, 700, 64}};

    for (int i = 0; i < 3; i++)
        both("vocab_loss", vocab_case, shapes[i], 1e-2);
}

/* The shadow of the weights must follow the update, put and zero. */
static void update_case(const void *arg)
{
    enum { N = 48, K = 64, T = 20, FLAT = N * K };
    struct mat w = weights(N, K, 0.2), g = weights(N, K, 1);
    struct linear f = {.x = acts(T, K, 1), .w = w, .y = acts(T, N, 0)};
    const struct param_run run = {.n = FLAT, .lr_scale = 1};
    float *zero = host(2 * FLAT, sizeof *zero);
    struct adamw a = {.p = w.p,
                      .g = g.p,
                      .run = &run,
                      .n_run = 1,
                      .lr = 0.05f,
                      .beta1 = 0.9f,
                      .beta2 = 0.999f,
                      .eps = 1e-8f,
                      .clip = 1,
                      .t = 1};
    double *sumsq = bytes(NULL, sizeof *sumsq);

    (void)arg;
    a.m = bytes(zero, FLAT * 4);
    a.v = bytes(zero, FLAT * 4);
    a.sumsq = sumsq;
    NEED(now->b->linear(now->d, &f, &now->e));
    take_mat("y before", &f.y);
    NEED(now->b->sqnorm(now->d, g.p, &run, 1, sumsq, &now->e));
    NEED(now->b->adamw(now->d, &a, &now->e));
    NEED(now->b->linear(now->d, &f, &now->e));
    take_mat("y after", &f.y);
    NEED(now->b->put(now->d, (float *)w.p + 3, numbers(100, 1), 100 * 4, &now->e));
    NEED(now->b->zero(now->d, (float *)w.p + 500, 77 * 4, &now->e));
    NEED(now->b->linear(now->d, &f, &now->e));
    take_mat("y after put", &f.y);
    take_mat("w", &w);
}

static void test_update(void)
{
    both("update", update_case, NULL, 1e-2);
}

int main(void)
{
    const struct dev_options o = {.precision = "bf16"}, fp32 = {.precision = "fp32"};
    struct err e = {0};
    int index = 0;

    gpu.b = backend_choose("cuda", &index, NULL, &e);
    if (!gpu.b) {
        printf("# %s\n", e.text);
        SKIP(all, "no device");
        return test_end();
    }
    cpu.b = backend_cpu();
    cpu.d = cpu.b->open(&fp32, &cpu.e);
    gpu.d = gpu.b->open(&o, &gpu.e);
    if (!cpu.d || !gpu.d) {
        printf("# %s%s\nnot ok 1 - open\n1..1\n", cpu.e.text, gpu.e.text);
        return 1;
    }
    cpu.act = cpu.b->activations(cpu.d);
    gpu.act = gpu.b->activations(gpu.d);
    now = &cpu;
    NEED(cpu.b->set_step(cpu.d, 77, 5, &cpu.e));
    now = &gpu;
    NEED(gpu.b->set_step(gpu.d, 77, 5, &gpu.e));
    RUN(test_linear);
    RUN(test_ffn);
    RUN(test_attn);
    RUN(test_norm);
    RUN(test_embed);
    RUN(test_rows);
    RUN(test_vocab);
    RUN(test_update);
    cpu.b->close(cpu.d);
    gpu.b->close(gpu.d);
    return test_end();
}
