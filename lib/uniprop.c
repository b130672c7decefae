/* SPDX-License-Identifier: MIT */
#include "uniprop.h"

#include "uniprop_tables.h"

int prop_decompose(uint32_t c, bool compat, uint32_t out[PROP_LONGEST])
{
    const uint32_t flags = prop_of(c);
    const struct uni_map *m = NULL;

    if (compat && flags & PROP_COMPAT)
        m = uni_find(prop_compat, N_PROP_COMPAT, c);
    else if (flags & PROP_CANON)
        m = uni_find(prop_canon, N_PROP_CANON, c);
    if (!m) /* a Hangul syllable, or nothing to do */
        return flags & PROP_CANON ? uni_decompose(c, out) : (out[0] = c, 1);
    for (uint32_t i = 0; i < (m->to & 31); i++)
        out[i] = prop_pool[(m->to >> 5) + i];
    return (int)(m->to & 31);
}

uint8_t prop_class(uint32_t c)
{
    const struct uni_map *m = prop_of(c) & PROP_CCC ? uni_find(prop_ccc, N_PROP_CCC, c) : NULL;

    return m ? (uint8_t)m->to : 0;
}

uint32_t prop_composed(uint32_t first, uint32_t second)
{
    const uint32_t syllable = uni_hangul(first, second);

    return syllable ? syllable : uni_find_pair(prop_compose, N_PROP_COMPOSE, first, second);
}
