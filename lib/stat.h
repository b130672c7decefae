/* SPDX-License-Identifier: MIT */
/*
 * stat: what is in a token stream, for people and as JSON (L1).
 */
#ifndef BERTUTILS_STAT_H
#define BERTUTILS_STAT_H

#include "intern.h"
#include "lengths.h"
#include "mem.h"
#include "screen.h"
#include "seen.h"
#include "tokstream.h"
#include "topwords.h"

/* {0} is empty and without bounds. */
struct stream_stat {
    /* Bounds of the memory, set before the first record; 0: none. */
    size_t most_labels;      /* different labels that are told apart */
    size_t most_texts;       /* different texts among which copies are looked for */

    uint64_t records, tokens, pairs, unk, unlabelled;
    uint64_t empty;          /* records without a token */
    uint64_t specials;       /* special tokens that were spelled out in texts */
    uint64_t invalid_utf8;   /* from the stream's END, or from who reads the text */
    uint64_t copies;         /* records whose tokens were there before */
    uint64_t contradictions; /* copies with another label than the first of them */
    struct lengths lengths;
    char *longest;           /* key of the (first) longest record */
    struct intern labels;
    uint64_t *label_count;   /* (labels.n) */
    size_t label_cap;
    uint64_t other_labels;   /* records whose label came after most_labels of them */
    struct seen seen;
    struct topwords *unknown; /* words that are unknown or have a part that is; or NULL */
};

/* One record more of a stream with that template. */
int stat_record(struct stream_stat *s, const struct template *t, const struct toks_record *r,
                struct err *e) MUST_USE;
/* All records of a block. */
int stat_add(struct stream_stat *s, const struct toks_header *h,
             const struct toks_block *b, struct err *e) MUST_USE;
void stat_free(struct stream_stat *s);

/*
 * As lines for people, or as one JSON object (shard(1) lists its members); t is NULL where the
 * stream's END was not read.
 */
int stat_table(const struct stream_stat *s, const struct toks_header *h,
               const struct toks_totals *t, const struct screen *screen, struct buf *out,
               struct err *e) MUST_USE;
int stat_json(const struct stream_stat *s, const struct toks_header *h,
              const struct toks_totals *t, struct buf *out, struct err *e) MUST_USE;

#endif
