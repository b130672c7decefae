/* SPDX-License-Identifier: MIT */
#include "bpe.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Places of a short word take six bits beside a rank. */
enum { SHORT_WORD = 60, PLACE_BITS = 6, WINDOW = 8192, NO_RANK = 0xffffffff };

/* A symbol of a long word, and the merge with the one behind it. */
struct bpe_symbol {
    uint32_t id;
    uint32_t rank;       /* NO_RANK: it cannot be merged, or is gone */
    uint32_t prev, next; /* UINT32_MAX at the ends */
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
    if (v->size > (size_t)1 << BPE_ID_BITS || n >= (size_t)1 << BPE_ID_BITS)
        return err_set(e, ERR_DATA, "a byte-level vocabulary of more than %d tokens or merges",
                       1 << BPE_ID_BITS);
    b->bytes_only = true;
    for (int byte = 0; byte < 256; byte++) {
        uint8_t letter[4];
        const size_t len = utf8_put(bpe_letter((uint8_t)byte), letter);

        b->byte_id[byte] = vocabmap_id(v, (const char *)letter, len);
        b->bytes_only = b->bytes_only && b->byte_id[byte] >= 0;
    }
    for (size_t id = 0; id < v->size; id++) {
        size_t len;

        if (vocabmap_token(v, (uint32_t)id, &len) && len > b->longest)
            b->longest = len;
    }
    b->window = b->longest < WINDOW / 16 ? WINDOW : b->longest * 16;
    for (b->slots = 64; b->slots < n * 2;)
        b->slots *= 2;
    b->slot = mem_alloc(b->slots, sizeof *b->slot, "merges", e);
    b->made = mem_alloc(n, sizeof *b->made, "merges", e);
    b->filter = mem_alloc((size_t)1 << BPE_FILTER_BITS >> 6, sizeof *b->filter, "merges", e);
    return b->slot && b->made && b->filter ? 0 : -1;
}

void bpe_free(struct bpe *b)
{
    free(b->slot);
    free(b->made);
    free(b->filter);
    b->slot = b->filter = NULL;
    b->made = NULL;
}

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << BPE_ID_BITS | right;
}

static uint64_t hash_of(uint64_t pair)
{
    return pair * 0x9e3779b97f4a7c15u;
}

static size_t first_slot(const struct bpe *b, uint64_t pair)
{
    return (size_t)(hash_of(pair) >> 32) & (b->slots - 1);
}

/* The slot of a pair: the one that holds it, or the free one where it belongs. */
static size_t slot_of(const struct bpe *b, uint64_t pair)
{
    size_t i = first_slot(b, pair);

    while (b->slot[i] && b->slot[i] >> (BPE_ID_BITS + 1) != pair)
        i = (i + 1) & (b->slots - 1);
    return i;
}

static size_t filter_bit(uint64_t pair)
{
    return (size_t)(hash_of(pair) >> (64 - BPE_FILTER_BITS));
}

uint32_t bpe_rank(const struct bpe *b, uint32_t left, uint32_t right)
{
    const uint64_t pair = pair_of(left, right);
    const size_t bit = filter_bit(pair);

    if (!(b->filter[bit / 64] >> bit % 64 & 1))
        return NO_RANK;
    /* A free slot has rank -1, which is NO_RANK. */
    return (uint32_t)(b->slot[slot_of(b, pair)] & BPE_RANK_MASK) - 1;
}

void bpe_fetch(const struct bpe *b, uint32_t left, uint32_t right)
{
    const uint64_t pair = pair_of(left, right);

    __builtin_prefetch(&b->slot[first_slot(b, pair)], 1);
    __builtin_prefetch(&b->filter[filter_bit(pair) / 64], 1);
}

bool bpe_slot(const struct bpe *b, size_t i, uint32_t *left, uint32_t *right)
{
    const uint64_t pair = b->slot[i] >> (BPE_ID_BITS + 1);

    *left = (uint32_t)(pair >> BPE_ID_BITS);
    *right = (uint32_t)pair & ((1u << BPE_ID_BITS) - 1);
    return b->slot[i] != 0;
}

void bpe_add(struct bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    const uint64_t pair = pair_of(left, right);
    const size_t bit = filter_bit(pair), i = slot_of(b, pair);

    b->merges += b->slot[i] == 0;
    b->slot[i] = pair << (BPE_ID_BITS + 1) | (rank + 1);
    b->made[rank] = id;
    b->filter[bit / 64] |= (uint64_t)1 << bit % 64;
}

/* The bytes of a word, and how far they were made symbols. */
struct letters {
    const uint8_t *word;
    size_t n, at;
    bool after_unk;
};

/* The symbol of the next byte, -1: it has none.  Without a token it is `unk` or nothing. */
static inline int64_t next_symbol(const struct bpe *b, struct letters *l)
{
    const int64_t id = b->byte_id[l->word[l->at++]];
    const bool fused = l->after_unk && b->fuse_unk;

    l->after_unk = id < 0;
    return id >= 0 ? id : fused ? -1 : b->unk;
}

