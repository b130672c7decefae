/* SPDX-License-Identifier: MIT */
#include "unigram.h"
#include "utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double UNK_PENALTY = 10.0;

/*
 * The last piece of the best cut of the text before a place: its length and id, 0 for no cut.
 * Where a piece starts is told by its length.
 */
enum { LINK_ID = (1 << 25) - 1, LINK_UNKNOWN = LINK_ID, LINK_SHIFT = 25, LINK_LONG = 127 };

/*
 * A character of three bytes, as most are of scripts without spaces.  The words of a text look
 * all over the table: it is kept small.
 */
struct unigram_char {
    double score;
    uint64_t next;  /* how pieces go on behind it: see struct buckets */
    uint32_t last;
    uint32_t piece; /* its id + PIECE_FIRST, or one of these */
};
/* Not looked up yet; no piece; the unknown token is spelled so; a piece ends within it. */
enum { PIECE_NEW, PIECE_NONE, PIECE_UNKNOWN, PIECE_PARTS, PIECE_FIRST };

enum { CHARS = 0x10000 };

void unigram_scratch_free(struct unigram_scratch *s)
{
    free(s->score);
    free(s->link);
    free(s->chars);
    *s = (struct unigram_scratch){0};
}

int unigram_reserve(struct unigram *u, size_t n, struct err *e)
{
    return mem_grow(&u->score, &u->cap, n, sizeof *u->score, e);
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
    double lowest = INFINITY;

    if (u->unk != VOCAB_NO_ID && (u->unk < 0 || (size_t)u->unk >= u->n))
        return err_set(e, ERR_DATA, "the unknown token is not in the vocabulary");
    if (vocabmap_index(v, e))
        return -1;
    for (size_t id = 0; id < u->n; id++) {
        size_t len = 0;

        (void)vocabmap_token(v, (uint32_t)id, &len);
        lowest = u->score[id] < lowest ? u->score[id] : lowest;
        u->longest = len > u->longest ? len : u->longest;
    }
    u->unk_score = lowest - UNK_PENALTY;
    find_bytes(u, v);
    return trie_build_vocab(&u->trie, v, e);
}

void unigram_free(struct unigram *u)
{
    free(u->score);
    trie_free(&u->trie);
    *u = (struct unigram){0};
}

/* A word at work.  A stretch of it is open while pieces were offered that end behind `at`. */
struct search {
    const struct unigram *u;
    const struct vocabmap *v;
    const uint8_t *word;
    size_t n, at;
    size_t start, reach; /* of the open stretch, and where the last of those pieces ends */
    double *score;       /* of the best cut before a place, by place & mask */
    size_t mask;
    uint32_t *link;      /* (reach - start + 1) by place - start */
    uint32_t *ids;       /* (count) */
    size_t count, unknown; /* where a run of unknown characters starts, or NOWHERE */
    struct unigram_char *chars;
};
#define NOWHERE SIZE_MAX

static inline uint32_t link_of(size_t len, uint32_t id)
{
    return (uint32_t)(len < LINK_LONG ? len : LINK_LONG) << LINK_SHIFT | id;
}

static size_t link_length(const struct search *q, uint32_t link)
{
    const uint32_t len = link >> LINK_SHIFT;

    return len < LINK_LONG ? len : q->v->token[link & LINK_ID].len;
}

/* A piece that ends at a place; false when there is one as good. */
static inline bool offer(struct search *q, size_t end, double score, uint32_t link)
{
    double *const best = &q->score[end & q->mask];
    uint32_t *const last = &q->link[end - q->start];

    while (q->reach < end)
        q->link[++q->reach - q->start] = 0;
    if (*last && !(score > *best))
        return false;
    *best = score;
    *last = link;
    return true;
}

/* ---- characters ---- */

/*
 * Bits of the characters that something goes on with: one for the first or second byte, one for
 * the last of three.
 */
struct buckets {
    uint64_t next;
    uint32_t last;
};

static void add_bucket(struct buckets *k, unsigned next, unsigned last)
{
    k->next |= (uint64_t)1 << (next & 63);
    k->last |= (uint32_t)1 << (last & 31);
}

/* The buckets of what goes on behind a place with a character that starts so, and its rest. */
static void list_rest(const struct trie *t, const struct trie_place *first, unsigned lead,
                      struct buckets *k)
{
    for (unsigned b = 0x80; b < 0xc0; b++) {
        struct trie_place second = *first;

        if (!trie_move(t, &second, (uint8_t)b))
            continue;
        if (lead < 0xe0)
            add_bucket(k, lead, b);
        for (unsigned c = 0x80; lead >= 0xe0 && c < 0xc0; c++) {
            struct trie_place third = second;

            if (trie_move(t, &third, (uint8_t)c))
                add_bucket(k, b, c);
        }
    }
}

