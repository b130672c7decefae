/* SPDX-License-Identifier: MIT */
/*
 * The words of the corpus are runs of symbol ids.  A table holds every pair of neighbours with
 * its count and the words it was seen in; a heap holds pairs by count.  Merging the best pair
 * touches only the words that have it:
 *
 *     word   l o w e r        pair (l,o): count 7, words {3, 8, 9}
 *     merge (l,o) -> lo
 *     word   lo w e r         (o,w) loses what (lo,w) gains
 *
 * Counts in the heap may be stale; an entry is checked against the table when it comes up.
 */
#include "pairmerge.h"
#include "alphabet.h"
#include "mem.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct pair {
    uint32_t a, b;
    uint64_t count;
    uint32_t words; /* the first of the words that have, or had, it: 1 + place; 0: none */
    bool raised;    /* its count went up in this merge */
};

/* A word that has a pair, and where the next one is; a word may stand twice. */
struct posting {
    uint32_t word, next; /* next: 1 + place; 0: the last */
};

/* A place of the table of pairs. */
struct pair_slot {
    uint32_t tag;   /* other bits of the hash, which tell most strangers */
    uint32_t index; /* 1 + place in pair; 0: free */
};

struct heap_entry {
    uint64_t count;
    uint32_t a, b, pair;
};

/* A word as it is cut now. */
struct row {
    uint64_t count;
    uint32_t at, n; /* its symbols */
};

struct trainer {
    const struct pairmerge_options *o;
    const struct wordcount *words;
    struct vocablist *out;
    uint32_t *symbol;  /* all words' symbols, one behind the other */
    struct row *row;   /* (words) */
    size_t n_symbols, cap_symbols;
    struct pair *pair; /* (n_pairs) */
    size_t n_pairs, cap_pairs;
    struct posting *posting; /* of all pairs */
    size_t n_postings, cap_postings;
    struct pair_slot *slot; /* (slots) */
    size_t slots;
    struct heap_entry *heap;
    size_t n_heap, cap_heap;
    uint32_t *raised;  /* (n_raised) pairs to be pushed after a merge */
    size_t n_raised, cap_raised;
    uint32_t *letter[2];  /* (CODE_POINTS) 1 + id of a letter at a word's start, inside */
    uint32_t *token_slot; /* (token_slots) 1 + id: tokens by text */
    size_t token_slots;
};

uint32_t pairmerge_byte_char(uint8_t byte)
{
    uint32_t n = 0;

    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174)
        return byte;
    for (uint32_t b = 0; b < byte; b++)
        n += !((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174);
    return 256 + n;
}

static void trainer_free(struct trainer *t)
{
    free(t->pair);
    free(t->posting);
    free(t->symbol);
    free(t->row);
    free(t->letter[0]);
    free(t->letter[1]);
    free(t->slot);
    free(t->heap);
    free(t->raised);
    free(t->token_slot);
}

/* ---- tokens by text ---- */

static size_t token_find(const struct trainer *t, const char *text)
{
    size_t i = (size_t)XXH3_64bits(text, strlen(text)) & (t->token_slots - 1);

    while (t->token_slot[i] && strcmp(t->out->token[t->token_slot[i] - 1], text) != 0)
        i = (i + 1) & (t->token_slots - 1);
    return i;
}

static int token_grow(struct trainer *t, struct err *e)
{
    const size_t slots = t->token_slots ? t->token_slots * 2 : 4096;
    uint32_t *fresh = mem_alloc(slots, sizeof *fresh, "vocabulary", e);

    if (!fresh)
        return -1;
    free(t->token_slot);
    t->token_slot = fresh;
    t->token_slots = slots;
    for (size_t i = 0; i < t->out->n; i++)
        t->token_slot[token_find(t, t->out->token[i])] = (uint32_t)i + 1;
    return 0;
}

/* The id of a token, new where it is not known.  -1 when out of memory. */
static int64_t token_id(struct trainer *t, const char *text, struct err *e)
{
    struct vocablist *out = t->out;
    size_t slot;

    if (out->n * 2 >= t->token_slots && token_grow(t, e))
        return -1;
    slot = token_find(t, text);
    if (t->token_slot[slot])
        return t->token_slot[slot] - 1;
    if (vocablist_add(out, text, strlen(text), 0, e))
        return -1;
    t->token_slot[slot] = (uint32_t)out->n;
    return (int64_t)out->n - 1;
}

