/* SPDX-License-Identifier: MIT */
/*
 * scoring: a token stream through a model into a file of scores (L6).
 *
 * Constant memory: the rows of a block of the stream are written before the next block is
 * read, so that a pipe is scored as it fills.  The last row is written, and a file
 * published, only when the stream ended well.
 */
#ifndef BERTUTILS_SCORING_H
#define BERTUTILS_SCORING_H

#include "err.h"
#include "msg.h"
#include "opt.h"

#include <stdbool.h>
#include <stdint.h>

struct scoring {
    struct opt_common common;
    const char *model;    /* -m: a directory or a name; NULL: the default name */
    const char *out;      /* -o, or NULL: standard output */
    bool logits;          /* z: columns instead of p: */
    const char *embed;    /* "cls" or "mean": vectors instead of scores, no head needed */
    int64_t top;          /* not 0: columns for the best labels alone */
    int64_t max_len;      /* longest input, specials included; 0: the model's limit */
    const char *truncate; /* as template_read_cut reads it; NULL: as the model was trained */
    int64_t batch_tokens; /* tokens that go through the model at once */
};

/*
 * Scores the streams at paths[0..n-1] (none: standard input).  ERR_NOINPUT where model or
 * stream are absent, ERR_DATA where the model has no classification head, where its
 * tokenizer is another one than the stream's, or where the stream is damaged;  ERR_USAGE
 * where max_len is beyond the model.
 */
int scoring_run(const struct scoring *s, char *const *paths, int n, struct msg *m,
                struct err *e) MUST_USE;

#endif
