/* SPDX-License-Identifier: MIT */
/* The model over the CPU's table: gradients, order of sums, state, checkpoints. */
#include "test.h"

#include "init.h"
#include "mem.h"
#include "model_int.h"
#include "modeldir.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEQUENCES = 5, TARGETS = 3 };

/* A model to try: a config in a directory of its own, and how it is opened. */
struct trial {
    const char *what;
    const char *family; /* model_type and its sizes, as JSON */
    enum model_head head;
    enum problem problem;
    int n_labels;
    double dropout;
    const char *more; /* JSON that is appended */
};

static char dir[256];
static char *label_names[] = {"one", "two", "three"};

static const char bert[] = "\"model_type\":\"bert\",\"type_vocab_size\":2,"
                           "\"pad_token_id\":0,\"max_position_embeddings\":11";
static const char roberta[] = "\"model_type\":\"roberta\",\"type_vocab_size\":1,"
                              "\"pad_token_id\":1,\"max_position_embeddings\":13";

static void write_file(const char *name, const char *text)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

static void write_config(const char *family, const char *more)
{
    char text[1024];

    snprintf(text, sizeof text,
             "{%s,\"vocab_size\":29,\"hidden_size\":12,\"num_hidden_layers\":2,"
             "\"num_attention_heads\":3,\"intermediate_size\":20,\"initializer_range\":0.3%s}",
             family, more ? more : "");
    write_file("config.json", text);
}

static struct model *open_trial(const struct trial *t, struct par *par, struct err *e)
{
    const bool mlm = t->head == HEAD_MLM;
    const struct model_options o = {.dir = dir,
                                    .head = t->head,
                                    .init = true,
                                    .seed = 7,
                                    .dropout = t->dropout,
                                    .problem = t->problem,
                                    .labels = mlm ? NULL : label_names,
                                    .n_labels = t->n_labels,
                                    .device = "cpu",
                                    .precision = "fp32",
                                    .par = par};

    write_config(t->family, t->more);
    return model_open(&o, NULL, e);
}

/* A small generator of its own, so that the tests do not hang on what they test. */
static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Sequences first..last-1 of a fixed set of SEQUENCES; ids 5..24, so some rows stay unused. */
static int fill(struct batch *b, const struct model *m, int first, int last, struct err *e)
{
    const bool mlm = m->head == HEAD_MLM;
    const int targets = mlm || m->config.problem == PROBLEM_SINGLE ? 0 : m->config.n_labels;

    if (batch_reserve(b, 11 * SEQUENCES, SEQUENCES, 11 * SEQUENCES, targets, e))
        return -1;
    batch_reset(b);
    for (int s = first; s < last; s++) {
        uint32_t r = (uint32_t)s * 977 + 5;
        const int n = s == 0 ? 11 : 1 + (int)(next(&r) % 11);

        for (int k = 0; k < n; k++, b->n_tok++) {
            b->ids[b->n_tok] = 5 + (int32_t)(next(&r) % 20);
            b->types[b->n_tok] = k > n / 2;
            b->positions[b->n_tok] = k;
            b->row[b->n_tok].record = (uint32_t)s;
            b->row[b->n_tok].offset = (uint32_t)k;
            if (mlm ? k % 3 == 0 : k == 0) {
                b->label[b->n_rows] = (int32_t)(next(&r) % (mlm ? 29 : m->config.n_labels));
                for (int c = 0; c < targets; c++)
                    b->target[b->n_rows * targets + c] =
                        m->config.problem == PROBLEM_MULTI ? (float)(next(&r) & 1)
                                                           : (float)(next(&r) % 100) / 50 - 1;
                b->weight[b->n_rows] = mlm ? 1 : 0.5f + 0.25f * (float)s;
                b->rows[b->n_rows++] = b->n_tok;
            }
        }
        b->cu[++b->n_seq] = b->n_tok;
        b->max_len = n > b->max_len ? n : b->max_len;
    }
    return 0;
}

static int reserve(struct model *m, bool train, struct err *e)
{
    const struct model_limits l = {.tokens = 11 * SEQUENCES,
                                   .sequences = SEQUENCES,
                                   .rows = 11 * SEQUENCES,
                                   .max_len = 11,
                                   .train = train};

    return model_reserve(m, &l, e);
}

