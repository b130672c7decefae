/* SPDX-License-Identifier: MIT */
/*
 * pattern_class: the parts of a pattern that match one code point.
 */
#include "pattern_parse.h"
#include "unikind.h"

#include <stdlib.h>

static uint32_t take_point(struct pattern_parser *q)
{
    size_t used;
    const uint32_t c = utf8_next(q->p + q->at, q->n - q->at, &used);

    q->at += used;
    return c;
}

static int add_part(struct pattern_parser *q, struct pattern_part part)
{
    struct pattern *pt = q->pt;

    if (pt->parts == UINT16_MAX)
        return pattern_cannot(q, "its length");
    if (mem_grow(&pt->part, &pt->part_cap, pt->parts + 1, sizeof *pt->part, q->e))
        return -1;
    pt->part[pt->parts++] = part;
    return 0;
}

/* Makes a class of the parts from `from` on; its number, or -1. */
static int add_class(struct pattern_parser *q, size_t from, bool not )
{
    struct pattern *pt = q->pt;
    struct pattern_class *k = &pt->class[pt->classes];

    if (pt->classes == PATTERN_CLASSES)
        return pattern_cannot(q, "its number of classes");
    *k = (struct pattern_class){
        .part = (uint16_t)from, .n = (uint16_t)(pt->parts - from), .not = not };
    for (uint32_t c = 0; c < 128; c++)
        if (pattern_in(pt, (unsigned)pt->classes, c))
            k->ascii[c >> 5] |= 1u << (c & 31);
    return (int)pt->classes++;
}

static int add_one(struct pattern_parser *q, struct pattern_part part)
{
    const size_t from = q->pt->parts;

    return add_part(q, part) ? -1 : add_class(q, from, false);
}

/* The categories of \p{...}: one, or all that start with a letter. */
static int categories(struct pattern_parser *q, const char *name, size_t n, uint32_t *bits)
{
    static const char all[] = "CnLuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZpCcCfCsCo";

    *bits = 0;
    for (size_t i = 0; (n == 1 || n == 2) && all[2 * i]; i++)
        if (memcmp(all + 2 * i, name, n) == 0)
            *bits |= 1u << i;
    return *bits ? 0 : pattern_cannot(q, "a property that is no general category");
}

static int hex_point(struct pattern_parser *q, size_t digits, uint32_t *c)
{
    const bool braces = digits == 2 && pattern_takes(q, "{");
    size_t n = 0;

    for (*c = 0; pattern_more(q) && n < (braces ? 8 : digits); n++, q->at++) {
        const uint8_t d = q->p[q->at], low = d | 0x20;

        if (d >= '0' && d <= '9')
            *c = *c << 4 | (uint32_t)(d - '0');
        else if (low >= 'a' && low <= 'f')
            *c = *c << 4 | (uint32_t)(low - 'a' + 10);
        else
            break;
    }
    if (n == 0 || (digits == 4 && n < 4) || *c >= UNI_POINTS || (*c >= 0xd800 && *c < 0xe000) ||
        (braces && !pattern_takes(q, "}")))
        return pattern_cannot(q, "a code point in it");
    return 0;
}

/* \p{Lu}, \P{L}, \p{^N}: behind the p. */
static int property(struct pattern_parser *q, bool not, struct pattern_part *part)
{
    const uint8_t *end;

    if (!pattern_takes(q, "{"))
        return pattern_cannot(q, "\\p without braces");
    not = not != pattern_takes(q, "^");
    end = memchr(q->p + q->at, '}', q->n - q->at);
    if (!end)
        return pattern_cannot(q, "\\p without an end");
    *part = (struct pattern_part){.kind = PART_CATEGORY, .not = not };
    if (categories(q, (const char *)q->p + q->at, (size_t)(end - q->p) - q->at, &part->from))
        return -1;
    q->at = (size_t)(end - q->p) + 1;
    return 0;
}

