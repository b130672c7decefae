/* SPDX-License-Identifier: MIT */
/*
 * report: metrics as text, for people and for programs (L5).
 *
 * Every function adds to `out` and returns 0, or -1 and *e.  Numbers meant for programs
 * have the fewest digits that read back as the same double; an undefined one is nan, in
 * JSON null.
 */
#ifndef BERTUTILS_REPORT_H
#define BERTUTILS_REPORT_H

#include "err.h"
#include "mem.h"
#include "metrics.h"
#include "scores.h"

#include <stddef.h>

/* What there is to report about one file. */
struct report {
    const struct scores *s;
    const struct metrics *m;
    const struct metrics_interval *interval; /* [METRIC_COUNT], NaN where there is none */
    size_t times; /* resamples behind the intervals; 0: none were made */
    size_t batch; /* rows a batch, for MCC per batch; 0: none wanted */
};

/* The fewest digits that read back as x; "nan" where it is undefined. */
int report_number(double x, struct buf *out, struct err *e) MUST_USE;

int report_table(const struct report *r, struct buf *out, struct err *e) MUST_USE;
int report_json(const struct report *r, struct buf *out, struct err *e) MUST_USE;

/*
 * Lines "batch TAB rows TAB mcc" under a header, then "Total MCC: %.3f".  Needs r->batch.
 */
int report_batches(const struct report *r, struct buf *out, struct err *e) MUST_USE;

/* TSV with a header line. */
int report_per_class(const struct report *r, struct buf *out, struct err *e) MUST_USE;
int report_calibration(const struct report *r, struct buf *out, struct err *e) MUST_USE;
int report_confusion(const struct report *r, struct buf *out, struct err *e) MUST_USE;

/* Two classifiers; the names stand at the top of the table. */
int report_paired(const struct metrics_paired *p, size_t n, const char *a, const char *b,
                  struct buf *out, struct err *e) MUST_USE;
int report_paired_json(const struct metrics_paired *p, size_t n, struct buf *out,
                       struct err *e) MUST_USE;

#endif
