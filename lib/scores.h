/* SPDX-License-Identifier: MIT */
/*
 * scores: the TSV that `score` and `finetune --predictions` write and `mcc` reads (L5).
 *
 * One header line, then one line a record; scores(5) is the page for users:
 *
 *     key  gold  pred  p:LABEL...     probabilities, in the model's label order
 *     key  gold  pred  z:LABEL...     the same with logits
 *     key  gold  pred  top1 p1 ...    the K best labels and their values; z1 with logits
 *     key  gold  e:1 e:2 ...          an embedding
 *     key  gold  pred                 regression; with logits one column more, z:value
 *
 * The writer turns logits into probabilities and a prediction itself, so that every tool
 * writes the same bytes for the same logits:
 *
 *     struct scores_writer w;
 *     const struct scores_format f = {.kind = SCORES_SINGLE, .labels = l, .n_labels = 2};
 *
 *     scores_begin(&w, out.fd, out.name, &f, e)
 *     scores_row(&w, key, key_len, gold, gold_len, logits, e)     once a record
 *     the input ended well:  scores_end(&w, e), then io_publish(&out, e)
 *     anything failed:       scores_abort(&w), then io_discard(&out)
 *
 * The writer always holds back the last line that it was given.  scores_end alone writes
 * it, so output whose input was cut lacks at least its last row.
 */
#ifndef BERTUTILS_SCORES_H
#define BERTUTILS_SCORES_H

#include "err.h"
#include "mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scores_kind {
    SCORES_SINGLE, /* one of n_labels classes: softmax, the first largest is predicted */
    SCORES_MULTI, /* any of n_labels: sigmoid, those over their threshold are predicted */
    SCORES_REGRESSION, /* one number */
    SCORES_VECTOR      /* n_labels numbers that are no scores: an embedding; write only */
};

/*
 * What a file of scores holds.  The arrays belong to the caller and must outlive the
 * writer.
 */
struct scores_format {
    enum scores_kind kind;
    bool logits;               /* z: columns instead of p: */
    const char *const *labels; /* [n_labels], the model's order; of classes alone */
    size_t n_labels;           /* regression: 0 or 1; of a vector its length */
    const double *thresholds;  /* [n_labels] for SCORES_MULTI; NULL: 0.5 each */
    size_t top; /* not 0: the best `top` labels alone, of n_labels at most */
};

struct scores_writer {
    struct scores_format f;
    int fd;
    const char *name; /* of the output, for messages */
    struct buf out;   /* lines on their way */
    size_t held;      /* where in `out` the line held back starts */
    double *p;        /* [n_labels] */
    size_t *best;     /* [n_labels] labels, the best `top` first; NULL without top */
};

/*
 * Starts a file on fd.  ERR_DATA where a label is empty, holds a TAB or line end or
 * stands twice, or holds a comma in a multi-label model; ERR_USAGE for `top` and a
 * regression; ERR_INTERNAL without memory.
 * After a failure *w needs no scores_abort (which is allowed all the same).
 */
int scores_begin(struct scores_writer *w, int fd, const char *name,
                 const struct scores_format *f, struct err *e) MUST_USE;

/*
 * Adds a row.  key: the record's key; gold: its label, NULL or gold_len 0 where there is
 * none (multi-label: labels joined by commas); logits: [n_labels], regression: [1].
 * ERR_DATA where key or gold holds a TAB or line end, ERR_RUN where a logit is no finite
 * number, ERR_IO where writing fails.
 */
int scores_row(struct scores_writer *w, const char *key, size_t key_len, const char *gold,
               size_t gold_len, const float *logits, struct err *e) MUST_USE;

/* Writes what is buffered now, but for the line held back: for output someone watches. */
int scores_flush(struct scores_writer *w, struct err *e) MUST_USE;

/* The input ended well: writes the rest, the last line included, and frees *w. */
int scores_end(struct scores_writer *w, struct err *e) MUST_USE;

/* The input did not end well: frees *w and writes nothing more. */
void scores_abort(struct scores_writer *w);

/* Softmax of n logits (p may be logits) and logistic function; no overflow on the way. */
void scores_softmax(const double *logits, size_t n, double *p);
double scores_sigmoid(double logit);

/*
 * A file of scores in memory, for metrics.  Only rows with gold are kept; p: columns are
 * as read, z: columns have gone through softmax or sigmoid.
 */
struct scores {
    enum scores_kind kind;
    bool logits;   /* the file had z: columns */
    char **labels; /* [n_labels] in the file's order; none for regression */
    size_t n_labels;
    size_t n;                        /* rows kept */
    size_t skipped;                  /* rows without gold */
    int32_t *gold, *pred;            /* SCORES_SINGLE: [n], numbers of labels */
    uint8_t *gold_set, *pred_set;    /* SCORES_MULTI: [n][n_labels], 0 or 1 */
    double *gold_value, *pred_value; /* SCORES_REGRESSION: [n] */
    double *p;       /* [n][n_labels] probabilities; NULL where the file has none */
    char *keys;      /* the keys, one behind the other; kept for paired tests */
    size_t *key_end; /* [n], where each ends in `keys` */
};

/* What the caller knows about a file that its header does not say. */
enum scores_expect { SCORES_ANY = -1 }; /* or one of enum scores_kind */

/*
 * Reads a whole file ("-": standard input).  `kind` is SCORES_ANY or the kind it must
 * have; with SCORES_ANY a file is multi-label when a prediction or a gold field is no
 * single label, or when its p: columns do not sum to one.  Errors: ERR_NOINPUT (absent or
 * empty), ERR_DATA with "FILE:LINE: ", ERR_IO, ERR_INTERNAL.  *s needs scores_free after
 * success.
 */
int scores_read(const char *path, int kind, struct scores *s, struct err *e) MUST_USE;
void scores_free(struct scores *s);

#endif
