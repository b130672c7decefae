/* SPDX-License-Identifier: MIT */
/* Long words of byte-level BPE: merged window by window, they must be what the rule says. */
#include "bpe.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

enum { LETTERS = 3, MERGES = 60, UNK = 250 };

static uint64_t state = 1;

static unsigned below(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

struct model {
    struct vocabmap vocab;
    struct bpe bpe;
    struct {
        uint32_t left, right, rank, id;
    } merge[MERGES];
    size_t n;
};

/*
 * Letters a, b, c and tokens made of two earlier ones.  Ranks are in order, as training gives
 * them, or mixed, as anybody may write them: then a merge may make a pair of a lower rank.
 */
static void make_model(struct model *m, unsigned letters, size_t longest, bool mixed)
{
    struct err e = {0};
    uint32_t order[MERGES];

    *m = (struct model){0};
    for (uint32_t i = 0; i < letters; i++)
        CHECK(vocabmap_put(&m->vocab, &"abc"[i], 1, i, &e) == 0);
    CHECK(vocabmap_put(&m->vocab, "<unk>", 5, UNK, &e) == 0);
    for (unsigned tries = 0; tries < 1000 && m->n < MERGES; tries++) {
        const unsigned known = letters + (unsigned)m->n;
        const uint32_t left = below(known), right = below(known);
        char token[128];
        size_t n, k;

        const char *text = vocabmap_token(&m->vocab, left, &n);
        memcpy(token, text, n);
        text = vocabmap_token(&m->vocab, right, &k);
        if (n + k > longest)
            continue;
        memcpy(token + n, text, k);
        if (vocabmap_id(&m->vocab, token, n + k) >= 0)
            continue;
        CHECK(vocabmap_put(&m->vocab, token, n + k, known, &e) == 0);
        m->merge[m->n].left = left;
        m->merge[m->n].right = right;
        m->merge[m->n++].id = known;
    }
    for (uint32_t i = 0; i < m->n; i++)
        order[i] = i;
    for (uint32_t i = (uint32_t)m->n; mixed && i > 1; i--) {
        const uint32_t k = below(i), other = order[i - 1];

        order[i - 1] = order[k];
        order[k] = other;
    }
    CHECK(bpe_init(&m->bpe, &m->vocab, m->n, &e) == 0);
    m->bpe.unk = -1;
    for (size_t i = 0; i < m->n; i++)
        bpe_add(&m->bpe, m->merge[i].left, m->merge[i].right, m->merge[i].rank = order[i],
                m->merge[i].id);
}

static void free_model(struct model *m)
{
    bpe_free(&m->bpe);
    vocabmap_free(&m->vocab);
}

/* The rule: the pair of the lowest rank, the leftmost of these, until there is none. */
static size_t by_the_rule(const struct model *m, uint32_t *id, size_t n)
{
    uint32_t *rank = malloc(n * sizeof *rank);

    for (size_t i = 0; i < n; i++)
        rank[i] = i + 1 < n ? bpe_rank(&m->bpe, id[i], id[i + 1]) : UINT32_MAX;
    for (;;) {
        uint32_t best = UINT32_MAX;
        size_t at = 0;

        for (size_t i = 0; i < n; i++)
            best = rank[i] < best ? rank[i] : best;
        if (best == UINT32_MAX)
            break;
        while (rank[at] != best)
            at++;
        id[at] = m->bpe.made[best];
        memmove(id + at + 1, id + at + 2, (n - at - 2) * sizeof *id);
        memmove(rank + at + 1, rank + at + 2, (n - at - 2) * sizeof *rank);
        n--;
        rank[at] = at + 1 < n ? bpe_rank(&m->bpe, id[at], id[at + 1]) : UINT32_MAX;
        if (at > 0)
            rank[at - 1] = bpe_rank(&m->bpe, id[at - 1], id[at]);
    }
    free(rank);
    return n;
}

static size_t symbols(const struct bpe *b, const uint8_t *word, size_t n, uint32_t *id)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        const bool fused = i > 0 && b->fuse_unk && b->byte_id[word[i - 1]] < 0;

        if (b->byte_id[word[i]] >= 0)
            id[count++] = (uint32_t)b->byte_id[word[i]];
        else if (b->unk >= 0 && !fused)
            id[count++] = (uint32_t)b->unk;
    }
    return count;
}

static void same_as_the_rule(const struct model *m, const uint8_t *word, size_t n)
{
    uint32_t *want = malloc((n + 1) * sizeof *want), *got = malloc((n + 1) * sizeof *got);
    struct bpe_scratch scratch = {0};
    struct err e = {0};
    size_t first, count;

    first = symbols(&m->bpe, word, n, got);
    memcpy(want, got, first * sizeof *want);
    count = by_the_rule(m, want, first);
    CHECK(bpe_merge(&m->bpe, &scratch, got, first, &e) == (int64_t)count);
    CHECK(memcmp(got, want, count * sizeof *want) == 0);
    CHECK(bpe_word(&m->bpe, &m->vocab, word, n, &scratch, got, &e) == (int64_t)count);
    CHECK(memcmp(got, want, count * sizeof *want) == 0);
    bpe_scratch_free(&scratch);
    free(want);
    free(got);
}

