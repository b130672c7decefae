/* SPDX-License-Identifier: MIT */
#include "tokencode.h"
#include "utf8.h"

#include <stdlib.h>

void tok_ids_free(struct tok_ids *ids)
{
    free(ids->id);
    free(ids->start);
    *ids = (struct tok_ids){0};
}

struct encoder *encoder_new(const struct tokenizer *t, struct err *e)
{
    struct encoder *enc = mem_alloc(1, sizeof *enc, "encoder", e);

    if (!enc)
        return NULL;
    enc->t = t;
    enc->specials = true;
    /* Pages of zeros that are not touched cost nothing: so it is aligned by hand. */
    enc->memo_memory = mem_alloc(((size_t)2 << MEMO_BITS) + 1, sizeof *enc->memo, "encoder", e);
    if (!enc->memo_memory) {
        encoder_free(enc);
        return NULL;
    }
    enc->memo = (struct memo_entry *)(((uintptr_t)enc->memo_memory + sizeof *enc->memo - 1) /
                                      sizeof *enc->memo * sizeof *enc->memo);
    return enc;
}

void encoder_free(struct encoder *enc)
{
    if (!enc)
        return;
    free(enc->memo_memory);
    norm_scratch_free(&enc->scratch);
    bpe_scratch_free(&enc->bpe);
    buf_free(&enc->normal);
    buf_free(&enc->prefixed);
    buf_free(&enc->lower);
    free(enc->span[0]);
    free(enc->span[1]);
    free(enc);
}

void encoder_specials_in_text(struct encoder *enc, bool allowed)
{
    enc->specials = allowed;
}

void encoder_watch(struct encoder *enc, const struct encoder_watcher *watcher)
{
    enc->watcher = watcher;
}

/* Tells the watcher, when there is one; ids of the event start at `first`. */
static int tell(const struct encoder *enc, int kind, const uint8_t *p, size_t n, size_t first)
{
    const struct encoder_event event = {.kind = kind, .p = p, .n = n, .first = first,
                                        .raw = enc->in_raw};

    return enc->watcher ? enc->watcher->see(enc->watcher->ctx, &event, enc->e) : 0;
}

void memo_store(struct memo_entry *m, const struct memo_key *k, unsigned tag,
                const struct tok_ids *out, size_t from)
{
    const size_t n = out->n - from;

    if (n > MEMO_IDS)
        return;
    m[1] = m[0];
    memcpy(m->key, k->part, sizeof m->key);
    m->tag = (uint8_t)tag;
    m->n = (uint8_t)n;
    m->starts = 0;
    for (size_t i = 0; i < n; i++) {
        m->id[i] = out->id[from + i];
        m->starts |= (uint16_t)(out->start[from + i] << i);
    }
}

int encoder_model(struct encoder *enc, const uint8_t *word, size_t n)
{
    const struct tokenizer *t = enc->t;
    struct tok_ids *out = enc->out;
    uint32_t *id;
    int64_t count;

    if (encoder_room(enc, n + 1))
        return -1;
    id = out->id + out->n;
    if (t->model == TOK_WORDPIECE)
        count = (int64_t)wordpiece_word(&t->wordpiece, word, n, id);
    else
        count = bpe_word(&t->bpe, &t->vocab, word, n, &enc->bpe, id, enc->e);
    if (count < 0)
        return -1;
    if (count > 0) {
        memset(out->start + out->n, 0, (size_t)count);
        out->start[out->n] = 1;
    }
    out->n += (size_t)count;
    return 0;
}

/* Raw text goes through the general path, whose words have a queue of their own. */
static int raw_text(struct encoder *enc, const uint8_t *p, size_t n)
{
    int rc;

    enc->level = 1;
    rc = encoder_text(enc, p, n);
    enc->level = 0;
    return rc;
}

/* Every word through the model, one after the other. */
static int flush_watched(struct encoder *enc, const struct word_queue *queue, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct queued *q = &queue->at[i];
        const size_t from = enc->out->n;

        if (encoder_model(enc, q->p, q->n) || tell(enc, ENCODER_WORD, q->p, q->n, from))
            return -1;
    }
    return 0;
}

int encoder_flush(struct encoder *enc)
{
    struct word_queue *queue = &enc->queue[enc->level];
    struct tok_ids *out = enc->out;
    const unsigned n = queue->n;

    queue->n = 0;
    if (enc->watcher)
        return flush_watched(enc, queue, n);
    for (unsigned i = 0; i < n; i++) {
        const struct queued *q = &queue->at[i];
        const size_t from = out->n;

        if (encoder_room(enc, MEMO_IDS))
            return -1;
        if (q->m && memo_holds(q->m, &q->key, q->tag)) {
            memo_emit(q->m, out);
            continue;
        }
        if (q->m && memo_holds(q->m + 1, &q->key, q->tag)) {
            memo_emit(q->m + 1, out);
            continue;
        }
        if (q->tag & MEMO_RAW ? raw_text(enc, q->p, q->n) : encoder_model(enc, q->p, q->n))
            return -1;
        if (q->m)
            memo_store(q->m, &q->key, q->tag, out, from);
    }
    return 0;
}

