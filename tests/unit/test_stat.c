/* SPDX-License-Identifier: MIT */
/* What the statistics are made of: lengths, the most frequent words and bars. */
#include "lengths.h"
#include "mem.h"
#include "screen.h"
#include "test.h"
#include "topwords.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 1;

static uint64_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

static void bins_follow_one_another(void)
{
    CHECK(lengths_from(0) == 0);
    for (size_t i = 0; i + 1 < LENGTH_BINS; i++)
        CHECK(lengths_to(i) + 1 == lengths_from(i + 1) && lengths_to(i) >= lengths_from(i));
    /* 1.6 %: a bin is no wider than a 64th of where it starts. */
    for (size_t i = LENGTH_EXACT; i + 1 < LENGTH_BINS; i++)
        CHECK((lengths_to(i) - lengths_from(i) + 1) * 64 <= lengths_from(i));
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

enum { INPUTS = 5000 };

/* Against the plain definitions, over lengths of all sizes. */
static void lengths_are_counted(void)
{
    static uint64_t length[INPUTS];
    static struct lengths l;
    uint64_t text = 0;

    for (int i = 0; i < INPUTS; i++) {
        const uint64_t tokens = next_random() % (i % 50 ? 600 : 200000);

        length[i] = tokens + 2;
        text += tokens;
        lengths_add(&l, tokens, 2);
    }
    qsort(length, INPUTS, sizeof length[0], by_size);
    CHECK(l.n == INPUTS && l.tokens == text && l.longest == length[INPUTS - 1]);
    for (int p = 0; p <= 100; p++) {
        const uint64_t want = length[p == 0 ? 0 : (p * INPUTS + 99) / 100 - 1];
        const uint64_t got = lengths_quantile(&l, p / 100.0);

        CHECK_MSG(want < LENGTH_EXACT ? got == want : got >= want && got <= want + want / 64,
                  "%d %%: %llu for %llu", p, (unsigned long long)got, (unsigned long long)want);
    }
    for (uint64_t limit = 1; limit < LENGTH_EXACT; limit += 37) {
        struct lengths_cut want = {0, 0}, got = lengths_cut(&l, limit);

        for (int i = 0; i < INPUTS; i++)
            if (length[i] > limit) {
                want.inputs++;
                want.tokens += length[i] - limit;
            }
        CHECK(got.inputs == want.inputs && got.tokens == want.tokens);
    }
}

/* Every input is in one bar, whatever the lengths. */
static void bars_hold_everything(void)
{
    const struct screen screen = screen_of(-1);

    for (int round = 0; round < 60; round++) {
        static struct lengths l;
        struct buf out = {0};
        struct err e = {0};
        const uint64_t size = (uint64_t)1 << round % 30, n = 1 + next_random() % 300;
        uint64_t sum = 0;
        int rows = 0;

        l = (struct lengths){0};
        for (uint64_t i = 0; i < n; i++)
            lengths_add(&l, next_random() % (i % 100 == 7 ? 50 * size : size), 2);
        CHECK(lengths_bars(&l, &screen, &out, &e) == 0);
        for (char *at = strchr(out.data, '\n'); at && at[1]; at = strchr(at + 1, '\n'), rows++) {
            unsigned long long count;

            CHECK(sscanf(at + 1, "%*s %llu", &count) == 1);
            sum += count;
        }
        CHECK_MSG(sum == n && rows <= 20, "%llu of %llu in %d rows", (unsigned long long)sum,
                  (unsigned long long)n, rows);
        buf_free(&out);
    }
}

static void words_few(void)
{
    struct err e = {0};
    struct topwords *t = topwords_new(&e);
    struct topword top[TOPWORDS];
    char word[16];
    size_t n;

    CHECK(t != NULL);
    for (int i = 0; i < TOPWORDS; i++)
        for (int k = 0; k <= i % 100; k++)
            topwords_add(t, word, (size_t)snprintf(word, sizeof word, "w%d", i));
    n = topwords_get(t, top, TOPWORDS);
    CHECK(n == TOPWORDS);
    for (size_t i = 0; i < n; i++)
        CHECK(top[i].error == 0 && top[i].count == (uint64_t)atoi(top[i].text + 1) % 100 + 1);
    for (size_t i = 1; i < n; i++)
        CHECK(top[i].count < top[i - 1].count ||
              (top[i].count == top[i - 1].count && strcmp(top[i - 1].text, top[i].text) < 0));
    topwords_free(t);
}

enum { WORDS = 20000, DRAWN = 400000 };

/* The bounds that Space-Saving promises, on words of which few are frequent. */
static void words_many(void)
{
    static uint64_t real[WORDS];
    static struct topword top[TOPWORDS];
    static bool listed[WORDS];
    struct err e = {0};
    struct topwords *t = topwords_new(&e);
    char word[80];
    size_t n;

    CHECK(t != NULL);
    for (int i = 0; i < DRAWN; i++) {
        /* Zipf's law, roughly: uniform in the logarithm. */
        const uint64_t r = next_random() % 14, w = (next_random() % ((uint64_t)1 << r)) % WORDS;

        real[w]++;
        topwords_add(t, word, (size_t)snprintf(word, sizeof word, "%llu-%060d",
                                               (unsigned long long)w, 1));
    }
    CHECK(topwords_total(t) == DRAWN);
    n = topwords_get(t, top, TOPWORDS);
    for (size_t i = 0; i < n; i++) {
        const int w = atoi(top[i].text);

        CHECK(strlen(top[i].text) == TOPWORD_BYTES);
        CHECK(top[i].count >= real[w] && top[i].count - top[i].error <= real[w]);
        CHECK(top[i].error <= DRAWN / TOPWORDS);
        listed[w] = true;
    }
    for (int w = 0; w < WORDS; w++)
        CHECK(listed[w] || real[w] <= DRAWN / TOPWORDS);
    topwords_free(t);
}

static void words_are_cut_between_characters(void)
{
    struct err e = {0};
    struct topwords *t = topwords_new(&e);
    struct topword top[1];
    char word[60];

    CHECK(t != NULL);
    memset(word, 'a', sizeof word);
    memcpy(word + TOPWORD_BYTES - 1, "\xe4\xb8\xad", 3);
    topwords_add(t, word, sizeof word);
    CHECK(topwords_get(t, top, 1) == 1 && strlen(top[0].text) == TOPWORD_BYTES - 1);
    topwords_free(t);
}

static void bars_have_their_width(void)
{
    const struct screen plain = {.width = 80}, blocks = {.width = 80, .utf8 = true};

    for (int width = 1; width < 50; width += 7)
        for (int i = 0; i <= 40; i++) {
            struct buf a = {0}, b = {0};
            struct err e = {0};
            const double share = i / 40.0;

            CHECK(screen_bar(&plain, share, width, &a, &e) == 0);
            CHECK(screen_bar(&blocks, share, width, &b, &e) == 0);
            CHECK(a.len <= (size_t)width && b.len <= 3 * (size_t)width);
            CHECK((a.len > 0) == (i > 0) && (b.len > 0) == (i > 0));
            CHECK(i < 40 || (a.len == (size_t)width && b.len == 3 * (size_t)width));
            buf_free(&a);
            buf_free(&b);
        }
}

int main(void)
{
    RUN(bins_follow_one_another);
    RUN(lengths_are_counted);
    RUN(bars_hold_everything);
    RUN(words_few);
    RUN(words_many);
    RUN(words_are_cut_between_characters);
    RUN(bars_have_their_width);
    return test_end();
}
