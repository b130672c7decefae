/* SPDX-License-Identifier: MIT */
#include "delim.h"

#include <string.h>

size_t tsv_split(const char *line, size_t n, struct field *out, size_t max)
{
    size_t fields = 0;

    for (const char *end = line + n; fields < max;) {
        const char *tab = memchr(line, '\t', (size_t)(end - line));
        const char *stop = tab ? tab : end;

        out[fields++] = (struct field){line, (size_t)(stop - line), false};
        if (!tab)
            break;
        line = tab + 1;
    }
    return fields;
}

struct scan {
    const char *data;
    size_t n, at;
    bool eof;
    size_t lines; /* line ends so far */
};

/* Counts the line ends of a quoted stretch. */
static size_t count_lines(const char *p, size_t n)
{
    const char *end = p + n;
    size_t lines = 0;

    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        lines++;
        p++;
    }
    return lines;
}

/* A field in quotes, s->at behind the opening one; leaves s->at behind the closing one. */
static enum csv_result quoted(struct scan *s, struct field *f, struct csv_record *r)
{
    const size_t start = s->at, line = s->lines;

    *f = (struct field){s->data + start, 0, false};
    for (;;) {
        const char *quote = memchr(s->data + s->at, '"', s->n - s->at);

        if (!quote) {
            r->at_line = line;
            r->open = true;
            return s->eof ? CSV_UNCLOSED : CSV_MORE;
        }
        s->at = (size_t)(quote - s->data) + 1;
        if (s->at == s->n && !s->eof)
            return CSV_MORE; /* the next byte says whether the quote is doubled */
        if (s->at == s->n || s->data[s->at] != '"')
            break;
        f->escaped = true;
        s->at++;
    }
    f->n = s->at - 1 - start;
    s->lines += count_lines(f->at, f->n);
    return CSV_OK;
}

/* A field without quotes, up to a comma, a line end or the end. */
static void bare(struct scan *s, struct field *f)
{
    const size_t start = s->at;

    while (s->at < s->n && s->data[s->at] != ',' && s->data[s->at] != '\n' &&
           s->data[s->at] != '\r')
        s->at++;
    *f = (struct field){s->data + start, s->at - start, false};
}

/* Behind a field: 1 when another follows, 0 when the record is over, else the fault in *why. */
static int separator(struct scan *s, bool was_quoted, struct csv_record *r,
                     enum csv_result *why)
{
    r->at_line = s->lines;
    *why = CSV_MORE;
    if (s->at == s->n)
        return s->eof ? 0 : -1;
    switch (s->data[s->at]) {
    case ',':
        s->at++;
        return 1;
    case '\n':
        s->at++;
        s->lines++;
        return 0;
    case '\r':
        if (s->at + 1 == s->n && !s->eof)
            return -1;
        if (s->at + 1 < s->n && s->data[s->at + 1] == '\n') {
            s->at += 2;
            s->lines++;
            return 0;
        }
        *why = CSV_LONE_CR;
        return -1;
    default:
        *why = was_quoted ? CSV_JUNK : CSV_MORE;
        return -1;
    }
}

enum csv_result csv_split(const char *data, size_t n, bool eof, struct field *out, size_t max,
                          struct csv_record *r)
{
    struct scan s = {.data = data, .n = n, .eof = eof};

    *r = (struct csv_record){0};
    for (;;) {
        enum csv_result why = CSV_OK;
        struct field f;
        bool in_quotes;
        int more;

        if (s.at == n && !eof)
            return CSV_MORE;
        in_quotes = s.at < n && data[s.at] == '"';
        if (in_quotes) {
            s.at++;
            why = quoted(&s, &f, r);
        } else {
            bare(&s, &f);
        }
        if (why != CSV_OK)
            return why;
        if (r->n < max)
            out[r->n] = f;
        r->n++;
        more = separator(&s, in_quotes, r, &why);
        if (more < 0)
            return why;
        if (more == 0)
            break;
    }
    r->used = s.at;
    r->lines = s.lines;
    return CSV_OK;
}

size_t csv_unescape(const struct field *f, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < f->n; i++) {
        out[used++] = f->at[i];
        if (f->at[i] == '"')
            i++; /* its double */
    }
    return used;
}
