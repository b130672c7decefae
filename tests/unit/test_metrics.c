/* SPDX-License-Identifier: MIT */
/* Score files and metrics, against definitions worked out the slow way. */
#include "metrics.h"
#include "report.h"
#include "scores.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const ab[] = {"a", "b"};
static const char *const abc[] = {"a", "b", "c"};

/* A temporary file that vanishes; its name is in `path`. */
static int temp_file(char path[64])
{
    strcpy(path, "/tmp/test_metrics.XXXXXX");
    return mkstemp(path);
}

/* What a file holds; the file is removed. */
static char *take(int fd, const char *path)
{
    static char text[1 << 20];
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);

    close(fd);
    unlink(path);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Reads a file of scores that holds `text`. */
static int read_text(const char *text, int kind, struct scores *s, struct err *e)
{
    char path[64];
    const int fd = temp_file(path);
    int rc = -1;

    *e = (struct err){0};
    if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
        rc = scores_read(path, kind, s, e);
    close(fd);
    unlink(path);
    return rc;
}

/* ---- the writer ---- */

static void writer_single(void)
{
    const struct scores_format f = {.kind = SCORES_SINGLE, .labels = abc, .n_labels = 3};
    const float first[] = {0, 0, 0}, second[] = {-1, 3.5f, 1000};
    struct scores_writer w;
    struct err e = {0};
    char path[64];
    const int fd = temp_file(path);

    CHECK(fd >= 0);
    CHECK(scores_begin(&w, fd, path, &f, &e) == 0);
    CHECK(scores_row(&w, "1", 1, "b", 1, first, &e) == 0);
    CHECK(scores_row(&w, "k 2", 3, NULL, 0, second, &e) == 0);
    CHECK(scores_flush(&w, &e) == 0);
    CHECK(lseek(fd, 0, SEEK_END) == (off_t)strlen("key\tgold\tpred\tp:a\tp:b\tp:c\n"
                                                  "1\tb\ta\t0.333333333\t0.333333333\t0."
                                                  "333333333\n"));
    CHECK(scores_end(&w, &e) == 0);
    CHECK(strcmp(take(fd, path), "key\tgold\tpred\tp:a\tp:b\tp:c\n"
                                 "1\tb\ta\t0.333333333\t0.333333333\t0.333333333\n"
                                 "k 2\t\tc\t0\t0\t1\n") == 0);
}

static void writer_multi(void)
{
    const double thresholds[] = {0.5, 0.9};
    struct scores_format f = {.kind = SCORES_MULTI, .labels = ab, .n_labels = 2};
    const float none[] = {0, -2}, both[] = {1, 1.5f};
    struct scores_writer w;
    struct err e = {0};
    char path[64];
    int fd = temp_file(path);

    CHECK(scores_begin(&w, fd, path, &f, &e) == 0);
    CHECK(scores_row(&w, "1", 1, "a,b", 3, none, &e) == 0);
    CHECK(scores_row(&w, "2", 1, "", 0, both, &e) == 0);
    CHECK(scores_end(&w, &e) == 0);
    CHECK(strcmp(take(fd, path), "key\tgold\tpred\tp:a\tp:b\n1\ta,b\t\t0.5\t0.119202922\n"
                                 "2\t\ta,b\t0.731058579\t0.817574476\n") == 0);
    fd = temp_file(path);
    f.thresholds = thresholds;
    f.logits = true;
    CHECK(scores_begin(&w, fd, path, &f, &e) == 0);
    CHECK(scores_row(&w, "2", 1, NULL, 0, both, &e) == 0);
    CHECK(scores_end(&w, &e) == 0);
    CHECK(strcmp(take(fd, path), "key\tgold\tpred\tz:a\tz:b\n2\t\ta\t1\t1.5\n") == 0);
}

