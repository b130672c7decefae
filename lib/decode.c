/* SPDX-License-Identifier: MIT */
/*
 * decode: text from ids, as Tokenizer.decode makes it.
 *
 * A decoder is a row of steps over the list of all tokens; what is left is joined.
 * Source: tokenizers/src/decoders, pre_tokenizers/{byte_level,metaspace}.rs,
 * normalizers/replace.rs.
 */
#include "tokrules.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Texts one after the other. */
struct texts {
    struct buf all;
    size_t *end; /* (n) of each, in all */
    size_t n, cap;
};

/* One step: a list becomes another. */
struct decoding {
    const struct decode_step *step;
    struct texts *in, *out;
    struct buf one, spare;
    struct pattern_scratch pattern;
    struct err *e;
};

static void texts_free(struct texts *t)
{
    buf_free(&t->all);
    free(t->end);
}

static const char *text_at(const struct texts *t, size_t i, size_t *n)
{
    const size_t from = i ? t->end[i - 1] : 0;

    *n = t->end[i] - from;
    return t->all.data ? t->all.data + from : "";
}

/* Ends the text that was being added to t->all. */
static int end_text(struct texts *t, struct err *e)
{
    if (mem_grow(&t->end, &t->cap, t->n + 1, sizeof *t->end, e))
        return -1;
    t->end[t->n++] = t->all.len;
    return 0;
}

/* What the WordPiece decoder tidies up in each token, in this order. */
static const struct {
    const char *from, *to;
} tidy[] = {
    {" .", "."},      {" ?", "?"},         {" !", "!"},   {" ,", ","},
    {" ' ", "'"},     {" n't", "n't"},     {" 'm", "'m"}, {" do not", " don't"},
    {" 's", "'s"},    {" 've", "'ve"},     {" 're", "'re"},
};

/* Replaces every `from` in *b, in one pass, through *spare. */
static int replace_all(struct buf *b, const char *from, const char *to, struct buf *spare,
                       struct err *e)
{
    const size_t len = strlen(from);
    size_t at = 0;
    struct buf swap;

    if (b->len < len || !memmem(b->data, b->len, from, len))
        return 0;
    buf_reset(spare);
    while (at < b->len) {
        const char *found = memmem(b->data + at, b->len - at, from, len);
        const size_t end = found ? (size_t)(found - b->data) : b->len;

        if (buf_add(spare, b->data + at, end - at, e) || (found && buf_puts(spare, to, e)))
            return -1;
        at = end + (found ? len : 0);
    }
    swap = *b;
    *b = *spare;
    *spare = swap;
    return 0;
}

static int wordpiece(struct decoding *d, size_t i, const char *p, size_t n)
{
    const size_t prefix = strlen(d->step->text);
    const bool inner = n >= prefix && memcmp(p, d->step->text, prefix) == 0;

    buf_reset(&d->one);
    if (i > 0 && inner) {
        p += prefix;
        n -= prefix;
    }
    if ((i > 0 && !inner && buf_putc(&d->one, ' ', d->e)) || buf_add(&d->one, p, n, d->e))
        return -1;
    for (size_t k = 0; d->step->cleanup && k < sizeof tidy / sizeof tidy[0]; k++)
        if (replace_all(&d->one, tidy[k].from, tidy[k].to, &d->spare, d->e))
            return -1;
    return buf_add(&d->out->all, d->one.data, d->one.len, d->e);
}

/* The marks become blanks, and go from the first token where one was put in front. */
static int metaspace(struct decoding *d, size_t i, const char *p, size_t n)
{
    for (size_t at = 0, used; at < n; at += used) {
        const uint32_t c = utf8_next((const uint8_t *)p + at, n - at, &used);

        if (c != d->step->c ? buf_add(&d->out->all, p + at, used, d->e)
            : i == 0 && d->step->strip ? 0
                                       : buf_putc(&d->out->all, ' ', d->e))
            return -1;
    }
    return 0;
}

