/* SPDX-License-Identifier: MIT */
/*
 * schedule: how the learning rate changes over a run (L3).
 *
 * The factors are those of transformers' get_*_schedule (optimization.py, 5.23): linear,
 * constant (with warm-up), cosine (half a wave), poly (power 1, down to 1e-7), wsd
 * (warm-up, stable, the last 10 % decay linearly).  stlr is the slanted triangle of
 * Howard and Ruder, "Universal language model fine-tuning for text classification" (ACL
 * 2018), eq. 3, with a cut of 0.1 and a ratio of 32; it has its own warm-up.
 */
#ifndef BERTUTILS_SCHEDULE_H
#define BERTUTILS_SCHEDULE_H

#include "err.h"

#include <stdint.h>

enum schedule_kind { SCHEDULE_LINEAR, SCHEDULE_CONSTANT, SCHEDULE_COSINE, SCHEDULE_POLY,
                     SCHEDULE_WSD, SCHEDULE_STLR };

#define SCHEDULE_NAMES "linear|constant|cosine|poly|wsd|stlr"

struct schedule {
    enum schedule_kind kind;
    double lr;      /* the peak */
    int64_t warmup; /* steps */
    int64_t total;  /* steps of the whole run */
};

/*
 * `warmup` is "N" steps or "X%" of the run, rounded up.  ERR_USAGE for an unknown name, a
 * warm-up that is none, or poly with a rate that is not above its end, 1e-7.
 */
int schedule_init(struct schedule *s, const char *name, double lr, const char *warmup,
                  int64_t total, struct err *e) MUST_USE;

/* The rate of step 1, 2, ...: lr times the factor of step - 1. */
double schedule_lr(const struct schedule *s, int64_t step);

#endif
