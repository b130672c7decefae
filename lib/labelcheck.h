/* SPDX-License-Identifier: MIT */
/*
 * labelcheck: whether a column that was taken for the label, unasked, can be one (L1).
 *
 * A key or a free text has nearly as many values as there are records.  The first
 * LABEL_CHECK_RECORDS records are looked at, or all of a shorter text.
 */
#ifndef BERTUTILS_LABELCHECK_H
#define BERTUTILS_LABELCHECK_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { LABEL_CHECK_RECORDS = 1000, LABEL_CHECK_FEWEST = 10, LABEL_CHECK_SLOTS = 4096 };

struct label_check {
    uint64_t seen[LABEL_CHECK_SLOTS]; /* hashes, open addressing; 0 is free */
    uint64_t records, values;
};

void label_check_start(struct label_check *c);
/* One more label; judges after LABEL_CHECK_RECORDS.  -1 and ERR_USAGE. */
int label_check_add(struct label_check *c, const char *label, size_t n, const char *name,
                    struct err *e) MUST_USE;
/* At the end of a text. */
int label_check_end(const struct label_check *c, const char *name, struct err *e) MUST_USE;

#endif
