/* SPDX-License-Identifier: MIT */
/*
 * vocabtrain: a tokenizer for a corpus that has none (L2).
 *
 *   WordPiece   BERT's words (its normalizer and pre-tokenizer), pairmerge.h
 *   BPE         the words of GPT-2's pattern as bytes, pairmerge.h
 *   Unigram     what is between blanks, normalized as ALBERT does, piecetrain.h
 *   word        BERT's words, the most frequent ones whole
 *
 * vocabfiles writes what was learnt as Hugging Face's files.
 */
#ifndef BERTUTILS_VOCABTRAIN_H
#define BERTUTILS_VOCABTRAIN_H

#include "clean.h"
#include "err.h"
#include "records.h"
#include "vocablist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vocab_kind { VOCAB_WORDPIECE, VOCAB_BPE, VOCAB_UNIGRAM, VOCAB_WORD };

struct vocab_options {
    enum vocab_kind kind;
    size_t size;        /* tokens in all */
    bool cased;         /* all but BPE, which always does: keep case and accents */
    uint64_t min_count; /* rarer pairs, pieces and words are no tokens */
    int threads;
    const struct cleaner *clean; /* what is done to the texts before; NULL: nothing */
};

struct vocab_totals {
    uint64_t records, words, distinct;
};

/* Counts the words of all records and trains; the same result for any number of threads. */
int vocab_train(struct records *in, const struct vocab_options *o, struct vocablist *result,
                struct vocab_totals *totals, struct err *e) MUST_USE;

/*
 * Writes tokenizer.json, the family's vocabulary (WordPiece, word: vocab.txt; BPE: vocab.json
 * and merges.txt; Unigram: spiece.model), tokenizer_config.json and special_tokens_map.json
 * into DIR, which is made when it is not there; all of them or none.
 * A DIR that has a tokenizer is refused (ERR_CREATE) unless `force` is set.
 */
int vocab_write(const char *dir, const struct vocab_options *o, const struct vocablist *v,
                bool force, struct err *e) MUST_USE;
int vocab_writable(const char *dir, bool force, struct err *e) MUST_USE;

/* The special tokens of a kind, in the order of their ids: padding, ... */
const char *const *vocab_specials(enum vocab_kind kind, int *n);

#endif