static float *state(struct model *m, enum model_state which, struct err *e)
{
    float *p = mem_alloc(model_state_bytes(m, which) + 1, 1, "state", e);

    return p && model_state_get(m, which, p, e) == 0 ? p : NULL;
}

static const double scale = 0.21;

/* The loss of a training pass, dropout of step 3 included. */
static double loss_at(struct model *m, const struct batch *b, const float *p, struct err *e)
{
    struct loss_sum sum = {0};

    if (model_state_set(m, STATE_PARAMS, p, e) || model_gradient(m, b, scale, 3, &sum, e))
        return NAN;
    return sum.loss * scale;
}

/* ---- gradients ---- */

/* Along its gradient, and along single entries, a tensor must change the loss as it says. */
static int differences(struct model *m, const struct batch *b, const struct param *t, float *p,
                       const float *g, struct err *e)
{
    float *keep = mem_alloc((size_t)t->n, sizeof *keep, "a tensor", e);
    double norm = 0;
    int bad = keep == NULL;

    for (int64_t i = 0; i < t->n; i++)
        norm += (double)g[t->at + i] * g[t->at + i];
    norm = sqrt(norm);
    if (keep)
        memcpy(keep, p + t->at, (size_t)t->n * sizeof *keep);
    for (int trial = 0; trial < 4 && !bad; trial++) {
        const int64_t entry = t->n * (2 * trial + 1) / 8;
        const double h = trial || norm == 0 ? 4e-3 : 4e-3 / norm;
        const double said = trial ? g[t->at + entry] : norm == 0 ? 0 : norm * norm;
        double up, down;

        for (int sign = 1; sign >= -1; sign -= 2) {
            for (int64_t i = 0; i < t->n; i++) {
                const double along = trial ? i == entry : g[t->at + i];

                p[t->at + i] = (float)(keep[i] + sign * h * along);
            }
            *(sign > 0 ? &up : &down) = loss_at(m, b, p, e);
        }
        if (!(fabs((up - down) / (2 * h) - said) <= 3e-3 * fabs(said) + 3e-4 * (1 + norm))) {
            printf("# tensor %d of layer %d, trial %d: %g, but differences say %g\n", t->id,
                   t->layer, trial, said, (up - down) / (2 * h));
            bad = 1;
        }
        memcpy(p + t->at, keep, (size_t)t->n * sizeof *keep);
    }
    free(keep);
    return bad;
}

static int gradients_hold(const struct trial *trial)
{
    struct err e = {0};
    struct batch b = {0};
    struct model *m = open_trial(trial, NULL, &e);
    struct loss_sum sum = {0};
    float *p = NULL, *g = NULL;
    int bad = 1, seen = 0;

    if (!m || reserve(m, true, &e) || fill(&b, m, 0, SEQUENCES, &e) ||
        model_gradient(m, &b, scale, 3, &sum, &e))
        goto out;
    p = state(m, STATE_PARAMS, &e);
    g = mem_alloc((size_t)m->params.size, sizeof *g, "gradients", &e);
    if (!p || !g)
        goto out;
    memcpy(g, m->g, (size_t)m->params.size * sizeof *g);
    bad = 0;
    for (int i = 0; i < m->params.n && !bad; i++, seen++)
        bad = differences(m, &b, &m->params.list[i], p, g, &e);
    bad = bad || seen != m->params.n;
out:
    if (bad)
        printf("# %s: %s\n", trial->what, e.code ? e.text : "gradients are wrong");
    free(p);
    free(g);
    batch_free(&b);
    model_close(m);
    return !bad;
}

static void finite_differences(void)
{
    static const struct trial trials[] = {
        {"bert single", bert, HEAD_CLASSIFY, PROBLEM_SINGLE, 3, 0, NULL},
        {"bert single, dropout", bert, HEAD_CLASSIFY, PROBLEM_SINGLE, 2, 0.2, NULL},
        {"bert multi", bert, HEAD_CLASSIFY, PROBLEM_MULTI, 3, 0, NULL},
        {"bert regression", bert, HEAD_CLASSIFY, PROBLEM_REGRESSION, 1, 0.1, NULL},
        {"bert mlm", bert, HEAD_MLM, 0, 0, 0.2, NULL},
        {"bert mlm, tanh gelu", bert, HEAD_MLM, 0, 0, 0, ",\"hidden_act\":\"gelu_new\""},
        {"bert mlm untied", bert, HEAD_MLM, 0, 0, 0, ",\"tie_word_embeddings\":false"},
        {"roberta single", roberta, HEAD_CLASSIFY, PROBLEM_SINGLE, 3, 0, NULL},
        {"roberta multi, dropout", roberta, HEAD_CLASSIFY, PROBLEM_MULTI, 2, 0.2, NULL},
        {"roberta mlm", roberta, HEAD_MLM, 0, 0, 0, NULL},
        {"roberta mlm untied", roberta, HEAD_MLM, 0, 0, 0.1,
         ",\"tie_word_embeddings\":false"},
    };

    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        CHECK(gradients_hold(&trials[i]));
}

