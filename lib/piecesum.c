/* SPDX-License-Identifier: MIT */
/*
 * Each word is a lattice: every way to cut it into pieces is a path, of the probability of its
 * pieces multiplied.  Forward and backward sums over it give how often a piece is expected in
 * the corpus.  The sums of all words are added up as integers, so that the result does not
 * depend on which thread took which word.
 */
#include "piecesum.h"

#include <math.h>
#include <string.h>

void piece_set(struct piece *x, double log_p)
{
    x->log_p = log_p > LOWEST ? log_p : LOWEST;
    x->lifted = exp(x->log_p + LIFT * x->chars);
}

/* Calls fn for blocks of `count` things, with sums of the threads that are zero before. */
static void in_blocks(struct trainer *t, size_t count, void (*fn)(void *, int64_t, int))
{
    for (int i = 0; i < par_threads(t->pool); i++)
        memset(t->worker[i]->sum, 0, t->n * sizeof *t->worker[i]->sum);
    par_for(t->pool, (int64_t)((count + BLOCK - 1) / BLOCK), fn, t);
}

static int64_t total_of(const struct trainer *t, size_t piece)
{
    int64_t sum = 0;

    for (int i = 0; i < par_threads(t->pool); i++)
        sum += t->worker[i]->sum[piece];
    return sum;
}

/* ---- expectation ---- */

void piece_expect(const struct trainer *t, struct worker *k, const struct word *w)
{
    const uint8_t *p = (const uint8_t *)t->cut.bytes + w->at;
    const double weight = (double)w->count * t->unit;
    const size_t n = w->n;
    size_t edges = 0;

    memset(k->ahead, 0, (n + 1) * sizeof *k->ahead);
    memset(k->back, 0, (n + 1) * sizeof *k->back);
    k->ahead[0] = 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t node = TRIE_ROOT;

        if (!(k->ahead[i] > 0))
            continue;
        for (size_t j = i; j < n; j++) {
            uint32_t piece;

            node = trie_step(&t->trie, node, p[j]);
            if (node == TRIE_NONE)
                break;
            if (!(t->trie.node[node].base >> 31))
                continue;
            piece = (uint32_t)t->trie.value[node];
            if (!(t->piece[piece].lifted > 0))
                continue;
            k->ahead[j + 1] += k->ahead[i] * t->piece[piece].lifted;
            k->edge[edges++] = (struct edge){(uint16_t)i, (uint16_t)(j + 1), piece};
        }
    }
    k->back[n] = 1 / k->ahead[n];
    while (edges-- > 0) {
        const struct edge *x = &k->edge[edges];
        const double share = t->piece[x->piece].lifted * k->back[x->to];

        k->back[x->from] += share;
        k->sum[x->piece] += (int64_t)(k->ahead[x->from] * share * weight + 0.5);
    }
}

static void expect_block(void *ctx, int64_t block, int thread)
{
    const struct trainer *t = ctx;
    const size_t from = (size_t)block * BLOCK;
    const size_t to = from + BLOCK < t->cut.n ? from + BLOCK : t->cut.n;

    for (size_t i = from; i < to; i++)
        piece_expect(t, t->worker[thread], &t->cut.word[i]);
}

/* ---- maximization ---- */

/* The derivative of the log of the gamma function (Abramowitz and Stegun 6.3.5, 6.3.18). */
static double digamma(double x)
{
    double shift = 0, r;

    for (; x < 8; x++)
        shift -= 1 / x;
    r = 1 / (x * x);
    return shift + log(x) - 0.5 / x - r * (1.0 / 12 - r * (1.0 / 120 - r / 252));
}

/*
 * Probabilities from the sums, by a Bayesian estimate that makes rare pieces rarer still.
 * With `drop` those that are expected less than half a time are dropped.
 */
