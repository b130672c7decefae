/* SPDX-License-Identifier: MIT */
#include "bpe.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

enum { SHORT_WORD = 48 };

/* A symbol of a long word; merged ones are unlinked. */
struct bpe_symbol {
    uint32_t id;
    uint32_t prev, next; /* UINT32_MAX at the ends */
};

struct bpe_pair {
    uint32_t rank, at; /* at: the left symbol */
    uint64_t pair;     /* ids when it was pushed: an entry that no longer fits is stale */
    uint32_t id;
};

void bpe_scratch_free(struct bpe_scratch *s)
{
    free(s->symbol);
    free(s->heap);
    *s = (struct bpe_scratch){0};
}

/* Printable Latin-1 stands for itself, the other 68 bytes for U+0100 onward. */
static bool is_own_letter(uint32_t c)
{
    return (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255);
}

uint32_t bpe_letter(uint8_t byte)
{
    uint32_t shift = 256;

    if (is_own_letter(byte))
        return byte;
    for (uint32_t c = 0; c < byte; c++)
        shift += !is_own_letter(c);
    return shift;
}

int bpe_byte(uint32_t letter)
{
    if (letter < 256)
        return is_own_letter(letter) ? (int)letter : -1;
    if (letter < 256 + 33)
        return (int)letter - 256;
    if (letter < 256 + 33 + 34)
        return (int)letter - 256 - 33 + 127;
    return letter == 256 + 67 ? 173 : -1;
}

int bpe_init(struct bpe *b, const struct vocabmap *v, size_t n, struct err *e)
{
    b->bytes_only = true;
    for (int byte = 0; byte < 256; byte++) {
        uint8_t letter[4];
        const size_t len = utf8_put(bpe_letter((uint8_t)byte), letter);

        b->byte_id[byte] = vocabmap_id(v, (const char *)letter, len);
        b->bytes_only = b->bytes_only && b->byte_id[byte] >= 0;
    }
    for (b->slots = 64; b->slots < n * 2;)
        b->slots *= 2;
    b->merge = mem_alloc(b->slots, sizeof *b->merge, "merges", e);
    if (!b->merge)
        return -1;
    for (size_t i = 0; i < b->slots; i++)
        b->merge[i].pair = UINT64_MAX;
    return 0;
}

void bpe_free(struct bpe *b)
{
    free(b->merge);
    b->merge = NULL;
}

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static struct bpe_merge *find(const struct bpe *b, uint64_t pair)
{
    size_t i = (size_t)((pair ^ pair >> 29) * 0x9e3779b97f4a7c15u >> 32) & (b->slots - 1);

    while (b->merge[i].pair != pair && b->merge[i].pair != UINT64_MAX)
        i = (i + 1) & (b->slots - 1);
    return &b->merge[i];
}

void bpe_add(struct bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    struct bpe_merge *m = find(b, pair_of(left, right));

    b->merges += m->pair == UINT64_MAX;
    *m = (struct bpe_merge){pair_of(left, right), rank, id};
}

/* The symbols that a word starts as; bytes without a token become `unk` or nothing. */
static size_t first_symbols(const struct bpe *b, const uint8_t *word, size_t n, uint32_t *ids)
{
    size_t count = 0;
    bool after_unk = false;

    for (size_t i = 0; i < n; i++) {
        const int64_t id = b->byte_id[word[i]];

        if (id >= 0)
            ids[count++] = (uint32_t)id;
        else if (b->unk >= 0 && !(after_unk && b->fuse_unk))
            ids[count++] = (uint32_t)b->unk;
        after_unk = id < 0;
    }
    return count;
}

/* Merges a short word in place, with the ranks of all neighbours at hand. */
static size_t merge_short(const struct bpe *b, uint32_t *id, size_t n)
{
    uint32_t rank[SHORT_WORD], made[SHORT_WORD];

    for (size_t i = 0; i + 1 < n; i++) {
        const struct bpe_merge *m = find(b, pair_of(id[i], id[i + 1]));

        rank[i] = m->pair == UINT64_MAX ? UINT32_MAX : m->rank;
        made[i] = m->id;
    }
    while (n > 1) {
        uint32_t best = UINT32_MAX;
        size_t at = 0;

        for (size_t i = 0; i + 1 < n; i++) {
            if (rank[i] < best) {
                best = rank[i];
                at = i;
            }
        }
        if (best == UINT32_MAX)
            break;
        id[at] = made[at];
        n--;
        for (size_t i = at + 1; i < n; i++) {
            id[i] = id[i + 1];
            rank[i] = rank[i + 1];
            made[i] = made[i + 1];
        }
        for (size_t i = at ? at - 1 : 0; i <= at && i + 1 < n; i++) {
            const struct bpe_merge *m = find(b, pair_of(id[i], id[i + 1]));

            rank[i] = m->pair == UINT64_MAX ? UINT32_MAX : m->rank;
            made[i] = m->id;
        }
    }
    return n;
}

