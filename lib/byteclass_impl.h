/* SPDX-License-Identifier: MIT */
/*
 * byteclass_impl: byteclass over vectors; included once for each instruction set (no guard).
 *
 * The includer defines NAME(x), a name of its own; TARGET, an attribute of functions; struct
 * NAME(block); and the functions, TARGET too:
 *
 *     NAME(load)(p), NAME(store)(p, b)     64 bytes
 *     NAME(range)(b, low, high)            a bit for each byte from low to high
 *     NAME(fold)(b)                        capital letters made small
 *     NAME(lowered)(b)                     bit 5 of every byte set
 */

TARGET static void NAME(bert)(const uint8_t *p, uint8_t *lower, bool fold, struct bert_masks *m)
{
    const struct NAME(block) b = NAME(load)(p), low = NAME(lowered)(b);
    const uint64_t blank = NAME(range)(b, ' ', ' ') | NAME(range)(b, '\t', '\n') |
                           NAME(range)(b, '\r', '\r');
    const uint64_t control = NAME(range)(b, 0, 0x1f) | NAME(range)(b, 0x7f, 0xff);

    NAME(store)(lower, fold ? NAME(fold)(b) : b);
    m->word = NAME(range)(low, 'a', 'z') | NAME(range)(b, '0', '9');
    m->other = control & ~blank;
    m->punct = ~(m->word | blank | m->other);
}

TARGET static void NAME(gpt2)(const uint8_t *p, struct gpt2_masks *m)
{
    const struct NAME(block) b = NAME(load)(p), low = NAME(lowered)(b);

    m->letter = NAME(range)(low, 'a', 'z');
    m->digit = NAME(range)(b, '0', '9');
    m->space = NAME(range)(b, ' ', ' ');
    m->white = m->space | NAME(range)(b, '\t', '\r');
    m->high = NAME(range)(b, 0x80, 0xff);
    m->quote = NAME(range)(b, '\'', '\'');
}

#undef NAME
#undef TARGET
