/* SPDX-License-Identifier: MIT */
#include "rows.h"
#include "chunk.h"
#include "utf8fix.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One value of a record before it is checked. */
struct value {
    const char *at; /* NULL: there is none (JSON null) */
    size_t n;
};

/* ---- faults ---- */

int row_bad(const struct records *in, uint64_t line, struct err *e, const char *what)
{
    return err_set(e, ERR_DATA, "%s:%llu: %s", source_name(in->source),
                   (unsigned long long)line, what);
}

static int too_long(const struct records *in, uint64_t line, struct err *e)
{
    return err_set(e, ERR_DATA,
                   "%s:%llu: a line of more than %zu bytes; --max-line N raises the limit",
                   source_name(in->source), (unsigned long long)line, in->o.max_line);
}

/* A CR that something other than LF follows. */
static bool lone_cr(const char *line, size_t n)
{
    const char *cr = memchr(line, '\r', n);

    return cr && cr + 1 < line + n && cr[1] != '\n';
}

static int is_lone_cr(const struct records *in, uint64_t line, struct err *e)
{
    return row_bad(in, line, e, "a carriage return without a newline; convert the line ends first "
                            "(tr '\\r' '\\n')");
}

/* ---- values ---- */

enum { SKIPPED = 1 };

/* Something that is not UTF-8, or NUL, where that is not replaced: SKIPPED, or -1 and *e. */
static int refuse_value(const struct parse *p, const char *bad, uint64_t line, struct err *e)
{
    const struct records *in = p->in;

    if (in->o.invalid == INVALID_SKIP)
        return SKIPPED;
    return err_set(e, ERR_DATA,
                   "%s:%llu: %s (byte 0x%02x); --invalid replace reads it as U+FFFD, and a text in "
                   "another encoding is converted first (iconv -f WINDOWS-1252 -t UTF-8)",
                   source_name(in->source), (unsigned long long)line,
                   *bad ? "this is not UTF-8" : "a NUL", (unsigned)(unsigned char)*bad);
}

/* Is a value within what is valid?  The bytes are looked at once, since fields are short. */
static bool is_good(struct parse *p, const struct value *v)
{
    const uintptr_t data = (uintptr_t)p->data, at = (uintptr_t)v->at;

    if (p->good == GOOD_UNKNOWN)
        p->good = p->from + utf8_first_bad(p->data + p->from, p->n - p->from);
    return p->good == p->n || (at >= data && at + v->n <= data + p->good);
}

/* Makes a value valid UTF-8, in the chunk's own memory when it is not: 0, SKIPPED, -1 and *e. */
static int repair(struct parse *p, struct value *v, uint64_t line, struct err *e)
{
    size_t good;
    char *out;

    if (!v->at || is_good(p, v))
        return 0;
    good = utf8_first_bad(v->at, v->n);
    if (good == v->n)
        return 0;
    if (p->in->o.invalid != INVALID_REPLACE)
        return refuse_value(p, v->at + good, line, e);
    out = chunk_room(p->chunk, 3 * v->n, e);
    if (!out)
        return -1;
    v->n = utf8_fix(v->at, v->n, out, &p->chunk->invalid_utf8);
    v->at = out;
    chunk_keep(p->chunk, v->n);
    return 0;
}

/* The record at hand is left out, but counts. */
static void skip_record(struct records *in)
{
    in->number++;
    in->skipped++;
}

static int join_texts(struct parse *p, const struct value *texts, int n, struct record *r,
                      struct err *e)
{
    const char *join = p->in->o.join ? p->in->o.join : " ";
    const size_t join_n = strlen(join);
    size_t total = (size_t)(n - 1) * join_n, used = 0;
    char *out;

    for (int i = 0; i < n; i++)
        total += texts[i].n;
    out = chunk_room(p->chunk, total, e);
    if (!out)
        return -1;
    for (int i = 0; i < n; i++) {
        if (i > 0) {
            memcpy(out + used, join, join_n);
            used += join_n;
        }
        memcpy(out + used, texts[i].at, texts[i].n);
        used += texts[i].n;
    }
    chunk_keep(p->chunk, total);
    r->text = out;
    r->text_len = total;
    return 0;
}

