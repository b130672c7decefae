/* SPDX-License-Identifier: MIT */
/*
 * vocabjson: a trained tokenizer as Hugging Face's JSON (L2, private to vocabfiles).
 *
 * All return NULL when out of memory, or, as jansson does, leave something out with errno
 * ENOMEM.
 */
#ifndef BERTUTILS_VOCABJSON_H
#define BERTUTILS_VOCABJSON_H

#include "vocabtrain.h"

#include <jansson.h>

/* vocab.json: token to id, in the order of ids. */
json_t *vocabjson_ids(const struct vocablist *v);
/* special_tokens_map.json */
json_t *vocabjson_specials(enum vocab_kind kind);
/* tokenizer_config.json */
json_t *vocabjson_config(const struct vocab_options *o);
/* tokenizer.json */
json_t *vocabjson_tokenizer(const struct vocab_options *o, const struct vocablist *v);

#endif
