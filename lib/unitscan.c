/* SPDX-License-Identifier: MIT */
/*
 * unitscan: a fast path over raw text for any tokenizer whose words never go across a single
 * blank between two printable letters of ASCII.
 *
 * The text is cut before such blanks; each unit, blank included, is looked up in the memo, and
 * only those that are not known are normalized and split.  A cut is right when no step of the
 * normalizer looks across it (those at the ends of a text, Strip and Prepend, are left out of
 * units inside) and some pre-tokenizer separates there.
 */
#include "tokencode.h"

#include <stdlib.h>
#include <string.h>

static bool norm_is_local(const struct normalizer *nz)
{
    for (int i = 0; i < nz->n; i++)
        if (nz->step[i] == NORM_BYTES ||
            (nz->step[i] == NORM_REPLACE && !pattern_spaces_apart(nz->arg[i].pattern)))
            return false;
    return true;
}

/* Whether the blank of a unit stays one. */
static int blank_stays(const struct normalizer *nz, bool *stays, struct err *e)
{
    static const char text[] = " b";
    struct norm_scratch s = {.inside = true};
    struct buf out = {0};
    const int rc = normalize(nz, (const uint8_t *)text, 2, &s, &out, e);

    *stays = rc == 0 && out.len == 2 && memcmp(out.data, text, 2) == 0;
    norm_scratch_free(&s);
    buf_free(&out);
    return rc;
}

static bool pre_is_local(const struct pretokenizer *pre)
{
    bool separates = false;

    for (int i = 0; i < pre->n; i++) {
        switch (pre->step[i]) {
        case PRE_BERT:
        case PRE_SPACE:
        case PRE_WORDS:
        case PRE_GPT2:
            separates = true;
            break;
        case PRE_PUNCT:
        case PRE_DIGITS:
        case PRE_DIGIT:
            break;
        case PRE_NONE:
            break;
        case PRE_METASPACE:
            separates = separates || pre->rule[i].split;
            break;
        default:
            return false;
        }
    }
    return separates;
}

/* Whether no normalized added token can lie across a cut, or change what is beyond it. */
static bool added_are_local(const struct added *a)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct added_token *token = &a->at[i];

        if (token->normalized &&
            (token->rstrip || memchr(token->shown, ' ', token->shown_len)))
            return false;
    }
    return true;
}

int unitscan_build(struct tokenizer *t, struct err *e)
{
    bool stays = false;

    t->units = false;
    if (t->bert || !norm_is_local(&t->normalizer) || !pre_is_local(&t->pre) ||
        !added_are_local(&t->added))
        return 0;
    if (t->pre.bytes && t->normalizer.n == 0)
        return 0; /* which is as fast as it is */
    if (blank_stays(&t->normalizer, &stays, e))
        return -1;
    t->units = stays;
    return 0;
}

static bool is_graphic(uint8_t c)
{
    return c > ' ' && c < 0x7f;
}

/* Where the unit that goes on at p[at] ends. */
static size_t unit_end(const uint8_t *p, size_t n, size_t at)
{
    while (at < n) {
        const uint8_t *blank = memchr(p + at, ' ', n - at);

        if (!blank)
            return n;
        at = (size_t)(blank - p);
        if (at > 0 && at + 1 < n && is_graphic(p[at - 1]) && is_graphic(p[at + 1]))
            return at;
        at++;
    }
    return n;
}

int encoder_units(struct encoder *enc, const uint8_t *p, size_t n)
{
    unsigned tag = MEMO_RAW | (enc->at_start ? MEMO_START : 0);

    if (!enc->slack) {
        buf_reset(&enc->lower);
        if (buf_reserve(&enc->lower, n + ENCODER_SLACK, enc->e) ||
            buf_add(&enc->lower, p, n, enc->e))
            return -1;
        p = (const uint8_t *)enc->lower.data;
    }
    for (size_t at = 0, end; at < n; at = end) {
        end = unit_end(p, n, at + 1);
        if (encoder_queue(enc, p + at, end - at, tag))
            return -1;
        tag = MEMO_RAW | MEMO_INSIDE;
    }
    return encoder_flush(enc);
}
