/* SPDX-License-Identifier: MIT */
#include "template.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

static void keep(struct template_text *text, size_t kept, int64_t head)
{
    const bool whole = kept == text->n || head < 0 || (uint64_t)head > kept;

    text->kept = kept;
    text->head = whole ? kept : (size_t)head;
}

void template_keep(const struct template *t, const struct template_limit *limit,
                   struct template_text *a, struct template_text *b)
{
    size_t n_a = a->n, n_b = b ? b->n : 0;

    template_cut(t, limit->max_len, &n_a, b ? &n_b : NULL);
    keep(a, n_a, limit->head);
    if (b)
        keep(b, n_b, limit->head);
}

int template_read_cut(const char *text, struct template_limit *limit, struct err *e)
{
    static const char both[] = "head+tail";
    const size_t n = sizeof both - 1;
    char *end = NULL;

    limit->head = strcmp(text, "tail") == 0 ? 0 : -1;
    if (strcmp(text, "tail") == 0 || strcmp(text, "head") == 0)
        return 0;
    if (strcmp(text, both) == 0) {
        limit->head = limit->max_len / 4;
        return 0;
    }
    if (strncmp(text, both, n) == 0 && text[n] == ':' && text[n + 1] >= '0' &&
        text[n + 1] <= '9')
        limit->head = strtoll(text + n + 1, &end, 10);
    if (end && !*end && limit->head <= INT32_MAX)
        return 0;
    return err_set(e, ERR_USAGE,
                   "'%s' is none of head, tail, head+tail, head+tail:N",
                   text);
}

size_t template_take(const struct template_text *text, int32_t *ids)
{
    const size_t gap = text->n - text->kept;

    for (size_t i = 0; i < text->kept; i++)
        ids[i] = (int32_t)text->ids[i < text->head ? i : i + gap];
    return text->kept;
}

size_t template_fill(const struct template *t, const struct template_text *a,
                     const struct template_text *b, int32_t *ids, int32_t *types,
                     uint8_t *ordinary)
{
    const struct template_piece *at = b ? t->pair : t->single;
    const int n = b ? t->n_pair : t->n_single;
    size_t out = 0;

    for (int i = 0; i < n; i++) {
        const bool special = at[i].id >= 0;
        size_t count = 1;

        if (special)
            ids[out] = at[i].id;
        else
            count = template_take(at[i].id == SEGMENT_A ? a : b, ids + out);
        for (size_t k = 0; k < count; k++)
            types[out + k] = at[i].type;
        if (ordinary)
            memset(ordinary + out, !special, count);
        out += count;
    }
    return out;
}
