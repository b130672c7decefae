/* SPDX-License-Identifier: MIT */
#include "jsonscan.h"
#include "utf8.h"
#include "utf8fix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/*
 * The first byte from p on that ends a stretch of a string: a quote, a backslash or a control
 * character; else `end`.  *all collects the highest bit of those before it.
 */
static inline const char *stretch_end(const char *p, const char *end, unsigned *all)
{
#if defined(__SSE2__)
    for (; end - p >= 16; p += 16) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        const __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                       _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
                                          control);
        const unsigned stops = (unsigned)_mm_movemask_epi8(stop);
        const unsigned high = (unsigned)_mm_movemask_epi8(v);

        if (stops) {
            *all |= high & (stops - 1) & ~stops;
            return p + __builtin_ctz(stops);
        }
        *all |= high;
    }
#endif
    for (; p < end && *p != '"' && *p != '\\' && (uint8_t)*p >= ' '; p++)
        *all |= (uint8_t)*p & 0x80u;
    return p;
}

void jsonscan_open(struct jsonscan *s, const char *text, size_t n, const char *name)
{
    *s = (struct jsonscan){.p = text, .end = text + n, .start = text, .name = name,
                           .valid = -1};
}

void jsonscan_close(struct jsonscan *s)
{
    buf_free(&s->text);
}

static int bad(const struct jsonscan *s, const char *what, struct err *e)
{
    size_t line = 1;

    for (const char *p = s->start; p < s->p; p++)
        line += *p == '\n';
    return err_set(e, ERR_DATA, "'%s' is not JSON: line %zu: %s", s->name, line, what);
}

static int wanted(const struct jsonscan *s, char c, struct err *e)
{
    const char what[] = {'\'', c, '\'', ' ', 'e', 'x', 'p', 'e', 'c', 't', 'e', 'd', '\0'};

    return bad(s, what, e);
}

int jsonscan_take(struct jsonscan *s, char c, struct err *e)
{
    if (jsonscan_peek(s) != c || s->p == s->end)
        return wanted(s, c, e);
    s->p++;
    return 0;
}

int jsonscan_more(struct jsonscan *s, char close, bool *first, struct err *e)
{
    const char next = jsonscan_peek(s);

    if (next == close && s->p < s->end) {
        s->p++;
        return 0;
    }
    if (*first || (next == ',' && s->p < s->end))
        s->p += !*first;
    else
        return wanted(s, ',', e);
    *first = false;
    return 1;
}

/* Four hex digits at p, or -1. */
static int32_t hex4(const char *p)
{
    int32_t v = 0;

    for (int i = 0; i < 4; i++) {
        const char c = p[i], low = c | 0x20;

        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (low - 'a' + 10);
        else
            return -1;
    }
    return v;
}

/* The escape behind a backslash at s->p: its code point, or -1. */
static int32_t escape(struct jsonscan *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;
    int32_t c, low;

    if (s->end - s->p < 2)
        return -1;
    s->p += 2;
    if (s->p[-1] != 'u') {
        found = s->p[-1] ? strchr(from, s->p[-1]) : NULL;
        return found ? to[found - from] : -1;
    }
    c = s->end - s->p >= 4 ? hex4(s->p) : -1;
    if (c < 0 || (c >= 0xdc00 && c < 0xe000))
        return -1;
    s->p += 4;
    if (c < 0xd800 || c >= 0xe000)
        return c;
    low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2) : -1;
    if (low < 0xdc00 || low >= 0xe000)
        return -1;
    s->p += 6;
    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* The rest of a string with escapes, of which `done` bytes were read. */
static int long_string(struct jsonscan *s, const char *from, struct err *e)
{
    buf_reset(&s->text);
    for (;;) {
        uint8_t utf8[4];
        int32_t c;

        if (buf_add(&s->text, from, (size_t)(s->p - from), e))
            return -1;
        if (s->p == s->end || (uint8_t)*s->p < ' ')
            return bad(s, "a string without an end", e);
        if (*s->p == '"')
            return 0;
        c = escape(s);
        if (c < 0)
            return bad(s, "a bad escape in a string", e);
        if (buf_add(&s->text, utf8, utf8_put((uint32_t)c, utf8), e))
            return -1;
        from = s->p;
        s->p = stretch_end(s->p, s->end, &(unsigned){0});
    }
}