enum { LONG = 3000 };

/* Random letters, runs of one letter, and both in turn. */
static void random_word(uint8_t *word, size_t n, unsigned letters, int kind)
{
    for (size_t i = 0; i < n;) {
        size_t run = kind == 0 ? 1 : kind == 1 ? n : 1 + below(200);
        const uint8_t letter = (uint8_t)('a' + below(letters));

        for (; run-- && i < n; i++)
            word[i] = kind == 2 && run % 7 == 0 ? (uint8_t)('a' + below(letters)) : letter;
    }
}

static void long_words(void)
{
    uint8_t word[LONG];

    for (unsigned i = 0; i < 300; i++) {
        const unsigned letters = 1 + i % LETTERS;
        struct model m;

        make_model(&m, letters, i % 5 == 0 ? 100 : 12, i % 2);
        m.bpe.window = 1 + below(100); /* many windows, many of them too small at first */
        random_word(word, LONG, letters, (int)(i / 2 % 3));
        same_as_the_rule(&m, word, LONG - i);
        free_model(&m);
    }
}

/* Which neighbours of a row of letters pair up is settled at its right end. */
static void chains_from_the_right(void)
{
    enum { FIRST = '!', CHAIN = 90 };
    struct model m = {0};
    struct err e = {0};
    uint8_t word[LONG];
    char pair[2];

    for (uint32_t i = 0; i < CHAIN; i++) {
        pair[0] = (char)(FIRST + i);
        CHECK(vocabmap_put(&m.vocab, pair, 1, i, &e) == 0);
    }
    for (uint32_t i = 0; i + 1 < CHAIN; i++) {
        pair[0] = (char)(FIRST + i);
        pair[1] = (char)(FIRST + i + 1);
        CHECK(vocabmap_put(&m.vocab, pair, 2, CHAIN + i, &e) == 0);
    }
    CHECK(bpe_init(&m.bpe, &m.vocab, CHAIN + 1, &e) == 0);
    m.bpe.unk = -1;
    for (uint32_t i = 0; i + 1 < CHAIN; i++)
        bpe_add(&m.bpe, i, i + 1, CHAIN - i, CHAIN + i);
    for (size_t i = 0; i < sizeof word; i++)
        word[i] = (uint8_t)(FIRST + i % CHAIN);
    for (m.bpe.window = 1; m.bpe.window < 2 * CHAIN; m.bpe.window += 7)
        same_as_the_rule(&m, word, sizeof word - m.bpe.window);
    free_model(&m);
}

/* The window is widened until something in it is sure. */
static void long_tokens(void)
{
    struct model m = {0};
    struct err e = {0};
    uint8_t word[4 * LONG];
    char token[1 << 10];
    uint32_t id = 1;

    memset(token, 'a', sizeof token);
    memset(word, 'a', sizeof word);
    CHECK(vocabmap_put(&m.vocab, "a", 1, 0, &e) == 0);
    for (size_t n = 2; n <= sizeof token; n *= 2)
        CHECK(vocabmap_put(&m.vocab, token, n, id++, &e) == 0);
    CHECK(bpe_init(&m.bpe, &m.vocab, id - 1, &e) == 0);
    m.bpe.unk = -1;
    for (uint32_t i = 0; i + 1 < id; i++)
        bpe_add(&m.bpe, i, i, i, i + 1);
    CHECK(m.bpe.longest == sizeof token);
    same_as_the_rule(&m, word, 4 * LONG);
    m.bpe.longest = LONG / 3; /* larger than it is: nothing is sure early */
    same_as_the_rule(&m, word, 4 * LONG - 1);
    free_model(&m);
}

static void bytes_without_a_token(void)
{
    uint8_t word[LONG];

    for (int kind = 0; kind < 4; kind++) {
        struct model m;

        make_model(&m, 2, 12, false);
        m.bpe.unk = kind & 1 ? UNK : -1;
        m.bpe.fuse_unk = kind & 2;
        m.bpe.window = 64;
        random_word(word, LONG, LETTERS, kind ? 2 : 0);
        same_as_the_rule(&m, word, LONG);
        memset(word + LONG / 2, '?', LONG / 2);
        same_as_the_rule(&m, word, LONG);
        free_model(&m);
    }
}

static void too_many(void)
{
    struct bpe_scratch scratch = {.most = 100};
    uint32_t *ids = malloc(LONG * sizeof *ids);
    uint8_t word[LONG];
    struct err e = {0};
    struct model m;

    make_model(&m, 2, 4, false);
    m.bpe.window = 64;
    random_word(word, LONG, 2, 0);
    CHECK(bpe_word(&m.bpe, &m.vocab, word, LONG, &scratch, ids, &e) == -1);
    CHECK(e.code == ERR_DATA);
    bpe_scratch_free(&scratch);
    free_model(&m);
    free(ids);
}

int main(void)
{
    RUN(long_words);
    RUN(chains_from_the_right);
    RUN(long_tokens);
    RUN(bytes_without_a_token);
    RUN(too_many);
    return test_end();
}
