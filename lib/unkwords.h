/* SPDX-License-Identifier: MIT */
/*
 * unkwords: the words of texts that a tokenizer does not know, wholly or in a part (L2).
 *
 * Ids do not tell which word an unknown token was, so a text that has one is encoded once
 * more, watched; texts without cost nothing.  One a thread: what it found is counted in the
 * order of the records, so that the counts do not depend on threads.
 */
#ifndef BERTUTILS_UNKWORDS_H
#define BERTUTILS_UNKWORDS_H

#include "mem.h"
#include "tokenizer.h"
#include "topwords.h"

/* {0} is empty. */
struct unkwords {
    struct buf text; /* the words, as the model gets them, one after the other */
    size_t *end;     /* (n) where each ends in text */
    size_t n, cap;
    int64_t unk;
    struct tok_ids ids; /* work space */
};

/* Adds the unknown words of a text whose ids are ids[0..n_ids-1]; unk is below 0 for none. */
int unkwords_find(struct unkwords *u, struct encoder *enc, const char *text, size_t n,
                  const uint32_t *ids, size_t n_ids, struct err *e) MUST_USE;
/* Counts all that were found, and forgets them. */
void unkwords_count(struct unkwords *u, struct topwords *top);
void unkwords_free(struct unkwords *u);

#endif