/* ---- the same bits ---- */

static const struct trial dropped = {"", bert, HEAD_CLASSIFY, PROBLEM_SINGLE, 3, 0.3, NULL};
static const struct trial plain = {"", bert, HEAD_CLASSIFY, PROBLEM_SINGLE, 3, 0, NULL};
static const struct trial masked = {"", roberta, HEAD_MLM, 0, 0, 0.3, NULL};

/* Parameters after `steps` updates; each step of `micro` micro-batches.  NULL on failure. */
static float *trained(const struct trial *t, int threads, int steps, int micro,
                      struct loss_sum *sum)
{
    static const struct model_update update = {.lr = 1e-2, .layer_decay = 1, .head_lr = 1, .beta1 = 0.9, .beta2 = 0.999,
                                               .eps = 1e-8, .clip = 1};
    struct err e = {0};
    struct batch b = {0};
    struct par *par = par_open(threads, &e);
    struct model *m = par ? open_trial(t, par, &e) : NULL;
    float *p = NULL;
    double norm;

    if (!m || reserve(m, true, &e))
        goto out;
    for (int step = 1; step <= steps; step++) {
        struct model_update u = update;

        u.t = step;
        for (int k = 0; k < micro; k++)
            if (fill(&b, m, SEQUENCES * k / micro, SEQUENCES * (k + 1) / micro, &e) ||
                model_gradient(m, &b, scale, (uint32_t)step, sum, &e))
                goto out;
        if (model_update(m, &u, &norm, &e))
            goto out;
    }
    p = state(m, STATE_PARAMS, &e);
out:
    if (e.code)
        printf("# %s\n", e.text);
    batch_free(&b);
    model_close(m);
    par_close(par);
    return p;
}

static int64_t floats(const struct trial *t)
{
    struct err e = {0};
    struct model *m = open_trial(t, NULL, &e);
    const int64_t n = m ? m->params.size : 0;

    model_close(m);
    return n;
}

static void threads_give_the_same_bits(void)
{
    const struct trial *all[] = {&dropped, &masked};

    for (int i = 0; i < 2; i++) {
        const size_t bytes = (size_t)floats(all[i]) * sizeof(float);
        struct loss_sum sum[3] = {{0}};
        float *p[3];

        for (int k = 0; k < 3; k++) {
            p[k] = trained(all[i], k + 1, 3, 2, &sum[k]);
            CHECK(p[k]);
        }
        CHECK(!memcmp(p[0], p[1], bytes) && !memcmp(p[0], p[2], bytes));
        CHECK(sum[0].loss == sum[1].loss && sum[0].loss == sum[2].loss);
        CHECK(sum[0].rows == sum[1].rows && sum[0].rows > 0);
        for (int k = 0; k < 3; k++)
            free(p[k]);
    }
}

/* Dropout hangs on the record of the step, not on the micro-batch it is in. */
static void micro_batches_add_up(void)
{
    const struct trial *all[] = {&plain, &dropped, &masked};

    for (int i = 0; i < 3; i++) {
        struct loss_sum whole = {0}, parts = {0};
        const int64_t n = floats(all[i]);
        float *a = trained(all[i], 1, 1, 1, &whole), *b = trained(all[i], 1, 1, 3, &parts);
        double worst = 0;

        CHECK(a && b);
        CHECK_MSG(fabs(whole.loss - parts.loss) < 1e-5, "%g %g", whole.loss, parts.loss);
        CHECK(whole.weight == parts.weight && whole.right == parts.right);
        for (int64_t k = 0; k < n; k++)
            worst = fabs((double)a[k] - b[k]) > worst ? fabs((double)a[k] - b[k]) : worst;
        /* Adam makes a full step of a gradient that is nothing but rounding. */
        CHECK_MSG(worst < 2.1e-2, "%g", worst);
        free(a);
        free(b);
    }
}

