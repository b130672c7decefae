/* SPDX-License-Identifier: MIT */
#include "presplit.h"
#include "bpe.h"
#include "unidata.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

void presplit_free(struct presplit *w)
{
    for (int i = 0; i < 2; i++) {
        free(w->span[i]);
        buf_free(&w->text[i]);
    }
    buf_free(&w->piece);
    free(w->event);
    pattern_scratch_free(&w->pattern);
    *w = (struct presplit){0};
}

/* One step at work: pieces go from one list to the other, the text perhaps, too. */
struct step {
    struct presplit *w;
    const struct pre_rule *rule;
    struct span *from; /* (n_from) */
    size_t n_from, n;  /* n: pieces made */
    struct buf *text;  /* that is made, or NULL */
    size_t first;      /* of that text; SIZE_MAX: not known yet */
    size_t slack;
    struct err *e;
};

static int put_span(struct step *s, size_t at, size_t n)
{
    const int to = !s->w->list;

    if (n == 0)
        return 0;
    if (mem_grow(&s->w->span[to], &s->w->span_cap[to], s->n + 1, sizeof *s->w->span[0], s->e))
        return -1;
    s->w->span[to][s->n++] = (struct span){at, n};
    return 0;
}

/* ---- steps that only cut ---- */

static int cut(struct step *s, enum pre_step kind)
{
    for (size_t i = 0; i < s->n_from; i++) {
        const struct span piece = s->from[i];
        struct span word;
        size_t at = 0;

        if (kind == PRE_NONE && put_span(s, piece.at, piece.n))
            return -1;
        while (kind != PRE_NONE && pre_next(kind, s->w->p + piece.at, piece.n, &at, &word))
            if (put_span(s, piece.at + word.at, word.n))
                return -1;
    }
    return 0;
}

static int put_event(struct step *s, size_t at, size_t n, bool match)
{
    struct presplit *w = s->w;

    if (n == 0)
        return 0;
    if (mem_grow(&w->event, &w->event_cap, w->events + 1, sizeof *w->event, s->e))
        return -1;
    w->event[w->events++] = (struct presplit_event){at, n, match != s->rule->invert};
    return 0;
}

/* The matches in a piece and what is between them. */
static int find_pattern(struct step *s, struct span piece)
{
    const uint8_t *p = s->w->p + piece.at;
    size_t at = 0;
    struct span m;
    int rc;

    while ((rc = pattern_next(s->rule->pattern, p, piece.n, at, &m, &s->w->pattern, s->e)) > 0) {
        if (put_event(s, piece.at + at, m.at - at, false) ||
            put_event(s, piece.at + m.at, m.n, true))
            return -1;
        at = m.at + m.n;
    }
    return rc < 0 ? -1 : put_event(s, piece.at + at, piece.n - at, false);
}

static int find_punctuation(struct step *s, struct span piece)
{
    const uint8_t *p = s->w->p + piece.at;
    size_t done = 0;

    for (size_t at = 0, used; at < piece.n; at += used) {
        if (!(uni_of(utf8_next(p + at, piece.n - at, &used)) & UNI_PUNCT))
            continue;
        if (put_event(s, piece.at + done, at - done, false) ||
            put_event(s, piece.at + at, used, true))
            return -1;
        done = at + used;
    }
    return put_event(s, piece.at + done, piece.n - done, false);
}

/* Joins each match with the piece behind it, from the end on; returns how many are left. */
static size_t join_next(struct presplit_event *event, size_t n)
{
    bool previous = false;
    size_t out = n;

    for (size_t i = n; i-- > 0;) {
        const struct presplit_event one = event[i];

        if (one.match && !previous && out < n) {
            event[out].n += event[out].at - one.at;
            event[out].at = one.at;
        } else {
            event[--out] = one;
        }
        previous = one.match;
    }
    memmove(event, event + out, (n - out) * sizeof *event);
    return n - out;
}

static int put_events(struct step *s)
{
    struct presplit *w = s->w;
    const enum pre_behavior behavior = s->rule->behavior;
    const size_t first = s->n;
    bool previous = false;

    if (behavior == PRE_WITH_NEXT)
        w->events = join_next(w->event, w->events);
    for (size_t i = 0; i < w->events; i++) {
        const struct presplit_event *v = &w->event[i];
        const bool join = behavior == PRE_CONTIGUOUS ? v->match == previous
                          : behavior == PRE_WITH_PREVIOUS && v->match && !previous;

        previous = v->match;
        if (join && s->n > first)
            w->span[!w->list][s->n - 1].n += v->n;
        else if (!(behavior == PRE_REMOVED && v->match) && put_span(s, v->at, v->n))
            return -1;
    }
    return 0;
}

static int cut_matches(struct step *s, bool punctuation)
{
    for (size_t i = 0; i < s->n_from; i++) {
        s->w->events = 0;
        if (punctuation ? find_punctuation(s, s->from[i]) : find_pattern(s, s->from[i]))
            return -1;
        if (put_events(s))
            return -1;
    }
    return 0;
}

/* ---- steps that make a new text ---- */

/* Notes, before the byte at `at` of the old text is written, how far the first character goes. */
static void note_first(struct step *s, size_t at)
{
    if (s->first == SIZE_MAX && at >= s->w->first)
        s->first = s->text->len;
}

static bool starts_with_mark(const struct pre_rule *r, const uint8_t *p, size_t n)
{
    return (n > 0 && p[0] == ' ') || (n >= r->n_mark && memcmp(p, r->mark, r->n_mark) == 0);
}

/* Bytes of p, which starts with no mark, up to where one may. */
static size_t plain_run(const struct pre_rule *r, const uint8_t *p, size_t n)
{
    size_t i = 1;

    while (i < n && p[i] != ' ' && p[i] != r->mark[0])
        i++;
    return i;
}

