/* SPDX-License-Identifier: MIT */
/* The slots between the ids and the head on the GPU against the CPU; see gpu_rig.h. */
#include "gpu_rig.h"

/* ---- products ---- */

struct linear_shape {
    int64_t t, n, k;
    enum activation act;
    bool fp32; /* y, as the logits */
    bool set;  /* dw is written over */
};

static void linear_case(const void *arg)
{
    const struct linear_shape *s = arg;
    struct linear f = {.act = s->act};
    struct linear_bwd b = {.fwd = &f, .dx_add = !s->fp32, .dw_set = s->set};

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
    b.db = vector(s->n, s->set ? 0 : 1);
    b.db_zero = s->set;
    NEED(now->b->linear_bwd(now->d, &b, &now->e));
    take_mat("dx", &b.dx);
    take_mat("dw", &b.dw);
    take("db", b.db, s->n, DT_F32);
}

static void test_linear(void)
{
    static const struct linear_shape shapes[] = {
        {1, 64, 32, ACT_NONE, false, false},   {37, 96, 64, ACT_GELU, false, false},
        {130, 64, 48, ACT_TANH, false, true},  {19, 5, 21, ACT_NONE, false, false},
        {9, 2, 64, ACT_NONE, true, false},     {33, 21, 64, ACT_NONE, true, true},
        {70, 64, 64, ACT_GELU_TANH, false, true},
        /* large from here on: BERT-base and -large, CoLA and 512 tokens, the vocabulary */
        {363, 2304, 768, ACT_NONE, false, true}, {2048, 768, 768, ACT_TANH, false, false},
        {1031, 1024, 1024, ACT_GELU, false, true}, {77, 30522, 768, ACT_NONE, true, false},
        {1, 768, 768, ACT_TANH, false, true},
    };
    const size_t n = large_shapes() ? sizeof shapes / sizeof *shapes : 7;

    for (size_t i = 0; i < n; i++)
        both("linear", linear_case, &shapes[i], 1e-2);
}

static void ffn_case(const void *arg)
{
    const int64_t *s = arg, t = s[0], h = s[1], i = s[2];
    struct ffn f = {.act = ACT_GELU};
    struct ffn_bwd b = {.fwd = &f, .dw_set = t % 2 == 1, .db_zero = t % 2 == 1};

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
    b.db1 = vector(i, b.db_zero ? 0 : 1);
    b.db2 = vector(h, b.db_zero ? 0 : 1);
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
    static const int64_t shapes[][3] = {{1, 32, 64}, {45, 64, 128}, {33, 40, 72},
                                        {1, 768, 3072}, {363, 768, 3072}, {2048, 1024, 4096}};

    for (int i = 0; i < (large_shapes() ? 6 : 3); i++)
        both("ffn", ffn_case, shapes[i], 1e-2);
}

/* ---- sequences ---- */

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
                     .drop = dropped(s->p, seqs.row)};
    struct attn_bwd b = {.fwd = &f};

    f.qkv = acts(t, 3 * h, 2);
    f.y = acts(t, h, 0);
    f.lse = bytes(NULL, (size_t)(s->heads * t) * 4);
    NEED(now->b->attn(now->d, &f, &now->e));
    take_mat("y", &f.y);
    take("lse", f.lse, s->heads * t, DT_F32);
    b.dy = acts(t, h, 1);
    b.dqkv = acts(t, 3 * h, 0);
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
        {3, {64, 65, 130}}, {2, {0, 200}},  {3, {62, 61, 64}},     {4, {40, 7, 0, 0}},
        {4, {33, 31, 0, 32}}, {2, {14, 29}}, {2, {127, 129}},
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

/*
 * As long as the models are, as BERT-base and -large have them, and longer than any.
 */
static void test_long_attn(void)
{
    static const struct lengths longest = {2, {2, 515}};
    const struct attn_shape narrow = {&longest, 1, 32, 0.25f};
    static const struct lengths shapes[] = {
        {6, {512, 11, 512, 1, 300, 512}}, {6, {9, 11, 7, 64, 5, 30}}, {3, {2048, 0, 2049}},
    };
    static const int64_t heads[] = {12, 16, 4};

    both("attn of 515", attn_case, &narrow, 1.5e-2);
    for (size_t i = 0; large_shapes() && i < sizeof shapes / sizeof *shapes; i++) {
        for (int p = 0; p < 2; p++) {
            const struct attn_shape s = {&shapes[i], heads[i], 64, p ? 0.1f : 0};
            char name[MAX_NAME];

            snprintf(name, sizeof name, "long attn %zu, p %g", i, (double)s.p);
            both(name, attn_case, &s, 1.5e-2);
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
    struct add_norm f = {.eps = 1e-5f, .drop = dropped(s->p, seqs.row)};
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
    struct embed f = {.seqs = seqs, .eps = 1e-5f, .drop = dropped(s->p, seqs.row)};
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

static const struct lengths row_lengths[] = {
    {1, {1}}, {2, {5, 8}}, {3, {133, 1, 150}}, {6, {512, 512, 1, 512, 300, 212}}};
static const int64_t row_widths[] = {5, 64, 300, 768};

static void each_row_shape(const char *name, void (*one)(const void *))
{
    for (int i = 0; i < (large_shapes() ? 4 : 3); i++) {
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

/* With the gradients of biases from the products (gemm.cuh). */
static void test_bias_sums(void)
{
    const struct dev_options o = {.precision = gpu.act == DT_BF16 ? "bf16" : "fp32"};
    struct dev *usual = gpu.d;

    setenv("BERTUTILS_BIAS_SUMS", "1", 1);
    gpu.d = gpu.b->open(&o, &gpu.e);
    unsetenv("BERTUTILS_BIAS_SUMS");
    CHECK_MSG(gpu.d != NULL, "%s", gpu.e.text);
    if (gpu.d) {
        test_linear();
        test_ffn();
        gpu.b->close(gpu.d);
    }
    gpu.d = usual;
}

static void suite(void)
{
    RUN(test_linear);
    RUN(test_ffn);
    RUN(test_bias_sums);
    RUN(test_attn);
    RUN(test_long_attn);
    RUN(test_norm);
    RUN(test_embed);
    RUN(test_rows);
}

int main(void)
{
    return gpu_main(suite);
}