/* Keys and labels become fields of TSV files, in which a TAB or line end cannot stand. */
static int check_field(const struct records *in, const struct value *v, const char *what,
                       uint64_t line, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->at[i] == '\t' || v->at[i] == '\n' || v->at[i] == '\r')
            return err_set(e, ERR_DATA, "%s:%llu: the %s holds a %s", source_name(in->source),
                           (unsigned long long)line, what,
                           v->at[i] == '\t' ? "TAB" : "line end");
    return 0;
}

static int read_weight(const struct records *in, const struct value *v, uint64_t line,
                       float *weight, struct err *e)
{
    char text[64];
    char *end;

    if (v->n > 0 && v->n < sizeof text) {
        memcpy(text, v->at, v->n);
        text[v->n] = '\0';
        errno = 0;
        *weight = strtof(text, &end);
        if (end == text + v->n && strspn(text, "+-0123456789.eE") == v->n && isfinite(*weight) &&
            *weight >= 0)
            return 0;
    }
    return err_set(e, ERR_DATA, "%s:%llu: the weight '%.*s' is no number of at least 0",
                   source_name(in->source), (unsigned long long)line,
                   v->n < 60 ? (int)v->n : 60, v->at);
}

static int set_one(struct parse *p, enum column_role role, const struct value *v, uint64_t line,
                   struct record *r, struct err *e)
{
    struct records *in = p->in;

    switch (role) {
    case COLUMN_PAIR:
        r->pair = v->at;
        r->pair_len = v->n;
        return 0;
    case COLUMN_LABEL:
        r->label = v->at;
        r->label_len = v->n;
        return check_field(in, v, "label", line, e);
    case COLUMN_KEY:
        if (!v->at)
            return row_bad(in, line, e, "the key is null");
        r->key = v->at;
        r->key_len = v->n;
        return check_field(in, v, "key", line, e);
    case COLUMN_WEIGHT:
        return v->at ? read_weight(in, v, line, &r->weight, e) : 0;
    case COLUMN_TEXT:
        break;
    }
    return 0;
}

/* A record out of the layout's values, in its order, or none where it is to be skipped; clean:
   they are valid UTF-8. */
static int add_record(struct parse *p, struct value *values, bool clean, uint64_t line,
                      struct err *e)
{
    struct records *in = p->in;
    const struct layout *l = &in->layout;
    struct record *r;