/* ---- alphabet ---- */

static int add_letter(struct trainer *t, bool inside, uint32_t code, struct err *e)
{
    char text[32];
    const size_t n = inside ? strlen(t->o->prefix) : 0;
    int64_t id;

    memcpy(text, t->o->prefix, n);
    text[n + utf8_put(code, (uint8_t *)text + n)] = '\0';
    id = token_id(t, text, e);
    if (id >= 0)
        t->letter[inside][code] = (uint32_t)id + 1;
    return id < 0 ? -1 : 0;
}

/* The letters that are kept; with `bytes` all 256, used or not. */
static int choose_letters(const struct trainer *t, struct alphabet *a, struct err *e)
{
    if (!t->o->bytes) {
        if (alphabet_count(t->words, a, e))
            return -1;
        alphabet_keep(a, t->o->max_alphabet ? t->o->max_alphabet : a->n);
        return 0;
    }
    a->letter = mem_alloc(256, sizeof *a->letter, "alphabet", e);
    if (!a->letter)
        return -1;
    /* By code point: first the bytes that stand for themselves. */
    for (int moved = 0; moved < 2; moved++)
        for (uint32_t b = 0; b < 256; b++) {
            const uint32_t code = pairmerge_byte_char((uint8_t)b);

            if ((code != b) == moved)
                a->letter[a->n++].code = code;
        }
    return 0;
}

static int make_alphabet(struct trainer *t, struct err *e)
{
    struct alphabet a = {0};
    int rc = -1;

    for (int i = 0; i < t->o->n_special; i++)
        if (token_id(t, t->o->special[i], e) < 0)
            return -1;
    for (int i = 0; i < 2; i++) {
        t->letter[i] = mem_alloc(CODE_POINTS, sizeof *t->letter[i], "alphabet", e);
        if (!t->letter[i])
            return -1;
    }
    if (choose_letters(t, &a, e))
        return -1;
    for (size_t i = 0; i < a.n; i++)
        if (add_letter(t, false, a.letter[i].code, e))
            goto done;
    for (size_t i = 0; i < a.n && *t->o->prefix; i++)
        if (a.letter[i].inside && add_letter(t, true, a.letter[i].code, e))
            goto done;
    rc = 0;
    if (t->out->n > t->o->size)
        rc = err_set(e, ERR_USAGE,
                     "--size %zu is too small: the alphabet and the special tokens alone are "
                     "%zu; give a larger one", t->o->size, t->out->n);
done:
    alphabet_free(&a);
    return rc;
}

/* ---- words as symbols ---- */

static int split_word(struct trainer *t, const struct word *w, struct err *e)
{
    const uint8_t *p = (const uint8_t *)t->words->bytes + w->at;
    const bool prefix = *t->o->prefix;
    size_t used;

    if (mem_grow(&t->symbol, &t->cap_symbols, t->n_symbols + w->n, sizeof *t->symbol, e))
        return -1;
    for (size_t at = 0; at < w->n; at += used) {
        const uint32_t code = utf8_next(p + at, w->n - at, &used);
        const uint32_t id = code < CODE_POINTS ? t->letter[prefix && at > 0][code] : 0;

        if (id) /* else it is not in the alphabet */
            t->symbol[t->n_symbols++] = id - 1;
    }
    return 0;
}

static int split_words(struct trainer *t, struct err *e)
{
    t->row = mem_alloc(t->words->n, sizeof *t->row, "words", e);
    if (!t->row)
        return -1;
    for (size_t i = 0; i < t->words->n; i++) {
        const size_t at = t->n_symbols;

        if (split_word(t, &t->words->word[i], e))
            return -1;
        if (t->n_symbols > UINT32_MAX)
            return err_set(e, ERR_DATA, "the corpus has too many different words");
        t->row[i] = (struct row){.count = t->words->word[i].count,
                                 .at = (uint32_t)at,
                                 .n = (uint32_t)(t->n_symbols - at)};
    }
    return 0;
}

/* ---- pairs ---- */

/* The place of a pair; a free one (tag set, index 0) where it would go. */
static struct pair_slot *pair_find(const struct trainer *t, uint32_t a, uint32_t b)
{
    const uint64_t hash = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u;
    const uint32_t tag = (uint32_t)(hash >> 32);
    size_t i = (size_t)(hash >> 24) & (t->slots - 1);

