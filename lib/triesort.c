/* SPDX-License-Identifier: MIT */
#include "triesort.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    KEY = 7,    /* bytes compared at once */
    SMALL = 64, /* strings that are sorted by insertion */
    PAGE = 4096,
    LARGE = 2 << 20,
    AHEAD = 8 /* strings that are fetched before they are needed */
};

/* A string with its next bytes, most significant first, and below them how many are left. */
struct trie_sorted {
    uint64_t key;
    uint32_t entry;
};

/* Strings lo..hi-1 in their order, equal in their first `depth` bytes. */
struct trie_equal {
    uint32_t lo, hi, depth;
};

/* Zeros; in large pages where the system has them, since they are looked at all over. */
void *triesort_make(size_t n, size_t size, struct err *e)
{
    void *p = mem_alloc(n, size, "trie", e);

    if (p && n * size >= LARGE) {
        const uintptr_t at = ((uintptr_t)p + PAGE - 1) / PAGE * PAGE;

        (void)madvise((void *)at, n * size - PAGE, MADV_HUGEPAGE);
    }
    return p;
}

/* Up to eight bytes, the first in the highest place; zeros where there are fewer. */
static uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;

    if (n >= 8) {
        memcpy(&v, p, 8);
    } else if (n >= 4) {
        uint32_t first, last; /* which overlap */

        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        v = first | (uint64_t)last << 8 * (n - 4);
    } else if (n) {
        const uint8_t *u = (const uint8_t *)p;

        v = u[0] | (uint64_t)u[n / 2] << 8 * (n / 2) | (uint64_t)u[n - 1] << 8 * (n - 1);
    }
    return __builtin_bswap64(v);
}

static inline struct trie_entry entry_of(const struct triesort *b, uint32_t i)
{
    if (b->entry)
        return b->entry[i];
    return (struct trie_entry){b->vocab->bytes.data + b->vocab->token[i].at,
                               b->vocab->token[i].len, (int32_t)i};
}

static inline uint64_t key_of(const struct triesort *b, const struct trie_entry *s, uint32_t depth)
{
    const size_t left = s->len - depth, some = left > KEY ? KEY + 1 : left;
    uint64_t v;

    if (b->entry)
        return (load(s->bytes + depth, left) & ~(uint64_t)0xff) | some;
    /* A vocabulary has room behind its last token: no branch on the length. */
    memcpy(&v, s->bytes + depth, sizeof v);
    v = __builtin_bswap64(v) & ~(UINT64_MAX >> 8 * (some > KEY ? KEY : some));
    return (v & ~(uint64_t)0xff) | some;
}

/* Fetches what is needed soon of the strings behind at[i]. */
static inline void fetch(const struct triesort *b, const struct trie_sorted *at, size_t i, size_t n,
                         uint32_t depth)
{
    if (i + AHEAD < n)
        __builtin_prefetch(entry_of(b, at[i + AHEAD].entry).bytes + depth);
    if (b->vocab && i + 2 * AHEAD < n)
        __builtin_prefetch(&b->vocab->token[at[i + 2 * AHEAD].entry]);
}

static void insertion_sort(struct trie_sorted *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const struct trie_sorted s = at[i];
        size_t k = i;

        for (; k > 0 && at[k - 1].key > s.key; k--)
            at[k] = at[k - 1];
        at[k] = s;
    }
}

/* From the last byte of the keys to the first; bytes that all have in common take no pass. */
static void radix_sort(struct trie_sorted *at, struct trie_sorted *other, size_t n)
{
    static const size_t zeros[256];
    size_t count[8][256];
    struct trie_sorted *from = at, *to = other;

    for (int b = 0; b < 8; b++)
        memcpy(count[b], zeros, sizeof zeros);
    for (size_t i = 0; i < n; i++)
        for (int b = 0; b < 8; b++)
            count[b][at[i].key >> 8 * b & 0xff]++;
    for (int b = 0; b < 8; b++) {
        size_t sum = 0;

        if (count[b][at[0].key >> 8 * b & 0xff] == n)
            continue;
        for (int v = 0; v < 256; v++) {
            const size_t here = count[b][v];

            count[b][v] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[b][from[i].key >> 8 * b & 0xff]++] = from[i];
        other = from;
        from = to;
        to = other;
    }
    if (from != at)
        memcpy(at, from, n * sizeof *at);
}

