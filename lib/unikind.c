/* SPDX-License-Identifier: MIT */
#include "unikind.h"

#include "unikind_tables.h"

int kind_decompose(uint32_t c, uint32_t out[KIND_LONGEST])
{
    const struct uni_map *m =
        kind_of(c) & KIND_COMPAT ? uni_find(kind_compat, N_KIND_COMPAT, c) : NULL;

    if (!m)
        return uni_decompose(c, out);
    for (uint32_t i = 0; i < (m->to & 31); i++)
        out[i] = kind_pool[(m->to >> 5) + i];
    return (int)(m->to & 31);
}

/* What of the cluster so far decides whether it goes on. */
struct cluster {
    uint32_t last;
    bool picture;    /* ends with a picture and marks */
    bool after_zwj;  /* and then a joiner */
    bool consonant, linker; /* ends with a consonant and marks, one of which links */
};

static void take(struct cluster *s, uint32_t kind)
{
    const unsigned b = kind & KIND_BREAK, join = kind >> KIND_JOIN_SHIFT & 3;

    s->after_zwj = s->picture && b == BREAK_ZWJ;
    s->picture = kind & KIND_PICT || (s->picture && b == BREAK_EXTEND);
    if (join == JOIN_CONSONANT) {
        s->consonant = true;
        s->linker = false;
    } else {
        s->consonant = s->consonant && join != JOIN_NO;
        s->linker = s->consonant && (s->linker || join == JOIN_LINKER);
    }
    s->last = b;
}

/* Rules GB3 to GB9c and GB11. */
static bool goes_on(const struct cluster *s, uint32_t kind)
{
    const unsigned b = kind & KIND_BREAK;

    if (s->last == BREAK_CR)
        return b == BREAK_LF;
    if (s->last == BREAK_LF || s->last == BREAK_CONTROL || b == BREAK_CR || b == BREAK_LF ||
        b == BREAK_CONTROL)
        return false;
    if (b == BREAK_EXTEND || b == BREAK_ZWJ || b == BREAK_SPACING || s->last == BREAK_PREPEND)
        return true;
    if (s->last == BREAK_L)
        return b == BREAK_L || b == BREAK_V || b == BREAK_LV || b == BREAK_LVT;
    if (s->last == BREAK_V || s->last == BREAK_LV)
        return b == BREAK_V || b == BREAK_T;
    if (s->last == BREAK_T || s->last == BREAK_LVT)
        return b == BREAK_T;
    return (s->after_zwj && kind & KIND_PICT) ||
           (s->linker && (kind >> KIND_JOIN_SHIFT & 3) == JOIN_CONSONANT);
}

size_t kind_cluster(const uint32_t *p, size_t n, size_t at)
{
    struct cluster s = {0};

    /* Most are one letter of ASCII before another one. */
    if (at + 1 < n && p[at] < 0x80 && p[at + 1] < 0x80 && p[at] != '\r')
        return at + 1;
    take(&s, kind_of(p[at]));
    for (at++; at < n; at++) {
        const uint32_t kind = kind_of(p[at]);

        if (!goes_on(&s, kind))
            break;
        take(&s, kind);
    }
    return at;
}
