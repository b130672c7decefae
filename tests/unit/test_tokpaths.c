/* SPDX-License-Identifier: MIT */
/*
 * Whatever way a text takes through an encoder, its ids are those of the general path, step by
 * step: an encoder that is watched takes no other.
 */
#include "bpe.h"
#include "io.h"
#include "mem.h"
#include "test.h"
#include "tokencode.h"
#include "utf8.h"

#include <stdlib.h>

#define GOLDEN "tests/golden/tokenizer/"
#define MODELS "../shared/data/models/"

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t below(uint64_t *state, size_t n)
{
    return (size_t)(next(state) >> 33) % n;
}

/* What texts are made of: scripts, cases, marks, blanks of all kinds, what is dropped. */
static const char *const piece[] = {
    "a", "the", " ", " ", " ", "  ", "\t", "\n", "The", "don't", "'s", "'", ",", ".", "--", "12",
    "x_y", "(", ")", "=", "\x01", "\x7f", "\xc2\xa0", "\xe3\x80\x80", "\xe2\x80\x8b", "\xef\xbf\xbd",
    "\xe4\xb8\xad", "\xe5\x9b\xbd", "\xe4\xba\xba", "\xe7\x9a\x84", "\xe4\xb8\xad\xe5\x9b\xbd",
    "\xef\xbc\x8c", "\xe3\x80\x82", "\xe3\x81\x8c", "\xe3\x81\x8b", "\xe3\x82\x99", "\xe3\x83\xbc",
    "\xed\x95\x9c", "\xea\xb5\xad", "\xc3\xa9", "\xc3\x89", "e\xcc\x81", "\xcc\x81", "\xcc\xa3", "\xc3\x9f",
    "\xc4\xb0", "\xd0\x9c\xd0\xbe", "\xd1\x81\xd0\xba", "\xd0\xb9", "\xd7\xa9\xd7\x81", "\xe0\xa4\xa8\xe0\xa5\x8d", "\xe0\xb8\x81\xe0\xb8\xb3",
    "\xf0\x9f\x98\x80", "\xf0\xa0\x80\x80", "\xe2\x84\xa2", "\xef\xac\x81", "\xef\xbc\xa1", "\xd9\xa1\xd9\xa2",
    "\xe2\x96\x81", "\xe2\x80\x99", "\xe1\xad\x84", "\xef\xa8\x8e", "[MASK]", "<mask>", "unbelievably",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"};
enum { PIECES = sizeof piece / sizeof piece[0], LONG_TEXT = 1 << 17 };

/* A text of few kinds of pieces, so that runs of each come about. */
static int random_text(struct buf *text, uint64_t *state, struct err *e)
{
    const char *kind[4];
    const size_t kinds = 1 + below(state, 4);
    int rc = 0;

    buf_reset(text);
    for (size_t i = 0; i < kinds; i++)
        kind[i] = piece[below(state, PIECES)];
    for (size_t n = 1 + below(state, 60); n > 0 && rc == 0; n--)
        rc = buf_puts(text, below(state, 8) ? kind[below(state, kinds)]
                                            : piece[below(state, PIECES)], e);
    return rc;
}

static int see_nothing(void *ctx, const struct encoder_event *event, struct err *e)
{
    (void)ctx;
    (void)event;
    (void)e;
    return 0;
}

static const struct encoder_watcher watcher = {see_nothing, NULL};

static bool same(const struct tok_ids *a, const struct tok_ids *b)
{
    return a->n == b->n && (a->n == 0 || (memcmp(a->id, b->id, a->n * sizeof *a->id) == 0 &&
                                          memcmp(a->start, b->start, a->n) == 0));
}

static size_t versions(void)
{
    size_t n = 0;

    while (byteclass_get(n))
        n++;
    return n;
}

typedef int maker(struct buf *text, uint64_t *state, struct err *e);

/*
 * Texts by an encoder that remembers, little, more and little, with each instruction set in turn,
 * and by one that is watched; false: they differ.
 */
static bool agree(const struct tokenizer *t, maker *make, size_t texts, uint64_t seed)
{
    struct err e = {0};
    struct encoder *fast = encoder_new(t, &e), *slow = encoder_new(t, &e);
    struct encoder *roomy = encoder_new(t, &e); /* its texts have bytes behind them */
    struct tok_ids a = {0}, b = {0}, c = {0};
    struct buf text = {0};
    const size_t third = texts / 3 + 1;
    bool ok = fast && slow && roomy;

    if (ok) {
        encoder_watch(slow, &watcher);
        encoder_slack_behind(roomy);
    }
    for (size_t i = 0; ok && i < texts; i++) {
        char *copy;

        if (i % third == 0 && encoder_memory(fast, i == third ? 4 << 20 : 0, &e))
            break;

        /* Just as large as the text, for a sanitizer. */
        ok = make(&text, &seed, &e) == 0 && (copy = malloc(text.len + 1)) != NULL;
        if (!ok)
            break;
        memcpy(copy, text.data, text.len);
        copy = realloc(copy, text.len ? text.len : 1);
        a.n = b.n = c.n = 0;
        fast->bytes = byteclass_get(i % versions());
        ok = copy && encoder_encode(fast, copy, text.len, &a, &e) == 0 &&
             encoder_encode(slow, copy, text.len, &b, &e) == 0 && same(&a, &b) &&
             buf_reserve(&text, ENCODER_SLACK, &e) == 0 &&
             encoder_encode(roomy, text.data, text.len, &c, &e) == 0 && same(&c, &b);
        if (!ok)
            printf("# text %zu: '%.200s'\n", i, text.data);
        free(copy);
    }
    encoder_free(fast);
    encoder_free(slow);
    encoder_free(roomy);
    tok_ids_free(&a);
    tok_ids_free(&b);
    tok_ids_free(&c);
    buf_free(&text);
    return ok && !e.code;
}

static bool all_ways(const char *dir, size_t texts)
{
    struct err e = {0};
    struct tokenizer *t = tokenizer_load(dir, &e);
    const bool ok = t && agree(t, random_text, texts, 7);

    if (!ok)
        printf("# %s %s\n", dir, e.text);
    tokenizer_free(t);
    return ok;
}

/* Every version against plain C, the last one. */
static void instruction_sets(void)
{
    const size_t n = versions();
    uint64_t state = 5;

    for (int round = 0; round < 20000; round++) {
        uint8_t text[BYTE_BLOCK], lower[2][BYTE_BLOCK];
        struct bert_masks bert[2] = {{0}};
        struct gpt2_masks gpt2[2] = {{0}};

        for (size_t i = 0; i < BYTE_BLOCK; i++)
            text[i] = (uint8_t)(round < 4 ? (size_t)round * BYTE_BLOCK + i : below(&state, 256));
        byteclass_get(n - 1)->bert(text, lower[0], round % 2, &bert[0]);
        byteclass_get(n - 1)->gpt2(text, &gpt2[0]);
        for (size_t i = 0; i + 1 < n; i++) {
            byteclass_get(i)->bert(text, lower[1], round % 2, &bert[1]);
            byteclass_get(i)->gpt2(text, &gpt2[1]);
            CHECK_MSG(memcmp(lower[0], lower[1], BYTE_BLOCK) == 0 &&
                          memcmp(&bert[0], &bert[1], sizeof bert[0]) == 0 &&
                          memcmp(&gpt2[0], &gpt2[1], sizeof gpt2[0]) == 0,
                      "%s, round %d", byteclass_get(i)->name, round);
        }
    }
}

static void golden_tokenizers(void)
{
    static const char *const name[] = {"wordpiece", "cased", "flags", "bpe", "bytes", "chars",
                                       "suffix", "unigram", "unigram-first", "words"};

    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char dir[64];

        snprintf(dir, sizeof dir, GOLDEN "%s", name[i]);
        CHECK(all_ways(dir, 4000));
    }
}

