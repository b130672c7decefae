/* SPDX-License-Identifier: MIT */
#include "piecesum.h"
#include "utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is there to cut ---- */

static int add_part(struct trainer *t, const struct word *w, size_t from, size_t to,
                    struct err *e)
{
    if (from == to)
        return 0;
    if (mem_grow(&t->cut.word, &t->cap_cut, t->cut.n + 1, sizeof *t->cut.word, e))
        return -1;
    t->cut.word[t->cut.n++] =
        (struct word){.at = w->at + from, .n = (uint32_t)(to - from), .count = w->count};
    return 0;
}

/* Cuts a word at characters that are not in the alphabet, and where it gets too long. */
static int cut_word(struct trainer *t, const uint8_t *p, const struct word *w, struct err *e)
{
    size_t from = 0, used;
    int chars = 0;

    for (size_t at = 0; at < w->n; at += used) {
        const uint32_t code = utf8_next(p + at, w->n - at, &used);

        const bool kept = alphabet_find(&t->alphabet, code) >= 0;

        if (!kept || chars == LONGEST) {
            if (add_part(t, w, from, at, e))
                return -1;
            from = kept ? at : at + used;
            chars = 0;
        }
        chars += kept;
    }
    return add_part(t, w, from, w->n, e);
}

static int cut_words(struct trainer *t, const struct wordcount *words, struct err *e)
{
    uint64_t total = 1;

    t->cut.bytes = words->bytes;
    t->cut.n_bytes = words->n_bytes;
    for (size_t i = 0; i < words->n; i++) {
        const struct word *w = &words->word[i];

        if (cut_word(t, (const uint8_t *)words->bytes + w->at, w, e))
            return -1;
        total += w->count * w->n;
    }
    /* So fine that even the sum over the whole corpus is below 2^62. */
    t->unit = ldexp(1, 61 - ilogb((double)total));
    if (t->unit > 1 << 30)
        t->unit = 1 << 30;
    return 0;
}

/* ---- pieces ---- */

static int make_pieces(struct trainer *t, struct err *e)
{
    struct alphabet *a = &t->alphabet;
    double sum = 0;

    if (buf_reserve(&t->letters, a->n * 4 + 1, e) ||
        seeds_find(&t->cut, t->o->min_count < 2 ? 2 : t->o->min_count, SEEDS, &t->seeds, e))
        return -1;
    t->n = a->n + t->seeds.n;
    t->piece = mem_alloc(t->n, sizeof *t->piece, "pieces", e);
    if (!t->piece)
        return -1;
    for (size_t i = 0; i < a->n; i++) {
        char *text = t->letters.data + t->letters.len;
        const size_t n = utf8_put(a->letter[i].code, (uint8_t *)text);

        t->letters.len += n;
        t->piece[i] = (struct piece){
            .text = text, .n = (uint16_t)n, .chars = 1, .weight = (double)a->letter[i].count};
    }
    for (size_t i = 0; i < t->seeds.n; i++) {
        const struct seed *s = &t->seeds.at[i];

        t->piece[a->n + i] = (struct piece){.text = t->cut.bytes + s->at,
                                            .n = s->n,
                                            .chars = s->chars,
                                            .weight = (double)s->count * s->chars};
    }
    for (size_t i = 0; i < t->n; i++)
        sum += t->piece[i].weight;
    for (size_t i = 0; i < t->n; i++)
        piece_set(&t->piece[i], log(t->piece[i].weight / sum));
    return 0;
}

static int make_trie(struct trainer *t, struct err *e)
{
    struct trie_entry *entry = mem_alloc(t->n, sizeof *entry, "pieces", e);
    int rc;

    if (!entry)
        return -1;
    for (size_t i = 0; i < t->n; i++)
        entry[i] = (struct trie_entry){t->piece[i].text, t->piece[i].n, (int32_t)i};
    trie_free(&t->trie);
    rc = trie_build(&t->trie, entry, t->n, e);
    free(entry);
    return rc;
}

/* Forgets the pieces that were dropped. */
static int compact(struct trainer *t, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        if (t->piece[i].lifted > 0)
            t->piece[n++] = t->piece[i];
    t->n = n;
    return make_trie(t, e);
}

/* ---- pruning ---- */

static size_t left(const struct trainer *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += t->piece[i].lifted > 0;
    return n;
}

struct candidate {
    double loss;
    size_t piece;
};

static int by_loss(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->loss != y->loss)
        return x->loss < y->loss ? 1 : -1;
    return (x->piece > y->piece) - (x->piece < y->piece);
}

