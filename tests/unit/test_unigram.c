/* SPDX-License-Identifier: MIT */
/*
 * The quick ways of Unigram tokenizers against the plain ones: the trie with tails against a
 * look at every token, the search that cuts a word as it goes against one over all its places,
 * characters normalized alone against whole texts.
 */
#include "normchars.h"
#include "test.h"
#include "tokrules.h"
#include "unidata.h"
#include "utf8.h"

#include <math.h>
#include <stdlib.h>

#define GOLDEN "tests/golden/tokenizer/"

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t state = 11;
static size_t below(size_t n)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (size_t)(state * UINT64_C(0x2545f4914f6cdd1d) >> 33) % n;
}

/* ---- pieces ---- */

/* Few letters, so that many pieces share beginnings; of one byte, two, three, four, and none. */
static const char *const letter[] = {"a", "b", ",", "\xc3\xa9", "\xd0\xb0", "\xe4\xb8\xad", "\xe4\xb8\xae",
                                     "\xe4\xba\xba", "\xe5\x9b\xbd", "\xe2\x96\x81", "\xef\xbf\xbd",
                                     "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x81", "\xe4\xb8", "\xff"};
enum { LETTERS = sizeof letter / sizeof letter[0], WHOLE = LETTERS - 2, IDS = 300, WORD = 4096 };

/* Letters up to n bytes; those that are no characters only where they are wanted. */
static size_t random_word(char *out, size_t letters, size_t kinds)
{
    const size_t first = below(kinds);
    size_t n = 0;

    for (size_t i = 0; i < letters; i++) {
        const char *l = letter[below(3) ? (first + below(3)) % kinds : below(kinds)];

        memcpy(out + n, l, strlen(l));
        n += strlen(l);
    }
    return n;
}

struct model {
    struct unigram u;
    struct vocabmap v;
    double score[IDS];
};

static void free_model(struct model *m)
{
    unigram_free(&m->u);
    vocabmap_free(&m->v);
}

/* Scores of a few values make ties, of many other ones sums that are rounded. */
static bool make_model(struct model *m, int round, struct err *e)
{
    const size_t kinds = round % 5 ? WHOLE : LETTERS;
    char piece[2048];

    *m = (struct model){.u = {.unk = round % 7 ? 0 : VOCAB_NO_ID, .byte_fallback = round % 3 == 0,
                                .any_bytes = kinds > WHOLE}};
    for (size_t i = 0; i < IDS; i++) {
        const size_t longest = below(40) ? 4 : 400;
        const size_t n = i == 0 && round % 2 ? 3 : random_word(piece, 1 + below(longest), kinds);

        if (i == 0 && round % 2)
            memcpy(piece, "<u>", 3);
        m->score[i] = round % 2 ? -(double)below(3) : -(double)below(1000000) / 65537;
        if (unigram_add(&m->u, &m->v, piece, n, m->score[i], e))
            return false;
    }
    for (int b = 0; b < 200 && m->u.byte_fallback; b++) {
        (void)snprintf(piece, sizeof piece, "<0x%02X>", b + 50);
        if (unigram_add(&m->u, &m->v, piece, 6, -50, e))
            return false;
    }
    return unigram_build(&m->u, &m->v, e) == 0;
}

static bool is_token(const struct model *m, size_t id, const char *p, size_t n)
{
    size_t len = 0;
    const char *token = vocabmap_token(&m->v, (uint32_t)id, &len);

    return token && len == n && memcmp(token, p, n) == 0;
}

static void tails_hold_every_token(void)
{
    for (int round = 0; round < 30; round++) {
        struct err e = {0};
        struct model m;

        CHECK_MSG(make_model(&m, round, &e), "%s", e.text);
        for (int i = 0; i < 1000; i++) {
            char text[2048];
            size_t len = 0;
            const char *token = vocabmap_token(&m.v, (uint32_t)below(IDS), &len);
            size_t n = random_word(text, 1 + below(8), LETTERS);
            struct trie_place at = {TRIE_ROOT, 0};
            bool goes = true;

            if (i % 2) /* a token, and a little more or another end */
                memcpy(text, token, n = len);
            n += random_word(text + n, below(2), LETTERS);
            for (size_t k = 0; k < n && goes; k++) {
                int32_t id = -1, last = -1;
                bool starts = false;

                for (int32_t t = 0; t < (int32_t)m.v.size; t++) {
                    const char *other = vocabmap_token(&m.v, (uint32_t)t, &len);

                    starts = starts || (len > k && memcmp(other, text, k + 1) == 0);
                    last = is_token(&m, (size_t)t, text, k + 1) ? t : last;
                }
                goes = trie_move(&m.u.trie, &at, (uint8_t)text[k]);
                CHECK(goes == starts);
                CHECK(!goes || trie_ends(&m.u.trie, &at, &id) == (last >= 0));
                CHECK(id == last);
            }
        }
        free_model(&m);
    }
}

/* ---- the search, over all places of a word ---- */

struct cut {
    double score;
    size_t from;
    int32_t id;
    bool is;
};

