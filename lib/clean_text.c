/* SPDX-License-Identifier: MIT */
/* Steps over what typing and files leave in texts: white space, line ends, controls, escapes. */
#include "clean_int.h"
#include "unidata.h"
#include "uniprop.h"

/* ---- white space ---- */

/* Whether white space stands at `at`; *used is its length, or that of what stands there. */
static inline bool is_space(const struct clean_pass *c, size_t at, size_t *used)
{
    const uint8_t b = c->p[at];

    *used = 1;
    if (b < 0x80)
        return b == ' ' || (b >= '\t' && b <= '\r') || (b >= 0x1c && b <= 0x1f);
    return prop_of(clean_at(c, at, used)) & PROP_SPACE;
}

/* As Python's ' '.join(text.split()). */
int clean_ws(struct clean_pass *c)
{
    bool due = false;
    size_t used;

    for (size_t at = 0; at < c->n;) {
        const size_t from = at;

        if (is_space(c, at, &used)) {
            due = c->out->len > 0;
            at += used;
            continue;
        }
        do
            at += used;
        while (at < c->n && !is_space(c, at, &used));
        if ((due && clean_put(c, " ", 1)) || clean_keep(c, from, at))
            return -1;
        due = false;
    }
    return 0;
}

/* As Python's text.strip(). */
int clean_trim(struct clean_pass *c)
{
    size_t from = 0, to = c->n, used;

    while (from < c->n && is_space(c, from, &used))
        from += used;
    while (to > from && prop_of(utf8_last(c->p, to, &used)) & PROP_SPACE)
        to -= used;
    return clean_keep(c, from, to);
}

/* ---- line ends ---- */

/* Length of the line end at `at`, 0 when there is none. */
static size_t line_end(const struct clean_pass *c, size_t at)
{
    size_t used;
    uint32_t point;

    if (at >= c->n)
        return 0;
    if (c->p[at] < 0x80) {
        if (c->p[at] == '\r' && at + 1 < c->n && c->p[at + 1] == '\n')
            return 2;
        return c->p[at] >= '\n' && c->p[at] <= '\r';
    }
    point = clean_at(c, at, &used);
    return point == 0x85 || point == 0x2028 || point == 0x2029 ? used : 0;
}

static bool is_hyphen(uint32_t point)
{
    return point == '-' || point == 0xad || point == 0x2010;
}

static bool is_letter(uint32_t point)
{
    return uni_of(point) & UNI_LETTER;
}

static size_t skip_blanks(const struct clean_pass *c, size_t at)
{
    while (at < c->n && (c->p[at] == ' ' || c->p[at] == '\t'))
        at++;
    return at;
}

/*
 * The word cut at the hyphen at `at` goes on behind this place; 0 when none is cut here: a
 * letter must stand before the hyphen, and a lower-case one in the next line.
 */
static size_t cut_word(const struct clean_pass *c, size_t at, size_t hyphen)
{
    size_t used, next, end;
    uint32_t point;

    if (at == 0 || !is_letter(utf8_last(c->p, at, &used)))
        return 0;
    next = skip_blanks(c, at + hyphen);
    end = line_end(c, next);
    if (!end)
        return 0;
    next = skip_blanks(c, next + end);
    if (next == c->n)
        return 0;
    point = clean_at(c, next, &used);
    return is_letter(point) && !(uni_of(point) & UNI_LOWER) ? next : 0;
}

int clean_lines(struct clean_pass *c)
{
    size_t from = 0, used;

    for (size_t at = 0; at < c->n;) {
        const uint32_t point = c->p[at] < 0x80 ? (used = 1, c->p[at]) : clean_at(c, at, &used);
        const size_t end = line_end(c, at), next = is_hyphen(point) ? cut_word(c, at, used) : 0;

        if (end || next) {
            if (clean_keep(c, from, at) || (end && clean_put(c, " ", 1)))
                return -1;
            from = at = end ? at + end : next;
            continue;
        }
        at += used;
    }
    return clean_keep(c, from, c->n);
}

/* ---- what is invisible ---- */

/* ZWNJ and ZWJ spell words of many scripts and join emoji: they stay between such ones. */
static bool joins(const struct clean_pass *c, size_t at, size_t used)
{
    const uint32_t none = PROP_SPACE | PROP_HIDDEN;
    uint32_t before, after;
    size_t length;

    if (at == 0 || at + used == c->n)
        return false;
    before = utf8_last(c->p, at, &length);
    after = clean_at(c, at + used, &length);
    return before >= 0x80 && after >= 0x80 && !(prop_of(before) & none) && !(prop_of(after) & none);
}

