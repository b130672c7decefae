/* SPDX-License-Identifier: MIT */
#include "byteclass.h"

/* Bits of a byte's classes. */
enum { LETTER = 1, DIGIT = 2, SPACE = 4, WHITE = 8, HIGH = 16, QUOTE = 32, BLANK = 64, CONTROL = 128 };

static unsigned classes_of(uint8_t c)
{
    const uint8_t low = c | 0x20;

    if (c >= 0x80)
        return HIGH;
    if (low >= 'a' && low <= 'z')
        return LETTER;
    if (c >= '0' && c <= '9')
        return DIGIT;
    if (c == ' ')
        return SPACE | WHITE | BLANK;
    if (c == '\t' || c == '\n' || c == '\r')
        return WHITE | BLANK | CONTROL;
    if (c == '\v' || c == '\f')
        return WHITE | CONTROL;
    return c == '\'' ? QUOTE : c < ' ' || c == 0x7f ? CONTROL : 0;
}

static void bert(const uint8_t *p, uint8_t *lower, bool fold, struct bert_masks *m)
{
    *m = (struct bert_masks){0};
    for (unsigned i = 0; i < BYTE_BLOCK; i++) {
        const unsigned k = classes_of(p[i]);
        const uint64_t bit = (uint64_t)1 << i;

        lower[i] = fold && k & LETTER ? p[i] | 0x20 : p[i];
        if (k & (LETTER | DIGIT))
            m->word |= bit;
        else if (k & HIGH || (k & CONTROL && !(k & BLANK)))
            m->other |= bit;
        else if (!(k & BLANK))
            m->punct |= bit;
    }
}

static void gpt2(const uint8_t *p, struct gpt2_masks *m)
{
    *m = (struct gpt2_masks){0};
    for (unsigned i = 0; i < BYTE_BLOCK; i++) {
        const unsigned k = classes_of(p[i]);

        m->letter |= (uint64_t)((k & LETTER) != 0) << i;
        m->digit |= (uint64_t)((k & DIGIT) != 0) << i;
        m->space |= (uint64_t)((k & SPACE) != 0) << i;
        m->white |= (uint64_t)((k & WHITE) != 0) << i;
        m->high |= (uint64_t)((k & HIGH) != 0) << i;
        m->quote |= (uint64_t)((k & QUOTE) != 0) << i;
    }
}

const struct byteclass *byteclass_get(size_t i)
{
    static const struct byteclass plain = {"c", bert, gpt2};

    for (size_t k = 0; byteclass_x86(k); k++)
        if (i-- == 0)
            return byteclass_x86(k);
    for (size_t k = 0; byteclass_neon(k); k++)
        if (i-- == 0)
            return byteclass_neon(k);
    return i == 0 ? &plain : NULL;
}

const struct byteclass *byteclass_best(void)
{
    return byteclass_get(0);
}
