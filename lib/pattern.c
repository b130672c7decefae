/* SPDX-License-Identifier: MIT */
/*
 * pattern: reads a regular expression and makes the steps that pattern_run takes.
 *
 * Syntax: Oniguruma's "Ruby" (doc/RE of its sources), as far as pattern.h says.
 */
#include "pattern_parse.h"

#include <stdlib.h>

int pattern_cannot(const struct pattern_parser *q, const char *what)
{
    return err_set(q->e, ERR_DATA, "the pattern '%.*s': %s is not implemented",
                   (int)(q->n < 300 ? q->n : 300), (const char *)q->p, what);
}

/* Whether one of these stands next. */
static bool is_one_of(const struct pattern_parser *q, const char *set)
{
    return pattern_more(q) && q->p[q->at] && strchr(set, q->p[q->at]);
}

/* ---- steps ---- */

static int emit(struct pattern_parser *q, struct pattern_step step)
{
    struct pattern *pt = q->pt;

    if (pt->n == PATTERN_MAX)
        return pattern_cannot(q, "its length");
    if (mem_grow(&pt->step, &pt->cap, pt->n + 1, sizeof *pt->step, q->e))
        return -1;
    pt->step[pt->n++] = step;
    return 0;
}

/* Moves jumps of a piece of steps from place `from` on by `by`. */
static void relocate(struct pattern_step *step, size_t n, size_t from, size_t by)
{
    for (size_t i = 0; i < n; i++) {
        if (step[i].op != OP_FORK && step[i].op != OP_JUMP)
            continue;
        step[i].x = (uint16_t)(step[i].x >= from ? step[i].x + by : step[i].x);
        step[i].y = (uint16_t)(step[i].y >= from ? step[i].y + by : step[i].y);
    }
}

/* Puts a step before those from `at` on. */
static int insert(struct pattern_parser *q, size_t at, struct pattern_step step)
{
    struct pattern *pt = q->pt;

    if (emit(q, step))
        return -1;
    memmove(pt->step + at + 1, pt->step + at, (pt->n - 1 - at) * sizeof *pt->step);
    pt->step[at] = step;
    relocate(pt->step + at + 1, pt->n - at - 1, at, 1);
    return 0;
}

/* ---- atoms ---- */

static int alternatives(struct pattern_parser *q);

/* (?=x) and its kin, x one character. */
static int lookaround(struct pattern_parser *q, bool behind, bool not )
{
    int class;

    if (!pattern_more(q) || is_one_of(q, "()|?*+{^$"))
        return pattern_cannot(q, "lookaround over more than one character");
    class = pattern_one_point(q);
    if (class < 0)
        return -1;
    if (!pattern_takes(q, ")"))
        return pattern_cannot(q, "lookaround over more than one character");
    return emit(q, (struct pattern_step){
                       .op = behind ? OP_BEHIND : OP_AHEAD, .not = not, .x = (uint16_t)class});
}

/* A group, behind its bracket. */
static int group(struct pattern_parser *q)
{
    const bool caseless = q->caseless;
    int rc;

    if (pattern_takes(q, "?=") || pattern_takes(q, "?!"))
        return lookaround(q, false, q->p[q->at - 1] == '!');
    if (pattern_takes(q, "?<=") || pattern_takes(q, "?<!"))
        return lookaround(q, true, q->p[q->at - 1] == '!');
    if (pattern_takes(q, "?i:"))
        q->caseless = true;
    else if (!pattern_takes(q, "?:") && pattern_more(q) && q->p[q->at] == '?')
        return pattern_cannot(q, "a group of that kind");
    if (q->depth == PATTERN_NEST)
        return pattern_cannot(q, "its depth");
    q->depth++;
    q->last = 0;
    rc = alternatives(q);
    q->last = 0;
    q->depth--;
    q->caseless = caseless;
    if (rc)
        return -1;
    return pattern_takes(q, ")") ? 0 : pattern_cannot(q, "a group without an end");
}

static int atom(struct pattern_parser *q)
{
    int class;

    if (pattern_takes(q, "("))
        return group(q);
    if (pattern_takes(q, "^") || pattern_takes(q, "\\A"))
        return emit(q, (struct pattern_step){.op = OP_START, .x = q->p[q->at - 1] == '^'});
    if (pattern_takes(q, "$") || pattern_takes(q, "\\z"))
        return emit(q, (struct pattern_step){.op = OP_END, .x = q->p[q->at - 1] == '$'});
    if (is_one_of(q, "*+?"))
        return pattern_cannot(q, "a quantifier without what it repeats");
    class = pattern_one_point(q);
    return class < 0 ? -1
                     : emit(q, (struct pattern_step){.op = OP_CLASS, .x = (uint16_t)class});
}

/* ---- quantifiers ---- */

struct times {
    uint32_t min, max;
    bool lazy, own, braces;
};

static uint32_t number(struct pattern_parser *q, uint32_t otherwise)
{
    uint32_t v = 0;
    const size_t from = q->at;

    for (; pattern_more(q) && q->p[q->at] >= '0' && q->p[q->at] <= '9'; q->at++)
        v = v < 100000 ? v * 10 + (uint32_t)(q->p[q->at] - '0') : v;
    return q->at == from ? otherwise : v;
}