/* Whether a string of the text is UTF-8; mostly the text is, and then no string is looked at. */
static bool is_valid(struct jsonscan *s, const char *p, size_t n)
{
    const size_t left = (size_t)(s->end - s->p);

    if (s->valid < 0)
        s->valid = utf8_first_bad(p, n) == n && utf8_first_bad(s->p, left) == left;
    return s->valid || utf8_valid((const uint8_t *)p, n);
}

int jsonscan_string(struct jsonscan *s, const char **out, size_t *n, struct err *e)
{
    unsigned all = 0;
    const char *from;

    if (jsonscan_take(s, '"', e))
        return -1;
    from = s->p;
    s->p = stretch_end(s->p, s->end, &all);
    *out = from;
    *n = (size_t)(s->p - from);
    if (s->p == s->end || *s->p != '"') {
        if (long_string(s, from, e))
            return -1;
        *out = s->text.data;
        *n = s->text.len;
        all = 1;
    }
    if (all && !is_valid(s, *out, *n))
        return bad(s, "a string that is not UTF-8", e);
    s->p++;
    return 0;
}

int jsonscan_number(struct jsonscan *s, uint64_t *out, struct err *e)
{
    uint64_t v = 0;
    const char *from, *p;

    jsonscan_peek(s);
    for (from = p = s->p; p < s->end && (uint8_t)(*p - '0') < 10; p++)
        v = v > UINT64_MAX / 16 ? v : v * 10 + (uint64_t)(*p - '0');
    s->p = p;
    *out = v;
    if (s->p == from || (*from == '0' && s->p - from > 1) || *out > UINT64_MAX / 16 ||
        (s->p < s->end && (*s->p == '.' || *s->p == 'e' || *s->p == 'E')))
        return bad(s, "a number that is no id", e);
    return 0;
}

static double power_of_ten(int n)
{
    static const double small[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    char text[16];

    if (n < (int)(sizeof small / sizeof small[0]))
        return small[n];
    /* The nearest double: a product of smaller powers would be off. */
    snprintf(text, sizeof text, "1e%d", n);
    return strtod(text, NULL);
}

/* The number of a significand and an exponent, by the steps of serde_json's f64_from_parts. */
static int from_parts(const struct jsonscan *s, uint64_t significand, int64_t exponent,
                      double *out, struct err *e)
{
    double f = (double)significand;

    for (; exponent < -308 && f != 0; exponent += 308)
        f /= 1e308;
    if (f != 0 && exponent > 308)
        return bad(s, "a number out of range", e);
    if (f != 0 && exponent >= 0)
        f *= power_of_ten((int)exponent);
    else if (f != 0)
        f /= power_of_ten((int)-exponent);
    *out = f;
    return f > 1.7976931348623157e308 ? bad(s, "a number out of range", e) : 0;
}

/* Reads digits on to *significand as long as they fit; the number of those that did (behind the
 * point) or did not (before it) is how far the exponent moves. */
static bool digits(struct jsonscan *s, uint64_t *significand, bool fraction, int64_t *exponent)
{
    const char *from = s->p;
    bool full = *exponent > 0;

    /* Most digits cannot make it too large. */
    for (; !full && s->p < s->end && (uint8_t)(*s->p - '0') < 10 &&
           *significand <= (UINT64_MAX - 9) / 10; s->p++)
        *significand = *significand * 10 + (uint64_t)(*s->p - '0');
    *exponent -= fraction ? s->p - from : 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        const uint64_t d = (uint64_t)(*s->p - '0');

        full = full || *significand > (UINT64_MAX - d) / 10;
        if (!full)
            *significand = *significand * 10 + d;
        if (full != fraction)
            *exponent += fraction ? -1 : 1;
    }
    return s->p > from;
}

