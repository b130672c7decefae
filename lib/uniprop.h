/* SPDX-License-Identifier: MIT */
/*
 * uniprop: properties and decompositions of code points in one Unicode version (L2).
 *
 * For tok --clean.  What the tokenizers believe is older and mixed: unidata.h.  Made by
 * lib/gen/uniprop.py, which says what each flag means.
 */
#ifndef BERTUTILS_UNIPROP_H
#define BERTUTILS_UNIPROP_H

#include "unidata.h"

enum prop_flag {
    PROP_CCC = 0x1,       /* has a combining class other than 0 */
    PROP_CANON = 0x2,     /* has a canonical decomposition */
    PROP_COMPAT = 0x4,    /* its NFKD is not its NFD */
    PROP_COMPOSES = 0x8,  /* may be composed with what stands before it */
    PROP_MN = 0x10,       /* a non-spacing mark */
    PROP_CASED = 0x20,
    PROP_IGNORABLE = 0x40, /* Case_Ignorable */
    PROP_DIGIT = 0x80,    /* Nd */
    PROP_SPACE = 0x100,   /* Python's str.isspace */
    PROP_HIDDEN = 0x200,  /* controls and format characters that show nothing */
    PROP_EMOJI = 0x400,   /* may be an emoji */
    PROP_PICTURE = 0x800  /* is one without U+FE0F */
};

enum { PROP_SHIFT = 7, PROP_LONGEST = 18 };

extern const uint16_t prop_index[], prop_flags[];

/* The flags of a code point; 0 beyond U+10FFFF. */
static inline uint32_t prop_of(uint32_t c)
{
    if (c >= UNI_POINTS)
        return 0;
    return prop_flags[(size_t)prop_index[c >> PROP_SHIFT] << PROP_SHIFT |
                      (c & ((1u << PROP_SHIFT) - 1))];
}

/* The full canonical (compat: compatibility) decomposition; returns its length, 1 if none. */
int prop_decompose(uint32_t c, bool compat, uint32_t out[PROP_LONGEST]);
/* Canonical combining class. */
uint8_t prop_class(uint32_t c);
/* The primary composite of two code points, or 0. */
uint32_t prop_composed(uint32_t first, uint32_t second);

#endif