/* Metaspace with each scheme, behind no normalizer and behind some. */
static void marks_before_words(void)
{
    static const char *const normal[] = {
        "null", "{\"type\":\"NFKC\"}", "{\"type\":\"Lowercase\"}",
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Strip\",\"strip_left\":true,"
        "\"strip_right\":true},{\"type\":\"NFKD\"},{\"type\":\"StripAccents\"},{\"type\":"
        "\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}]}"};
    static const char *const scheme[] = {"always", "first", "never"};
    static const char model[] =
        "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"\\u2581\",-3],"
        "[\"a\",-4],[\"e\",-4],[\"the\",-3],[\"\\u2581the\",-4.5],[\"\\u4e2d\",-5],[\"\\u56fd\",-5],"
        "[\"\\u4e2d\\u56fd\",-9],[\"\\u2581\\u4e2d\",-7.5],[\"\\ud55c\",-6],[\",\\u4e2d\",-6],[\"'\",-6]]}";

    for (size_t i = 0; i < 4 * 3 * 2; i++) {
        struct err e = {0};
        struct buf json = {0};
        struct tokenizer *t = NULL;
        bool ok;

        CHECK(buf_addf(&json, &e, "{\"added_tokens\":[],\"normalizer\":%s,\"pre_tokenizer\":{"
                       "\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":"
                       "\"%s\",\"split\":%s},\"post_processor\":null,\"decoder\":null,%s}",
                       normal[i % 4], scheme[i / 4 % 3], i / 12 ? "true" : "false", model) == 0);
        t = tokrules_from_json("made", json.data, json.len, &e);
        CHECK_MSG(t, "%s", e.text);
        ok = agree(t, random_text, 3000, i + 1);
        tokenizer_free(t);
        buf_free(&json);
        CHECK_MSG(ok, "%s, %s", normal[i % 4], scheme[i / 4 % 3]);
    }
}

