/* SPDX-License-Identifier: MIT */
#include "explain.h"
#include "utf8.h"

#include <string.h>

const char *explain_split_name(enum explain_split split)
{
    static const char *const names[] = {"start", "added token", "white space", "punctuation",
                                        "CJK", "contraction", "letters", "numbers", "symbols",
                                        "rule"};

    return names[split];
}

const char *explain_by_name(const struct tokenizer *t, enum explain_by by)
{
    const char *kind = tokenizer_kind(t);

    switch (by) {
    case BY_TEMPLATE:
        return "special";
    case BY_ADDED:
        return "added token";
    case BY_WHOLE:
        return "whole word";
    case BY_PART:
        return strcmp(kind, "bpe") == 0 ? "merge" : strcmp(kind, "wordpiece") == 0 ? kind : "piece";
    case BY_UNKNOWN:
        break;
    }
    return "unknown";
}

/* ---- one input: places of the template and of the segments ---- */

/* A line of the table. */
struct row {
    uint32_t id;
    const struct explanation *x; /* NULL: a place of the template */
    const struct explain_token *token;
    bool cut;
};

struct input {
    const struct explain_print *p;
    const struct explanation *x[2];
    size_t kept[2]; /* tokens that stay under the limit */
    size_t n, most, cut;
};

/* Calls `put` for each row, the tokens that are cut where they would stand. */
static int each_row(const struct input *in,
                    int (*put)(void *ctx, const struct row *row, struct err *e), void *ctx,
                    struct err *e)
{
    const struct template *t = tokenizer_template(in->p->t);
    const struct template_piece *piece = in->x[1] ? t->pair : t->single;
    const int n = in->x[1] ? t->n_pair : t->n_single;

    for (int i = 0; i < n; i++) {
        const struct explanation *x = piece[i].id == SEGMENT_A ? in->x[0] : in->x[1];
        const size_t kept = in->kept[piece[i].id == SEGMENT_B];

        if (piece[i].id >= 0) {
            const struct row row = {.id = (uint32_t)piece[i].id};

            if (put(ctx, &row, e))
                return -1;
            continue;
        }
        for (size_t k = 0; k < x->n_tokens; k++) {
            const struct row row = {x->token[k].id, x, &x->token[k], k >= kept};

            if (put(ctx, &row, e))
                return -1;
        }
    }
    return 0;
}

static struct input make_input(const struct explain_print *p, const struct explanation *a,
                               const struct explanation *b)
{
    const struct template *t = tokenizer_template(p->t);
    struct input in = {.p = p, .x = {a, b}, .kept = {a->n_tokens, b ? b->n_tokens : 0}};
    const size_t all = in.kept[0] + in.kept[1];

    template_cut(t, p->max_len, &in.kept[0], b ? &in.kept[1] : NULL);
    in.cut = all - in.kept[0] - in.kept[1];
    in.n = all + (size_t)template_specials(t, b != NULL);
    return in;
}

/* ---- fields ---- */

/* Text with what would end a field or a line spelled out, a backslash and lone bytes too. */
static int put_escaped(struct buf *out, const char *p, size_t n, struct err *e)
{
    for (size_t i = 0, used; i < n; i += used) {
        const uint8_t c = (uint8_t)p[i];
        const char *special = c == '\t' ? "\\t" : c == '\n' ? "\\n" : c == '\r' ? "\\r"
                              : c == '\\' ? "\\\\" : NULL;

        utf8_next((const uint8_t *)p + i, n - i, &used);
        if (special ? buf_puts(out, special, e)
            : c < 32 || c == 127 || (c >= 128 && used == 1) ? buf_addf(out, e, "\\x%02x", c)
                                                            : buf_add(out, p + i, used, e))
            return -1;
    }
    return 0;
}

/* Code points up to a byte of a text, counted from the last byte that was asked for. */
struct counter {
    const struct explanation *x;
    size_t byte, points;
};

static size_t points_before(struct counter *c, const struct explanation *x, size_t byte)
{
    if (c->x != x || byte < c->byte)
        *c = (struct counter){.x = x};
    c->points += utf8_count((const uint8_t *)x->text + c->byte, byte - c->byte);
    c->byte = byte;
    return c->points;
}

/* Places are counted in code points, as people and other tokenizers do. */
static int put_range(struct buf *out, struct counter *c, const struct row *row, char between,
                     struct err *e)
{
    const struct explain_range r = row->token->raw;
    const size_t from = r.known ? points_before(c, row->x, r.from) : 0;

    if (!r.known)
        return buf_addf(out, e, "-%c-", between);
    return buf_addf(out, e, "%zu%c%zu", from, between, points_before(c, row->x, r.to));
}