static bool take(struct cut *best, double score, size_t from, int32_t id)
{
    const bool better = !best->is || score > best->score;

    if (better)
        *best = (struct cut){score, from, id, true};
    return better;
}

/* Finds the last of equal pieces, as a map that is filled in their order does. */
static int32_t find_piece(const struct model *m, const char *p, size_t n)
{
    for (size_t id = m->v.size; id-- > 0;)
        if (is_token(m, id, p, n))
            return (int32_t)id;
    return -1;
}

static bool plain_search(const struct model *m, const char *word, size_t n, struct cut *best)
{
    size_t longest = 0, len = 0, used;
    double lowest = INFINITY;

    for (size_t id = 0; id < m->v.size; id++) {
        (void)vocabmap_token(&m->v, (uint32_t)id, &len);
        longest = len > longest ? len : longest;
        lowest = m->u.score[id] < lowest ? m->u.score[id] : lowest;
    }
    memset(best, 0, (n + 1) * sizeof *best);
    for (size_t at = 0; at < n; at += used) {
        bool single = false;

        utf8_next((const uint8_t *)word + at, n - at, &used);
        for (size_t k = 1; k <= longest && at + k <= n; k++) {
            const int32_t id = find_piece(m, word + at, k);

            if (id < 0)
                continue;
            (void)take(&best[at + k], m->u.score[id] + best[at].score, at, id);
            single = single || k == used;
        }
        if (!single && take(&best[at + used], lowest - 10 + best[at].score, at, m->u.unk) &&
            m->u.unk == VOCAB_NO_ID)
            return false;
    }
    return true;
}

static size_t plain_ids(const struct model *m, const char *word, size_t n, uint32_t *ids)
{
    static struct cut best[WORD + 1];
    uint32_t *to = ids + WORD;
    size_t count;

    if (!plain_search(m, word, n, best)) {
        ids[0] = VOCAB_NO_ID;
        return 1;
    }
    for (size_t end = n; end > 0;) {
        size_t from = best[end].from;
        bool bytes = m->u.byte_fallback;
        int32_t id;

        while (best[end].id == m->u.unk && from > 0 && best[from].id == m->u.unk)
            from = best[from].from;
        id = best[end].id == m->u.unk ? find_piece(m, word + from, end - from) : best[end].id;
        for (size_t i = from; i < end; i++)
            bytes = bytes && m->u.byte_id[(uint8_t)word[i]] >= 0;
        if (id >= 0 || !bytes)
            *--to = (uint32_t)(id < 0 ? m->u.unk : id);
        for (size_t i = end; id < 0 && bytes && i > from; i--)
            *--to = (uint32_t)m->u.byte_id[(uint8_t)word[i - 1]];
        end = from;
    }
    count = (size_t)(ids + WORD - to);
    memmove(ids, to, count * sizeof *ids);
    return count;
}

static void cuts_are_the_plain_ones(void)
{
    static uint32_t ids[2][WORD];
    static char word[WORD];

    for (int round = 0; round < 60; round++) {
        struct err e = {0};
        struct unigram_scratch s = {0};
        struct model m;

        CHECK_MSG(make_model(&m, round, &e), "%s", e.text);
        for (int i = 0; i < 60; i++) {
            const size_t n = random_word(word, below(i ? 12 : 150), i % 4 ? WHOLE : LETTERS);
            uint8_t *copy = malloc(n ? n : 1); /* just as large, for a sanitizer */
            const size_t want = plain_ids(&m, word, n, ids[0]);
            int64_t got;

            CHECK(copy);
            memcpy(copy, word, n);
            got = unigram_word(&m.u, &m.v, copy, n, &s, ids[1], &e);
            free(copy);
            CHECK_MSG(got == (int64_t)want, "%zu and %lld ids", want, (long long)got);
            CHECK(memcmp(ids[0], ids[1], want * sizeof *ids[0]) == 0);
        }
        unigram_scratch_free(&s);
        free_model(&m);
    }
}

/* ---- normalizers ---- */

static const uint32_t special[] = {
    ' ', ' ', '\t', '\n', '\r', 'a', 'Z', '\'', '`', '_', 0, 1, 0x7f, 0xa0, 0xad, 0xe9, 0xdf, 0x130,
    0x300, 0x301, 0x323, 0x345, 0x3a3, 0x5c1, 0x93c, 0x915, 0x94d, 0x9be, 0xe33, 0x1100, 0x1161,
    0x11a8, 0xac00, 0xac01, 0x1e9b, 0x200b, 0x200d, 0x2028, 0x2581, 0x3000, 0x3099, 0x304b,
    0x4e2d, 0xf900, 0xfb01, 0xfdfa, 0xfe0f, 0xff0c, 0xff76, 0xff9e, 0xfffd, 0x1f1e6, 0x1f468,
    0x1f3fb, 0x20000, 0x2f800, 0xe0001, 0x10ffff};