static void writer_regression(void)
{
    const struct scores_format f = {
        .kind = SCORES_REGRESSION, .logits = true, .n_labels = 1};
    const float x[] = {0.1f};
    struct scores_writer w;
    struct err e = {0};
    char path[64];
    const int fd = temp_file(path);

    CHECK(scores_begin(&w, fd, path, &f, &e) == 0);
    CHECK(scores_row(&w, "1", 1, "0.25", 4, x, &e) == 0);
    CHECK(scores_end(&w, &e) == 0);
    CHECK(strcmp(take(fd, path), "key\tgold\tpred\tz:value\n1\t0.25\t0.100000001\t0."
                                 "100000001\n") == 0);
}

static void writer_aborts(void)
{
    const struct scores_format f = {.kind = SCORES_SINGLE, .labels = ab, .n_labels = 2};
    const float x[] = {1, 2};
    struct scores_writer w;
    struct err e = {0};
    char path[64], *text;
    const int fd = temp_file(path);
    size_t lines = 0;

    CHECK(scores_begin(&w, fd, path, &f, &e) == 0);
    for (int i = 0; i < 10000; i++)
        CHECK(scores_row(&w, "key", 3, "a", 1, x, &e) == 0);
    scores_abort(&w);
    text = take(fd, path);
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    /* Whole lines, and not all of them. */
    CHECK(lines > 1000 && lines < 10001 && text[strlen(text) - 1] == '\n');
}

static void writer_refuses(void)
{
    const char *const bad[][2] = {{"a", "a"}, {"a", ""}, {"a", "b\tc"}, {"a", "b\n"}};
    const char *const comma[] = {"a", "b,c"};
    struct scores_format f = {.kind = SCORES_SINGLE, .n_labels = 2};
    const float x[] = {1, 2}, nan[] = {1, NAN}, inf[] = {INFINITY, 0};
    struct scores_writer w;
    struct err e = {0};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f.labels = bad[i];
        err_clear(&e);
        CHECK(scores_begin(&w, -1, "none", &f, &e) == -1 && e.code == ERR_DATA);
        scores_abort(&w);
    }
    f.labels = comma;
    f.kind = SCORES_MULTI;
    err_clear(&e);
    CHECK(scores_begin(&w, -1, "none", &f, &e) == -1 && e.code == ERR_DATA);
    f.labels = ab;
    f.kind = SCORES_SINGLE;
    err_clear(&e);
    CHECK(scores_begin(&w, -1, "none", &f, &e) == 0);
    CHECK(scores_row(&w, "a\tb", 3, NULL, 0, x, &e) == -1 && e.code == ERR_DATA);
    err_clear(&e);
    CHECK(scores_row(&w, "a", 1, "b\r", 2, x, &e) == -1 && e.code == ERR_DATA);
    err_clear(&e);
    CHECK(scores_row(&w, "a", 1, NULL, 0, nan, &e) == -1 && e.code == ERR_RUN);
    err_clear(&e);
    CHECK(scores_row(&w, "a", 1, NULL, 0, inf, &e) == -1 && e.code == ERR_RUN);
    err_clear(&e);
    CHECK(scores_row(&w, "a", 1, NULL, 0, x, &e) == 0);
    CHECK(scores_end(&w, &e) == -1 && e.code == ERR_IO); /* fd -1 */
}

/* ---- the reader ---- */

static void reads_back(void)
{
    const struct scores_format f = {.kind = SCORES_SINGLE, .labels = abc, .n_labels = 3};
    struct scores_writer w;
    struct scores s;
    struct err e = {0};
    char path[64];
    const int fd = temp_file(path);

    CHECK(scores_begin(&w, fd, path, &f, &e) == 0);
    for (int i = 0; i < 5000; i++) {
        const float x[] = {(float)(i % 7), (float)(i % 5), (float)(i % 3)};
        char key[16];
        const int n = snprintf(key, sizeof key, "%d", i);

        CHECK(scores_row(&w, key, (size_t)n, i % 10 ? abc[i % 3] : NULL, 1, x, &e) == 0);
    }
    CHECK(scores_end(&w, &e) == 0);
    CHECK_MSG(scores_read(path, SCORES_ANY, &s, &e) == 0, "%s", e.text);
    take(fd, path);
    CHECK(s.kind == SCORES_SINGLE && s.n == 4500 && s.skipped == 500 && s.n_labels == 3);
    for (size_t r = 0; r < s.n; r++) {
        const size_t i = r + r / 9 + 1; /* row r of those with gold */
        const double z[] = {(double)(i % 7), (double)(i % 5), (double)(i % 3)};
        double p[3];

        scores_softmax(z, 3, p);
        CHECK(s.gold[r] == (int32_t)(i % 3));
        for (int k = 0; k < 3; k++) {
            CHECK(fabs(s.p[3 * r + (size_t)k] - p[k]) < 1e-9);
            CHECK(p[s.pred[r]] >= p[k]);
        }
    }
    scores_free(&s);
}