static void dropout_is_a_function_of_the_step(void)
{
    struct err e = {0};
    struct batch b = {0};
    struct loss_sum sum[4] = {{0}};
    struct model *m = open_trial(&dropped, NULL, &e);

    CHECK(m && !reserve(m, true, &e) && !fill(&b, m, 0, SEQUENCES, &e));
    CHECK(!model_gradient(m, &b, scale, 1, &sum[0], &e));
    CHECK(!model_evaluate(m, &b, NULL, &sum[3], &e));
    CHECK(!model_gradient(m, &b, scale, 1, &sum[1], &e));
    CHECK(!model_gradient(m, &b, scale, 2, &sum[2], &e));
    CHECK(sum[0].loss == sum[1].loss);
    CHECK(sum[0].loss != sum[2].loss && sum[0].loss != sum[3].loss);
    CHECK(sum[0].right == sum[1].right);
    model_close(m);

    m = open_trial(&plain, NULL, &e);
    memset(sum, 0, sizeof sum);
    CHECK(m && !reserve(m, true, &e));
    CHECK(!model_gradient(m, &b, scale, 1, &sum[0], &e));
    CHECK(!model_evaluate(m, &b, NULL, &sum[1], &e));
    CHECK_MSG(fabs(sum[0].loss - sum[1].loss) < 1e-5, "%g %g", sum[0].loss, sum[1].loss);
    CHECK(sum[0].right == sum[1].right && sum[0].weight == sum[1].weight);
    model_close(m);
    batch_free(&b);
}

/* ---- state ---- */

static void unused_words_stay_as_they_are(void)
{
    const struct model_update u = {.lr = 1e-2, .layer_decay = 1, .head_lr = 1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
                                   .clip = 1, .t = 1};
    struct err e = {0};
    struct batch b = {0};
    struct model *m = open_trial(&plain, NULL, &e);
    uint8_t *touched;
    float *before, *after, *moment;
    double norm;
    int changed = 0;

    CHECK(m && !reserve(m, true, &e) && !fill(&b, m, 0, SEQUENCES, &e));
    CHECK(model_state_bytes(m, STATE_TOUCHED) == 29);
    before = state(m, STATE_PARAMS, &e);
    CHECK(!model_gradient(m, &b, scale, 1, NULL, &e) && !model_update(m, &u, &norm, &e));
    after = state(m, STATE_PARAMS, &e);
    moment = state(m, STATE_MOMENT2, &e);
    touched = (uint8_t *)state(m, STATE_TOUCHED, &e);
    CHECK(before && after && moment && touched);
    CHECK(norm > 0);
    for (int id = 0; id < 29; id++) {
        const struct param *word = params_find(&m->params, PARAM_WORD, 0);
        const size_t at = (size_t)word->at + (size_t)id * 12;
        bool used = false, zero = true;

        for (int32_t i = 0; i < b.n_tok; i++)
            used = used || b.ids[i] == id;
        for (int k = 0; k < 12; k++)
            zero = zero && moment[at + (size_t)k] == 0;
        CHECK_MSG(touched[id] == used, "word %d", id);
        CHECK_MSG((memcmp(before + at, after + at, 12 * sizeof *after) != 0) == used,
                  "word %d", id);
        CHECK_MSG(zero == !used, "word %d", id);
        changed += used;
    }
    CHECK(changed > 3 && changed < 25);
    for (int64_t i = 0; i < m->params.size; i++)
        CHECK(m->g[i] == 0 || (i >= m->params.linear && i < m->params.linear_end));
    free(before);
    free(after);
    free(moment);
    free(touched);
    model_close(m);
    batch_free(&b);
}

/*
 * The gradients of a step are the same bits in a new model and in one that has those of a
 * step before, also where the first micro-batch has no rows to write over them.
 */
