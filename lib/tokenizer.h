/* SPDX-License-Identifier: MIT */
/*
 * tokenizer: text to ids exactly as Hugging Face `tokenizers` 0.23 does it (L2).
 *
 * The reference is tokenizers.Tokenizer.from_file(DIR/tokenizer.json) after no_truncation()
 * and no_padding(), with add_special_tokens=False.  A tokenizer is read-only once loaded and
 * shared by threads; each thread encodes with an encoder of its own, which holds its buffers
 * and its memo of words.
 *
 *     t = tokenizer_load(dir, &e);
 *     enc = encoder_new(t, &e);
 *     encoder_encode(enc, text, n, &ids, &e);    appends; nothing is allocated per token
 */
#ifndef BERTUTILS_TOKENIZER_H
#define BERTUTILS_TOKENIZER_H

#include "err.h"
#include "template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;
struct encoder;

/* Ids of one text, without special tokens.  {0} is empty; tok_ids_free releases it. */
struct tok_ids {
    uint32_t *id;   /* (n) */
    uint8_t *start; /* (n) 1 where a word (a pre-token) starts: for whole-word masking */
    size_t n, cap, start_cap;
};
void tok_ids_free(struct tok_ids *ids);

/*
 * Reads DIR/tokenizer.json; without one, vocab.txt (WordPiece) or vocab.json + merges.txt
 * (byte-level BPE) with tokenizer_config.json and special_tokens_map.json where they are.
 * Errors: ERR_NOINPUT when there is no tokenizer, ERR_DATA naming the file and the feature
 * when it is malformed or has something that is not implemented: never guessed.
 */
struct tokenizer *tokenizer_load(const char *dir, struct err *e) MUST_USE;
void tokenizer_free(struct tokenizer *t);

struct encoder *encoder_new(const struct tokenizer *t, struct err *e) MUST_USE;
void encoder_free(struct encoder *enc);

/*
 * Appends the ids of text[0..n-1] (UTF-8; what is invalid must have been replaced already) to
 * *ids.  Literal added tokens in the text become their ids, as in the reference, unless
 * encoder_specials_in_text(enc, false) was called.  Returns 0, or -1 and *e: out of memory, or
 * ERR_DATA for a word without a token where the tokenizer has no token for unknown ones.
 */
int encoder_encode(struct encoder *enc, const char *text, size_t n, struct tok_ids *ids,
                   struct err *e) MUST_USE;
void encoder_specials_in_text(struct encoder *enc, bool allowed);
/* True when the last text was refused for such a word. */
bool encoder_met_unknown(const struct encoder *enc);
/*
 * Promises that ENCODER_SLACK bytes can be read behind every text that will be given, whatever
 * they are; texts then need not be copied.
 */
enum { ENCODER_SLACK = 32 };
void encoder_slack_behind(struct encoder *enc);
/* A text of more than `most` ids is refused with ERR_DATA, soon after so many were made. */
void encoder_limit(struct encoder *enc, size_t most);
/* Remembers words in at most so many bytes, instead of 4 MiB; a larger memory takes over those known. */
int encoder_memory(struct encoder *enc, size_t bytes, struct err *e) MUST_USE;
/* Gives back work space that unusually long texts took. */
void encoder_slim(struct encoder *enc);

/*
 * What an encoder says of its work to one who watches: each stretch of the text between added
 * tokens, what it is when normalized, its words as the model gets them, and the added tokens.
 * The ids of an event are those from `first` on that are in *ids when it is told.
 */
struct encoder_event {
    enum { ENCODER_STRETCH, ENCODER_NORMALIZED, ENCODER_WORD, ENCODER_ADDED } kind;
    const uint8_t *p; /* (n) the bytes that it is about, until the callback returns */
    size_t n, first;
    bool raw; /* p is in the text that was given; else in a text that the encoder made */
};
struct encoder_watcher {
    int (*see)(void *ctx, const struct encoder_event *event, struct err *e); /* -1 ends all */
    void *ctx;
};
/* Every step is then really taken, without fast paths and memos; NULL: nobody watches. */
void encoder_watch(struct encoder *enc, const struct encoder_watcher *watcher);

/* "wordpiece", "bpe". */
const char *tokenizer_kind(const struct tokenizer *t);
/* 32 hex digits: XXH3-128 of the tokenizer's behaviour, however its files are spelled. */
const char *tokenizer_hash(const struct tokenizer *t);
/* Ids in use are all below this (the vocabulary and the added tokens). */
uint32_t tokenizer_size(const struct tokenizer *t);
/* How a model's input is made of one segment or two; also the ids of the special tokens. */
const struct template *tokenizer_template(const struct tokenizer *t);
/* The token of an id as the vocabulary spells it, NUL-terminated, or NULL. */
const char *tokenizer_token(const struct tokenizer *t, uint32_t id);
/* The id of a token, or -1. */
int64_t tokenizer_id(const struct tokenizer *t, const char *token);
bool tokenizer_is_special(const struct tokenizer *t, uint32_t id);

struct buf;
/* Appends the text of ids, as Tokenizer.decode(ids, skip_special_tokens=...) gives it. */
int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
                     bool skip_specials, struct buf *out, struct err *e) MUST_USE;

#endif
