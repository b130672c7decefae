/* SPDX-License-Identifier: MIT */
#include "template.h"

int template_specials(const struct template *t, int pair)
{
    const struct template_piece *at = pair ? t->pair : t->single;
    const int n = pair ? t->n_pair : t->n_single;
    int specials = 0;

    for (int i = 0; i < n; i++)
        specials += at[i].id >= 0;
    return specials;
}

void template_cut(const struct template *t, int64_t max_len, size_t *n_a, size_t *n_b)
{
    const int64_t room = max_len - template_specials(t, n_b != NULL);
    const size_t budget = room > 0 ? (size_t)room : 0;
    size_t *shorter = n_a, *longer = n_b;

    if (max_len <= 0)
        return;
    if (!n_b) {
        if (*n_a > budget)
            *n_a = budget;
        return;
    }
    if (*n_b > budget || *n_a > budget - *n_b) {
        if (*n_a > *n_b) {
            shorter = n_b;
            longer = n_a;
        }
        /* The shorter one stays whole where the longer one can still be as long. */
        if (*shorter <= budget / 2) {
            *longer = budget - *shorter;
        } else {
            *shorter = budget / 2;
            *longer = budget - budget / 2;
        }
    }
}

size_t template_fill(const struct template *t, const uint32_t *a, size_t n_a, const uint32_t *b,
                     size_t n_b, int32_t *ids, int32_t *types, uint8_t *ordinary)
{
    const struct template_piece *at = b ? t->pair : t->single;
    const int n = b ? t->n_pair : t->n_single;
    size_t out = 0;

    for (int i = 0; i < n; i++) {
        const uint32_t *from = at[i].id == SEGMENT_A ? a : b;
        const size_t count = at[i].id >= 0 ? 1 : at[i].id == SEGMENT_A ? n_a : n_b;

        for (size_t k = 0; k < count; k++, out++) {
            ids[out] = at[i].id >= 0 ? at[i].id : (int32_t)from[k];
            types[out] = at[i].type;
            if (ordinary)
                ordinary[out] = at[i].id < 0;
        }
    }
    return out;
}