static void a_step_forgets_the_one_before(void)
{
    static const struct model_update u = {.lr = 1e-2, .layer_decay = 1, .head_lr = 1, .beta1 = 0.9, .beta2 = 0.999,
                                          .eps = 1e-8, .clip = 1, .t = 1};
    struct err e = {0};
    struct batch b = {0}, empty;
    struct model *m = open_trial(&plain, NULL, &e);
    float *p, *g;
    double norm;

    CHECK(m && !reserve(m, true, &e) && !fill(&b, m, 0, SEQUENCES, &e));
    empty = b;
    empty.n_rows = 0;
    p = state(m, STATE_PARAMS, &e);
    CHECK(p && !model_gradient(m, &b, scale, 2, NULL, &e));
    g = mem_alloc((size_t)m->params.size, sizeof *g, "gradients", &e);
    CHECK(g);
    memcpy(g, m->g, (size_t)m->params.size * sizeof *g);
    for (int with_empty = 0; with_empty < 2; with_empty++) {
        CHECK(!model_update(m, &u, &norm, &e) && !model_state_set(m, STATE_PARAMS, p, &e));
        CHECK(!with_empty || !model_gradient(m, &empty, scale, 2, NULL, &e));
        CHECK(!model_gradient(m, &b, scale, 2, NULL, &e));
        CHECK_MSG(!memcmp(g, m->g, (size_t)m->params.size * sizeof *g), "with_empty %d",
                  with_empty);
    }
    CHECK(!model_update(m, &u, &norm, &e) && norm > 0);
    CHECK(!model_update(m, &u, &norm, &e) && norm == 0);
    free(p);
    free(g);
    model_close(m);
    batch_free(&b);
}

/* Steps 1 and 2 in one go, and with everything carried over to another model in between. */
static void a_resumed_run_has_the_same_bits(void)
{
    struct model_update u = {.lr = 1e-2, .layer_decay = 1, .head_lr = 1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip = 1,
                             .weight_decay = 0.01};
    struct err e = {0};
    struct batch b = {0};
    struct model *m[2];
    float *p[2];
    double norm[2];

    for (int i = 0; i < 2; i++) {
        m[i] = open_trial(&dropped, NULL, &e);
        CHECK(m[i] && !reserve(m[i], true, &e));
    }
    CHECK(!fill(&b, m[0], 0, SEQUENCES, &e));
    u.t = 1;
    CHECK(!model_gradient(m[0], &b, scale, 1, NULL, &e) &&
          !model_update(m[0], &u, &norm[0], &e));
    for (int which = 0; which < STATE_COUNT; which++) {
        float *s = state(m[0], (enum model_state)which, &e);

        CHECK(s && !model_state_set(m[1], (enum model_state)which, s, &e));
        free(s);
    }
    u.t = 2;
    for (int i = 0; i < 2; i++) {
        CHECK(!model_gradient(m[i], &b, scale, 2, NULL, &e) &&
              !model_update(m[i], &u, &norm[i], &e));
        p[i] = state(m[i], STATE_PARAMS, &e);
        CHECK(p[i]);
    }
    CHECK(norm[0] == norm[1]);
    CHECK(!memcmp(p[0], p[1], model_state_bytes(m[0], STATE_PARAMS)));
    for (int i = 0; i < 2; i++) {
        free(p[i]);
        model_close(m[i]);
    }
    batch_free(&b);
}

/* ---- checkpoints ---- */

/* Writes a model and opens what was written, with these labels (NULL: its own). */
static struct model *saved(struct model *m, char *const *labels, int n, bool need_head,
                           struct err *e)
{
    const struct model_options o = {.dir = dir,
                                    .head = m->head,
                                    .seed = 99,
                                    .dropout = -1,
                                    .labels = labels,
                                    .n_labels = n,
                                    .need_head = need_head,
                                    .device = "cpu"};
    struct modeldir d;

    if (modeldir_begin(&d, dir, true, e) ||
        modeldir_put_model(&d, m, NULL, m->head == HEAD_MLM, e) ||
        modeldir_publish(&d, NULL, e))
        return NULL;
    modeldir_discard(&d);
    return model_open(&o, NULL, e);
}

static int evaluate(struct model *m, const struct batch *b, float *z, double *loss,
                    struct err *e)
{
    struct loss_sum sum = {0};
    const int rc = reserve(m, false, e) || model_evaluate(m, b, z, &sum, e) ? -1 : 0;

    *loss = sum.loss;
    return rc;
}

