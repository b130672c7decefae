/* SPDX-License-Identifier: MIT */
/*
 * One text at a time goes through these steps:
 *
 *     source -> chunk->bytes -> first record: format, header, layout
 *                            -> whole records, in place; the rest is carried over
 *
 * Records are parsed only when the bytes have stopped moving.  When not even one record is
 * whole, a quarter more is read and the parsing starts over: a long record is looked at some
 * five times, takes little more memory than its length, and no state is kept between attempts.
 */
#include "records.h"
#include "chunk.h"
#include "detect.h"
#include "io.h"
#include "rows.h"
#include "utf8fix.h"

#include <stdlib.h>
#include <string.h>

/* A chunk ends at CHUNK bytes or ENOUGH records, so that those of empty lines are small, too. */
enum { MAX_LINE = 16 << 20, CHUNK = 128 << 10, ENOUGH = 8192, KEEP = 4 << 20 };

struct records *records_open(char *const *paths, int n, const struct records_options *o,
                             struct msg *m, struct err *e)
{
    struct records *in = mem_alloc(1, sizeof *in, "input", e);

    if (!in)
        return NULL;
    in->o = *o;
    in->o.max_line = o->max_line ? o->max_line : MAX_LINE;
    in->o.chunk_bytes = o->chunk_bytes ? o->chunk_bytes : CHUNK;
    in->msg = m;
    in->paths = mem_alloc(n > 0 ? (size_t)n : 1, sizeof *in->paths, "input", e);
    if (!in->paths || wants_make(&in->wants, o, e))
        goto fail;
    in->n_paths = n > 0 ? n : 1;
    for (int i = 0; i < in->n_paths; i++) {
        in->paths[i] = mem_dup(n > 0 ? paths[i] : "-", e);
        if (!in->paths[i])
            goto fail;
    }
    for (int i = 0; i < in->wants.n; i++)
        in->has[in->wants.at[i].role] = true;
    return in;
fail:
    records_free(in);
    return NULL;
}

void records_free(struct records *in)
{
    if (!in)
        return;
    for (int i = 0; in->paths && i < in->n_paths; i++)
        free(in->paths[i]);
    free(in->paths);
    source_close(in->source);
    wants_free(&in->wants);
    layout_free(&in->layout);
    buf_free(&in->carry);
    free(in->fields);
    free(in);
}

/* ---- the beginning of a text ---- */

static int grow_fields(struct records *in, size_t need, struct err *e)
{
    return mem_grow(&in->fields, &in->fields_cap, need, sizeof *in->fields, e);
}

/* The fields of the first line: 1, 0 when it is not whole, -1 and *e.  p->at moves behind it. */
static int first_tsv(struct parse *p, size_t *n, struct err *e)
{
    struct records *in = p->in;
    struct field line;
    const int got = row_line(p, &line, e);
    size_t tabs = 0;

    if (got <= 0)
        return got;
    for (size_t i = 0; i < line.n; i++)
        tabs += line.at[i] == '\t';
    if (tabs >= MAX_COLUMNS)
        tabs = MAX_COLUMNS - 1;
    if (grow_fields(in, tabs + 1, e))
        return -1;
    *n = tsv_split(line.at, line.n, in->fields, tabs + 1);
    return 1;
}

static int first_csv(struct parse *p, size_t *n, uint64_t *lines, struct err *e)
{
    struct records *in = p->in;
    struct csv_record r;

    for (;;) {
        const size_t max = in->fields_cap;
        const int got = row_csv(p, max, &r, e);

        if (got <= 0)
            return got;
        if (r.n <= max || max >= MAX_COLUMNS)
            break;
        if (grow_fields(in, r.n < MAX_COLUMNS ? r.n : MAX_COLUMNS, e))
            return -1;
    }
    *n = r.n < in->fields_cap ? r.n : in->fields_cap;
    for (size_t i = 0; i < *n; i++) {
        struct field *f = &in->fields[i];
        char *out = f->escaped ? chunk_room(p->chunk, f->n, e) : NULL;

        if (!f->escaped)
            continue;
        if (!out)
            return -1;
        *f = (struct field){out, csv_unescape(f, out), false};
        chunk_keep(p->chunk, f->n);
    }
    p->at += r.used;
    *lines = r.lines;
    return 1;
}

/* The keys of the first object. */
static int first_json(struct parse *p, size_t *n, struct err *e)
{
    struct records *in = p->in;
    struct jsonl j = {0};
    struct field line;
    const int got = row_line(p, &line, e);
    char *fixed;

    if (got <= 0)
        return got;
    fixed = chunk_room(p->chunk, 3 * line.n, e);
    if (!fixed)
        return -1;
    line.n = utf8_fix(line.at, line.n, fixed, &(uint64_t){0});
    chunk_keep(p->chunk, line.n);
    j.room = chunk_room(p->chunk, line.n + 2, e);
    if (!j.room)
        return -1;
    for (;;) {
        if (jsonl_keys(&j, fixed, line.n, in->fields, in->fields_cap, n))
            return row_json_bad(in, &j, in->line + 1, e);
        if (*n <= in->fields_cap)
            break;
        if (grow_fields(in, *n, e))
            return -1;
    }
    chunk_keep(p->chunk, j.used);
    return 1;
}

