/* SPDX-License-Identifier: MIT */
/*
 * unikind: more of what the reference tokenizer knows about each code point (L2).
 *
 * What only SentencePiece's normalizer and patterns need: how grapheme clusters go on, the
 * general category, compatibility decompositions.  Made by lib/gen/unikind.py, which measures
 * them (reference: tokenizers 0.23.3).
 */
#ifndef BERTUTILS_UNIKIND_H
#define BERTUTILS_UNIKIND_H

#include "unidata.h"

enum kind_break {
    BREAK_OTHER, BREAK_CR, BREAK_LF, BREAK_CONTROL, BREAK_EXTEND, BREAK_ZWJ, BREAK_SPACING,
    BREAK_PREPEND, BREAK_L, BREAK_V, BREAK_T, BREAK_LV, BREAK_LVT
};
enum kind_join { JOIN_NO, JOIN_CONSONANT, JOIN_EXTEND, JOIN_LINKER };
enum kind_category {
    CATEGORY_CN, CATEGORY_LU, CATEGORY_LL, CATEGORY_LT, CATEGORY_LM, CATEGORY_LO, CATEGORY_MN,
    CATEGORY_MC, CATEGORY_ME, CATEGORY_ND, CATEGORY_NL, CATEGORY_NO, CATEGORY_PC, CATEGORY_PD,
    CATEGORY_PS, CATEGORY_PE, CATEGORY_PI, CATEGORY_PF, CATEGORY_PO, CATEGORY_SM, CATEGORY_SC,
    CATEGORY_SK, CATEGORY_SO, CATEGORY_ZS, CATEGORY_ZL, CATEGORY_ZP, CATEGORY_CC, CATEGORY_CF,
    CATEGORY_CS, CATEGORY_CO
};

enum { KIND_SHIFT = 7, KIND_LONGEST = 18 };
/* Of a code point's flags: a kind_break, PICT, a kind_join, COMPAT, a kind_category, \w. */
enum {
    KIND_BREAK = 0xf,
    KIND_PICT = 0x10,
    KIND_JOIN_SHIFT = 5,
    KIND_COMPAT = 0x80,
    KIND_CATEGORY_SHIFT = 8,
    KIND_WORD = 0x2000
};

extern const uint16_t kind_index[], kind_flags[];

static inline uint32_t kind_of(uint32_t c)
{
    if (c >= UNI_POINTS)
        return 0;
    return kind_flags[(size_t)kind_index[c >> KIND_SHIFT] << KIND_SHIFT |
                      (c & ((1u << KIND_SHIFT) - 1))];
}

static inline unsigned kind_category(uint32_t c)
{
    return kind_of(c) >> KIND_CATEGORY_SHIFT & 31;
}

/* The full compatibility decomposition of a code point, itself where there is none. */
int kind_decompose(uint32_t c, uint32_t out[KIND_LONGEST]);

/* Where the extended grapheme cluster that starts at p[at] ends; at < n.  UAX 29. */
size_t kind_cluster(const uint32_t *p, size_t n, size_t at);

#endif