/* The buckets of all that goes on behind a place. */
static struct buckets list_buckets(const struct unigram *u, const struct trie_place *place)
{
    struct buckets k = {0, 0};

    if (u->any_bytes)
        return (struct buckets){UINT64_MAX, UINT32_MAX};
    for (unsigned b = 0; b < 0xf5; b++) {
        struct trie_place first = *place;

        if (!trie_move(&u->trie, &first, (uint8_t)b))
            continue;
        if (b < 0x80)
            add_bucket(&k, b, b);
        else
            list_rest(&u->trie, &first, b, &k);
    }
    return k;
}

static void look_up(const struct unigram *u, const uint8_t *p, struct unigram_char *k)
{
    struct trie_place place = {TRIE_ROOT, 0};
    struct buckets more;
    int32_t id;

    *k = (struct unigram_char){.piece = PIECE_NONE};
    for (int i = 0; i < 3; i++) {
        if (!trie_move(&u->trie, &place, p[i]))
            return;
        if (i < 2 && trie_ends(&u->trie, &place, &id)) {
            k->piece = PIECE_PARTS;
            return;
        }
    }
    more = list_buckets(u, &place);
    k->next = more.next;
    k->last = more.last;
    if (trie_ends(&u->trie, &place, &id)) {
        k->score = u->score[id];
        k->piece = id == u->unk ? PIECE_UNKNOWN : PIECE_FIRST + (uint32_t)id;
    }
}

/* What is known of the character c of three bytes at a place. */
static inline const struct unigram_char *known(const struct search *q, uint32_t c, size_t at)
{
    struct unigram_char *k = &q->chars[c];

    if (k->piece == PIECE_NEW)
        look_up(q->u, q->word + at, k);
    return k;
}

/* Whether a piece may go on behind a character, with what stands at a place. */
static inline bool goes_on(const struct search *q, const struct unigram_char *k, size_t at)
{
    const uint8_t *p = q->word + at;
    const size_t left = q->n - at;
    unsigned next, last;

    if (left < 3)
        return left > 0 && k->next;
    next = p[0] < 0xe0 ? p[0] : p[1];
    last = p[0] < 0xe0 ? p[1] : p[2];
    last = p[0] < 0x80 ? p[0] : last;
    return k->next >> (next & 63) & k->last >> (last & 31) & 1;
}

/* ---- results ---- */

/* The ids of a run of unknown characters. */
static void put_unknown(struct search *q, size_t from, size_t end)
{
    const struct unigram *u = q->u;
    const uint8_t *p = q->word + from;
    const size_t n = end - from;
    const int64_t id = vocabmap_id(q->v, (const char *)p, n);
    bool bytes = id < 0 && u->byte_fallback;

    q->unknown = NOWHERE;
    for (size_t i = 0; bytes && i < n; i++)
        bytes = u->byte_id[p[i]] >= 0;
    if (!bytes)
        q->ids[q->count++] = id >= 0 ? (uint32_t)id : (uint32_t)u->unk;
    for (size_t i = 0; bytes && i < n; i++)
        q->ids[q->count++] = (uint32_t)u->byte_id[p[i]];
}

/* The next piece; unknown ones wait for the end of their run. */
static inline void put(struct search *q, size_t from, int32_t id)
{
    if (id == q->u->unk) {
        q->unknown = q->unknown == NOWHERE ? from : q->unknown;
        return;
    }
    if (q->unknown != NOWHERE)
        put_unknown(q, q->unknown, from);
    q->ids[q->count++] = (uint32_t)id;
}

/* The pieces of the open stretch, which ends at q->at: the links back are turned, and walked. */
static void put_stretch(struct search *q)
{
    uint32_t link = q->link[q->at - q->start];

    for (size_t end = q->at; end > q->start;) {
        const size_t from = end - link_length(q, link);
        const uint32_t before = q->link[from - q->start];

        q->link[from - q->start] = link;
        link = before;
        end = from;
    }
    for (size_t from = q->start; from < q->at; from += link_length(q, link)) {
        link = q->link[from - q->start];
        put(q, from, (link & LINK_ID) == LINK_UNKNOWN ? q->u->unk : (int32_t)(link & LINK_ID));
    }
}

/* ---- the search ---- */

/* The bytes that are left of the tail of a node behind word[i], or 0: the word has others. */
static inline size_t tail_at(const struct search *q, uint32_t base, size_t i)
{
    const uint8_t *tail = q->u->trie.tail + (base & TRIE_BASE);
    const size_t len = tail[0];

    return q->n - i > len && memcmp(q->word + i + 1, tail + 1, len) == 0 ? len : 0;
}

