/* SPDX-License-Identifier: MIT */
/*
 * BERT's normalizer and pre-tokenizer over ASCII, 64 bytes at a time: a block is classified
 * into bit masks and lower-cased, and words are read off the masks.  Anything else goes
 * through bertchars; a word with a character that cannot be told alone goes, up to the next
 * blank or punctuation, through the general path.
 */
#include "bertchars.h"
#include "tokencode.h"
#include "unidata.h"
#include "utf8.h"

#include <string.h>

enum { BLOCK = BYTE_BLOCK, LONG_UNIT = 512 };

/* Of ASCII: blanks that separate words. */
static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(uint8_t c)
{
    const uint8_t low = c | 0x20;

    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9');
}

static bool is_other(uint8_t c)
{
    return c >= 0x7f || (c < ' ' && !is_blank(c));
}

/* Whether a text may be cut before the code point at p: words and marks never go across it. */
static bool may_cut(const struct encoder *enc, const uint8_t *p, size_t n)
{
    size_t used;
    const uint32_t f = uni_of(utf8_next(p, n, &used));

    return f & (UNI_BLANK | UNI_PUNCT | (enc->t->bert_cjk ? UNI_CJK : 0)) &&
           !(f & (UNI_DECOMP | UNI_CCC));
}

/*
 * The end of a unit for the general path that starts at p[from] and goes on at p[at]: a blank
 * or punctuation.  Scripts without blanks are cut in between, to keep buffers small.
 */
static size_t unit_end(const struct encoder *enc, const uint8_t *p, size_t n, size_t from,
                       size_t at)
{
    for (; at < n && (is_word(p[at]) || is_other(p[at])); at++)
        if (at - from >= LONG_UNIT && p[at] >= 0xc0 && may_cut(enc, p + at, n - at))
            break;
    return at;
}

static unsigned first_bit(uint64_t mask)
{
    return (unsigned)__builtin_ctzll(mask);
}

/*
 * Gives the words that end in the first `bits` bytes of the block to the model, and each
 * punctuation character as a word.
 */
static int block_words(struct encoder *enc, struct bert_scan *s, struct bert_masks m, unsigned bits)
{
    const uint64_t below = bits == BLOCK ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    const uint64_t word = m.word & below, punct = m.punct & below;
    const uint64_t before = word << 1 | (s->open != NOT_OPEN);
    const uint8_t *const lower = s->lower + s->at;
    uint64_t start = (word & ~before) | punct;
    uint64_t end = ((~word & before) | punct << 1) & below;
    const size_t at = s->at;

    if (end && s->open != NOT_OPEN) {
        if (encoder_queue(enc, s->lower + s->open, at + first_bit(end) - s->open, 0))
            return -1;
        s->open = NOT_OPEN;
        end &= end - 1;
    }
    for (; end; end &= end - 1, start &= start - 1)
        if (encoder_queue(enc, lower + first_bit(start), first_bit(end) - first_bit(start), 0))
            return -1;
    if (start)
        s->open = at + first_bit(start);
    if (bits && punct >> (bits - 1) & 1) {
        if (encoder_queue(enc, s->lower + s->open, 1, 0))
            return -1;
        s->open = NOT_OPEN;
    }
    return 0;
}

/* What goes on at s->at, with the word that is open: through the general path. */
static int general_unit(struct encoder *enc, struct bert_scan *s)
{
    const size_t start = s->open == NOT_OPEN ? s->at : s->open;
    size_t n;

    s->at = unit_end(enc, s->p, s->n, start, s->at);
    s->open = NOT_OPEN;
    n = s->at - start;
    if (n > MEMO_KEY)
        return encoder_queue(enc, s->p + start, n, MEMO_RAW);
    /* As it was, but where it may be read beyond its end. */
    memcpy(s->lower + start, s->p + start, n);
    return encoder_queue(enc, s->lower + start, n, MEMO_RAW);
}

/* One block, up to what is not for this path. */
static int block(struct encoder *enc, struct bert_scan *s)
{
    const uint8_t *from = s->p + s->at;
    unsigned bits = BLOCK;
    uint8_t tail[BLOCK];
    struct bert_masks m;

    if (s->n - s->at < BLOCK) {
        memset(tail, ' ', sizeof tail);
        memcpy(tail, from, s->n - s->at);
        from = tail;
    }
    enc->bytes->bert(from, s->lower + s->at, enc->t->bert_lower, &m);
    if (m.other)
        bits = (unsigned)__builtin_ctzll(m.other);
    if (block_words(enc, s, m, bits))
        return -1;
    s->at += bits;
    return 0;
}

int encoder_bert(struct encoder *enc, const uint8_t *p, size_t n)
{
    struct bert_scan s = {.p = p, .n = n, .open = NOT_OPEN};
    int rc;

    buf_reset(&enc->lower);
    if (buf_reserve(&enc->lower, n + 2 * BLOCK, enc->e))
        return -1;
    s.lower = (uint8_t *)enc->lower.data;
    while (s.at < n) {
        if (p[s.at] < 0x80 && block(enc, &s))
            return -1;
        if (s.at >= n || !is_other(p[s.at]))
            continue;
        rc = bertchars_run(enc, &s);
        if (rc < 0 || (rc > 0 && general_unit(enc, &s)))
            return -1;
    }
    if (s.open != NOT_OPEN && encoder_queue(enc, s.lower + s.open, n - s.open, 0))
        return -1;
    return encoder_flush(enc);
}