/* The words of a piece that the steps before the last one made. */
static int last_step(struct encoder *enc, enum pre_step step, const uint8_t *p, size_t n)
{
    struct span word;
    size_t at = 0;

    if (step == PRE_NONE)
        return n && encoder_queue(enc, p, n, 0) ? -1 : encoder_flush(enc);
    if (step == PRE_GPT2) {
        for (size_t end; at < n; at = end) {
            end = pre_gpt2_fast(p, n, at);
            if (encoder_queue(enc, p + at, end - at, 0))
                return -1;
        }
        return encoder_flush(enc);
    }
    while (pre_next(step, p, n, &at, &word))
        if (encoder_queue(enc, p + word.at, word.n, 0))
            return -1;
    return encoder_flush(enc);
}

/* Gives the piece a space in front where the tokenizer wants one there. */
static int prefix(struct encoder *enc, const uint8_t **p, size_t *n)
{
    if (!enc->t->pre.prefix_space || *n == 0 || (*p)[0] == ' ')
        return 0;
    buf_reset(&enc->prefixed);
    if (buf_reserve(&enc->prefixed, *n + 1 + ENCODER_SLACK, enc->e) ||
        buf_putc(&enc->prefixed, ' ', enc->e) || buf_add(&enc->prefixed, *p, *n, enc->e))
        return -1;
    *p = (const uint8_t *)enc->prefixed.data;
    *n = enc->prefixed.len;
    return 0;
}

/* Cuts the pieces of list `from` by a step into the other list; returns its length, or -1. */
static int64_t cut(struct encoder *enc, enum pre_step step, const uint8_t *p, int from, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        const struct span piece = enc->span[from][i];
        struct span word;
        size_t at = 0;

        while (pre_next(step, p + piece.at, piece.n, &at, &word)) {
            if (mem_grow(&enc->span[!from], &enc->span_cap[!from], count + 1,
                         sizeof *enc->span[0], enc->e))
                return -1;
            enc->span[!from][count++] = (struct span){piece.at + word.at, word.n};
        }
    }
    return (int64_t)count;
}

/* Pre-tokenizes normalized text and gives its words to the model. */
static int split_words(struct encoder *enc, const uint8_t *p, size_t n)
{
    const struct pretokenizer *pre = &enc->t->pre;
    int64_t count = 1;
    int list = 0;

    if (pre->n == 1) {
        if (prefix(enc, &p, &n))
            return -1;
        return last_step(enc, (enum pre_step)pre->step[0], p, n);
    }
    if (mem_grow(&enc->span[0], &enc->span_cap[0], 1, sizeof *enc->span[0], enc->e))
        return -1;
    enc->span[0][0] = (struct span){0, n};
    for (int i = 0; i + 1 < pre->n; i++, list = !list) {
        count = cut(enc, (enum pre_step)pre->step[i], p, list, (size_t)count);
        if (count < 0)
            return -1;
    }
    for (int64_t i = 0; i < count; i++) {
        const struct span piece = enc->span[list][i];
        const uint8_t *at = p + piece.at;
        size_t len = piece.n;

        if (prefix(enc, &at, &len) ||
            last_step(enc, (enum pre_step)pre->step[pre->n - 1], at, len))
            return -1;
    }
    return 0;
}

/* The added token that was found at p + piece->at. */
static int put_added(struct encoder *enc, const struct added_piece *piece, const uint8_t *p)
{
    if (encoder_room(enc, 1))
        return -1;
    enc->out->id[enc->out->n] = piece->token->id;
    enc->out->start[enc->out->n++] = 1;
    return tell(enc, ENCODER_ADDED, p + piece->at, piece->n, enc->out->n - 1);
}

int encoder_text(struct encoder *enc, const uint8_t *p, size_t n)
{
    const struct tokenizer *t = enc->t;
    struct added_walk walk = {0};
    struct added_piece piece;

    buf_reset(&enc->normal);
    if (t->normalizer.n ? normalize(&t->normalizer, p, n, &enc->scratch, &enc->normal, enc->e)
                        : buf_add(&enc->normal, p, n, enc->e))
        return -1;
    if (buf_reserve(&enc->normal, ENCODER_SLACK, enc->e))
        return -1;
    p = (const uint8_t *)enc->normal.data;
    n = enc->normal.len;
    enc->in_raw = false;
    if (tell(enc, ENCODER_NORMALIZED, p, n, enc->out->n))
        return -1;
    if (t->added.normalized.n == 0)
        return split_words(enc, p, n);
    while (added_next(&t->added, &t->added.normalized, enc->specials, p, n, &walk, &piece)) {
        if (piece.token ? put_added(enc, &piece, p)
                        : split_words(enc, p + piece.at, piece.n))
            return -1;
    }
    return 0;
}

int encoder_encode(struct encoder *enc, const char *text, size_t n, struct tok_ids *ids,
                   struct err *e)
{
    const struct tokenizer *t = enc->t;
    const uint8_t *p = (const uint8_t *)text;
    const bool fast = t->bert && t->added.normalized.n == 0 && !enc->watcher;
    struct added_walk walk = {0};
    struct added_piece piece;

    enc->out = ids;
    enc->e = e;
    enc->level = 0;
    enc->queue[0].n = enc->queue[1].n = 0;
    while (added_next(&t->added, &t->added.raw, enc->specials, p, n, &walk, &piece)) {
        const uint8_t *at = p + piece.at;

        enc->in_raw = true;
        if (piece.token ? put_added(enc, &piece, p)
            : fast      ? encoder_bert(enc, at, piece.n)
            : tell(enc, ENCODER_STRETCH, at, piece.n, ids->n) != 0 ? -1
                        : encoder_text(enc, at, piece.n))
            return -1;
    }
    return 0;
}
