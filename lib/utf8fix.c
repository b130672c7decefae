/* SPDX-License-Identifier: MIT */
#include "utf8fix.h"

#include <string.h>

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

size_t utf8_first_bad(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i = 0;

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
