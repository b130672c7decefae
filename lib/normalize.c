/* SPDX-License-Identifier: MIT */
#include "normalize.h"
#include "marks.h"
#include "unidata.h"
#include "utf8.h"

#include <stdlib.h>

void norm_scratch_free(struct norm_scratch *s)
{
    free(s->at);
    free(s->spare);
    buf_free(&s->text);
    pattern_scratch_free(&s->pattern);
    *s = (struct norm_scratch){0};
}

int normalizer_add(struct normalizer *nz, enum norm_step step)
{
    if (nz->n == NORM_MAX)
        return -1;
    nz->step[nz->n++] = (uint8_t)step;
    return 0;
}

/* The flags that make a step do anything at all. */
static uint32_t step_flags(enum norm_step step)
{
    switch (step) {
    case NORM_CLEAN:
        return UNI_DROP | UNI_BLANK;
    case NORM_CJK:
        return UNI_CJK;
    case NORM_NFD:
        return UNI_DECOMP | UNI_CCC;
    case NORM_NFC:
        return UNI_DECOMP | UNI_CCC | UNI_COMPOSES;
    case NORM_STRIP_MN:
        return UNI_MN;
    case NORM_STRIP_MARK:
        return UNI_MARK;
    case NORM_LOWER:
        return UNI_LOWER;
    default:
        return 0;
    }
}

static const struct mark_rules rules = {uni_class, uni_composed};

/* Makes room for need code points in the spare array. */
static int spare_room(struct norm_scratch *s, size_t need, struct err *e)
{
    return mem_grow(&s->spare, &s->spare_cap, need, sizeof *s->spare, e);
}

static void swap_arrays(struct norm_scratch *s)
{
    uint32_t *const at = s->at;
    const size_t cap = s->cap;

    s->at = s->spare;
    s->cap = s->spare_cap;
    s->spare = at;
    s->spare_cap = cap;
}

int norm_marks(struct norm_scratch *s, size_t *n, bool compose, struct err *e)
{
    if (spare_room(s, *n + 1, e))
        return -1;
    marks_order(&rules, s->at, *n, s->spare);
    if (!compose)
        return 0;
    /* What is composed at the front has nothing to do with what follows. */
    for (size_t i = 0; i < s->first; i++)
        s->spare[i] = s->at[i];
    s->first = marks_compose(&rules, s->spare, s->first);
    *n = marks_compose(&rules, s->at, *n);
    return 0;
}

/* Steps that make a text longer write into the spare array. */
static int widen(enum norm_step step, struct norm_scratch *s, size_t *n, struct err *e)
{
    size_t out = 0, changed = 0, first = SIZE_MAX;

    for (size_t i = 0; i < *n; i++)
        changed += (uni_of(s->at[i]) & step_flags(step)) != 0;
    if (spare_room(s, *n + changed * (UNI_LONGEST - 1) + 1, e))
        return -1;
    for (size_t i = 0; i < *n; i++) {
        const uint32_t c = s->at[i], f = uni_of(c);
        uint32_t *to = s->spare + out;

        first = i == s->first ? out : first;
        if (!(f & step_flags(step))) {
            *to = c;
            out++;
        } else if (step == NORM_CJK) {
            to[0] = to[2] = ' ';
            to[1] = c;
            out += 3;
        } else {
            out += (size_t)(step == NORM_LOWER ? uni_lower_case(c, to) : uni_decompose(c, to));
        }
    }
    swap_arrays(s);
    *n = out;
    s->first = first < out ? first : out;
    return step == NORM_NFD || step == NORM_NFC ? norm_marks(s, n, step == NORM_NFC, e) : 0;
}

static int run_step(enum norm_step step, struct norm_scratch *s, size_t *n, struct err *e)
{
    const uint32_t flags = step_flags(step);
    uint32_t seen = 0;
    size_t out = 0, first = SIZE_MAX;

    for (size_t i = 0; i < *n; i++)
        seen |= uni_of(s->at[i]);
    if (!(seen & flags))
        return 0;
    if (step != NORM_CLEAN && step != NORM_STRIP_MN && step != NORM_STRIP_MARK)
        return widen(step, s, n, e);
    for (size_t i = 0; i < *n; i++) {
        const uint32_t c = s->at[i], f = uni_of(c) & flags;

        first = i == s->first ? out : first;
        if (f & UNI_BLANK)
            s->at[out++] = ' ';
        else if (!f)
            s->at[out++] = c;
    }
    *n = out;
    s->first = first < out ? first : out;
    return 0;
}

int norm_step(const struct normalizer *nz, int step, struct norm_scratch *s, size_t *n,
              struct err *e)
{
    return nz->step[step] <= NORM_LOWER ? run_step((enum norm_step)nz->step[step], s, n, e)
                                        : norm_step_more(nz, step, s, n, e);
}

int normalize(const struct normalizer *nz, const uint8_t *p, size_t n, struct norm_scratch *s,
              struct buf *out, struct err *e)
{
    size_t count = 0, used;
    uint8_t *to;

    if (mem_grow(&s->at, &s->cap, n + 1, sizeof *s->at, e))
        return -1;
    for (size_t i = 0; i < n; i += used)
        s->at[count++] = utf8_next(p + i, n - i, &used);
    s->first = count > 0;
    for (int i = 0; i < nz->n; i++)
        if (norm_step(nz, i, s, &count, e))
            return -1;
    buf_reset(out);
    if (buf_reserve(out, count * 4 + 1, e))
        return -1;
    to = (uint8_t *)out->data;
    s->first_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        to += utf8_put(s->at[i], to);
        if (i + 1 == s->first)
            s->first_bytes = (size_t)(to - (uint8_t *)out->data);
    }
    *to = '\0';
    out->len = (size_t)(to - (uint8_t *)out->data);
    return 0;
}
