/* SPDX-License-Identifier: MIT */
/*
 * stat: what is in a token stream, for people and as JSON (L3).
 */
#ifndef BERTUTILS_STAT_H
#define BERTUTILS_STAT_H

#include "intern.h"
#include "mem.h"
#include "seen.h"
#include "tokstream.h"

enum { STAT_LIMITS = 6 };
extern const int stat_limits[STAT_LIMITS]; /* 32 .. 512 */

/* {0} is empty. */
struct stream_stat {
    uint64_t records, tokens, pairs, unk, unlabelled, weighted;
    uint64_t copies;         /* records whose tokens were there before */
    uint64_t contradictions; /* copies with another label than the first of them */
    uint64_t cut_records[STAT_LIMITS], cut_tokens[STAT_LIMITS];
    struct intern labels;
    uint64_t *label_count;   /* (labels.n) */
    size_t label_cap;
    uint64_t
        *by_length; /* (n_lengths) records of so many tokens, special ones included */
    size_t n_lengths, length_cap;
    struct seen seen;
};

int stat_add(struct stream_stat *s, const struct toks_header *h,
             const struct toks_block *b, struct err *e) MUST_USE;
void stat_free(struct stream_stat *s);

int stat_table(const struct stream_stat *s, const struct toks_header *h,
               const struct toks_totals *t, struct buf *out, struct err *e) MUST_USE;
int stat_json(const struct stream_stat *s, const struct toks_header *h,
              const struct toks_totals *t, struct buf *out, struct err *e) MUST_USE;

#endif