/* {m}, {m,}, {,n} or {m,n}: 1, or 0 when the bracket is itself. */
static int braces(struct pattern_parser *q, struct times *t)
{
    const size_t from = q->at;

    if (!pattern_takes(q, "{"))
        return 0;
    t->braces = true;
    t->min = number(q, UINT32_MAX);
    t->max = t->min;
    if (pattern_takes(q, ","))
        t->max = number(q, UINT32_MAX);
    else if (t->min == UINT32_MAX)
        t->max = 0; /* {} */
    if (!pattern_takes(q, "}") || (t->min == UINT32_MAX && (t->max == UINT32_MAX || t->max == 0))) {
        q->at = from;
        return 0;
    }
    t->min = t->min == UINT32_MAX ? 0 : t->min;
    return 1;
}

/* A quantifier: 1 and *t, 0 when there is none, or -1. */
static int quantifier(struct pattern_parser *q, struct times *t)
{
    *t = (struct times){0, UINT32_MAX, false, false, false};
    if (pattern_takes(q, "?"))
        t->max = 1;
    else if (pattern_takes(q, "+"))
        t->min = 1;
    else if (!pattern_takes(q, "*") && !braces(q, t))
        return 0;
    if (t->min > t->max || (t->max != UINT32_MAX && t->max > 1000) || t->min > 1000)
        return pattern_cannot(q, "a number in braces");
    if (pattern_takes(q, "?"))
        t->lazy = true;
    else if (pattern_takes(q, "+"))
        t->own = true;
    if (t->braces && t->lazy && t->min == t->max)
        return pattern_cannot(q, "a quantifier behind braces");
    if (is_one_of(q, "*+?"))
        return pattern_cannot(q, "a quantifier of a quantifier");
    return 1;
}

/* One more copy of a piece of steps that stood at `from`. */
static int copy(struct pattern_parser *q, const struct pattern_step *piece, size_t n, size_t from)
{
    const size_t at = q->pt->n;

    for (size_t i = 0; i < n; i++)
        if (emit(q, piece[i]))
            return -1;
    relocate(q->pt->step + at, n, 0, at - from);
    return 0;
}

/* A fork that goes on behind it first, or (lazy) last; where it leaves to is filled in later. */
static int fork_here(struct pattern_parser *q, bool lazy)
{
    const uint16_t next = (uint16_t)(q->pt->n + 1);

    return emit(q, (struct pattern_step){
                       .op = OP_FORK, .x = lazy ? 0 : next, .y = lazy ? next : 0});
}

static void leave_to(struct pattern_step *fork, bool lazy, size_t to)
{
    *(lazy ? &fork->x : &fork->y) = (uint16_t)to;
}

/* Repeats the steps from `from` on, which stand there once. */
static int repeat_piece(struct pattern_parser *q, size_t from, const struct pattern_step *piece, size_t n,
                        const struct times *t)
{
    struct pattern *pt = q->pt;
    size_t fork[32], forks = 0;

    pt->n = from;
    for (uint32_t i = 0; i < t->min; i++)
        if (copy(q, piece, n, from))
            return -1;
    if (t->max == UINT32_MAX) {
        fork[forks++] = pt->n;
        if (fork_here(q, t->lazy) || copy(q, piece, n, from) ||
            emit(q, (struct pattern_step){.op = OP_JUMP, .x = (uint16_t)fork[0]}))
            return -1;
    }
    for (uint32_t i = t->min; t->max != UINT32_MAX && i < t->max; i++) {
        if (forks == 32)
            return pattern_cannot(q, "a number in braces");
        fork[forks++] = pt->n;
        if (fork_here(q, t->lazy) || copy(q, piece, n, from))
            return -1;
    }
    for (size_t i = 0; i < forks; i++)
        leave_to(&pt->step[fork[i]], t->lazy, pt->n);
    return 0;
}

static int repeat(struct pattern_parser *q, size_t from, const struct times *t)
{
    static const struct times again = {1, UINT32_MAX, false, false, false};
    struct times once = *t;
    struct pattern *pt = q->pt;
    const size_t n = pt->n - from;
    struct pattern_step *piece;
    int rc;

    q->last = 0;
    if (t->braces && t->own) { /* which is no possession there: the whole again */
        once.own = once.braces = false;
        return repeat(q, from, &once) || repeat(q, from, &again) ? -1 : 0;
    }
    if (n == 1 && pt->step[from].op == OP_CLASS) {
        pt->step[from].op = t->lazy ? OP_LAZY : OP_RUN;
        pt->step[from].own = t->own;
        pt->step[from].min = t->min;
        pt->step[from].max = t->max;
        return 0;
    }
    if (t->own)
        return pattern_cannot(q, "a possessive quantifier of a group");
    piece = mem_alloc(n + 1, sizeof *piece, "pattern", q->e);
    if (!piece)
        return -1;
    memcpy(piece, pt->step + from, n * sizeof *piece);
    rc = repeat_piece(q, from, piece, n, t);
    free(piece);
    return rc;
}

