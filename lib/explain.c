/* SPDX-License-Identifier: MIT */
#include "explain.h"
#include "align.h"
#include "tokrules.h"
#include "unidata.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Bytes in which a word or token is looked for: texts may be large. */
enum { WINDOW = 4096 };

struct explainer {
    const struct tokenizer *t;
    struct encoder *encoder;
    struct aligner *aligner;
    struct tok_ids ids, check;
    struct buf spelling;
    /* of the call at hand */
    struct explanation *out;
    const uint8_t *stretch, *made; /* (n_stretch), (n_made) raw, and where it was normalized */
    size_t n_stretch, n_made;
    size_t base;   /* of the stretch in out->normal */
    size_t cursor; /* behind the last word there */
};

void explanation_free(struct explanation *x)
{
    buf_free(&x->normal);
    buf_free(&x->words);
    free(x->word);
    free(x->token);
    free(x->from);
    free(x->to);
    *x = (struct explanation){0};
}

struct explainer *explainer_new(const struct tokenizer *t, struct err *e)
{
    struct explainer *x = mem_alloc(1, sizeof *x, "explanation", e);

    if (!x)
        return NULL;
    x->t = t;
    x->encoder = encoder_new(t, e);
    x->aligner = x->encoder ? aligner_new(t, e) : NULL;
    if (x->aligner)
        return x;
    explainer_free(x);
    return NULL;
}

void explainer_free(struct explainer *x)
{
    if (!x)
        return;
    encoder_free(x->encoder);
    aligner_free(x->aligner);
    tok_ids_free(&x->ids);
    tok_ids_free(&x->check);
    buf_free(&x->spelling);
    free(x);
}

void explainer_specials_in_text(struct explainer *x, bool allowed)
{
    encoder_specials_in_text(x->encoder, allowed);
}

/* ---- where things are ---- */

/* Room for what is behind the normalized text so far, with no place known. */
static int grow_places(struct explanation *out, size_t more, struct err *e)
{
    const size_t need = out->normal.len + more;

    return mem_grow(&out->from, &out->from_cap, need, sizeof *out->from, e) ||
                   mem_grow(&out->to, &out->to_cap, need, sizeof *out->to, e)
               ? -1
               : 0;
}

/* Text that stands in the normalized text as it is. */
static int add_raw(struct explainer *x, const uint8_t *p, size_t n, struct err *e)
{
    struct explanation *out = x->out;
    const size_t at = (size_t)(p - (const uint8_t *)out->text);

    if (grow_places(out, n, e))
        return -1;
    for (size_t i = 0, used; i < n; i += used) {
        utf8_next(p + i, n - i, &used);
        for (size_t k = i; k < i + used; k++) {
            out->from[out->normal.len + k] = (uint32_t)(at + i);
            out->to[out->normal.len + k] = (uint32_t)(at + i + used);
        }
    }
    return buf_add(&out->normal, p, n, e);
}

static int add_normalized(struct explainer *x, const uint8_t *p, size_t n, struct err *e)
{
    struct explanation *out = x->out;
    const size_t base = out->normal.len, raw = (size_t)(x->stretch - (const uint8_t *)out->text);

    x->made = p;
    x->n_made = n;
    x->base = x->cursor = base;
    if (n == 0)
        return 0;
    if (n == x->n_stretch && memcmp(p, x->stretch, n) == 0)
        return add_raw(x, x->stretch, n, e);
    if (grow_places(out, n, e) || buf_add(&out->normal, p, n, e))
        return -1;
    if (align(x->aligner, x->stretch, x->n_stretch, p, n, out->from + base, out->to + base, e))
        return -1;
    for (size_t i = base; i < out->normal.len; i++) {
        out->from[i] += (uint32_t)raw;
        out->to[i] += (uint32_t)raw;
    }
    return 0;
}

/* The range of the text that a range of the normalized text came from. */
static struct explain_range raw_range(const struct explanation *out, struct explain_range normal)
{
    struct explain_range raw = {0};

    if (!normal.known)
        return raw;
    for (size_t i = normal.from; i < normal.to; i++) {
        /* What was put in, as the blanks around an ideograph, has no place. */
        if (out->from[i] == out->to[i])
            continue;
        raw.from = raw.known && raw.from < out->from[i] ? raw.from : out->from[i];
        raw.to = raw.known && raw.to > out->to[i] ? raw.to : out->to[i];
        raw.known = true;
    }
    return raw;
}

static bool is_blank(uint32_t c)
{
    return c == 0x2581 || (uni_of(c) & (UNI_SPACE | UNI_GAP)) != 0;
}

/* What may be put before a word: Metaspace writes the one as the other. */
static bool is_mark(uint32_t c)
{
    return c == ' ' || c == 0x2581;
}