/* Keeps the alphabet and, up to `keep` pieces in all, those that are missed most. */
static int prune(struct trainer *t, size_t keep, struct err *e)
{
    struct candidate *c = mem_alloc(t->n, sizeof *c, "pieces", e);
    size_t n = 0, letters = t->alphabet.n;

    if (!c)
        return -1;
    pieces_losses(t);
    for (size_t i = 0; i < t->n; i++)
        if (t->piece[i].chars > 1 && t->piece[i].lifted > 0)
            c[n++] = (struct candidate){t->piece[i].loss, i};
    if (n)
        qsort(c, n, sizeof *c, by_loss);
    for (size_t i = keep > letters ? keep - letters : 0; i < n; i++)
        t->piece[c[i].piece].lifted = 0;
    free(c);
    return compact(t, e);
}

/* ---- the whole ---- */

static int by_score(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    const size_t n = x->n < y->n ? x->n : y->n;
    int c;

    if (x->log_p != y->log_p)
        return x->log_p < y->log_p ? 1 : -1;
    c = memcmp(x->text, y->text, n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

/*
 * In steps of 1/4096: so scores and their sums are exact as floats, as doubles and as decimals
 * that any reader of JSON gets right, and no reader cuts a word in another way.
 */
static float rounded(double log_p)
{
    return (float)(floor(log_p * 4096 + 0.5) / 4096);
}

static int give(struct trainer *t, struct vocablist *out, struct err *e)
{
    for (int i = 0; i < t->o->n_special; i++)
        if (vocablist_add(out, t->o->special[i], strlen(t->o->special[i]), 0, e))
            return -1;
    if (t->n)
        qsort(t->piece, t->n, sizeof *t->piece, by_score);
    for (size_t i = 0; i < t->n; i++)
        if (vocablist_add(out, t->piece[i].text, t->piece[i].n, rounded(t->piece[i].log_p), e))
            return -1;
    return 0;
}

static int train(struct trainer *t, size_t size, struct err *e)
{
    /* A tenth too many, so that the last cut is made with good estimates. */
    const size_t enough = size + size / 10;

    if (make_pieces(t, e) || make_trie(t, e))
        return -1;
    t->pool = par_open(t->o->threads < 1 ? 1 : t->o->threads, e);
    t->worker = t->pool ? mem_alloc((size_t)par_threads(t->pool), sizeof *t->worker, "threads", e)
                        : NULL;
    for (int i = 0; t->worker && i < par_threads(t->pool); i++) {
        t->worker[i] = mem_alloc(1, sizeof **t->worker, "threads", e);
        if (!t->worker[i])
            return -1;
        t->worker[i]->sum = mem_alloc(t->n, sizeof *t->worker[i]->sum, "pieces", e);
        if (!t->worker[i]->sum)
            return -1;
    }
    if (!t->worker)
        return -1;
    for (;;) {
        size_t n;

        pieces_estimate(t, true);
        n = left(t);
        if (n <= enough)
            break;
        n = n - n / 4;
        if (prune(t, n > enough ? n : enough, e))
            return -1;
    }
    if (prune(t, size, e))
        return -1;
    pieces_estimate(t, false);
    return 0;
}

static void trainer_free(struct trainer *t)
{
    for (int i = 0; t->worker && i < par_threads(t->pool); i++) {
        if (t->worker[i])
            free(t->worker[i]->sum);
        free(t->worker[i]);
    }
    free(t->worker);
    par_close(t->pool);
    free(t->piece);
    free(t->cut.word);
    seeds_free(&t->seeds);
    buf_free(&t->letters);
    trie_free(&t->trie);
    alphabet_free(&t->alphabet);
}

int pieces_train(const struct wordcount *words, const struct piece_options *o,
                 struct vocablist *result, struct err *e)
{
    struct trainer t = {.o = o};
    size_t least;
    int rc = -1;

    *result = (struct vocablist){0};
    if (alphabet_count(words, &t.alphabet, e))
        return -1;
    alphabet_keep(&t.alphabet, o->max_alphabet);
    least = t.alphabet.n + (size_t)o->n_special;
    if (o->size < least)
        err_set(e, ERR_USAGE,
                "--size %zu is too small: the alphabet and the special tokens alone are %zu; "
                "give a larger one", o->size, least);
    else if (cut_words(&t, words, e) == 0 && train(&t, o->size - (size_t)o->n_special, e) == 0)
        rc = give(&t, result, e);
    trainer_free(&t);
    if (rc)
        vocablist_free(result);
    return rc;
}