/* ---- the whole ---- */

static int alternatives(struct pattern_parser *q)
{
    const size_t start = q->pt->n;
    bool from_here = false;
    size_t jump;

    while (pattern_more(q) && q->p[q->at] != '|' && q->p[q->at] != ')') {
        const size_t from = q->pt->n;
        struct times t;
        int rc;

        if (pattern_takes(q, "(?i)")) { /* up to the end of the group */
            q->caseless = from_here = true;
            continue;
        }
        rc = atom(q) ? -1 : quantifier(q, &t);
        if (rc < 0 || (rc > 0 && repeat(q, from, &t)))
            return -1;
    }
    if (!pattern_takes(q, "|"))
        return 0;
    q->last = 0;
    if (from_here)
        return pattern_cannot(q, "(?i) before alternatives");
    if (insert(q, start, (struct pattern_step){.op = OP_FORK, .x = (uint16_t)(start + 1)}))
        return -1;
    jump = q->pt->n;
    if (emit(q, (struct pattern_step){.op = OP_JUMP}))
        return -1;
    q->pt->step[start].y = (uint16_t)q->pt->n;
    if (alternatives(q))
        return -1;
    q->pt->step[jump].x = (uint16_t)q->pt->n;
    return 0;
}

/* Whether a class has code points of ASCII alone, as far as that is plain from its parts. */
static bool is_ascii(const struct pattern *pt, const struct pattern_class *class)
{
    bool ascii = !class->not;

    for (size_t i = 0; i < class->n; i++) {
        const struct pattern_part *part = &pt->part[class->part + i];

        ascii = ascii && part->kind == PART_RANGE && !part->not && part->to < 128;
    }
    return ascii;
}

/* Follows what takes nothing from a step: bytes that may come first, and whether it ends. */
static bool scan_first(struct pattern *pt, uint32_t step, uint8_t *seen)
{
    const struct pattern_step *op = &pt->step[step];
    bool ends = false;

    if (seen[step])
        return false;
    seen[step] = 1;
    switch (op->op) {
    case OP_MATCH:
        return true;
    case OP_FORK:
        ends = scan_first(pt, op->y, seen);
        return scan_first(pt, op->x, seen) || ends;
    case OP_JUMP:
        return scan_first(pt, op->x, seen);
    case OP_CLASS:
    case OP_RUN:
    case OP_LAZY:
        for (unsigned c = 0; c < 256; c++)
            pt->first[c] |= c >= 128 ? !is_ascii(pt, &pt->class[op->x]) : pattern_has(pt, op->x, c);
        if (op->op == OP_CLASS || op->min > 0)
            return false;
        return scan_first(pt, step + 1, seen);
    default:
        return scan_first(pt, step + 1, seen);
    }
}

static int compile(struct pattern_parser *q)
{
    uint8_t *seen;
    bool empty;

    if (!utf8_valid(q->p, q->n))
        return pattern_cannot(q, "text that is not UTF-8");
    if (alternatives(q))
        return -1;
    if (pattern_more(q))
        return pattern_cannot(q, "')' without a group");
    if (emit(q, (struct pattern_step){.op = OP_MATCH}))
        return -1;
    seen = mem_alloc(q->pt->n, 1, "pattern", q->e);
    if (!seen)
        return -1;
    empty = scan_first(q->pt, 0, seen);
    free(seen);
    return empty ? pattern_cannot(q, "to match no text") : 0;
}

struct pattern *pattern_compile(const char *regex, size_t n, struct err *e)
{
    struct pattern_parser q = {.p = (const uint8_t *)regex, .n = n, .e = e};

    q.pt = mem_alloc(1, sizeof *q.pt, "pattern", e);
    if (q.pt && compile(&q) == 0)
        return q.pt;
    pattern_free(q.pt);
    return NULL;
}

struct pattern *pattern_literal(const char *text, size_t n, struct err *e)
{
    struct pattern *pt = mem_alloc(1, sizeof *pt, "pattern", e);

    if (!pt)
        return NULL;
    pt->literal = mem_dupn(text, n, e);
    pt->n_literal = n;
    if (pt->literal)
        return pt;
    pattern_free(pt);
    return NULL;
}

void pattern_free(struct pattern *pt)
{
    if (!pt)
        return;
    free(pt->step);
    free(pt->part);
    free(pt->literal);
    free(pt);
}

bool pattern_spaces_apart(const struct pattern *pt)
{
    const struct pattern_step *op = pt->step;
    bool others = false;

    if (pt->literal) {
        for (size_t i = 0; i < pt->n_literal; i++)
            others = others || pt->literal[i] != ' ';
        return !others || !memchr(pt->literal, ' ', pt->n_literal);
    }
    if (pt->n != 2 || (op->op != OP_CLASS && op->op != OP_RUN))
        return false;
    for (uint32_t c = 0x21; c < 0x7f; c++)
        others = others || pattern_has(pt, op->x, c);
    return !others || !pattern_has(pt, op->x, ' ');
}
