/* SPDX-License-Identifier: MIT */
/* Order, split, schedules, masks, labels and checkpoints: what training rests on. */
#include "test.h"

#include "checkpoint.h"
#include "dataset.h"
#include "io.h"
#include "labels.h"
#include "mask.h"
#include "order.h"
#include "philox.h"
#include "schedule.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- order ---- */

static void order_is_a_permutation(void)
{
    static const size_t sizes[] = {0, 1, 2, 7, 1000};
    struct err e = {0};

    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t n = sizes[k];
        uint32_t *order = calloc(n + 1, sizeof *order);
        uint8_t *seen = calloc(n + 1, 1);
        size_t missing = 0, at_home = 0;

        CHECK(order_permute(42, 3, PHILOX_SITE_ORDER, n, order, &e) == 0);
        for (size_t i = 0; i < n; i++) {
            CHECK(order[i] < n);
            seen[order[i]]++;
            at_home += order[i] == i;
        }
        for (size_t i = 0; i < n; i++)
            missing += seen[i] != 1;
        CHECK(missing == 0);
        CHECK(n < 1000 || at_home < 10);
        free(order);
        free(seen);
    }
}

static void order_depends_on_all_it_should(void)
{
    uint32_t a[100], b[100];
    struct err e = {0};

    CHECK(order_permute(1, 0, PHILOX_SITE_ORDER, 100, a, &e) == 0);
    CHECK(order_permute(1, 0, PHILOX_SITE_ORDER, 100, b, &e) == 0);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(order_permute(2, 0, PHILOX_SITE_ORDER, 100, b, &e) == 0);
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK(order_permute(1, 1, PHILOX_SITE_ORDER, 100, b, &e) == 0);
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK(order_permute(1, 0, PHILOX_SITE_HELDOUT, 100, b, &e) == 0);
    CHECK(memcmp(a, b, sizeof a) != 0);
}

