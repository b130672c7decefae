/* SPDX-License-Identifier: MIT */
/*
 * byteclass: 64 bytes of text as bit masks, bit i for byte i (L2, private).
 *
 * One version for each instruction set, all with the same result; what the processor has is
 * found out when it is asked for.
 */
#ifndef BERTUTILS_BYTECLASS_H
#define BERTUTILS_BYTECLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BYTE_BLOCK = 64 };

/* To BERT's rules a byte is part of a word, punctuation, not to be told alone, or a blank. */
struct bert_masks {
    uint64_t word, punct, other;
};
/* To ByteLevel's pattern: a letter, a digit, a space, white space (also one), not ASCII, ' */
struct gpt2_masks {
    uint64_t letter, digit, space, white, high, quote;
};

struct byteclass {
    const char *name;
    /* Also writes the bytes to lower[0..63], letters of ASCII in lower case with `fold`. */
    void (*bert)(const uint8_t *p, uint8_t *lower, bool fold, struct bert_masks *m);
    void (*gpt2)(const uint8_t *p, struct gpt2_masks *m);
};

/* The best version for this processor. */
const struct byteclass *byteclass_best(void);
/* Version i that this processor can run, the best first, plain C last; NULL behind it. */
const struct byteclass *byteclass_get(size_t i);

/* Those of other files: NULL where the processor lacks them; i as above, without plain C. */
const struct byteclass *byteclass_x86(size_t i);
const struct byteclass *byteclass_neon(size_t i);

#endif
