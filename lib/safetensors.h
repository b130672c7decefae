/* SPDX-License-Identifier: MIT */
/*
 * safetensors: a strict reader of the header of a safetensors file (L4).
 *
 * The format: 8 bytes little-endian N, N bytes of JSON, the values.  Every check of the
 * reference reader (safetensors 0.6, tensor.rs) is made: N <= 100,000,000, the JSON is
 * UTF-8 and an object, no key twice, known types, sizes that fit, offsets that cover the
 * values without hole or overlap up to the last byte of the file; and some that it leaves
 * out: at most 65,536 tensors of at most 8 dimensions, no unknown fields, metadata
 * {"format": "pt"} where there is a format.  The writer is safetensors_write(), see
 * weights.h.
 */
#ifndef BERTUTILS_SAFETENSORS_H
#define BERTUTILS_SAFETENSORS_H

#include "tensorfile.h"

enum { SAFETENSORS_HEADER_MAX = 100000000 };

/*
 * Adds the tensors of a file to *l, in the order of their values.  ERR_DATA when
 * malformed.
 */
int safetensors_list(const struct tensorfile *f, struct stored_list *l,
                     struct err *e) MUST_USE;

/*
 * The header of a file of F32 tensors: length, JSON, padding.  order[0..n-1] becomes the
 * order in the file (by name, as bytes); at[i] the place of tensor i behind the header.
 */
struct buf;
struct safetensors_file;
int safetensors_layout(const struct safetensors_file *file, struct buf *header, size_t *order,
                       uint64_t *at, struct err *e) MUST_USE;

#endif