    for (int i = 0; i < l->n && !clean; i++) {
        const int rc = repair(p, &values[i], line, e);

        if (rc == SKIPPED)
            skip_record(in);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
    r = chunk_add(p->chunk, e);
    if (!r)
        return -1;
    r->number = ++in->number;
    r->line = line;
    r->text = values[0].at;
    r->text_len = values[0].n;
    if (l->n_text > 1 && join_texts(p, values, l->n_text, r, e))
        return -1;
    for (int i = l->n_text; i < l->n; i++)
        if (set_one(p, l->role[i], &values[i], line, r, e))
            return -1;
    if (l->guessed && layout_has(l, COLUMN_LABEL) &&
        label_check_add(&in->labels, r->label, r->label_len, source_name(in->source), e))
        return -1;
    return 0;
}

/* ---- lines ---- */

/*
 * The next line, without its end: 1, 0 when none is whole, -1 and *e.  At the end of the text
 * the last line needs no newline.
 */
int row_line(struct parse *p, struct field *line, struct err *e)
{
    const struct records *in = p->in;
    char *start = p->data + p->at;
    const size_t left = p->n - p->at;
    const char *newline = memchr(start, '\n', left);
    size_t n = newline ? (size_t)(newline - start) : left;

    if (left == 0)
        return 0;
    /* A file of lone CRs is one endless line: that is the better message. */
    if (!newline && lone_cr(start, n))
        return is_lone_cr(in, in->line + 1, e);
    if (n > in->o.max_line)
        return too_long(in, in->line + 1, e);
    if (!newline && !in->eof)
        return 0;
    p->at += n + (newline != NULL);
    if (newline && n > 0 && start[n - 1] == '\r')
        n--;
    if (!p->no_cr && memchr(start, '\r', n))
        return is_lone_cr(in, in->line + 1, e);
    *line = (struct field){start, n, false};
    return 1;
}

static int too_few(const struct records *in, size_t have, size_t want, uint64_t line,
                   struct err *e)
{
    return err_set(e, ERR_DATA, "%s:%llu: %zu field%s where %zu are needed",
                   source_name(in->source), (unsigned long long)line, have,
                   have == 1 ? "" : "s", want);
}

/* The number of fields of a row must do, and under a guess it must not change. */
static int check_width(const struct records *in, size_t have, uint64_t line, struct err *e)
{
    const struct layout *l = &in->layout;

    if (have < l->need)
        return too_few(in, have, l->need, line, e);
    if (l->guessed && have != l->width)
        return err_set(e, ERR_DATA,
                       "%s:%llu: more than the %zu field%s that the first line has; say which "
                       "columns to take (--text, --label), or --format text",
                       source_name(in->source), (unsigned long long)line, l->width,
                       l->width == 1 ? "" : "s");
    return 0;
}

static int add_fields(struct parse *p, uint64_t line, struct err *e)
{
    const struct layout *l = &p->in->layout;
    struct value values[MAX_WANTS];

    for (int i = 0; i < l->n; i++) {
        const struct field *f = &p->in->fields[l->field[i]];

        values[i] = (struct value){f->at, f->n};
        if (f->escaped) {
            char *out = chunk_room(p->chunk, f->n, e);

            if (!out)
                return -1;
            values[i] = (struct value){out, csv_unescape(f, out)};
            chunk_keep(p->chunk, values[i].n);
        }
    }
    return add_record(p, values, false, line, e);
}

static int next_tsv(struct parse *p, struct err *e)
{
    struct records *in = p->in;
    const size_t max = in->layout.guessed ? in->layout.width + 1 : in->layout.need;
    struct field line;
    const int got = row_line(p, &line, e);
    size_t have;

    if (got <= 0)
        return got;
    in->line++;
    have = tsv_split(line.at, line.n, in->fields, max);
    if (check_width(in, have, in->line, e) || add_fields(p, in->line, e))
        return -1;
    return 1;
}

static int next_text(struct parse *p, struct err *e)
{
    struct field line;
    const int got = row_line(p, &line, e);
    struct value v;

    if (got <= 0)
        return got;
    p->in->line++;
    v = (struct value){line.at, line.n};
    return add_record(p, &v, false, p->in->line, e) ? -1 : 1;
}

void row_texts(struct parse *p, size_t until, size_t most)
{
    struct records *in = p->in;
    struct record_chunk *c = p->chunk;

    if (in->format != RECORDS_TEXT || !p->no_cr || p->good != p->n)
        return;
    most = most < c->cap ? most : c->cap;
    while (p->at < until && c->n < most) {
        const char *start = p->data + p->at;
        const char *newline = memchr(start, '\n', p->n - p->at);

        if (!newline || (size_t)(newline - start) > in->o.max_line)
            return;
        c->at[c->n++] = (struct record){.text = start, .text_len = (size_t)(newline - start),
                                        .weight = 1, .number = ++in->number, .line = ++in->line};
        p->at = (size_t)(newline + 1 - p->data);
    }
}

/* One CSV record into in->fields: 1, 0 when it is not whole, -1 and *e. */
int row_csv(struct parse *p, size_t max, struct csv_record *r, struct err *e)
{
    struct records *in = p->in;
    const uint64_t first = in->line + 1;

    if (p->at == p->n)
        return 0;
    switch (csv_split(p->data + p->at, p->n - p->at, in->eof, in->fields, max, r)) {
    case CSV_OK:
        if (r->used > in->o.max_line + 2)
            return too_long(in, first, e);
        return 1;
    case CSV_MORE:
        if (p->n - p->at <= in->o.max_line)
            return 0;
        if (!r->open)
            return too_long(in, first, e);
        return err_set(e, ERR_DATA,
                       "%s:%llu: the quote opened here is not closed within %zu bytes",
                       source_name(in->source), (unsigned long long)(first + r->at_line),
                       in->o.max_line);
    case CSV_UNCLOSED:
        return row_bad(in, first + r->at_line, e, "the quote opened on this line is never closed");
    case CSV_JUNK:
        return row_bad(in, first + r->at_line, e,
                   "something stands between a closing quote and the next comma; a quote inside "
                   "quotes is written twice");
    case CSV_LONE_CR:
        return is_lone_cr(in, first + r->at_line, e);
    }
    return 0;
}

static int next_csv(struct parse *p, struct err *e)
{
    struct records *in = p->in;
    struct csv_record r;
    const int got = row_csv(p, in->layout.need, &r, e);
    const uint64_t line = in->line + 1;

    if (got <= 0)
        return got;
    if (check_width(in, r.n, line, e) || add_fields(p, line, e))
        return -1;
    p->at += r.used;
    in->line += r.lines + (r.lines == 0);
    return 1;
}

/* ---- JSON lines ---- */

int row_json_bad(const struct records *in, const struct jsonl *j, uint64_t line,
                    struct err *e)
{
    return err_set(e, ERR_DATA, "%s:%llu: %s (byte %zu)", source_name(in->source),
                   (unsigned long long)line, j->problem, j->where + 1);
}

/* What JSON has for one column. */
static int json_take(const struct records *in, int i, const struct json_value *v,
                     struct value *to, uint64_t line, struct err *e)
{
    const struct layout *l = &in->layout;
    const char *key = l->key[i];
    const char *problem = NULL;

