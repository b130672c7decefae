/* SPDX-License-Identifier: MIT */
#include "detok.h"
#include "io.h"
#include "mem.h"
#include "tokenize.h"

#include <stdlib.h>
#include <string.h>

enum { FLUSH = 1 << 16 };

static const char *const column_names[DETOK_COLUMNS] = {"key", "label",  "weight", "len",
                                                        "ids", "tokens", "text"};

int detok_columns(struct detok_options *o, const char *list, struct err *e)
{
    o->n = 0;
    for (const char *p = list; p;) {
        const size_t n = strcspn(p, ",");
        int i = 0;

        while (i < DETOK_COLUMNS &&
               (strlen(column_names[i]) != n || strncmp(column_names[i], p, n) != 0))
            i++;
        if (i == DETOK_COLUMNS)
            return err_set(e, ERR_USAGE, "--columns: '%.*s' is none of key, label, weight, len, "
                           "ids, tokens, text", (int)n, p);
        if (o->n == (int)(sizeof o->column / sizeof o->column[0]))
            return err_set(e, ERR_USAGE, "--columns: more than %d columns", o->n);
        o->column[o->n++] = (enum detok_column)i;
        p = p[n] ? p + n + 1 : NULL;
    }
    o->fixed = true;
    return 0;
}

bool detok_needs_tokenizer(const struct detok_options *o)
{
    for (int i = 0; i < o->n; i++)
        if (o->column[i] == DETOK_TOKENS || o->column[i] == DETOK_TEXT)
            return true;
    return false;
}

/* What one record is printed from: its segments after cutting, or the whole input. */
struct printer {
    const struct detok_options *o;
    const struct tokenizer *t;
    const struct template *template;
    bool pairs; /* the stream may have second segments */
    const uint32_t *a, *b; /* (n_a), (n_b); b is NULL when there is none */
    size_t n_a, n_b;
    int32_t *ids, *types; /* of a whole input (cap) */
    size_t cap;
    struct buf out, text;
};

static int lay_out(struct printer *p, const struct toks_record *r, struct err *e)
{
    struct template_text a = {.ids = r->a, .n = r->n_a};
    struct template_text b = {.ids = r->b, .n = r->b ? r->n_b : 0};
    size_t need, cap = p->cap;

    p->a = r->a;
    p->b = r->b;
    template_keep(p->template, &p->o->limit, &a, r->b ? &b : NULL);
    p->n_a = a.kept;
    p->n_b = b.kept;
    if (!p->o->special && a.head == a.kept && b.head == b.kept)
        return 0;
    need = p->n_a + p->n_b + (size_t)template_specials(p->template, r->b != NULL);
    if (mem_grow(&p->ids, &cap, need, sizeof *p->ids, e) ||
        mem_grow(&p->types, &p->cap, need, sizeof *p->types, e))
        return -1;
    if (!p->o->special) {
        template_take(&a, p->ids);
        template_take(&b, p->ids + a.kept);
        p->a = (const uint32_t *)p->ids;
        p->b = r->b ? p->a + a.kept : NULL;
        return 0;
    }
    p->n_a = template_fill(p->template, &a, r->b ? &b : NULL, p->ids, p->types, NULL);
    p->a = (const uint32_t *)p->ids;
    p->b = NULL;
    p->n_b = 0;
    return 0;
}

static int put_number(struct buf *out, uint32_t n, struct err *e)
{
    char digits[10];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    return buf_add(out, digits + at, sizeof digits - at, e);
}

static int put_ids(struct printer *p, const uint32_t *ids, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if ((i && buf_putc(&p->out, ' ', e)) || put_number(&p->out, ids[i], e))
            return -1;
    return 0;
}

/* A text as a field: what would end the field or the line becomes a blank. */
static int put_field(struct buf *out, const char *text, size_t n, struct err *e)
{
    const size_t from = out->len;

    if (buf_add(out, text, n, e))
        return -1;
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] == '\t' || out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    return 0;
}

static int put_tokens(struct printer *p, const uint32_t *ids, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const char *token = tokenizer_token(p->t, ids[i]);

        if (!token)
            return err_set(e, ERR_DATA, "the tokenizer has no token with id %u", ids[i]);
        if ((i && buf_putc(&p->out, ' ', e)) || put_field(&p->out, token, strlen(token), e))
            return -1;
    }
    return 0;
}

