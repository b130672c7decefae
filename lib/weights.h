/* SPDX-License-Identifier: MIT */
/*
 * weights: tensors by name out of a checkpoint directory, and safetensors out of a model
 * (L4).
 *
 * Reads model.safetensors, model.safetensors.index.json with its shards,
 * pytorch_model.bin (zip and the older layout, and its index) through an allow-list
 * reader that can run nothing. safetensors are preferred.  F32, F16, BF16 and F64 become
 * F32.
 */
#ifndef BERTUTILS_WEIGHTS_H
#define BERTUTILS_WEIGHTS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct weights;

struct weight {
    const char *name;  /* as in the file */
    int n_dims;
    int64_t dims[8];
    int64_t n;         /* product of dims */
};

/*
 * ERR_NOINPUT when the directory has no weights, ERR_DATA naming file and tensor when
 * malformed.
 */
struct weights *weights_open(const char *dir, struct err *e) MUST_USE;
void weights_close(struct weights *w);
size_t weights_count(const struct weights *w);
const struct weight *weights_at(const struct weights *w, size_t i);
const struct weight *weights_find(const struct weights *w, const char *name);
/* All n values of a tensor as floats. */
int weights_read(const struct weights *w, const struct weight *t, float *to,
                 struct err *e) MUST_USE;

/* ---- writing safetensors ---- */
struct safetensor {
    const char *name;
    int n_dims;
    int64_t dims[2];
    int64_t n;
};
struct safetensors_file {
    const char *name; /* for messages */
    const struct safetensor *at;
    size_t n;
};
/*
 * Writes a safetensors file of F32 tensors to fd: header with __metadata__
 * {"format":"pt"}, tensors in the order of their names, no holes, 8 + header a multiple
 * of 8.  fill() is called for each in that order and gives its host data.
 */
int safetensors_write(int fd, const struct safetensors_file *file,
                      const float *(*fill)(void *ctx, size_t i, struct err *e), void *ctx,
                      struct err *e) MUST_USE;

#endif
