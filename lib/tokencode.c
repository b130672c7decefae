/* SPDX-License-Identifier: MIT */
#include "tokencode.h"
#include "bpechars.h"
#include "gpt2scan.h"
#include "utf8.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Bytes of work space that are not kept for the next text. */
enum { LARGE = 1 << 20 };
/* A memo is looked at all over: in small pages each look would cost another one for its page. */
enum { HUGE_PAGE = 2 << 20 };

void tok_ids_free(struct tok_ids *ids)
{
    free(ids->id);
    free(ids->start);
    *ids = (struct tok_ids){0};
}

/* What a smaller memo knows goes on being known. */
static void memo_copy(struct encoder *enc, const struct memo_entry *from, size_t n)
{
    /* Of two in a line the older comes first, so that it is the older again. */
    for (size_t i = 0; i < n; i++) {
        const struct memo_entry *m = &from[i ^ 1];
        struct memo_key k;
        struct memo_entry *to;

        if (m->tag == 0)
            continue;
        memcpy(k.part, m->key, sizeof k.part);
        to = &enc->memo[memo_slot(enc, &k, m->tag)];
        to[1] = to[0];
        to[0] = *m;
    }
}

int encoder_memory(struct encoder *enc, size_t bytes, struct err *e)
{
    const size_t line = sizeof *enc->memo;
    const struct memo_entry *old = enc->memo;
    const unsigned old_bits = 64 - enc->memo_shift;
    size_t size, align;
    void *memory;
    unsigned bits = 10;

    while (bits < 24 && ((size_t)4 << bits) * line <= bytes)
        bits++;
    size = ((size_t)2 << bits) * line;
    align = size < HUGE_PAGE ? line : HUGE_PAGE;
    /* Pages of zeros that are not touched cost nothing: so it is aligned by hand. */
    memory = mem_alloc(size + align, 1, "encoder", e);
    if (!memory)
        return -1;
    enc->memo = (struct memo_entry *)(((uintptr_t)memory + align - 1) / align * align);
    if (size >= HUGE_PAGE)
        (void)madvise(enc->memo, size, MADV_HUGEPAGE); /* it may not be known */
    enc->memo_shift = 64 - bits;
    if (old && bits > old_bits)
        memo_copy(enc, old, (size_t)2 << old_bits);
    free(enc->memo_memory);
    enc->memo_memory = memory;
    return 0;
}

struct encoder *encoder_new(const struct tokenizer *t, struct err *e)
{
    struct encoder *enc = mem_alloc(1, sizeof *enc, "encoder", e);

    if (!enc)
        return NULL;
    enc->t = t;
    enc->specials = true;
    enc->bytes = byteclass_best();
    enc->chars.mark = t->pre.joins ? t->pre.mark : 0;
    if (encoder_memory(enc, MEMO_BYTES, e)) {
        encoder_free(enc);
        return NULL;
    }
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
    buf_free(&enc->piece);
    buf_free(&enc->prefixed);
    buf_free(&enc->lower);
    presplit_free(&enc->split);
    unigram_scratch_free(&enc->unigram);
    norm_chars_free(&enc->chars);
    free(enc->bert_char);
    bpechars_free(enc->bpe_chars);
    free(enc);
}

void encoder_slack_behind(struct encoder *enc)
{
    enc->slack = true;
}

void encoder_slim(struct encoder *enc)
{
    struct buf *const bufs[] = {&enc->normal, &enc->piece, &enc->prefixed, &enc->lower};

    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        if (bufs[i]->cap > LARGE)
            buf_free(bufs[i]);
    if (enc->scratch.cap + enc->scratch.spare_cap > LARGE / 4)
        norm_scratch_free(&enc->scratch);
    if (enc->bpe.cap > LARGE / 16) {
        bpe_scratch_free(&enc->bpe);
        enc->bpe.most = enc->most;
    }
}

void encoder_limit(struct encoder *enc, size_t most)
{
    enc->most = enc->bpe.most = most;
}

