/* SPDX-License-Identifier: MIT */
#include "gpt2scan.h"
#include "bpechars.h"
#include "tokencode.h"

#include <string.h>

struct scan {
    const uint8_t *p;
    size_t n;
    size_t at;   /* of the block */
    size_t open; /* start of the word that is not over yet */
    struct gpt2_masks before; /* bit 63: the class of the byte before the block, if it counts */
    bool chars;  /* bpechars can be used */
};

static uint64_t below(unsigned bit)
{
    return bit >= 64 ? UINT64_MAX : ((uint64_t)1 << bit) - 1;
}

/* The class of the byte before each. */
static uint64_t moved(uint64_t mask, uint64_t before)
{
    return mask << 1 | before >> 63;
}

/*
 * Where words start among the first `bits` bytes of a block; solid_next: behind them is something,
 * and no blank.
 */
static uint64_t starts_of(const struct gpt2_masks *m, const struct gpt2_masks *before,
                          unsigned bits, bool solid_next)
{
    const uint64_t rest = ~(m->letter | m->digit | m->white | m->high);
    const uint64_t rest_before = ~(before->letter | before->digit | before->white | before->high);
    const uint64_t same = (m->letter & moved(m->letter, before->letter)) |
                          (m->digit & moved(m->digit, before->digit)) |
                          (m->white & moved(m->white, before->white)) |
                          (rest & moved(rest, rest_before));
    const uint64_t solid = ~m->white & moved(m->white, before->white) & below(bits);
    uint64_t start = (~same & below(bits)) | solid >> 1;

    if (solid_next)
        start |= m->white & (uint64_t)1 << (bits - 1);
    return start & ~(solid & moved(m->space, before->space));
}

/* A fresh start at p[at], where a word begins. */
static void restart(struct scan *s, size_t at)
{
    s->at = s->open = at;
    /* Of all classes: nothing before it counts. */
    s->before = (struct gpt2_masks){.high = UINT64_MAX};
}

/* Ends words at the starts of others. */
static inline int cut(struct encoder *enc, struct scan *s, uint64_t start)
{
    for (; start; start &= start - 1) {
        const size_t at = s->at + (unsigned)__builtin_ctzll(start);

        if (at > s->open && encoder_queue(enc, s->p + s->open, at - s->open, 0))
            return -1;
        s->open = at;
    }
    return 0;
}

/* The word at p[s->open], which touches what is not ASCII, and perhaps others. */
static int other_word(struct encoder *enc, struct scan *s)
{
    const size_t at = s->open;
    size_t end = at;

    if (s->chars && bpechars_word(enc, s->p, s->n, at, &end))
        return -1;
    if (end == at) {
        end = pre_gpt2_end(s->p, s->n, at);
        if (encoder_queue(enc, s->p + at, end - at, 0))
            return -1;
    }
    restart(s, end);
    return 0;
}

/*
 * Takes out the starts within contractions.  One that goes beyond the block ends it: *bits is
 * then where it starts.
 */
static uint64_t contract(const struct scan *s, uint64_t start, uint64_t quote, unsigned *bits)
{
    for (uint64_t left = quote & start; left; left &= left - 1) {
        const unsigned at = (unsigned)__builtin_ctzll(left);
        const unsigned len = (unsigned)pre_contraction(s->p + s->at + at, s->n - s->at - at);

        if (len == 0)
            continue;
        if (at + len >= *bits) {
            *bits = at;
            return start & below(at + 1);
        }
        start &= ~(below(at + len) & ~below(at + 1));
        start |= (uint64_t)1 << (at + len);
    }
    return start;
}

/* The class of the byte behind a full block: whether it is no blank. */
static bool is_solid(const struct scan *s, size_t at)
{
    return at < s->n && s->p[at] < 0x80 && pre_class[s->p[at]] != PRE_S;
}

static int block(struct encoder *enc, struct scan *s)
{
    const unsigned most = s->n - s->at < BYTE_BLOCK ? (unsigned)(s->n - s->at) : BYTE_BLOCK;
    const uint8_t *from = s->p + s->at;
    uint8_t tail[BYTE_BLOCK];
    unsigned bits = most, whole;
    struct gpt2_masks m;
    uint64_t start;
    bool other;

    if (most < BYTE_BLOCK) {
        memset(tail, ' ', sizeof tail);
        memcpy(tail, from, most);
        from = tail;
    }
    enc->bytes->gpt2(from, &m);
    if (m.high)
        bits = (unsigned)__builtin_ctzll(m.high);
    /* What blanks become depends on what follows them. */
    other = m.high || (most == BYTE_BLOCK && m.white >> 63 && s->at + most < s->n &&
                       s->p[s->at + most] >= 0x80);
    start = bits ? starts_of(&m, &s->before, bits, bits == BYTE_BLOCK && is_solid(s, s->at + bits))
                 : 0;
    whole = bits;
    start = contract(s, start, m.quote, &bits);
    if (cut(enc, s, start))
        return -1;
    if (bits < whole) { /* a contraction at the end */
        const size_t len = pre_contraction(s->p + s->open, s->n - s->open);

        if (encoder_queue(enc, s->p + s->open, len, 0))
            return -1;
        restart(s, s->open + len);
        return 0;
    }
    if (other)
        return other_word(enc, s);
    s->at += bits;
    s->before = m;
    return 0;
}

/* Whether a word starts at s->at that is not of ASCII, as all do in some scripts. */
static bool is_other(const struct scan *s)
{
    const uint8_t *p = s->p + s->at;

    return s->open == s->at && (p[0] >= 0x80 || (p[0] == ' ' && s->at + 1 < s->n && p[1] >= 0x80));
}

int gpt2_words(struct encoder *enc, const uint8_t *p, size_t n)
{
    struct scan s = {.p = p, .n = n, .chars = bpechars_can(enc)};

    restart(&s, 0);
    while (s.at < n)
        if (is_other(&s) ? other_word(enc, &s) : block(enc, &s))
            return -1;
    if (s.open < n && encoder_queue(enc, p + s.open, n - s.open, 0))
        return -1;
    return encoder_flush(enc);
}
