/* SPDX-License-Identifier: MIT */
/* The trainers of vocabularies: seeds and expected counts against plain enumeration. */
#include "piecesum.h"
#include "utf8.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Words over a few letters of one to four bytes, some of them long, each with a count. */
static int random_words(struct wordcount *w, size_t n, size_t longest, uint64_t seed)
{
    static const char *const letter[] = {"a", "b", "a", "\xc3\xa9", "\xc3\xa8", "1", ",",
                                         "\xe4\xb8\xad", "\xf0\x9f\x98\x80"};
    uint64_t state = seed;
    struct err e = {0};
    struct buf text = {0};
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        buf_reset(&text);
        for (size_t k = 1 + next(&state) % longest; k > 0 && rc == 0; k--)
            rc = buf_puts(&text, letter[next(&state) % (sizeof letter / sizeof letter[0])], &e);
        if (rc == 0)
            rc = wordcount_add(w, text.data, text.len, 1 + next(&state) % 9, &e);
    }
    wordcount_sort(w);
    buf_free(&text);
    return rc;
}

/* How often a text occurs in all words. */
static uint64_t occurrences(const struct wordcount *w, const char *text, size_t n)
{
    uint64_t count = 0;

    for (size_t i = 0; i < w->n; i++)
        for (size_t at = 0; at + n <= w->word[i].n; at++)
            if (memcmp(w->bytes + w->word[i].at + at, text, n) == 0)
                count += w->word[i].count;
    return count;
}

static bool starts_with(const struct wordcount *w, const struct seed *s, const char *text,
                        size_t n)
{
    return s->n >= n && memcmp(w->bytes + s->at, text, n) == 0;
}

/* Some seed goes on from the text and is as frequent: so the text itself is not needed. */
static bool covered(const struct wordcount *w, const struct seeds *s, const char *text,
                    size_t n, uint64_t count)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i].count == count && starts_with(w, &s->at[i], text, n))
            return true;
    return false;
}

static bool number_comma(const char *p, size_t n)
{
    return n > 1 && p[n - 1] == ',' && p[n - 2] == '1';
}

static void seeds_are_the_frequent_substrings(void)
{
    struct wordcount w = {0};
    struct seeds s;
    struct err e = {0};

    CHECK(random_words(&w, 60, 24, 5) == 0);
    CHECK(seeds_find(&w, 2, 1000000, &s, &e) == 0);
    CHECK(s.n > 100);
    for (size_t i = 0; i < s.n; i++) {
        const char *text = w.bytes + s.at[i].at;
        const uint64_t real = occurrences(&w, text, s.at[i].n);

        CHECK_MSG(real == s.at[i].count, "%.*s: %d", s.at[i].n, text, (int)s.at[i].count);
        CHECK(utf8_count((const uint8_t *)text, s.at[i].n) == s.at[i].chars);
        CHECK(s.at[i].chars >= 2 && s.at[i].chars <= SEED_CHARS && real >= 2);
        CHECK(utf8_valid((const uint8_t *)text, s.at[i].n) && !number_comma(text, s.at[i].n));
        for (size_t k = 0; k < i; k++)
            CHECK(s.at[k].n != s.at[i].n || memcmp(w.bytes + s.at[k].at, text, s.at[i].n));
        CHECK(i == 0 || s.at[i - 1].count * s.at[i - 1].chars >= s.at[i].count * s.at[i].chars);
    }
    /* Every frequent substring is a seed, or the start of one that is as frequent. */
    for (size_t i = 0; i < w.n; i++)
        for (size_t from = 0; from < w.word[i].n; from++)
            for (size_t to = from + 2; to <= w.word[i].n; to++) {
                const char *text = w.bytes + w.word[i].at + from;
                const size_t chars = utf8_count((const uint8_t *)text, to - from);
                const uint64_t count = occurrences(&w, text, to - from);

                if (!utf8_valid((const uint8_t *)text, to - from) || chars < 2 ||
                    chars > SEED_CHARS || count < 2 || number_comma(text, to - from))
                    continue;
                CHECK(covered(&w, &s, text, to - from, count));
            }
    seeds_free(&s);
    wordcount_free(&w);
}

static void the_best_seeds_are_kept(void)
{
    struct wordcount w = {0};
    struct seeds all, few;
    struct err e = {0};

    CHECK(random_words(&w, 200, 12, 8) == 0);
    CHECK(seeds_find(&w, 3, 1000000, &all, &e) == 0 && seeds_find(&w, 3, 10, &few, &e) == 0);
    CHECK(few.n == 10 && all.n > 10);
    CHECK(memcmp(all.at, few.at, 10 * sizeof *few.at) == 0);
    seeds_free(&all);
    seeds_free(&few);
    wordcount_free(&w);
}

