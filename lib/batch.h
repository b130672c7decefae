/* SPDX-License-Identifier: MIT */
/*
 * batch: what one micro-batch brings to the model, in host memory (L3).
 *
 * Sequences lie one behind the other without padding; `cu` says where each starts.
 */
#ifndef BERTUTILS_BATCH_H
#define BERTUTILS_BATCH_H

#include "err.h"
#include "template.h"
#include "tokstream.h"

#include <stddef.h>
#include <stdint.h>

struct row_id;

struct batch {
    int32_t n_tok, n_seq, max_len;
    int32_t *ids, *types, *positions; /* (n_tok); positions from 0 in each sequence */
    int32_t *cu;                      /* (n_seq + 1) */
    struct row_id *row;               /* (n_tok) record of the step, offset in the sequence */
    /* Rows that the head looks at: the first token of each sequence, or the masked places. */
    int32_t n_rows;
    int32_t *rows;   /* (n_rows) index of the token */
    int32_t *label;  /* (n_rows) class, or the id that was masked; -1: none */
    float *target;   /* (n_rows, n_targets) multi-label and regression, else NULL */
    float *weight;   /* (n_rows) */
    int32_t n_targets;
    /* capacities */
    size_t cap_tok, cap_seq, cap_rows;
};

/* Room for so much; 0 or -1 and *e. */
int batch_reserve(struct batch *b, size_t n_tok, size_t n_seq, size_t n_rows, int n_targets,
                  struct err *e) MUST_USE;
void batch_reset(struct batch *b); /* empty, memory kept */
void batch_free(struct batch *b);

/*
 * Appends one sequence, cut by template_keep; `record` is its place in the step (for the
 * random numbers).  Its first token becomes a row.  Returns its length, or -1.
 */
int batch_add(struct batch *b, const struct template *t, const struct toks_record *r,
              const struct template_limit *limit, uint32_t record, struct err *e) MUST_USE;

#endif
