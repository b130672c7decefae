/* SPDX-License-Identifier: MIT */
/*
 * Dropout's random numbers: known answers, thresholds, the CPU's vectors against the plain
 * definition, and whether what is dropped looks like independent draws at the rate.
 */
#include "../../kernels/cpu/cpu.h"
#include "test.h"

#include <math.h>
#include <string.h>

/* Random123's known answers (Salmon et al.), of 7 and of 10 rounds. */
static void known_answers(void)
{
    static const struct {
        int rounds;
        uint32_t counter[4], key[2], want[4];
    } of[] = {
        {7, {0}, {0}, {0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}},
        {7, {~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}},
        {7, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}},
        {10, {0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {10, {~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {10, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        uint32_t got[4];

        philox_rounds(got, of[i].counter, of[i].key, of[i].rounds);
        for (int w = 0; w < 4; w++)
            CHECK_MSG(got[w] == of[i].want[w], "answer %zu, word %d: %08x", i, w, got[w]);
    }
}

static void thresholds(void)
{
    CHECK(drop_threshold(0) == 0 && drop_scale(0) == 1);
    CHECK(drop_threshold(-1) == 0 && drop_threshold(NAN) == 0);
    CHECK(drop_threshold(0.5f) == 32768 && drop_scale(0.5f) == 2);
    CHECK(drop_threshold(0.1f) == 6554 && drop_threshold(0.3f) == 19661);
    CHECK(drop_threshold(1e-9f) == 1 && drop_threshold(1.4f / 65536) == 1);
    CHECK(drop_threshold(0.99999994f) == 65535 && drop_scale(0.99999994f) == 65536);
    CHECK(drop_threshold(1) == 65535 && drop_scale(1) == 0 && drop_scale(2) == 0);
    for (int t = 1; t < 65536; t++) {
        const float p = (float)t / 65536;

        CHECK(drop_threshold(p) == (uint32_t)t);
        CHECK(fabs((double)drop_scale(p) * (65536 - t) / 65536 - 1) < 1e-7);
    }
}

static const uint32_t some_key[2] = {0x243f6a88, 0x85a308d3};

static uint32_t half_of(const uint32_t counter[4], const uint32_t key[2], int half)
{
    uint32_t word[4];

    philox_rounds(word, counter, key, 7);
    return philox_half(word, half);
}

/* Of a matrix's row: every number of calls, and rows of all columns. */
static void columns_of_vectors(void)
{
    const struct row_id id = {7, ~0u};

    for (int64_t n = 1; n <= 32; n++) {
        uint16_t got[2 * DROP_APART];

        philox_columns(got, n, id, 64, some_key);
        for (uint32_t j = 0; j < 256; j++) {
            const uint32_t column = 512 + j;
            const uint32_t counter[4] = {7, ~0u, drop_group(column), 0};

            if (drop_group(column) < 64 + n)
                CHECK(got[j] == half_of(counter, some_key, drop_half(column)));
        }
    }
}

enum { TILES = 4, LD = TILES * DROP_TILE };

static void check_rows(int64_t pairs, int64_t tiles)
{
    uint16_t got[DROP_TILE][LD], before = 0xabcd;
    const struct drop_rows r = {.key = some_key, .record = 5, .offset = 32 + 7, .head = 11,
                                .pairs = pairs, .tiles = tiles, .out = got[0], .ld = LD};

    for (int i = 0; i < DROP_TILE * LD; i++)
        got[i / LD][i % LD] = before;
    philox_rows(&r);
    for (uint32_t i = 0; i < DROP_TILE; i++) {
        for (uint32_t j = 0; j < LD; j++) {
            const uint32_t counter[4] = {5, 39 + drop_attn_query(i), drop_attn_group(j), 11};
            const bool drawn = drop_attn_query(i) < pairs && j < tiles * DROP_TILE;

            CHECK_MSG(got[i][j] == (drawn ? half_of(counter, some_key, drop_attn_half(i, j))
                                          : before),
                      "%ld pairs, %ld tiles: row %u, column %u", (long)pairs, (long)tiles, i, j);
        }
    }
}

static void rows_of_vectors(void)
{
    for (int64_t pairs = 1; pairs <= DROP_TILE / 2; pairs++)
        for (int64_t tiles = 1; tiles <= TILES; tiles++)
            check_rows(pairs, tiles);
}

/* ---- statistics ---- */

enum { ROWS = 256, COLUMNS = 512, FAR = 4 };

/* What is dropped at a step and a site, by record, head, row and column; p = 0.1. */
struct where {
    uint32_t step, site, record, head;
};

static void draw_matrix(uint8_t *drop, struct where w)
{
    uint32_t key[2];

    philox_key(key, 42, w.step, w.site);
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t j = 0; j < COLUMNS; j++) {
            const uint32_t counter[4] = {w.record, i, drop_group(j), 0};

            drop[i * COLUMNS + j] = half_of(counter, key, drop_half(j)) < drop_threshold(0.1f);
        }
    }
}

static void draw_attention(uint8_t *drop, struct where w)
{
    uint32_t key[2];

    philox_key(key, 42, w.step, w.site);
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t j = 0; j < COLUMNS; j++) {
            const uint32_t counter[4] = {w.record, drop_attn_query(i), drop_attn_group(j), w.head};

            drop[i * COLUMNS + j] =
                half_of(counter, key, drop_attn_half(i, j)) < drop_threshold(0.1f);
        }
    }
}

