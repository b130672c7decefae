/* SPDX-License-Identifier: MIT */
/*
 * Steps over letters: normal forms (UAX 15), accents, lower case.
 *
 * A normal form is made a segment at a time: from a code point that nothing before it can
 * change to the next such one.  So memory is that of the longest segment, and what needs no
 * change is copied as it is.
 */
#include "clean_int.h"
#include "marks.h"
#include "uniprop.h"

static const struct mark_rules rules = {prop_class, prop_composed};

struct form {
    struct clean_pass *c;
    bool compat, compose, strip;
    uint32_t concerns; /* flags that make a code point more than a copy */
    size_t n;          /* code points of the segment, in c->points->at */
};

/* Where the next code point that may change is; n when there is none.  *before is the one
   before it, with which it may be composed. */
static size_t next_concern(const struct form *f, size_t at, size_t *before)
{
    const struct clean_pass *c = f->c;
    size_t used;

    *before = at;
    for (size_t i = at; i < c->n; i += used) {
        if (c->p[i] < 0x80) {
            used = 1;
        } else if (prop_of(clean_at(c, i, &used)) & f->concerns) {
            return i;
        }
        *before = i;
    }
    *before = c->n;
    return c->n;
}

static int flush(struct form *f)
{
    struct norm_scratch *s = f->c->points;
    size_t n = 0;

    if (mem_grow(&s->spare, &s->spare_cap, f->n, sizeof *s->spare, f->c->e))
        return -1;
    marks_order(&rules, s->at, f->n, s->spare);
    for (size_t i = 0; i < f->n; i++)
        if (!f->strip || !(prop_of(s->at[i]) & PROP_MN))
            s->at[n++] = s->at[i];
    if (f->compose)
        n = marks_compose(&rules, s->at, n);
    for (size_t i = 0; i < n; i++)
        if (clean_put_point(f->c, s->at[i]))
            return -1;
    f->n = 0;
    return 0;
}

/* Segments from *at on, up to the first code point that is a copy again. */
static int segments(struct form *f, size_t *at)
{
    struct clean_pass *c = f->c;
    struct norm_scratch *s = c->points;

    while (*at < c->n) {
        uint32_t parts[PROP_LONGEST];
        size_t used;
        const uint32_t point = clean_at(c, *at, &used);
        const int k = prop_decompose(point, f->compat, parts);

        if (f->n > 0 && !(prop_of(parts[0]) & (PROP_CCC | PROP_COMPOSES))) {
            if (flush(f))
                return -1;
            if (!(prop_of(point) & f->concerns))
                return 0;
        }
        if (mem_grow(&s->at, &s->cap, f->n + (size_t)k, sizeof *s->at, c->e))
            return -1;
        for (int i = 0; i < k; i++)
            s->at[f->n++] = parts[i];
        *at += used;
    }
    return flush(f);
}

static int normal_form(struct clean_pass *c, bool compat, bool compose, bool strip)
{
    struct form f = {.c = c, .compat = compat, .compose = compose, .strip = strip,
                     .concerns = PROP_CCC | PROP_CANON | (compat ? PROP_COMPAT : 0) |
                                 (compose ? PROP_COMPOSES : 0) | (strip ? PROP_MN : 0)};
    size_t at = 0;

    while (at < c->n) {
        size_t before;

        next_concern(&f, at, &before);
        if (clean_keep(c, at, before))
            return -1;
        at = before;
        if (at < c->n && segments(&f, &at))
            return -1;
    }
    return 0;
}

int clean_nfc(struct clean_pass *c)
{
    return normal_form(c, false, true, false);
}

int clean_nfd(struct clean_pass *c)
{
    return normal_form(c, false, false, false);
}

int clean_nfkc(struct clean_pass *c)
{
    return normal_form(c, true, true, false);
}

int clean_nfkd(struct clean_pass *c)
{
    return normal_form(c, true, false, false);
}

int clean_accents(struct clean_pass *c)
{
    return normal_form(c, false, true, true);
}

/* Whether a cased letter follows, beyond what does not count. */
static bool cased_follows(const struct clean_pass *c, size_t at)
{
    size_t used;

    for (; at < c->n; at += used) {
        const uint32_t flags = prop_of(clean_at(c, at, &used));

        if (!(flags & PROP_IGNORABLE))
            return flags & PROP_CASED;
    }
    return false;
}

/* As Python's str.lower: each by itself, but a sigma at a word's end (Unicode, table 3-17). */
int clean_lower(struct clean_pass *c)
{
    enum { SIGMA = 0x3a3, FINAL_SIGMA = 0x3c2 };
    bool after_cased = false;
    size_t used;

    for (size_t at = 0; at < c->n; at += used) {
        const uint32_t point = clean_at(c, at, &used), flags = prop_of(point);
        uint32_t lower[UNI_LONGEST];
        int k = 1;

        if (point < 0x80)
            lower[0] = point >= 'A' && point <= 'Z' ? point + 0x20 : point;
        else if (point == SIGMA && after_cased && !cased_follows(c, at + used))
            lower[0] = FINAL_SIGMA;
        else
            k = uni_lower_case(point, lower);
        for (int i = 0; i < k; i++)
            if (clean_put_point(c, lower[i]))
                return -1;
        if (!(flags & PROP_IGNORABLE))
            after_cased = flags & PROP_CASED;
    }
    return 0;
}