/* Plain text has one column. */
static int text_layout(struct records *in, struct err *e)
{
    const struct want *w = in->wants.at;

    if (in->wants.n > 1 || (in->wants.n == 1 && (w->role != COLUMN_TEXT || w->number != 1)))
        return err_set(e, ERR_USAGE, "%s: plain text has no column '%s'; give its format with "
                       "--format", source_name(in->source), w[in->wants.n > 1].name);
    in->layout = (struct layout){.n = 1, .n_text = 1, .need = 1};
    return 0;
}

/*
 * A text that was guessed must have the columns of those before it.  A label that was found is
 * dropped where the input before has none: by then the stream has begun without.
 */
static int same_columns(struct records *in, struct err *e)
{
    const bool label = layout_has(&in->layout, COLUMN_LABEL);

    if (!in->any_begun) {
        in->has[COLUMN_LABEL] |= label;
    } else if (in->layout.found_label && !in->has[COLUMN_LABEL]) {
        msg_warn(in->msg, "%s: its labels are not taken, since the input before it has none; give "
                 "it first", source_name(in->source));
        in->layout.n--; /* it is the last */
    } else if (in->has[COLUMN_LABEL] != label && in->wants.n == 0)
        return err_set(e, ERR_USAGE,
                       "%s: %s, unlike the input before it; say which columns to take (--text, "
                       "--label)", source_name(in->source),
                       label ? "it seems to have a label" : "it seems to have no label");
    in->any_begun = true;
    return 0;
}

/* The first record, as the layout needs it: 1, 0 when it is not whole, -1 and *e. */
static int first_record(struct parse *p, size_t *n, uint64_t *lines, struct err *e)
{
    *lines = 1;
    switch (p->in->format) {
    case RECORDS_TSV:
        return first_tsv(p, n, e);
    case RECORDS_CSV:
        return first_csv(p, n, lines, e);
    case RECORDS_JSONL:
        return first_json(p, n, e);
    default:
        return 1;
    }
}

/*
 * Enough of the text is there to say what it is: its first line, or so much of it that it is
 * refused.  A carriage return is refused soon, unless it may be within quotes.
 */
static bool can_begin(const struct records *in, const char *p, size_t n)
{
    const char *cr = memchr(p, '\r', n);

    return in->eof || memchr(p, '\n', n) || n > in->o.max_line ||
           (cr && !memchr(p, '"', (size_t)(cr - p)));
}

/*
 * Finds out what the text at hand is: 1, 0 when more bytes are needed (or there are none at
 * all), -1 and *e.  Moves behind the byte order mark and the header.
 */
static int begin(struct parse *p, struct err *e)
{
    struct records *in = p->in;
    size_t start = p->at, n = 0;
    uint64_t lines;
    int got;

    if (p->n >= 3 && memcmp(p->data, "\xef\xbb\xbf", 3) == 0)
        start = 3;
    p->at = start;
    if (start == p->n || !can_begin(in, p->data + start, p->n - start))
        return 0;
    in->format = in->o.format;
    if (in->format == RECORDS_AUTO)
        in->format = detect_format(source_path(in->source), p->data + start, p->n - start,
                                   &in->wants);
    got = first_record(p, &n, &lines, e);
    if (got <= 0)
        return got;
    if (in->format == RECORDS_TEXT) {
        if (text_layout(in, e))
            return -1;
    } else if (layout_make(&in->layout, &in->wants, in->o.header, in->fields, n,
                           in->format == RECORDS_JSONL, source_name(in->source), e)) {
        return -1;
    }
    if (same_columns(in, e) || grow_fields(in, in->layout.need > in->layout.width
                                                   ? in->layout.need
                                                   : in->layout.width + 1, e))
        return -1;
    if (in->layout.header)
        in->line += lines;
    else
        p->at = start;
    in->begun = true;
    return 1;
}

/* ---- chunks ---- */

/* Opens the next text of the operands: 1, 0 when there is no other, -1 and *e. */
static int next_text(struct records *in, struct err *e)
{
    const struct members_options limits = {in->o.member, in->o.max_members,
                                           in->o.max_member_bytes, in->o.max_ratio};

    for (;;) {
        int got;

        if (!in->source) {
            if (in->next_path == in->n_paths)
                return 0;
            in->source = source_open(in->paths[in->next_path++], &limits, in->msg, e);
            if (!in->source)
                return -1;
        }
        got = source_next(in->source, e);
        if (got < 0)
            return -1;
        if (got > 0)
            break;
        in->bytes_done += source_bytes(in->source);
        source_close(in->source);
        in->source = NULL;
    }
    in->in_text = true;
    in->eof = in->begun = in->source_over = false;
    in->line = 0;
    buf_reset(&in->carry);
    in->carry_at = 0;
    layout_free(&in->layout);
    label_check_start(&in->labels);
    return 1;
}

