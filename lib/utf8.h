/* SPDX-License-Identifier: MIT */
/*
 * utf8: code points from bytes and back (L0).
 *
 * Text inside the library is valid UTF-8 (records replaces what is not).  Reading is safe on
 * any bytes all the same: a byte that starts nothing valid is read alone, as U+FFFD.
 */
#ifndef BERTUTILS_UTF8_H
#define BERTUTILS_UTF8_H

#include "mem.h"

#include <stddef.h>
#include <stdint.h>

/* Number of bytes of a sequence by its first byte; 0: no first byte. */
static inline size_t utf8_length(uint8_t first)
{
    return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3
           : first < 0xf5 ? 4 : 0;
}

/* The code point at p[0..n-1], n > 0; *used is the number of bytes read, at least 1. */
static inline uint32_t utf8_next(const uint8_t *p, size_t n, size_t *used)
{
    const size_t len = utf8_length(p[0]);

    *used = 1;
    if (len == 1)
        return p[0];
    if (len == 0 || len > n)
        return 0xfffd;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0xfffd;
    *used = len;
    if (len == 2)
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    if (len == 3)
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
           (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

/* The same, quicker for one byte and for three. */
static inline uint32_t utf8_char(const uint8_t *p, size_t n, size_t *used)
{
    if (p[0] < 0x80) {
        *used = 1;
        return p[0];
    }
    if (n >= 3 && (p[0] & 0xf0) == 0xe0 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80) {
        *used = 3;
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    }
    return utf8_next(p, n, used);
}

/* The code point that ends before p[n], n > 0. */
static inline uint32_t utf8_last(const uint8_t *p, size_t n, size_t *used)
{
    size_t at = n - 1;
    uint32_t c;

    while (at > 0 && n - at < 4 && (p[at] & 0xc0) == 0x80)
        at--;
    c = utf8_next(p + at, n - at, used);
    if (*used != n - at)
        *used = 1;
    return c;
}

/* Writes a code point, up to 4 bytes; returns how many. */
static inline size_t utf8_put(uint32_t c, uint8_t *out)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Code points in valid UTF-8. */
size_t utf8_count(const uint8_t *p, size_t n);

/* Whether p[0..n-1] is well-formed UTF-8. */
bool utf8_valid(const uint8_t *p, size_t n);

/*
 * Appends p[0..n-1] to *out; each maximal part of an invalid sequence becomes one U+FFFD
 * (Unicode, chapter 3, "U+FFFD substitution of maximal subparts"), as Rust's
 * String::from_utf8_lossy does.
 */
int utf8_lossy(const uint8_t *p, size_t n, struct buf *out, struct err *e) MUST_USE;

#endif