static uint32_t random_point(void)
{
    uint32_t c;

    switch (below(8)) {
    case 0:
        c = (uint32_t)below(0x110000);
        break;
    case 1:
        c = (uint32_t)below(0x3000);
        break;
    case 2:
        c = (uint32_t)(0xac00 + below(0x60));
        break;
    case 3:
        c = (uint32_t)(0x4e00 + below(0x100));
        break;
    default:
        c = special[below(sizeof special / sizeof special[0])];
    }
    return c >= 0xd800 && c < 0xe000 ? 0x300 : c;
}

/* Whether texts become the same at once and by characters, at their start and inside. */
static bool same_texts(const struct normalizer *nz, int texts)
{
    struct err e = {0};
    struct norm_scratch s[2] = {{0}, {0}};
    struct norm_chars chars = {.mark = 0x2581};
    struct buf out[2] = {{0}, {0}}, piece = {0};
    bool ok = true;

    for (int i = 0; i < texts && ok; i++) {
        const size_t points = below(i % 50 ? 12 : 200);
        uint8_t *text = malloc(4 * points + 1);
        struct norm_text t = {text, 0};

        if (!text)
            return false;
        for (size_t k = 0; k < points; k++)
            t.n += utf8_put(random_point(), text + t.n);
        t.p = text = realloc(text, t.n ? t.n : 1);
        s[0].inside = s[1].inside = i % 3 == 0;
        buf_reset(&out[0]);
        buf_reset(&out[1]);
        ok = normalize_long(nz, &t, &s[0], &piece, &out[0], &e) == 0 &&
             normalize_chars(nz, &t, &chars, &s[1], &out[1], &e) == 0 && out[0].len == out[1].len &&
             (out[0].len == 0 || memcmp(out[0].data, out[1].data, out[0].len) == 0) &&
             s[0].first_bytes == s[1].first_bytes;
        for (size_t k = 0, used; ok && k < out[1].len; k += used) {
            const uint32_t c = utf8_next((const uint8_t *)out[1].data + k, out[1].len - k, &used);

            ok = chars.seen & NORM_CHAR_BLANK || !(c == 0x2581 || uni_of(c) & UNI_SPACE);
        }
        if (!ok) {
            printf("# text %d '%.*s' of %zu bytes, '%.*s' and '%.*s', first %zu and %zu; steps", i,
                   (int)t.n, (const char *)text, t.n, (int)out[0].len, out[0].data, (int)out[1].len,
                   out[1].data, s[0].first_bytes, s[1].first_bytes);
            for (int k = 0; k < nz->n; k++)
                printf(" %d", nz->step[k]);
            printf(" %s\n", e.text);
        }
        free(text);
    }
    for (int k = 0; k < 2; k++) {
        norm_scratch_free(&s[k]);
        buf_free(&out[k]);
    }
    buf_free(&piece);
    norm_chars_free(&chars);
    return ok;
}

static int add_step(struct normalizer *nz, struct err *e)
{
    static const struct norm_replace replace[] = {
        {"``", "\"", 2, 1, false}, {"''", "\"", 2, 1, false}, {" {2,}", " ", 5, 1, true},
        {" {2,}", "\xe2\x96\x81", 5, 3, true}, {" ", "\xe2\x96\x81", 1, 3, false},
        {"a", "", 1, 0, false}, {"\\s+", "_", 3, 1, true}, {"\xe4\xb8\xad" "a", "x", 4, 1, false}};
    const enum norm_step step = (enum norm_step)(NORM_CLEAN + below(NORM_REPLACE - NORM_CLEAN + 1));

    if (step == NORM_REPLACE)
        return normalizer_replace(nz, &replace[below(sizeof replace / sizeof replace[0])], e);
    return step == NORM_PREPEND ? normalizer_prepend(nz, below(2) ? " " : "e\xcc\x81", below(2) + 1, e)
                                : normalizer_add(nz, step);
}

static void characters_are_told_alone(void)
{
    for (int round = 0; round < 1500; round++) {
        struct err e = {0};
        struct normalizer nz = {0};
        bool ok = true;

        for (size_t n = 1 + below(4); n > 0 && ok; n--)
            ok = add_step(&nz, &e) == 0;
        CHECK_MSG(ok, "%s", e.text);
        ok = same_texts(&nz, 150);
        normalizer_free(&nz);
        CHECK_MSG(ok, "round %d", round);
    }
}

/* Real charsmaps, which look at clusters. */
static void clusters_are_told_alone(void)
{
    static const char *const dir[] = {GOLDEN "unigram", GOLDEN "unigram-first"};

    for (size_t i = 0; i < sizeof dir / sizeof dir[0]; i++) {
        struct err e = {0};
        struct tokenizer *t = tokenizer_load(dir[i], &e);
        bool ok;

        CHECK_MSG(t, "%s", e.text);
        ok = same_texts(&t->normalizer, 60000);
        tokenizer_free(t);
        CHECK_MSG(ok, "%s", dir[i]);
    }
}

int main(void)
{
    RUN(tails_hold_every_token);
    RUN(cuts_are_the_plain_ones);
    RUN(characters_are_told_alone);
    RUN(clusters_are_told_alone);
    return test_end();
}