/* How many bytes of p[0..n-1] read as the word, a blank and U+2581 being the same; or 0. */
static size_t reads_as(const uint8_t *p, size_t n, const uint8_t *word, size_t len)
{
    size_t at = 0;

    for (size_t i = 0, used, more; i < len; i += used, at += more) {
        uint32_t want = utf8_next(word + i, len - i, &used), got;

        if (at == n)
            return 0;
        got = utf8_next(p + at, n - at, &more);
        if (got != want && !(is_mark(got) && is_mark(want)))
            return 0;
    }
    return at;
}

/*
 * The next place, at most `gap` bytes on, that reads like a word, with or without a blank that
 * was put in front.
 */
static struct explain_range search_word(const struct explainer *x, const uint8_t *word, size_t n,
                                        size_t gap)
{
    const uint8_t *normal = (const uint8_t *)x->out->normal.data;
    const size_t end = x->base + x->n_made;
    size_t used, skip = 0;

    if (n > 0 && is_mark(utf8_next(word, n, &used)))
        skip = used;
    for (size_t from = x->cursor; from < end && from <= x->cursor + gap; from++) {
        const size_t whole = reads_as(normal + from, end - from, word, n);
        const size_t rest =
            whole || skip == n ? 0 : reads_as(normal + from, end - from, word + skip, n - skip);

        if (whole || (skip && rest))
            return (struct explain_range){from, from + (whole ? whole : rest), true};
        /* A blank by itself that is not here was put in. */
        if (skip == n)
            break;
    }
    return (struct explain_range){x->cursor, x->cursor, skip == n};
}

/* Whether p[0..n-1] is in the normalized text at hand. */
static bool is_made(const struct explainer *x, const uint8_t *p, size_t n)
{
    return (uintptr_t)p >= (uintptr_t)x->made &&
           (uintptr_t)p - (uintptr_t)x->made + n <= x->n_made;
}

/* What the letters of p[0..n-1] spell in x->spelling; 0 where one stands for no byte. */
static int spell_bytes(struct explainer *x, const uint8_t *p, size_t n, struct err *e)
{
    buf_reset(&x->spelling);
    for (size_t i = 0, used; i < n; i += used) {
        const int byte = bpe_byte(utf8_next(p + i, n - i, &used));

        if (byte < 0)
            return 0;
        if (buf_putc(&x->spelling, (char)byte, e))
            return -1;
    }
    return n > 0;
}

/*
 * The place of the word of an event.  *word becomes that of its bytes where byte-level rules
 * have spelled them as letters; a word right behind the last one is no such.
 */
static int find_word(struct explainer *x, struct encoder_event *word,
                     struct explain_range *normal, struct err *e)
{
    int spelled;

    if (is_made(x, word->p, word->n)) {
        const size_t at = x->base + (size_t)(word->p - x->made);

        *normal = (struct explain_range){at, at + word->n, true};
        return 0;
    }
    *normal = search_word(x, word->p, word->n, 0);
    if (normal->known)
        return 0;
    spelled = x->t->decoder == DECODE_BYTES ? spell_bytes(x, word->p, word->n, e) : 0;
    if (spelled > 0) {
        *normal = search_word(x, (const uint8_t *)x->spelling.data, x->spelling.len, WINDOW);
        if (normal->known) {
            word->p = (const uint8_t *)x->spelling.data;
            word->n = x->spelling.len;
            return 0;
        }
    }
    *normal = search_word(x, word->p, word->n, WINDOW);
    return spelled < 0 ? -1 : 0;
}

/* ---- why words are split ---- */

static uint32_t first_of(const uint8_t *p, size_t n)
{
    size_t used;

    return n ? utf8_next(p, n, &used) : 0;
}

static uint32_t last_of(const uint8_t *p, size_t n)
{
    size_t used;

    return n ? utf8_last(p, n, &used) : 0;
}

/* The class of what a word starts with, as the byte-level pattern has them. */
static enum explain_split class_split(const uint8_t *p, size_t n)
{
    const uint32_t c = first_of(p, n);

    if (c == '\'' && n > 1 && uni_of(p[1]) & UNI_LETTER)
        return SPLIT_CONTRACTION;
    return is_blank(c)              ? SPLIT_SPACE
           : uni_of(c) & UNI_LETTER ? SPLIT_LETTERS
           : uni_of(c) & UNI_NUMBER ? SPLIT_NUMBERS
                                    : SPLIT_SYMBOLS;
}

static bool has_step(const struct tokenizer *t, enum pre_step step)
{
    for (int i = 0; i < t->pre.n; i++)
        if (t->pre.step[i] == step)
            return true;
    return false;
}

