/* SPDX-License-Identifier: MIT */
#include "unigram.h"
#include "utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The best cut of the text before a place: its last piece and its score. */
struct unigram_best {
    double score;
    uint32_t from; /* where the piece starts; NOWHERE: no cut ends here */
    int32_t id;
};

static const uint32_t NOWHERE = UINT32_MAX;
static const double UNK_PENALTY = 10.0;

/* Characters of three bytes; of each the node behind it, 0: not looked up. */
enum { CHARS = 0x10000, TRIE_LONG = UINT32_MAX - 1 };

void unigram_scratch_free(struct unigram_scratch *s)
{
    free(s->best);
    free(s->behind);
    *s = (struct unigram_scratch){0};
}

int unigram_add(struct unigram *u, struct vocabmap *v, const char *piece, size_t len,
                double score, struct err *e)
{
    v->keep_spelling = true;
    if (mem_grow(&u->score, &u->cap, u->n + 1, sizeof *u->score, e) ||
        vocabmap_add(v, piece, len, u->n, e))
        return -1;
    u->score[u->n++] = score;
    return 0;
}

static void find_bytes(struct unigram *u, const struct vocabmap *v)
{
    static const char hex[] = "0123456789ABCDEF";

    for (int b = 0; b < 256; b++) {
        const char name[] = {'<', '0', 'x', hex[b >> 4], hex[b & 15], '>'};

        u->byte_id[b] = (int32_t)vocabmap_id(v, name, sizeof name);
    }
}

int unigram_build(struct unigram *u, struct vocabmap *v, struct err *e)
{
    struct trie_entry *entry;
    double lowest = INFINITY;
    size_t n = 0;
    int rc;

    if (u->unk != VOCAB_NO_ID && (u->unk < 0 || (size_t)u->unk >= u->n))
        return err_set(e, ERR_DATA, "the unknown token is not in the vocabulary");
    if (vocabmap_index(v, e))
        return -1;
    entry = mem_alloc(u->n, sizeof *entry, "vocabulary", e);
    if (!entry)
        return -1;
    for (size_t id = 0; id < u->n; id++) {
        size_t len = 0;
        const char *token = vocabmap_token(v, (uint32_t)id, &len);

        lowest = u->score[id] < lowest ? u->score[id] : lowest;
        if (token && len)
            entry[n++] = (struct trie_entry){token, len, (int32_t)id};
    }
    rc = trie_build(&u->trie, entry, n, e);
    free(entry);
    u->unk_score = lowest - UNK_PENALTY;
    find_bytes(u, v);
    return rc;
}

void unigram_free(struct unigram *u)
{
    free(u->score);
    trie_free(&u->trie);
    *u = (struct unigram){0};
}

static bool offer(struct unigram_best *best, double score, size_t from, int32_t id)
{
    const bool taken = best->from == NOWHERE || score > best->score;

    if (taken)
        *best = (struct unigram_best){score, (uint32_t)from, id};
    return taken;
}

/*
 * The node behind the character of three bytes at p, or TRIE_NONE; TRIE_LONG when a piece ends
 * within it.
 */
static uint32_t look_behind(const struct trie *t, const uint8_t *p)
{
    uint32_t node = TRIE_ROOT;

    for (int i = 0; i < 3; i++) {
        node = trie_step(t, node, p[i]);
        if (node == TRIE_NONE)
            return TRIE_NONE;
        if (i < 2 && t->node[node].base >> 31)
            return TRIE_LONG;
    }
    return node;
}

/* The same, remembered: the places of many characters are then fetched side by side. */
static inline uint32_t behind(const struct unigram *u, uint32_t *known, const uint8_t *p,
                              uint32_t c)
{
    if (known[c] == 0)
        known[c] = look_behind(&u->trie, p) + 1; /* TRIE_NONE is 0: not remembered */
    return known[c] - 1;
}

/*
 * Finds the best last piece of every beginning of the word.  False: one of them ends in an
 * unknown character, and there is no token for it; that the whole might do without it does not
 * matter, as in the reference.
 */
static bool search(const struct unigram *u, const uint8_t *word, size_t n,
                   struct unigram_scratch *s)
{
    struct unigram_best *best = s->best;
    size_t used;

    for (size_t i = 0; i <= n; i++)
        best[i] = (struct unigram_best){0, NOWHERE, 0};
    for (size_t at = 0; at < n; at += used) {
        const double here = best[at].score;
        const uint32_t c = utf8_next(word + at, n - at, &used);
        uint32_t node = TRIE_ROOT;
        bool single = false;
        size_t i = at;

        if (used == 3) {
            node = behind(u, s->behind, word + at, c);
            i = at + 2;
            if (node == TRIE_LONG) {
                node = TRIE_ROOT;
                i = at;
            }
        }
        for (bool there = i > at; i < n && node != TRIE_NONE; i++, there = false) {
            if (!there)
                node = trie_step(&u->trie, node, word[i]);
            if (node == TRIE_NONE)
                break;
            if (u->trie.node[node].base >> 31) {
                const int32_t id = u->trie.value[node];

                offer(&best[i + 1], u->score[id] + here, at, id);
                single = single || i + 1 - at == used;
            }
        }
        if (!single && offer(&best[at + used], u->unk_score + here, at, u->unk) &&
            u->unk == VOCAB_NO_ID)
            return false;
    }
    return true;
}

/* The ids of a run of unknown characters; they are written towards the front from *to. */
static void put_unknown(const struct unigram *u, const struct vocabmap *v, const uint8_t *p,
                        size_t n, uint32_t **to)
{
    const int64_t id = vocabmap_id(v, (const char *)p, n);
    bool bytes = id < 0 && u->byte_fallback;

    for (size_t i = 0; bytes && i < n; i++)
        bytes = u->byte_id[p[i]] >= 0;
    if (!bytes) {
        *--*to = id >= 0 ? (uint32_t)id : (uint32_t)u->unk;
        return;
    }
    for (size_t i = n; i-- > 0;)
        *--*to = (uint32_t)u->byte_id[p[i]];
}

int64_t unigram_word(const struct unigram *u, const struct vocabmap *v, const uint8_t *word,
                     size_t n, struct unigram_scratch *s, uint32_t *ids, struct err *e)
{
    uint32_t *to = ids + n;
    size_t count;

    if (n >= NOWHERE)
        return err_set(e, ERR_DATA, "a word of %zu bytes is too long", n);
    if (!s->behind)
        s->behind = mem_alloc(CHARS, sizeof *s->behind, "unigram", e);
    if (!s->behind || mem_grow(&s->best, &s->cap, n + 1, sizeof *s->best, e))
        return -1;
    if (!search(u, word, n, s)) {
        *ids = VOCAB_NO_ID;
        return 1;
    }
    /* From the end, where an id never takes more places than its piece has bytes. */
    for (size_t end = n; end > 0;) {
        size_t from = s->best[end].from;

        if (s->best[end].id != u->unk) {
            *--to = (uint32_t)s->best[end].id;
        } else {
            while (from > 0 && s->best[from].id == u->unk)
                from = s->best[from].from;
            put_unknown(u, v, word + from, end - from, &to);
        }
        end = from;
    }
    count = (size_t)(ids + n - to);
    memmove(ids, to, count * sizeof *ids);
    return (int64_t)count;
}
