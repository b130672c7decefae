/* SPDX-License-Identifier: MIT */
/*
 * The header is parsed by a small pull parser for just this shape,
 *
 *     {"__metadata__": {"k": "v", ...}, "name": {"dtype": "F32", "shape": [2, 3],
 *      "data_offsets": [0, 24]}, ...}
 *
 * and not into a general JSON tree: a header of 100 MB made by someone hostile must not
 * cost gigabytes, and sizes must stay exact 64-bit numbers.
 */
#include "safetensors.h"
#include "mem.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

struct parse {
    const struct tensorfile *f;
    const char *start, *p, *end;
    struct buf text;  /* the last string, unescaped */
    struct buf keys;  /* keys of the metadata seen, each with a NUL: to find twins */
    size_t n_keys;
    bool metadata;    /* __metadata__ was there */
    struct stored_list *l;
    struct err *e;
};

/* What a tensor says about itself. */
struct info {
    int type, n_dims;
    int64_t dims[STORED_DIMS];
    uint64_t from, to;
    bool has_type, has_shape, has_offsets;
};

static int bad(struct parse *s, const char *what)
{
    return err_set(s->e, ERR_DATA, "'%s': malformed safetensors header, byte %zu: %s",
                   s->f->name, (size_t)(s->p - s->start), what);
}