/* One kind of piece again and again, or two by turns: what is not linear would not end. */
static int long_text(struct buf *text, uint64_t *state, struct err *e)
{
    const char *const one = piece[below(state, PIECES)];
    const char *const two = below(state, 2) ? piece[below(state, PIECES)] : one;
    int rc = 0;

    buf_reset(text);
    for (size_t i = 0; text->len < LONG_TEXT && rc == 0; i++)
        rc = buf_puts(text, i % 5 ? one : two, e);
    return rc;
}

static void long_texts(void)
{
    static const char *const name[] = {"wordpiece", "bpe", "unigram"};

    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        struct err e = {0};
        char dir[64];
        struct tokenizer *t;
        bool ok;

        snprintf(dir, sizeof dir, GOLDEN "%s", name[i]);
        t = tokenizer_load(dir, &e);
        ok = t && agree(t, long_text, 40, 9);
        tokenizer_free(t);
        CHECK_MSG(ok, "%s", dir);
    }
}

static void real_tokenizers(void)
{
    CHECK(all_ways(MODELS "minilm-l6", 20000));
    CHECK(all_ways(MODELS "roberta-base", 20000));
}

/* ---- merges made by chance, of bytes that make characters together or apart ---- */

static const uint8_t alphabet[] = {0xe4, 0xb8, 0xad, 0xe5, 0x9b, 0xbd, 0xba, 0xe4, 'a', ' '};
static const char *const letters[] = {"\xe4\xb8\xad", "\xe5\x9b\xbd", "\xe4\xba\xba", "\xe4\xb8\xba",
                                      "\xe5\xba\xad", "\xe4\xad\xb8", "\xe4\xad\xad", "a", " "};

