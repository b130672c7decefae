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
    uint32_t *word; /* (n) words that have, or had, the pair; a word may stand twice */
    size_t n, cap;
    bool raised;    /* its count went up in this merge */
};

struct heap_entry {
    uint64_t count;
    uint32_t a, b, pair;
};

struct trainer {
    const struct pairmerge_options *o;
    const struct wordcount *words;
    struct vocablist *out;
    uint32_t *symbol;  /* all words' symbols, one behind the other */
    size_t *start;     /* (words) where a word's symbols start */
    uint32_t *length;  /* (words) how many it has now */
    size_t n_symbols, cap_symbols;
    struct pair *pair; /* (n_pairs) */
    size_t n_pairs, cap_pairs;
    uint32_t *slot;    /* (slots) 1 + index into pair */
    size_t slots;
    struct heap_entry *heap;
    size_t n_heap, cap_heap;
    uint32_t *raised;  /* (n_raised) pairs to be pushed after a merge */
    size_t n_raised, cap_raised;
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
    for (size_t i = 0; i < t->n_pairs; i++)
        free(t->pair[i].word);
    free(t->pair);
    free(t->symbol);
    free(t->start);
    free(t->length);
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

static int add_letter(struct trainer *t, const char *prefix, uint32_t code, struct err *e)
{
    char text[32];
    const size_t n = strlen(prefix);

    memcpy(text, prefix, n);
    text[n + utf8_put(code, (uint8_t *)text + n)] = '\0';
    return token_id(t, text, e) < 0 ? -1 : 0;
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
    if (choose_letters(t, &a, e))
        return -1;
    for (size_t i = 0; i < a.n; i++)
        if (add_letter(t, "", a.letter[i].code, e))
            goto done;
    for (size_t i = 0; i < a.n && *t->o->prefix; i++)
        if (a.letter[i].inside && add_letter(t, t->o->prefix, a.letter[i].code, e))
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
    const size_t prefix = strlen(t->o->prefix);
    char text[32];
    size_t used;

    memcpy(text, t->o->prefix, prefix);
    for (size_t at = 0; at < w->n; at += used) {
        const char *piece = at > 0 ? text : text + prefix;
        size_t slot;

        utf8_next(p + at, w->n - at, &used);
        memcpy(text + prefix, p + at, used);
        text[prefix + used] = '\0';
        slot = token_find(t, piece);
        if (!t->token_slot[slot])
            continue; /* not in the alphabet */
        if (mem_grow(&t->symbol, &t->cap_symbols, t->n_symbols + 1, sizeof *t->symbol, e))
            return -1;
        t->symbol[t->n_symbols++] = t->token_slot[slot] - 1;
    }
    return 0;
}

static int split_words(struct trainer *t, struct err *e)
{
    t->start = mem_alloc(t->words->n, sizeof *t->start, "words", e);
    t->length = mem_alloc(t->words->n, sizeof *t->length, "words", e);
    if (!t->start || !t->length)
        return -1;
    for (size_t i = 0; i < t->words->n; i++) {
        t->start[i] = t->n_symbols;
        if (split_word(t, &t->words->word[i], e))
            return -1;
        t->length[i] = (uint32_t)(t->n_symbols - t->start[i]);
    }
    return 0;
}

/* ---- pairs ---- */

static size_t pair_slot(const struct trainer *t, uint32_t a, uint32_t b)
{
    const uint64_t key = (uint64_t)a << 32 | b;
    size_t i = (size_t)(key * 0x9E3779B97F4A7C15u >> 20) & (t->slots - 1);

    while (t->slot[i] && (t->pair[t->slot[i] - 1].a != a || t->pair[t->slot[i] - 1].b != b))
        i = (i + 1) & (t->slots - 1);
    return i;
}

static int pair_grow(struct trainer *t, struct err *e)
{
    const size_t slots = t->slots ? t->slots * 2 : 1 << 16;
    uint32_t *fresh = mem_alloc(slots, sizeof *fresh, "pairs", e);

    if (!fresh)
        return -1;
    free(t->slot);
    t->slot = fresh;
    t->slots = slots;
    for (size_t i = 0; i < t->n_pairs; i++)
        t->slot[pair_slot(t, t->pair[i].a, t->pair[i].b)] = (uint32_t)i + 1;
    return 0;
}

/* Adds to a pair's count and notes the word. */
static int pair_raise(struct trainer *t, uint32_t a, uint32_t b, size_t word, struct err *e)
{
    struct pair *p;
    size_t slot;

    if (t->n_pairs * 2 >= t->slots && pair_grow(t, e))
        return -1;
    slot = pair_slot(t, a, b);
    if (!t->slot[slot]) {
        if (mem_grow(&t->pair, &t->cap_pairs, t->n_pairs + 1, sizeof *t->pair, e))
            return -1;
        t->pair[t->n_pairs] = (struct pair){.a = a, .b = b};
        t->slot[slot] = (uint32_t)++t->n_pairs;
    }
    p = &t->pair[t->slot[slot] - 1];
    p->count += t->words->word[word].count;
    if (!p->n || p->word[p->n - 1] != word) {
        if (mem_grow(&p->word, &p->cap, p->n + 1, sizeof *p->word, e))
            return -1;
        p->word[p->n++] = (uint32_t)word;
    }
    if (p->raised)
        return 0;
    p->raised = true;
    if (mem_grow(&t->raised, &t->cap_raised, t->n_raised + 1, sizeof *t->raised, e))
        return -1;
    t->raised[t->n_raised++] = t->slot[slot] - 1;
    return 0;
}

static void pair_lower(struct trainer *t, uint32_t a, uint32_t b, size_t word)
{
    const size_t slot = pair_slot(t, a, b);

    if (t->slot[slot])
        t->pair[t->slot[slot] - 1].count -= t->words->word[word].count;
}

static int count_pairs(struct trainer *t, struct err *e)
{
    if (pair_grow(t, e))
        return -1;
    for (size_t w = 0; w < t->words->n; w++)
        for (size_t i = 1; i < t->length[w]; i++)
            if (pair_raise(t, t->symbol[t->start[w] + i - 1], t->symbol[t->start[w] + i], w, e))
                return -1;
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

static int merge_in_word(struct trainer *t, size_t w, struct vocab_merge m, uint32_t id,
                         struct err *e)
{
    uint32_t *s = t->symbol + t->start[w];
    uint32_t n = t->length[w], out = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 >= n || s[i] != m.a || s[i + 1] != m.b) {
            s[out++] = s[i];
            continue;
        }
        pair_lower(t, m.a, m.b, w);
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
    t->length[w] = out;
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
    uint32_t *word = t->pair[index].word;
    const size_t n = t->pair[index].n;
    const int64_t id = merged_token(t, m, e);
    int rc = 0;

    if (id < 0 || mem_grow(&t->out->merge, &t->out->cap_merges, t->out->n_merges + 1,
                           sizeof *t->out->merge, e))
        return -1;
    t->out->merge[t->out->n_merges++] = m;
    /* The pair may come back through another spelling of its parts, with words of its own. */
    t->pair[index].word = NULL;
    t->pair[index].n = t->pair[index].cap = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = merge_in_word(t, word[i], m, (uint32_t)id, e);
    free(word);
    return rc ? rc : push_raised(t, e);
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
