/* SPDX-License-Identifier: MIT */
#include "seedpieces.h"
#include "mem.h"
#include "utf8.h"

#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* As many bytes as a seed can have decide on the order. */
enum { DEPTH = 4 * SEED_CHARS, FEW = 16 };

/* A suffix of a word; the key holds the eight bytes at the depth that is being sorted. */
struct suffix {
    uint64_t key;
    uint32_t at, word;
};

struct finder {
    const struct wordcount *words;
    uint64_t min_count;
    struct suffix *suffix;
    size_t n, cap;
    struct seeds *out;
};

static const uint8_t *suffix_text(const struct finder *f, const struct suffix *x, size_t *n)
{
    const struct word *w = &f->words->word[x->word];

    *n = w->at + w->n - x->at;
    return (const uint8_t *)f->words->bytes + x->at;
}

/* ---- sorting: quicksort by eight bytes at a time (Bentley and Sedgewick 1997) ---- */

/* The bytes at a depth, as a number in their order; zeros behind the end, which no word has. */
static uint64_t key_at(const struct finder *f, const struct suffix *x, size_t depth)
{
    uint64_t key = 0;
    size_t n;
    const uint8_t *p = suffix_text(f, x, &n);

    if (depth < n)
        memcpy(&key, p + depth, n - depth < sizeof key ? n - depth : sizeof key);
    return be64toh(key);
}

static bool before(const struct finder *f, const struct suffix *x, const struct suffix *y,
                   size_t depth)
{
    if (x->key != y->key || !(x->key & 0xff))
        return x->key < y->key;
    for (depth += 8; depth < DEPTH; depth += 8) {
        const uint64_t a = key_at(f, x, depth), b = key_at(f, y, depth);

        if (a != b || !(a & 0xff))
            return a < b;
    }
    return false;
}

static void insertion_sort(const struct finder *f, struct suffix *x, size_t n, size_t depth)
{
    for (size_t i = 1; i < n; i++) {
        const struct suffix one = x[i];
        size_t j = i;

        for (; j > 0 && before(f, &one, &x[j - 1], depth); j--)
            x[j] = x[j - 1];
        x[j] = one;
    }
}

static uint64_t middle_key(const struct suffix *x, size_t n)
{
    /* Three places that no regular input is made for. */
    const uint64_t a = x[n * 3 / 17].key, b = x[n / 2].key, c = x[n * 13 / 16].key;

    if (a < b)
        return b < c ? b : a < c ? c : a;
    return a < c ? a : b < c ? c : b;
}

static void sort(const struct finder *f, struct suffix *x, size_t n, size_t depth)
{
    while (n > FEW) {
        const uint64_t key = middle_key(x, n);
        size_t less = 0, more = n, i = 0;

        while (i < more) {
            const struct suffix one = x[i];

            if (one.key < key) {
                x[i++] = x[less];
                x[less++] = one;
            } else if (one.key > key) {
                x[i] = x[--more];
                x[more] = one;
            } else {
                i++;
            }
        }
        /* A last byte of zero: these suffixes have ended and are equal. */
        if (key & 0xff && depth + 8 < DEPTH) {
            for (i = less; i < more; i++)
                x[i].key = key_at(f, &x[i], depth + 8);
            sort(f, x + less, more - less, depth + 8);
        }
        /* The smaller side first, so that calls within calls stay few. */
        if (less < n - more) {
            sort(f, x, less, depth);
            x += more;
            n -= more;
        } else {
            sort(f, x + more, n - more, depth);
            n = less;
        }
    }
    insertion_sort(f, x, n, depth);
}

static int add_suffixes(struct finder *f, struct err *e)
{
    for (size_t w = 0; w < f->words->n; w++) {
        const struct word *word = &f->words->word[w];

        if (mem_grow(&f->suffix, &f->cap, f->n + word->n, sizeof *f->suffix, e))
            return -1;
        for (size_t i = 0; i < word->n; i++) {
            struct suffix *x = &f->suffix[f->n];

            if (((uint8_t)f->words->bytes[word->at + i] & 0xc0) == 0x80)
                continue;
            *x = (struct suffix){.at = (uint32_t)(word->at + i), .word = (uint32_t)w};
            x->key = key_at(f, x, 0);
            f->n++;
        }
    }
    return 0;
}

/* ---- common prefixes ---- */