/* Every place gets every index about equally often. */
static void order_is_fair(void)
{
    enum { N = 8, TIMES = 8000 };
    int count[N][N] = {{0}};
    uint32_t order[N];
    struct err e = {0};

    for (uint32_t epoch = 0; epoch < TIMES; epoch++) {
        CHECK(order_permute(7, epoch, PHILOX_SITE_ORDER, N, order, &e) == 0);
        for (int i = 0; i < N; i++)
            count[i][order[i]]++;
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            CHECK_MSG(abs(count[i][j] - TIMES / N) < 160, "%d at %d: %d", j, i,
                      count[i][j]);
}

static void heldout_counts(void)
{
    static const struct {
        double percent;
        size_t n, out;
    } want[] = {
        {10, 8551, 856}, {10, 10, 1}, {10, 9, 1},  {29, 100, 29}, {71, 100, 71},
        {30, 10, 3},     {0.1, 100, 1}, {50, 3, 2}, {99, 200, 198}, {10, 0, 0},
        {33.3, 1000, 333}, {7, 100, 7}, {14, 100, 14}, {57, 100, 57},
    };

    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        CHECK_MSG(order_heldout_count(want[i].percent, want[i].n) == want[i].out,
                  "%g %% of %zu: %zu", want[i].percent, want[i].n,
                  order_heldout_count(want[i].percent, want[i].n));
}

static void heldout_is_the_end_of_a_permutation(void)
{
    enum { N = 50 };
    uint8_t held[N];
    uint32_t order[N];
    struct err e = {0};
    size_t out = 0;

    CHECK(order_heldout(9, 20, N, held, &e) == 0);
    CHECK(order_permute(9, 0, PHILOX_SITE_HELDOUT, N, order, &e) == 0);
    for (size_t i = 0; i < N; i++) {
        out += held[i];
        CHECK(held[order[i]] == (i >= 40));
    }
    CHECK(out == 10);
}

/* ---- schedules ---- */

static double factor(const char *name, const char *warmup, int64_t total, int64_t step)
{
    struct schedule s;
    struct err e = {0};

    if (schedule_init(&s, name, 2.0, warmup, total, &e))
        return NAN;
    return schedule_lr(&s, step) / 2.0;
}

/* The values are those of transformers' get_*_schedule at step - 1. */
static void schedules_are_transformers(void)
{
    static const struct {
        const char *name, *warmup;
        int64_t total, step;
        double want;
    } want[] = {
        {"linear", "0", 10, 1, 1.0},         {"linear", "0", 10, 10, 0.1},
        {"linear", "0", 10, 11, 0.0},        {"linear", "4", 10, 1, 0.0},
        {"linear", "4", 10, 3, 0.5},         {"linear", "4", 10, 5, 1.0},
        {"linear", "4", 10, 8, 0.5},         {"linear", "40%", 10, 3, 0.5},
        {"linear", "1", 10, 1, 0.0},         {"linear", "30%", 10, 4, 1.0},
        {"linear", "25%", 10, 3, 2.0 / 3},   {"constant", "0", 10, 7, 1.0},
        {"constant", "2", 10, 2, 0.5},       {"cosine", "0", 10, 1, 1.0},
        {"cosine", "0", 10, 6, 0.5},         {"cosine", "2", 10, 7, 0.5},
        {"cosine", "0", 4, 2, 0.85355339059327373}, {"poly", "0", 10, 1, 1.0},
        {"poly", "0", 10, 6, 0.500000025},   {"poly", "2", 10, 2, 0.5},
        {"poly", "0", 10, 11, 5e-8},         {"poly", "0", 10, 12, 5e-8},
        {"wsd", "0", 20, 18, 1.0},           {"wsd", "0", 20, 19, 1.0},
        {"wsd", "0", 20, 20, 0.5},           {"wsd", "5", 20, 3, 0.4},
        {"wsd", "0", 30, 29, 2.0 / 3},       {"stlr", "0", 100, 1, 1.0 / 32},
        {"stlr", "0", 100, 6, 16.5 / 32},    {"stlr", "0", 100, 11, 1.0},
        {"stlr", "0", 100, 56, 16.5 / 32},   {"stlr", "0", 3, 2, 1.0},
    };

    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const double got =
            factor(want[i].name, want[i].warmup, want[i].total, want[i].step);

        CHECK_MSG(fabs(got - want[i].want) < 1e-12,
                  "%s, warm-up %s, step %lld of %lld: %.17g", want[i].name,
                  want[i].warmup, (long long)want[i].step, (long long)want[i].total, got);
    }
}

static void schedules_refuse(void)
{
    static const char *const warmups[] = {"-1",  "x", "",    "101%",
                                          "-1%", "%", "1.5", "nan%"};
    struct schedule s;
    struct err e = {0};

    for (size_t i = 0; i < sizeof warmups / sizeof *warmups; i++) {
        CHECK_MSG(schedule_init(&s, "linear", 1, warmups[i], 10, &e) == -1, "%s",
                  warmups[i]);
        CHECK(e.code == ERR_USAGE);
        err_clear(&e);
    }
    CHECK(schedule_init(&s, "polynomial", 1, "0", 10, &e) == -1 && e.code == ERR_USAGE);
    err_clear(&e);
    CHECK(schedule_init(&s, "poly", 1e-7, "0", 10, &e) == -1 && e.code == ERR_USAGE);
}

/* ---- masks ---- */

enum { VOCAB = 1000, LONG = 20000 };

struct masking {
    struct mask mask;
    uint8_t special[VOCAB];
    uint32_t ordinary[VOCAB];
    uint32_t ids[LONG], out[LONG];
    uint8_t start[LONG];
    int32_t target[LONG];
    struct mask_text text;
};

static struct masking *masking(double prob, const char *shares, bool whole_word)
{
    struct masking *m = calloc(1, sizeof *m);
    struct err e = {0};

