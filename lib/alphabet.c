/* SPDX-License-Identifier: MIT */
#include "alphabet.h"
#include "mem.h"
#include "utf8.h"

#include <stdlib.h>

static int by_count(const void *a, const void *b)
{
    const struct letter *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return (x->code > y->code) - (x->code < y->code);
}

static int by_code(const void *a, const void *b)
{
    const struct letter *x = a, *y = b;

    return (x->code > y->code) - (x->code < y->code);
}

static int count_word(const uint8_t *p, const struct word *w, uint32_t *place,
                      struct alphabet *a, size_t *cap, struct err *e)
{
    size_t used;

    for (size_t at = 0; at < w->n; at += used) {
        uint32_t code = utf8_next(p + at, w->n - at, &used);

        if (code >= CODE_POINTS)
            code = 0xfffd;
        if (!place[code]) {
            if (mem_grow(&a->letter, cap, a->n + 1, sizeof *a->letter, e))
                return -1;
            a->letter[a->n++] = (struct letter){.code = code};
            place[code] = (uint32_t)a->n;
        }
        a->letter[place[code] - 1].count += w->count;
        a->letter[place[code] - 1].inside |= at > 0;
    }
    return 0;
}

int alphabet_count(const struct wordcount *words, struct alphabet *a, struct err *e)
{
    /* Zeroed memory that is never touched costs nothing, and most of this is not. */
    uint32_t *place = mem_alloc(CODE_POINTS, sizeof *place, "alphabet", e);
    size_t cap = 0;
    int rc = place ? 0 : -1;

    *a = (struct alphabet){0};
    for (size_t i = 0; i < words->n && rc == 0; i++)
        rc = count_word((const uint8_t *)words->bytes + words->word[i].at, &words->word[i], place,
                        a, &cap, e);
    free(place);
    if (rc)
        alphabet_free(a);
    else if (a->n)
        qsort(a->letter, a->n, sizeof *a->letter, by_code);
    return rc;
}

void alphabet_keep(struct alphabet *a, size_t most)
{
    if (a->n <= most)
        return;
    qsort(a->letter, a->n, sizeof *a->letter, by_count);
    a->n = most;
    qsort(a->letter, a->n, sizeof *a->letter, by_code);
}

int64_t alphabet_find(const struct alphabet *a, uint32_t code)
{
    size_t low = 0, high = a->n;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (a->letter[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->n && a->letter[low].code == code ? (int64_t)low : -1;
}

void alphabet_free(struct alphabet *a)
{
    free(a->letter);
    *a = (struct alphabet){0};
}