static int put_text(struct printer *p, const uint32_t *ids, size_t n, struct err *e)
{
    buf_reset(&p->text);
    if (tokenizer_decode(p->t, ids, n, !p->o->special, &p->text, e))
        return -1;
    return p->text.len ? put_field(&p->out, p->text.data, p->text.len, e) : 0;
}

static int put_segment(struct printer *p, enum detok_column column, const uint32_t *ids,
                       size_t n, struct err *e)
{
    if (column == DETOK_IDS)
        return put_ids(p, ids, n, e);
    if (column == DETOK_TOKENS)
        return put_tokens(p, ids, n, e);
    return put_text(p, ids, n, e);
}

static int put_column(struct printer *p, enum detok_column column, const struct toks_record *r,
                      struct err *e)
{
    switch (column) {
    case DETOK_KEY:
        return r->key ? put_field(&p->out, r->key, r->key_len, e)
                      : buf_addf(&p->out, e, "%llu", (unsigned long long)r->number);
    case DETOK_LABEL:
        return r->label ? put_field(&p->out, r->label, r->label_len, e) : 0;
    case DETOK_WEIGHT:
        return buf_addf(&p->out, e, "%.9g", (double)r->weight);
    case DETOK_LEN:
        return buf_addf(&p->out, e, "%zu", p->n_a + p->n_b);
    default:
        break;
    }
    if (put_segment(p, column, p->a, p->n_a, e))
        return -1;
    if (!p->b && !(p->o->fixed && p->pairs && !p->o->special))
        return 0;
    return buf_putc(&p->out, '\t', e) || put_segment(p, column, p->b, p->n_b, e) ? -1 : 0;
}

static int put_record(struct printer *p, const struct toks_record *r, struct err *e)
{
    if (lay_out(p, r, e))
        return -1;
    for (int i = 0; i < p->o->n; i++)
        if ((i && buf_putc(&p->out, '\t', e)) || put_column(p, p->o->column[i], r, e))
            return -1;
    return buf_putc(&p->out, '\n', e);
}

static int flush(struct printer *p, int fd, const char *name, struct err *e)
{
    const int rc = p->out.len ? io_write_full(fd, p->out.data, p->out.len, name, e) : 0;

    buf_reset(&p->out);
    return rc;
}

int detok(struct toks_reader *in, const struct tokenizer *t, const struct detok_options *o,
          int fd, const char *name, struct err *e)
{
    const struct toks_header *h = toks_reader_header(in);
    struct printer p = {.o = o, .t = t, .template = &h->template,
                        .pairs = (h->columns & TOKS_PAIR) != 0};
    const struct toks_block *block;
    struct err write_error = {0};
    int got = 0, rc = 0;

    while (!rc && (got = toks_next_block(in, &block, e)) > 0)
        for (size_t i = 0; i < toks_block_records(block) && !rc; i++) {
            struct toks_record r;

            toks_get(block, i, &r);
            rc = put_record(&p, &r, e);
            if (!rc && p.out.len >= FLUSH)
                rc = flush(&p, fd, name, e);
        }
    /* What was read before a fault is printed; the fault is what counts. */
    if (flush(&p, fd, name, got < 0 ? &write_error : e))
        rc = -1;
    free(p.ids);
    free(p.types);
    buf_free(&p.out);
    buf_free(&p.text);
    return rc || got < 0 ? -1 : 0;
}

struct tokenizer *detok_tokenizer(const struct toks_header *h, const char *given, struct err *e)
{
    const char *name = given ? given : h->tok_path;
    struct tokenizer *t;

    if (!name) {
        err_set(e, ERR_USAGE, "the stream does not name its model; give it with -m");
        return NULL;
    }
    t = tokenizer_find(name, e);
    if (!t || strcmp(tokenizer_hash(t), h->tok_hash) == 0)
        return t;
    err_set(e, ERR_DATA, "the stream was made with the tokenizer of '%s' (%s), and that of '%s' "
            "is another (%s); give the right one with -m", h->tok_name ? h->tok_name : "?",
            h->tok_hash, name, tokenizer_hash(t));
    tokenizer_free(t);
    return NULL;
}
