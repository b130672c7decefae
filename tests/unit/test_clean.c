/* SPDX-License-Identifier: MIT */
/*
 * Text cleaning: lists, chunks of records, and the fuzz target on the inputs that are kept in
 * tests/fuzz/clean.txt, on mutations of them and on random pieces, always the same ones.  What
 * the steps do is in tests/clean.bats and tests/parity/clean.py.
 */
#include "../fuzz/fuzz_clean.c"
#include "chunk.h"
#include "io.h"
#include "test.h"

enum { ROUNDS = 400 };

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void lists(void)
{
    static const char *const bad[] = {"", ",", "ws,", "wss", "ws=1", "html=", "repeat=0", "repeat=10",
                                      "repeat=", "url=\xc3", "help", " ws", "WS"};
    static const char *const good[] = {"ws", "html,ws,html", "url", "url=", "url=a b", "repeat=9"};
    struct err e = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_MSG(!cleaner_make(bad[i], 0, &e), "%s", bad[i]);
        CHECK(e.code == ERR_USAGE);
        err_clear(&e);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct cleaner *c = cleaner_make(good[i], 0, &e);

        CHECK_MSG(c, "%s: %s", good[i], e.text);
        cleaner_free(c);
    }
    CHECK(!clean_step_name(-1) && !clean_step_does(10000));
}

static void nothing_to_do(void)
{
    struct clean_scratch s = {0};
    struct err e = {0};
    struct cleaner *c = cleaner_make("html,nfc,quotes", 0, &e);
    const char text[] = "plain", *to;
    size_t n;

    CHECK(c);
    CHECK(clean_text(c, &s, text, 5, &to, &n, &e) == 0 && to == text && n == 5);
    CHECK(clean_text(c, &s, text, 0, &to, &n, &e) == 0 && n == 0);
    CHECK(clean_text(c, &s, "<b>", 3, &to, &n, &e) == 0 && to && n == 0);
    clean_scratch_free(&s);
    cleaner_free(c);
}

/* Limits: what is long already may stay so, what grows may not. */
static void growth(void)
{
    struct clean_scratch s = {0};
    struct err e = {0};
    struct cleaner *c = cleaner_make("digits=xxxxxxxxxx", 40, &e);
    char text[100];
    const char *to;
    size_t n;

    CHECK(c);
    memset(text, 'a', sizeof text);
    CHECK(clean_text(c, &s, text, 100, &to, &n, &e) == 0 && n == 100);
    CHECK(clean_text(c, &s, "1 2 3 4", 7, &to, &n, &e) && e.code == ERR_DATA);
    err_clear(&e);
    CHECK(clean_text(c, &s, "1 2 3", 5, &to, &n, &e) == 0 && n == 32);
    clean_scratch_free(&s);
    cleaner_free(c);
}

static void chunks(void)
{
    struct record_chunk chunk = {0};
    struct clean_scratch s = {0};
    struct clean_counts counts = {0};
    struct err e = {0};
    struct cleaner *c = cleaner_make("html,ws", 0, &e);
    struct record *r;

    CHECK(c);
    for (int i = 0; i < 5000; i++) {
        r = chunk_add(&chunk, &e);
        CHECK(r);
        r->number = (uint64_t)i + 1;
        r->text = i % 3 ? "<b>one</b>  two" : "one two";
        r->text_len = strlen(r->text);
        if (i % 2) {
            r->pair = i % 5 ? "&amp;" : "<p> ";
            r->pair_len = strlen(r->pair);
        }
    }
    CHECK(clean_chunk(c, &s, &chunk, &counts, &e) == 0);
    CHECK(counts.changed == 3333 + 2500 && counts.emptied == 500);
    for (int i = 0; i < 5000; i++) {
        r = &chunk.at[i];
        CHECK(r->text_len == 7 && memcmp(r->text, "one two", 7) == 0);
        CHECK((r->pair != NULL) == i % 2);
        CHECK(!r->pair || (i % 5 ? r->pair_len == 1 && *r->pair == '&' : r->pair_len == 0));
    }
    record_chunk_free(&chunk);
    clean_scratch_free(&s);
    cleaner_free(c);
}

/* The lines of the corpus, and each with some bytes changed, taken away or doubled. */
static void kept_inputs(void)
{
    uint64_t state = 42;
    struct err e = {0};
    size_t n = 0;
    char *data = io_slurp("tests/fuzz/clean.txt", 1 << 20, &n, &e);
    char *line = data, copy[4096];

    CHECK_MSG(data, "%s", e.text);
    for (char *end; line < data + n && (end = memchr(line, '\n', (size_t)(data + n - line))) != NULL;
         line = end + 1) {
        const size_t len = (size_t)(end - line);

        CHECK(len > 0 && len < sizeof copy / 2);
        for (int round = 0; round < 20; round++) {
            size_t used = len;

            memcpy(copy, line, len);
            if (round > 0)
                copy[next(&state) % len] = (char)next(&state);
            if (round > 10) {
                const size_t at = next(&state) % len;

                memmove(copy + at + len, copy + at, len - at);
                memcpy(copy + at, line, len);
                used = 2 * len;
            }
            CHECK(fuzz_clean((const uint8_t *)copy, used) == 0);
        }
    }
    free(data);
}

static void random_pieces(void)
{
    static const char *const piece[] = {
        "the", " ", "\n", "<", ">", "<b>", "</", "<!--", "-->", "=\"", "'", "&", "&amp;", "&#x", "#39;",
        ";", "@", "a@b.de", "http://", "www.x.y", ")", "\\u", "d83d", "\\n", "-", "\xcc\x81", "\xcc\xa3",
        "e", "\xef\xac\x81", "\xea\xb0\x80", "\xe1\x86\xa8", "\xe1\x85\xa1", "\xcd\x84", "\xef\xb7\xba",
        "\xef\xbe\x9e", "\xf0\x9f\x91\xa8", "\xe2\x80\x8d", "\xef\xb8\x8f", "\xf0\x9f\x87\xa9", "\xce\xa3",
        "\xc2\xad", "\xc4\xb0", "\xd9\xa3", "1", "\xe2\x83\xa3", "\xff", "aaaa", "\xe2\x80\x99", "\x0c"};
    uint64_t state = 7;
    struct err e = {0};
    struct buf b = {0};

    for (int i = 0; i < ROUNDS; i++) {
        buf_reset(&b);
        for (uint64_t n = next(&state) % 60; n > 0; n--)
            CHECK(buf_puts(&b, piece[next(&state) % (sizeof piece / sizeof piece[0])], &e) == 0);
        CHECK(fuzz_clean((const uint8_t *)(b.data ? b.data : ""), b.len) == 0);
    }
    buf_free(&b);
}

int main(void)
{
    RUN(lists);
    RUN(nothing_to_do);
    RUN(growth);
    RUN(chunks);
    RUN(kept_inputs);
    RUN(random_pieces);
    return test_end();
}
