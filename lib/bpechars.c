/* SPDX-License-Identifier: MIT */
#include "bpechars.h"
#include "tokencode.h"
#include "unidata.h"
#include "utf8.h"

#include <stdlib.h>

/* RUN: bytes taken without asking for room. */
enum { POINTS = 0x10000, MOST = 3, STAY_BITS = 12, RUN = 384 };

/* A character of up to three bytes. */
struct bpe_char {
    uint32_t id[MOST]; /* (n) its tokens when it stands between two cuts */
    uint8_t n;         /* 0: not looked up yet */
    uint8_t class;     /* PRE_L to PRE_O */
};

struct bpe_chars {
    uint64_t joined[256][4]; /* bit right of joined[left]: some merge joins these bytes */
    uint64_t stay[1 << STAY_BITS]; /* pair of tokens + 1 << 1 | whether they stay */
    struct bpe_char at[POINTS];
};

void bpechars_free(struct bpe_chars *c)
{
    free(c);
}

bool bpechars_can(const struct encoder *enc)
{
    const struct tokenizer *t = enc->t;

    return t->model == TOK_BPE && !t->chars.on && t->bpe.bytes_only && !t->bpe.whole &&
           !enc->watcher;
}

/* The bytes at the ends of a token, or -1. */
static int first_byte(const struct vocabmap *v, uint32_t id)
{
    size_t len, used;
    const char *token = vocabmap_token(v, id, &len);

    return token && len ? bpe_byte(utf8_next((const uint8_t *)token, len, &used)) : -1;
}

static int last_byte(const struct vocabmap *v, uint32_t id)
{
    size_t len, used;
    const char *token = vocabmap_token(v, id, &len);

    return token && len ? bpe_byte(utf8_last((const uint8_t *)token, len, &used)) : -1;
}

static struct bpe_chars *make(struct encoder *enc)
{
    const struct bpe *b = &enc->t->bpe;
    struct bpe_chars *c = mem_alloc(1, sizeof *c, "encoder", enc->e);

    for (size_t i = 0; c && i < b->slots; i++) {
        uint32_t left, right;
        int x, y;

        if (!bpe_slot(b, i, &left, &right))
            continue;
        x = last_byte(&enc->t->vocab, left);
        y = first_byte(&enc->t->vocab, right);
        if (x >= 0 && y >= 0)
            c->joined[x][y >> 6] |= (uint64_t)1 << (y & 63);
    }
    enc->bpe_chars = c;
    return c;
}

static unsigned class_of(uint32_t c)
{
    const uint32_t f = uni_of(c);

    return f & UNI_LETTER ? PRE_L : f & UNI_NUMBER ? PRE_N : f & UNI_GAP ? PRE_S : PRE_O;
}

static int look_up(struct encoder *enc, uint32_t c, const uint8_t *p, size_t n,
                   struct bpe_char *to)
{
    int64_t count;

    to->class = (uint8_t)class_of(c);
    count = bpe_word(&enc->t->bpe, &enc->t->vocab, p, n, &enc->bpe, to->id, enc->e);
    to->n = (uint8_t)(count < 0 ? 0 : count);
    return count < 0 ? -1 : 0;
}

/* What the scan has of a character. */
struct found {
    const struct bpe_char *known; /* NULL: only the class */
    size_t used;
    unsigned class;
};

static inline int find(struct encoder *enc, const uint8_t *p, size_t n, struct found *f)
{
    struct bpe_char *k;
    uint32_t c;

    f->known = NULL;
    f->used = 1;
    f->class = pre_class[p[0]];
    if (p[0] < 0x80)
        return 0;
    if (n >= 3 && (p[0] & 0xf0) == 0xe0 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80) {
        c = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        f->used = 3;
    } else {
        c = utf8_next(p, n, &f->used);
    }
    /* What is not UTF-8 is read as a character of other bytes. */
    if (c >= POINTS || f->used != 2 + (c >= 0x800)) {
        f->class = class_of(c);
        return 0;
    }
    k = &enc->bpe_chars->at[c];
    if (k->n == 0 && look_up(enc, c, p, f->used, k))
        return -1;
    f->known = k;
    f->class = k->class;
    return 0;
}

/* ---- words ---- */

/* The word so far; the ids of its last part may have to be taken back. */
struct word {
    const uint8_t *p;
    size_t open;  /* start of the part */
    size_t first; /* of its ids in the output */
    uint32_t last;
    bool known; /* its ids are there; else it goes to the queue */
    bool inner; /* it is not the start of the word */
    unsigned class;
};

static inline bool is_joined(const struct bpe_chars *c, uint8_t left, uint8_t right)
{
    return c->joined[left][right >> 6] >> (right & 63) & 1;
}

/* Appends the tokens of a token's single bytes to ids. */
static size_t put_bytes(const struct encoder *enc, uint32_t token, uint32_t *ids)
{
    size_t len, count = 0;
    const uint8_t *p = (const uint8_t *)vocabmap_token(&enc->t->vocab, token, &len);

    for (size_t at = 0, used; p && at < len && count < MOST; at += used) {
        const int byte = bpe_byte(utf8_next(p + at, len - at, &used));

        if (byte >= 0)
            ids[count++] = (uint32_t)enc->t->bpe.byte_id[byte];
    }
    return count;
}

static uint64_t *stay_slot(struct bpe_chars *c, uint64_t pair)
{
    return &c->stay[pair * 0x9e3779b97f4a7c15u >> (64 - STAY_BITS)];
}

