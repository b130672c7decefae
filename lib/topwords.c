/* SPDX-License-Identifier: MIT */
#include "topwords.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BUCKETS = 2048, NONE = 0xffff };

struct topwords {
    struct topword word[TOPWORDS];
    size_t n;
    uint64_t total;
    uint16_t bucket[BUCKETS], next[TOPWORDS]; /* chains of the words of one hash */
    uint16_t heap[TOPWORDS], place[TOPWORDS]; /* the rarest on top; where each word is there */
};

struct topwords *topwords_new(struct err *e)
{
    struct topwords *t = mem_alloc(1, sizeof *t, "table of words", e);

    if (t)
        memset(t->bucket, 0xff, sizeof t->bucket);
    return t;
}

void topwords_free(struct topwords *t)
{
    free(t);
}

uint64_t topwords_total(const struct topwords *t)
{
    return t->total;
}

/* Of equally rare words the one that is earlier in the table goes first. */
static int rarer(const struct topwords *t, uint16_t a, uint16_t b)
{
    const uint64_t x = t->word[a].count, y = t->word[b].count;

    return x < y || (x == y && a < b);
}

static void put(struct topwords *t, size_t at, uint16_t word)
{
    t->heap[at] = word;
    t->place[word] = (uint16_t)at;
}

/* A word at heap[at] has become more frequent. */
static void sift_down(struct topwords *t, size_t at)
{
    const uint16_t word = t->heap[at];

    for (;;) {
        size_t child = at * 2 + 1;

        if (child >= t->n)
            break;
        child += child + 1 < t->n && rarer(t, t->heap[child + 1], t->heap[child]);
        if (!rarer(t, t->heap[child], word))
            break;
        put(t, at, t->heap[child]);
        at = child;
    }
    put(t, at, word);
}

static void sift_up(struct topwords *t, size_t at)
{
    const uint16_t word = t->heap[at];

    for (; at > 0 && rarer(t, word, t->heap[(at - 1) / 2]); at = (at - 1) / 2)
        put(t, at, t->heap[(at - 1) / 2]);
    put(t, at, word);
}

/* Takes a word out of the chain that it is in. */
static void unlink_word(struct topwords *t, uint16_t word)
{
    uint16_t *link = &t->bucket[t->word[word].hash[0] % BUCKETS];

    while (*link != word)
        link = &t->next[*link];
    *link = t->next[word];
}

static void fill(struct topwords *t, uint16_t word, const uint64_t hash[2], const char *p,
                 size_t n)
{
    struct topword *w = &t->word[word];
    uint16_t *bucket = &t->bucket[hash[0] % BUCKETS];

    if (n > TOPWORD_BYTES)
        for (n = TOPWORD_BYTES; n > 0 && ((uint8_t)p[n] & 0xc0) == 0x80;)
            n--;
    memcpy(w->text, p, n);
    w->text[n] = '\0';
    memcpy(w->hash, hash, sizeof w->hash);
    t->next[word] = *bucket;
    *bucket = word;
}

void topwords_add(struct topwords *t, const char *p, size_t n)
{
    const XXH128_hash_t h = XXH3_128bits(p, n);
    const uint64_t hash[2] = {h.low64, h.high64};
    uint16_t word = t->bucket[hash[0] % BUCKETS];

    t->total++;
    while (word != NONE && memcmp(t->word[word].hash, hash, sizeof hash) != 0)
        word = t->next[word];
    if (word == NONE && t->n < TOPWORDS) {
        word = (uint16_t)t->n++;
        fill(t, word, hash, p, n);
        t->word[word].count = 1;
        put(t, word, word);
        sift_up(t, word);
        return;
    }
    if (word == NONE) {
        word = t->heap[0];
        unlink_word(t, word);
        fill(t, word, hash, p, n);
        t->word[word].error = t->word[word].count;
    }
    t->word[word].count++;
    sift_down(t, t->place[word]);
}

static int by_count(const void *a, const void *b)
{
    const struct topword *x = *(const struct topword *const *)a;
    const struct topword *y = *(const struct topword *const *)b;
    const uint64_t sure_x = x->count - x->error, sure_y = y->count - y->error;
    int c;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    if (sure_x != sure_y)
        return sure_x < sure_y ? 1 : -1;
    c = strcmp(x->text, y->text);
    return c ? c : memcmp(x->hash, y->hash, sizeof x->hash);
}

size_t topwords_get(const struct topwords *t, struct topword *top, size_t most)
{
    const struct topword *sorted[TOPWORDS];
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        sorted[i] = &t->word[i];
    qsort(sorted, t->n, sizeof sorted[0], by_count);
    for (; n < most && n < t->n; n++)
        top[n] = *sorted[n];
    return n;
}
