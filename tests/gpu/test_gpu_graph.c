/* SPDX-License-Identifier: MIT */
/*
 * Training as recorded steps: the same bytes as without records, and, in fp32, the CPU's
 * numbers.
 *
 * A record that had something of its step in it would repeat that: so the rate, the weights of
 * the loss, the keys of dropout and the batches all change from step to step, while their
 * sizes come again.  Two micro-batches make a step, and are collected one behind.
 */
#include "model_rig.h"
#include "par.h"

#include <math.h>

enum { WORDS = 61, LONGEST = 20, SEQUENCES = 6, STEPS = 13, MOST_TOKENS = 1000 };

struct trial {
    const char *what;
    bool mlm;
    enum problem problem;
    const char *family;
    double dropout, decay;
};

static const char bert[] = "\"model_type\":\"bert\",\"type_vocab_size\":2,"
                           "\"pad_token_id\":0,\"max_position_embeddings\":44";
static const char roberta[] = "\"model_type\":\"roberta\",\"type_vocab_size\":1,"
                              "\"pad_token_id\":1,\"max_position_embeddings\":46";
static const struct trial trials[] = {
    {"one of three classes", false, PROBLEM_SINGLE, bert, 0.1, 0},
    {"several of three classes", false, PROBLEM_MULTI, roberta, 0.1, 0.1},
    {"masked words", true, PROBLEM_SINGLE, roberta, 0.1, 0.01},
};

static char *label_names[] = {"one", "two", "three"};
static uint32_t state;

static int next(int n)
{
    state = state * 1664525u + 1013904223u;
    return (int)((state >> 8) % (uint32_t)n);
}

/* What a run leaves behind. */
struct outcome {
    float *p;
    size_t bytes;
    double loss[STEPS], norm[STEPS];
    int64_t right;
    struct dev_count count;
};

static int write_config(const struct trial *t)
{
    return put_config("{%s,\"vocab_size\":%d,\"hidden_size\":64,\"num_hidden_layers\":2,"
                      "\"num_attention_heads\":2,\"intermediate_size\":96,"
                      "\"initializer_range\":0.1}", t->family, WORDS);
}

/*
 * A batch of so many sequences, each up to `longest`.  Some words come in no batch at all.
 * A masked one without rows happens as well: its update comes alone.
 */
static int fill(struct batch *b, const struct trial *t, int sequences, int longest,
                struct err *e)
{
    const int targets = t->problem == PROBLEM_MULTI ? 3 : 0;

    if (batch_reserve(b, MOST_TOKENS, SEQUENCES, MOST_TOKENS, targets, e))
        return -1;
    batch_reset(b);
    for (int s = 0; s < sequences; s++) {
        const int n = s == 0 ? longest : 1 + next(longest);

        for (int k = 0; k < n; k++, b->n_tok++) {
            b->ids[b->n_tok] = 5 + next(WORDS - 15);
            b->types[b->n_tok] = k > n / 2;
            b->positions[b->n_tok] = k;
            b->row[b->n_tok] = (struct row_id){(uint32_t)s, (uint32_t)k};
            if (t->mlm ? longest > 1 && next(6) == 0 : k == 0) {
                b->label[b->n_rows] = next(t->mlm ? WORDS : 3);
                for (int c = 0; c < targets; c++)
                    b->target[b->n_rows * targets + c] = (float)next(2);
                b->weight[b->n_rows] = t->mlm ? 1 : 0.5f + 0.25f * (float)s;
                b->rows[b->n_rows++] = b->n_tok;
            }
        }
        b->cu[++b->n_seq] = b->n_tok;
        b->max_len = n > b->max_len ? n : b->max_len;
    }
    return 0;
}

static int collect(struct model *m, struct outcome *o, int part, struct err *e)
{
    struct loss_sum sum = {0};
    int rc = model_collect(m, &sum, &o->norm[part / 2], e);

    o->loss[part / 2] += sum.loss;
    o->right += sum.right;
    return rc;
}

/* Batches of two kinds of sizes, in turn. */
static int train(struct model *m, const struct trial *t, struct outcome *o, struct err *e)
{
    static const int sequences[] = {SEQUENCES, 3}, longest[] = {9, LONGEST};
    struct batch b = {0};
    int rc = 0, collected = 0;

    state = 17;
    for (int part = 0; rc == 0 && part < 2 * STEPS; part++) {
        const int step = part / 2 + 1, kind = part == 11 ? -1 : step % 2;
        const struct model_update u = {.lr = 2e-2 / step, .layer_decay = 1, .head_lr = 1, .beta1 = 0.9, .beta2 = 0.999,
                                       .eps = 1e-8, .clip = 0.5, .weight_decay = t->decay,
                                       .t = step};
        const struct model_part p = {.step = (uint32_t)step,
                                     .scale = 1.0 / (10 + step),
                                     .update = part % 2 ? &u : NULL};

        rc = kind < 0 ? fill(&b, t, 1, 1, e) : fill(&b, t, sequences[kind], longest[kind], e);
        while (rc == 0 && part - collected >= model_slots(m))
            rc = collect(m, o, collected++, e);
        rc = rc || model_submit(m, &b, &p, e);
    }
    while (rc == 0 && collected < 2 * STEPS)
        rc = collect(m, o, collected++, e);
    batch_free(&b);
    return rc;
}

static int finish(struct model *m, struct outcome *o, struct err *e)
{
    o->bytes = model_state_bytes(m, STATE_PARAMS);
    o->p = malloc(o->bytes + 1);
    model_count(m, &o->count);
    return !o->p || model_state_get(m, STATE_PARAMS, o->p, e);
}