/* Code points that two suffixes share at their start, up to SEED_CHARS; y = NULL: x's own. */
static int shared(const struct finder *f, const struct suffix *x, const struct suffix *y)
{
    size_t n, m, i = 0;
    const uint8_t *p = suffix_text(f, x, &n), *q = y ? suffix_text(f, y, &m) : p;
    int chars = 0;

    if (y && m < n)
        n = m;
    for (; i < n && p[i] == q[i]; i++)
        if ((p[i] & 0xc0) != 0x80 && ++chars > SEED_CHARS)
            return SEED_CHARS;
    /* The last one may differ in its last bytes. */
    return i < n && (p[i] & 0xc0) == 0x80 ? chars - 1 : chars;
}

/* "1," and the like: ALBERT's tokenizer takes such pieces for useless, whatever their score. */
static bool ends_in_number_comma(const uint8_t *p, size_t n)
{
    return n >= 2 && p[n - 1] == ',' && p[n - 2] >= '0' && p[n - 2] <= '9';
}

/* The prefix of some code points; those of `below`, or fewer, are another seed's business. */
static int add_seed(struct finder *f, const struct suffix *x, int chars, int below,
                    uint64_t count, struct err *e)
{
    struct seeds *s = f->out;
    size_t n, at = 0;
    const uint8_t *p = suffix_text(f, x, &n);

    if (chars < 2 || count < f->min_count)
        return 0;
    for (int i = 0; i < chars; i++)
        for (at++; at < n && (p[at] & 0xc0) == 0x80;)
            at++;
    if (ends_in_number_comma(p, at)) { /* without the comma it is as frequent */
        if (--chars <= below || chars < 2)
            return 0;
        at--;
    }
    if (mem_grow(&s->at, &s->cap, s->n + 1, sizeof *s->at, e))
        return -1;
    s->at[s->n++] = (struct seed){x->at, (uint16_t)at, (uint16_t)chars, count};
    return 0;
}

/* A prefix that neighbours share, from the first of them on. */
struct run {
    int chars;
    uint64_t before; /* the counts of all suffixes before the first */
};

/* A stack of runs, each longer than the one below; a run ends where less is shared. */
static int add_seeds(struct finder *f, struct err *e)
{
    struct run open[SEED_CHARS + 2];
    uint64_t sum = 0;
    int depth = 0;

    for (size_t i = 0; i < f->n; i++) {
        const struct suffix *x = &f->suffix[i];
        const int whole = shared(f, x, NULL);
        const int next = i + 1 < f->n ? shared(f, x, x + 1) : 0;
        uint64_t first = sum;

        if (depth == 0 || open[depth - 1].chars < whole)
            open[depth++] = (struct run){whole, sum};
        sum += f->words->word[x->word].count;
        while (depth > 0 && open[depth - 1].chars > next) {
            const int under = --depth > 0 ? open[depth - 1].chars : 0;

            first = open[depth].before;
            if (add_seed(f, x, open[depth].chars, under > next ? under : next, sum - first, e))
                return -1;
        }
        if (next > 0 && (depth == 0 || open[depth - 1].chars < next))
            open[depth++] = (struct run){next, first};
    }
    return 0;
}

static int by_worth(const void *a, const void *b, void *bytes)
{
    const struct seed *x = a, *y = b;
    const uint64_t u = x->count * x->chars, v = y->count * y->chars;
    const size_t n = x->n < y->n ? x->n : y->n;
    int c;

    if (u != v)
        return u < v ? 1 : -1;
    c = memcmp((char *)bytes + x->at, (char *)bytes + y->at, n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

int seeds_find(const struct wordcount *words, uint64_t min_count, size_t most,
               struct seeds *s, struct err *e)
{
    struct finder f = {.words = words, .min_count = min_count, .out = s};
    int rc = -1;

    *s = (struct seeds){0};
    if (words->n_bytes > UINT32_MAX || words->n > UINT32_MAX)
        return err_set(e, ERR_DATA, "the corpus has too many different words");
    if (add_suffixes(&f, e) == 0) {
        sort(&f, f.suffix, f.n, 0);
        rc = add_seeds(&f, e);
    }
    free(f.suffix);
    if (rc) {
        seeds_free(s);
        return -1;
    }
    if (s->n)
        qsort_r(s->at, s->n, sizeof *s->at, by_worth, words->bytes);
    if (s->n > most)
        s->n = most;
    return 0;
}

void seeds_free(struct seeds *s)
{
    free(s->at);
    *s = (struct seeds){0};
}
