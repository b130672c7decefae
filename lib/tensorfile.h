/* SPDX-License-Identifier: MIT */
/*
 * tensorfile: what the readers of checkpoint files have in common (L4).
 *
 * A tensorfile is an open file of which pieces are read at given places, never mapped: a
 * file that shrinks while it is read gives an error and no SIGBUS.  safetensors.c and
 * pickle.c list the tensors of one; stored_read() turns any of them into floats.
 */
#ifndef BERTUTILS_TENSORFILE_H
#define BERTUTILS_TENSORFILE_H

#include "err.h"
#include "weights.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORED_DIMS = 8, STORED_MAX = 65536 /* tensors of one checkpoint */ };

struct tensorfile {
    char *name; /* for messages */
    int fd;     /* -1: the bytes are in memory */
    const unsigned char *mem;
    uint64_t size;
};

/* ERR_NOINPUT when absent, ERR_DATA when it is no regular file, ERR_IO else. */
int tensorfile_open(struct tensorfile *f, const char *path, struct err *e) MUST_USE;
/* Bytes that the caller keeps: for tests and fuzzers. */
int tensorfile_memory(struct tensorfile *f, const char *name, const void *data, size_t n,
                      struct err *e) MUST_USE;
void tensorfile_close(struct tensorfile *f);
/* Exactly n bytes from place `at`; ERR_DATA where the file ends before. */
int tensorfile_read(const struct tensorfile *f, uint64_t at, void *to, size_t n,
                    struct err *e) MUST_USE;
/* The same in memory of its own (malloc, a NUL behind it). */
unsigned char *tensorfile_get(const struct tensorfile *f, uint64_t at, size_t n,
                              struct err *e) MUST_USE;

enum stored_type {
    STORED_F32, STORED_F16, STORED_BF16, STORED_F64, /* the ones that stored_read reads */
    STORED_BOOL, STORED_U8, STORED_I8, STORED_U16, STORED_I16, STORED_U32, STORED_I32,
    STORED_U64, STORED_I64, STORED_F8_E4M3, STORED_F8_E5M2, STORED_F8_E8M0, STORED_F4,
    STORED_F6_E2M3, STORED_F6_E3M2, STORED_C64, STORED_TYPES
};
/* The name of a type as safetensors spells it, and the number of bits of a value. */
const char *stored_type_name(enum stored_type t);
int stored_type_bits(enum stored_type t);
/* The type that safetensors calls so, or -1. */
int stored_type_find(const char *name);

/* A tensor in a file. */
struct stored {
    struct weight w;
    enum stored_type type;
    const struct tensorfile *file;
    uint64_t at;                  /* of the first value */
    bool strided;                 /* values do not lie one behind the other */
    int64_t strides[STORED_DIMS]; /* in values */
    bool checked;                 /* the bytes of its entry have a CRC-32 */
    uint64_t entry_at, entry_size;
    uint32_t crc;
};

struct stored_list {
    struct stored *at;
    size_t n, cap;
};

/*
 * Adds a tensor, its name copied from name[0..len-1].  Checks the number of dimensions,
 * that the product of the dimensions fits (w.n is filled in), that the name holds no NUL,
 * and the limit on the number of tensors:  ERR_DATA.  The caller fills in where the
 * values are.
 */
struct stored *stored_add(struct stored_list *l, const struct tensorfile *f,
                          const char *name, size_t len, const int64_t *dims, int n_dims,
                          enum stored_type type, struct err *e) MUST_USE;
/* Sorts by name; two tensors of one name are ERR_DATA. */
int stored_sort(struct stored_list *l, struct err *e) MUST_USE;
void stored_list_free(struct stored_list *l);

/* All w.n values as floats; ERR_DATA where they are no F32, F16, BF16 or F64. */
int stored_read(const struct stored *t, float *to, struct err *e) MUST_USE;

/* a * b and a + b of sizes from files: false when they do not fit. */
bool fits_mul(uint64_t a, uint64_t b, uint64_t *result);
bool fits_add(uint64_t a, uint64_t b, uint64_t *result);

#endif
