/* SPDX-License-Identifier: MIT */
/*
 * pattern_run: searches a text for a pattern.
 *
 * Backtracking, in the order of the alternatives.  A try that takes many steps starts again
 * with a table of the states (step, place) it has been in: to come back to one is to fail, so
 * that no pattern takes more than steps times places.
 */
#include "pattern_int.h"
#include "unikind.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* A place to go on from when all that was tried since has failed. */
struct pattern_try {
    uint32_t step;
    uint32_t to_run; /* OP_RUN, OP_LAZY: index of that step + 1; 0: just go on */
    size_t at;
    size_t limit; /* how far a run may give back, or grow: a place, or a count */
};

enum { FREE_STEPS = 2000, WINDOW = 4096 };

struct search {
    const struct pattern *pt;
    const uint8_t *p;
    size_t n;
    struct pattern_scratch *s;
    size_t tries;
    size_t from, window; /* states seen are of [from, from + window); 0: not noted */
    size_t steps;
    struct err *e;
};

void pattern_scratch_free(struct pattern_scratch *s)
{
    free(s->stack);
    free(s->seen);
    *s = (struct pattern_scratch){0};
}

bool pattern_in(const struct pattern *pt, unsigned class, uint32_t c)
{
    const struct pattern_class *k = &pt->class[class];
    bool in = false;

    for (unsigned i = 0; !in && i < k->n; i++) {
        const struct pattern_part *part = &pt->part[k->part + i];

        switch (part->kind) {
        case PART_RANGE:
            in = c >= part->from && c <= part->to;
            break;
        case PART_CATEGORY:
            in = part->from >> kind_category(c) & 1;
            break;
        case PART_SPACE:
            in = uni_of(c) & UNI_GAP;
            break;
        case PART_WORD: /* alone it takes Latin-1's superscripts and fractions, too */
            in = kind_of(c) & KIND_WORD &&
                 (part->from || c > 0xff || kind_category(c) != CATEGORY_NO);
            break;
        case PART_CLASS:
            in = pattern_in(pt, part->from, c);
            break;
        }
        in = in != part->not;
    }
    return in != k->not;
}

/* The length of the code point of the class at p[at], 0 when there is none. */
static size_t takes(const struct search *q, unsigned class, size_t at)
{
    size_t used;
    uint32_t c;

    if (at >= q->n)
        return 0;
    c = utf8_next(q->p + at, q->n - at, &used);
    return pattern_has(q->pt, class, c) ? used : 0;
}

/* Goes over at most `most` code points of the class; *count is how many. */
static size_t run_over(const struct search *q, unsigned class, size_t at, uint32_t most,
                       uint32_t *count)
{
    size_t len;

    for (*count = 0; *count < most && (len = takes(q, class, at)) > 0; (*count)++)
        at += len;
    return at;
}

static int put_try(struct search *q, struct pattern_try t)
{
    if (mem_grow(&q->s->stack, &q->s->cap, q->tries + 1, sizeof *q->s->stack, q->e))
        return -1;
    q->s->stack[q->tries++] = t;
    return 0;
}

/* A run: its end in *at; 1, or 0 when there is none, or -1. */
static int run(struct search *q, uint32_t step, size_t *at)
{
    const struct pattern_step *op = &q->pt->step[step];
    uint32_t count;
    size_t least = run_over(q, op->x, *at, op->min, &count);

    if (count < op->min)
        return 0;
    *at = least;
    if (op->op == OP_LAZY)
        return op->max > op->min &&
                       put_try(q, (struct pattern_try){step, step + 1, least,
                                                       op->max - op->min})
                   ? -1
                   : 1;
    *at = run_over(q, op->x, least, op->max == UINT32_MAX ? op->max : op->max - op->min,
                   &count);
    if (*at > least && !op->own &&
        put_try(q, (struct pattern_try){step, step + 1, *at, least}))
        return -1;
    return 1;
}

/* Lookaround over one character, and the ends. */
static bool stands(const struct search *q, const struct pattern_step *op, size_t at)
{
    size_t used;

    switch (op->op) {
    case OP_AHEAD:
        return (takes(q, op->x, at) > 0) != op->not;
    case OP_BEHIND:
        return (at > 0 && pattern_has(q->pt, op->x, utf8_last(q->p, at, &used))) != op->not;
    case OP_START:
        return at == 0 || (op->x && q->p[at - 1] == '\n' && at < q->n);
    default:
        return at == q->n || (op->x && q->p[at] == '\n');
    }
}

/* Notes a state: false when it was noted before. */
static bool fresh(struct search *q, uint32_t step, size_t at)
{
    const size_t bit = (at - q->from) * q->pt->n + step;
    uint64_t *word = &q->s->seen[bit / 64];
    const bool seen = *word >> bit % 64 & 1;

    *word |= (uint64_t)1 << bit % 64;
    return !seen;
}

