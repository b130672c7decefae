/* SPDX-License-Identifier: MIT */
/*
 * tokhash: the hash of what a tokenizer does, however its files spell it.
 */
#include "tokrules.h"

#include <string.h>
#define XXH_INLINE_ALL /* many small facts */
#include <xxhash.h>

/* Small facts are hashed many at a time. */
struct hash {
    XXH3_state_t *state;
    size_t n;
    uint8_t bytes[4096];
};

static void hash_flush(struct hash *h)
{
    XXH3_128bits_update(h->state, h->bytes, h->n);
    h->n = 0;
}

static void hash_bytes(struct hash *h, const void *p, size_t n)
{
    if (n > sizeof h->bytes - h->n)
        hash_flush(h);
    if (n > sizeof h->bytes) {
        XXH3_128bits_update(h->state, p, n);
        return;
    }
    if (n)
        memcpy(h->bytes + h->n, p, n);
    h->n += n;
}

static inline void hash_number(struct hash *h, uint64_t v)
{
    if (sizeof h->bytes - h->n < 8)
        hash_flush(h);
    for (int i = 0; i < 8; i++)
        h->bytes[h->n + (size_t)i] = (uint8_t)(v >> 8 * i);
    h->n += 8;
}

static void hash_text(struct hash *h, const char *s, size_t n)
{
    hash_number(h, n);
    hash_bytes(h, s, n);
}

/* As hash_number and hash_text do; most tokens are short, and then copied without a call. */
static void hash_vocab(struct hash *h, const struct vocabmap *v)
{
    for (size_t id = 0; id < v->size; id++) {
        const struct vocab_token *token = &v->token[id];
        const char *text = v->bytes.data + token->at;

        if (token->len == VOCAB_UNUSED)
            continue;
        hash_number(h, id);
        hash_number(h, token->len);
        if (token->len <= VOCAB_SLACK && sizeof h->bytes - h->n >= VOCAB_SLACK) {
            memcpy(h->bytes + h->n, text, VOCAB_SLACK);
            h->n += token->len;
        } else {
            hash_bytes(h, text, token->len);
        }
    }
}

static void hash_template(struct hash *h, const struct template_piece *piece, int n)
{
    hash_number(h, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        hash_number(h, (uint64_t)(int64_t)piece[i].id);
        hash_number(h, (uint64_t)piece[i].type);
    }
}

static void hash_added(struct hash *h, const struct tokenizer *t)
{
    size_t normalized = 0;

    for (size_t i = 0; i < t->added.n; i++)
        normalized += t->added.at[i].normalized;
    hash_number(h, t->added.n);
    for (uint32_t id = 0; id < t->size; id++) {
        const struct added_token *next = added_by_id(&t->added, id);

        if (!next)
            continue;
        hash_number(h, next->id);
        hash_text(h, next->content, next->len);
        hash_number(h, (next->special ? ADDED_SPECIAL : 0) | (next->lstrip ? ADDED_LSTRIP : 0) |
                           (next->rstrip ? ADDED_RSTRIP : 0) |
                           (next->single_word ? ADDED_SINGLE : 0) |
                           /* Without a normalizer the flag tells nothing if all have it. */
                           (next->normalized &&
                                    (t->normalizer.n || normalized != t->added.n)
                                ? ADDED_NORMALIZED
                                : 0));
    }
}

/* Merges are summed up, so that the order of the table does not matter. */
static void hash_bpe(struct hash *h, const struct bpe *b)
{
    enum { SOME = 64 };
    uint64_t sum[2] = {0, 0}, held[SOME];

    for (size_t i = 0; i < b->slots; i += SOME) {
        size_t n = 0;

        /* The slots are a power of two, and at least so many; which are in use nobody guesses. */
        for (size_t k = 0; k < SOME; k++) {
            held[n] = b->slot[i + k];
            n += held[n] != 0;
        }
        for (size_t k = 0; k < n; k++) {
            const uint64_t fact[2] = {held[k], b->made[(held[k] & BPE_RANK_MASK) - 1]};
            const XXH128_hash_t one = XXH3_128bits(fact, sizeof fact);

            sum[0] += one.low64;
            sum[1] += one.high64;
        }
    }
    hash_number(h, b->merges);
    hash_number(h, sum[0]);
    hash_number(h, sum[1]);
    hash_number(h, b->bytes_only ? 0 : (uint64_t)(b->unk + 1));
    hash_number(h, !b->bytes_only && b->fuse_unk);
    hash_number(h, b->whole);
}

static void hash_chars(struct hash *h, const struct charbpe *c)
{
    const char *prefix = c->prefix ? c->prefix : "", *suffix = c->suffix ? c->suffix : "";

    hash_text(h, prefix, strlen(prefix));
    hash_text(h, suffix, strlen(suffix));
    hash_number(h, c->byte_fallback);
}

static void hash_unigram(struct hash *h, const struct unigram *u)
{
    hash_number(h, u->n);
    for (size_t i = 0; i < u->n; i++) {
        uint64_t bits;

        memcpy(&bits, &u->score[i], sizeof bits);
        hash_number(h, bits);
    }
    hash_number(h, (uint64_t)u->unk);
    hash_number(h, u->byte_fallback);
}

static void hash_model(struct hash *h, const struct tokenizer *t)
{
    switch (t->model) {
    case TOK_WORDPIECE:
        hash_text(h, t->prefix, strlen(t->prefix));
        hash_number(h, (uint64_t)t->wordpiece.unk);
        hash_number(h, t->wordpiece.max_chars);
        break;
    case TOK_BPE:
        hash_bpe(h, &t->bpe);
        if (t->chars.on)
            hash_chars(h, &t->chars);
        break;
    case TOK_UNIGRAM:
        hash_unigram(h, &t->unigram);
        break;
    case TOK_WORDS:
        hash_number(h, (uint64_t)t->words_unk);
        break;
    }
}

int tokrules_hash(struct tokenizer *t, struct err *e)
{
    struct hash whole = {.state = XXH3_createState()}, *h = &whole;
    XXH128_canonical_t canonical;

    if (!h->state)
        return err_oom(e, "hash", 0);
    XXH3_128bits_reset(h->state);
    hash_text(h, "bertutils tokenizer 1", 21);
    hash_number(h, t->model);
    hash_vocab(h, &t->vocab);
    hash_text(h, (const char *)t->normalizer.step, (size_t)t->normalizer.n);
    hash_text(h, (const char *)t->pre.step, (size_t)t->pre.n);
    hash_number(h, t->pre.prefix_space);
    /* What most tokenizers lack is left out, so that their hashes stay what they were. */
    if (t->normalizer.facts.len)
        hash_text(h, t->normalizer.facts.data, t->normalizer.facts.len);
    if (t->pre.facts.len)
        hash_text(h, t->pre.facts.data, t->pre.facts.len);
    for (int i = 0; i < t->pre.n; i++)
        if (t->pre.step[i] == PRE_BYTES)
            hash_number(h, (uint64_t)t->pre.rule[i].words << 1 | t->pre.rule[i].prefix);
    hash_model(h, t);
    hash_added(h, t);
    hash_template(h, t->template.single, t->template.n_single);
    hash_template(h, t->template.pair, t->template.n_pair);
    hash_flush(h);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(h->state));
    XXH3_freeState(h->state);
    for (size_t i = 0; i < sizeof canonical.digest; i++) {
        t->hash[2 * i] = "0123456789abcdef"[canonical.digest[i] >> 4];
        t->hash[2 * i + 1] = "0123456789abcdef"[canonical.digest[i] & 15];
    }
    return 0;
}