/* Why the word at `normal` is not one with what stands before it there. */
static enum explain_split split_of(const struct explainer *x, struct explain_range normal)
{
    const struct explanation *out = x->out;
    const uint8_t *p = (const uint8_t *)out->normal.data;
    const struct explain_word *last = out->n_words ? &out->word[out->n_words - 1] : NULL;
    const size_t n = normal.to - normal.from;
    const struct explain_range raw = raw_range(out, normal);
    uint32_t first, before;

    if (!last)
        return SPLIT_START;
    if (last->added)
        return SPLIT_ADDED;
    if (!normal.known || !last->normal.known)
        return SPLIT_RULE;
    first = first_of(p + normal.from, n);
    before = last_of(p, last->normal.to);
    if (normal.from > last->normal.to) {
        /* Blanks that were not in the text were put around an ideograph. */
        if (raw.from == last->raw.to && (uni_of(first) | uni_of(before)) & UNI_CJK)
            return SPLIT_CJK;
        return is_blank(last_of(p, normal.from)) ? SPLIT_SPACE : SPLIT_RULE;
    }
    if (has_step(x->t, PRE_GPT2) || is_blank(first))
        return class_split(p + normal.from, n);
    if ((uni_of(first) | uni_of(before)) & UNI_PUNCT)
        return SPLIT_PUNCTUATION;
    return class_split(p + normal.from, n);
}

/* ---- the tokens of a word ---- */

/* The bytes that a token may stand for in its word: spelling 0, 1, and NULL. */
static const uint8_t *spelling(struct explainer *x, uint32_t id, int which, bool inner,
                               size_t *len, struct err *e)
{
    const char *token = tokenizer_token(x->t, id), *prefix = x->t->prefix;
    const size_t skip = prefix ? strlen(prefix) : 0;

    *len = token ? strlen(token) : 0;
    if (which == 0 && inner && skip && *len > skip && memcmp(token, prefix, skip) == 0) {
        *len -= skip;
        return (const uint8_t *)token + skip;
    }
    if (which == 0)
        return (const uint8_t *)token;
    if (which == 1 && *len == 6 && memcmp(token, "<0x", 3) == 0) {
        buf_reset(&x->spelling);
        *len = 1;
        return buf_putc(&x->spelling, (char)strtol(token + 3, NULL, 16), e)
                   ? NULL
                   : (const uint8_t *)x->spelling.data;
    }
    if (which == 1 && *len > 4 && memcmp(token + *len - 4, "</w>", 4) == 0) {
        *len -= 4;
        return (const uint8_t *)token;
    }
    return NULL;
}

/* How many bytes of p[0..n-1] the token is, 0 where it is not there. */
static size_t token_at(struct explainer *x, uint32_t id, bool inner, const uint8_t *p, size_t n,
                       struct err *e)
{
    const uint8_t *s;
    size_t len;

    if (x->t->decoder == DECODE_BYTES) {
        const char *token = tokenizer_token(x->t, id);

        if (!token || spell_bytes(x, (const uint8_t *)token, strlen(token), e) <= 0)
            return 0;
        len = x->spelling.len;
        return len <= n && memcmp(x->spelling.data, p, len) == 0 ? len : 0;
    }
    for (int which = 0; (s = spelling(x, id, which, inner, &len, e)) != NULL; which++) {
        if (len && len <= n && memcmp(s, p, len) == 0)
            return len;
        len = len ? reads_as(p, n, s, len) : 0;
        if (len)
            return len;
    }
    return 0;
}

/* Where the next token that is found starts, behind one that is not spelled out. */
static size_t next_known(struct explainer *x, const struct explain_word *w, size_t token,
                         const uint8_t *p, size_t n, struct err *e)
{
    const struct explain_token *t = x->out->token;

    if (token == w->first + w->n)
        return n;
    for (size_t at = 1; at < n && at < WINDOW; at++)
        if (token_at(x, t[token].id, true, p + at, n - at, e))
            return at;
    return n;
}

/*
 * Gives the tokens of a word their places.  In the word, which may start with a blank that was
 * put in, then in the normalized text.
 */