static void what_is_written_is_read(void)
{
    static const struct trial trials[] = {
        {"", bert, HEAD_CLASSIFY, PROBLEM_SINGLE, 3, 0, NULL},
        {"", roberta, HEAD_CLASSIFY, PROBLEM_MULTI, 3, 0, NULL},
        {"", bert, HEAD_MLM, 0, 0, 0, NULL},
        {"", roberta, HEAD_MLM, 0, 0, 0, ",\"tie_word_embeddings\":false"},
    };

    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        const bool mlm = trials[i].head == HEAD_MLM;
        struct err e = {0};
        struct batch b = {0};
        struct model *m = open_trial(&trials[i], NULL, &e), *again;
        float z[2][SEQUENCES * TARGETS] = {{0}};
        double loss[2];

        CHECK_MSG(m && !fill(&b, m, 0, SEQUENCES, &e), "%s", e.text);
        CHECK_MSG(!evaluate(m, &b, mlm ? NULL : z[0], &loss[0], &e), "%s", e.text);
        again = saved(m, NULL, 0, !mlm, &e);
        CHECK_MSG(again && !evaluate(again, &b, mlm ? NULL : z[1], &loss[1], &e), "%s", e.text);
        CHECK(!memcmp(z[0], z[1], sizeof z[0]) && loss[0] == loss[1] && loss[0] > 0);
        if (!mlm)
            CHECK(again->config.problem == trials[i].problem && again->config.n_labels == 3 &&
                  !strcmp(again->config.labels[2], "three"));
        model_close(again);
        model_close(m);
        batch_free(&b);
    }
}

/* The classifier's weights of label k, or NULL. */
static const float *class_row(const struct model *m, int k)
{
    return params_at(&m->params, m->p, PARAM_CLASS_W, 0) + k * m->config.hidden;
}

/* A config that promises more than the file holds is bad data, not a lack of memory. */
static void sizes_must_agree(void)
{
    struct err e = {0};
    struct model *m = open_trial(&plain, NULL, &e), *n;

    CHECK_MSG(m, "%s", e.text);
    n = saved(m, NULL, 0, true, &e);
    CHECK_MSG(n, "%s", e.text);
    model_close(n);
    write_file("config.json", "{\"model_type\":\"bert\",\"vocab_size\":60000000,"
                              "\"hidden_size\":1000000,\"num_attention_heads\":1}");
    n = model_open(&(struct model_options){.dir = dir, .dropout = -1}, NULL, &e);
    CHECK_MSG(!n && e.code == ERR_DATA && strstr(e.text, "29 x 12"), "%s", e.text);
    err_clear(&e);
    write_config(bert, ",\"num_hidden_layers\":3"); /* the key twice */
    n = model_open(&(struct model_options){.dir = dir, .dropout = -1}, NULL, &e);
    CHECK_MSG(!n && e.code == ERR_DATA, "%s", e.text);
    err_clear(&e);
    write_file("config.json",
               "{\"model_type\":\"bert\",\"vocab_size\":29,\"hidden_size\":12,"
               "\"num_attention_heads\":3,\"intermediate_size\":20,"
               "\"max_position_embeddings\":11,\"num_hidden_layers\":3}");
    n = model_open(&(struct model_options){.dir = dir, .dropout = -1}, NULL, &e);
    CHECK_MSG(!n && e.code == ERR_DATA && strstr(e.text, "bert.encoder.layer.2."), "%s",
              e.text);
    model_close(m);
}

