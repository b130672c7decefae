/* SPDX-License-Identifier: MIT */
/*
 * explain: how one text becomes tokens, step by step (L2).
 *
 * It watches the encoder that makes the ids of a stream (tokenizer.h), and refuses to explain
 * what that does otherwise when nobody watches.  Places are bytes; they are known where a
 * word is found in the normalized text and a token's spelling in its word, which is so for
 * WordPiece, BPE, Unigram and whole words alike.
 */
#ifndef BERTUTILS_EXPLAIN_H
#define BERTUTILS_EXPLAIN_H

#include "clean.h"
#include "io.h"
#include "mem.h"
#include "records.h"
#include "screen.h"
#include "tokenizer.h"

/* A range of bytes. */
struct explain_range {
    size_t from, to;
    bool known;
};

/* Why a word starts where it does. */
enum explain_split {
    SPLIT_START, SPLIT_ADDED, SPLIT_SPACE, SPLIT_PUNCTUATION, SPLIT_CJK, SPLIT_CONTRACTION,
    SPLIT_LETTERS, SPLIT_NUMBERS, SPLIT_SYMBOLS, SPLIT_RULE
};

/* What made a token. */
enum explain_by { BY_TEMPLATE, BY_ADDED, BY_WHOLE, BY_PART, BY_UNKNOWN };

/* A word (pre-token), or an added token that stands for itself. */
struct explain_word {
    struct explain_range normal, raw; /* in the normalized text, in the text */
    size_t first, n; /* its tokens */
    size_t text, text_len; /* in `words`: as the model gets it */
    enum explain_split split;
    bool added;
};

struct explain_token {
    uint32_t id;
    size_t word;
    struct explain_range normal, raw;
    enum explain_by by;
};

/* {0} is empty; used again, its memory is kept. */
struct explanation {
    const char *text; /* (n) as it was given */
    size_t n;
    struct buf normal; /* what the stretches between added tokens become, and these as they are */
    struct buf words;
    struct explain_word *word;   /* (n_words) */
    struct explain_token *token; /* (n_tokens) */
    size_t n_words, n_tokens, word_cap, token_cap;
    uint32_t *from, *to; /* (normal.len) of the bytes of the text that each byte came from */
    size_t from_cap, to_cap;
};
void explanation_free(struct explanation *x);

struct explainer;
struct explainer *explainer_new(const struct tokenizer *t, struct err *e) MUST_USE;
void explainer_specials_in_text(struct explainer *x, bool allowed);
void explainer_free(struct explainer *x);

/* Explains text[0..n-1], which must stay.  ERR_INTERNAL where the encoder contradicts itself. */
int explain(struct explainer *x, const char *text, size_t n, struct explanation *out,
            struct err *e) MUST_USE;

/* ---- printing ---- */

struct explain_print {
    const struct tokenizer *t;
    struct screen screen; /* a terminal: for people, coloured; else lines of fields */
    int64_t max_len;      /* special tokens included; 0: no limit */
};

/*
 * One record: segment a and perhaps b (else NULL) under the name `key`.  For what is no
 * terminal lines of fields between TABs, which tok(1) describes.
 */
int explain_print(const struct explain_print *p, const char *key, size_t key_len,
                  const struct explanation *a, const struct explanation *b, struct buf *out,
                  struct err *e) MUST_USE;

/* ---- whole jobs ---- */

struct explain_options {
    bool no_specials_in_text; /* "[SEP]" in a text is text */
    int64_t max_len;          /* special tokens included; 0: no limit */
    const struct cleaner *clean; /* what is done to the texts before; NULL: nothing */
};

/* Explains each of texts[0..n-1] (any bytes), or each record of `in`, on fd. */
int explain_texts(char *const *texts, int n, const struct tokenizer *t,
                  const struct explain_options *o, const struct io_out *out,
                  struct err *e) MUST_USE;
int explain_records(struct records *in, const struct tokenizer *t,
                    const struct explain_options *o, const struct io_out *out,
                    struct err *e) MUST_USE;

/* "start", "white space", ...; "whole word", "wordpiece", ... by the kind of tokenizer. */
const char *explain_split_name(enum explain_split split);
const char *explain_by_name(const struct tokenizer *t, enum explain_by by);

#endif
