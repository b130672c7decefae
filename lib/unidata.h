/* SPDX-License-Identifier: MIT */
/*
 * unidata: what the reference tokenizer knows about each code point (L2).
 *
 * The facts are measured from Hugging Face `tokenizers` by lib/gen/unidata.py, which says
 * what each flag means: they mix the tables of several Unicode versions, as the reference
 * does (reference: tokenizers 0.23.3).
 */
#ifndef BERTUTILS_UNIDATA_H
#define BERTUTILS_UNIDATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uni_flag {
    UNI_SPACE = 0x1,      /* White_Space */
    UNI_DROP = 0x2,       /* removed by BERT's cleaning */
    UNI_BLANK = 0x4,      /* made a space by BERT's cleaning */
    UNI_MN = 0x8,         /* removed by BERT's accent stripping */
    UNI_MARK = 0x10,      /* removed by StripAccents */
    UNI_PUNCT = 0x20,     /* a word of its own for BERT */
    UNI_CJK = 0x40,       /* set apart by BERT */
    UNI_LETTER = 0x80,    /* \p{L} of the byte-level pattern */
    UNI_NUMBER = 0x100,   /* \p{N} */
    UNI_GAP = 0x200,      /* \s */
    UNI_WORD = 0x400,     /* \w, beside added tokens */
    UNI_NUMERIC = 0x800,  /* split off by Digits */
    UNI_DECOMP = 0x1000,  /* has a canonical decomposition */
    UNI_LOWER = 0x2000,   /* has another lower case */
    UNI_CCC = 0x4000,     /* has a combining class other than 0 */
    UNI_COMPOSES = 0x8000 /* may be composed with what stands before it */
};

enum { UNI_SHIFT = 7, UNI_POINTS = 0x110000 };

struct uni_map {
    uint32_t from, to;
};
struct uni_pair {
    uint32_t first, second, composed;
};

extern const uint16_t uni_index[], uni_flags[];

/* The flags of a code point; 0 beyond U+10FFFF. */
static inline uint32_t uni_of(uint32_t c)
{
    if (c >= UNI_POINTS)
        return 0;
    return uni_flags[(size_t)uni_index[c >> UNI_SHIFT] << UNI_SHIFT |
                     (c & ((1u << UNI_SHIFT) - 1))];
}

enum { UNI_LONGEST = 4 }; /* code points in one mapping */

/* The lower case of a code point: 1 to 3 code points; returns how many. */
int uni_lower_case(uint32_t c, uint32_t out[UNI_LONGEST]);
/* Its full canonical decomposition, itself where there is none. */
int uni_decompose(uint32_t c, uint32_t out[UNI_LONGEST]);
/* Its canonical combining class. */
uint8_t uni_class(uint32_t c);
/* The primary composite of two code points, or 0. */
uint32_t uni_composed(uint32_t first, uint32_t second);

/* For tables of other versions: the entry of c or NULL, the composite of a pair or 0. */
const struct uni_map *uni_find(const struct uni_map *map, size_t n, uint32_t c);
uint32_t uni_find_pair(const struct uni_pair *pair, size_t n, uint32_t first, uint32_t second);
/* The composite by arithmetic of two jamo, or of a syllable and a jamo, or 0. */
uint32_t uni_hangul(uint32_t first, uint32_t second);

#endif
