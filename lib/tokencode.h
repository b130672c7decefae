/* SPDX-License-Identifier: MIT */
/*
 * tokencode: one thread's state while it encodes, and its memo of words (L2, private).
 *
 * In the memo a word of up to 24 bytes and its ids take one cache line; a word may be in one
 * of two neighbouring lines, the newer in the first.  Entries of raw text (a run of bytes
 * before normalization) share it under another tag.
 * Most of the time would go into waiting for these lines, so words wait in a queue while
 * theirs are fetched, and are looked up together.
 */
#ifndef BERTUTILS_TOKENCODE_H
#define BERTUTILS_TOKENCODE_H

#include "byteclass.h"
#include "normchars.h"
#include "presplit.h"
#include "tokrules.h"

#include <string.h>

enum { MEMO_BYTES = 4 << 20, MEMO_KEY = 24, MEMO_IDS = 9, MEMO_RAW = 0x80 };
/* Of raw text beside its length: at the very start of a text; with more of it before. */
enum { MEMO_START = 0x40, MEMO_INSIDE = 0x20 };
/* Of a word, beside its length: it is a later part of one. */
enum { MEMO_INNER = 0x40 };

struct memo_entry {
    uint64_t key[3];
    uint16_t starts; /* bit i: token i starts a word */
    uint8_t tag;     /* length of the key, MEMO_RAW for raw text; 0: empty */
    uint8_t n;
    uint32_t id[MEMO_IDS];
};

/* A word as the memo keys it. */
struct memo_key {
    uint64_t part[3];
};

struct queued {
    struct memo_key key;
    struct memo_entry *m; /* NULL: a word that the memo does not take, or a token */
    const uint8_t *p;     /* NULL: a word whose token is known */
    size_t n;             /* of the word, or that token's id */
    unsigned tag;
};

enum { QUEUE = 32 };

struct word_queue {
    struct queued at[QUEUE];
    unsigned n;
};

struct encoder {
    const struct tokenizer *t;
    const struct byteclass *bytes; /* the best; tests take all in turn */
    struct memo_entry *memo; /* (1 << (64 - memo_shift), 2), 64-byte aligned */
    unsigned memo_shift;
    void *memo_memory;
    struct tok_ids *out;     /* of the call at hand */
    struct norm_scratch scratch;
    struct norm_chars chars;
    bool plain; /* the text at hand has no blanks, and Metaspace comes next */
    struct bpe_scratch bpe;
    struct buf normal, piece, prefixed, lower;
    struct word_queue queue[2]; /* the second is for words within a piece of raw text */
    int level;                  /* the queue in use */
    size_t most;                /* ids of one text; 0: any number */
    size_t end;                 /* of *out, where there are too many */
    bool specials;
    bool slack; /* ENCODER_SLACK bytes may be read behind the texts that are given */
    struct presplit split;
    struct unigram_scratch unigram;
    struct bert_char *bert_char; /* what is known of characters, or NULL: see bertchars */
    struct bpe_chars *bpe_chars; /* the same for byte-level models: see bpechars */
    bool at_start;            /* the text at hand starts where the whole does */
    const uint8_t *first_end; /* up to where the normalized text is of its first character */
    const struct encoder_watcher *watcher; /* NULL: none */
    bool in_raw;                           /* the text at hand is the one that was given */
    bool met_unknown; /* see encoder_met_unknown */
    struct err *e; /* of the call at hand */
};

/* A text has more ids than it may have: -1 and the error. */
int encoder_too_many(struct encoder *enc);

/* Room for `more` ids behind those of *out, and some over, so that whole groups are written. */
static inline int encoder_room(struct encoder *enc, size_t more)
{
    struct tok_ids *out = enc->out;
    const size_t need = out->n + more + 16;

    if (out->n > enc->end)
        return encoder_too_many(enc);
    if (need <= out->cap && need <= out->start_cap)
        return 0;
    return mem_grow(&out->id, &out->cap, need, sizeof *out->id, enc->e) ||
                   mem_grow(&out->start, &out->start_cap, need, 1, enc->e)
               ? -1
               : 0;
}

/* The key of a word of n <= MEMO_KEY bytes at p, of which MEMO_KEY may be read. */
static inline struct memo_key memo_key(const uint8_t *p, size_t n)
{
    /* MEMO_KEY bytes of ones, and as many of zeros. */
    static const uint64_t keep[6] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, 0, 0};
    struct memo_key k;
    uint64_t mask[3];

    memcpy(k.part, p, sizeof k.part);
    memcpy(mask, (const uint8_t *)keep + (MEMO_KEY - n), sizeof mask);
    k.part[0] &= mask[0];
    k.part[1] &= mask[1];
    k.part[2] &= mask[2];
    return k;
}