    if (!m || mask_init(&m->mask, 5, prob, shares, whole_word, &e))
        exit(1);
    for (uint32_t i = 0; i < 5; i++)
        m->special[i] = 1;
    for (uint32_t i = 5; i < VOCAB; i++)
        m->ordinary[i - 5] = i;
    m->mask.special = m->special;
    m->mask.ordinary = m->ordinary;
    m->mask.n_ordinary = VOCAB - 5;
    m->mask.vocab = VOCAB;
    m->mask.mask_id = 4;
    for (uint32_t i = 0; i < LONG; i++) {
        m->ids[i] = i % 50 == 0 ? 2 : 5 + i * 7 % (VOCAB - 5); /* some literal specials */
        m->start[i] = i % 3 == 0;
    }
    m->text = (struct mask_text){m->ids, m->start, LONG, 12, 0};
    return m;
}

static bool near(double got, double want, double within)
{
    return fabs(got - want) <= within;
}

static void mask_shares(void)
{
    struct masking *m = masking(0.15, "80,10,10", false);
    const size_t targets = mask_piece(&m->mask, 0, &m->text, 0, LONG, m->out, m->target);
    size_t seen = 0, masked = 0, kept = 0, replaced = 0, wrong = 0;

    for (size_t i = 0; i < LONG; i++) {
        if (m->target[i] < 0) {
            wrong += m->out[i] != m->ids[i];
            continue;
        }
        seen++;
        wrong += m->target[i] != (int32_t)m->ids[i] || m->special[m->ids[i]];
        wrong += m->out[i] != 4 && m->special[m->out[i]];
        masked += m->out[i] == 4;
        kept += m->out[i] == m->ids[i];
        replaced += m->out[i] != 4 && m->out[i] != m->ids[i];
    }
    CHECK(wrong == 0 && seen == targets);
    CHECK_MSG(near((double)seen / (LONG * 0.98), 0.15, 0.01), "%zu", seen);
    CHECK_MSG(near((double)masked / (double)seen, 0.8, 0.03), "%zu of %zu", masked, seen);
    CHECK_MSG(near((double)replaced / (double)seen, 0.1, 0.025), "%zu", replaced);
    CHECK_MSG(near((double)kept / (double)seen, 0.1, 0.025), "%zu", kept);
    free(m);
}

static void mask_everything(void)
{
    struct masking *m = masking(1, "0,0,100", false);

    CHECK(mask_piece(&m->mask, 3, &m->text, 0, LONG, m->out, m->target) ==
          LONG - LONG / 50);
    CHECK(memcmp(m->out, m->ids, sizeof m->out) == 0);
    free(m);
    m = masking(1, "100,0,0", false);
    mask_piece(&m->mask, 3, &m->text, 0, LONG, m->out, m->target);
    for (size_t i = 0; i < LONG; i++)
        CHECK(m->out[i] == (m->special[m->ids[i]] ? m->ids[i] : 4));
    free(m);
    m = masking(0, "80,10,10", false);
    CHECK(mask_piece(&m->mask, 3, &m->text, 0, LONG, NULL, NULL) == 0);
    free(m);
}

/* Masks do not depend on how a text is cut, but on epoch, record, segment and seed they
 * do. */
static void mask_depends_on_all_it_should(void)
{
    for (int whole = 0; whole < 2; whole++) {
        struct masking *m = masking(0.3, "80,10,10", whole),
                       *o = masking(0.3, "80,10,10", whole);

        mask_piece(&m->mask, 1, &m->text, 0, LONG, m->out, m->target);
        for (size_t from = 0; from < LONG; from += 37)
            mask_piece(&o->mask, 1, &o->text, from, LONG - from < 37 ? LONG - from : 37,
                       o->out + from, o->target + from);
        CHECK(memcmp(m->out, o->out, sizeof m->out) == 0);
        mask_piece(&o->mask, 2, &o->text, 0, LONG, o->out, o->target);
        CHECK(memcmp(m->out, o->out, sizeof m->out) != 0);
        o->text.record++;
        mask_piece(&o->mask, 1, &o->text, 0, LONG, o->out, o->target);
        CHECK(memcmp(m->out, o->out, sizeof m->out) != 0);
        o->text.record--;
        o->text.segment = 1;
        mask_piece(&o->mask, 1, &o->text, 0, LONG, o->out, o->target);
        CHECK(memcmp(m->out, o->out, sizeof m->out) != 0);
        o->text.segment = 0;
        o->mask.seed++;
        mask_piece(&o->mask, 1, &o->text, 0, LONG, o->out, o->target);
        CHECK(memcmp(m->out, o->out, sizeof m->out) != 0);
        free(m);
        free(o);
    }
}