/* Trains on a device with so many records at most (text; NULL: as usual). */
static int run(const struct trial *t, const char *device, const char *precision,
               const char *graphs, struct outcome *o)
{
    struct err e = {0};
    const struct model_options options = {.dir = dir,
                                          .head = t->mlm ? HEAD_MLM : HEAD_CLASSIFY,
                                          .init = true,
                                          .seed = 7,
                                          .dropout = t->dropout,
                                          .problem = t->problem,
                                          .labels = t->mlm ? NULL : label_names,
                                          .n_labels = 3,
                                          .device = device,
                                          .precision = precision};
    const struct model_limits limits = {.tokens = SEQUENCES * LONGEST, .rows = SEQUENCES * LONGEST,
                                        .sequences = SEQUENCES, .max_len = LONGEST,
                                        .train = true};
    struct model *m;
    size_t before = 0;
    int rc;

    memset(o, 0, sizeof *o);
    if (graphs)
        setenv("BERTUTILS_GRAPHS", graphs, 1);
    else
        unsetenv("BERTUTILS_GRAPHS");
    m = write_config(t) ? NULL : model_open(&options, NULL, &e);
    rc = !m || model_reserve(m, &limits, &e);
    if (rc == 0)
        before = model_bytes(m, &limits);
    rc = rc || train(m, t, o, &e) || finish(m, o, &e);
    if (rc == 0 && model_bytes(m, &limits) != before)
        rc = err_set(&e, ERR_INTERNAL, "more memory than was announced");
    if (rc)
        printf("# %s, %s: %s\n", t->what, precision, e.text);
    model_close(m);
    return rc;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->bytes == b->bytes && memcmp(a->p, b->p, a->bytes) == 0 &&
           memcmp(a->loss, b->loss, sizeof a->loss) == 0 &&
           memcmp(a->norm, b->norm, sizeof a->norm) == 0 && a->right == b->right;
}

static void records_change_nothing(void)
{
    static const char *const precisions[] = {"fp32", "bf16"};

    for (int i = 0; i < 3; i++) {
        for (int p = 0; p < 2; p++) {
            struct outcome eager, usual, few;

            CHECK(run(&trials[i], "cuda", precisions[p], "0", &eager) == 0);
            CHECK(run(&trials[i], "cuda", precisions[p], NULL, &usual) == 0);
            /* So few that records push each other out. */
            CHECK(run(&trials[i], "cuda", precisions[p], "5", &few) == 0);
            printf("# %s, %s: %ld replays of %ld records, %ld kB; %ld products without cuBLASLt\n",
                   trials[i].what, precisions[p], (long)usual.count.replays,
                   (long)usual.count.records, (long)(usual.count.record_bytes >> 10),
                   (long)usual.count.plain);
            CHECK_MSG(eager.count.replays == 0 && usual.count.replays >= 6 &&
                          few.count.replays > 0,
                      "%ld, %ld and %ld replays", (long)eager.count.replays,
                      (long)usual.count.replays, (long)few.count.replays);
            CHECK_MSG(same(&eager, &usual) && same(&eager, &few), "%s, %s",
                      trials[i].what, precisions[p]);
            free(eager.p);
            free(usual.p);
            free(few.p);
        }
    }
}

/* What cannot be recorded is done without; only the emulator knows how to fail. */
static void a_failed_record_is_no_error(void)
{
    struct outcome eager, failed;

    CHECK(run(&trials[0], "cuda", "bf16", "0", &eager) == 0);
    setenv("EMU_NO_CAPTURE", "1", 1);
    CHECK(run(&trials[0], "cuda", "bf16", NULL, &failed) == 0);
    unsetenv("EMU_NO_CAPTURE");
    CHECK(same(&eager, &failed));
    free(eager.p);
    free(failed.p);
}

/* Padding, and what is collected late, against the CPU, which has neither. */
static void numbers_are_the_cpus(void)
{
    for (int i = 0; i < 3; i++) {
        struct outcome cpu, gpu;
        double miss = 0, size = 0;

        CHECK(run(&trials[i], "cpu", "fp32", NULL, &cpu) == 0);
        CHECK(run(&trials[i], "cuda", "fp32", NULL, &gpu) == 0);
        for (size_t k = 0; cpu.p && gpu.p && k < cpu.bytes / sizeof *cpu.p; k++) {
            miss += ((double)cpu.p[k] - gpu.p[k]) * ((double)cpu.p[k] - gpu.p[k]);
            size += (double)cpu.p[k] * cpu.p[k];
        }
        CHECK_MSG(sqrt(miss) < 2e-3 * sqrt(size), "%s: weights are off by %.2g",
                  trials[i].what, sqrt(miss / size));
        for (int s = 0; s < STEPS; s++) {
            CHECK_MSG(fabs(cpu.loss[s] - gpu.loss[s]) <= 1e-3 * fabs(cpu.loss[s]),
                      "%s: loss %g, not %g", trials[i].what, gpu.loss[s], cpu.loss[s]);
            CHECK_MSG(fabs(cpu.norm[s] - gpu.norm[s]) <= 3e-3 * fabs(cpu.norm[s]),
                      "%s: norm %g, not %g", trials[i].what, gpu.norm[s], cpu.norm[s]);
        }
        CHECK_MSG(cpu.right == gpu.right, "%ld rows are right, not %ld", (long)gpu.right,
                  (long)cpu.right);
        free(cpu.p);
        free(gpu.p);
    }
}

static void suite(void)
{
    RUN(records_change_nothing);
    RUN(a_failed_record_is_no_error);
    RUN(numbers_are_the_cpus);
}

int main(void)
{
    return model_main(suite);
}