static uint64_t stay_key(uint32_t left, uint32_t right)
{
    return ((uint64_t)left << BPE_ID_BITS | right) + 1;
}

/* Whether two tokens are what their bytes are merged to when they make a word: 1, 0, or -1. */
static int stay(struct encoder *enc, uint32_t left, uint32_t right)
{
    const uint64_t pair = stay_key(left, right);
    uint64_t *known = stay_slot(enc->bpe_chars, pair);
    uint32_t ids[2 * MOST];
    int64_t count;
    size_t n;

    if (*known >> 1 == pair)
        return (int)(*known & 1);
    n = put_bytes(enc, left, ids);
    n += put_bytes(enc, right, ids + n);
    count = bpe_merge(&enc->t->bpe, &enc->bpe, ids, n, enc->e);
    if (count < 0)
        return -1;
    *known = pair << 1 | (count == 2 && ids[0] == left && ids[1] == right);
    return (int)(*known & 1);
}

/* Begins a part with a character. */
static inline int begin(struct encoder *enc, struct word *w, size_t at, const struct found *f)
{
    w->open = at;
    w->known = f->known != NULL;
    if (!w->known)
        return 0;
    if (enc->queue[enc->level].n && encoder_flush(enc))
        return -1;
    w->first = enc->out->n;
    return 0;
}

/* Ends the part before p[at]. */
static inline int finish(struct encoder *enc, struct word *w, size_t at)
{
    const bool inner = w->inner;

    w->inner = true;
    return w->known ? 0
                    : encoder_queue(enc, w->p + w->open, at - w->open, inner ? MEMO_INNER : 0);
}

static inline int put_ids(struct encoder *enc, struct word *w, const struct bpe_char *c)
{
    struct tok_ids *out = enc->out;

    if (encoder_room(enc, MOST + RUN))
        return -1;
    memcpy(out->id + out->n, c->id, sizeof c->id);
    memset(out->start + out->n, 0, MOST);
    out->start[out->n] = !w->inner && out->n == w->first;
    out->n += c->n;
    w->last = c->id[c->n - 1];
    return 0;
}

/* The character at p[at], which is not the word's first. */
static inline int take(struct encoder *enc, struct word *w, size_t at, const struct found *f)
{
    int cut;

    if (!is_joined(enc->bpe_chars, w->p[at - 1], w->p[at]))
        return finish(enc, w, at) || begin(enc, w, at, f) ? -1 : 0;
    if (!w->known)
        return 0;
    cut = f->known ? stay(enc, w->last, f->known->id[0]) : 0;
    if (cut <= 0) {
        w->known = false;
        enc->out->n = w->first;
    }
    return cut < 0 ? -1 : 0;
}

/*
 * Goes on behind a known part, over the ends of words, too, while characters of three bytes
 * follow that are known and either cut off or known to stay.  Returns the place of the first that
 * is not.
 */
static size_t run(struct encoder *enc, struct word *w, size_t at, size_t n)
{
    struct bpe_chars *const c = enc->bpe_chars;
    struct tok_ids *const out = enc->out;
    const uint8_t *const p = w->p;
    size_t to = out->n;

    n = n - at > RUN ? at + RUN : n;
    for (; n - at >= 3; at += 3) {
        const uint8_t lead = p[at], second = p[at + 1], third = p[at + 2];
        const struct bpe_char *k = &c->at[(lead & 0x0f) << 12 | (second & 0x3f) << 6 |
                                          (third & 0x3f)];

        if ((lead & 0xf0) != 0xe0 || (second & 0xc0) != 0x80 || (third & 0xc0) != 0x80 ||
            k->n == 0 || k->class == PRE_S)
            break;
        if (k->class != w->class || !is_joined(c, p[at - 1], lead)) {
            w->open = at;
            w->first = to;
            w->inner = k->class == w->class;
            w->class = k->class;
        } else {
            const uint64_t pair = stay_key(w->last, k->id[0]);

            if (*stay_slot(c, pair) != (pair << 1 | 1))
                break;
        }
        memcpy(out->id + to, k->id, sizeof k->id);
        memset(out->start + to, 0, MOST);
        out->start[to] = !w->inner && to == w->first;
        to += k->n;
        w->last = k->id[k->n - 1];
    }
    out->n = to;
    return at;
}

int bpechars_word(struct encoder *enc, const uint8_t *p, size_t n, size_t at, size_t *end)
{
    const size_t from = at + (p[at] == ' ');
    struct word w = {.p = p, .open = at};
    struct found f;
    size_t i = from;

    *end = at;
    if ((!enc->bpe_chars && !make(enc)) || find(enc, p + i, n - i, &f))
        return -1;
    w.class = f.class;
    if (w.class == PRE_S || p[from] == '\'')
        return 0;
    if (from == at ? begin(enc, &w, at, &f) : take(enc, &w, from, &f))
        return -1;
    for (;;) {
        if (w.known && put_ids(enc, &w, f.known))
            return -1;
        i += f.used;
        if (w.known)
            i = run(enc, &w, i, n);
        if (i >= n)
            break;
        if (find(enc, p + i, n - i, &f))
            return -1;
        if (f.class != w.class)
            break;
        if (take(enc, &w, i, &f))
            return -1;
    }
    *end = i;
    return finish(enc, &w, i);
}