static bool goes_before(const struct bpe_pair *a, const struct bpe_pair *b)
{
    return a->rank < b->rank || (a->rank == b->rank && a->at < b->at);
}

static void sift_down(struct bpe_pair *heap, size_t n, size_t at)
{
    const struct bpe_pair moved = heap[at];

    for (;;) {
        size_t child = at * 2 + 1;

        if (child >= n)
            break;
        if (child + 1 < n && goes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!goes_before(&heap[child], &moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void push(struct bpe_pair *heap, size_t *n, struct bpe_pair pair)
{
    size_t at = (*n)++;

    for (; at > 0 && goes_before(&pair, &heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = pair;
}

/* The heap entry of the pair that starts at symbol i, if it can be merged. */
static bool entry_at(const struct bpe *b, const struct bpe_symbol *symbol, uint32_t i,
                     struct bpe_pair *out)
{
    const uint32_t next = symbol[i].next;
    const struct bpe_merge *m;

    if (next == UINT32_MAX)
        return false;
    m = find(b, pair_of(symbol[i].id, symbol[next].id));
    *out = (struct bpe_pair){m->rank, i, m->pair, m->id};
    return m->pair != UINT64_MAX;
}

/* Merges the pair at symbol i, and pushes the two new pairs. */
static void merge_at(const struct bpe *b, struct bpe_symbol *symbol, const struct bpe_pair *top,
                     struct bpe_pair *heap, size_t *n)
{
    const uint32_t i = top->at, right = symbol[i].next, after = symbol[right].next;
    struct bpe_pair pair;

    symbol[i].id = top->id;
    symbol[i].next = after;
    symbol[right].id = UINT32_MAX; /* gone: no entry fits it any more */
    if (after != UINT32_MAX)
        symbol[after].prev = i;
    if (symbol[i].prev != UINT32_MAX && entry_at(b, symbol, symbol[i].prev, &pair))
        push(heap, n, pair);
    if (entry_at(b, symbol, i, &pair))
        push(heap, n, pair);
}

static size_t merge_long(const struct bpe *b, struct bpe_scratch *s, uint32_t *ids, size_t n)
{
    struct bpe_symbol *const symbol = s->symbol;
    struct bpe_pair *const heap = s->heap;
    size_t pairs = 0, count = 0;

    for (size_t i = 0; i < n; i++)
        symbol[i] = (struct bpe_symbol){ids[i], i ? (uint32_t)i - 1 : UINT32_MAX,
                                        i + 1 < n ? (uint32_t)i + 1 : UINT32_MAX};
    for (size_t i = 0; i < n; i++)
        pairs += entry_at(b, symbol, (uint32_t)i, &heap[pairs]);
    for (size_t i = pairs / 2; i-- > 0;)
        sift_down(heap, pairs, i);
    while (pairs > 0) {
        const struct bpe_pair top = heap[0];
        const struct bpe_symbol *at = &symbol[top.at];

        heap[0] = heap[--pairs];
        if (pairs)
            sift_down(heap, pairs, 0);
        if (at->id != UINT32_MAX && at->next != UINT32_MAX &&
            pair_of(at->id, symbol[at->next].id) == top.pair)
            merge_at(b, symbol, &top, heap, &pairs);
    }
    for (uint32_t i = 0; i != UINT32_MAX; i = symbol[i].next)
        ids[count++] = symbol[i].id;
    return count;
}

/* The id of the whole word in *id, or -1 there. */
static int whole_word(const struct vocabmap *v, const uint8_t *word, size_t n, int64_t *id,
                      struct err *e)
{
    struct buf letters = {0};

    if (buf_reserve(&letters, n * 2, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        letters.len += utf8_put(bpe_letter(word[i]), (uint8_t *)letters.data + letters.len);
    *id = vocabmap_id(v, letters.data, letters.len);
    buf_free(&letters);
    return 0;
}

int64_t bpe_word(const struct bpe *b, const struct vocabmap *v, const uint8_t *word, size_t n,
                 struct bpe_scratch *s, uint32_t *ids, struct err *e)
{
    size_t count;

    if (b->whole) {
        int64_t id;

        if (whole_word(v, word, n, &id, e))
            return -1;
        if (id >= 0) {
            ids[0] = (uint32_t)id;
            return 1;
        }
    }
    count = first_symbols(b, word, n, ids);
    if (count <= 1)
        return (int64_t)count;
    if (count <= SHORT_WORD)
        return (int64_t)merge_short(b, ids, count);
    if (count >= UINT32_MAX / 4)
        return err_set(e, ERR_DATA, "a word of %zu bytes is too long", n);
    if (mem_grow(&s->symbol, &s->cap, count, sizeof *s->symbol, e) ||
        mem_grow(&s->heap, &s->heap_cap, count * 3, sizeof *s->heap, e))
        return -1;
    return (int64_t)merge_long(b, s, ids, count);
}
