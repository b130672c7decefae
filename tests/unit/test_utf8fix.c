/* SPDX-License-Identifier: MIT */
/* What is well-formed UTF-8 without NUL, found sixteen bytes at a time, against table 3-7. */
#include "test.h"
#include "utf8fix.h"

#include <stdint.h>
#include <stdlib.h>

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * UINT64_C(0x2545f4914f6cdd1d)) >> 24;
}

/* Rows of table 3-7 of the Unicode Standard: the ranges of each byte; NUL is left out here. */
static const unsigned char row[][8] = {
    {0x01, 0x7f},
    {0xc2, 0xdf, 0x80, 0xbf},
    {0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf},
    {0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf},
    {0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf},
    {0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf},
    {0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
    {0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
    {0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf}};
enum { ROWS = sizeof row / sizeof row[0] };

static size_t row_length(const unsigned char *r)
{
    return r[2] == 0 ? 1 : r[4] == 0 ? 2 : r[6] == 0 ? 3 : 4;
}

/* Bytes at p that are a whole sequence, or 0. */
static size_t whole(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < ROWS; i++) {
        const size_t len = row_length(row[i]);
        size_t k = 0;

        while (k < len && k < n && p[k] >= row[i][2 * k] && p[k] <= row[i][2 * k + 1])
            k++;
        if (k == len)
            return len;
    }
    return 0;
}

static size_t first_bad(const unsigned char *p, size_t n)
{
    size_t at = 0, len;

    while (at < n && (len = whole(p + at, n - at)) > 0)
        at += len;
    return at;
}

/* Up to 100 bytes of sequences, here and there a byte that should not be there, or an end. */
static size_t random_bytes(uint64_t *state, unsigned char *p)
{
    const size_t most = next(state) % 97, rare = 8 + next(state) % 200;
    size_t n = 0;

    while (n < most) {
        const unsigned char *r = row[next(state) % 3 ? next(state) % ROWS : 0];

        if (next(state) % rare == 0) {
            p[n++] = (unsigned char)next(state);
            continue;
        }
        for (size_t k = 0; k < row_length(r); k++) {
            /* The ends of the ranges more often than what is between. */
            const unsigned low = r[2 * k], high = r[2 * k + 1];
            const uint64_t x = next(state) % 4;

            p[n++] = (unsigned char)(x == 0 ? low : x == 1 ? high : low + next(state) % (high - low + 1));
        }
    }
    return n > most && next(state) % 2 ? most : n;
}

static void random_sequences(void)
{
    uint64_t state = 11;

    for (int round = 0; round < 300000; round++) {
        unsigned char bytes[104];
        const size_t n = random_bytes(&state, bytes);
        char *copy = malloc(n ? n : 1); /* just as large, for a sanitizer */
        size_t found;

        CHECK(copy);
        memcpy(copy, bytes, n);
        found = utf8_first_bad(copy, n);
        free(copy);
        CHECK_MSG(found == first_bad(bytes, n), "round %d: %zu of %zu", round, found, n);
    }
}

/* Every two bytes, at every place of a block, with something behind. */
static void pairs_at_every_place(void)
{
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        unsigned char bytes[40];
        const size_t at = pair % 19;

        memset(bytes, 'x', sizeof bytes);
        bytes[at] = (unsigned char)(pair >> 8);
        bytes[at + 1] = (unsigned char)pair;
        bytes[at + 2] = pair % 3 ? 0x80 : 'x';
        bytes[at + 3] = pair % 5 ? 0xbf : 'x';
        CHECK_MSG(utf8_first_bad((const char *)bytes, sizeof bytes) ==
                      first_bad(bytes, sizeof bytes), "%04x", pair);
    }
}

int main(void)
{
    RUN(random_sequences);
    RUN(pairs_at_every_place);
    return test_end();
}
