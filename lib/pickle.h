/* SPDX-License-Identifier: MIT */
/*
 * pickle: the tensors of a pytorch_model.bin, read without running anything (L4).
 *
 * A pickle is a program for a stack machine that may call any Python function.  This
 * reader is a machine that knows only what torch.save writes for a dictionary of tensors:
 * an allow-list of opcodes, an allow-list of names, a stack of typed values.  Anything
 * else is ERR_DATA with the opcode or the name.  Sizes are checked against the storages,
 * storages against the file.  Two layouts are read: the zip archive (torch 1.6 and later;
 * stored entries, checksums verified when values are read) and the stream of pickles
 * before it.
 */
#ifndef BERTUTILS_PICKLE_H
#define BERTUTILS_PICKLE_H

#include "tensorfile.h"

/* Adds the tensors of a file to *l.  ERR_DATA when malformed or not allowed. */
int pickle_list(const struct tensorfile *f, struct stored_list *l,
                struct err *e) MUST_USE;

#endif
