/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic of places of the CUDA kernels (kernels/cuda/index.h): sums by segments, tasks
 * of attention, and who draws which random words in a fragment of the matrix instruction.
 */
#include "../../kernels/cuda/index.h"
#include "philox.h"
#include "test.h"

#include <stdlib.h>

/* ---- parts and bits ---- */

static void parts_cover_all_rows(void)
{
    for (int64_t n = 1; n < 40000; n += n < 2000 ? 1 : 997) {
        const int64_t each = index_rows_per_part(n), parts = index_cut(n, each);

        CHECK_MSG(each >= 2 && each <= 32 && parts * each >= n && (parts - 1) * each < n,
                  "%ld rows", (long)n);
        CHECK_MSG(index_rows_per_block(n, 4) % 4 == 0 && index_rows_per_block(n, 4) >= 8 &&
                      index_rows_per_block(n, 4) <= 64,
                  "%ld rows", (long)n);
    }
    CHECK(index_round(0, 8) == 0 && index_round(1, 8) == 8 && index_round(16, 8) == 16);
}

static void bits_hold_every_key(void)
{
    for (int64_t n = 1; n < 70000; n += 13) {
        const int bits = index_bits(n);

        CHECK_MSG(((n - 1) >> bits) == 0 && bits >= 1, "%ld keys", (long)n);
        CHECK_MSG(bits == 1 || ((n - 1) >> (bits - 1)) != 0, "%ld keys", (long)n);
    }
    CHECK(index_bits(INT64_C(1) << 31) == 31);
}

/* ---- segments ---- */

/* The two passes of kernels/cuda/embed.cu, with sums of numbers in place of rows. */
static void sum_segments(const int32_t *key, const double *value, int32_t n, double *sum,
                         int *added)
{
    const int32_t chunks = (int32_t)index_cut(n, SEG_CHUNK);
    double *part = calloc((size_t)chunks * 2 + 1, sizeof *part);

    for (int32_t c = 0; part && c < chunks; c++) {
        const int32_t to = seg_chunk_end(n, c);

        for (int32_t begin = c * SEG_CHUNK, end; begin < to; begin = end) {
            double s = 0;
            int kind;

            end = seg_run_end(key, begin, to);
            kind = seg_kind(key, n, begin, end);
            for (int32_t i = begin; i < end; i++)
                s += value[i];
            if (kind == SEG_WHOLE) {
                sum[key[begin]] += s;
                added[key[begin]]++;
            } else {
                part[2 * c + kind] += s; /* every place is written at most once */
            }
        }
    }
    for (int32_t c = 0; part && c < chunks; c++) {
        const int32_t word = key[seg_chunk_end(n, c) - 1];
        double s;

        if (!seg_owns(key, n, c))
            continue;
        s = part[2 * c + SEG_TAIL];
        for (int32_t k = c + 1; k <= seg_last_chunk(key, n, c); k++)
            s += part[2 * k + SEG_HEAD];
        sum[word] += s;
        added[word]++;
    }
    free(part);
}

enum { WORDS = 40, LONGEST = 400 };

static void check_segments(const int *length, int words)
{
    int32_t key[LONGEST], n = 0;
    double value[LONGEST], want[WORDS] = {0}, got[WORDS] = {0};
    int added[WORDS] = {0};

    for (int w = 0; w < words; w++) {
        for (int i = 0; i < length[w] && n < LONGEST; i++, n++) {
            key[n] = w;
            value[n] = (double)(n * 7 % 64);
            want[w] += value[n];
        }
    }
    if (n == 0)
        return;
    sum_segments(key, value, n, got, added);
    for (int w = 0; w < words; w++) {
        CHECK_MSG(got[w] == want[w], "word %d of %d tokens: %g, not %g", w, n, got[w], want[w]);
        CHECK_MSG(added[w] <= 1, "word %d is added %d times", w, added[w]);
    }
}

