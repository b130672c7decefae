/* SPDX-License-Identifier: MIT */
/*
 * pattern: the regular expressions of tokenizer.json, as its engine matches them (L2).
 *
 * Of Oniguruma's syntax: literals, escapes, classes (nested, && not), \s \d \w \p{category} and
 * their negations, . ^ $ \A \z, groups, (?i: ) over ASCII, | * + ? {m,n}, lazy ones,
 * possessive ones and lookaround over one character.  Anything else, and what could match
 * nothing, is ERR_DATA naming it.  The leftmost match counts, of those at one place the first
 * that the order of alternatives finds.
 */
#ifndef BERTUTILS_PATTERN_H
#define BERTUTILS_PATTERN_H

#include "mem.h"
#include "pretoken.h"

struct pattern;

struct pattern *pattern_compile(const char *regex, size_t n, struct err *e) MUST_USE;
/* A pattern that matches the text itself; n > 0. */
struct pattern *pattern_literal(const char *text, size_t n, struct err *e) MUST_USE;
void pattern_free(struct pattern *pt);

/* What a search needs; one a thread.  {0} is empty. */
struct pattern_scratch {
    struct pattern_try *stack;
    size_t cap;
    uint64_t *seen;
    size_t seen_cap;
};
void pattern_scratch_free(struct pattern_scratch *s);

/*
 * The next match in p[0..n-1] (UTF-8) that starts at `from` or behind it: 1 and *match, 0 when
 * there is none, -1 and *e.
 */
int pattern_next(const struct pattern *pt, const uint8_t *p, size_t n, size_t from,
                 struct span *match, struct pattern_scratch *s, struct err *e) MUST_USE;

/* Whether no match can hold a space beside another character: see unitscan. */
bool pattern_spaces_apart(const struct pattern *pt);

#endif