/* Up to `max` symbols from the next bytes on. */
static size_t next_symbols(const struct bpe *b, struct letters *l, uint32_t *ids, size_t max)
{
    size_t count = 0;

    while (l->at < l->n && count < max) {
        const int64_t id = next_symbol(b, l);

        if (id >= 0)
            ids[count++] = (uint32_t)id;
    }
    return count;
}

/*
 * Merges a short word.  The pairs are rank << 6 | place, so that the lowest is the one to
 * merge next; symbols stay at their places and are linked.
 */
static size_t merge_short(const struct bpe *b, uint32_t *id, size_t n)
{
    uint32_t pair[SHORT_WORD + 1];
    uint8_t next[SHORT_WORD + 1], prev[SHORT_WORD + 1];
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        const uint32_t rank = i + 1 < n ? bpe_rank(b, id[i], id[i + 1]) : NO_RANK;

        pair[i] = rank == NO_RANK ? NO_RANK : rank << PLACE_BITS | (uint32_t)i;
        next[i] = (uint8_t)(i + 1);
        prev[i] = (uint8_t)(i - 1);
    }
    for (;;) {
        uint32_t best = NO_RANK, rank;
        size_t i, right, k;

        for (k = 0; k + 1 < n; k++)
            best = pair[k] < best ? pair[k] : best;
        if (best == NO_RANK)
            break;
        i = best & ((1u << PLACE_BITS) - 1);
        id[i] = b->made[best >> PLACE_BITS];
        right = next[i];
        pair[right] = NO_RANK;
        next[i] = next[right];
        rank = next[i] < n ? bpe_rank(b, id[i], id[next[i]]) : NO_RANK;
        pair[i] = rank == NO_RANK ? NO_RANK : rank << PLACE_BITS | (uint32_t)i;
        prev[next[i]] = (uint8_t)i;
        if (i > 0) {
            k = prev[i];
            rank = bpe_rank(b, id[k], id[i]);
            pair[k] = rank == NO_RANK ? NO_RANK : rank << PLACE_BITS | (uint32_t)k;
        }
    }
    for (size_t i = 0; i < n; i = next[i])
        id[count++] = id[i];
    return count;
}

/*
 * A heap's entry is rank << 32 | place, so that the lowest is the pair to merge next.  One
 * whose place no longer has that rank is stale: ranks are of one pair each.
 */
