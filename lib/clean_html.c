/* SPDX-License-Identifier: MIT */
/*
 * Steps over HTML in texts: tags, entities.
 *
 * Source: HTML Living Standard, sections 13.2.5 (where a tag ends) and 13.5 (names); numbers
 * as in 13.2.5.80, which Python's html.unescape follows.  Where the standard would
 * swallow the rest of a text, since something that was opened is never closed, the text stays.
 */
#include "clean_int.h"

#include "html_entities.h"

/* ---- tags ---- */

struct tags {
    struct clean_pass *c;
    bool blank; /* a tag parted words: a blank is due before the next one */
    /* What was looked for up to the end in vain, so that no text is slow. */
    bool no_end, no_quotes, no_comment, no_cdata, no_script, no_style;
};

static bool is_blank(uint8_t b)
{
    return b == ' ' || (b >= '\t' && b <= '\r');
}

static int put_text(struct tags *t, size_t from, size_t to)
{
    struct clean_pass *c = t->c;

    if (from == to)
        return 0;
    if (t->blank && c->out->len > 0 && !is_blank((uint8_t)c->out->data[c->out->len - 1]) &&
        !is_blank(c->p[from]) && clean_put(c, " ", 1))
        return -1;
    t->blank = false;
    return clean_keep(c, from, to);
}

/* Behind the next `what` from `at` on; 0 when there is none, which *none remembers. */
static size_t behind(const struct clean_pass *c, size_t at, const char *what, bool *none)
{
    const size_t n = strlen(what);
    const uint8_t *found = *none || at >= c->n ? NULL : memmem(c->p + at, c->n - at, what, n);

    *none |= !found;
    return found ? (size_t)(found - c->p) + n : 0;
}

/* The end of a tag whose quoted values may hold a >; 0 when it has none. */
static size_t quoted_end(const struct clean_pass *c, size_t at)
{
    while (at < c->n && c->p[at] != '>') {
        const uint8_t *close;

        if (c->p[at++] != '=')
            continue;
        while (at < c->n && is_blank(c->p[at]))
            at++;
        if (at == c->n || (c->p[at] != '"' && c->p[at] != '\''))
            continue;
        close = memchr(c->p + at + 1, c->p[at], c->n - at - 1);
        if (!close)
            return 0;
        at = (size_t)(close - c->p) + 1;
    }
    return at < c->n ? at + 1 : 0;
}

/* Once a tag ends only when its quotes do not count, they do not count in the text's rest. */
static size_t tag_end(struct tags *t, size_t at)
{
    size_t end = t->no_quotes || t->no_end ? 0 : quoted_end(t->c, at);

    if (end)
        return end;
    t->no_quotes = true;
    return behind(t->c, at, ">", &t->no_end);
}