/* Numbers as strtod reads them, in all their spellings. */
static void reads_numbers(void)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "0.1",
                                       "+2.5",
                                       ".5",
                                       "5.",
                                       "1e3",
                                       "1E-3",
                                       "123456789.123456789",
                                       "0.123456789",
                                       "1.23456789e-05",
                                       "9007199254740993",
                                       "1e22",
                                       "1e23",
                                       "1e-22",
                                       "8.5e-23",
                                       "4.9406564584124654e-324",
                                       "1e-400",
                                       "1.7976931348623157e308",
                                       "00000000000000000000000000000000000001.50",
                                       "0.30000000000000004",
                                       "123456789012345678901234567890",
                                       "0."
                                       "00000000000000000000000000000123456789012345678"
                                       "9"};
    static const char *const bad[] = {"",      " 1",  "1 ",    "nan", "inf", "-inf",
                                      "0x10",  "1e",  "1e+",   ".",   "-",   "+.e1",
                                      "1e999", "--1", "1.2.3", "1,5", "e5",  "1e5.0"};
    struct scores s;
    struct err e;
    char text[256];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "key\tgold\tpred\n1\t0\t%s\n", good[i]);
        CHECK_MSG(read_text(text, SCORES_ANY, &s, &e) == 0, "%s: %s", good[i], e.text);
        CHECK_MSG(s.pred_value[0] == strtod(good[i], NULL), "%s: %.17g", good[i],
                  s.pred_value[0]);
        scores_free(&s);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "key\tgold\tpred\n1\t0\t%s\n", bad[i]);
        CHECK_MSG(read_text(text, SCORES_ANY, &s, &e) == -1 && e.code == ERR_DATA, "%s",
                  bad[i]);
        CHECK_MSG(strstr(e.text, ":2: "), "%s", e.text);
    }
}

static void finds_the_kind(void)
{
    static const struct {
        const char *text;
        int kind;
    } files[] = {
        {"key\tgold\tpred\n1\t0.5\t1\n", SCORES_REGRESSION},
        {"key\tgold\tpred\tz:value\n1\t0.5\t1\t1\n", SCORES_REGRESSION},
        {"key\tgold\tpred\tp:a\tp:b\n1\ta\tb\t0.4\t0.6\n", SCORES_SINGLE},
        {"key\tgold\tpred\tp:a\tp:a,b\n1\ta,b\ta\t0.6\t0.4\n", SCORES_SINGLE},
        {"key\tgold\tpred\tz:a\tz:b\n1\ta\tb\t-3\t5\n", SCORES_SINGLE},
        {"key\tgold\tpred\tp:a\tp:b\n1\ta\tb\t0.1\t0.6\n", SCORES_MULTI},
        {"key\tgold\tpred\tp:a\tp:b\n1\ta,b\tb\t0.4\t0.6\n", SCORES_MULTI},
        {"key\tgold\tpred\tz:a\tz:b\n1\ta\t\t-3\t-5\n", SCORES_MULTI},
        {"key\tgold\tpred\tp:a\n1\ta\ta\t0.9\n", SCORES_MULTI},
    };
    struct scores s;
    struct err e;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        CHECK_MSG(read_text(files[i].text, SCORES_ANY, &s, &e) == 0, "%s", e.text);
        CHECK_MSG((int)s.kind == files[i].kind, "file %zu", i);
        scores_free(&s);
    }
    CHECK(read_text(files[2].text, SCORES_MULTI, &s, &e) == 0);
    CHECK(s.gold_set[0] == 1 && s.gold_set[1] == 0 && s.pred_set[0] == 0 &&
          s.pred_set[1] == 1);
    scores_free(&s);
    CHECK(read_text(files[6].text, SCORES_SINGLE, &s, &e) == -1 && e.code == ERR_DATA);
    CHECK(read_text(files[0].text, SCORES_SINGLE, &s, &e) == -1 && e.code == ERR_DATA);
    CHECK(read_text(files[2].text, SCORES_REGRESSION, &s, &e) == -1 &&
          e.code == ERR_DATA);
}

