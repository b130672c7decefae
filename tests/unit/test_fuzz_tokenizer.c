/* SPDX-License-Identifier: MIT */
/*
 * The fuzz targets of the tokenizer, without a fuzzer: on the golden files and texts, on
 * mutations of them, always the same ones, and on what a fuzzer found worth keeping.
 */
#include "../fuzz/fuzz_encode.c"
#include "../fuzz/fuzz_tokenizer.c"
#include "fuzz_kept.h"
#include "io.h"

enum { ROUNDS = 1500 };

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Changes, takes away or doubles some bytes. */
static void mutate(struct buf *b, uint64_t *state)
{
    static const char likely[] = "\"{}[]:,\\u0d8-9e.\x80\xff\xf0tfn";
    struct err e = {0};

    for (uint64_t times = 1 + next(state) % 4; times > 0 && b->len > 1; times--) {
        const size_t at = next(state) % b->len, len = next(state) % (b->len - at) % 64;
        char *p = b->data + at;

        switch (next(state) % 4) {
        case 0:
            *p = likely[next(state) % (sizeof likely - 1)];
            break;
        case 1:
            *p = (char)next(state);
            break;
        case 2:
            memmove(p, p + len, b->len - at - len);
            b->len -= len;
            break;
        default:
            if (buf_reserve(b, len, &e))
                return;
            memmove(b->data + at + len, b->data + at, b->len - at);
            b->len += len;
            break;
        }
    }
}

static void replay(const char *path, int rounds, int (*target)(const uint8_t *, size_t))
{
    uint64_t state = 42;
    struct err e = {0};
    struct buf b = {0};
    size_t n = 0;
    char *data = io_slurp(path, 1 << 20, &n, &e);

    CHECK_MSG(data, "%s", e.text);
    for (int i = 0; i < rounds; i++) {
        uint8_t *copy;

        buf_reset(&b);
        CHECK(buf_add(&b, data, n, &e) == 0);
        if (i > 0)
            mutate(&b, &state);
        copy = malloc(b.len ? b.len : 1);
        CHECK(copy);
        memcpy(copy, b.data, b.len);
        CHECK(target(copy, b.len) == 0);
        free(copy);
    }
    buf_free(&b);
    free(data);
}

static void wordpiece_files(void)
{
    replay("tests/golden/tokenizer/flags/tokenizer.json", ROUNDS, fuzz_tokenizer);
}

static void bpe_files(void)
{
    replay("tests/golden/tokenizer/bytes/tokenizer.json", ROUNDS, fuzz_tokenizer);
}

static void unigram_files(void)
{
    replay("tests/golden/tokenizer/unigram-first/tokenizer.json", ROUNDS, fuzz_tokenizer);
}

static void character_files(void)
{
    replay("tests/golden/tokenizer/chars/tokenizer.json", ROUNDS, fuzz_tokenizer);
    replay("tests/golden/tokenizer/suffix/tokenizer.json", ROUNDS, fuzz_tokenizer);
}

static void kept_files(void)
{
    fuzz_kept("tests/fuzz/tokenizer.tar.zst", fuzz_tokenizer);
}

static void kept_texts(void)
{
    fuzz_kept("tests/fuzz/encode.tar.zst", fuzz_encode);
}

/* Texts of random pieces, most of them hard. */
static void texts(void)
{
    static const char *const piece[] = {
        "the", " ", "  ", "\n", "A", "na\xc3\xafve", "e\xcc\x81", "\xcc\xa3", "\xe4\xb8\xad", "!",
        "[SEP]", "<mask>", "'s", "12", "\x01", "\x7f", "\xe2\x80\x8b", "\xef\xbf\xbd", "\xc4\xb0",
        "\xed\x95\x9c", "\xf0\x9f\x98\x80", "\xff", "\xe2\x80\xa8", "-", "abcdefghijklmnopqrstuvwxyz",
        "\xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0", "_", "\xc2\xa0", "Z", "\xf0\x9d\x85\xa5"};
    uint64_t state = 7;
    struct err e = {0};
    struct buf b = {0};

    for (int i = 0; i < ROUNDS; i++) {
        buf_reset(&b);
        for (uint64_t n = next(&state) % 80; n > 0; n--)
            CHECK(buf_puts(&b, piece[next(&state) % (sizeof piece / sizeof piece[0])], &e) == 0);
        CHECK(fuzz_encode((const uint8_t *)(b.data ? b.data : ""), b.len) == 0);
    }
    buf_free(&b);
}

int main(void)
{
    RUN(wordpiece_files);
    RUN(bpe_files);
    RUN(unigram_files);
    RUN(character_files);
    RUN(texts);
    RUN(kept_files);
    RUN(kept_texts);
    return test_end();
}
