/* SPDX-License-Identifier: MIT */
#include "wordcount.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* The slot of a word, or the free one where it would go. */
static size_t find_slot(const struct wordcount *w, const char *word, size_t n)
{
    size_t i = (size_t)XXH3_64bits(word, n) & (w->slots - 1);

    while (w->slot[i]) {
        const struct word *have = &w->word[w->slot[i] - 1];

        if (have->n == n && memcmp(w->bytes + have->at, word, n) == 0)
            break;
        i = (i + 1) & (w->slots - 1);
    }
    return i;
}

static int grow_slots(struct wordcount *w, struct err *e)
{
    const size_t slots = w->slots ? w->slots * 2 : 1024;
    uint32_t *fresh = mem_alloc(slots, sizeof *fresh, "word counts", e);

    if (!fresh)
        return -1;
    free(w->slot);
    w->slot = fresh;
    w->slots = slots;
    for (size_t i = 0; i < w->n; i++)
        w->slot[find_slot(w, w->bytes + w->word[i].at, w->word[i].n)] = (uint32_t)i + 1;
    return 0;
}

int wordcount_add(struct wordcount *w, const char *word, size_t n, uint64_t times,
                  struct err *e)
{
    size_t slot;

    if (n > UINT32_MAX || w->n >= UINT32_MAX - 1)
        return err_set(e, ERR_DATA, "the corpus has more words than can be counted");
    if (w->n * 2 >= w->slots && grow_slots(w, e))
        return -1;
    slot = find_slot(w, word, n);
    if (w->slot[slot]) {
        w->word[w->slot[slot] - 1].count += times;
        return 0;
    }
    if (mem_grow(&w->word, &w->cap, w->n + 1, sizeof *w->word, e) ||
        mem_grow(&w->bytes, &w->cap_bytes, w->n_bytes + n + 1, 1, e))
        return -1;
    memcpy(w->bytes + w->n_bytes, word, n);
    w->word[w->n++] = (struct word){.at = w->n_bytes, .n = (uint32_t)n, .count = times};
    w->n_bytes += n;
    w->slot[slot] = (uint32_t)w->n;
    return 0;
}

int wordcount_merge(struct wordcount *w, const struct wordcount *from, struct err *e)
{
    for (size_t i = 0; i < from->n; i++)
        if (wordcount_add(w, from->bytes + from->word[i].at, from->word[i].n,
                          from->word[i].count, e))
            return -1;
    return 0;
}

static int compare_words(const void *a, const void *b, void *bytes)
{
    const struct word *x = a, *y = b;
    const size_t n = x->n < y->n ? x->n : y->n;
    const int c = memcmp((char *)bytes + x->at, (char *)bytes + y->at, n);

    if (c != 0)
        return c;
    return (x->n > y->n) - (x->n < y->n);
}

static int compare_counts(const void *a, const void *b, void *bytes)
{
    const struct word *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return compare_words(a, b, bytes);
}

static void sort_words(struct wordcount *w, int (*compare)(const void *, const void *, void *))
{
    if (w->n)
        qsort_r(w->word, w->n, sizeof *w->word, compare, w->bytes);
    free(w->slot);
    w->slot = NULL;
    w->slots = 0;
}

void wordcount_sort(struct wordcount *w)
{
    sort_words(w, compare_words);
}

void wordcount_rank(struct wordcount *w)
{
    sort_words(w, compare_counts);
}

void wordcount_free(struct wordcount *w)
{
    free(w->word);
    free(w->bytes);
    free(w->slot);
    *w = (struct wordcount){0};
}