/* Every prefix of a file is refused, but for those that end with a line. */
static void cut_anywhere(void)
{
    static const char whole[] = "key\tgold\tpred\tp:a\tp:b\n1\ta\tb\t0.4\t0."
                                "6\n2\tb\tb\t0\t1\n";
    struct scores s;
    struct err e;
    char text[sizeof whole];

    for (size_t n = 0; n < sizeof whole - 1; n++) {
        memcpy(text, whole, n);
        text[n] = '\0';
        if (n > 0 && whole[n - 1] == '\n') {
            CHECK(read_text(text, SCORES_ANY, &s, &e) == 0);
            scores_free(&s);
            continue;
        }
        CHECK(read_text(text, SCORES_ANY, &s, &e) == -1);
        CHECK_MSG(e.code == (n == 0 ? ERR_NOINPUT : ERR_DATA), "%zu: %s", n, e.text);
    }
}

/* ---- metrics ---- */

/* Words in a row from one number, enough to make test data. */
static uint32_t next_word(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* R_K as Gorodkin writes it, with the sums over triples of classes. */
static double slow_mcc(const uint64_t *c, int k)
{
    double cov = 0, pred = 0, gold = 0;

    for (int a = 0; a < k; a++) {
        double row = 0, row_rest = 0, column = 0, column_rest = 0;

        for (int l = 0; l < k; l++) {
            row += (double)c[a * k + l];
            column += (double)c[l * k + a];
            for (int o = 0; o < k; o++) {
                cov += (double)c[a * k + a] * (double)c[l * k + o] -
                       (double)c[a * k + l] * (double)c[o * k + a];
                if (l != a) {
                    row_rest += (double)c[l * k + o];
                    column_rest += (double)c[o * k + l];
                }
            }
        }
        gold += row * row_rest;
        pred += column * column_rest;
    }
    return gold * pred == 0 ? 0 : cov / sqrt(gold) / sqrt(pred);
}

static void mcc_of_matrices(void)
{
    uint64_t state = 1, c[25];

    for (int i = 0; i < 500; i++) {
        const int k = 2 + i % 4;

        for (int j = 0; j < k * k; j++)
            c[j] = next_word(&state) % 3 ? next_word(&state) % 100 : 0;
        CHECK_MSG(fabs(metrics_mcc(c, (size_t)k) - slow_mcc(c, k)) < 1e-12, "%d", i);
    }
    memset(c, 0, sizeof c);
    c[0] = 5;
    CHECK(metrics_mcc(c, 2) == 0); /* one class alone */
    c[3] = 5;
    CHECK(metrics_mcc(c, 2) == 1);
}

static void auc_of_pairs(void)
{
    uint64_t state = 2;

    for (int round = 0; round < 200; round++) {
        double pos[40], neg[40], room[40], right = 0;
        const size_t n_pos = 1 + next_word(&state) % 40,
                     n_neg = 1 + next_word(&state) % 40;
        const uint32_t grain = round % 2 ? 5 : 1u << 30;

        for (size_t i = 0; i < n_pos; i++)
            pos[i] = next_word(&state) % grain / (double)grain;
        for (size_t i = 0; i < n_neg; i++)
            neg[i] = -0.0 + next_word(&state) % grain / (double)grain * 0.8;
        for (size_t i = 0; i < n_pos; i++)
            for (size_t j = 0; j < n_neg; j++)
                right += pos[i] > neg[j] ? 1 : pos[i] == neg[j] ? 0.5 : 0;
        CHECK(fabs(metrics_auc(pos, n_pos, neg, n_neg, room) -
                   right / (double)(n_pos * n_neg)) < 1e-14);
    }
    CHECK(isnan(metrics_auc(NULL, 0, NULL, 0, NULL)));
}

static void edges_of_bins(void)
{
    /* 0.2 and 0.6 are edges, and belong below them; 0 and 1 have no lower neighbour. */
    struct metrics_bin bins[METRICS_BINS];
    struct scores s;
    struct err e;

    CHECK(read_text("key\tgold\tpred\tp:a\tp:b\tp:c\n1\ta\ta\t0.6\t0.2\t0.2\n"
                    "2\ta\ta\t0.600000001\t0.2\t0.2\n3\tb\ta\t1\t0\t0\n",
                    SCORES_ANY, &s, &e) == 0);
    metrics_calibration(&s, bins);
    CHECK(bins[8].n == 1 && bins[9].n == 1 && bins[14].n == 1);
    CHECK(bins[8].confidence == 0.6 && bins[8].accuracy == 1 && bins[14].accuracy == 0);
    scores_free(&s);
}

/* A model that has diverged: no trap, and nothing that looks like a value. */
static void diverged(void)
{
    int32_t gold[] = {0, 1, 1}, pred[] = {0, 0, 1};
    double p[] = {NAN, NAN, 0.5, 0.5, NAN, 0.2};
    const struct scores s = {
        .kind = SCORES_SINGLE, .n_labels = 2, .n = 3, .gold = gold, .pred = pred, .p = p};
    struct metrics m;
    struct err e = {0};

    CHECK(metrics_compute(&s, &m, &e) == 0);
    CHECK(isnan(m.value[METRIC_LOG_LOSS]) && isnan(m.value[METRIC_BRIER]));
    CHECK(m.value[METRIC_MCC] == 0.5);
    metrics_free(&m);
}

static void spearman_of_ties(void)
{
    const double x[] = {1, 2, 2, 3}, y[] = {1, 3, 2, 4}, same[] = {7, 7, 7, 7};
    struct err e = {0};
    double r;

    CHECK(metrics_spearman(x, y, 4, &r, &e) == 0);
    CHECK(fabs(r - 0.9486832980505138) < 1e-15); /* scipy.stats.spearmanr */
    CHECK(metrics_spearman(x, same, 4, &r, &e) == 0 && isnan(r));
}

/* ---- bootstrap ---- */

static void binomial_moments(void)
{
    static const struct {
        uint64_t n;
        double p;
    } of[] = {{1, 0.5},     {20, 0.03},     {1000, 0.004},       {50, 0.4},
              {1000, 0.73}, {1000000, 0.2}, {1000000000000, 0.5}};
    enum { DRAWS = 20000 };

    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        const double mean = (double)of[i].n * of[i].p,
                     spread = sqrt(mean * (1 - of[i].p));
        struct metrics_random r;
        double sum = 0, squares = 0;

        metrics_random_start(&r, 42, i);
        for (int d = 0; d < DRAWS; d++) {
            const uint64_t k = metrics_binomial(&r, of[i].n, of[i].p);
            const double off = ((double)k - mean) / spread;

            CHECK(k <= of[i].n);
            sum += off;
            squares += off * off;
        }
        /* Five standard errors of a mean of 0 and a variance of 1. */
        CHECK_MSG(fabs(sum / DRAWS) < 5 / sqrt(DRAWS), "%zu: mean %g", i, sum / DRAWS);
        CHECK_MSG(fabs(squares / DRAWS - 1) < 0.08, "%zu: variance %g", i,
                  squares / DRAWS);
    }
}