static void mask_whole_words(void)
{
    struct masking *m = masking(0.3, "80,10,10", true);
    size_t words = 0;

    mask_piece(&m->mask, 1, &m->text, 0, LONG, m->out, m->target);
    for (size_t i = 0; i + 2 < LONG; i += 3) {
        int chosen = 0, possible = 0;

        for (size_t k = i; k < i + 3; k++) {
            possible += !m->special[m->ids[k]];
            chosen += m->target[k] >= 0;
        }
        CHECK(chosen == 0 || chosen == possible);
        words += chosen > 0;
    }
    CHECK(near((double)words * 3 / LONG, 0.3, 0.02));
    free(m);
}

static void mask_refuses(void)
{
    static const char *const shares[] = {
        "80,10", "80,10,10,0", "80,10,11", "-10,100,10", "",
        "a,b,c", "80,10,",     "100",      "nan,0,100",  "80 ,10,10"};
    struct mask m;
    struct err e = {0};

    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        CHECK_MSG(mask_init(&m, 0, 0.15, shares[i], false, &e) == -1, "%s", shares[i]);
        CHECK(e.code == ERR_USAGE);
        err_clear(&e);
    }
}

/* ---- labels ---- */

/* A stream with these labels (NULL: none), through a file, read back. */
static int stream_of(const char *const *labels, size_t n, struct dataset *d,
                     struct err *e)
{
    const struct toks_read_options in = {0};
    struct toks_write_options o = {.block_records = 3};
    struct toks_header h = {.tok_kind = (char *)"wordpiece", .tok_name = (char *)"t",
                            .tok_hash = (char *)"00000000000000000000000000000000",
                            .vocab_size = 100, .columns = TOKS_LABEL,
                            .provenance = (char *)"[]"};
    const uint32_t ids[3] = {7, 8, 9};
    const uint8_t start[3] = {1, 0, 1};
    const struct toks_end end = {0};
    FILE *f = tmpfile();
    struct toks_writer *w;
    struct toks_reader *r = NULL;
    int rc = -1;

    h.template = (struct template){
        .n_single = 3, .n_pair = 0, .cls = 1, .sep = 2, .pad = 0, .unk = 3, .mask = 4};
    h.template.single[0].id = 1;
    h.template.single[1].id = SEGMENT_A;
    h.template.single[2].id = 2;
    w = f ? toks_create(fileno(f), "t", &h, &o, e) : NULL;
    for (size_t i = 0; w && i < n; i++) {
        const struct toks_record rec = {
            .a = ids, .n_a = i % 4, .start_a = start, .number = i + 1, .weight = 1,
            .label = labels[i], .label_len = labels[i] ? strlen(labels[i]) : 0};

        if (toks_put(w, &rec, e))
            return -1;
    }
    if (w && toks_finish(w, &end, e) == 0 && lseek(fileno(f), 0, SEEK_SET) == 0)
        r = toks_open(dup(fileno(f)), "t", &in, e);
    if (r)
        rc = dataset_read(d, r, "t.toks", NULL, NULL, e);
    toks_reader_free(r);
    toks_writer_free(w);
    if (f)
        fclose(f);
    return rc;
}