static int replace(struct decoding *d, const char *p, size_t n)
{
    size_t at = 0;
    struct span m;
    int rc;

    while ((rc = pattern_next(d->step->pattern, (const uint8_t *)p, n, at, &m, &d->pattern,
                              d->e)) > 0) {
        if (buf_add(&d->out->all, p + at, m.at - at, d->e) ||
            buf_puts(&d->out->all, d->step->text, d->e))
            return -1;
        at = m.at + m.n;
    }
    return rc < 0 ? -1 : buf_add(&d->out->all, p + at, n - at, d->e);
}

/* Takes up to `start` of a character from the front, up to `stop` from the end. */
static int strip(struct decoding *d, const char *p, size_t n)
{
    const struct decode_step *s = d->step;
    size_t from = 0, end = n, used;

    for (size_t i = 0; i < s->start && from < n; i++, from += used)
        if (utf8_next((const uint8_t *)p + from, n - from, &used) != s->c)
            break;
    for (size_t i = 0; i < s->stop && end > from; i++, end -= used)
        if (utf8_last((const uint8_t *)p, end, &used) != s->c)
            break;
    return buf_add(&d->out->all, p + from, end - from, d->e);
}

/* The suffix of words becomes a blank, behind the last token nothing. */
static int suffix(struct decoding *d, size_t i, const char *p, size_t n)
{
    buf_reset(&d->one);
    return buf_add(&d->one, p, n, d->e) ||
                   replace_all(&d->one, d->step->text, i + 1 == d->in->n ? "" : " ", &d->spare,
                               d->e) ||
                   buf_add(&d->out->all, d->one.data, d->one.len, d->e)
               ? -1
               : 0;
}

/* The bytes that a token spells; one with a letter that stands for no byte is itself. */
static int spelled(struct decoding *d, const char *p, size_t n)
{
    const size_t from = d->one.len;

    for (size_t i = 0, used; i < n; i += used) {
        const int byte = bpe_byte(utf8_next((const uint8_t *)p + i, n - i, &used));

        if (byte < 0) {
            d->one.len = from;
            return buf_add(&d->one, p, n, d->e);
        }
        if (buf_putc(&d->one, (char)byte, d->e))
            return -1;
    }
    return 0;
}

/* ByteLevel makes one text of all tokens. */
static int all_bytes(struct decoding *d)
{
    size_t n;

    buf_reset(&d->one);
    for (size_t i = 0; i < d->in->n; i++) {
        const char *p = text_at(d->in, i, &n);

        if (spelled(d, p, n))
            return -1;
    }
    return (d->one.len && utf8_lossy((const uint8_t *)d->one.data, d->one.len, &d->out->all,
                                     d->e)) ||
                   end_text(d->out, d->e)
               ? -1
               : 0;
}

/* The value of "<0x0A>", or -1; the reference's parser takes a sign, too. */
static int byte_token(const char *p, size_t n)
{
    int v = 0;

    if (n != 6 || memcmp(p, "<0x", 3) != 0 || p[5] != '>')
        return -1;
    for (int i = p[3] == '+' ? 4 : 3; i < 5; i++) {
        const int low = p[i] | 0x20;

        if (p[i] >= '0' && p[i] <= '9')
            v = v * 16 + (p[i] - '0');
        else if (low >= 'a' && low <= 'f')
            v = v * 16 + (low - 'a' + 10);
        else
            return -1;
    }
    return v;
}

/* A run of bytes becomes its text, or as many U+FFFD when it is none. */
static int end_bytes(struct decoding *d)
{
    const size_t n = d->one.len;
    const bool valid = n && utf8_valid((const uint8_t *)d->one.data, n);

    if (valid && (buf_add(&d->out->all, d->one.data, n, d->e) || end_text(d->out, d->e)))
        return -1;
    for (size_t i = 0; !valid && i < n; i++)
        if (buf_puts(&d->out->all, "\xef\xbf\xbd", d->e) || end_text(d->out, d->e))
            return -1;
    buf_reset(&d->one);
    return 0;
}

