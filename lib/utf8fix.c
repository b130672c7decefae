/* SPDX-License-Identifier: MIT */
#include "utf8fix.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Bytes among eight that are 0 or from 0x80 on have their highest bit set. */
static uint64_t not_plain(const char *s)
{
    uint64_t eight;

    memcpy(&eight, s, sizeof eight);
    return (eight | (eight - 0x0101010101010101u)) & 0x8080808080808080u;
}

bool utf8_is_plain(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i = 0;

    for (; n - i >= 32; i += 32)
        if (not_plain(s + i) | not_plain(s + i + 8) | not_plain(s + i + 16) | not_plain(s + i + 24))
            return false;
    for (; i < n; i++)
        if (p[i] == 0 || p[i] >= 0x80)
            return false;
    return true;
}

/*
 * Length of the sequence at p (n >= 1 bytes are there).  *good says whether it is a whole,
 * well-formed one; else the length is that of the maximal part to be replaced.  The ranges
 * of the second byte are those of table 3-7 of the Unicode Standard.
 */
static size_t sequence(const unsigned char *p, size_t n, bool *good)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t need, i;

    *good = false;
    if (p[0] < 0x80) {
        *good = p[0] != 0;
        return 1;
    }
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 1;
    need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    for (i = 1; i < need; i++) {
        if (i == n || p[i] < low || p[i] > high)
            return i;
        low = 0x80;
        high = 0xbf;
    }
    *good = true;
    return need;
}

#if defined(__SSE2__)
/* ---- sixteen bytes at a time ---- */

static __m128i all(int byte)
{
    return _mm_set1_epi8((char)byte);
}

static __m128i is(__m128i v, int byte)
{
    return _mm_cmpeq_epi8(v, all(byte));
}

static __m128i at_least(__m128i v, int byte)
{
    return _mm_cmpeq_epi8(_mm_max_epu8(v, all(byte)), v);
}

static __m128i at_most(__m128i v, int byte)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(v, all(byte)), v);
}

/* Whether a byte of v is wrong behind `before`; what lacks at the end is not seen. */
static bool wrong(__m128i before, __m128i v)
{
    const __m128i one = _mm_or_si128(_mm_slli_si128(v, 1), _mm_srli_si128(before, 15)),
                  two = _mm_or_si128(_mm_slli_si128(v, 2), _mm_srli_si128(before, 14)),
                  three = _mm_or_si128(_mm_slli_si128(v, 3), _mm_srli_si128(before, 13));
    const __m128i expected = _mm_or_si128(at_least(one, 0xc0),
                                          _mm_or_si128(at_least(two, 0xe0), at_least(three, 0xf0)));
    const __m128i inner = is(_mm_and_si128(v, all(0xc0)), 0x80);
    const __m128i low = _mm_or_si128(_mm_and_si128(is(one, 0xe0), at_most(v, 0x9f)),
                                     _mm_and_si128(is(one, 0xf0), at_most(v, 0x8f)));
    const __m128i high = _mm_or_si128(_mm_and_si128(is(one, 0xed), at_least(v, 0xa0)),
                                      _mm_and_si128(is(one, 0xf4), at_least(v, 0x90)));
    const __m128i never = _mm_or_si128(_mm_or_si128(is(v, 0), at_least(v, 0xf5)),
                                       is(_mm_and_si128(v, all(0xfe)), 0xc0));
    const __m128i bad = _mm_or_si128(_mm_or_si128(_mm_xor_si128(expected, inner), never),
                                     _mm_or_si128(low, high));

    return _mm_movemask_epi8(bad) != 0;
}

/* The start of a sequence, 0 or behind good ones: from there on bytes are looked at one by one. */
static size_t skip_good(const unsigned char *p, size_t n)
{
    __m128i before = _mm_setzero_si128();
    size_t i = 0, back = 0;

    for (; n - i >= 16; i += 16) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));

        if (wrong(before, v))
            break;
        before = v;
        /* It ends in ASCII: much may follow. */
        for (; p[i + 15] < 0x80 && n - i >= 48 && utf8_is_plain((const char *)p + i + 16, 32); i += 32)
            before = all('a');
    }
    /* The sequence that began before p[i] may go on there. */
    while (back < 3 && back < i && (p[i - 1 - back] & 0xc0) == 0x80)
        back++;
    return back < i && p[i - 1 - back] >= 0xc0 ? i - 1 - back : i;
}
#else
static size_t skip_good(const unsigned char *p, size_t n)
{
    (void)p;
    (void)n;
    return 0;
}
#endif

size_t utf8_first_bad(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i = skip_good(p, n);

    while (i < n) {
        bool good;
        size_t length;

        while (n - i >= 32 && utf8_is_plain(s + i, 32))
            i += 32;
        if (i == n)
            break;
        length = sequence(p + i, n - i, &good);
        if (!good)
            return i;
        i += length;
    }
    return n;
}

size_t utf8_fix(const char *s, size_t n, char *out, uint64_t *replaced)
{
    size_t i = 0, used = 0;

    while (i < n) {
        const size_t clean = utf8_first_bad(s + i, n - i);
        bool good;

        memcpy(out + used, s + i, clean);
        used += clean;
        i += clean;
        if (i == n)
            break;
        i += sequence((const unsigned char *)s + i, n - i, &good);
        memcpy(out + used, "\xef\xbf\xbd", 3);
        used += 3;
        ++*replaced;
    }
    return used;
}