int clean_ctrl(struct clean_pass *c)
{
    enum { ZWNJ = 0x200c, ZWJ = 0x200d };
    size_t from = 0, used;

    for (size_t at = 0; at < c->n; at += used) {
        const uint32_t point = c->p[at] < 0x80 ? (used = 1, c->p[at]) : clean_at(c, at, &used);
        const uint32_t flags = prop_of(point);

        if (!(flags & PROP_HIDDEN) || ((point == ZWNJ || point == ZWJ) && joins(c, at, used)))
            continue;
        /* Form feeds and their like part words. */
        if (clean_keep(c, from, at) || (flags & PROP_SPACE && clean_put(c, " ", 1)))
            return -1;
        from = at + used;
    }
    return clean_keep(c, from, c->n);
}

/* ---- escapes ---- */

/* Four hex digits, or -1. */
static int32_t hex4(const struct clean_pass *c, size_t at)
{
    int32_t value = 0;

    if (c->n - at < 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        const uint8_t b = c->p[i];

        if (!clean_is_alnum(b) || (b | 0x20) > 'f')
            return -1;
        value = value * 16 + (b <= '9' ? b - '0' : (b | 0x20) - 'a' + 10);
    }
    return value;
}

/* What \uXXXX at `at` stands for, a surrogate pair as one; *end is behind it.  -1: nothing. */
static int32_t escaped_point(const struct clean_pass *c, size_t at, size_t *end)
{
    const int32_t first = hex4(c, at + 2);
    int32_t second = -1;

    *end = at + 6;
    if (first < 0xd800 || first > 0xdfff)
        return first;
    if (first < 0xdc00 && c->n - at >= 12 && c->p[at + 6] == '\\' && c->p[at + 7] == 'u')
        second = hex4(c, at + 8);
    if (second < 0xdc00 || second > 0xdfff)
        return 0xfffd;
    *end = at + 12;
    return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

/* What the escape at `at` (a backslash) stands for; *end is behind it.  -1: it is none. */
static int32_t escaped(const struct clean_pass *c, size_t at, size_t *end)
{
    static const char letters[] = "ntr\"'/\\", means[] = "\n\t\r\"'/\\";
    const char *found;

    if (c->n - at < 2)
        return -1;
    *end = at + 2;
    if (c->p[at + 1] == 'u' && c->n - at >= 6)
        return escaped_point(c, at, end);
    found = memchr(letters, c->p[at + 1], sizeof letters - 1);
    return found ? means[found - letters] : -1;
}

int clean_escapes(struct clean_pass *c)
{
    size_t from = 0, at = 0;

    for (;;) {
        const uint8_t *slash = at < c->n ? memchr(c->p + at, '\\', c->n - at) : NULL;
        int32_t point;
        size_t end = 0;

        if (!slash)
            return clean_keep(c, from, c->n);
        at = (size_t)(slash - c->p);
        point = escaped(c, at, &end);
        if (point < 0) {
            at++;
            continue;
        }
        if (clean_keep(c, from, at) || clean_put_point(c, (uint32_t)point))
            return -1;
        from = at = end;
    }
}

int clean_backslash(struct clean_pass *c)
{
    const size_t from = c->out->len;

    if (clean_keep(c, 0, c->n))
        return -1;
    for (size_t i = from; i < c->out->len; i++)
        if (c->out->data[i] == '\\')
            c->out->data[i] = ' ';
    return 0;
}

/* ---- typography ---- */

static const char *ascii_of(uint32_t point)
{
    switch (point) {
    case 0xb4: case 0x2018: case 0x2019: case 0x201a: case 0x201b: case 0x2032: case 0x2039:
    case 0x203a:
        return "'";
    case 0xab: case 0xbb: case 0x201c: case 0x201d: case 0x201e: case 0x201f: case 0x2033:
        return "\"";
    case 0x2010: case 0x2011: case 0x2012: case 0x2013: case 0x2014: case 0x2015: case 0x2212:
        return "-";
    case 0x2026:
        return "...";
    default:
        return NULL;
    }
}

int clean_quotes(struct clean_pass *c)
{
    size_t from = 0, used;

    for (size_t at = 0; at < c->n; at += used) {
        const char *ascii;

        used = 1;
        if (c->p[at] < 0x80)
            continue;
        ascii = ascii_of(clean_at(c, at, &used));
        if (!ascii)
            continue;
        if (clean_keep(c, from, at) || clean_put(c, ascii, strlen(ascii)))
            return -1;
        from = at + used;
    }
    return clean_keep(c, from, c->n);
}