/* Chi-squared of the rejection sampler's draws against the distribution itself. */
static void binomial_shape(void)
{
    enum { N = 60, DRAWS = 200000 };
    const double p = 0.3;
    struct metrics_random r;
    double seen[N + 1] = {0}, chi = 0;
    int cells = 0;

    metrics_random_start(&r, 1, 0);
    for (int d = 0; d < DRAWS; d++)
        seen[metrics_binomial(&r, N, p)]++;
    for (int k = 0; k <= N; k++) {
        const double expected =
            DRAWS * exp(lgamma(N + 1.0) - lgamma(k + 1.0) - lgamma(N - k + 1.0) +
                        k * log(p) + (N - k) * log(1 - p));

        if (expected < 10)
            continue;
        chi += (seen[k] - expected) * (seen[k] - expected) / expected;
        cells++;
    }
    CHECK_MSG(chi < cells + 5 * sqrt(2.0 * cells), "chi squared %g of %d", chi, cells);
}

static void mcnemar_values(void)
{
    /* scipy.stats.binomtest(b, b + c).pvalue */
    CHECK(metrics_mcnemar(0, 0) == 1);
    CHECK(metrics_mcnemar(5, 5) == 1);
    CHECK(fabs(metrics_mcnemar(0, 1) - 1) < 1e-12);
    CHECK(fabs(metrics_mcnemar(0, 5) - 0.0625) < 1e-12);
    CHECK(fabs(metrics_mcnemar(20, 30) - 0.20263875106454066) < 1e-12);
    CHECK(fabs(metrics_mcnemar(30, 20) - 0.20263875106454066) < 1e-12);
    CHECK(fabs(metrics_mcnemar(1000, 1100) - 0.03072070786424249) < 1e-9);
}