static void heads_are_kept_or_new(void)
{
    static char *turned[] = {"three", "one", "two"}, *others[] = {"one", "two", "four"};
    struct err e = {0};
    struct model *m = open_trial(&plain, NULL, &e), *n;
    const size_t bytes = 12 * sizeof(float);

    CHECK_MSG(m, "%s", e.text);
    n = saved(m, turned, 3, false, &e);
    CHECK_MSG(n && !memcmp(class_row(n, 0), class_row(m, 2), bytes) &&
                  !memcmp(class_row(n, 2), class_row(m, 1), bytes), "%s", e.text);
    CHECK(!strcmp(n->config.labels[0], "three"));
    model_close(n);
    n = saved(m, others, 3, false, &e);
    CHECK_MSG(n && memcmp(class_row(n, 0), class_row(m, 0), bytes), "%s", e.text);
    CHECK(!memcmp(params_at(&n->params, n->p, PARAM_DENSE_W, 0),
                  params_at(&m->params, m->p, PARAM_DENSE_W, 0), bytes)); /* the pooler stays */
    model_close(n);
    n = saved(m, others, 2, false, &e);
    CHECK_MSG(n && n->config.n_labels == 2, "%s", e.text);
    model_close(n);
    CHECK(!config_set_labels(&m->config, PROBLEM_SINGLE,
                             (char *[]){"LABEL_0", "LABEL_1", "LABEL_2"}, 3, &e));
    n = saved(m, others, 3, false, &e);
    CHECK_MSG(n && !memcmp(class_row(n, 1), class_row(m, 1), bytes), "%s", e.text);
    CHECK(!strcmp(n->config.labels[2], "four"));
    model_close(n);
    model_close(m);

    m = open_trial(&masked, NULL, &e); /* a masked LM has no classifier */
    CHECK(m);
    m->head = HEAD_MLM;
    n = saved(m, NULL, 0, true, &e);
    CHECK_MSG(n, "%s", e.text);
    model_close(n);
    n = model_open(&(struct model_options){.dir = dir, .need_head = true, .dropout = -1},
                   NULL, &e);
    CHECK(!n && e.code == ERR_DATA && strstr(e.text, "head"));
    model_close(m);
}

/* ---- what must be refused ---- */

static void bad_ids_are_refused(void)
{
    struct err e = {0};
    struct batch b = {0};
    struct model *m = open_trial(&plain, NULL, &e);

    CHECK(m && !reserve(m, true, &e) && !fill(&b, m, 0, SEQUENCES, &e));
    b.ids[3] = 29;
    CHECK(model_evaluate(m, &b, NULL, NULL, &e) && e.code == ERR_DATA &&
          strstr(e.text, "record 1 "));
    err_clear(&e);
    b.ids[3] = -1;
    CHECK(model_gradient(m, &b, 1, 1, NULL, &e) && e.code == ERR_DATA);
    err_clear(&e);
    b.ids[3] = 28;
    b.positions[3] = 11;
    CHECK(model_evaluate(m, &b, NULL, NULL, &e) && e.code == ERR_DATA);
    err_clear(&e);
    b.positions[3] = 3;
    b.types[3] = 2;
    CHECK(model_evaluate(m, &b, NULL, NULL, &e) && e.code == ERR_DATA);
    err_clear(&e);
    b.types[3] = 1;
    b.label[1] = 3;
    CHECK(model_gradient(m, &b, 1, 1, NULL, &e) && e.code == ERR_DATA &&
          strstr(e.text, "record 2 "));
    err_clear(&e);
    b.label[1] = -1;
    CHECK(model_gradient(m, &b, 1, 1, NULL, &e) && e.code == ERR_DATA);
    err_clear(&e);
    CHECK_MSG(!model_evaluate(m, &b, NULL, NULL, &e), "%s", e.text);
    model_close(m);
    batch_free(&b);
}

static void rows_without_gold_do_not_count(void)
{
    struct err e = {0};
    struct batch b = {0};
    struct loss_sum all = {0}, some = {0};
    struct model *m = open_trial(&plain, NULL, &e);
    float z[SEQUENCES * TARGETS];

    CHECK(m && !reserve(m, false, &e) && !fill(&b, m, 0, SEQUENCES, &e));
    CHECK(!model_evaluate(m, &b, z, &all, &e));
    b.label[2] = -1;
    CHECK(!model_evaluate(m, &b, z, &some, &e));
    CHECK(all.rows == SEQUENCES && some.rows == SEQUENCES - 1 && some.weight < all.weight);
    CHECK(some.loss < all.loss);
    model_close(m);
    batch_free(&b);
}

static int config_code(const char *text)
{
    struct err e = {0};
    struct config c;

    write_file("config.json", text);
    if (config_load(&c, dir, &e) == 0)
        config_free(&c);
    return e.code;
}