static int some_letters(struct buf *text, uint64_t *state, struct err *e)
{
    int rc = 0;

    buf_reset(text);
    for (size_t n = 1 + below(state, 40); n > 0 && rc == 0; n--)
        rc = buf_puts(text, letters[below(state, below(state, 4) ? 7 : 9)], e);
    return rc;
}

static int put_letter(struct buf *out, uint8_t byte, struct err *e)
{
    uint8_t utf8[4];
    const uint32_t c = bpe_letter(byte);

    if ((c == '"' || c == '\\') && buf_putc(out, '\\', e))
        return -1;
    return buf_add(out, utf8, utf8_put(c, utf8), e);
}

enum { MERGES = 120, LONGEST = 9 };

struct token {
    uint8_t byte[2 * LONGEST];
    size_t n;
};

static bool has(const struct token *list, size_t n, const struct token *t)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].n == t->n && memcmp(list[i].byte, t->byte, t->n) == 0)
            return true;
    return false;
}

static int put_token(struct buf *out, const struct token *t, struct err *e)
{
    int rc = 0;

    for (size_t k = 0; k < t->n && rc == 0; k++)
        rc = put_letter(out, t->byte[k], e);
    return rc;
}

/* A tokenizer.json with merges of two tokens each that are there before. */
static int make_merges(struct buf *json, uint64_t *state, struct err *e)
{
    struct token token[sizeof alphabet + MERGES];
    struct buf merges = {0};
    size_t n = 0;
    int rc = buf_puts(json, "{\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":"
                      "\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
                      "\"use_regex\":true},\"post_processor\":null,\"decoder\":{\"type\":"
                      "\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{", e);

    for (int b = 0; b < 256 && rc == 0; b++)
        rc = buf_puts(json, b ? ",\"" : "\"", e) || put_letter(json, (uint8_t)b, e) ||
             buf_addf(json, e, "\":%d", b);
    for (size_t i = 0; i < sizeof alphabet; i++)
        token[n++] = (struct token){{alphabet[i]}, 1};
    while (n < sizeof alphabet + MERGES && rc == 0) {
        const struct token *a = &token[below(state, n)], *b = &token[below(state, n)];
        struct token *made = &token[n];

        *made = *a;
        memcpy(made->byte + a->n, b->byte, b->n);
        made->n = a->n + b->n;
        if (made->n > LONGEST || has(token, n, made))
            continue;
        rc = buf_puts(json, ",\"", e) || put_token(json, made, e) ||
             buf_addf(json, e, "\":%zu", 256 + n) || buf_puts(&merges, merges.len ? ",[\"" : "[\"", e) ||
             put_token(&merges, a, e) || buf_puts(&merges, "\",\"", e) ||
             put_token(&merges, b, e) || buf_puts(&merges, "\"]", e);
        n++;
    }
    rc = rc || buf_puts(json, "},\"merges\":[", e) || buf_add(json, merges.data, merges.len, e) ||
         buf_puts(json, "]}}", e);
    buf_free(&merges);
    return rc;
}

static void merges_across_characters(void)
{
    uint64_t state = 3;

    for (int round = 0; round < 200; round++) {
        struct err e = {0};
        struct buf json = {0};
        struct tokenizer *t = NULL;
        bool ok;

        CHECK(make_merges(&json, &state, &e) == 0);
        t = tokrules_from_json("made", json.data, json.len, &e);
        CHECK_MSG(t, "%s", e.text);
        ok = agree(t, some_letters, 200, (uint64_t)round + 1);
        tokenizer_free(t);
        buf_free(&json);
        CHECK_MSG(ok, "round %d", round);
    }
}

int main(void)
{
    RUN(instruction_sets);
    RUN(golden_tokenizers);
    RUN(marks_before_words);
    RUN(long_texts);
    RUN(merges_across_characters);
    if (io_exists(MODELS "minilm-l6/tokenizer.json"))
        RUN(real_tokenizers);
    else
        SKIP(real_tokenizers, "no " MODELS);
    return test_end();
}