static int end_text(struct records *in, struct err *e)
{
    in->in_text = false;
    if (in->carry.cap > KEEP)
        buf_free(&in->carry);
    return in->layout.guessed ? label_check_end(&in->labels, source_name(in->source), e) : 0;
}

/* What was read before and not parsed; then from the source.  0: the text is over. */
static ssize_t read_some(struct records *in, char *to, size_t n, struct err *e)
{
    const size_t left = in->carry.len - in->carry_at;
    ssize_t got;

    if (left > 0) {
        got = (ssize_t)(n < left ? n : left);
        memcpy(to, in->carry.data + in->carry_at, (size_t)got);
        in->carry_at += (size_t)got;
        return got;
    }
    got = in->source_over ? 0 : source_read(in->source, to, n, e);
    in->source_over = got == 0;
    return got;
}

/* Reads until the chunk holds `want` bytes or the text ends. */
static int fill(struct records *in, struct buf *b, size_t want, struct err *e)
{
    while (!in->eof && b->len < want) {
        ssize_t got;

        if (buf_reserve(b, want - b->len + CHUNK_SLACK, e))
            return -1;
        got = read_some(in, b->data + b->len, want - b->len, e);
        if (got < 0)
            return -1;
        in->eof = got == 0;
        b->len += (size_t)got;
    }
    return 0;
}

/* Puts n bytes that were read back before what is still in `carry`. */
static int carry_over(struct records *in, const char *data, size_t n, struct err *e)
{
    if (n > 0)
        in->eof = false;
    /* Bytes that came out of it go back where they were; else nothing is left in it. */
    if (n <= in->carry_at && in->carry_at < in->carry.len) {
        in->carry_at -= n;
        return 0;
    }
    if (in->carry.cap > KEEP && n <= KEEP)
        buf_free(&in->carry);
    buf_reset(&in->carry);
    in->carry_at = 0;
    return buf_add(&in->carry, data, n, e);
}

/*
 * Parses what is whole from *at on, as far as it makes a chunk; moves *at.  1: more may be
 * whole, 0: nothing else is, -1 and *e.
 */
static int parse(struct records *in, struct record_chunk *c, size_t *at, struct err *e)
{
    struct parse p = {.in = in, .chunk = c, .data = c->bytes.data, .n = c->bytes.len, .at = *at,
                      .from = *at, .good = GOOD_UNKNOWN};
    int got = 1;

    if (p.n == 0)
        return 0;
    p.no_cr = memchr(p.data + p.at, '\r', p.n - p.at) == NULL;
    if (!in->begun)
        got = begin(&p, e);
    if (got <= 0) {
        /* Not begun: all is read again, but for a text that has ended. */
        return got < 0 ? -1 : 0;
    }
    *at = p.at;
    while (c->n == 0 || (p.at < in->o.chunk_bytes && c->n < ENOUGH)) {
        got = row_next(&p, e);
        if (got <= 0)
            return got;
        row_texts(&p, in->o.chunk_bytes, ENOUGH);
        *at = p.at;
    }
    return 1;
}

int records_next_chunk(struct records *in, struct record_chunk *c, struct err *e)
{
    chunk_reset(c);
    while (c->n == 0) {
        size_t want = in->o.chunk_bytes, at = 0;
        int more;

        if (!in->in_text) {
            const int got = next_text(in, e);

            if (got <= 0)
                return got;
        }
        chunk_reset(c);
        for (;;) {
            if (fill(in, &c->bytes, want, e))
                return -1;
            more = parse(in, c, &at, e);
            if (more < 0)
                return -1;
            /* What was passed over, a header or skipped records, is done with. */
            if (c->n > 0 || in->eof || at > 0)
                break;
            want += c->bytes.len / 4 + in->o.chunk_bytes;
        }
        if (in->eof && !more ? end_text(in, e)
                             : carry_over(in, c->bytes.data + at, c->bytes.len - at, e))
            return -1;
    }
    return 1;
}

bool records_has_label(const struct records *in)
{
    return in->has[COLUMN_LABEL];
}

bool records_has_pair(const struct records *in)
{
    return in->has[COLUMN_PAIR];
}

bool records_has_key(const struct records *in)
{
    return in->has[COLUMN_KEY];
}

bool records_has_weight(const struct records *in)
{
    return in->has[COLUMN_WEIGHT];
}

uint64_t records_skipped(const struct records *in)
{
    return in->skipped;
}

uint64_t records_bytes(const struct records *in)
{
    return in->bytes_done + (in->source ? source_bytes(in->source) : 0);
}
