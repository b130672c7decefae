/* SPDX-License-Identifier: MIT */
#include "jsonl.h"
#include "utf8.h"

#include <string.h>

enum { MAX_DEPTH = 256 };

struct cursor {
    struct jsonl *j;
    const char *start, *p, *end;
};

/* A decoded string; `at` points into the line or into the room. */
struct text {
    const char *at;
    size_t n;
    uint64_t replaced;
};

static int fail(struct cursor *c, const char *problem)
{
    c->j->problem = problem;
    c->j->where = (size_t)(c->p - c->start);
    return -1;
}

static void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
        c->p++;
}

static bool at(const struct cursor *c, char want)
{
    return c->p < c->end && *c->p == want;
}

static int hex4(struct cursor *c, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++, c->p++) {
        const char h = c->p < c->end ? *c->p : '\0';
        uint32_t digit;

        if (h >= '0' && h <= '9')
            digit = (uint32_t)(h - '0');
        else if ((h | 0x20) >= 'a' && (h | 0x20) <= 'f')
            digit = (uint32_t)((h | 0x20) - 'a' + 10);
        else
            return fail(c, "\\u is not followed by four hex digits");
        *value = *value << 4 | digit;
    }
    return 0;
}

/* \uXXXX, the cursor behind the u: a pair of surrogates is one character, a lone one U+FFFD. */
static int unicode_escape(struct cursor *c, char *out, size_t *used, uint64_t *replaced)
{
    uint32_t high, low;

    if (hex4(c, &high))
        return -1;
    if (high >= 0xd800 && high <= 0xdfff) {
        const char *behind = c->p;
        bool pair = high < 0xdc00 && c->end - c->p >= 6 && c->p[0] == '\\' && c->p[1] == 'u';

        low = 0;
        if (pair) {
            c->p += 2;
            if (hex4(c, &low))
                return -1;
            pair = low >= 0xdc00 && low <= 0xdfff;
        }
        if (pair) {
            high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        } else {
            c->p = behind;
            high = 0xfffd;
            ++*replaced;
        }
    }
    *used += utf8_put(high, (uint8_t *)out + *used);
    return 0;
}

static int escape(struct cursor *c, char *out, size_t *used, uint64_t *replaced)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known;

    c->p++; /* the backslash */
    if (c->p == c->end)
        return fail(c, "the line ends within a string");
    if (*c->p == 'u') {
        c->p++;
        return unicode_escape(c, out, used, replaced);
    }
    known = *c->p ? strchr(from, *c->p) : NULL;
    if (!known)
        return fail(c, "unknown escape in a string");
    out[(*used)++] = to[known - from];
    c->p++;
    return 0;
}

/* A string, the cursor at its opening quote.  Without escapes it stays where it is. */
static int string(struct cursor *c, struct text *t)
{
    char *out = c->j->room + c->j->used;
    const char *from = ++c->p;
    size_t used = 0;
    bool copied = false;

    t->replaced = 0;
    for (;;) {
        while (c->p < c->end && *c->p != '"' && *c->p != '\\' && (unsigned char)*c->p >= 0x20)
            c->p++;
        if (c->p == c->end)
            return fail(c, "the line ends within a string");
        if ((unsigned char)*c->p < 0x20)
            return fail(c, "a control character stands in a string");
        if (copied || *c->p == '\\') {
            memcpy(out + used, from, (size_t)(c->p - from));
            used += (size_t)(c->p - from);
            copied = true;
        }
        if (*c->p == '"')
            break;
        if (escape(c, out, &used, &t->replaced))
            return -1;
        from = c->p;
    }
    t->at = copied ? out : from;
    t->n = copied ? used : (size_t)(c->p - from);
    c->p++;
    return 0;
}

static int digits(struct cursor *c)
{
    const char *from = c->p;

    while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
        c->p++;
    return c->p > from ? 0 : fail(c, "this is no JSON value");
}