static int fallback(struct decoding *d)
{
    size_t n;

    buf_reset(&d->one);
    for (size_t i = 0; i < d->in->n; i++) {
        const char *p = text_at(d->in, i, &n);
        const int byte = byte_token(p, n);

        if (byte >= 0 ? buf_putc(&d->one, (char)byte, d->e)
                      : end_bytes(d) || buf_add(&d->out->all, p, n, d->e) ||
                            end_text(d->out, d->e))
            return -1;
    }
    return end_bytes(d);
}

static int fuse(struct decoding *d)
{
    return buf_add(&d->out->all, d->in->all.data, d->in->all.len, d->e) ||
                   end_text(d->out, d->e)
               ? -1
               : 0;
}

static int one_token(struct decoding *d, size_t i, const char *p, size_t n)
{
    switch (d->step->kind) {
    case DECODE_WORDPIECE:
        return wordpiece(d, i, p, n);
    case DECODE_METASPACE:
        return metaspace(d, i, p, n);
    case DECODE_REPLACE:
        return replace(d, p, n);
    case DECODE_STRIP:
        return strip(d, p, n);
    case DECODE_BPE:
        return suffix(d, i, p, n);
    default: /* DECODE_JOIN */
        return (i > 0 && buf_putc(&d->out->all, ' ', d->e)) ||
                       buf_add(&d->out->all, p, n, d->e)
                   ? -1
                   : 0;
    }
}

static int run_step(struct decoding *d)
{
    if (d->step->kind == DECODE_BYTES)
        return all_bytes(d);
    if (d->step->kind == DECODE_FALLBACK)
        return fallback(d);
    if (d->step->kind == DECODE_FUSE)
        return fuse(d);
    for (size_t i = 0; i < d->in->n; i++) {
        size_t n;
        const char *p = text_at(d->in, i, &n);

        if (one_token(d, i, p, n) || end_text(d->out, d->e))
            return -1;
    }
    return 0;
}

/* Spelling and length of an id; NULL when it has none. */
static const char *token_of(const struct tokenizer *t, uint32_t id, size_t *len)
{
    const struct added_token *added = added_by_id(&t->added, id);

    if (!added)
        return vocabmap_token(&t->vocab, id, len);
    *len = added->shown_len;
    return added->shown;
}

/* The tokens of the ids.  Which are special goes by their spelling, as in the reference. */
static int spell_ids(const struct tokenizer *t, const uint32_t *ids, size_t n,
                     bool skip_specials, struct texts *out, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const struct added_token *same;
        size_t len = 0;
        const char *token = token_of(t, ids[i], &len);

        if (!token)
            continue;
        same = skip_specials ? added_find(&t->added, token, len) : NULL;
        if (same && same->special)
            continue;
        if (buf_add(&out->all, token, len, e) || end_text(out, e))
            return -1;
    }
    return 0;
}

int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
                     bool skip_specials, struct buf *out, struct err *e)
{
    struct texts list[2] = {{{0}, NULL, 0, 0}, {{0}, NULL, 0, 0}};
    struct decoding d = {.in = &list[0], .out = &list[1], .e = e};
    int rc = 0;

    for (int i = 0; i < t->decodes; i++)
        if (t->decode[i].kind == DECODE_UNKNOWN)
            return err_set(e, ERR_DATA, "the tokenizer's decoder '%s' is not implemented",
                           t->decode[i].text);
    rc = spell_ids(t, ids, n, skip_specials, d.in, e);
    for (int i = 0; rc == 0 && i < t->decodes; i++) {
        struct texts *const swap = d.in;

        d.step = &t->decode[i];
        d.out->n = 0;
        buf_reset(&d.out->all);
        rc = run_step(&d);
        d.in = d.out;
        d.out = swap;
    }
    rc = rc || buf_add(out, d.in->all.data, d.in->all.len, e) ? -1 : 0;
    texts_free(&list[0]);
    texts_free(&list[1]);
    buf_free(&d.one);
    buf_free(&d.spare);
    pattern_scratch_free(&d.pattern);
    return rc;
}