/* Elements that stand within a line: no blank for them. */
static bool is_inline(const struct clean_pass *c, size_t at, size_t n)
{
    static const char *const names[] = {
        "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn",
        "em", "font", "i", "ins", "kbd", "mark", "nobr", "q", "s", "samp", "small", "span",
        "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && clean_has(c, at, names[i]))
            return true;
    return false;
}

/* Where </name starts, from `at` on; 0 when nowhere. */
static size_t closing(const struct clean_pass *c, size_t at, const char *name, bool *none)
{
    const size_t n = strlen(name);

    while (!*none) {
        size_t end;

        at = behind(c, at, "</", none);
        end = at + n;
        if (at && clean_has(c, at, name) &&
            (end == c->n || is_blank(c->p[end]) || c->p[end] == '/' || c->p[end] == '>'))
            return at - 2;
    }
    return 0;
}

/* Behind the tag at the < of `at`; 0 when it is none. */
static size_t tag(struct tags *t, size_t at)
{
    const struct clean_pass *c = t->c;
    const bool closes = c->p[at + 1] == '/';
    const size_t name = at + 1 + closes;
    size_t end = name, next, close = 0;

    if (t->no_end || name >= c->n || !clean_is_alpha(c->p[name]))
        return 0;
    while (end < c->n && !is_blank(c->p[end]) && c->p[end] != '/' && c->p[end] != '>')
        end++;
    next = tag_end(t, end);
    if (!next)
        return 0;
    if (!is_inline(c, name, end - name))
        t->blank = true;
    if (!closes && end - name == 6 && clean_has(c, name, "script"))
        close = closing(c, next, "script", &t->no_script);
    else if (!closes && end - name == 5 && clean_has(c, name, "style"))
        close = closing(c, next, "style", &t->no_style);
    return close ? close : next;
}

/* Behind the comment, CDATA section or declaration at the <; 0 when it is none. */
static size_t declaration(struct tags *t, size_t at, int *rc)
{
    const struct clean_pass *c = t->c;
    size_t end;

    if (clean_has(c, at, "<!--")) {
        if (clean_has(c, at, "<!-->"))
            return at + 5;
        if (clean_has(c, at, "<!--->"))
            return at + 6;
        return behind(c, at + 4, "-->", &t->no_comment);
    }
    if (clean_has(c, at, "<![cdata[")) {
        end = behind(c, at + 9, "]]>", &t->no_cdata);
        if (end)
            *rc = put_text(t, at + 9, end - 3);
        return end;
    }
    if (at + 2 < c->n && clean_is_alpha(c->p[at + 2]))
        return behind(c, at + 2, ">", &t->no_end);
    return 0;
}

int clean_tags(struct clean_pass *c)
{
    struct tags t = {.c = c};
    size_t from = 0, at = 0;

    for (;;) {
        const uint8_t *open = at < c->n ? memchr(c->p + at, '<', c->n - at) : NULL;
        size_t end;
        int rc = 0;

        if (!open || open + 1 == c->p + c->n)
            return put_text(&t, from, c->n);
        at = (size_t)(open - c->p);
        if (put_text(&t, from, at))
            return -1;
        end = open[1] == '!' || open[1] == '?' ? declaration(&t, at, &rc) : tag(&t, at);
        if (rc)
            return -1;
        from = end ? end : at;
        at = end ? end : at + 1;
    }
}

/* ---- entities ---- */

/* The entity of this name, with or without its semicolon, or NULL. */
static const struct entity *find(const uint8_t *name, size_t n)
{
    size_t low = 0, high = N_ENTITIES;

    while (low < high) {
        const size_t middle = (low + high) / 2;
        const char *at = entities[middle].name;
        const size_t len = strlen(at);
        const int order = memcmp(name, at, n < len ? n : len);

        if (order == 0 && n == len)
            return &entities[middle];
        if (order < 0 || (order == 0 && n < len))
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* What a number stands for; -1: nothing at all. */
static int64_t numbered(uint32_t value)
{
    static const uint16_t windows_1252[32] = {
        0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160,
        0x2039, 0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013,
        0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178};

    if (value == 0 || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 0xfffd;
    if (value == '\r')
        return value;
    if (value >= 0x80 && value < 0xa0)
        return windows_1252[value - 0x80];
    if (value < 0x20 ? !is_blank((uint8_t)value) || value == '\v' : value == 0x7f)
        return -1;
    return (value & 0xfffe) == 0xfffe || (value >= 0xfdd0 && value <= 0xfdef) ? -1
                                                                              : (int64_t)value;
}

/* Digits of a number behind the #; 0 when there is none.  *value does not run over. */
static size_t number(const struct clean_pass *c, size_t at, uint32_t *value)
{
    const bool hex = at < c->n && (c->p[at] | 0x20) == 'x';
    const size_t first = at + hex;
    size_t i = first;

    *value = 0;
    for (; i < c->n && (hex ? clean_is_alnum(c->p[i]) && (c->p[i] | 0x20) <= 'f'
                            : c->p[i] >= '0' && c->p[i] <= '9'); i++)
        if (*value <= 0x10ffff)
            *value = *value * (hex ? 16 : 10) +
                     (uint32_t)(c->p[i] <= '9' ? c->p[i] - '0' : (c->p[i] | 0x20) - 'a' + 10);
    return i == first ? 0 : i;
}

/* Puts what stands for the reference behind the & of `at`; returns its end, 0 for none. */
static size_t reference(struct clean_pass *c, size_t at, int *rc)
{
    const struct entity *found = NULL;
    size_t end = at + 1, n;
    uint32_t value;

    if (end < c->n && c->p[end] == '#') {
        int64_t point;

        end = number(c, end + 1, &value);
        if (!end)
            return 0;
        point = numbered(value);
        *rc = point >= 0 ? clean_put_point(c, (uint32_t)point) : 0;
        return end + (end < c->n && c->p[end] == ';');
    }
    while (end < c->n && end - at <= ENTITY_LONG && clean_is_alnum(c->p[end]))
        end++;
    n = end - at - 1;
    if (end < c->n && c->p[end] == ';')
        found = find(c->p + at + 1, ++n);
    if (!found && n > ENTITY_SHORT)
        n = ENTITY_SHORT;
    for (; !found && n >= 2; n--)
        found = find(c->p + at + 1, n);
    if (!found)
        return 0;
    *rc = clean_put(c, found->text, strlen(found->text));
    return at + 1 + strlen(found->name);
}

int clean_entities(struct clean_pass *c)
{
    size_t from = 0, at = 0;

    for (;;) {
        const uint8_t *amp = at < c->n ? memchr(c->p + at, '&', c->n - at) : NULL;
        size_t end;
        int rc = 0;

        if (!amp)
            return clean_keep(c, from, c->n);
        at = (size_t)(amp - c->p);
        if (clean_keep(c, from, at))
            return -1;
        end = reference(c, at, &rc);
        if (rc)
            return -1;
        from = end ? end : at;
        at = end ? end : at + 1;
    }
}

/* A named entity that is common enough to be known without its &. */
static const struct entity *common(const struct clean_pass *c, size_t at)
{
    static const char *const names[] = {"quot;", "amp;", "lt;", "gt;", "apos;", "nbsp;",
                                        "hellip;", "mdash;", "ndash;", "lsquo;", "rsquo;",
                                        "ldquo;", "rdquo;"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t n = strlen(names[i]);

        if (c->n - at >= n && memcmp(c->p + at, names[i], n) == 0)
            return find((const uint8_t *)names[i], n);
    }
    return NULL;
}

/*
 * The entity without & at `at`: its end, and in *point what a number stands for or in *text
 * what a name does; 0 for none.
 */
static size_t lost(const struct clean_pass *c, size_t at, int64_t *point, const char **text)
{
    const struct entity *found = NULL;
    uint32_t value;
    size_t end;

    *text = NULL;
    if (c->p[at] != '#') {
        if (c->p[at] >= 'a' && c->p[at] <= 'r')
            found = common(c, at);
        *text = found ? found->text : NULL;
        return found ? at + strlen(found->name) : 0;
    }
    end = number(c, at + 1, &value);
    if (!end || end == c->n || c->p[end] != ';' || end - at > 9)
        return 0;
    *point = numbered(value);
    return end + 1;
}

int clean_lost_amp(struct clean_pass *c)
{
    size_t from = 0, at = 0;

    while (at < c->n) {
        /* Only what begins a word, with nothing of an entity before it. */
        const uint8_t before = at ? c->p[at - 1] : ' ';
        const bool begins = !clean_is_word(before) && before != '&' && before != '#' && before < 0x80;
        const char *text = NULL;
        int64_t point = -1;
        const size_t end = begins ? lost(c, at, &point, &text) : 0;

        if (!end) {
            at++;
            continue;
        }
        /* The & may have become the blank before it. */
        if (clean_keep(c, from, at - (at > from && before == ' ')) ||
            (text && clean_put(c, text, strlen(text))) ||
            (!text && point >= 0 && clean_put_point(c, (uint32_t)point)))
            return -1;
        from = at = end;
    }
    return clean_keep(c, from, c->n);
}