static void skip_blanks(struct parse *s)
{
    while (s->p < s->end &&
           (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

/* The next character that is no blank, if it is c. */
static bool take(struct parse *s, char c)
{
    skip_blanks(s);
    if (s->p >= s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static int hex4(struct parse *s, uint32_t *unit)
{
    *unit = 0;
    if (s->end - s->p < 4)
        return bad(s, "unfinished \\u escape");
    for (int i = 0; i < 4; i++) {
        const char c = *s->p++;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;

        if (digit < 0)
            return bad(s, "bad \\u escape");
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return 0;
}

static int parse_unicode(struct parse *s)
{
    uint32_t c, low;

    if (hex4(s, &c))
        return -1;
    if (c >= 0xdc00 && c <= 0xdfff)
        return bad(s, "a lone surrogate");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
            return bad(s, "a lone surrogate");
        s->p += 2;
        if (hex4(s, &low))
            return -1;
        if (low < 0xdc00 || low > 0xdfff)
            return bad(s, "a lone surrogate");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (buf_reserve(&s->text, 4, s->e))
        return -1;
    s->text.len += utf8_put(c, (uint8_t *)s->text.data + s->text.len);
    return 0;
}

static int parse_escape(struct parse *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at;

    if (s->p >= s->end)
        return bad(s, "unfinished escape");
    if (*s->p == 'u') {
        s->p++;
        return parse_unicode(s);
    }
    at = *s->p ? strchr(from, *s->p) : NULL;
    if (!at)
        return bad(s, "unknown escape");
    s->p++;
    return buf_putc(&s->text, to[at - from], s->e);
}

/* A string, into s->text. */
static int parse_string(struct parse *s)
{
    if (!take(s, '"'))
        return bad(s, "a string must be here");
    buf_reset(&s->text);
    for (;;) {
        const char *run = s->p;

        while (s->p < s->end && *s->p != '"' && *s->p != '\\' &&
               (unsigned char)*s->p >= 0x20)
            s->p++;
        if (buf_add(&s->text, run, (size_t)(s->p - run), s->e))
            return -1;
        if (s->p >= s->end)
            return bad(s, "unfinished string");
        if (*s->p == '"')
            break;
        if (*s->p++ != '\\') {
            s->p--;
            return bad(s, "a control character in a string");
        }
        if (parse_escape(s))
            return -1;
    }
    s->p++;
    return 0;
}

/* A count: digits only, below 2^63. */
static int parse_count(struct parse *s, uint64_t *value)
{
    const char *first;

    skip_blanks(s);
    first = s->p;
    *value = 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
        if (!fits_mul(*value, 10, value) ||
            !fits_add(*value, (uint64_t)(*s->p - '0'), value) || *value > INT64_MAX)
            return bad(s, "a number is too large");
    if (s->p == first)
        return bad(s, "a count must be here");
    if (*first == '0' && s->p - first > 1)
        return bad(s, "a number starts with 0");
    if (s->p < s->end && (*s->p == '.' || *s->p == 'e' || *s->p == 'E'))
        return bad(s, "a number is not whole");
    return 0;
}

static int parse_shape(struct parse *s, struct info *t)
{
    if (!take(s, '['))
        return bad(s, "the shape must be an array");
    t->n_dims = 0;
    if (take(s, ']'))
        return 0;
    do {
        uint64_t dim;

        if (parse_count(s, &dim))
            return -1;
        if (t->n_dims == STORED_DIMS)
            return bad(s, "more than 8 dimensions");
        t->dims[t->n_dims++] = (int64_t)dim;
    } while (take(s, ','));
    return take(s, ']') ? 0 : bad(s, "',' or ']' must be here");
}

static int parse_offsets(struct parse *s, struct info *t)
{
    if (!take(s, '['))
        return bad(s, "data_offsets must be an array");
    if (parse_count(s, &t->from))
        return -1;
    if (!take(s, ','))
        return bad(s, "data_offsets must hold two numbers");
    if (parse_count(s, &t->to))
        return -1;
    return take(s, ']') ? 0 : bad(s, "data_offsets must hold two numbers");
}

/* One field of a tensor; its name is in s->text. */
static int parse_field(struct parse *s, struct info *t)
{
    const char *name = s->text.data;
    bool *seen = strcmp(name, "dtype") == 0          ? &t->has_type
                 : strcmp(name, "shape") == 0        ? &t->has_shape
                 : strcmp(name, "data_offsets") == 0 ? &t->has_offsets
                                                     : NULL;

    if (!seen || strlen(name) != s->text.len)
        return bad(s, "a tensor has an unknown field");
    if (*seen)
        return bad(s, "a field is there twice");
    *seen = true;
    if (!take(s, ':'))
        return bad(s, "':' must be here");
    if (seen == &t->has_shape)
        return parse_shape(s, t);
    if (seen == &t->has_offsets)
        return parse_offsets(s, t);
    if (parse_string(s))
        return -1;
    t->type = strlen(s->text.data) == s->text.len ? stored_type_find(s->text.data) : -1;
    return t->type < 0 ? bad(s, "unknown dtype") : 0;
}

/* The value of a tensor's key, whose name is name[0..len-1]. */
static int parse_tensor(struct parse *s, const char *name, size_t len)
{
    struct info t = {0};
    struct stored *at;
    uint64_t bits;

    if (!take(s, '{'))
        return bad(s, "a tensor must be an object");
    if (!take(s, '}')) {
        do {
            if (parse_string(s) || parse_field(s, &t))
                return -1;
        } while (take(s, ','));
        if (!take(s, '}'))
            return bad(s, "',' or '}' must be here");
    }
    if (!t.has_type || !t.has_shape || !t.has_offsets)
        return bad(s, "a tensor lacks dtype, shape or data_offsets");
    at = stored_add(s->l, s->f, name, len, t.dims, t.n_dims, (enum stored_type)t.type,
                    s->e);
    if (!at)
        return -1;
    if (t.to < t.from)
        return bad(s, "data_offsets go backwards");
    if (!fits_mul((uint64_t)at->w.n, (uint64_t)stored_type_bits(at->type), &bits) ||
        bits % 8 || bits / 8 != t.to - t.from)
        return err_set(s->e, ERR_DATA,
                       "'%s': tensor '%s': its shape and type do not agree "
                       "with its data_offsets",
                       s->f->name, at->w.name);
    /* Relative to the values until the header's length is added at the end. */
    at->at = t.from;
    at->entry_size = t.to - t.from;
    return 0;
}

/* Whether the text just read was a key of the metadata before; remembers it. */
static int remember_key(struct parse *s)
{
    const char *key = s->keys.data;

    if (strlen(s->text.data) != s->text.len)
        return bad(s, "a key of the metadata holds a NUL");
    for (size_t i = 0; i < s->n_keys; i++, key += strlen(key) + 1)
        if (strcmp(key, s->text.data) == 0)
            return bad(s, "a key of the metadata is there twice");
    /* Searching is quadratic: real files have one to three keys. */
    if (++s->n_keys > 1024)
        return bad(s, "more than 1024 keys in the metadata");
    return buf_add(&s->keys, s->text.data, s->text.len + 1, s->e);
}

static int parse_metadata(struct parse *s)
{
    if (s->metadata)
        return bad(s, "__metadata__ is there twice");
    s->metadata = true;
    if (!take(s, '{'))
        return bad(s, "__metadata__ must be an object");
    if (take(s, '}'))
        return 0;
    do {
        bool format;

        if (parse_string(s) || remember_key(s))
            return -1;
        format = strcmp(s->text.data, "format") == 0;
        if (!take(s, ':'))
            return bad(s, "':' must be here");
        if (parse_string(s))
            return -1;
        /* Weights of other frameworks have other names and layouts. */
        if (format && strcmp(s->text.data, "pt") != 0)
            return err_set(s->e, ERR_DATA,
                           "'%s': its weights are in the format '%s', not "
                           "'pt' (PyTorch's)",
                           s->f->name, s->text.data);
    } while (take(s, ','));
    return take(s, '}') ? 0 : bad(s, "',' or '}' must be here");
}

static int parse_header(struct parse *s)
{
    struct buf name = {0};
    int rc = 0;

    if (s->p >= s->end || *s->p != '{')
        return bad(s, "it must start with '{'");
    s->p++;
    if (!take(s, '}')) {
        do {
            buf_reset(&name);
            rc = parse_string(s);
            if (!rc)
                rc = buf_add(&name, s->text.data, s->text.len, s->e);
            if (!rc && !take(s, ':'))
                rc = bad(s, "':' must be here");
            if (!rc)
                rc = strcmp(name.data, "__metadata__") == 0
                         ? parse_metadata(s)
                         : parse_tensor(s, name.data, name.len);
        } while (!rc && take(s, ','));
        buf_free(&name);
        if (rc)
            return rc;
        if (!take(s, '}'))
            return bad(s, "',' or '}' must be here");
    }
    skip_blanks(s);
    return s->p == s->end ? 0 : bad(s, "something stands behind the object");
}

static int compare_places(const void *a, const void *b)
{
    const struct stored *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->entry_size != y->entry_size)
        return x->entry_size < y->entry_size ? -1 : 1;
    return strcmp(x->w.name, y->w.name);
}

/* The values must cover what is behind the header, one behind the other. */
static int check_places(struct stored *t, size_t n, const struct tensorfile *f,
                        uint64_t values_at, struct err *e)
{
    uint64_t next = 0;

    if (n)
        qsort(t, n, sizeof *t, compare_places);
    for (size_t i = 0; i < n; i++) {
        if (t[i].at != next)
            return err_set(e, ERR_DATA, "'%s': the values of tensor '%s' %s", f->name,
                           t[i].w.name, t[i].at < next ? "overlap those before them"
                                                       : "leave a hole before them");
        next += t[i].entry_size; /* below 2^63 each, checked against `to` by the parser */
        if (next > f->size)
            break;
        t[i].at += values_at;
        t[i].entry_size = 0;
    }
    if (next != f->size - values_at)
        return err_set(e, ERR_DATA,
                       "'%s': its header speaks of %llu bytes of values, the file "
                       "holds %llu: it is cut short or damaged",
                       f->name, (unsigned long long)next,
                       (unsigned long long)(f->size - values_at));
    return 0;
}

/*
 * Strictly: no surrogates, nothing spelled longer than it must be, nothing over U+10FFFF.
 */
static bool is_utf8(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    for (size_t i = 0, used; i < n; i += used) {
        const size_t want = utf8_length(p[i]);
        uint32_t c;

        used = 1;
        if (p[i] < 0x80)
            continue;
        c = utf8_next(p + i, n - i, &used);
        if (used != want || used == 1 || c < least[used] || c > 0x10ffff ||
            (c >= 0xd800 && c <= 0xdfff))
            return false;
    }
    return true;
}

int safetensors_list(const struct tensorfile *f, struct stored_list *l, struct err *e)
{
    struct parse s = {.f = f, .l = l, .e = e};
    const size_t first = l->n;
    unsigned char *header;
    uint64_t n = 0;
    int rc;

    if (f->size < 8)
        return err_set(e, ERR_DATA, "'%s': too short for a safetensors file (%llu bytes)",
                       f->name, (unsigned long long)f->size);
    if (tensorfile_read(f, 0, &n, 8, e))
        return -1;
    if (n > SAFETENSORS_HEADER_MAX)
        return err_set(e, ERR_DATA,
                       "'%s': not a safetensors file, or its header is longer than "
                       "%d bytes",
                       f->name, SAFETENSORS_HEADER_MAX);
    if (n > f->size - 8)
        return err_set(e, ERR_DATA, "'%s': ends inside its header: it is cut short",
                       f->name);
    header = tensorfile_get(f, 8, (size_t)n, e);
    if (!header)
        return -1;
    s.start = s.p = (const char *)header;
    s.end = s.start + n;
    if (is_utf8(header, (size_t)n))
        rc = parse_header(&s);
    else
        rc = bad(&s, "it is not valid UTF-8");
    buf_free(&s.text);
    buf_free(&s.keys);
    free(header);
    return rc ? rc : check_places(l->at + first, l->n - first, f, 8 + n, e);
}