static void dataset_random_access(void)
{
    static const char *const labels[] = {"a", "b", NULL, "d", "e", "f", "g", "h"};
    struct dataset d;
    struct err e = {0};
    struct toks_record r;

    CHECK(stream_of(labels, 8, &d, &e) == 0);
    CHECK(d.n == 8 && d.n_blocks == 3 && d.totals.records == 8);
    for (size_t k = 0; k < 16; k++) {
        const size_t i = k * 5 % 8;

        dataset_get(&d, i, &r);
        CHECK(r.number == i + 1 && r.n_a == i % 4);
        CHECK(r.n_a == 0 || (r.a[0] == 7 && r.start_a[0] == 1));
        CHECK(labels[i] ? r.label && r.label_len == 1 && r.label[0] == labels[i][0]
                        : r.label == NULL);
    }
    dataset_free(&d);
}

/* Learns labels and compares their names, joined by |. */
static bool learns(enum labels_kind kind, const char *const *in, size_t n,
                   const char *want)
{
    struct dataset d;
    struct labels l;
    struct err e = {0};
    char got[256] = "";
    size_t at = 0;

    if (stream_of(in, n, &d, &e) || labels_learn(&l, kind, &d, &e)) {
        printf("# %s\n", e.text);
        return false;
    }
    for (int i = 0; i < l.n; i++)
        at +=
            (size_t)snprintf(got + at, sizeof got - at, "%s%s", i ? "|" : "", l.name[i]);
    if (strcmp(got, want) != 0)
        printf("# got %s\n", got);
    labels_free(&l);
    dataset_free(&d);
    return strcmp(got, want) == 0;
}

static void labels_in_order(void)
{
    static const char *const integers[] = {"10", "9", "-1", "2", "0", "-10", NULL, ""};
    static const char *const mixed[] = {"10", "9", "x", "2"};
    static const char *const bytes[] = {"b", "a", "B", "\xc3\xa9", "aa"};
    static const char *const multi[] = {"b,a", "", "c", "a", NULL};
    static const char *const big[] = {"99999999999999999999", "100000000000000000000",
                                      "7"};
    static const char *const numbers[] = {"1.5", "-2e3", "0"};

    CHECK(learns(LABELS_SINGLE, integers, 8, "-10|-1|0|2|9|10"));
    CHECK(learns(LABELS_SINGLE, mixed, 4, "10|2|9|x"));
    CHECK(learns(LABELS_SINGLE, bytes, 5, "B|a|aa|b|\xc3\xa9"));
    CHECK(learns(LABELS_MULTI, multi, 5, "a|b|c"));
    CHECK(learns(LABELS_SINGLE, big, 3, "7|99999999999999999999|100000000000000000000"));
    CHECK(learns(LABELS_REGRESSION, numbers, 3, "LABEL_0"));
}

static void labels_are_read(void)
{
    static const char *const multi[] = {"b,a", "", "c", NULL};
    struct dataset d;
    struct labels l;
    struct err e = {0};
    struct toks_record r;
    int32_t class;
    float target[3];

    CHECK(stream_of(multi, 4, &d, &e) == 0 &&
          labels_learn(&l, LABELS_MULTI, &d, &e) == 0);
    CHECK(l.labelled == 3 && l.unlabelled == 1);
    dataset_get(&d, 0, &r);
    CHECK(labels_read(&l, &d, &r, &class, target, &e) == 0);
    CHECK(target[0] == 1 && target[1] == 1 && target[2] == 0);
    dataset_get(&d, 1, &r);
    CHECK(labels_has(LABELS_MULTI, &r) && !labels_has(LABELS_SINGLE, &r));
    CHECK(labels_read(&l, &d, &r, &class, target, &e) == 0);
    CHECK(target[0] == 0 && target[1] == 0 && target[2] == 0);
    r.label = "a,z";
    r.label_len = 3;
    CHECK(labels_read(&l, &d, &r, &class, target, &e) == -1);
    CHECK(e.code == ERR_DATA && strstr(e.text, "record 2") && strstr(e.text, "'z'"));
    labels_free(&l);
    dataset_free(&d);
}

