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

/*
 * A character of three bytes, as most are of scripts without spaces: where the trie goes on behind
 * it, and what piece it is.
 */
struct unigram_char {
    double score;
    int32_t id; /* -1: none */
    uint32_t node, base;
    enum { CHAR_NEW, CHAR_NONE, CHAR_KNOWN, CHAR_PARTS } kind; /* PARTS: a piece ends within it */
};

enum { CHARS = 0x10000 };

void unigram_scratch_free(struct unigram_scratch *s)
{
    free(s->best);
    free(s->chars);
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

static void look_up(const struct unigram *u, const uint8_t *p, struct unigram_char *k)
{
    uint32_t node = TRIE_ROOT;

    k->kind = CHAR_NONE;
    for (int i = 0; i < 3; i++) {
        node = trie_step(&u->trie, node, p[i]);
        if (node == TRIE_NONE)
            return;
        if (i < 2 && u->trie.node[node].base >> 31) {
            k->kind = CHAR_PARTS;
            return;
        }
    }
    k->kind = CHAR_KNOWN;
    k->node = node;
    k->base = u->trie.node[node].base & 0x7fffffff;
    k->id = u->trie.node[node].base >> 31 ? u->trie.value[node] : -1;
    k->score = k->id >= 0 ? u->score[k->id] : 0;
}

/* A word at work, and the place that pieces are looked for from. */
struct place {
    const struct unigram *u;
    const uint8_t *word;
    size_t n, at, used; /* used: bytes of the character there */
    struct unigram_best *best;
};

/* Offers the pieces that go on at word[i] from a node; whether one is the character itself. */
static inline bool walk(const struct place *p, size_t i, uint32_t node, uint32_t base)
{
    const struct trie *t = &p->u->trie;
    const double here = p->best[p->at].score;
    bool single = false;

    for (; i < p->n; i++) {
        const uint32_t child = base + p->word[i];

        if (t->node[child].parent != node)
            break;
        node = child;
        base = t->node[node].base;
        if (base >> 31) {
            const int32_t id = t->value[node];

            base &= 0x7fffffff;
            offer(&p->best[i + 1], p->u->score[id] + here, p->at, id);
            single = single || i + 1 - p->at == p->used;
        }
    }
    return single;
}

/* The same from the start; characters of three bytes are remembered. */
static inline bool pieces(const struct place *p, uint32_t c, struct unigram_char *chars)
{
    if (p->used == 3) {
        struct unigram_char *k = &chars[c];

        if (k->kind == CHAR_NEW)
            look_up(p->u, p->word + p->at, k);
        if (k->kind == CHAR_NONE)
            return false;
        if (k->kind == CHAR_KNOWN) {
            if (k->id >= 0)
                offer(&p->best[p->at + 3], k->score + p->best[p->at].score, p->at, k->id);
            (void)walk(p, p->at + 3, k->node, k->base);
            return k->id >= 0;
        }
    }
    return walk(p, p->at, TRIE_ROOT, p->u->trie.node[TRIE_ROOT].base & 0x7fffffff);
}

/*
 * Finds the best last piece of every beginning of the word.  False: one of them ends in an
 * unknown character, and there is no token for it; that the whole might do without it does not
 * matter, as in the reference.
 */
static bool search(const struct unigram *u, const uint8_t *word, size_t n,
                   struct unigram_scratch *s)
{
    struct place p = {.u = u, .word = word, .n = n, .best = s->best};

    for (size_t i = 0; i <= n; i++)
        p.best[i] = (struct unigram_best){0, NOWHERE, 0};
    for (; p.at < n; p.at += p.used) {
        const uint32_t c = utf8_next(word + p.at, n - p.at, &p.used);

        if (!pieces(&p, c, s->chars) &&
            offer(&p.best[p.at + p.used], u->unk_score + p.best[p.at].score, p.at, u->unk) &&
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
    if (!s->chars)
        s->chars = mem_alloc(CHARS, sizeof *s->chars, "unigram", e);
    if (!s->chars || mem_grow(&s->best, &s->cap, n + 1, sizeof *s->best, e))
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
