/* SPDX-License-Identifier: MIT */
#include "bertchars.h"
#include "tokencode.h"
#include "unidata.h"
#include "utf8.h"

#include <string.h>

enum char_kind { CHAR_NEW, CHAR_SLOW, CHAR_WORD, CHAR_GAP, CHAR_ALONE, CHAR_GONE };

/* Code points in the table; those beyond are always looked up. */
enum { POINTS = 0x20000, PLAIN = 8, ROOM = 256 };

static bool has_step(const struct normalizer *nz, enum norm_step step)
{
    for (int i = 0; i < nz->n; i++)
        if (nz->step[i] == step)
            return true;
    return false;
}

/*
 * Whether a normalized character is part of a word whatever stands beside it: without
 * separators, and without a mark that would have to find its place among others.
 */
static bool is_plain(const struct encoder *enc, const uint8_t *p, size_t n)
{
    const bool ordered = has_step(&enc->t->normalizer, NORM_NFD);
    uint32_t seen = 0;

    for (size_t at = 0, used; at < n; at += used)
        seen |= uni_of(utf8_next(p + at, n - at, &used));
    return !(seen & (UNI_SPACE | UNI_PUNCT | (ordered ? UNI_CCC : 0)));
}

/* One word that ends where it does whatever follows, and starts there whatever stands before. */
static bool stands_alone(const uint8_t *p, size_t n, struct span *word)
{
    size_t at = 0, used;
    struct span more;

    if (!pre_next(PRE_BERT, p, n, &at, word) || pre_next(PRE_BERT, p, n, &at, &more))
        return false;
    if (word->at > 0 && word->at + word->n < n)
        return true; /* blanks on both sides */
    return word->n == n && uni_of(utf8_next(p, n, &used)) & UNI_PUNCT && used == n;
}

static int look_up(struct encoder *enc, uint32_t c, struct bert_char *to)
{
    const struct tokenizer *t = enc->t;
    uint32_t ids[16];
    uint8_t utf8[4];
    const size_t len = utf8_put(c, utf8);
    struct span word;
    const uint8_t *p;
    size_t n;

    if (normalize(&t->normalizer, utf8, len, &enc->scratch, &enc->piece, enc->e))
        return -1;
    p = (const uint8_t *)enc->piece.data;
    n = enc->piece.len;
    *to = (struct bert_char){.kind = CHAR_SLOW};
    if (n == 0) {
        to->kind = CHAR_GONE;
    } else if (n <= len && is_plain(enc, p, n)) {
        memcpy(to->byte, p, n);
        to->n = (uint8_t)n;
        to->kind = CHAR_WORD;
    } else if (n == 1 && p[0] == ' ') {
        to->kind = CHAR_GAP;
    } else if (stands_alone(p, n, &word) && word.n <= sizeof ids / sizeof *ids &&
               wordpiece_word(&t->wordpiece, p + word.at, word.n, ids) == 1) {
        to->id = ids[0];
        to->kind = CHAR_ALONE;
    }
    return 0;
}

/* Whether ASCII goes on at p[at] for some while. */
static bool is_ascii(const struct bert_scan *s)
{
    uint64_t eight;

    if (s->n - s->at < PLAIN)
        return s->p[s->at] < 0x80;
    memcpy(&eight, s->p + s->at, sizeof eight);
    return !(eight & 0x8080808080808080u);
}

/* Appends the token of a character, behind the words that wait; *room counts what is left. */
static inline int put_id(struct encoder *enc, uint32_t id, unsigned *room)
{
    struct tok_ids *out = enc->out;

    if (enc->queue[enc->level].n)
        return encoder_queue_id(enc, id);
    if (*room == 0) {
        if (encoder_room(enc, ROOM))
            return -1;
        *room = ROOM;
    }
    --*room;
    out->id[out->n] = id;
    out->start[out->n++] = 1;
    return 0;
}

static int table(struct encoder *enc)
{
    if (!enc->bert_char)
        enc->bert_char = mem_alloc(POINTS, sizeof *enc->bert_char, "encoder", enc->e);
    return enc->bert_char ? 0 : -1;
}

/* Ends the word that is open, of which s->lower has the bytes up to `end`. */
static int close_word(struct encoder *enc, struct bert_scan *s, size_t end, unsigned *room)
{
    const size_t open = s->open;

    s->open = NOT_OPEN;
    *room = 0; /* the queue may be emptied */
    return open == NOT_OPEN ? 0 : encoder_queue(enc, s->lower + open, end - open, 0);
}

int bertchars_run(struct encoder *enc, struct bert_scan *s)
{
    size_t end = s->at; /* of the open word in s->lower: never beyond s->at */
    unsigned room = 0;

    if (table(enc))
        return -1;
    for (size_t used; s->at < s->n; s->at += used) {
        const uint32_t c = utf8_char(s->p + s->at, s->n - s->at, &used);
        struct bert_char other = {.kind = CHAR_NEW}, *k = c < POINTS ? &enc->bert_char[c] : &other;

        if (k->kind == CHAR_NEW && look_up(enc, c, k))
            return -1;
        if (k->kind == CHAR_WORD) {
            if (s->open == NOT_OPEN)
                s->open = end = s->at;
            memcpy(s->lower + end, k->byte, sizeof k->byte);
            end += k->n;
            continue;
        }
        if (k->kind == CHAR_GONE)
            continue;
        if (k->kind == CHAR_SLOW)
            return 1;
        if (s->open != NOT_OPEN && close_word(enc, s, end, &room))
            return -1;
        if (k->kind == CHAR_ALONE && put_id(enc, k->id, &room))
            return -1;
        if (s->p[s->at] < 0x80 && is_ascii(s)) {
            s->at += used;
            return 0;
        }
    }
    return close_word(enc, s, end, &room);
}
