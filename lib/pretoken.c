/* SPDX-License-Identifier: MIT */
#include "pretoken.h"
#include "unidata.h"
#include "utf8.h"

int pretokenizer_add(struct pretokenizer *p, enum pre_step step)
{
    if (p->n == PRE_MAX)
        return -1;
    p->step[p->n++] = (uint8_t)step;
    return 0;
}

/* What a code point is to a step: between words, alone, or part of a run of its kind. */
enum kind { GAP, ALONE, RUN, OTHER_RUN };

static enum kind kind_of(enum pre_step step, uint32_t c)
{
    const uint32_t f = uni_of(c);

    switch (step) {
    case PRE_BERT:
        return f & UNI_SPACE ? GAP : f & UNI_PUNCT ? ALONE : RUN;
    case PRE_SPACE:
        return f & UNI_SPACE ? GAP : RUN;
    case PRE_WORDS:
        return f & UNI_WORD ? RUN : f & UNI_SPACE ? GAP : OTHER_RUN;
    case PRE_PUNCT:
        return f & UNI_PUNCT ? ALONE : RUN;
    case PRE_DIGITS:
        return f & UNI_NUMERIC ? OTHER_RUN : RUN;
    case PRE_DIGIT:
        return f & UNI_NUMERIC ? ALONE : RUN;
    default:
        return RUN;
    }
}

int pre_next(enum pre_step step, const uint8_t *p, size_t n, size_t *at, struct span *word)
{
    enum kind kind = GAP;
    size_t used = 0;

    if (step == PRE_GPT2) {
        *word = (struct span){*at, 0};
        if (*at < n)
            *at = pre_gpt2_end(p, n, *at);
        word->n = *at - word->at;
        return word->n > 0;
    }
    for (; *at < n && kind == GAP; *at += used)
        kind = kind_of(step, utf8_next(p + *at, n - *at, &used));
    if (kind == GAP)
        return 0;
    word->at = *at - used;
    for (; *at < n && kind != ALONE; *at += used)
        if (kind_of(step, utf8_next(p + *at, n - *at, &used)) != kind)
            break;
    word->n = *at - word->at;
    return 1;
}

enum { HIGH = PRE_HIGH, L = PRE_L, N = PRE_N, S = PRE_S, O = PRE_O };

const uint8_t pre_class[256] = {
    O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    O, O, S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, N, N, N, N, N, N, N, N, N, N, O, O,
    O, O, O, O, O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, O, O, O, O, O, O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, O, O, O, O, O};

static unsigned class_at(const uint8_t *p, size_t n, size_t at, size_t *used)
{
    const unsigned k = pre_class[p[at]];
    uint32_t f;

    *used = 1;
    if (k != HIGH)
        return k;
    f = uni_of(utf8_next(p + at, n - at, used));
    return f & UNI_LETTER ? L : f & UNI_NUMBER ? N : f & UNI_GAP ? S : O;
}

/* The end of the run of one class that goes on at p[at]. */
static size_t run_end(const uint8_t *p, size_t n, size_t at, unsigned class)
{
    while (at < n) {
        const unsigned k = pre_class[p[at]];
        size_t used = 1;

        if (k != class && (k != HIGH || class_at(p, n, at, &used) != class))
            break;
        at += used;
    }
    return at;
}

size_t pre_contraction(const uint8_t *p, size_t n)
{
    if (n < 2)
        return 0;
    if (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd')
        return 2;
    if (n < 3)
        return 0;
    return (p[1] == 'r' && p[2] == 'e') || (p[1] == 'v' && p[2] == 'e') ||
                   (p[1] == 'l' && p[2] == 'l')
               ? 3
               : 0;
}

/*
 * The pattern, of which the first alternative that matches wins:
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * So a space goes with the word behind it, and of a run of white space before a word all but
 * the last character is one token.
 */
size_t pre_gpt2_end(const uint8_t *p, size_t n, size_t at)
{
    size_t used, next, last = at;
    unsigned class = class_at(p, n, at, &used);

    if (p[at] == '\'') {
        const size_t len = pre_contraction(p + at, n - at);

        if (len)
            return at + len;
    }
    if (class != S)
        return run_end(p, n, at + used, class);
    if (p[at] == ' ' && at + 1 < n) {
        class = class_at(p, n, at + 1, &used);
        if (class != S)
            return run_end(p, n, at + 1 + used, class);
    }
    for (next = at; next < n; next += used) {
        if (class_at(p, n, next, &used) != S)
            break;
        last = next;
    }
    return next == n || last == at ? next : last;
}
