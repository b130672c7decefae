/* SPDX-License-Identifier: MIT */
/*
 * The op table: norms, dropout, embeddings, rows, against naive references in
 * double, their backward passes against finite differences, and all of it bit
 * by bit with 1, 2 and 3 threads.
 */
#include "ops_rig.h"

/* ---- norms, dropout, embeddings ---- */

enum { SITE = 3 };

struct norm_case {
    struct places at;
    int64_t h;
    float p, eps;
    double *x, *residual, *gamma, *beta, *r, *sum, *y;
};

static double norm_value(const void *ctx)
{
    const struct norm_case *c = ctx;

    for (int64_t i = 0; i < c->at.t; i++) {
        for (int64_t j = 0; j < c->h; j++)
            c->sum[i * c->h + j] =
                c->x[i * c->h + j] * ref_drop(c->p, SITE, c->at.row[i], (uint32_t)j) +
                (c->residual ? c->residual[i * c->h + j] : 0);
        ref_norm(c->sum + i * c->h, c->gamma, c->beta, (double)c->eps, c->y + i * c->h,
                 c->h);
    }
    return ref_dot(c->y, c->r, c->at.t * c->h);
}

static void norm_one(const struct lengths *l, int64_t h, float p, bool residual)
{
    struct norm_case c = {.at = rig_places(l), .h = h, .p = p, .eps = 1e-5f};
    const struct seqs seqs = rig_seqs(&c.at);
    const int64_t t = c.at.t;
    struct add_norm f = {.eps = c.eps, .drop = rig_drop(p, SITE, seqs.row)};
    struct add_norm_bwd b = {.fwd = &f};
    double *dgamma = rig_input(h, 0.1), *dbeta = rig_input(h, 0.1);

    c.x = rig_input(t * h, 2);
    c.residual = residual ? rig_input(t * h, 2) : NULL;
    c.gamma = rig_input(h, 2);
    c.beta = rig_input(h, 1);
    c.r = rig_input(t * h, 1);
    c.sum = rig_doubles(t * h);
    c.y = rig_doubles(t * h);
    f.x = rig_mat(c.x, t, h);
    if (residual)
        f.residual = rig_mat(c.residual, t, h);
    f.gamma = rig_floats(c.gamma, h);
    f.beta = rig_floats(c.beta, h);
    f.y = rig_mat(NULL, t, h);
    f.stats = rig_floats(NULL, 2 * t);
    NEED(rig->b->add_norm(rig->d, &f, &rig->e));
    norm_value(&c);
    rig_check("x", f.x.p, c.sum, t * h);
    rig_check("y", f.y.p, c.y, t * h);
    b.dy = rig_mat(c.r, t, h);
    b.dresidual = b.dy; /* as the encoder does it */
    b.dx = p > 0 ? rig_mat(NULL, t, h) : b.dy;
    b.dgamma = rig_floats(dgamma, h);
    b.dbeta = rig_floats(dbeta, h);
    NEED(rig->b->add_norm_bwd(rig->d, &b, &rig->e));
    rig_gradient("dx", b.dx.p, NULL, c.x, t * h, norm_value, &c);
    if (residual)
        rig_gradient("dresidual", b.dresidual.p, NULL, c.residual, t * h, norm_value, &c);
    rig_gradient("dgamma", b.dgamma, dgamma, c.gamma, h, norm_value, &c);
    rig_gradient("dbeta", b.dbeta, dbeta, c.beta, h, norm_value, &c);
    rig_reset();
}

static const struct lengths row_shapes[] = {
    {1, {1}}, {2, {5, 8}}, {3, {33, 1, 40}}, {0, {0}}};
enum { ROW_SHAPES = sizeof row_shapes / sizeof *row_shapes };