/* The piece of the text that a token is of; "-" where that is not known. */
static int put_piece(struct buf *out, const struct row *row, struct err *e)
{
    const struct explain_range r = row->token->raw;

    return r.known ? put_escaped(out, row->x->text + r.from, r.to - r.from, e)
                   : buf_putc(out, '-', e);
}

static int put_token(struct buf *out, const struct tokenizer *t, uint32_t id, struct err *e)
{
    const char *token = tokenizer_token(t, id);

    return put_escaped(out, token ? token : "?", token ? strlen(token) : 1, e);
}

static int put_word(struct buf *out, const struct row *row, struct err *e)
{
    const struct explain_word *w = &row->x->word[row->token->word];

    return put_escaped(out, row->x->words.data + w->text, w->text_len, e);
}

/* Why there is a border before the token: the word's, or none within a word. */
static const char *split_name(const struct row *row)
{
    const struct explain_word *w = &row->x->word[row->token->word];

    return &row->x->token[w->first] == row->token ? explain_split_name(w->split) : "-";
}

/* ---- for programs ---- */

struct lines {
    const struct input *in;
    const char *key;
    size_t key_len, place;
    struct counter counter;
    struct buf *out;
};

static int begin_line(struct lines *l, const char *kind, struct err *e)
{
    return buf_puts(l->out, kind, e) || buf_putc(l->out, '\t', e) ||
                   put_escaped(l->out, l->key, l->key_len, e) || buf_putc(l->out, '\t', e)
               ? -1
               : 0;
}

static int text_line(struct lines *l, const char *kind, const char *p, size_t n, struct err *e)
{
    return begin_line(l, kind, e) || put_escaped(l->out, p, n, e) || buf_putc(l->out, '\n', e)
               ? -1
               : 0;
}

static int token_line(void *ctx, const struct row *row, struct err *e)
{
    struct lines *l = ctx;
    struct buf *out = l->out;

    if (begin_line(l, row->cut ? "cut" : "token", e) ||
        (row->cut ? buf_putc(out, '-', e) : buf_addf(out, e, "%zu", l->place++)) ||
        buf_addf(out, e, "\t%u\t", row->id) || put_token(out, l->in->p->t, row->id, e))
        return -1;
    if (!row->x)
        return buf_addf(out, e, "\t-\t-\t-\t-\t-\t%s\n", explain_by_name(l->in->p->t, BY_TEMPLATE));
    return buf_putc(out, '\t', e) || put_range(out, &l->counter, row, '\t', e) ||
                   buf_putc(out, '\t', e) || put_piece(out, row, e) || buf_putc(out, '\t', e) ||
                   put_word(out, row, e) ||
                   buf_addf(out, e, "\t%s\t%s\n", split_name(row),
                            explain_by_name(l->in->p->t, row->token->by))
               ? -1
               : 0;
}

static int print_lines(const struct input *in, const char *key, size_t key_len, struct buf *out,
                       struct err *e)
{
    struct lines l = {.in = in, .key = key, .key_len = key_len, .out = out};

    for (int i = 0; i < 2 && in->x[i]; i++)
        if (text_line(&l, i ? "pair" : "text", in->x[i]->text, in->x[i]->n, e) ||
            text_line(&l, "normalized", in->x[i]->normal.data, in->x[i]->normal.len, e))
            return -1;
    return each_row(in, token_line, &l, e);
}

/* ---- for people ---- */

enum ink { PLAIN, ODD, EVEN, RED, MAGENTA, FAINT };

static int set_ink(const struct screen *s, enum ink ink, struct buf *out, struct err *e)
{
    static const char *const code[] = {"0", "30;46", "30;47", "97;41", "35", "2"};

    return s->colour ? buf_addf(out, e, "\033[%sm", code[ink]) : 0;
}

static enum ink ink_of(const struct row *row)
{
    if (row->cut)
        return FAINT;
    if (!row->x || row->token->by == BY_ADDED)
        return MAGENTA;
    if (row->token->by == BY_UNKNOWN)
        return RED;
    return row->token->word % 2 ? EVEN : ODD;
}

struct view {
    const struct input *in;
    size_t place, widest;
    bool cutting;
    struct counter counter;
    struct buf *out, field;
};

/* The pieces one after the other: words by their colours, pieces of one by a bar. */
static int show_piece(void *ctx, const struct row *row, struct err *e)
{
    struct view *v = ctx;
    const struct screen *s = &v->in->p->screen;
    const bool inner = row->x && row->x->word[row->token->word].first != (size_t)(row->token - row->x->token);
    const char *border = inner ? "|" : " ";

    return buf_puts(v->out, border, e) || set_ink(s, ink_of(row), v->out, e) ||
                   put_token(v->out, v->in->p->t, row->id, e) || set_ink(s, PLAIN, v->out, e)
               ? -1
               : 0;
}