    *to = (struct value){v->at, v->n};
    if (v->kind == JSON_ABSENT)
        problem = "is missing (null says that there is none)";
    else if (v->kind == JSON_NULL && l->role[i] == COLUMN_TEXT)
        problem = "is null, but the text is taken from it";
    else if (v->kind == JSON_OTHER || (v->kind == JSON_LIST && l->role[i] != COLUMN_LABEL))
        problem = l->role[i] == COLUMN_LABEL
                      ? "holds more than a list of names without commas"
                      : "is an array or object, not a text";
    if (v->kind == JSON_NULL)
        to->at = NULL;
    if (!problem)
        return 0;
    return err_set(e, ERR_DATA, "%s:%llu: '%s' %s", source_name(in->source),
                   (unsigned long long)line, key, problem);
}

/*
 * A line as JSON can be parsed: repaired first, since a broken sequence must not hide a
 * quote.  Repairs outside the values that are taken are counted all the same.
 */
static int next_json(struct parse *p, struct err *e)
{
    struct records *in = p->in;
    const struct layout *l = &in->layout;
    struct jsonl j = {.keys = l->key, .n = (size_t)l->n, .values = in->values};
    struct value values[MAX_WANTS];
    struct field f;
    const int got = row_line(p, &f, e);
    struct value line = {f.at, f.n};
    int rc;

    if (got <= 0)
        return got;
    in->line++;
    rc = repair(p, &line, in->line, e);
    if (rc == SKIPPED)
        skip_record(in);
    if (rc)
        return rc;
    j.room = chunk_room(p->chunk, line.n + 2 * MAX_WANTS, e);
    if (!j.room)
        return -1;
    if (jsonl_parse(&j, line.at, line.n))
        return row_json_bad(in, &j, in->line, e);
    chunk_keep(p->chunk, j.used);
    if (j.replaced && in->o.invalid == INVALID_ERROR)
        return row_bad(in, in->line, e, "an escape of half a surrogate pair, which is no character; "
                                        "--invalid replace reads it as U+FFFD");
    if (j.replaced && in->o.invalid == INVALID_SKIP) {
        skip_record(in);
        return 1;
    }
    p->chunk->invalid_utf8 += j.replaced;
    for (int i = 0; i < l->n; i++)
        if (json_take(in, i, &in->values[i], &values[i], in->line, e))
            return -1;
    if (l->guessed && j.members != l->width)
        return err_set(e, ERR_DATA, "%s:%llu: %zu keys where the first object has %zu; say "
                       "which to take (--text, --label)", source_name(in->source),
                       (unsigned long long)in->line, j.members, l->width);
    /* What escapes stand for is text, NUL included: nothing is left to be repaired. */
    return add_record(p, values, true, in->line, e) ? -1 : 1;
}

int row_next(struct parse *p, struct err *e)
{
    switch (p->in->format) {
    case RECORDS_TSV:
        return next_tsv(p, e);
    case RECORDS_CSV:
        return next_csv(p, e);
    case RECORDS_JSONL:
        return next_json(p, e);
    case RECORDS_TEXT:
    case RECORDS_AUTO:
        break;
    }
    return next_text(p, e);
}
