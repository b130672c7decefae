/* SPDX-License-Identifier: MIT */
/* Steps that find things in a text and put a word, or nothing, in their place. */
#include "clean_int.h"
#include "uniprop.h"

/*
 * Puts the word in place of every find: match(c, at, used) gives the end of what is found at
 * `at`, 0 for nothing.  used is the length of the character there.
 */
static int replace(struct clean_pass *c,
                   size_t (*match)(const struct clean_pass *c, size_t at, size_t used))
{
    size_t from = 0;

    for (size_t at = 0; at < c->n;) {
        const size_t length = utf8_length(c->p[at]), used = length ? length : 1;
        const size_t end = match(c, at, used);

        if (!end) {
            at += used;
            continue;
        }
        if (clean_keep(c, from, at) || clean_put_word(c))
            return -1;
        from = at = end;
    }
    return clean_keep(c, from, c->n);
}

/* ---- web addresses ---- */

/* Whether an address may hold the character: printable, below U+2000, none of " < >. */
static bool in_url(const struct clean_pass *c, size_t at, size_t *used)
{
    const uint32_t point = clean_at(c, at, used);

    if (point < 0x80)
        return point > ' ' && point < 0x7f && point != '"' && point != '<' && point != '>';
    return point > 0xa0 && point < 0x2000 && !(prop_of(point) & (PROP_SPACE | PROP_HIDDEN));
}

/* Takes punctuation off the end: it is the sentence's, as are brackets opened before. */
static size_t url_end(const struct clean_pass *c, size_t from, size_t to)
{
    int64_t round = 0, square = 0;

    for (size_t i = from; i < to; i++) {
        round += (c->p[i] == '(') - (c->p[i] == ')');
        square += (c->p[i] == '[') - (c->p[i] == ']');
    }
    while (to > from) {
        const uint8_t last = c->p[to - 1];

        if (last == ')' && round < 0)
            round++;
        else if (last == ']' && square < 0)
            square++;
        else if (!memchr(".,:;!?'*", last, 8))
            break;
        to--;
    }
    return to;
}

static size_t match_url(const struct clean_pass *c, size_t at, size_t used)
{
    static const char *const starts[] = {"http://", "https://", "ftp://", "www."};
    size_t i = 0, first, end, n;

    (void)used;
    if (!memchr("hHfFwW", c->p[at], 6) || (at > 0 && clean_is_word(c->p[at - 1])))
        return 0;
    while (i < 4 && !clean_has(c, at, starts[i]))
        i++;
    if (i == 4)
        return 0;
    first = end = at + strlen(starts[i]);
    if (first == c->n || (!clean_is_alnum(c->p[first]) && c->p[first] < 0x80))
        return 0;
    while (end < c->n && in_url(c, end, &n))
        end += n;
    end = url_end(c, first, end);
    return end > first ? end : 0;
}

int clean_url(struct clean_pass *c)
{
    return replace(c, match_url);
}

/* ---- mail addresses and names ---- */

static bool in_local(uint8_t b)
{
    return clean_is_word(b) || b == '.' || b == '%' || b == '+' || b == '-';
}

/* The end of a host name of at least two labels, the last one of letters; 0 for none. */
static size_t host_end(const struct clean_pass *c, size_t at)
{
    size_t best = 0;

    for (bool first = true; at < c->n && clean_is_alnum(c->p[at]); first = false) {
        const size_t from = at;
        bool letters = true;

        for (; at < c->n && (clean_is_alnum(c->p[at]) || c->p[at] == '-'); at++)
            letters &= clean_is_alpha(c->p[at]);
        if (!first && letters && at - from >= 2 && (at == c->n || c->p[at] != '_'))
            best = at;
        if (at == c->n || c->p[at] != '.' || c->p[at - 1] == '-')
            break;
        at++;
    }
    return best;
}

int clean_email(struct clean_pass *c)
{
    size_t from = 0, at = 0;

    for (;;) {
        const uint8_t *sign = at < c->n ? memchr(c->p + at, '@', c->n - at) : NULL;
        size_t start, end;

        if (!sign)
            return clean_keep(c, from, c->n);
        at = start = (size_t)(sign - c->p);
        while (start > 0 && in_local(c->p[start - 1]))
            start--;
        end = start < at && start >= from ? host_end(c, at + 1) : 0;
        at++;
        if (!end)
            continue;
        if (clean_keep(c, from, start) || clean_put_word(c))
            return -1;
        from = at = end;
    }
}

