/* SPDX-License-Identifier: MIT */
/*
 * labels: the labels of a stream, strings there, as a model's targets (L3).
 *
 *   LABELS_SINGLE      one class name a record
 *   LABELS_MULTI       names joined by commas; an empty label is a record without any of
 * them LABELS_REGRESSION  one number
 *
 * Class names are ordered as numbers when all of them are integers, else by bytes.  A
 * record has no label when its label is absent or (but for LABELS_MULTI) empty.
 */
#ifndef BERTUTILS_LABELS_H
#define BERTUTILS_LABELS_H

#include "dataset.h"
#include "err.h"
#include "intern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum labels_kind { LABELS_SINGLE, LABELS_MULTI, LABELS_REGRESSION };

struct labels {
    enum labels_kind kind;
    char **name;          /* (n) the classes in order; regression: one, LABEL_0 */
    int n;
    struct intern index;  /* names to numbers in order of appearance */
    int32_t *class_of;    /* (index.n) number to class */
    size_t labelled, unlabelled; /* records of the stream that was read */
};

/*
 * Collects the classes of all labelled records.  ERR_DATA where a label cannot be read as
 * the kind, or where fewer than two classes (multi-label: one) are there to be told
 * apart.
 */
int labels_learn(struct labels *l, enum labels_kind kind, const struct dataset *d,
                 struct err *e) MUST_USE;
/*
 * Puts the classes in the order of names[n] when these are the same ones; true when they
 * are. For checkpoints whose head already knows them.
 */
bool labels_adopt_order(struct labels *l, char *const *names, int n);
void labels_free(struct labels *l);

bool labels_has(enum labels_kind kind, const struct toks_record *r);

/*
 * Reads a record's label: *class for LABELS_SINGLE, target[n] for the others.  Returns 0,
 * or -1 and ERR_DATA naming the stream and the record when the label is not among the
 * classes.
 */
int labels_read(const struct labels *l, const struct dataset *d,
                const struct toks_record *r, int32_t *class, float *target,
                struct err *e) MUST_USE;

#endif
