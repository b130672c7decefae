/* SPDX-License-Identifier: MIT */
/*
 * The parts of tokenizers beside BERT's and RoBERTa's: patterns, charsmaps, Unigram, numbers.
 *
 * What is expected of patterns is what `tokenizers` 0.23.3 gave; the vocabularies and cuts of
 * Unigram are those of its own tests.
 */
#include "charsmap.h"
#include "jsonscan.h"
#include "normalize.h"
#include "pattern.h"
#include "test.h"
#include "unigram.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The text with a bar between matches and what is between them. */
static bool cuts(const char *regex, const char *text, const char *expected)
{
    struct err e = {0};
    struct pattern *pt = pattern_compile(regex, strlen(regex), &e);
    struct pattern_scratch s = {0};
    const size_t n = strlen(text);
    struct buf out = {0};
    struct span m;
    size_t at = 0;
    bool same;
    int rc = pt ? 1 : -1;

    while (rc > 0) {
        rc = pattern_next(pt, (const uint8_t *)text, n, at, &m, &s, &e);
        if (rc == 0)
            m = (struct span){n, 0};
        if (rc < 0 || (m.at > at && (buf_putc(&out, '|', &e) ||
                                     buf_add(&out, text + at, m.at - at, &e))) ||
            (m.n && (buf_putc(&out, '|', &e) || buf_add(&out, text + m.at, m.n, &e))))
            rc = -1;
        at = m.at + m.n;
    }
    same = rc == 0 && strcmp(out.data ? out.data : "", expected) == 0;
    if (!same)
        printf("# %s: %s %s\n", regex, out.data ? out.data : "", e.text);
    buf_free(&out);
    pattern_scratch_free(&s);
    pattern_free(pt);
    return same;
}

static void patterns_cut(void)
{
    static const char *const tried[][3] = {
        {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
         "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
         "I'VE  been'\u017f 12345!!\r\n\n  x ",
         "|I|'VE| | been|'\u017f| |123|45|!!\r\n\n| | x| "},
        {" ?[^(\\s|[.,!?\u2026\u3002])]+", "Hi, (you) a|b\u2026 ok",
         "|Hi|, (|you|)| a|||b|\u2026| ok"},
        {"(?:ab|a)(?:c|bcd)?", "abcd abbcd ac", "|abc|d |abbcd| |ac"},
        {"a*?b", "aab b", "|aab| |b"},
        {"(?<!\\w)the(?!\\w)", "the other, the", "|the| other, |the"},
        {"x{2,3}?", "xxxxx", "|xx|xx|x"},
        {"[\\p{Lu}\\d]++[^\\P{L}a]?", "AB9ba", "|AB9b|a"},
        {"\\x41|\\x{42}|\\u0043", "ABCD", "|A|B|C|D"},
        {"^\\w+|\\w+$", "one two\nsix", "|one| |two|\n|six"},
        {"[a-c\\-\\]]+", "ab-]d", "|ab-]|d"},
        {"(a|b)+c", "ababcab", "|ababc|ab"},
        {"(?i:kelvin)", "KELVIN \u212aelvin", "|KELVIN| |\u212aelvin"},
        {"'(?i:[sd]|ll)|\\d{1,2}+", "x'S'lL'\u017f 12345", "|x|'S|'lL|'\u017f| |12345"},
        {"\\w{2}|[\\w]", "\u00b3\u00b3a\u00b3b\u2167", "|\u00b3\u00b3|a\u00b3|b\u2167"},
        {"[\\w]+", "\u00b3a\u00b3", "|\u00b3|a|\u00b3"},
        {"[^x]{2,}", "axbcxdef", "|ax|bc|x|def"},
    };

    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++)
        CHECK(cuts(tried[i][0], tried[i][1], tried[i][2]));
}