static int push(struct triesort *b, struct trie_equal r, struct err *e)
{
    if (mem_grow(&b->todo, &b->cap, b->n_todo + 1, sizeof *b->todo, e))
        return -1;
    b->todo[b->n_todo++] = r;
    return 0;
}

/* Bytes that two strings share whose keys differ at `depth`. */
static uint32_t shared(uint64_t a, uint64_t b, uint32_t depth)
{
    const uint32_t same = (uint32_t)__builtin_clzll(a ^ b) / 8;
    const uint32_t left = (uint32_t)((a & 0xff) < (b & 0xff) ? a & 0xff : b & 0xff);

    return depth + (same < left ? same : left);
}

/* Sorts a range by its next bytes; runs of equal ones that have more are to be sorted further. */
static int sort_range(struct triesort *b, const struct trie_equal *r, struct err *e)
{
    const size_t n = r->hi - r->lo;
    struct trie_sorted *at = b->at + r->lo;
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        const struct trie_entry s = entry_of(b, at[i].entry);

        fetch(b, at, i, n, r->depth);
        at[i].key = key_of(b, &s, r->depth);
    }
    if (n <= SMALL)
        insertion_sort(at, n);
    else
        radix_sort(at, b->other, n);
    for (size_t i = 1; i <= n; i++) {
        if (i < n && at[i].key == at[i - 1].key) {
            b->common[r->lo + i] = r->depth + (uint32_t)(at[i].key & 0xff);
            continue;
        }
        if (i - from > 1 && (at[from].key & 0xff) > KEY &&
            push(b, (struct trie_equal){r->lo + (uint32_t)from, r->lo + (uint32_t)i, r->depth + KEY},
                 e))
            return -1;
        from = i;
        if (i < n)
            b->common[r->lo + i] = shared(at[i].key, at[i - 1].key, r->depth);
    }
    return 0;
}

static int sort_all(struct triesort *b, struct err *e)
{
    if (push(b, (struct trie_equal){0, (uint32_t)b->n, 0}, e))
        return -1;
    /* Taken from the end: their number is bounded by that of the strings. */
    while (b->n_todo) {
        const struct trie_equal r = b->todo[--b->n_todo];

        if (sort_range(b, &r, e))
            return -1;
    }
    return 0;
}

/* Copies the strings in their order: what comes then walks over them again and again. */
static int line_up(struct triesort *b, size_t bytes, struct err *e)
{
    size_t at = 0;

    b->string = (struct trie_string *)(void *)b->other; /* which is free now */
    b->text = triesort_make(bytes ? bytes : 1, 1, e);
    if (!b->text)
        return -1;
    for (size_t i = 0; i < b->n; i++) {
        const struct trie_entry s = entry_of(b, b->at[i].entry);

        fetch(b, b->at, i, b->n, 0);
        memcpy(b->text + at, s.bytes, s.len);
        b->string[i] = (struct trie_string){(uint32_t)at, (uint32_t)s.len, s.value};
        at += s.len;
    }
    return 0;
}

/* Lists the strings; of a vocabulary those that ids have, and that are not empty. */
static uint64_t list(struct triesort *b)
{
    const struct vocab_token *token = b->vocab ? b->vocab->token : NULL;
    uint64_t bytes = 0;
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) {
        const size_t len = token ? token[i].len : b->entry[i].len;

        if (token && (len == VOCAB_UNUSED || len == 0))
            continue;
        b->at[n++].entry = (uint32_t)i;
        bytes += len;
    }
    b->n = n;
    return bytes;
}

int triesort(struct triesort *s, struct err *e)
{
    uint64_t bytes;

    if (s->n >= TRIE_NODES_MAX)
        return err_set(e, ERR_DATA, "the vocabulary is too large");
    s->at = triesort_make(s->n, sizeof *s->at, e);
    s->other = s->at ? triesort_make(s->n, sizeof *s->other, e) : NULL;
    s->common = s->other ? triesort_make(s->n, sizeof *s->common, e) : NULL;
    if (!s->common)
        return -1;
    bytes = list(s);
    if (bytes + s->n >= TRIE_NODES_MAX)
        return err_set(e, ERR_DATA, "the vocabulary is too large");
    return sort_all(s, e) || line_up(s, (size_t)bytes, e) ? -1 : 0;
}

void triesort_free(struct triesort *s)
{
    free(s->at);
    free(s->other);
    free(s->common);
    free(s->text);
    free(s->todo);
    *s = (struct triesort){0};
}
