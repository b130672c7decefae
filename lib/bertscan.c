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
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { BLOCK = 64, LONG_UNIT = 512 };

/* One bit a byte: part of a word, punctuation, not for this path (else: a blank). */
struct masks {
    uint64_t word, punct, other;
};

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

#if defined(__SSE2__)
static __m128i in_range(__m128i v, char low, char high)
{
    return _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8((char)(low - 1))),
                         _mm_cmplt_epi8(v, _mm_set1_epi8((char)(high + 1))));
}

static struct masks classify(const uint8_t *p, uint8_t *lower, bool fold)
{
    struct masks m = {0, 0, 0};

    for (int i = 0; i < BLOCK; i += 16) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        const __m128i upper = in_range(v, 'A', 'Z');
        const __m128i low = _mm_or_si128(v, _mm_and_si128(upper, _mm_set1_epi8(0x20)));
        const __m128i word = _mm_or_si128(in_range(low, 'a', 'z'), in_range(v, '0', '9'));
        const __m128i blank = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')),
                         _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'))),
            _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')),
                         _mm_cmpeq_epi8(v, _mm_set1_epi8('\r'))));
        /* As signed bytes all from 0x80 on are below the space, too. */
        const __m128i control = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(' ')),
                                             _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
        const __m128i other = _mm_andnot_si128(blank, control);
        const __m128i rest = _mm_or_si128(_mm_or_si128(word, blank), other);

        _mm_storeu_si128((__m128i *)(void *)(lower + i), fold ? low : v);
        m.word |= (uint64_t)(uint16_t)_mm_movemask_epi8(word) << i;
        m.other |= (uint64_t)(uint16_t)_mm_movemask_epi8(other) << i;
        m.punct |= (uint64_t)(uint16_t)~_mm_movemask_epi8(rest) << i;
    }
    return m;
}
#else
static struct masks classify(const uint8_t *p, uint8_t *lower, bool fold)
{
    struct masks m = {0, 0, 0};

    for (int i = 0; i < BLOCK; i++) {
        const uint8_t c = p[i];
        const uint64_t bit = (uint64_t)1 << i;

        lower[i] = fold && c >= 'A' && c <= 'Z' ? c | 0x20 : c;
        if (is_word(c))
            m.word |= bit;
        else if (is_other(c))
            m.other |= bit;
        else if (!is_blank(c))
            m.punct |= bit;
    }
    return m;
}
#endif

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

/*
 * Gives the words that end in the first `bits` bytes of the block to the model, and each
 * punctuation character as a word.
 */
static int block_words(struct encoder *enc, struct bert_scan *s, struct masks m, unsigned bits)
{
    const uint64_t below = bits == BLOCK ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    const uint64_t word = m.word & below, punct = m.punct & below;
    const uint64_t before = word << 1 | (s->open != NOT_OPEN);
    uint64_t start = (word & ~before) | punct;
    uint64_t end = ((~word & before) | punct << 1) & below;

    while (end) {
        const size_t last = s->at + (unsigned)__builtin_ctzll(end);

        if (s->open == NOT_OPEN) {
            s->open = s->at + (unsigned)__builtin_ctzll(start);
            start &= start - 1;
        }
        if (encoder_queue(enc, s->lower + s->open, last - s->open, 0))
            return -1;
        s->open = NOT_OPEN;
        end &= end - 1;
    }
    if (start)
        s->open = s->at + (unsigned)__builtin_ctzll(start);
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
    struct masks m;

    if (s->n - s->at < BLOCK) {
        memset(tail, ' ', sizeof tail);
        memcpy(tail, from, s->n - s->at);
        from = tail;
    }
    m = classify(from, s->lower + s->at, enc->t->bert_lower);
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