int encoder_too_many(struct encoder *enc)
{
    return err_set(enc->e, ERR_DATA, "a text of more than %zu tokens", enc->most);
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

    if (encoder_room(enc, t->chars.on ? charbpe_room(&t->chars, n) : n + 1))
        return -1;
    id = out->id + out->n;
    if (t->model == TOK_WORDPIECE)
        count = (int64_t)wordpiece_word(&t->wordpiece, word, n, id);
    else if (t->model != TOK_BPE || t->chars.on)
        count = encoder_other_model(enc, word, n, id);
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
static int raw_text(struct encoder *enc, const struct queued *q)
{
    int rc;

    enc->level = 1;
    enc->at_start = q->tag & MEMO_START;
    enc->scratch.inside = q->tag & MEMO_INSIDE;
    rc = encoder_text(enc, q->p, q->n);
    enc->scratch.inside = false;
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

/* A word that the memo does not know. */
static int new_word(struct encoder *enc, const struct queued *q)
{
    struct tok_ids *out = enc->out;
    const size_t from = out->n;

    if (q->tag & MEMO_RAW ? raw_text(enc, q) : encoder_model(enc, q->p, q->n))
        return -1;
    if ((q->tag & (MEMO_RAW | MEMO_INNER)) == MEMO_INNER)
        out->start[from] = 0;
    if (q->m)
        memo_store(q->m, &q->key, q->tag, out, from);
    return 0;
}

/* The entry of a word, or NULL. */
static inline const struct memo_entry *known(const struct queued *q)
{
    if (!q->m)
        return NULL;
    if (memo_holds(q->m, &q->key, q->tag))
        return q->m;
    return memo_holds(q->m + 1, &q->key, q->tag) ? q->m + 1 : NULL;
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
        size_t at = out->n;

        /* Room for all at once, and places in registers, until a word is not known. */
        if (encoder_room(enc, (n - i) * MEMO_IDS))
            return -1;
        for (uint32_t *const id = out->id; i < n; i++) {
            const struct queued *q = &queue->at[i];
            const struct memo_entry *m = known(q);

            if (m) {
                memo_emit(m, id + at, out->start + at);
                at += m->n;
            } else if (!q->p) {
                id[at] = (uint32_t)q->n;
                out->start[at++] = 1;
            } else {
                break;
            }
        }
        out->n = at;
        if (i < n && new_word(enc, &queue->at[i]))
            return -1;
    }
    return out->n > enc->end ? encoder_too_many(enc) : 0;
}

/* The words of a piece that the steps before the last one made. */
static int last_step(struct encoder *enc, enum pre_step step, const uint8_t *p, size_t n)
{
    struct span word;
    size_t at = 0;

    if (step == PRE_NONE)
        return n && encoder_queue(enc, p, n, 0) ? -1 : encoder_flush(enc);
    if (step == PRE_GPT2)
        return gpt2_words(enc, p, n);
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

int encoder_last_step(struct encoder *enc, const uint8_t *p, size_t n)
{
    const struct pretokenizer *pre = &enc->t->pre;

    return prefix(enc, &p, &n) || last_step(enc, (enum pre_step)pre->step[pre->n - 1], p, n) ? -1
                                                                                           : 0;
}

/* Pre-tokenizes a piece by step i and those after it, and gives its words to the model. */
static int split_from(struct encoder *enc, int i, const uint8_t *p, size_t n)
{
    const struct pretokenizer *pre = &enc->t->pre;
    const enum pre_step step = (enum pre_step)pre->step[i];
    struct span piece;
    size_t at = 0;

    if (i + 1 == pre->n)
        return encoder_last_step(enc, p, n);
    while (pre_next(step, p, n, &at, &piece))
        if (split_from(enc, i + 1, p + piece.at, piece.n))
            return -1;
    return 0;
}

/* Bytes at the front of enc->normal that are kept for Metaspace's mark. */
static size_t mark_room(const struct encoder *enc)
{
    const struct pretokenizer *pre = &enc->t->pre;

    return pre->joins ? pre->rule[pre->n - 1].n_mark : 0;
}

/* A text without blanks is one word behind Metaspace, with its mark or without. */
static int one_word(struct encoder *enc, const uint8_t *p, size_t n)
{
    const struct pre_rule *r = &enc->t->pre.rule[enc->t->pre.n - 1];

    if (r->scheme == PRE_ALWAYS || (r->scheme == PRE_FIRST && enc->first_end > p)) {
        p -= r->n_mark;
        n += r->n_mark;
    }
    return encoder_queue(enc, p, n, 0) || encoder_flush(enc) ? -1 : 0;
}

static int split_words(struct encoder *enc, const uint8_t *p, size_t n)
{
    if (n > 0 && enc->plain && p == (const uint8_t *)enc->normal.data + mark_room(enc))
        return one_word(enc, p, n);
    return enc->t->pre.rules ? encoder_split_rules(enc, p, n) : split_from(enc, 0, p, n);
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

/*
 * Makes enc->normal of a text, behind Metaspace's mark where it may need one; who watches sees
 * every step taken.
 */
static int normal_text(struct encoder *enc, const uint8_t *p, size_t n)
{
    const struct normalizer *nz = &enc->t->normalizer;
    const struct norm_text text = {p, n};
    const struct pretokenizer *pre = &enc->t->pre;

    buf_reset(&enc->normal);
    if (pre->joins && buf_add(&enc->normal, pre->rule[pre->n - 1].mark, mark_room(enc), enc->e))
        return -1;
    if (nz->n == 0 ? buf_add(&enc->normal, p, n, enc->e)
        : enc->watcher
            ? normalize_long(nz, &text, &enc->scratch, &enc->piece, &enc->normal, enc->e)
            : normalize_chars(nz, &text, &enc->chars, &enc->scratch, &enc->normal, enc->e))
        return -1;
    return buf_reserve(&enc->normal, ENCODER_SLACK, enc->e);
}

int encoder_text(struct encoder *enc, const uint8_t *p, size_t n)
{
    const struct tokenizer *t = enc->t;
    struct added_walk walk = {0};
    struct added_piece piece;
    size_t first = 0;

    if (t->normalizer.n == 0 && n)
        utf8_next(p, n, &first);
    enc->chars.seen = NORM_CHAR_BLANK;
    if (t->normalizer.n || !enc->slack) {
        if (normal_text(enc, p, n))
            return -1;
        p = (const uint8_t *)enc->normal.data + mark_room(enc);
        n = enc->normal.len - mark_room(enc);
        enc->in_raw = false;
    }
    enc->plain = t->pre.joins && !(enc->chars.seen & NORM_CHAR_BLANK);
    if (t->normalizer.n)
        first = enc->scratch.first_bytes;
    enc->first_end = enc->at_start ? p + first : p;
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

bool encoder_met_unknown(const struct encoder *enc)
{
    return enc->met_unknown;
}

/* For tokenizers that have no token for a word without one. */
static int only_known(struct encoder *enc, size_t first)
{
    const struct tok_ids *out = enc->out;

    for (size_t i = first; i < out->n && !enc->met_unknown; i++)
        enc->met_unknown = out->id[i] == VOCAB_NO_ID;
    return enc->met_unknown ? err_set(enc->e, ERR_DATA, "the vocabulary lacks a word of the text, "
                                      "and the tokenizer has no unknown token")
                            : 0;
}

int encoder_encode(struct encoder *enc, const char *text, size_t n, struct tok_ids *ids,
                   struct err *e)
{
    const struct tokenizer *t = enc->t;
    const uint8_t *p = (const uint8_t *)text;
    const bool fast = t->bert && t->added.normalized.n == 0 && !enc->watcher;
    const bool units = t->units && !enc->watcher;
    const size_t first = ids->n;
    struct added_walk walk = {0};
    struct added_piece piece;

    enc->out = ids;
    enc->end = enc->most ? ids->n + enc->most : SIZE_MAX;
    enc->e = e;
    enc->level = 0;
    enc->met_unknown = false;
    enc->queue[0].n = enc->queue[1].n = 0;
    while (added_next(&t->added, &t->added.raw, enc->specials, p, n, &walk, &piece)) {
        const uint8_t *at = p + piece.at;

        enc->in_raw = true;
        enc->at_start = piece.at == 0;
        if (piece.token ? put_added(enc, &piece, p)
            : fast      ? encoder_bert(enc, at, piece.n)
            : units     ? encoder_units(enc, at, piece.n)
            : tell(enc, ENCODER_STRETCH, at, piece.n, ids->n) != 0 ? -1
                        : encoder_text(enc, at, piece.n))
            return -1;
    }
    return t->lacks_unk ? only_known(enc, first) : 0;
}
