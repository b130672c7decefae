/* SPDX-License-Identifier: MIT */
#include "utf8.h"

size_t utf8_count(const uint8_t *p, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += (p[i] & 0xc0) != 0x80;
    return count;
}

/* Bytes of p that start a valid sequence; *whole tells whether it is complete. */
static size_t valid_part(const uint8_t *p, size_t n, bool *whole)
{
    const size_t len = utf8_length(p[0]);
    size_t i;

    *whole = false;
    if (len == 0)
        return 1;
    for (i = 1; i < len && i < n; i++) {
        uint8_t low = 0x80, high = 0xbf;

        if (i == 1 && p[0] == 0xe0)
            low = 0xa0;
        if (i == 1 && p[0] == 0xed)
            high = 0x9f;
        if (i == 1 && p[0] == 0xf0)
            low = 0x90;
        if (i == 1 && p[0] == 0xf4)
            high = 0x8f;
        if (p[i] < low || p[i] > high)
            break;
    }
    *whole = i == len;
    return i;
}

bool utf8_valid(const uint8_t *p, size_t n)
{
    bool whole = true;

    for (size_t i = 0; i < n && whole;)
        i += valid_part(p + i, n - i, &whole);
    return whole;
}

int utf8_lossy(const uint8_t *p, size_t n, struct buf *out, struct err *e)
{
    size_t good = 0, i = 0;

    while (i < n) {
        bool whole;
        const size_t part = valid_part(p + i, n - i, &whole);

        if (!whole && (buf_add(out, p + good, i - good, e) || buf_add(out, "\xef\xbf\xbd", 3, e)))
            return -1;
        i += part;
        if (!whole)
            good = i;
    }
    return buf_add(out, p + good, n - good, e);
}