static inline size_t memo_slot(const struct encoder *enc, const struct memo_key *k, unsigned tag)
{
    uint64_t h = (k->part[0] ^ tag) * 0x9e3779b97f4a7c15u;

    h ^= k->part[1] * 0xc2b2ae3d27d4eb4fu;
    h ^= k->part[2] * 0x165667b19e3779f9u;
    h ^= h >> 32;
    return (size_t)(h * 0xff51afd7ed558ccdu >> enc->memo_shift) * 2;
}

static inline bool memo_holds(const struct memo_entry *m, const struct memo_key *k,
                              unsigned tag)
{
    return ((m->key[0] ^ k->part[0]) | (m->key[1] ^ k->part[1]) | (m->key[2] ^ k->part[2]) |
            (uint64_t)(m->tag ^ tag)) == 0;
}

/* Writes an entry's ids and starts; there is room for MEMO_IDS. */
static inline void memo_emit(const struct memo_entry *m, uint32_t *id, uint8_t *start)
{
    /* Four bits become four bytes. */
    const uint32_t four = (m->starts & 15) * 0x204081u & 0x1010101u;

    memcpy(id, m->id, 4 * sizeof *id);
    for (unsigned i = 0; i < 4; i++)
        start[i] = (uint8_t)(four >> 8 * i);
    for (unsigned i = 4; i < m->n; i++) {
        id[i] = m->id[i];
        start[i] = m->starts >> i & 1;
    }
}

/* Remembers the ids written since out->n was `from`, when there are few enough, in m[0]. */
void memo_store(struct memo_entry *m, const struct memo_key *k, unsigned tag,
                const struct tok_ids *out, size_t from);

/* Appends the ids of a word by the model, without the memo. */
int encoder_model(struct encoder *enc, const uint8_t *word, size_t n) MUST_USE;

/* Looks up the words of the queue in use, asks the model for those not known, and empties it. */
int encoder_flush(struct encoder *enc) MUST_USE;

/*
 * Queues p[0..n-1], which must stay until the next encoder_flush; ENCODER_SLACK bytes may be
 * read behind it.  tag: 0 for a word, MEMO_INNER for part of one, MEMO_RAW for raw text that goes through encoder_text
 * when it is not known.
 */
static inline int encoder_queue(struct encoder *enc, const uint8_t *p, size_t n, unsigned tag)
{
    struct word_queue *queue = &enc->queue[enc->level];
    struct queued *q = &queue->at[queue->n++];

    q->p = p;
    q->n = n;
    q->m = NULL;
    q->tag = tag | (unsigned)n;
    if (n <= MEMO_KEY) {
        q->key = memo_key(p, n);
        q->m = &enc->memo[memo_slot(enc, &q->key, q->tag)];
        __builtin_prefetch(q->m);
        __builtin_prefetch(q->m + 1);
    } else {
        q->tag = tag;
    }
    return queue->n == QUEUE ? encoder_flush(enc) : 0;
}

/* Queues a word whose token is known. */
static inline int encoder_queue_id(struct encoder *enc, uint32_t id)
{
    struct word_queue *queue = &enc->queue[enc->level];
    struct queued *q = &queue->at[queue->n++];

    q->p = NULL;
    q->m = NULL;
    q->n = id;
    return queue->n == QUEUE ? encoder_flush(enc) : 0;
}

/* The same by models beside WordPiece and BPE over bytes: ids and how many, or -1. */
int64_t encoder_other_model(struct encoder *enc, const uint8_t *word, size_t n,
                            uint32_t *ids) MUST_USE;
/* Cuts normalized text by pre-tokenizers some of which have rules, and encodes its words. */
int encoder_split_rules(struct encoder *enc, const uint8_t *p, size_t n) MUST_USE;
/* Encodes a piece that only the last pre-tokenizer is still to cut. */
int encoder_last_step(struct encoder *enc, const uint8_t *p, size_t n) MUST_USE;
/* Encodes text between added tokens for tokenizers with t->units. */
int encoder_units(struct encoder *enc, const uint8_t *p, size_t n) MUST_USE;

/* Encodes text between added tokens, by the general path; it needs no slack. */
int encoder_text(struct encoder *enc, const uint8_t *p, size_t n) MUST_USE;

/* The same for BERT's rules (t->bert): ASCII in blocks, the rest by the general path. */
int encoder_bert(struct encoder *enc, const uint8_t *p, size_t n) MUST_USE;

#endif