/* A file of n rows of which 80 % are right. */
static int make_scores(struct scores *s, size_t n, uint64_t *state, struct err *e)
{
    struct buf text = {0};
    int rc = buf_puts(&text, "key\tgold\tpred\tp:a\tp:b\n", e);

    for (size_t i = 0; i < n && !rc; i++) {
        const int gold = next_word(state) % 3 == 0, right = next_word(state) % 5 != 0;
        const int pred = right ? gold : !gold;

        rc = buf_addf(&text, e, "%zu\t%s\t%s\t0.%d\t0.%d\n", i, ab[gold], ab[pred],
                      pred ? 3 : 7, pred ? 7 : 3);
    }
    rc = rc || read_text(text.data, SCORES_ANY, s, e);
    buf_free(&text);
    return rc ? -1 : 0;
}

/* The interval holds the truth about as often as it says. */
static void intervals_cover(void)
{
    uint64_t state = 3;
    int inside = 0;

    for (int i = 0; i < 200; i++) {
        struct metrics_interval interval[METRIC_COUNT];
        struct scores s;
        struct err e = {0};

        CHECK(make_scores(&s, 300, &state, &e) == 0);
        CHECK(metrics_bootstrap(&s, 400, (uint64_t)i, true, interval, &e) == 0);
        inside +=
            interval[METRIC_ACCURACY].low <= 0.8 && interval[METRIC_ACCURACY].high >= 0.8;
        CHECK(isnan(interval[METRIC_AUC].low));
        scores_free(&s);
    }
    CHECK_MSG(inside >= 180 && inside < 200, "%d of 200", inside);
}

/* Cells and rows are two ways to the same distribution. */
static void cells_are_rows(void)
{
    struct metrics_interval interval[METRIC_COUNT], again[METRIC_COUNT];
    struct scores s;
    struct metrics m;
    struct err e = {0};
    uint64_t state = 4;

    CHECK(make_scores(&s, 400, &state, &e) == 0);
    CHECK(metrics_compute(&s, &m, &e) == 0);
    CHECK(metrics_bootstrap(&s, 2000, 42, false, interval, &e) == 0);
    CHECK(metrics_bootstrap(&s, 2000, 42, false, again, &e) == 0);
    CHECK(memcmp(interval, again, sizeof interval) == 0);
    CHECK(metrics_bootstrap(&s, 2000, 43, false, again, &e) == 0);
    CHECK(memcmp(interval, again, sizeof interval) != 0);
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (!metrics_boot_has(i, SCORES_SINGLE))
            continue;
        CHECK_MSG(interval[i].low < m.value[i] && m.value[i] < interval[i].high, "%s",
                  metric_name(i));
    }
    /*
     * Here log loss is a line in accuracy: its interval came from rows, accuracy's from
     * cells.
     */
    CHECK(fabs((interval[METRIC_LOG_LOSS].high - interval[METRIC_LOG_LOSS].low) /
                   log(0.7 / 0.3) -
               (interval[METRIC_ACCURACY].high - interval[METRIC_ACCURACY].low)) < 0.008);
    metrics_free(&m);
    scores_free(&s);
}