/* Sums the probabilities of all ways to go on from `at`; adds each to its pieces' counts. */
static double enumerate(const struct trainer *t, const char *p, size_t n, double so_far,
                        double *count)
{
    double sum = 0;

    if (n == 0)
        return so_far;
    for (size_t i = 0; i < t->n; i++) {
        double here;

        if (t->piece[i].n > n || memcmp(t->piece[i].text, p, t->piece[i].n) != 0 ||
            t->piece[i].lifted == 0)
            continue;
        here = enumerate(t, p + t->piece[i].n, n - t->piece[i].n,
                         so_far * exp(t->piece[i].log_p), count);
        count[i] += here;
        sum += here;
    }
    return sum;
}

static void expected_counts_are_sums_over_all_cuts(void)
{
    static const char *const text[] = {"a", "b", "\xc3\xa9", "ab", "ba", "aba", "bb\xc3\xa9",
                                       ("\xc3\xa9" "a"), "abab"};
    enum { N = sizeof text / sizeof text[0] };
    char bytes[] = "ababb\xc3\xa9" "aba\xc3\xa9" "a";
    struct word word = {.n = sizeof bytes - 1, .count = 7};
    struct trie_entry entry[N];
    struct piece piece[N] = {{0}};
    struct worker k = {.sum = (int64_t[N]){0}};
    struct trainer t = {.piece = piece, .n = N, .unit = 1 << 30, .cut.bytes = bytes};
    double count[N] = {0}, whole;
    struct err e = {0};

    for (size_t i = 0; i < N; i++) {
        const size_t n = strlen(text[i]);

        entry[i] = (struct trie_entry){text[i], n, (int32_t)i};
        piece[i] = (struct piece){.text = text[i], .n = (uint16_t)n};
        piece[i].chars = (uint16_t)utf8_count((const uint8_t *)text[i], n);
        piece_set(&piece[i], -1.0 - 0.3 * (double)i);
    }
    piece[5].lifted = 0; /* dropped */
    CHECK(trie_build(&t.trie, entry, N, &e) == 0);
    piece_expect(&t, &k, &word);
    whole = enumerate(&t, bytes, word.n, 1, count);
    for (size_t i = 0; i < N; i++)
        CHECK_MSG(fabs((double)k.sum[i] / t.unit - 7 * count[i] / whole) < 1e-8, "piece %zu", i);
    trie_free(&t.trie);
}

static const char *const special[] = {"<pad>", "<unk>", "[CLS]", "[SEP]"};

static void threads_change_nothing(void)
{
    struct piece_options o = {
        .size = 300, .min_count = 2, .max_alphabet = 100, .special = special, .n_special = 4};
    struct wordcount w = {0};
    struct vocablist v[3];
    struct err e = {0};
    double sum = 0;

    CHECK(random_words(&w, 3000, 12, 3) == 0);
    for (int i = 0; i < 3; i++) {
        o.threads = i + 1;
        CHECK_MSG(pieces_train(&w, &o, &v[i], &e) == 0, "%s", e.text);
        CHECK(v[i].n == 300);
        for (size_t k = 0; k < v[i].n; k++)
            CHECK(strcmp(v[0].token[k], v[i].token[k]) == 0 && v[0].score[k] == v[i].score[k]);
    }
    for (size_t k = 4; k < v[0].n; k++) {
        CHECK(k == 4 || v[0].score[k] <= v[0].score[k - 1]);
        sum += exp(v[0].score[k]);
    }
    CHECK_MSG(sum > 0.9 && sum < 1.0001, "%f", sum);
    for (int i = 0; i < 3; i++)
        vocablist_free(&v[i]);
    wordcount_free(&w);
}

static bool has(const struct vocablist *v, const char *token)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->token[i], token) == 0)
            return true;
    return false;
}

/* Words over the range of a double, and characters that are too rare. */
static void long_words_and_rare_letters(void)
{
    struct piece_options o = {
        .size = 12, .min_count = 2, .max_alphabet = 2, .special = special, .n_special = 4};
    struct wordcount w = {0};
    struct vocablist v;
    struct err e = {0};
    char text[900];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i * i % 7 < 3 ? 'x' : 'y';
    text[450] = '!';
    CHECK(wordcount_add(&w, text, sizeof text, 3, &e) == 0);
    CHECK(wordcount_add(&w, "?", 1, 1, &e) == 0);
    wordcount_sort(&w);
    CHECK_MSG(pieces_train(&w, &o, &v, &e) == 0, "%s", e.text);
    CHECK(v.n == 12 && has(&v, "x") && has(&v, "y") && !has(&v, "!") && !has(&v, "?"));
    for (size_t i = 0; i < v.n; i++)
        CHECK(isfinite(v.score[i]) && !strpbrk(v.token[i], "!?"));
    vocablist_free(&v);
    o.size = 5;
    CHECK(pieces_train(&w, &o, &v, &e) < 0 && e.code == ERR_USAGE && v.n == 0);
    wordcount_free(&w);
}

int main(void)
{
    RUN(seeds_are_the_frequent_substrings);
    RUN(the_best_seeds_are_kept);
    RUN(expected_counts_are_sums_over_all_cuts);
    RUN(threads_change_nothing);
    RUN(long_words_and_rare_letters);
    return test_end();
}