/* What stands behind a backslash. */
static int escape(struct pattern_parser *q, struct pattern_part *part)
{
    static const char from[] = "nrtfvae", to[] = "\n\r\t\f\v\a\x1b";
    const char *found;
    uint32_t c;

    if (!pattern_more(q))
        return pattern_cannot(q, "a backslash at its end");
    c = take_point(q);
    *part = (struct pattern_part){.kind = PART_RANGE, .from = c, .to = c};
    if (c == 's' || c == 'S' || c == 'w' || c == 'W') {
        part->from = 0;
        part->kind = (c | 0x20) == 's' ? PART_SPACE : PART_WORD;
        part->not = c == 'S' || c == 'W';
        return 0;
    }
    if (c == 'd' || c == 'D') {
        *part = (struct pattern_part){
            .kind = PART_CATEGORY, .not = c == 'D', .from = 1u << CATEGORY_ND};
        return 0;
    }
    if (c == 'p' || c == 'P')
        return property(q, c == 'P', part);
    found = c && c < 128 ? strchr(from, (int)c) : NULL;
    if (found)
        c = (uint32_t)to[found - from];
    else if ((c == 'x' || c == 'u') && hex_point(q, c == 'x' ? 2 : 4, &c))
        return -1;
    else if (part->from != 'x' && part->from != 'u' && c < 128 &&
             ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')))
        return pattern_cannot(q, "an escape in it");
    part->from = part->to = c;
    return 0;
}

static int class_body(struct pattern_parser *q);

/* One member of a class: a part, which may become the start of a range. */
static int class_member(struct pattern_parser *q, struct pattern_part *part)
{
    uint32_t c;
    int nested;

    if (pattern_takes(q, "[:"))
        return pattern_cannot(q, "a class with a name");
    if (pattern_takes(q, "&&"))
        return pattern_cannot(q, "the intersection of classes");
    if (pattern_takes(q, "[")) {
        nested = q->depth < PATTERN_NEST ? class_body(q) : pattern_cannot(q, "its depth");
        *part = (struct pattern_part){.kind = PART_CLASS, .from = (uint32_t)nested};
        return nested < 0 ? -1 : 0;
    }
    c = take_point(q);
    *part = (struct pattern_part){.kind = PART_RANGE, .from = c, .to = c};
    return c == '\\' ? escape(q, part) : 0;
}

/* Of a letter whose case does not count, its other forms behind it in the list. */
static int other_cases(struct pattern_parser *q, struct pattern_part *list, size_t *n)
{
    const struct pattern_part part = list[*n - 1];
    const uint32_t low = part.from | 0x20;
    const bool letter = low >= 'a' && low <= 'z' && part.from == part.to;

    if (part.kind == PART_SPACE || (part.kind == PART_RANGE && part.to < 'A'))
        return 0;
    if (part.kind != PART_RANGE || !letter)
        return pattern_cannot(q, "a class of more than letters in (?i: )");
    list[(*n)++] = (struct pattern_part){.kind = PART_RANGE, .from = part.from ^ 0x20,
                                         .to = part.from ^ 0x20};
    if (low == 's' || low == 'k')
        list[(*n)++] = (struct pattern_part){.kind = PART_RANGE,
                                             .from = low == 's' ? 0x17f : 0x212a,
                                             .to = low == 's' ? 0x17f : 0x212a};
    return 0;
}

/* The members of a class up to its end; parts of a class lie together, so inner ones first. */
static int class_members(struct pattern_parser *q, struct pattern_part *list, size_t *n)
{
    enum { MEMBERS = 200 };
    struct pattern_part end;

    for (*n = 0; pattern_more(q) && (q->p[q->at] != ']' || *n == 0);) {
        struct pattern_part *part = &list[*n];

        if (*n == MEMBERS)
            return pattern_cannot(q, "a class of so many members");
        if (q->p[q->at] == ']')
            return pattern_cannot(q, "']' at the start of a class");
        if (class_member(q, part))
            return -1;
        ++*n;
        if (part->kind != PART_RANGE || part->not|| q->n - q->at < 2 || q->p[q->at] != '-' ||
            q->p[q->at + 1] == ']') {
            if (q->caseless && other_cases(q, list, n))
                return -1;
            continue;
        }
        q->at++;
        if (class_member(q, &end))
            return -1;
        if (end.kind != PART_RANGE || end.not|| end.from < part->from)
            return pattern_cannot(q, "a range in it");
        part->to = end.from;
        if (q->caseless && other_cases(q, list, n))
            return -1;
    }
    return pattern_takes(q, "]") ? 0 : pattern_cannot(q, "a class without an end");
}

/* A class behind its bracket; its number, or -1. */
static int class_body(struct pattern_parser *q)
{
    struct pattern_part *list = mem_alloc(203, sizeof *list, "pattern", q->e);
    const bool not = pattern_takes(q, "^");
    size_t n, from;
    int rc = list ? 0 : -1;

    q->depth++;
    rc = rc || class_members(q, list, &n) ? -1 : 0;
    q->depth--;
    from = q->pt->parts;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_part(q, list[i]);
    free(list);
    return rc ? -1 : add_class(q, from, not );
}

/* A letter whose case does not count. */
static int either_case(struct pattern_parser *q, uint32_t c)
{
    static const char ligatures[] = "ss ff fi fl st";
    const uint32_t low = c | 0x20;
    const char both[] = {(char)q->last, (char)low, '\0'};
    const size_t from = q->pt->parts;

    if (c >= 128)
        return pattern_cannot(q, "(?i: ) over more than ASCII");
    if (low < 'a' || low > 'z') {
        q->last = 0;
        return add_one(q, (struct pattern_part){.kind = PART_RANGE, .from = c, .to = c});
    }
    if (q->last && strstr(ligatures, both))
        return pattern_cannot(q, "(?i: ) over what has a ligature");
    q->last = low;
    if (add_part(q, (struct pattern_part){.kind = PART_RANGE, .from = low, .to = low}) ||
        add_part(q, (struct pattern_part){.kind = PART_RANGE, .from = low - 32, .to = low - 32}))
        return -1;
    /* The long s and the Kelvin sign are letters of that case, too. */
    if ((low == 's' || low == 'k') &&
        add_part(q, (struct pattern_part){.kind = PART_RANGE,
                                          .from = low == 's' ? 0x17f : 0x212a,
                                          .to = low == 's' ? 0x17f : 0x212a}))
        return -1;
    return add_class(q, from, false);
}

int pattern_one_point(struct pattern_parser *q)
{
    struct pattern_part part = {.kind = PART_RANGE};
    const uint32_t c = take_point(q);
    const size_t from = q->pt->parts;

    if (c == '[')
        return class_body(q);
    if (c == '.') {
        part.from = part.to = '\n';
        return add_part(q, part) ? -1 : add_class(q, from, true);
    }
    part.from = part.to = c;
    if (c == '\\' && escape(q, &part))
        return -1;
    if (part.kind == PART_WORD)
        part.from = 1;
    if (q->caseless && part.kind == PART_CATEGORY)
        return pattern_cannot(q, "a property in (?i: )");
    if (q->caseless && part.kind == PART_RANGE)
        return either_case(q, part.from);
    return add_one(q, part);
}
