/* SPDX-License-Identifier: MIT */
/*
 * vocabjson: a trained tokenizer as Hugging Face's JSON (L2, private to vocabfiles).
 */
#ifndef BERTUTILS_VOCABJSON_H
#define BERTUTILS_VOCABJSON_H

#include "mem.h"
#include "vocabtrain.h"

#include <jansson.h>

/* special_tokens_map.json.  NULL, or errno ENOMEM and something left out: out of memory. */
json_t *vocabjson_specials(enum vocab_kind kind);
/* tokenizer_config.json; the same. */
json_t *vocabjson_config(const struct vocab_options *o);

/* Appends vocab.json: token to id, in the order of ids. */
int vocabjson_ids(const struct vocablist *v, struct buf *out, struct err *e) MUST_USE;
/* Appends tokenizer.json. */
int vocabjson_tokenizer(const struct vocab_options *o, const struct vocablist *v,
                        struct buf *out, struct err *e) MUST_USE;

#endif