static void test_add_norm(void)
{
    static const int64_t widths[] = {5, 32, 70, 600};

    for (size_t i = 0; i < ROW_SHAPES; i++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (int k = 0; k < 4; k++)
                norm_one(&row_shapes[i], widths[w], k & 1 ? 0.3f : 0, k & 2);
}

static void test_dropout(void)
{
    static const int64_t widths[] = {1, 6, 64, 1030};

    for (size_t i = 0; i < ROW_SHAPES; i++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            const struct places at = rig_places(&row_shapes[i]);
            const struct seqs seqs = rig_seqs(&at);
            const struct drop drop = rig_drop(0.4f, SITE, seqs.row), none = {0};
            const int64_t n = at.t * widths[w];
            double *x = rig_input(n, 1), *y = rig_doubles(n);
            const struct mat mx = rig_mat(x, at.t, widths[w]);
            const struct mat my = rig_mat(NULL, at.t, widths[w]);

            for (int64_t k = 0; k < n; k++)
                y[k] = x[k] * ref_drop(0.4f, SITE, at.row[k / widths[w]],
                                       (uint32_t)(k % widths[w]));
            NEED(rig->b->dropout(rig->d, &none, mx, my, &rig->e));
            rig_check("copy", my.p, x, n);
            NEED(rig->b->dropout(rig->d, &drop, mx, my, &rig->e));
            rig_check("y", my.p, y, n);
            NEED(rig->b->dropout(rig->d, &drop, mx, mx, &rig->e));
            rig_check("in place", mx.p, y, n);
            rig_reset();
        }
    }
}

struct embed_case {
    struct places at;
    int64_t h;
    float p, eps;
    int32_t *ids, *positions, *types;
    double *word, *pos, *type, *gamma, *beta, *r, *sum, *y;
};

static double embed_value(const void *ctx)
{
    const struct embed_case *c = ctx;

    for (int64_t i = 0; i < c->at.t; i++) {
        double *y = c->y + i * c->h;

        for (int64_t j = 0; j < c->h; j++)
            c->sum[j] = c->word[c->ids[i] * c->h + j] +
                        c->pos[c->positions[i] * c->h + j] +
                        (c->type ? c->type[c->types[i] * c->h + j] : 0);
        ref_norm(c->sum, c->gamma, c->beta, (double)c->eps, y, c->h);
        for (int64_t j = 0; j < c->h; j++)
            y[j] *= ref_drop(c->p, SITE, c->at.row[i], (uint32_t)j);
    }
    return ref_dot(c->y, c->r, c->at.t * c->h);
}

enum { WORDS = 12, PLACES = 50, TYPES = 2 };

static void embed_inputs(struct embed_case *c)
{
    const int64_t t = c->at.t;
    int32_t *ids = rig_host(3 * (size_t)t + 1, sizeof *ids);

    c->ids = ids;
    c->positions = ids + t;
    c->types = ids + 2 * t;
    for (int64_t i = 0; i < t; i++) {
        c->ids[i] =
            (int32_t)(i * i % (WORDS - 1)); /* many of them twice; the last never */
        c->positions[i] = (int32_t)c->at.row[i].offset;
        c->types[i] = (int32_t)(i % TYPES);
    }
    c->gamma = rig_input(c->h, 2);
    c->beta = rig_input(c->h, 1);
    c->word = rig_input(WORDS * c->h, 1);
    c->pos = rig_input(PLACES * c->h, 1);
    c->r = rig_input(t * c->h, 1);
    c->sum = rig_doubles(c->h);
    c->y = rig_doubles(t * c->h);
}