static void sift_down(uint64_t *heap, size_t n, size_t at)
{
    const uint64_t moved = heap[at];

    for (;;) {
        size_t child = at * 2 + 1;

        if (child >= n)
            break;
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[child] >= moved)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void push(uint64_t *heap, size_t *n, uint64_t entry)
{
    size_t at = (*n)++;

    for (; at > 0 && entry < heap[(at - 1) / 2]; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = entry;
}

/* Looks up the merge at symbol i, and pushes it when there is one. */
static void look_at(const struct bpe *b, struct bpe_symbol *symbol, uint32_t i, uint64_t *heap,
                    size_t *n)
{
    const uint32_t next = symbol[i].next;

    symbol[i].rank = NO_RANK;
    if (next == UINT32_MAX)
        return;
    symbol[i].rank = bpe_rank(b, symbol[i].id, symbol[next].id);
    if (symbol[i].rank != NO_RANK)
        push(heap, n, (uint64_t)symbol[i].rank << 32 | i);
}

/* Merges symbol i with the one behind it. */
static void merge_at(const struct bpe *b, struct bpe_symbol *symbol, uint32_t i, uint64_t *heap,
                     size_t *n)
{
    const uint32_t right = symbol[i].next, after = symbol[right].next;

    symbol[i].id = b->made[symbol[i].rank];
    symbol[i].next = after;
    symbol[right].rank = NO_RANK;
    if (after != UINT32_MAX)
        symbol[after].prev = i;
    if (symbol[i].prev != UINT32_MAX)
        look_at(b, symbol, symbol[i].prev, heap, n);
    look_at(b, symbol, i, heap, n);
}

/* Lays out n symbols and a heap of their pairs; returns how many pairs there are. */
static size_t lay_out(const struct bpe *b, struct bpe_scratch *s, const uint32_t *ids, size_t n)
{
    size_t pairs = 0;

    for (size_t i = 0; i < n; i++) {
        const uint32_t rank = i + 1 < n ? bpe_rank(b, ids[i], ids[i + 1]) : NO_RANK;

        s->symbol[i] = (struct bpe_symbol){ids[i], rank, i ? (uint32_t)i - 1 : UINT32_MAX,
                                           i + 1 < n ? (uint32_t)i + 1 : UINT32_MAX};
        if (rank != NO_RANK)
            s->heap[pairs++] = (uint64_t)rank << 32 | i;
    }
    for (size_t i = pairs / 2; i-- > 0;)
        sift_down(s->heap, pairs, i);
    return pairs;
}

/*
 * Merges the first n symbols of a word that goes on, whatever follows them, and writes those
 * that are sure to `out`, which may be `in` or lie before it; returns how many, and in *used how
 * many of the n they are made of (0: none is sure, more must be seen).
 *
 * No token is made of more than `longest` symbols.  So what goes on behind place `sure` can
 * have taken in, at any time, at most as many before it: a merge that ends further left happens
 * whatever follows; one that ends within them may or may not, and moves `sure` to its start.
 * Ranks are taken in order here as in the whole word, the leftmost first among equals, so that
 * what is on the right of a pair never comes before it by place alone.  What is left before
 * `sure` less `longest` at the end is final, and no merge of the whole word goes across it.
 */
static size_t merge_window(const struct bpe *b, struct bpe_scratch *s, const uint32_t *in,
                           size_t n, uint32_t *out, size_t *used)
{
    struct bpe_symbol *const symbol = s->symbol;
    size_t pairs = lay_out(b, s, in, n), sure = n, count = 0;

    while (pairs > 0) {
        const uint64_t top = s->heap[0];
        const uint32_t at = (uint32_t)top;
        uint32_t behind;

        s->heap[0] = s->heap[--pairs];
        if (pairs)
            sift_down(s->heap, pairs, 0);
        if (symbol[at].rank != top >> 32 || at >= sure)
            continue;
        behind = symbol[symbol[at].next].next;
        if ((behind == UINT32_MAX ? n : behind) + b->longest <= sure)
            merge_at(b, symbol, at, s->heap, &pairs);
        else
            sure = at;
    }
    *used = 0;
    for (uint32_t i = 0, next; i != UINT32_MAX; i = next) {
        next = symbol[i].next;
        if ((next == UINT32_MAX ? n : next) + b->longest > sure)
            break;
        out[count++] = symbol[i].id;
        *used = next;
    }
    return count;
}

/* Merges n symbols that are all of a word, or the rest of one. */
static size_t merge_long(const struct bpe *b, struct bpe_scratch *s, const uint32_t *in,
                         size_t n, uint32_t *out)
{
    struct bpe_symbol *const symbol = s->symbol;
    size_t pairs = lay_out(b, s, in, n), count = 0;

    while (pairs > 0) {
        const uint64_t top = s->heap[0];
        const uint32_t at = (uint32_t)top;

        s->heap[0] = s->heap[--pairs];
        if (pairs)
            sift_down(s->heap, pairs, 0);
        if (symbol[at].rank == top >> 32)
            merge_at(b, symbol, at, s->heap, &pairs);
    }
    for (uint32_t i = 0; i != UINT32_MAX; i = symbol[i].next)
        out[count++] = symbol[i].id;
    return count;
}

static int scratch_room(struct bpe_scratch *s, size_t n, struct err *e)
{
    if (n >= UINT32_MAX / 4)
        return err_set(e, ERR_DATA, "a word of %zu symbols is too long", n);
    return mem_grow(&s->symbol, &s->cap, n, sizeof *s->symbol, e) ||
                   mem_grow(&s->heap, &s->heap_cap, n * 3, sizeof *s->heap, e)
               ? -1
               : 0;
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

int64_t bpe_merge(const struct bpe *b, struct bpe_scratch *s, uint32_t *ids, size_t count,
                  struct err *e)
{
    size_t from = 0, done = 0, window = b->window, used;

    if (count <= 1)
        return (int64_t)count;
    if (count <= SHORT_WORD)
        return (int64_t)merge_short(b, ids, count);
    while (count - from > window) {
        if (scratch_room(s, window, e))
            return -1;
        done += merge_window(b, s, ids + from, window, ids + done, &used);
        from += used;
        window = used ? b->window : window * 2;
    }
    if (scratch_room(s, count - from, e))
        return -1;
    return (int64_t)(done + merge_long(b, s, ids + from, count - from, ids + done));
}

/* The same over the bytes of a long word, so that the symbols need not all be there at once. */
static int64_t merge_bytes(const struct bpe *b, struct letters *l, struct bpe_scratch *s,
                           uint32_t *ids, struct err *e)
{
    size_t done = 0, window = b->window, used, n;

    for (;;) {
        struct letters start = *l;

        if (scratch_room(s, window, e))
            return -1;
        n = next_symbols(b, l, ids + done, window);
        if (l->at == l->n)
            break;
        done += merge_window(b, s, ids + done, window, ids + done, &used);
        if (s->most && done > s->most)
            return err_set(e, ERR_DATA, "a word of more than %zu tokens", s->most);
        /* Back, and forward again to where the sure ones end. */
        *l = start;
        for (size_t i = 0; i < used;)
            i += next_symbol(b, l) >= 0;
        window = used ? b->window : window * 2;
    }
    return (int64_t)(done + merge_long(b, s, ids + done, n, ids + done));
}

int64_t bpe_word(const struct bpe *b, const struct vocabmap *v, const uint8_t *word, size_t n,
                 struct bpe_scratch *s, uint32_t *ids, struct err *e)
{
    struct letters l = {word, n, 0, false};

    if (b->whole) {
        int64_t id;

        if (whole_word(v, word, n, &id, e))
            return -1;
        if (id >= 0) {
            ids[0] = (uint32_t)id;
            return 1;
        }
    }
    if (n > b->window)
        return merge_bytes(b, &l, s, ids, e);
    return bpe_merge(b, s, ids, next_symbols(b, &l, ids, n), e);
}