static void labels_take_a_checkpoints_order(void)
{
    static const char *const in[] = {"neg", "pos", "mid"};
    char *const same[] = {(char *)"pos", (char *)"mid", (char *)"neg"};
    char *const other[] = {(char *)"pos", (char *)"mid", (char *)"bad"};
    char *const twice[] = {(char *)"pos", (char *)"mid", (char *)"pos"};
    struct dataset d;
    struct labels l;
    struct err e = {0};
    struct toks_record r;
    int32_t class = -1;

    CHECK(stream_of(in, 3, &d, &e) == 0 && labels_learn(&l, LABELS_SINGLE, &d, &e) == 0);
    CHECK(!labels_adopt_order(&l, other, 3) && !labels_adopt_order(&l, twice, 3) &&
          !labels_adopt_order(&l, same, 2));
    CHECK(strcmp(l.name[0], "mid") == 0);
    CHECK(labels_adopt_order(&l, same, 3));
    CHECK(strcmp(l.name[0], "pos") == 0 && strcmp(l.name[2], "neg") == 0);
    dataset_get(&d, 0, &r);
    CHECK(labels_read(&l, &d, &r, &class, NULL, &e) == 0 && class == 2);
    labels_free(&l);
    dataset_free(&d);
}

static void labels_refuse(void)
{
    static const struct {
        enum labels_kind kind;
        const char *in[3];
        const char *says;
    } bad[] = {
        {LABELS_SINGLE, {"a", "a", NULL}, "same label"},
        {LABELS_SINGLE, {NULL, "", NULL}, "has a label"},
        {LABELS_REGRESSION, {"1", "x", "2"}, "record 2"},
        {LABELS_REGRESSION, {"1", "2", "nan"}, "record 3"},
        {LABELS_REGRESSION, {"1", "2", "1e99"}, "record 3"},
        {LABELS_MULTI, {"a,,b", "c", "d"}, "record 1"},
        {LABELS_MULTI, {"a", "b,", "d"}, "record 2"},
        {LABELS_MULTI, {"", "", ""}, "empty"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dataset d;
        struct labels l;
        struct err e = {0};

        CHECK(stream_of(bad[i].in, 3, &d, &e) == 0);
        CHECK_MSG(labels_learn(&l, bad[i].kind, &d, &e) == -1, "case %zu", i);
        CHECK_MSG(e.code == ERR_DATA && strstr(e.text, bad[i].says), "%zu: %s", i,
                  e.text);
        labels_free(&l);
        dataset_free(&d);
    }
}

/* ---- checkpoints ---- */

static int save(const char *root, int64_t step, const char *text, int keep)
{
    struct checkpoint c;
    struct err e = {0};

    if (checkpoint_begin(&c, root, step, &e) ||
        checkpoint_put(&c, "a", text, strlen(text), &e) ||
        checkpoint_put(&c, "b", "", 0, &e) || checkpoint_commit(&c, keep, &e)) {
        printf("# %s\n", e.text);
        checkpoint_abort(&c);
        return -1;
    }
    return 0;
}

static void spoil(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    int c;

    if (!f)
        return;
    fseek(f, at, SEEK_SET);
    c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
}

static void checkpoints_fall_back(void)
{
    char dir[] = "/tmp/test_train.XXXXXX", root[64], path[128], got[8] = "";
    struct checkpoint_found f;
    struct err e = {0};

    CHECK(mkdtemp(dir) != NULL);
    snprintf(root, sizeof root, "%s/ckpt", dir);
    CHECK(checkpoint_find(&f, root, NULL, &e) == 0);
    CHECK(save(root, 5, "five", 0) == 0 && save(root, 10, "ten", 2) == 0 &&
          save(root, 9, "nine", 2) == 0);
    CHECK(checkpoint_find(&f, root, NULL, &e) == 1 && f.step == 10);
    CHECK(checkpoint_has(&f, "a") && !checkpoint_has(&f, "c"));
    CHECK(checkpoint_get(&f, "a", got, 3, &e) == 0 && strcmp(got, "ten") == 0);
    CHECK(checkpoint_get(&f, "a", got, 4, &e) == -1 && e.code == ERR_DATA);
    checkpoint_found_free(&f);
    err_clear(&e);
    snprintf(path, sizeof path, "%s/5", root);
    CHECK(!io_exists(path)); /* only the newest two stay */
    snprintf(path, sizeof path, "%s/10/a", root);
    spoil(path, 1);
    CHECK(checkpoint_find(&f, root, NULL, &e) == 1 && f.step == 9);
    checkpoint_found_free(&f);
    snprintf(path, sizeof path, "%s/9/manifest.json", root);
    CHECK(truncate(path, 20) == 0);
    CHECK(checkpoint_find(&f, root, NULL, &e) == -1 && e.code == ERR_DATA);
    err_clear(&e);
    CHECK(checkpoint_trim(root, 0, &e) == 0 && !io_exists(root));
    CHECK(rmdir(dir) == 0);
}

/* Every byte of a checkpoint counts: none can change without being noticed. */
static void checkpoints_notice_every_byte(void)
{
    static const char *const files[] = {"a", "manifest.json"};
    char dir[] = "/tmp/test_train.XXXXXX", path[128];
    struct checkpoint_found f;
    struct err e = {0};
    size_t n, silent = 0;

    CHECK(mkdtemp(dir) != NULL);
    CHECK(save(dir, 3, "some text", 2) == 0);
    for (size_t i = 0; i < 2; i++) {
        char *text;

        snprintf(path, sizeof path, "%s/3/%s", dir, files[i]);
        text = io_slurp(path, 10000, &n, &e);
        CHECK(text != NULL);
        for (long at = 0; at < (long)n; at++) {
            spoil(path, at);
            if (checkpoint_find(&f, dir, NULL, &e) == 1) {
                char got[16] = "";

                /* White space and the like in the manifest may change; the data may not.
                 */
                silent += checkpoint_get(&f, "a", got, 9, &e) == 0 &&
                          strcmp(got, "some text") != 0;
                silent += i == 0;
                checkpoint_found_free(&f);
            }
            err_clear(&e);
            spoil(path, at);
        }
        free(text);
    }
    CHECK_MSG(silent == 0, "%zu", silent);
    CHECK(io_remove_tree(dir, &e) == 0);
}

static void a_fresh_run_replaces_old_checkpoints(void)
{
    char dir[] = "/tmp/test_train.XXXXXX";
    struct checkpoint_found f;
    struct err e = {0};

    CHECK(mkdtemp(dir) != NULL);
    CHECK(save(dir, 50, "old", 2) == 0 && save(dir, 60, "old", 2) == 0);
    CHECK(save(dir, 50, "new", 0) == 0);
    CHECK(checkpoint_find(&f, dir, NULL, &e) == 1 && f.step == 50);
    checkpoint_found_free(&f);
    CHECK(io_remove_tree(dir, &e) == 0);
}

int main(void)
{
    RUN(order_is_a_permutation);
    RUN(order_depends_on_all_it_should);
    RUN(order_is_fair);
    RUN(heldout_counts);
    RUN(heldout_is_the_end_of_a_permutation);
    RUN(schedules_are_transformers);
    RUN(schedules_refuse);
    RUN(mask_shares);
    RUN(mask_everything);
    RUN(mask_depends_on_all_it_should);
    RUN(mask_whole_words);
    RUN(mask_refuses);
    RUN(dataset_random_access);
    RUN(labels_in_order);
    RUN(labels_are_read);
    RUN(labels_take_a_checkpoints_order);
    RUN(labels_refuse);
    RUN(checkpoints_fall_back);
    RUN(checkpoints_notice_every_byte);
    RUN(a_fresh_run_replaces_old_checkpoints);
    return test_end();
}