static void place_tokens(struct explainer *x, const struct explain_word *w, struct err *e)
{
    struct explanation *out = x->out;
    const uint8_t *p = (const uint8_t *)out->words.data + w->text;
    const size_t inserted =
        w->normal.known && w->text_len > w->normal.to - w->normal.from
            ? w->text_len - (w->normal.to - w->normal.from) : 0;
    size_t at = 0;

    for (size_t i = w->first; i < w->first + w->n && w->normal.known; i++) {
        struct explain_token *t = &out->token[i];
        const bool unknown = t->by == BY_UNKNOWN;
        size_t len = unknown ? 0 : token_at(x, t->id, i > w->first, p + at, w->text_len - at, e);

        if (len == 0 && !unknown)
            return;
        if (len == 0)
            len = next_known(x, w, i + 1, p + at, w->text_len - at, e);
        t->normal.from = w->normal.from + (at > inserted ? at - inserted : 0);
        t->normal.to = w->normal.from + (at + len > inserted ? at + len - inserted : 0);
        t->normal.known = t->normal.to <= w->normal.to;
        t->raw = raw_range(out, t->normal);
        at += len;
    }
}

/* ---- what the encoder tells ---- */

static int add_tokens(struct explainer *x, struct explain_word *w, size_t first, struct err *e)
{
    struct explanation *out = x->out;
    const int64_t unk = tokenizer_template(x->t)->unk;

    w->first = out->n_tokens;
    w->n = x->ids.n - first;
    if (mem_grow(&out->token, &out->token_cap, out->n_tokens + w->n, sizeof *out->token, e))
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        const uint32_t id = x->ids.id[first + i];

        out->token[out->n_tokens++] = (struct explain_token){
            .id = id, .word = out->n_words,
            .by = w->added ? BY_ADDED : id == unk ? BY_UNKNOWN : w->n == 1 ? BY_WHOLE : BY_PART};
    }
    return 0;
}

static int add_word(struct explainer *x, const struct encoder_event *event,
                    struct explain_range normal, struct err *e)
{
    struct explanation *out = x->out;
    struct explain_word w = {.normal = normal, .raw = raw_range(out, normal),
                             .text = out->words.len, .text_len = event->n,
                             .added = event->kind == ENCODER_ADDED,
                             .split = SPLIT_ADDED};

    if (!w.added)
        w.split = split_of(x, normal);
    if (buf_add(&out->words, event->p, event->n, e) || add_tokens(x, &w, event->first, e) ||
        mem_grow(&out->word, &out->word_cap, out->n_words + 1, sizeof *out->word, e))
        return -1;
    out->word[out->n_words++] = w;
    if (!w.added) {
        place_tokens(x, &w, e);
        return 0;
    }
    for (size_t i = w.first; i < w.first + w.n; i++) {
        out->token[i].normal = w.normal;
        out->token[i].raw = w.raw;
    }
    return 0;
}

static int see(void *ctx, const struct encoder_event *event, struct err *e)
{
    struct explainer *x = ctx;
    struct encoder_event word = *event;
    struct explain_range normal;

    switch (event->kind) {
    case ENCODER_STRETCH:
        x->stretch = event->p;
        x->n_stretch = event->n;
        return 0;
    case ENCODER_NORMALIZED:
        return add_normalized(x, event->p, event->n, e);
    case ENCODER_ADDED:
        if (!event->raw || is_made(x, event->p, event->n))
            break;
        normal = (struct explain_range){x->out->normal.len, x->out->normal.len + event->n, true};
        return add_raw(x, event->p, event->n, e) || add_word(x, event, normal, e) ? -1 : 0;
    case ENCODER_WORD:
        break;
    }
    if (find_word(x, &word, &normal, e))
        return -1;
    if (normal.known)
        x->cursor = normal.to;
    return add_word(x, &word, normal, e);
}

/* The ids that nobody watched being made must be the same. */
static int check(struct explainer *x, const char *text, size_t n, struct err *e)
{
    x->check.n = 0;
    if (encoder_encode(x->encoder, text, n, &x->check, e))
        return -1;
    if (x->check.n == x->ids.n &&
        (x->ids.n == 0 || memcmp(x->check.id, x->ids.id, x->ids.n * sizeof *x->ids.id) == 0) &&
        x->out->n_tokens == x->ids.n)
        return 0;
    return err_set(e, ERR_INTERNAL, "this is a fault of tok: watched, the tokenizer made %zu "
                   "other tokens than the %zu that it makes of this text", x->ids.n,
                   x->check.n);
}

int explain(struct explainer *x, const char *text, size_t n, struct explanation *out,
            struct err *e)
{
    const struct encoder_watcher watcher = {see, x};
    int rc;

    out->text = text;
    out->n = n;
    out->n_words = out->n_tokens = 0;
    buf_reset(&out->normal);
    buf_reset(&out->words);
    x->out = out;
    x->ids.n = 0;
    x->n_stretch = x->n_made = x->base = x->cursor = 0;
    encoder_watch(x->encoder, &watcher);
    rc = encoder_encode(x->encoder, text, n, &x->ids, e);
    encoder_watch(x->encoder, NULL);
    return rc ? rc : check(x, text, n, e);
}