static void maximize(struct trainer *t, bool drop)
{
    double sum = 0;

    for (size_t i = 0; i < t->n; i++) {
        struct piece *x = &t->piece[i];

        x->weight = (double)total_of(t, i) / t->unit;
        if (x->weight < 0.5)
            x->weight = x->chars > 1 && (drop || !(x->lifted > 0)) ? 0 : 0.5;
        sum += x->weight;
    }
    sum = digamma(sum);
    for (size_t i = 0; i < t->n; i++) {
        struct piece *x = &t->piece[i];

        if (x->weight > 0)
            piece_set(x, digamma(x->weight) - sum);
        else
            x->lifted = 0;
    }
}

void pieces_estimate(struct trainer *t, bool drop)
{
    for (int i = 0; i < 2; i++) {
        in_blocks(t, t->cut.n, expect_block);
        maximize(t, drop);
    }
}

/* ---- best cuts ---- */

/*
 * The best cut of a text of up to MAX_BYTES: how many pieces, the last one first.  `but` may
 * not be one of them.
 */
static size_t best_cut(const struct trainer *t, const uint8_t *p, size_t n, int64_t but,
                       uint32_t *cut)
{
    double score[MAX_BYTES + 1];
    uint32_t last[MAX_BYTES + 1];
    size_t count = 0;

    for (size_t i = 0; i <= n; i++)
        score[i] = -INFINITY;
    score[0] = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t node = TRIE_ROOT;

        if (score[i] == -INFINITY)
            continue;
        for (size_t j = i; j < n; j++) {
            uint32_t piece;

            node = trie_step(&t->trie, node, p[j]);
            if (node == TRIE_NONE)
                break;
            if (!(t->trie.node[node].base >> 31))
                continue;
            piece = (uint32_t)t->trie.value[node];
            if (t->piece[piece].lifted > 0 && (int64_t)piece != but &&
                score[i] + t->piece[piece].log_p > score[j + 1]) {
                score[j + 1] = score[i] + t->piece[piece].log_p;
                last[j + 1] = piece;
            }
        }
    }
    for (size_t at = n; at > 0; at -= t->piece[last[at]].n)
        cut[count++] = last[at];
    return count;
}

static void cut_block(void *ctx, int64_t block, int thread)
{
    const struct trainer *t = ctx;
    const size_t from = (size_t)block * BLOCK;
    const size_t to = from + BLOCK < t->cut.n ? from + BLOCK : t->cut.n;
    uint32_t cut[MAX_BYTES];

    for (size_t i = from; i < to; i++) {
        const struct word *w = &t->cut.word[i];
        const uint8_t *p = (const uint8_t *)t->cut.bytes + w->at;

        for (size_t n = best_cut(t, p, w->n, -1, cut); n-- > 0;)
            t->worker[thread]->sum[cut[n]] += (int64_t)w->count;
    }
}

/*
 * What the corpus loses with a piece: it is cut in the next best way then, and the pieces of
 * that way become the more frequent.
 */
static void loss_block(void *ctx, int64_t block, int thread)
{
    const struct trainer *t = ctx;
    const size_t from = (size_t)block * BLOCK;
    const size_t to = from + BLOCK < t->n ? from + BLOCK : t->n;
    uint32_t cut[MAX_BYTES];

    (void)thread;
    for (size_t i = from; i < to; i++) {
        struct piece *x = &t->piece[i];
        const double often = (double)x->best;
        double instead = 0, sum;
        size_t n;

        x->loss = 0;
        if (x->chars == 1 || x->best == 0)
            continue;
        n = best_cut(t, (const uint8_t *)x->text, x->n, (int64_t)i, cut);
        sum = log(t->all + often * (double)(n - 1));
        for (size_t k = 0; k < n; k++)
            instead += log((double)t->piece[cut[k]].best + often) - sum;
        x->loss = often * (log(often) - log(t->all) - instead);
    }
}

void pieces_losses(struct trainer *t)
{
    in_blocks(t, t->cut.n, cut_block);
    t->all = 0;
    for (size_t i = 0; i < t->n; i++) {
        t->piece[i].best = (uint64_t)total_of(t, i);
        t->all += (double)t->piece[i].best;
    }
    par_for(t->pool, (int64_t)((t->n + BLOCK - 1) / BLOCK), loss_block, t);
}