static size_t match_user(const struct clean_pass *c, size_t at, size_t used)
{
    size_t end = at + 1;

    (void)used;
    if (c->p[at] != '@' || (at > 0 && (clean_is_word(c->p[at - 1]) || c->p[at - 1] == '.' ||
                                       c->p[at - 1] == '@')))
        return 0;
    while (end < c->n && clean_is_word(c->p[end]))
        end++;
    return end > at + 1 ? end : 0;
}

int clean_user(struct clean_pass *c)
{
    return replace(c, match_user);
}

/* ---- digits ---- */

static bool is_digit(const struct clean_pass *c, size_t at, size_t *used)
{
    *used = 1;
    if (c->p[at] < 0x80)
        return c->p[at] >= '0' && c->p[at] <= '9';
    return prop_of(clean_at(c, at, used)) & PROP_DIGIT;
}

static size_t match_digits(const struct clean_pass *c, size_t at, size_t used)
{
    const size_t from = at;

    while (at < c->n && is_digit(c, at, &used))
        at += used;
    return at > from ? at : 0;
}

int clean_digits(struct clean_pass *c)
{
    return replace(c, match_digits);
}

/* ---- emoji (UTS 51) ---- */

enum { KEYCAP = 0x20e3, TEXT_STYLE = 0xfe0e, EMOJI_STYLE = 0xfe0f, JOINER = 0x200d };

/* Whether `point` stands at *at; then *at moves behind it. */
static bool takes(const struct clean_pass *c, size_t *at, uint32_t from, uint32_t to)
{
    size_t used;
    uint32_t point;

    if (*at >= c->n)
        return false;
    point = clean_at(c, *at, &used);
    if (point < from || point > to)
        return false;
    *at += used;
    return true;
}

static bool takes_flag_half(const struct clean_pass *c, size_t *at)
{
    return takes(c, at, 0x1f1e6, 0x1f1ff);
}

/* What may follow an emoji: its style, a colour of skin, tags (flags of regions). */
static size_t with_modifiers(const struct clean_pass *c, size_t at)
{
    takes(c, &at, EMOJI_STYLE, EMOJI_STYLE);
    takes(c, &at, 0x1f3fb, 0x1f3ff);
    while (takes(c, &at, 0xe0020, 0xe007f))
        ;
    return at;
}

static size_t match_emoji(const struct clean_pass *c, size_t at, size_t used)
{
    size_t end = at + used, next = end;
    uint32_t flags, point;

    if (c->p[at] < 0x80) {
        if (!((c->p[at] >= '0' && c->p[at] <= '9') || c->p[at] == '#' || c->p[at] == '*'))
            return 0;
        takes(c, &next, EMOJI_STYLE, EMOJI_STYLE);
        return takes(c, &next, KEYCAP, KEYCAP) ? next : 0;
    }
    next = at;
    if (takes_flag_half(c, &next) && takes_flag_half(c, &next))
        return next;
    flags = prop_of(clean_at(c, at, &used));
    next = end;
    if (!(flags & PROP_EMOJI) || takes(c, &next, TEXT_STYLE, TEXT_STYLE) ||
        (!(flags & PROP_PICTURE) && !takes(c, &next, EMOJI_STYLE, EMOJI_STYLE)))
        return 0;
    end = with_modifiers(c, end);
    for (;;) { /* joined ones, a family say, are one */
        next = end;
        if (!takes(c, &next, JOINER, JOINER) || next == c->n)
            return end;
        point = clean_at(c, next, &used);
        if (!(prop_of(point) & PROP_EMOJI))
            return end;
        end = with_modifiers(c, next + used);
    }
}

int clean_emoji(struct clean_pass *c)
{
    return replace(c, match_emoji);
}

/* ---- repeated characters ---- */

int clean_repeat(struct clean_pass *c)
{
    uint32_t last = UINT32_MAX;
    size_t from = 0, used;
    int times = 0;

    for (size_t at = 0; at < c->n; at += used) {
        const uint32_t point = clean_at(c, at, &used);

        times = point == last ? times + (times <= c->count) : 1;
        last = point;
        if (times <= c->count || prop_of(point) & (PROP_DIGIT | PROP_SPACE))
            continue;
        if (clean_keep(c, from, at))
            return -1;
        from = at + used;
    }
    return clean_keep(c, from, c->n);
}
