/* SPDX-License-Identifier: MIT */
/*
 * spmwrite: a Unigram vocabulary as a SentencePiece model file (L2).
 */
#ifndef BERTUTILS_SPMWRITE_H
#define BERTUTILS_SPMWRITE_H

#include "mem.h"
#include "vocablist.h"

/*
 * Appends the file's bytes.  The first n_special tokens of *v are control symbols: padding,
 * unknown, begin and end of a text, ...; the file has no normalization of its own.
 */
int spm_write(const struct vocablist *v, int n_special, struct buf *out,
              struct err *e) MUST_USE;

#endif