static void compares_two(void)
{
    static const char one[] = "key\tgold\tpred\tp:a\tp:b\n1\ta\ta\t1\t0\n2\tb\ta\t1\t0\n"
                              "3\tb\tb\t0\t1\n";
    static const char two[] = "key\tgold\tpred\tp:a\tp:b\n1\ta\ta\t1\t0\n2\tb\tb\t0\t1\n"
                              "3\tb\tb\t0\t1\n";
    static const char *const other[] = {
        "key\tgold\tpred\tp:a\tp:b\n1\ta\ta\t1\t0\n2\tb\tb\t0\t1\n",
        "key\tgold\tpred\tp:a\tp:b\n1\ta\ta\t1\t0\n2\ta\tb\t0\t1\n3\tb\tb\t0\t1\n",
        "key\tgold\tpred\tp:a\tp:b\n1\ta\ta\t1\t0\n9\tb\tb\t0\t1\n3\tb\tb\t0\t1\n",
        "key\tgold\tpred\tp:b\tp:a\n1\ta\ta\t0\t1\n2\tb\tb\t1\t0\n3\tb\tb\t1\t0\n",
        "key\tgold\tpred\tp:a\tp:b\tp:c\n1\ta\ta\t1\t0\t0\n",
    };
    struct scores a, b;
    struct metrics_paired p;
    struct err e;

    CHECK(read_text(one, SCORES_ANY, &a, &e) == 0 &&
          read_text(two, SCORES_ANY, &b, &e) == 0);
    CHECK(metrics_compare(&a, &b, 200, 42, &p, &e) == 0);
    CHECK(p.both == 2 && p.only_a == 0 && p.only_b == 1 && p.neither == 0);
    CHECK(p.p_mcnemar == 1 && p.b[METRIC_MCC] == 1 && p.a[METRIC_MCC] == 0.5);
    CHECK(p.interval[METRIC_ACCURACY].low == 0 && p.interval[METRIC_ACCURACY].high > 0);
    scores_free(&b);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        CHECK(read_text(other[i], SCORES_ANY, &b, &e) == 0);
        CHECK(metrics_compare(&a, &b, 0, 42, &p, &e) == -1 && e.code == ERR_DATA);
        scores_free(&b);
    }
    scores_free(&a);
}

static void shortest_numbers(void)
{
    static const double x[] = {0.1, 1.0 / 3, 0.5773502691896258, 1, 0, -2.5e-300, 1e22};
    static const char *const text[] = {
        "0.1",  "0.3333333333333333", "0.5773502691896258", "1", "0", "-2.5e-300",
        "1e+22"};
    struct buf out = {0};
    struct err e = {0};

    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        buf_reset(&out);
        CHECK(report_number(x[i], &out, &e) == 0);
        CHECK_MSG(strcmp(out.data, text[i]) == 0, "%s", out.data);
    }
    buf_free(&out);
}

int main(void)
{
    RUN(writer_single);
    RUN(writer_multi);
    RUN(writer_regression);
    RUN(writer_aborts);
    RUN(writer_refuses);
    RUN(reads_back);
    RUN(reads_numbers);
    RUN(finds_the_kind);
    RUN(cut_anywhere);
    RUN(mcc_of_matrices);
    RUN(auc_of_pairs);
    RUN(edges_of_bins);
    RUN(diverged);
    RUN(spearman_of_ties);
    RUN(binomial_moments);
    RUN(binomial_shape);
    RUN(mcnemar_values);
    RUN(intervals_cover);
    RUN(cells_are_rows);
    RUN(compares_two);
    RUN(shortest_numbers);
    return test_end();
}
