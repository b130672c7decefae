/* SPDX-License-Identifier: MIT */
/*
 * split: which record goes into which part, as a pure function of the seed, the number of
 * records and, when stratified, their labels (L3).
 */
#ifndef BERTUTILS_SPLIT_H
#define BERTUTILS_SPLIT_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPLIT_NONE UINT32_MAX /* the record is in no part */

struct split_part {
    char *name;
    double share;   /* of all records, 0..1; or < 0: `count` of them */
    uint64_t count; /* records; split_sizes turns shares into counts */
};

struct split {
    struct split_part *part;
    size_t n, cap;
};
void split_free(struct split *s);

/* "train=90%,dev=10%" or "dev=500,train=8051"; shares must not be over 100 % in all. */
int split_parse(struct split *s, const char *text, struct err *e) MUST_USE;
/* n equal parts named "0", "1", ... (first = 0) or "1", ... (first = 1). */
int split_equal(struct split *s, size_t n, size_t first, struct err *e) MUST_USE;
/* "500" or "10%" as one part. */
int split_sample(struct split *s, const char *text, struct err *e) MUST_USE;

/* The counts of m records; shares that are 100 % together leave no record out. */
int split_sizes(struct split *s, size_t m, struct err *e) MUST_USE;

/*
 * Deals m records into the parts, sizes as counted: part[i] is the part of record i or
 * SPLIT_NONE.  At random by (seed, draw); draws with different numbers have nothing to do
 * with each other.  With class (m), small numbers, each part gets its share of each class
 * to within about one record.
 */
int split_deal(const struct split *s, uint64_t seed, uint32_t draw, size_t m,
               const uint32_t *class, uint32_t *part, struct err *e) MUST_USE;
/* The same with runs: the first records into the first part and so on. */
void split_runs(const struct split *s, size_t m, uint32_t *part);

#endif
