/* SPDX-License-Identifier: MIT */
#include "crc32.h"

#include <string.h>

/*
 * Eight bytes at a time, with a table for each byte ("slicing by 8": Kounavis and Berry,
 * 2005).  The tables are made on the stack: 8 KiB, worth it from some KiB of data on; less
 * than that goes bit by bit.
 */
enum { TABLES_FROM = 4096 };

static uint32_t step(uint32_t c)
{
    for (int bit = 0; bit < 8; bit++)
        c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    return c;
}

static uint32_t add_slowly(uint32_t c, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        c = step((c ^ p[i]) & 0xff) ^ c >> 8;
    return c;
}

uint32_t crc32_add(uint32_t crc, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t table[8][256], c = ~crc;

    if (n < TABLES_FROM)
        return ~add_slowly(c, p, n);
    for (uint32_t i = 0; i < 256; i++)
        table[0][i] = step(i);
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            table[k][i] = table[0][table[k - 1][i] & 0xff] ^ table[k - 1][i] >> 8;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t low, high;

        memcpy(&low, p, 4);
        memcpy(&high, p + 4, 4);
        low ^= c;
        c = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
            table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
            table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
    }
    return ~add_slowly(c, p, n);
}