/* Takes the last try off the stack, or what is left of a run; 0 when there is none. */
static int next_try(struct search *q, uint32_t *step, size_t *at)
{
    while (q->tries > 0) {
        struct pattern_try *t = &q->s->stack[q->tries - 1];
        const struct pattern_step *op = t->to_run ? &q->pt->step[t->to_run - 1] : NULL;
        size_t used;

        *step = op ? t->to_run : t->step;
        if (!op) {
            *at = t->at;
            q->tries--;
            return 1;
        }
        if (op->op == OP_LAZY) {
            used = takes(q, op->x, t->at);
            if (used == 0 || t->limit == 0) {
                q->tries--;
                continue;
            }
            t->at += used;
            t->limit -= op->max != UINT32_MAX;
        } else {
            utf8_last(q->p, t->at, &used);
            t->at -= used;
            if (t->at <= t->limit)
                q->tries--;
        }
        *at = t->at;
        return 1;
    }
    return 0;
}

enum { FAIL = 0, GO_ON = 1, DONE = 2, TOO_FAR = 3 };

/* One step of the pattern: *step and *at move on. */
static int advance(struct search *q, uint32_t *step, size_t *at)
{
    const struct pattern_step *op = &q->pt->step[*step];
    size_t len;

    switch (op->op) {
    case OP_MATCH:
        return DONE;
    case OP_CLASS:
        len = takes(q, op->x, *at);
        *at += len;
        ++*step;
        return len ? GO_ON : FAIL;
    case OP_RUN:
    case OP_LAZY:
        return run(q, (*step)++, at);
    case OP_FORK:
        if (put_try(q, (struct pattern_try){op->y, 0, *at, 0}))
            return -1;
        *step = op->x;
        return GO_ON;
    case OP_JUMP:
        *step = op->x;
        return GO_ON;
    default:
        ++*step;
        return stands(q, op, *at) ? GO_ON : FAIL;
    }
}

/* Tries at one place: DONE and *end, FAIL, TOO_FAR when the states need (more) room, or -1. */
static int attempt(struct search *q, size_t from, size_t *end)
{
    uint32_t step = 0;
    size_t at = from, steps = 0;
    int rc = GO_ON;

    q->from = from;
    q->tries = 0;
    for (;;) {
        if (q->window) {
            if (at - from >= q->window)
                return TOO_FAR;
            rc = fresh(q, step, at) ? GO_ON : FAIL;
        } else if (++steps > FREE_STEPS) {
            return TOO_FAR;
        }
        if (rc == GO_ON)
            rc = advance(q, &step, &at);
        if (rc == DONE)
            *end = at;
        if (rc == DONE || rc < 0)
            return rc;
        if (rc == FAIL && !next_try(q, &step, &at))
            return FAIL;
        rc = GO_ON;
    }
}

/* The same with a table of states that grows as far as it is needed. */
static int careful(struct search *q, size_t from, size_t *end)
{
    int rc = TOO_FAR;

    for (q->window = WINDOW; rc == TOO_FAR; q->window *= 4) {
        const size_t words = q->window * q->pt->n / 64 + 1;

        if (mem_grow(&q->s->seen, &q->s->seen_cap, words, sizeof *q->s->seen, q->e))
            return -1;
        memset(q->s->seen, 0, words * sizeof *q->s->seen);
        rc = attempt(q, from, end);
    }
    q->window = 0;
    return rc;
}

static int find_literal(const struct pattern *pt, const uint8_t *p, size_t n, size_t from,
                        struct span *match)
{
    const uint8_t *found = memmem(p + from, n - from, pt->literal, pt->n_literal);

    if (found)
        *match = (struct span){(size_t)(found - p), pt->n_literal};
    return found != NULL;
}

int pattern_next(const struct pattern *pt, const uint8_t *p, size_t n, size_t from,
                 struct span *match, struct pattern_scratch *s, struct err *e)
{
    struct search q = {.pt = pt, .p = p, .n = n, .s = s, .e = e};
    size_t used, end = 0;

    if (pt->literal)
        return n > from && find_literal(pt, p, n, from, match);
    for (size_t at = from; at < n; at += used) {
        int rc;

        used = 1;
        if (!pt->first[p[at]])
            continue;
        utf8_next(p + at, n - at, &used);
        rc = attempt(&q, at, &end);
        if (rc == TOO_FAR)
            rc = careful(&q, at, &end);
        if (rc < 0)
            return -1;
        if (rc == DONE) {
            *match = (struct span){at, end - at};
            return 1;
        }
    }
    return 0;
}