static int number(struct cursor *c)
{
    if (at(c, '-'))
        c->p++;
    if (at(c, '0'))
        c->p++;
    else if (digits(c))
        return -1;
    if (at(c, '.')) {
        c->p++;
        if (digits(c))
            return -1;
    }
    if (at(c, 'e') || at(c, 'E')) {
        c->p++;
        if (at(c, '+') || at(c, '-'))
            c->p++;
        if (digits(c))
            return -1;
    }
    return 0;
}

static bool word(struct cursor *c, const char *w)
{
    const size_t n = strlen(w);

    if ((size_t)(c->end - c->p) < n || memcmp(c->p, w, n) != 0)
        return false;
    c->p += n;
    return true;
}

/* null, true, false, a number or a string.  A string's text is kept in the room. */
static int scalar(struct cursor *c, struct json_value *v, uint64_t *replaced)
{
    const char *from = c->p;
    struct text t = {0};

    *v = (struct json_value){.kind = JSON_SCALAR};
    if (at(c, '"')) {
        if (string(c, &t))
            return -1;
        *v = (struct json_value){JSON_SCALAR, t.at, t.n};
        *replaced += t.replaced;
        return 0;
    }
    if (word(c, "null")) {
        v->kind = JSON_NULL;
        return 0;
    }
    if (!word(c, "true") && !word(c, "false") && number(c))
        return -1;
    v->at = from;
    v->n = (size_t)(c->p - from);
    return 0;
}

static int skip_value(struct cursor *c, int depth);

/* The rest of an object or array, the cursor behind its bracket. */
static int skip_members(struct cursor *c, char close, int depth)
{
    struct text key;

    if (depth > MAX_DEPTH)
        return fail(c, "arrays and objects are nested too deeply");
    skip_blanks(c);
    if (at(c, close)) {
        c->p++;
        return 0;
    }
    for (;;) {
        skip_blanks(c);
        if (close == '}') {
            if (!at(c, '"') || string(c, &key))
                return c->j->problem ? -1 : fail(c, "a key was expected");
            skip_blanks(c);
            if (!at(c, ':'))
                return fail(c, "a colon was expected");
            c->p++;
        }
        if (skip_value(c, depth))
            return -1;
        skip_blanks(c);
        if (at(c, close))
            break;
        if (!at(c, ','))
            return fail(c, c->p == c->end ? "the line ends within the value"
                                          : "a comma was expected");
        c->p++;
    }
    c->p++;
    return 0;
}

static int skip_value(struct cursor *c, int depth)
{
    struct json_value v;
    uint64_t replaced = 0;

    skip_blanks(c);
    if (at(c, '{') || at(c, '[')) {
        const char close = *c->p == '{' ? '}' : ']';

        c->p++;
        return skip_members(c, close, depth + 1);
    }
    return scalar(c, &v, &replaced);
}

/* An array: its scalars joined by commas, or JSON_OTHER when there is anything else in it. */
static int list(struct cursor *c, struct json_value *v, uint64_t *replaced)
{
    const char *from = c->p;
    const size_t base = c->j->used;
    size_t used = base;
    bool only_scalars = true;

    c->p++;
    skip_blanks(c);
    while (only_scalars && !at(c, ']')) {
        struct json_value item;

        if (used > base) {
            if (!at(c, ','))
                return fail(c, "a comma was expected");
            c->p++;
            skip_blanks(c);
        }
        if (at(c, '[') || at(c, '{')) {
            only_scalars = false;
            break;
        }
        c->j->used = used + 1; /* behind what is joined so far, and room for a comma */
        if (scalar(c, &item, replaced))
            return -1;
        only_scalars = item.kind == JSON_SCALAR && item.n > 0 &&
                       !memchr(item.at, ',', item.n);
        if (used > base)
            c->j->room[used++] = ',';
        memmove(c->j->room + used, item.at, item.n);
        used += item.n;
        skip_blanks(c);
    }
    if (!only_scalars) {
        c->p = from;
        v->kind = JSON_OTHER;
        return skip_value(c, 0);
    }
    c->p++;
    *v = (struct json_value){JSON_LIST, c->j->room + base, used - base};
    c->j->used = used;
    return 0;
}