static int metaspace_piece(struct step *s, struct span piece)
{
    const struct pre_rule *r = s->rule;
    const uint8_t *p = s->w->p + piece.at;
    size_t open = s->text->len, len;

    /* A blank of one byte may become a mark of four. */
    if (buf_reserve(s->text, piece.n * 4 + 4 + s->slack, s->e))
        return -1;
    note_first(s, piece.at);
    if (!starts_with_mark(r, p, piece.n) &&
        (r->scheme == PRE_ALWAYS || (r->scheme == PRE_FIRST && piece.at < s->w->first))) {
        memcpy(s->text->data + s->text->len, r->mark, r->n_mark);
        s->text->len += r->n_mark;
    }
    for (size_t i = 0; i < piece.n; i += len) {
        const bool mark = starts_with_mark(r, p + i, piece.n - i);

        note_first(s, piece.at + i);
        if (!mark) {
            len = s->first == SIZE_MAX ? 1 : plain_run(r, p + i, piece.n - i);
            memcpy(s->text->data + s->text->len, p + i, len);
            s->text->len += len;
            continue;
        }
        len = p[i] != ' ' ? r->n_mark : 1;
        if (r->split) {
            if (put_span(s, open, s->text->len - open))
                return -1;
            open = s->text->len;
        }
        memcpy(s->text->data + s->text->len, r->mark, r->n_mark);
        s->text->len += r->n_mark;
    }
    return put_span(s, open, s->text->len - open);
}

/* A piece as the letters that stand for its bytes. */
static int spell(struct step *s, const uint8_t *p, size_t n)
{
    const size_t open = s->text->len;

    for (size_t i = 0; i < n; i++)
        s->text->len +=
            utf8_put(bpe_letter(p[i]), (uint8_t *)s->text->data + s->text->len);
    return put_span(s, open, s->text->len - open);
}

static int bytes_piece(struct step *s, struct span piece)
{
    const uint8_t *p = s->w->p + piece.at;
    const bool prefix = s->rule->prefix && p[0] != ' ';
    size_t n = piece.n;

    note_first(s, piece.at);
    if (prefix) {
        buf_reset(&s->w->piece);
        if (buf_putc(&s->w->piece, ' ', s->e) || buf_add(&s->w->piece, p, n, s->e))
            return -1;
        p = (const uint8_t *)s->w->piece.data;
        n = s->w->piece.len;
    }
    if (buf_reserve(s->text, n * 2 + s->slack, s->e))
        return -1;
    if (!s->rule->words)
        return spell(s, p, n);
    for (size_t at = 0, end; at < n; at = end) {
        end = pre_gpt2_end(p, n, at);
        if (spell(s, p + at, end - at))
            return -1;
    }
    return 0;
}

static int rewrite(struct step *s, enum pre_step kind)
{
    struct presplit *w = s->w;

    /* The text at hand may be in one of the two buffers: the other one is free. */
    s->text = &w->text[w->p == (const uint8_t *)w->text[0].data];
    s->first = SIZE_MAX;
    buf_reset(s->text);
    if (buf_reserve(s->text, s->slack + 1, s->e))
        return -1;
    for (size_t i = 0; i < s->n_from; i++)
        if (kind == PRE_METASPACE ? metaspace_piece(s, s->from[i]) : bytes_piece(s, s->from[i]))
            return -1;
    w->first = w->first == 0 ? 0 : s->first < s->text->len ? s->first : s->text->len;
    w->p = (const uint8_t *)s->text->data;
    return 0;
}

static int take_step(struct step *s, enum pre_step kind)
{
    switch (kind) {
    case PRE_METASPACE:
    case PRE_BYTES:
        return rewrite(s, kind);
    case PRE_SPLIT:
    case PRE_MARKS:
        return cut_matches(s, kind == PRE_MARKS);
    default:
        return cut(s, kind);
    }
}

int presplit(const struct pretokenizer *pre, int steps, const struct presplit_input *in,
             struct presplit *w, struct err *e)
{
    w->p = in->p;
    w->first = in->first;
    w->list = 0;
    w->n = in->n > 0;
    if (mem_grow(&w->span[0], &w->span_cap[0], 1, sizeof *w->span[0], e))
        return -1;
    w->span[0][0] = (struct span){0, in->n};
    for (int i = 0; i < steps; i++) {
        struct step s = {.w = w, .rule = &pre->rule[i], .from = w->span[w->list],
                         .n_from = w->n, .slack = in->slack, .e = e};

        if (take_step(&s, (enum pre_step)pre->step[i]))
            return -1;
        w->list = !w->list;
        w->n = s.n;
    }
    return 0;
}

void pretokenizer_free(struct pretokenizer *p)
{
    for (int i = 0; i < p->n; i++)
        pattern_free(p->rule[i].pattern);
    buf_free(&p->facts);
}

int pretokenizer_rule(struct pretokenizer *p, enum pre_step step, const struct pre_rule *rule,
                      const char *source, struct err *e)
{
    if (pretokenizer_add(p, step)) {
        pattern_free(rule->pattern);
        return err_set(e, ERR_DATA, "too many pre-tokenizers");
    }
    p->rule[p->n - 1] = *rule;
    /* ByteLevel's step tells all when it is the last one, as it mostly is. */
    if (step == PRE_BYTES)
        return 0;
    return buf_addf(&p->facts, e, "%d %d %d %d %.*s %zu ", (int)rule->behavior, rule->invert,
                    (int)rule->scheme, rule->split, (int)rule->n_mark,
                    (const char *)rule->mark, strlen(source)) ||
                   buf_puts(&p->facts, source, e)
               ? -1
               : 0;
}
