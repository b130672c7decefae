/* SPDX-License-Identifier: MIT */
#include "unidata.h"

#include "unidata_tables.h"

/* Hangul syllables are decomposed by arithmetic (Unicode, section 3.12). */
enum {
    HANGUL = 0xac00, HANGUL_N = 11172, LEAD = 0x1100, LEAD_N = 19, VOWEL = 0x1161,
    VOWEL_N = 21, TAIL = 0x11a7, TAIL_N = 28
};

const struct uni_map *uni_find(const struct uni_map *map, size_t n, uint32_t c)
{
    size_t low = 0, high = n;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (map[middle].from < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && map[low].from == c ? &map[low] : NULL;
}

/* A mapping's target is a place in the pool and a length in its low three bits. */
static int expand(const struct uni_map *m, uint32_t c, uint32_t *out)
{
    if (!m) {
        out[0] = c;
        return 1;
    }
    for (uint32_t i = 0; i < (m->to & 7); i++)
        out[i] = uni_pool[(m->to >> 3) + i];
    return (int)(m->to & 7);
}

int uni_lower_case(uint32_t c, uint32_t out[UNI_LONGEST])
{
    return expand(uni_of(c) & UNI_LOWER ? uni_find(uni_lower, N_UNI_LOWER, c) : NULL, c, out);
}

int uni_decompose(uint32_t c, uint32_t out[UNI_LONGEST])
{
    if (c >= HANGUL && c < HANGUL + HANGUL_N) {
        const uint32_t s = c - HANGUL;

        out[0] = LEAD + s / (VOWEL_N * TAIL_N);
        out[1] = VOWEL + s % (VOWEL_N * TAIL_N) / TAIL_N;
        out[2] = TAIL + s % TAIL_N;
        return s % TAIL_N ? 3 : 2;
    }
    return expand(uni_of(c) & UNI_DECOMP ? uni_find(uni_decomp, N_UNI_DECOMP, c) : NULL, c, out);
}

uint8_t uni_class(uint32_t c)
{
    const struct uni_map *m = uni_of(c) & UNI_CCC ? uni_find(uni_ccc, N_UNI_CCC, c) : NULL;

    return m ? (uint8_t)m->to : 0;
}

uint32_t uni_find_pair(const struct uni_pair *pair, size_t n, uint32_t first, uint32_t second)
{
    size_t low = 0, high = n;

    while (low < high) {
        const size_t middle = (low + high) / 2;
        const struct uni_pair *p = &pair[middle];

        if (p->first < first || (p->first == first && p->second < second))
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && pair[low].first == first && pair[low].second == second ? pair[low].composed
                                                                             : 0;
}

uint32_t uni_hangul(uint32_t first, uint32_t second)
{
    if (first >= LEAD && first < LEAD + LEAD_N && second >= VOWEL && second < VOWEL + VOWEL_N)
        return HANGUL + ((first - LEAD) * VOWEL_N + (second - VOWEL)) * TAIL_N;
    if (first >= HANGUL && first < HANGUL + HANGUL_N && (first - HANGUL) % TAIL_N == 0 &&
        second > TAIL && second < TAIL + TAIL_N)
        return first + (second - TAIL);
    return 0;
}

uint32_t uni_composed(uint32_t first, uint32_t second)
{
    const uint32_t syllable = uni_hangul(first, second);

    return syllable ? syllable : uni_find_pair(uni_compose, N_UNI_COMPOSE, first, second);
}
