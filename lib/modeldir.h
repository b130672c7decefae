/* SPDX-License-Identifier: MIT */
/*
 * modeldir: a finished model directory appears as a whole or not at all (L4).
 *
 * It is built under a hidden temporary name beside its final one, every file synced, and
 * renamed; model.safetensors is the last file to be stamped.  With `force` an older model
 * stays until the new one is whole, and is then swapped; files in it that are no part of
 * a model are kept.  A directory that is there and holds no finished model (it may be
 * empty) is filled, model.safetensors last.  A finished model is a directory with
 * model.safetensors, or with config.json and weights of another kind.
 *
 *     modeldir_begin, modeldir_copy_tokenizer, modeldir_put ("provenance.json"),
 *     modeldir_put_model, modeldir_publish; modeldir_discard when something fails
 *
 * modeldir_publish frees what it can, also when it fails; modeldir_discard is then
 * harmless.
 */
#ifndef BERTUTILS_MODELDIR_H
#define BERTUTILS_MODELDIR_H

#include "err.h"
#include "model.h"

#include <stdbool.h>

struct modeldir {
    char *path, *temp; /* final and temporary name */
    bool force;
    bool filled; /* the directory is there and is filled: temp is inside it */
};

/*
 * ERR_CREATE when a finished model is there and force is not set, or the parent is not
 * writable.
 */
int modeldir_check(const char *path, bool force, struct err *e) MUST_USE;
int modeldir_begin(struct modeldir *d, const char *path, bool force,
                   struct err *e) MUST_USE;
/*
 * The tokenizer's files of `from`, byte for byte (whichever of the known ones are there).
 */
int modeldir_copy_tokenizer(struct modeldir *d, const char *from, struct err *e) MUST_USE;
int modeldir_put(struct modeldir *d, const char *name, const void *data, size_t n,
                 struct err *e) MUST_USE;
/* config.json and model.safetensors; params as in model_tensors. */
int modeldir_put_model(struct modeldir *d, struct model *m, const float *params, bool mlm,
                       struct err *e) MUST_USE;
/*
 * Gives the directory its name.  hash (33 bytes, or NULL) gets XXH3-128 hex of its files.
 */
int modeldir_publish(struct modeldir *d, char *hash, struct err *e) MUST_USE;
void modeldir_discard(struct modeldir *d);

/*
 * XXH3-128 over names, contents and sizes of config.json, model.safetensors and the
 * tokenizer's files, hex.  provenance.json is left out: it tells paths and threads.
 * ERR_NOINPUT when there is no model.safetensors.
 */
int modeldir_hash(const char *path, char hash[33], struct err *e) MUST_USE;

#endif