/* Offers the pieces that start at q->at; whether one ends at `single`. */
static inline bool walk(struct search *q, size_t single)
{
    const struct trie *t = &q->u->trie;
    const double here = q->score[q->at & q->mask];
    uint32_t node = TRIE_ROOT, base = t->node[node].base;
    bool found = false;

    for (size_t i = q->at; i < q->n; i++) {
        const uint32_t child = (base & TRIE_BASE) + q->word[i];
        size_t end = i + 1;

        if (t->node[child].parent != node)
            break;
        node = child;
        base = t->node[node].base;
        if (base >> 30) {
            const int32_t id = t->value[node];
            const bool tail = base & TRIE_TAIL;

            end += tail ? tail_at(q, base, i) : 0;
            if (tail && end == i + 1)
                break;
            offer(q, end, q->u->score[id] + here, link_of(end - q->at, (uint32_t)id));
            found = found || end == single;
            if (tail)
                break;
        }
    }
    return found;
}

/* Offers all pieces from q->at on, and moves on by a character; false: it has no token. */
static bool step(struct search *q)
{
    const struct unigram *u = q->u;
    const double here = q->score[q->at & q->mask];
    const struct unigram_char *k = NULL;
    size_t used;
    const uint32_t c = utf8_char(q->word + q->at, q->n - q->at, &used);
    const size_t end = q->at + used;
    bool single;

    if (used == 3)
        k = known(q, c, q->at);
    if (k && k->piece >= PIECE_FIRST && !goes_on(q, k, end)) {
        offer(q, end, k->score + here, link_of(3, k->piece - PIECE_FIRST));
        single = true;
    } else {
        single = walk(q, end);
    }
    if (!single && offer(q, end, u->unk_score + here, link_of(used, LINK_UNKNOWN)) &&
        u->unk == VOCAB_NO_ID)
        return false;
    q->at = end;
    return true;
}

/*
 * Goes on over characters of three bytes that are pieces and start no longer one, from a place
 * that all cuts go through, whose score is given; returns that of the end.
 */
static double lone_run(struct search *q, double score)
{
    size_t at = q->at, count = q->count, used;

    for (; at < q->n; at += 3) {
        const uint32_t c = utf8_char(q->word + at, q->n - at, &used);
        const struct unigram_char *k;

        if (used != 3)
            break;
        k = known(q, c, at);
        if (k->piece < PIECE_FIRST || goes_on(q, k, at + 3))
            break;
        if (q->unknown != NOWHERE) {
            put_unknown(q, q->unknown, at);
            count = q->count;
        }
        q->ids[count++] = k->piece - PIECE_FIRST;
        score += k->score;
    }
    q->at = at;
    q->count = count;
    return score;
}

/*
 * Cuts the word at places that all cuts go through, as far as they are seen: where all pieces end
 * that start before.  1; 0: a beginning of the word ends in an unknown character, and there is no
 * token for it; that the whole might do without it does not matter, as in the reference.
 */
static int search(struct search *q, struct unigram_scratch *s, struct err *e)
{
    double score = 0;

    for (;;) {
        score = lone_run(q, score);
        if (q->at == q->n)
            break;
        q->start = q->reach = q->at;
        q->score[q->at & q->mask] = score;
        do {
            const size_t need = q->at - q->start + q->mask + 1;

            if (need > s->cap && mem_grow(&s->link, &s->cap, need, sizeof *s->link, e))
                return -1;
            q->link = s->link;
            if (!step(q))
                return 0;
        } while (q->at < q->reach);
        put_stretch(q);
        score = q->score[q->at & q->mask];
    }
    if (q->unknown != NOWHERE)
        put_unknown(q, q->unknown, q->n);
    return 1;
}

/* Room for scores of all places between a piece's ends, and a table of characters. */
static int room(struct unigram_scratch *s, size_t longest, struct err *e)
{
    size_t places = 8;

    if (s->chars)
        return 0;
    while (places < longest + 5)
        places *= 2;
    s->score = mem_alloc(places, sizeof *s->score, "unigram", e);
    s->chars = s->score ? mem_alloc(CHARS, sizeof *s->chars, "unigram", e) : NULL;
    s->mask = places - 1;
    return s->chars ? 0 : -1;
}

int64_t unigram_word(const struct unigram *u, const struct vocabmap *v, const uint8_t *word,
                     size_t n, struct unigram_scratch *s, uint32_t *ids, struct err *e)
{
    struct search q = {.u = u, .v = v, .word = word, .n = n, .ids = ids, .unknown = NOWHERE};
    int rc;

    if (room(s, u->longest, e))
        return -1;
    q.score = s->score;
    q.mask = s->mask;
    q.chars = s->chars;
    rc = search(&q, s, e);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        *ids = VOCAB_NO_ID;
        return 1;
    }
    return (int64_t)q.count;
}