static void embed_one(const struct lengths *l, int64_t h, float p, bool type)
{
    struct embed_case c = {.at = rig_places(l), .h = h, .p = p, .eps = 1e-5f};
    const int64_t t = c.at.t;
    struct embed f = {.seqs = rig_seqs(&c.at), .eps = c.eps};
    struct embed_bwd b = {.fwd = &f};
    double *dword = rig_input(WORDS * h, 0.1), *dpos = rig_input(PLACES * h, 0.1);
    double *dtype = rig_input(TYPES * h, 0.1), *dgamma = rig_input(h, 0.1);
    double *dbeta = rig_input(h, 0.1);
    uint8_t touched[WORDS] = {0};

    embed_inputs(&c);
    c.type = type ? rig_input(TYPES * h, 1) : NULL;
    f.ids = rig_bytes(c.ids, (size_t)t * sizeof *c.ids);
    f.positions = rig_bytes(c.positions, (size_t)t * sizeof *c.ids);
    f.types = rig_bytes(c.types, (size_t)t * sizeof *c.ids);
    f.word = rig_mat(c.word, WORDS, h);
    f.pos = rig_mat(c.pos, PLACES, h);
    if (type)
        f.type = rig_mat(c.type, TYPES, h);
    f.gamma = rig_floats(c.gamma, h);
    f.beta = rig_floats(c.beta, h);
    f.drop = rig_drop(p, SITE, f.seqs.row);
    f.y = rig_mat(NULL, t, h);
    f.stats = rig_floats(NULL, 2 * t);
    NEED(rig->b->embed(rig->d, &f, &rig->e));
    embed_value(&c);
    rig_check("y", f.y.p, c.y, t * h);
    b.dy = rig_mat(c.r, t, h);
    b.dword = rig_mat(dword, WORDS, h);
    b.dpos = rig_mat(dpos, PLACES, h);
    if (type)
        b.dtype = rig_mat(dtype, TYPES, h);
    b.dgamma = rig_floats(dgamma, h);
    b.dbeta = rig_floats(dbeta, h);
    b.touched = rig_bytes(touched, sizeof touched);
    NEED(rig->b->embed_bwd(rig->d, &b, &rig->e));
    rig_gradient("dword", b.dword.p, dword, c.word, WORDS * h, embed_value, &c);
    rig_gradient("dpos", b.dpos.p, dpos, c.pos, PLACES * h, embed_value, &c);
    if (type)
        rig_gradient("dtype", b.dtype.p, dtype, c.type, TYPES * h, embed_value, &c);
    rig_gradient("dgamma", b.dgamma, dgamma, c.gamma, h, embed_value, &c);
    rig_gradient("dbeta", b.dbeta, dbeta, c.beta, h, embed_value, &c);
    NEED(rig->b->get(rig->d, touched, b.touched, sizeof touched, &rig->e));
    for (int i = 0; i < WORDS; i++) {
        bool used = false;

        for (int64_t k = 0; k < t; k++)
            used |= c.ids[k] == i;
        CHECK_MSG(touched[i] == used, "word %d", i);
    }
    rig_reset();
}

static void test_embed(void)
{
    static const int64_t widths[] = {5, 64, 150};

    for (size_t i = 0; i < ROW_SHAPES; i++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (int k = 0; k < 4; k++)
                embed_one(&row_shapes[i], widths[w], k & 1 ? 0.3f : 0, k & 2);
}

static void test_rows(void)
{
    enum { T = 90, H = 37, R = 40 };
    double *x = rig_input(T * H, 1), *y = rig_doubles(R * H);
    int32_t row[R];
    struct mat mx = rig_mat(x, T, H), my = rig_mat(NULL, R, H);
    const int32_t *device;

    for (int i = 0; i < R; i++) {
        row[i] = (i * 7 + 3) % T;
        memcpy(y + i * H, x + row[i] * H, H * sizeof *y);
    }
    device = rig_bytes(row, sizeof row);
    NEED(rig->b->rows_get(rig->d, mx, device, my, &rig->e));
    rig_check("rows_get", my.p, y, R * H);
    NEED(rig->b->rows_add(rig->d, mx, device, my, &rig->e));
    for (int i = 0; i < R; i++)
        for (int j = 0; j < H; j++)
            x[row[i] * H + j] += y[i * H + j];
    rig_check("rows_add", mx.p, x, T * H);
    rig_reset();
}

static void suite(void)
{
    RUN(test_add_norm);
    RUN(test_dropout);
    RUN(test_embed);
    RUN(test_rows);
}

int main(void)
{
    rig_run(suite);
    return test_end();
}
