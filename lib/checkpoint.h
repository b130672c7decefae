/* SPDX-License-Identifier: MIT */
/*
 * checkpoint: the state of a run in ROOT/STEP/, whole or not at all (L1).
 *
 * A checkpoint is a directory of files and a manifest.json with the size and XXH3-128 of
 * each.  It is written under a hidden name, every file and the directory synced, and
 * renamed; the one before it stays.  What the files mean is the caller's business.
 *
 *     checkpoint_begin(&c, "DIR.ckpt", step, &e)
 *     checkpoint_put(&c, "params", data, bytes, &e) ...
 *     checkpoint_commit(&c, keep, &e)               or checkpoint_abort(&c)
 *
 *     checkpoint_find(&f, "DIR.ckpt", msg, &e)      the newest that is whole
 *     checkpoint_get(&f, "params", data, bytes, &e)
 *     checkpoint_found_free(&f)
 */
#ifndef BERTUTILS_CHECKPOINT_H
#define BERTUTILS_CHECKPOINT_H

#include "err.h"
#include "msg.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct checkpoint {
    char *root, *temp, *path;
    int64_t step;
    json_t *files;
};

int checkpoint_begin(struct checkpoint *c, const char *root, int64_t step,
                     struct err *e) MUST_USE;
int checkpoint_put(struct checkpoint *c, const char *name, const void *data, size_t n,
                   struct err *e) MUST_USE;
/*
 * Makes the checkpoint count, then removes all but the newest `keep` (0: all but this
 * one, whatever their steps: the first checkpoint of a run that started afresh).
 */
int checkpoint_commit(struct checkpoint *c, int keep, struct err *e) MUST_USE;
void checkpoint_abort(struct checkpoint *c); /* fine after commit and on {0} */

struct checkpoint_found {
    char *path;
    int64_t step;
    json_t *files;
};

/*
 * The newest checkpoint whose files are as the manifest says: 1, or 0 when there is none
 * at all.  Damaged ones are passed over with a warning each; -1 and ERR_DATA when all
 * are.
 */
int checkpoint_find(struct checkpoint_found *f, const char *root, struct msg *m,
                    struct err *e) MUST_USE;
bool checkpoint_has(const struct checkpoint_found *f, const char *name);
/* A file of exactly n bytes. */
int checkpoint_get(const struct checkpoint_found *f, const char *name, void *data,
                   size_t n, struct err *e) MUST_USE;
/* A small file as text (malloc). */
char *checkpoint_text(const struct checkpoint_found *f, const char *name,
                      struct err *e) MUST_USE;
void checkpoint_found_free(struct checkpoint_found *f);

/* Leaves the newest `keep` checkpoints, and with 0 removes ROOT itself. */
int checkpoint_trim(const char *root, int64_t keep, struct err *e) MUST_USE;

#endif