static int columns_of(const char *p, size_t n)
{
    int columns = 0;

    for (size_t i = 0, used; i < n; i += used)
        columns += screen_columns(utf8_next((const uint8_t *)p + i, n - i, &used));
    return columns;
}

/* The field that was made, filled up to a width. */
static int show_field(struct view *v, size_t width, enum ink ink, struct err *e)
{
    const struct screen *s = &v->in->p->screen;
    const int columns = v->field.len ? columns_of(v->field.data, v->field.len) : 0;

    if (v->field.len &&
        ((ink && set_ink(s, ink, v->out, e)) || buf_add(v->out, v->field.data, v->field.len, e) ||
         (ink && set_ink(s, PLAIN, v->out, e))))
        return -1;
    buf_reset(&v->field);
    return buf_addf(v->out, e, "%*s", columns < (int)width ? (int)width - columns + 2 : 2, "");
}

static int measure(void *ctx, const struct row *row, struct err *e)
{
    struct view *v = ctx;
    size_t columns;

    buf_reset(&v->field);
    if (put_token(&v->field, v->in->p->t, row->id, e))
        return -1;
    columns = (size_t)columns_of(v->field.data, v->field.len);
    buf_reset(&v->field);
    if (columns > v->widest && columns <= 24)
        v->widest = columns;
    return 0;
}

static int show_cut(struct view *v, const struct row *row, struct err *e)
{
    if (row->cut == v->cutting)
        return 0;
    v->cutting = row->cut;
    return row->cut ? buf_addf(v->out, e, "  ---- --max-len %lld cuts here ----\n",
                               (long long)v->in->p->max_len)
                    : 0;
}

static int show_row(void *ctx, const struct row *row, struct err *e)
{
    struct view *v = ctx;
    const enum explain_by by = row->x ? row->token->by : BY_TEMPLATE;

    if (show_cut(v, row, e) ||
        (row->cut ? buf_puts(v->out, "     -", e) : buf_addf(v->out, e, "%6zu", v->place++)) ||
        buf_addf(v->out, e, "  %7u  ", row->id) ||
        put_token(&v->field, v->in->p->t, row->id, e) ||
        show_field(v, v->widest, ink_of(row), e) ||
        (row->x && put_range(&v->field, &v->counter, row, '-', e)) ||
        show_field(v, 9, PLAIN, e) || (row->x && put_word(&v->field, row, e)) ||
        show_field(v, v->widest, PLAIN, e))
        return -1;
    return buf_addf(v->out, e, "%-12s  %s\n", row->x ? split_name(row) : "",
                    explain_by_name(v->in->p->t, by));
}

static int show_text(const char *name, const char *p, size_t n, struct buf *out, struct err *e)
{
    return buf_addf(out, e, "%-11s ", name) || put_escaped(out, p, n, e) ||
                   buf_putc(out, '\n', e)
               ? -1
               : 0;
}

static int show_texts(const struct input *in, struct buf *out, struct err *e)
{
    for (int i = 0; i < 2 && in->x[i]; i++) {
        const struct explanation *x = in->x[i];

        if (show_text(i ? "pair" : "text", x->text, x->n, out, e))
            return -1;
        if ((x->normal.len != x->n || (x->n && memcmp(x->normal.data, x->text, x->n) != 0)) &&
            show_text("normalized", x->normal.data, x->normal.len, out, e))
            return -1;
    }
    return 0;
}

static int print_view(const struct input *in, const char *key, size_t key_len, struct buf *out,
                      struct err *e)
{
    struct view v = {.in = in, .widest = 5, .out = out};
    int rc = -1;

    if (show_text("record", key, key_len, out, e) || show_texts(in, out, e) ||
        buf_puts(out, "tokens     ", e) || each_row(in, show_piece, &v, e) ||
        buf_puts(out, "\n\n", e) || each_row(in, measure, &v, e) ||
        buf_addf(out, e, "     #       id  %-*s  %-9s  %-*s  %-12s  %s\n", (int)v.widest,
                 "token", "place", (int)v.widest, "word", "split by", "made by") ||
        each_row(in, show_row, &v, e) ||
        buf_addf(out, e, "%zu tokens, special ones included", in->n) ||
        (in->cut && buf_addf(out, e, "; --max-len %lld cuts %zu of them",
                             (long long)in->p->max_len, in->cut)) ||
        buf_puts(out, "\n\n", e))
        goto out;
    rc = 0;
out:
    buf_free(&v.field);
    return rc;
}

int explain_print(const struct explain_print *p, const char *key, size_t key_len,
                  const struct explanation *a, const struct explanation *b, struct buf *out,
                  struct err *e)
{
    const struct input in = make_input(p, a, b);

    return p->screen.tty ? print_view(&in, key, key_len, out, e)
                         : print_lines(&in, key, key_len, out, e);
}