/* How often both are dropped, di rows and dj columns apart, in standard deviations. */
static double surplus(const uint8_t *a, const uint8_t *b, int di, int dj)
{
    const double p = 6554 / 65536.0, both = p * p;
    double n = 0, seen = 0;

    for (int i = 0; i + di < ROWS; i++) {
        for (int j = 0; j + dj < COLUMNS; j++, n++)
            seen += a[i * COLUMNS + j] && b[(i + di) * COLUMNS + j + dj];
    }
    return (seen - n * both) / sqrt(n * both * (1 - both));
}

static double rate(const uint8_t *drop)
{
    const double p = 6554 / 65536.0, n = ROWS * COLUMNS;
    double seen = 0;

    for (int i = 0; i < ROWS * COLUMNS; i++)
        seen += drop[i];
    return (seen - n * p) / sqrt(n * p * (1 - p));
}

static void check_draws(const char *what, void (*draw)(uint8_t *, struct where), int others)
{
    static const struct where first = {3, 1, 9, 2};
    static const struct where other[] = {{4, 1, 9, 2}, {3, 2, 9, 2}, {3, 1, 10, 2}, {3, 1, 9, 3}};
    static uint8_t a[ROWS * COLUMNS], b[ROWS * COLUMNS];

    draw(a, first);
    CHECK_MSG(fabs(rate(a)) < 4, "%s: rate off by %g sd", what, rate(a));
    for (int di = 0; di <= 16; di++) {
        for (int dj = 0; dj <= 16; dj++)
            if (di + dj)
                CHECK_MSG(fabs(surplus(a, a, di, dj)) < 5, "%s: (%d, %d) apart: %g sd", what,
                          di, dj, surplus(a, a, di, dj));
        CHECK_MSG(fabs(surplus(a, a, di, 128)) < 5, "%s: (%d, 128) apart", what, di);
    }
    for (int o = 0; o < others; o++) {
        draw(b, other[o]);
        CHECK_MSG(fabs(rate(b)) < 4, "%s, other %d: rate off by %g sd", what, o, rate(b));
        for (int d = 0; d < FAR * FAR; d++)
            CHECK_MSG(fabs(surplus(a, b, d / FAR, d % FAR)) < 5, "%s and other %d: %g sd", what,
                      o, surplus(a, b, d / FAR, d % FAR));
    }
}

static void draws_are_independent(void)
{
    check_draws("matrix", draw_matrix, 3); /* whose head is always 0 */
    check_draws("attention", draw_attention, 4);
}

/* The halves themselves are even: chi-square over their upper and lower bytes. */
static void halves_are_even(void)
{
    static double count[2][256];
    const double calls = 65536, want = calls * 8 / 256;

    for (uint32_t i = 0; i < 65536; i++) {
        const uint32_t counter[4] = {i / 4096, i / 64 % 64, i % 64, 1};

        for (int h = 0; h < 8; h++) {
            const uint32_t half = half_of(counter, some_key, h);

            count[0][half & 255]++;
            count[1][half >> 8]++;
        }
    }
    for (int k = 0; k < 2; k++) {
        double sum = 0;

        for (int v = 0; v < 256; v++)
            sum += (count[k][v] - want) * (count[k][v] - want) / want;
        /* 255 degrees of freedom: mean 255, sd 22.6. */
        CHECK_MSG(fabs(sum - 255) < 5 * 22.6, "chi-square of byte %d is %g", k, sum);
    }
}

int main(void)
{
    RUN(known_answers);
    RUN(thresholds);
    RUN(columns_of_vectors);
    RUN(rows_of_vectors);
    RUN(draws_are_independent);
    RUN(halves_are_even);
    return test_end();
}