    for (; t->slot[i].index; i = (i + 1) & (t->slots - 1)) {
        const struct pair *p = &t->pair[t->slot[i].index - 1];

        if (t->slot[i].tag == tag && p->a == a && p->b == b)
            return &t->slot[i];
    }
    t->slot[i].tag = tag;
    return &t->slot[i];
}

static int pair_grow(struct trainer *t, struct err *e)
{
    const size_t slots = t->slots ? t->slots * 2 : 1 << 16;
    struct pair_slot *fresh = mem_alloc(slots, sizeof *fresh, "pairs", e);

    if (!fresh)
        return -1;
    free(t->slot);
    t->slot = fresh;
    t->slots = slots;
    for (size_t i = 0; i < t->n_pairs; i++) {
        const struct pair *p = &t->pair[i];

        pair_find(t, p->a, p->b)->index = (uint32_t)i + 1;
    }
    return 0;
}

/* Adds to a pair's count and notes the word. */
static int pair_raise(struct trainer *t, uint32_t a, uint32_t b, size_t word, struct err *e)
{
    struct pair *p;
    struct pair_slot *slot;

    if (t->n_pairs * 2 >= t->slots && pair_grow(t, e))
        return -1;
    slot = pair_find(t, a, b);
    if (!slot->index) {
        if (mem_grow(&t->pair, &t->cap_pairs, t->n_pairs + 1, sizeof *t->pair, e))
            return -1;
        t->pair[t->n_pairs] = (struct pair){.a = a, .b = b};
        slot->index = (uint32_t)++t->n_pairs;
    }
    p = &t->pair[slot->index - 1];
    p->count += t->row[word].count;
    if (!p->words || t->posting[p->words - 1].word != word) {
        if (t->n_postings == UINT32_MAX - 1)
            return err_set(e, ERR_DATA, "the corpus has too many different words");
        if (mem_grow(&t->posting, &t->cap_postings, t->n_postings + 1, sizeof *t->posting, e))
            return -1;
        t->posting[t->n_postings++] = (struct posting){(uint32_t)word, p->words};
        p->words = (uint32_t)t->n_postings;
    }
    if (p->raised)
        return 0;
    p->raised = true;
    if (mem_grow(&t->raised, &t->cap_raised, t->n_raised + 1, sizeof *t->raised, e))
        return -1;
    t->raised[t->n_raised++] = slot->index - 1;
    return 0;
}

static void pair_lower(struct trainer *t, uint32_t a, uint32_t b, size_t word)
{
    const uint32_t index = pair_find(t, a, b)->index;

    if (index)
        t->pair[index - 1].count -= t->row[word].count;
}

static int count_pairs(struct trainer *t, struct err *e)
{
    if (pair_grow(t, e))
        return -1;
    for (size_t w = 0; w < t->words->n; w++) {
        const uint32_t *s = t->symbol + t->row[w].at;

        for (uint32_t i = 1; i < t->row[w].n; i++)
            if (pair_raise(t, s[i - 1], s[i], w, e))
                return -1;
    }
    return 0;
}

/* ---- heap: the larger count first, then the smaller pair ---- */

static bool before(const struct heap_entry *x, const struct heap_entry *y)
{
    if (x->count != y->count)
        return x->count > y->count;
    return x->a != y->a ? x->a < y->a : x->b < y->b;
}

static void heap_up(struct trainer *t, size_t i)
{
    const struct heap_entry entry = t->heap[i];

    while (i > 0 && before(&entry, &t->heap[(i - 1) / 2])) {
        t->heap[i] = t->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    t->heap[i] = entry;
}

static void heap_down(struct trainer *t, size_t i)
{
    const struct heap_entry entry = t->heap[i];

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= t->n_heap)
            break;
        if (child + 1 < t->n_heap && before(&t->heap[child + 1], &t->heap[child]))
            child++;
        if (!before(&t->heap[child], &entry))
            break;
        t->heap[i] = t->heap[child];
        i = child;
    }
    t->heap[i] = entry;
}

static void heap_pop(struct trainer *t)
{
    if (--t->n_heap == 0)
        return;
    t->heap[0] = t->heap[t->n_heap];
    heap_down(t, 0);
}

