/* SPDX-License-Identifier: MIT */
/* The fuzz target of record input on the inputs that are kept, and on mutations of a few. */
#include "../fuzz/fuzz_input.c"
#include "fuzz_kept.h"

enum { ROUNDS = 3000 };

static void kept_inputs(void)
{
    fuzz_kept("tests/fuzz/input.tar.zst", fuzz_input);
}

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Texts of random pieces, read with random options. */
static void pieces(void)
{
    static const char *const piece[] = {
        "text", "label", "a", "b", ",", "\t", "\n", "\r\n", "\r", "\"", "\"\"", "{\"text\":\"",
        "\\u00e9", "\\ud83d", "\"}\n", "\"label\":1", "\xef\xbb\xbf", "\xff", "\xc3\xa9", " ",
        "0.5", "\x1f\x8b", "one,\"two, \"\"three\"\"\"", "null", "[", "\xff\xfe", ": "};
    uint64_t state = 11;
    struct err e = {0};
    struct buf b = {0};

    for (int i = 0; i < ROUNDS; i++) {
        buf_reset(&b);
        for (int k = 0; k < CHOICES; k++)
            CHECK(buf_putc(&b, (char)next(&state), &e) == 0);
        for (uint64_t n = next(&state) % 30; n > 0; n--)
            CHECK(buf_puts(&b, piece[next(&state) % (sizeof piece / sizeof piece[0])], &e) == 0);
        CHECK(fuzz_input((const uint8_t *)b.data, b.len) == 0);
    }
    buf_free(&b);
}

int main(void)
{
    RUN(kept_inputs);
    RUN(pieces);
    return test_end();
}