int jsonscan_real(struct jsonscan *s, double *out, struct err *e)
{
    uint64_t significand = 0, power = 0;
    int64_t exponent = 0;
    bool minus, down = false;
    const char *from;

    jsonscan_peek(s);
    minus = s->p < s->end && *s->p == '-';
    from = s->p += minus;
    if (!digits(s, &significand, false, &exponent) || (*from == '0' && s->p - from > 1))
        return bad(s, "no number where one is expected", e);
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!digits(s, &significand, true, &exponent))
            return bad(s, "a number without digits behind its point", e);
    }
    if (s->p < s->end && (*s->p | 0x20) == 'e') {
        s->p++;
        down = s->p < s->end && *s->p == '-';
        s->p += s->p < s->end && (*s->p == '-' || *s->p == '+');
        for (from = s->p; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
            power = power > 100000 ? power : power * 10 + (uint64_t)(*s->p - '0');
        if (s->p == from)
            return bad(s, "a number without digits in its exponent", e);
    }
    exponent += down ? -(int64_t)power : (int64_t)power;
    if (from_parts(s, significand, exponent, out, e))
        return -1;
    *out = minus ? -*out : *out;
    return 0;
}

/* Behind the end of the string that starts at s->p. */
static int skip_string(struct jsonscan *s, struct err *e)
{
    unsigned high = 0;

    for (s->p++; (s->p = stretch_end(s->p, s->end, &high)) < s->end && *s->p != '"'; s->p++)
        if (*s->p == '\\' && s->end - s->p > 1)
            s->p++;
    if (s->p == s->end)
        return bad(s, "a string without an end", e);
    s->p++;
    return 0;
}

#if defined(__SSE2__)
/* Of 64 bytes, bit k for byte k: quotes, what opens and closes, and whether one is a backslash. */
struct marks {
    uint64_t quote, open, close;
    bool escape;
};

static inline struct marks marks_of(const char *p)
{
    struct marks m = {0, 0, 0, false};

    for (unsigned i = 0; i < 64; i += 16) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        /* { and [ differ in one bit, as do } and ]. */
        const __m128i low = _mm_or_si128(v, _mm_set1_epi8(0x20));

        m.quote |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('"'))) << i;
        m.open |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(low, _mm_set1_epi8('{'))) << i;
        m.close |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(low, _mm_set1_epi8('}'))) << i;
        m.escape |= _mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))) != 0;
    }
    return m;
}

/*
 * Goes on in what is skipped, 64 bytes at a time: up to an escape, the last bytes, or the end of
 * it all, where *depth is 0.  It starts and ends outside strings.
 */
static void skip_blocks(struct jsonscan *s, size_t *depth)
{
    const char *opened = s->p, *p = s->p;
    uint64_t inside = 0; /* all ones: a string goes on, which began at `opened` */

    for (; s->end - p >= 64; p += 64) {
        const struct marks m = marks_of(p);
        uint64_t text = m.quote, mark;

        if (m.escape)
            break;
        for (unsigned i = 1; i < 64; i *= 2)
            text ^= text << i;
        text ^= inside;
        for (mark = (m.open | m.close) & ~text; mark; mark &= mark - 1) {
            *depth += m.open & mark & -mark ? 1 : (size_t)-1;
            if (*depth == 0) {
                s->p = p + __builtin_ctzll(mark) + 1;
                return;
            }
        }
        inside = (uint64_t)((int64_t)text >> 63);
        if (inside && m.quote)
            opened = p + 63 - __builtin_clzll(m.quote);
    }
    s->p = inside ? opened : p;
}
#else
static void skip_blocks(struct jsonscan *s, size_t *depth)
{
    (void)s;
    (void)depth;
}
#endif

/* What is looked at in an object or array that is skipped. */
static bool is_mark(char c)
{
    static const bool mark[256] = {['"'] = true, ['{'] = true, ['['] = true, ['}'] = true,
                                   [']'] = true};

    return mark[(uint8_t)c];
}

int jsonscan_skip(struct jsonscan *s, struct err *e)
{
    size_t depth = 0;

    jsonscan_peek(s);
    while (s->p < s->end) {
        const char c = *s->p;

        if (c == '"') {
            if (skip_string(s, e))
                return -1;
        } else if (c == '{' || c == '[') {
            depth++;
            s->p++;
            skip_blocks(s, &depth);
        } else if (depth > 0 && (c == '}' || c == ']')) {
            depth--;
            s->p++;
        } else if (depth > 0) {
            while (s->p < s->end && !is_mark(*s->p))
                s->p++;
            skip_blocks(s, &depth);
            if (depth > 0)
                continue;
        } else if (c == ',' || c == '}' || c == ']') {
            return 0;
        } else {
            s->p++;
            continue;
        }
        if (depth == 0)
            return 0;
    }
    return bad(s, "the text ends too early", e);
}