static void configs(void)
{
    struct err e = {0};
    struct config c;

    CHECK(config_code("{\"model_type\":\"bert\",\"vocab_size\":5}") == 0);
    CHECK(config_code("{\"model_type\":\"roberta\",\"vocab_size\":5,\"num_labels\":3}") == 0);
    CHECK(config_load(&c, dir, &e) == 0);
    CHECK(c.n_labels == 3 && c.labels_generic && c.pad_id == 1 && c.problem == PROBLEM_SINGLE);
    CHECK(config_max_len(&c) == 510 && c.tied && c.act == ACT_GELU);
    config_free(&c);
    CHECK(config_code("") == ERR_DATA);
    CHECK(config_code("[1]") == ERR_DATA);
    CHECK(config_code("{\"model_type\":\"bert\"}") == ERR_DATA);
    CHECK(config_code("{\"model_type\":\"gpt2\",\"vocab_size\":5}") == ERR_DATA);
    CHECK(config_code("{\"model_type\":\"bert\",\"vocab_size\":-5}") == ERR_DATA);
    CHECK(config_code("{\"model_type\":\"bert\",\"vocab_size\":1e30}") == ERR_DATA);
    CHECK(config_code("{\"model_type\":\"bert\",\"vocab_size\":5,\"hidden_size\":70,"
                      "\"num_attention_heads\":12}") == ERR_DATA);
    CHECK(config_code("{\"model_type\":\"bert\",\"vocab_size\":5,"
                      "\"id2label\":{\"0\":\"a\",\"2\":\"b\"}}") == ERR_DATA);
    CHECK(config_code("{\"model_type\":\"bert\",\"vocab_size\":5,"
                      "\"hidden_dropout_prob\":2}") == ERR_DATA);
    CHECK(config_code("{\"model_type\":\"bert\",\"vocab_size\":5,"
                      "\"position_embedding_type\":\"relative_key\"}") == ERR_DATA);
    CHECK(config_load(&c, "/nonexistent", &e) && e.code == ERR_NOINPUT);
}

static void random_weights_have_the_same_bits_everywhere(void)
{
    static const double known[][2] = {{0.5, 0}, {0.975, 1.9599639845400545},
                                      {1e-4, -3.7190164854556804}, {1e-9, -5.9978070150076865},
                                      {0.9999999, 5.1993375821928165}};
    float a[1001];
    double sum = 0, squares = 0;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        CHECK_MSG(fabs(init_quantile(known[i][0]) - known[i][1]) < 1e-6, "%g",
                  init_quantile(known[i][0]));
    init_normal(a, 1001, 42, 3, 1);
    for (int i = 0; i < 1001; i++) {
        sum += a[i];
        squares += (double)a[i] * a[i];
    }
    CHECK(fabs(sum / 1001) < 0.1 && fabs(squares / 1001 - 1) < 0.15);
    CHECK_MSG(a[0] == 0x1.1014aap+0f && a[1000] == -0x1.1823ap-1f, "%a %a", a[0], a[1000]);
}

static void memory_is_accounted(void)
{
    struct err e = {0};
    struct model *m = open_trial(&plain, NULL, &e);
    struct model_limits l = {.tokens = 55, .sequences = 5, .rows = 5, .max_len = 11};
    size_t inference, training;

    CHECK(m);
    inference = model_bytes(m, &l);
    l.train = true;
    training = model_bytes(m, &l);
    CHECK(inference > (size_t)model_parameters(m) * 4);
    CHECK(training > inference + (size_t)model_parameters(m) * 12);
    l.tokens = INT64_MAX / 2;
    CHECK(model_bytes(m, &l) == SIZE_MAX);
    CHECK(model_reserve(m, &l, &e) && e.code == ERR_INTERNAL);
    model_close(m);
}

static void remove_dir(void)
{
    char command[300];

    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0)
        printf("# cannot remove %s\n", dir);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(dir, sizeof dir, "%s/test_model.XXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return 1;
    RUN(finite_differences);
    RUN(threads_give_the_same_bits);
    RUN(micro_batches_add_up);
    RUN(dropout_is_a_function_of_the_step);
    RUN(a_step_forgets_the_one_before);
    RUN(unused_words_stay_as_they_are);
    RUN(a_resumed_run_has_the_same_bits);
    RUN(what_is_written_is_read);
    RUN(sizes_must_agree);
    RUN(heads_are_kept_or_new);
    RUN(bad_ids_are_refused);
    RUN(rows_without_gold_do_not_count);
    RUN(configs);
    RUN(random_weights_have_the_same_bits_everywhere);
    RUN(memory_is_accounted);
    remove_dir();
    return test_end();
}