static void patterns_name_what_they_lack(void)
{
    static const char *const tried[][2] = {
        {"a(?=bc)", "lookaround"}, {"(?=a|b)c", "lookaround"}, {"\\bx", "escape"},
        {"(a)\\1", "escape"},      {"[[:alpha:]]", "class"},   {"[a&&b]", "intersection"},
        {"\\p{Han}", "property"},  {"a*", "no text"},          {"a|", "no text"},
        {"(?i:ss)", "ligature"},   {"(?i:\u00e9)", "ASCII"},   {"(?<n>a)", "group"},
        {"(a", "without an end"},  {"a)", "')'"},              {"[a", "without an end"},
        {"+a", "quantifier"},      {"a{3,2}", "braces"},       {"(ab)++", "possessive"},
        {"a**", "quantifier"},     {"(?i)a|b", "alternatives"}, {"\\", "backslash"},
        {"[b-a]", "range"},        {"\\x{110000}", "code point"}, {"a{1,1001}", "braces"},
    };

    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++) {
        struct err e = {0};
        struct pattern *pt = pattern_compile(tried[i][0], strlen(tried[i][0]), &e);

        CHECK_MSG(!pt && e.code == ERR_DATA && strstr(e.text, tried[i][1]) &&
                      strstr(e.text, tried[i][0]),
                  "%s: %s", tried[i][0], e.text);
        pattern_free(pt);
    }
}

/* What takes a plain backtracking search for ever. */
static void patterns_take_linear_time(void)
{
    static const char *const tried[] = {"^(a+)+b", "^(?:a|a)*b", "^(a*)*b", "^(?:a?){20}a{20}b"};
    enum { N = 20000 };
    char *text = malloc(N);
    const clock_t start = clock();

    CHECK(text);
    memset(text, 'a', N);
    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++) {
        struct err e = {0};
        struct pattern_scratch s = {0};
        struct pattern *pt = pattern_compile(tried[i], strlen(tried[i]), &e);
        struct span m;

        CHECK_MSG(pt && pattern_next(pt, (const uint8_t *)text, N, 0, &m, &s, &e) == 0, "%s: %s",
                  tried[i], e.text);
        pattern_scratch_free(&s);
        pattern_free(pt);
    }
    CHECK((double)(clock() - start) / CLOCKS_PER_SEC < 20);
    free(text);
}

struct piece {
    const char *text;
    double score;
};

/* The pieces of a word as the vocabulary spells them, unknown ones as '?'. */
static bool word_is(const struct piece *pieces, size_t n, bool fallback, const char *word,
                    const char *expected)
{
    struct err e = {0};
    struct unigram u = {.byte_fallback = fallback};
    struct unigram_scratch s = {0};
    struct vocabmap v = {0};
    struct buf out = {0};
    uint32_t ids[64];
    int64_t count = 0;
    bool same;

    for (size_t i = 0; i < n; i++)
        if (unigram_add(&u, &v, pieces[i].text, strlen(pieces[i].text), pieces[i].score, &e))
            return false;
    if (unigram_build(&u, &v, &e) == 0)
        count = unigram_word(&u, &v, (const uint8_t *)word, strlen(word), &s, ids, &e);
    for (int64_t i = 0; i < count; i++)
        if (buf_addf(&out, &e, "%s%s", i ? " " : "",
                     ids[i] ? vocabmap_token(&v, ids[i], NULL) : "?"))
            return false;
    same = !e.code && strcmp(out.data ? out.data : "", expected) == 0;
    if (!same)
        printf("# %s: %s %s\n", word, out.data ? out.data : "", e.text);
    buf_free(&out);
    unigram_scratch_free(&s);
    unigram_free(&u);
    vocabmap_free(&v);
    return same;
}

static void unigram_cuts_best(void)
{
    static const struct piece few[] = {{"<unk>", 0}, {"a", 0},   {"b", 0},  {"c", 0}, {"d", 0},
                                       {"cd", 1},    {"ab", 2},  {"abc", 5}, {"abcd", 10}};
    static const struct piece more[] = {
        {"<unk>", 0},  {"ab", 0},  {"cd", -0.1},       {"abc", -0.2}, {"a", -0.3},  {"b", -0.4},
        {"c", -0.5},   {"ABC", -0.5}, {"abcdabcd", 20}, {"q", 20.5},  {"r", 20.5}, {"qr", -0.5}};
    static const struct piece bytes[] = {{"<unk>", 0}, {"<0xC3>", -0.01}, {"<0xA9>", -0.03}};
    static const char *const tried[][2] = {
        {"abc", "abc"}, {"AB", "?"}, {"abcd", "ab cd"}, {"abcc", "abc c"},
        {"xabcabaabcdd", "? abc ab a ab cd ?"}, {"xyz\u6771\u4eac", "?"}, {"ABC", "ABC"},
        {"abABCcd", "ab ABC cd"}, {"ababcdabcdcd", "ab abcdabcd cd"}, {"abqrcd", "ab q r cd"}};

    CHECK(word_is(few, 9, false, "abcdacdxx", "abcd a cd ?"));
    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++)
        CHECK(word_is(more, 12, false, tried[i][0], tried[i][1]));
    CHECK(word_is(bytes, 3, true, "\u00e9", "<0xC3> <0xA9>"));
    CHECK(word_is(bytes, 3, true, "?\u00e9", "?"));
    CHECK(word_is(bytes, 3, false, "\u00e9", "?"));
}