static int push_raised(struct trainer *t, struct err *e)
{
    for (size_t i = 0; i < t->n_raised; i++) {
        struct pair *p = &t->pair[t->raised[i]];

        p->raised = false;
        if (mem_grow(&t->heap, &t->cap_heap, t->n_heap + 1, sizeof *t->heap, e))
            return -1;
        t->heap[t->n_heap] =
            (struct heap_entry){.count = p->count, .a = p->a, .b = p->b, .pair = t->raised[i]};
        heap_up(t, t->n_heap++);
    }
    t->n_raised = 0;
    return 0;
}

/* ---- merging ---- */

/* Merges a pair (of that index) into a new token wherever a word has it. */
static int merge_in_word(struct trainer *t, size_t w, uint32_t index, uint32_t id,
                         struct err *e)
{
    const struct vocab_merge m = {t->pair[index].a, t->pair[index].b};
    uint32_t *s = t->symbol + t->row[w].at;
    const uint32_t n = t->row[w].n;
    uint32_t out = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 >= n || s[i] != m.a || s[i + 1] != m.b) {
            s[out++] = s[i];
            continue;
        }
        t->pair[index].count -= t->row[w].count;
        if (out > 0) {
            pair_lower(t, s[out - 1], m.a, w);
            if (pair_raise(t, s[out - 1], id, w, e))
                return -1;
        }
        if (i + 2 < n) {
            pair_lower(t, m.b, s[i + 2], w);
            if (pair_raise(t, id, s[i + 2], w, e))
                return -1;
        }
        s[out++] = id;
        i++;
    }
    t->row[w].n = out;
    return 0;
}

static int64_t merged_token(struct trainer *t, struct vocab_merge m, struct err *e)
{
    const char *b = t->out->token[m.b];
    const size_t prefix = strlen(t->o->prefix);
    struct buf text = {0};
    int64_t id = -1;

    if (prefix && strncmp(b, t->o->prefix, prefix) == 0)
        b += prefix;
    if (buf_puts(&text, t->out->token[m.a], e) == 0 && buf_puts(&text, b, e) == 0)
        id = token_id(t, text.data, e);
    buf_free(&text);
    return id;
}

static int merge_pair(struct trainer *t, uint32_t index, struct err *e)
{
    const struct vocab_merge m = {t->pair[index].a, t->pair[index].b};
    uint32_t next = t->pair[index].words;
    const int64_t id = merged_token(t, m, e);

    if (id < 0 || mem_grow(&t->out->merge, &t->out->cap_merges, t->out->n_merges + 1,
                           sizeof *t->out->merge, e))
        return -1;
    t->out->merge[t->out->n_merges++] = m;
    /* The pair may come back through another spelling of its parts, with words of its own. */
    t->pair[index].words = 0;
    while (next) {
        const struct posting at = t->posting[next - 1];

        if (merge_in_word(t, at.word, index, (uint32_t)id, e))
            return -1;
        next = at.next;
    }
    return push_raised(t, e);
}

static int merge_all(struct trainer *t, struct err *e)
{
    while (t->out->n < t->o->size && t->n_heap > 0) {
        const struct heap_entry top = t->heap[0];
        const uint64_t count = t->pair[top.pair].count;

        if (count == 0) {
            heap_pop(t);
        } else if (top.count != count) {
            t->heap[0].count = count;
            heap_down(t, 0);
        } else if (count < t->o->min_count) {
            break;
        } else {
            heap_pop(t);
            if (merge_pair(t, top.pair, e))
                return -1;
        }
    }
    return 0;
}

int pairmerge_train(const struct wordcount *words, const struct pairmerge_options *o,
                    struct vocablist *result, struct err *e)
{
    struct trainer t = {.o = o, .words = words, .out = result};
    int rc = -1;

    *result = (struct vocablist){0};
    if (words->n >= UINT32_MAX)
        return err_set(e, ERR_DATA, "the corpus has too many different words");
    if (make_alphabet(&t, e) == 0 && split_words(&t, e) == 0 && count_pairs(&t, e) == 0 &&
        push_raised(&t, e) == 0)
        rc = merge_all(&t, e);
    trainer_free(&t);
    if (rc)
        vocablist_free(result);
    return rc;
}