/* A value that was asked for.  What is decoded stays in the room. */
static int take_value(struct cursor *c, struct json_value *v, uint64_t *replaced)
{
    const char *room = c->j->room;

    *replaced = 0;
    *v = (struct json_value){0};
    if (at(c, '['))
        return list(c, v, replaced);
    if (at(c, '{')) {
        v->kind = JSON_OTHER;
        return skip_value(c, 0);
    }
    if (scalar(c, v, replaced))
        return -1;
    if (v->kind == JSON_SCALAR && v->at >= room && v->at == room + c->j->used)
        c->j->used += v->n;
    return 0;
}

/* The members of the top object; each(c, key) must move past the value. */
static int object(struct cursor *c, int (*each)(struct cursor *c, const struct text *key,
                                                void *ctx), void *ctx)
{
    c->j->members = 0;
    skip_blanks(c);
    if (!at(c, '{'))
        return fail(c, "the line is no JSON object");
    c->p++;
    skip_blanks(c);
    for (bool first = true; !at(c, '}'); first = false) {
        const size_t used = c->j->used;
        struct text key;

        if (!first) {
            if (!at(c, ','))
                return fail(c, c->p == c->end ? "the object is not closed"
                                              : "a comma was expected");
            c->p++;
            skip_blanks(c);
        }
        if (!at(c, '"'))
            return fail(c, c->p == c->end ? "the object is not closed" : "a key was expected");
        if (string(c, &key))
            return -1;
        if (key.at == c->j->room + used)
            c->j->used += key.n; /* a decoded key must outlive its value's decoding */
        skip_blanks(c);
        if (!at(c, ':'))
            return fail(c, "a colon was expected");
        c->p++;
        skip_blanks(c);
        if (each(c, &key, ctx))
            return -1;
        c->j->members++;
        skip_blanks(c);
    }
    c->p++;
    skip_blanks(c);
    return c->p == c->end ? 0 : fail(c, "something follows the JSON object");
}

static int each_value(struct cursor *c, const struct text *key, void *ctx)
{
    struct jsonl *j = c->j;
    uint64_t *replaced = ctx;

    for (size_t i = 0; i < j->n; i++) {
        uint64_t here;
        size_t k = i;

        if (strlen(j->keys[i]) != key->n || memcmp(j->keys[i], key->at, key->n) != 0)
            continue;
        if (take_value(c, &j->values[i], &here))
            return -1;
        *replaced += here;
        /* The same key may have been asked for twice. */
        while (++k < j->n)
            if (strcmp(j->keys[k], j->keys[i]) == 0)
                j->values[k] = j->values[i];
        return 0;
    }
    return skip_value(c, 0);
}

int jsonl_parse(struct jsonl *j, const char *line, size_t n)
{
    struct cursor c = {j, line, line, line + n};
    uint64_t replaced = 0;

    j->used = 0;
    j->problem = NULL;
    for (size_t i = 0; i < j->n; i++)
        j->values[i] = (struct json_value){0};
    if (object(&c, each_value, &replaced))
        return -1;
    j->replaced += replaced;
    return 0;
}

struct keys {
    struct field *out;
    size_t max, n;
};

static int each_key(struct cursor *c, const struct text *key, void *ctx)
{
    struct keys *k = ctx;

    if (k->n < k->max)
        k->out[k->n] = (struct field){key->at, key->n, false};
    k->n++;
    return skip_value(c, 0);
}

int jsonl_keys(struct jsonl *j, const char *line, size_t n, struct field *out, size_t max,
               size_t *found)
{
    struct cursor c = {j, line, line, line + n};
    struct keys k = {out, max, 0};

    j->used = 0;
    j->problem = NULL;
    if (object(&c, each_key, &k))
        return -1;
    *found = k.n;
    return 0;
}
