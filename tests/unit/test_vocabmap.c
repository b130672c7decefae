/* SPDX-License-Identifier: MIT */
/* vocabmap and trie against the plainest code that does the same. */
#include "test.h"
#include "trie.h"
#include "vocabmap.h"

#include <stdbool.h>
#include <stdlib.h>

enum { N = 5000, LONGEST = 60 };

static uint64_t state = 1;

static uint32_t random_below(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

struct text {
    size_t n;
    char bytes[LONGEST];
};

/* Strings of few different bytes, so that they start alike; NUL and 0xff are among them. */
static void random_text(struct text *t)
{
    static const char byte[] = {'a', 'b', '\0', '\xff', '\x80', ' '};
    const uint32_t kinds = 1 + random_below(sizeof byte);

    t->n = random_below(4) ? random_below(9) : random_below(LONGEST);
    for (size_t i = 0; i < t->n; i++)
        t->bytes[i] = byte[random_below(kinds)];
}

static bool same(const struct text *a, const struct text *b)
{
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

/* The last of the first n texts that is the same, or -1. */
static int64_t last_same(const struct text *all, size_t n, const struct text *t)
{
    for (size_t i = n; i-- > 0;)
        if (same(&all[i], t))
            return (int64_t)i;
    return -1;
}

static struct text *random_texts(void)
{
    struct text *all = calloc(N, sizeof *all);

    for (size_t i = 0; all && i < N; i++)
        random_text(&all[i]);
    return all;
}

/* Each text gets its place as its id, one by one or in bulk. */
static int fill(struct vocabmap *v, const struct text *all, bool bulk, struct err *e)
{
    for (size_t i = 0; i < N; i++)
        if (bulk ? vocabmap_add(v, all[i].bytes, all[i].n, i, e)
                 : vocabmap_put(v, all[i].bytes, all[i].n, i, e))
            return -1;
    return vocabmap_index(v, e);
}

static void ids_of_tokens(void)
{
    struct text *all = random_texts();

    CHECK(all);
    for (int bulk = 0; bulk < 2; bulk++) {
        struct vocab_query query[100];
        struct vocabmap v = {0};
        struct text other;
        struct err e = {0};

        CHECK_MSG(fill(&v, all, bulk, &e) == 0, "%s", e.text);
        for (size_t i = 0; i < N; i++) {
            const int64_t id = last_same(all, N, &all[i]);
            size_t n = 0;

            CHECK(vocabmap_id(&v, all[i].bytes, all[i].n) == id);
            CHECK((vocabmap_token(&v, (uint32_t)i, &n) != NULL) == (id == (int64_t)i));
            CHECK(id != (int64_t)i || n == all[i].n);
            random_text(&other);
            CHECK(vocabmap_id(&v, other.bytes, other.n) == last_same(all, N, &other));
        }
        for (size_t i = 0; i + 100 < N - VOCAB_SLACK; i += 100) {
            for (size_t k = 0; k < 100; k++)
                query[k] = (struct vocab_query){all[i + k].bytes, all[i + k].n, 0};
            vocabmap_ids(&v, query, 100);
            for (size_t k = 0; k < 100; k++)
                CHECK(query[k].id == last_same(all, N, &all[i + k]));
        }
        vocabmap_free(&v);
    }
    free(all);
}

static void an_id_is_given_once(void)
{
    struct vocabmap v = {0};
    struct err e = {0};

    CHECK(vocabmap_add(&v, "a", 1, 1, &e) == 0 && vocabmap_add(&v, "a", 1, 1, &e) == 0);
    CHECK(vocabmap_add(&v, "b", 1, 1, &e) == -1 && e.code == ERR_DATA);
    e = (struct err){0};
    CHECK(vocabmap_add(&v, "a", 1, 2, &e) == 0); /* 1 is free again */
    CHECK(vocabmap_add(&v, "b", 1, 1, &e) == 0 && vocabmap_index(&v, &e) == 0);
    CHECK(vocabmap_id(&v, "a", 1) == 2 && vocabmap_id(&v, "b", 1) == 1 && v.entries == 2);
    CHECK(vocabmap_add(&v, "c", 1, VOCAB_MAX_ID + 1, &e) == -1);
    vocabmap_free(&v);
}

/* The longest of the texts that p[0..n-1] starts with: its length, and the last one's place. */
static size_t longest(const struct text *all, const char *p, size_t n, int32_t *value)
{
    size_t best = 0;

    for (size_t i = 0; i < N; i++)
        if (all[i].n && all[i].n <= n && all[i].n >= best &&
            memcmp(all[i].bytes, p, all[i].n) == 0) {
            best = all[i].n;
            *value = (int32_t)i;
        }
    return best;
}

static void longest_match(void)
{
    struct text *all = random_texts(), t;
    struct trie_entry *entry = calloc(N, sizeof *entry);
    struct err e = {0};
    struct trie trie;

    CHECK(all && entry);
    for (size_t i = 0; i < N; i++)
        entry[i] = (struct trie_entry){all[i].bytes, all[i].n, (int32_t)i};
    CHECK_MSG(trie_build(&trie, entry, N, &e) == 0, "%s", e.text);
    for (int i = 0; i < 4 * N; i++) {
        int32_t value = -1, expected = -1;
        const struct text *p = i < N ? &all[i] : &t;

        random_text(&t);
        CHECK(trie_longest(&trie, TRIE_ROOT, (const uint8_t *)p->bytes, p->n, &value) ==
              longest(all, p->bytes, p->n, &expected));
        CHECK(value == expected);
    }
    trie_free(&trie);
    free(entry);
    free(all);
}

static void small_tries(void)
{
    static const char same_text[64] = {0};
    struct trie_entry entry[200];
    struct err e = {0};
    struct trie trie;
    int32_t value = -1;

    CHECK(trie_build(&trie, NULL, 0, &e) == 0);
    CHECK(trie_longest(&trie, TRIE_ROOT, (const uint8_t *)"a", 1, &value) == 0);
    trie_free(&trie);
    /* NULs alone: each string starts with all that are shorter. */
    for (int i = 0; i < 200; i++)
        entry[i] = (struct trie_entry){same_text, (size_t)i % 50, i};
    CHECK(trie_build(&trie, entry, 200, &e) == 0);
    for (size_t n = 0; n < 64; n++) {
        const size_t want = n < 50 ? n : 49;

        CHECK(trie_longest(&trie, TRIE_ROOT, (const uint8_t *)same_text, n, &value) == want);
        CHECK(n == 0 || value == 150 + (int32_t)want);
    }
    CHECK(trie_walk(&trie, (const uint8_t *)"\0b", 2) == TRIE_NONE);
    trie_free(&trie);
}

int main(void)
{
    RUN(ids_of_tokens);
    RUN(an_id_is_given_once);
    RUN(longest_match);
    RUN(small_tries);
    return test_end();
}