static void charsmaps_are_checked(void)
{
    /* One rule, a to "b": unit 0 leads to 0 ^ 'a', that to its leaf. */
    uint32_t unit[512] = {0};
    uint8_t data[4 + sizeof unit + 2];
    struct normalizer nz = {0};
    struct norm_scratch s = {0};
    struct buf out = {0};
    struct err e = {0};
    const uint32_t size = sizeof unit;

    unit[0] = 256u << 10;
    unit[256 ^ 'a'] = 'a' | 1u << 8 | 1u << 10;
    unit[(256 ^ 'a') ^ 1] = 0x80000000;
    memcpy(data, &size, 4);
    memcpy(data + 4, unit, sizeof unit);
    memcpy(data + 4 + sizeof unit, "b", 2);
    CHECK_MSG(normalizer_charsmap(&nz, data, sizeof data, &e) == 0, "%s", e.text);
    CHECK(normalize(&nz, (const uint8_t *)"xaA\u0301a\u0301", 8, &s, &out, &e) == 0);
    /* A mark behind a letter that has a rule goes with it. */
    CHECK_MSG(strcmp(out.data, "xbA\u0301b") == 0, "%s", out.data);
    for (size_t n = 0; n < sizeof data; n += n < 16 ? 1 : 199) {
        struct charsmap m = {0};
        struct err cut = {0};
        const int rc = charsmap_load(&m, data, n, &cut);

        CHECK_MSG(rc == 0 ? n >= 4 + sizeof unit : cut.code == ERR_DATA, "%zu", n);
        charsmap_free(&m);
    }
    normalizer_free(&nz);
    norm_scratch_free(&s);
    buf_free(&out);
}

/* Not the nearest doubles, but what serde_json makes of the digits. */
static void numbers_as_the_reference_reads_them(void)
{
    static const struct {
        const char *text;
        double value;
    } tried[] = {{"-3.5", -3.5}, {"0", 0}, {"-12", -12}, {"1e3", 1000}, {"2.5E-1", 0.25},
                 {"123456789012345678901234567890", 1.2345678901234568e29},
                 {"1e-400", 0}, {"0.1", 1 / 10.0},
                 {"-17.150048538210737", -(17150048538210737.0 / 1e15)}};
    static const char *const wrong[] = {"", "-", "01", "1.", ".5", "1e", "x", "1e999"};
    struct jsonscan s;

    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++) {
        struct err e = {0};
        double v = 7;

        jsonscan_open(&s, tried[i].text, strlen(tried[i].text), "x");
        CHECK_MSG(jsonscan_real(&s, &v, &e) == 0 && v >= tried[i].value && v <= tried[i].value,
                  "%s: %.17g %s", tried[i].text, v, e.text);
        jsonscan_close(&s);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct err e = {0};
        double v;

        jsonscan_open(&s, wrong[i], strlen(wrong[i]), "x");
        CHECK_MSG(jsonscan_real(&s, &v, &e) != 0 && e.code == ERR_DATA, "%s", wrong[i]);
        jsonscan_close(&s);
    }
}

int main(void)
{
    RUN(patterns_cut);
    RUN(patterns_name_what_they_lack);
    RUN(patterns_take_linear_time);
    RUN(unigram_cuts_best);
    RUN(charsmaps_are_checked);
    RUN(numbers_as_the_reference_reads_them);
    return test_end();
}
