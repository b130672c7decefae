/* SPDX-License-Identifier: MIT */
/*
 * fuzz: what the fuzz targets share.
 *
 * Each fuzz_X.c has a function fuzz_X(data, n) that feeds any bytes to a reader and returns
 * 0.  `make fuzz` builds them with libFuzzer (clang); tests/unit/test_fuzz_weights.c calls
 * the same functions on the committed files and on mutations of them, without a fuzzer.
 */
#ifndef BERTUTILS_FUZZ_H
#define BERTUTILS_FUZZ_H

#include "err.h"
#include "tensorfile.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

int fuzz_safetensors(const uint8_t *data, size_t n);
int fuzz_pickle(const uint8_t *data, size_t n);
int fuzz_tokenizer(const uint8_t *data, size_t n);
int fuzz_encode(const uint8_t *data, size_t n);
int fuzz_input(const uint8_t *data, size_t n);
int fuzz_clean(const uint8_t *data, size_t n);
int fuzz_explain(const uint8_t *data, size_t n);
int fuzz_sentencepiece(const uint8_t *data, size_t n);

#ifdef FUZZ_MAIN
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
#define FUZZ_ENTRY(function)                                                                 \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) { return function(data, n); }
#else
#define FUZZ_ENTRY(function)
#endif

/* Reads what a file says it has.  A listed tensor lies inside its file, so n stays small. */
static inline void fuzz_read_all(const struct stored_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct err e = {0};
        float *to;

        if (l->at[i].type > STORED_F64)
            continue;
        if (l->at[i].w.n < 0 || (uint64_t)l->at[i].w.n > l->at[i].file->size)
            __builtin_trap();
        to = malloc((size_t)l->at[i].w.n * sizeof *to + 1);
        if (to && stored_read(&l->at[i], to, &e) && e.code != ERR_DATA)
            __builtin_trap();
        free(to);
    }
}

#endif