static void segments_of_all_lengths(void)
{
    int length[WORDS];
    uint32_t random = 1;

    for (int first = 0; first <= 70; first++) /* ends at, before and behind ends of chunks */
        for (int second = 0; second <= 70; second++)
            check_segments((const int[]){first, second, 1}, 3);
    check_segments((const int[]){LONGEST}, 1);
    for (int round = 0; round < 300; round++) {
        for (int w = 0; w < WORDS; w++) {
            random = random * 1664525 + 1013904223;
            length[w] = random >> 31 ? 0 : (int)(random >> 8) % (round % 60 + 1);
        }
        check_segments(length, WORDS);
    }
}

/* ---- attention ---- */

static void every_task_once(void)
{
    enum { SEQS = 5, HEADS = 3, TILES = 4 };
    int seen[SEQS][HEADS][TILES] = {{{0}}};

    for (int64_t task = 0; task < SEQS * HEADS * TILES; task++) {
        const struct attn_place p = attn_find(task, HEADS, TILES);

        CHECK(p.seq >= 0 && p.seq < SEQS && p.head >= 0 && p.head < HEADS && p.tile >= 0 &&
              p.tile < TILES);
        CHECK(seen[p.seq][p.head][p.tile]++ == 0);
    }
}

/* The elements of a lane's 8 values: rows and columns of the i-th result's value c. */
static int value_row(int lane, int c)
{
    return lane / 4 + c / 2 * 8;
}

static int value_column(int lane, int i, int c)
{
    return 8 * i + 2 * (lane % 4) + c % 2;
}

/* A lane that draws for (row, column) = (query, key) has all 8 halves of one call. */
static void forward_words(void)
{
    for (int lane = 0; lane < 32; lane++) {
        for (int v = 0; v < 8; v++) {
            const int i = v / 4, c = v % 4;
            const uint32_t query = (uint32_t)value_row(lane, c);
            const uint32_t key = (uint32_t)value_column(lane, i, c);

            for (uint32_t at = 0; at < 64; at += 16) {
                CHECK(drop_attn_query(query + at) == at + (uint32_t)lane / 4);
                CHECK(drop_attn_group(key + at) == at / 4 + (uint32_t)lane % 4);
            }
            CHECK(drop_attn_half(query, key) == 2 * (2 * i + c / 2) + c % 2);
        }
    }
}

/* In a transposed result the call of each value is the lane's own or that of lane ^ 4. */
static void backward_words(void)
{
    for (int lane = 0; lane < 32; lane++) {
        for (int v = 0; v < 8; v++) {
            const int i = v / 4, c = v % 4;
            const uint32_t key = (uint32_t)value_row(lane, c);
            const uint32_t query = (uint32_t)value_column(lane, i, c);
            /* Whose lane / 4 is even draws value c % 2 = 0, the other one 1. */
            const int from = (lane & ~4) | (c % 2 ? 4 : 0);

            CHECK(drop_attn_query(query) == (uint32_t)attn_turn_query(from));
            CHECK(drop_attn_group(key) == drop_attn_group((uint32_t)attn_turn_key(from)));
            /* Words by halves of keys, then of queries; in each the half of the own key. */
            CHECK(drop_attn_half(query, key) == 2 * (2 * (c / 2) + i) + lane / 4 % 2);
        }
    }
}

/* A call serves 8 elements, each with a half of its own, of matrices and of attention. */
static void halves_are_taken_once(void)
{
    enum { N = 64, COLUMNS = 1024 };
    static uint8_t seen[N][N / 4][8], row[COLUMNS / 8][8];

    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < N; j++)
            CHECK(seen[drop_attn_query(i)][drop_attn_group(j)][drop_attn_half(i, j)]++ == 0);
    for (uint32_t j = 0; j < COLUMNS; j++)
        CHECK(row[drop_group(j)][drop_half(j)]++ == 0);
}

int main(void)
{
    RUN(parts_cover_all_rows);
    RUN(bits_hold_every_key);
    RUN(segments_of_all_lengths);
    RUN(every_task_once);
    RUN(forward_words);
    RUN(backward_words);
    RUN(halves_are_taken_once);
    return test_end();
}
