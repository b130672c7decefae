/* SPDX-License-Identifier: MIT */
/*
 * pickle_vm: the machine that reads a pickle without running anything (L4).
 *
 * Opcodes outside the list are refused by name, and so is every global but those of
 * pickle_vm.c; calls are made only to three of them, and make a record here.  Values have
 * types, and each opcode checks those it takes.  Nothing recurses; the number of values
 * is limited by the pickle's length and by PICKLE_VALUES.
 */
#ifndef BERTUTILS_PICKLE_VM_H
#define BERTUTILS_PICKLE_VM_H

#include "tensorfile.h"

enum {
    PICKLE_BYTES = 32 << 20,  /* of one pickle */
    PICKLE_VALUES = 1 << 22   /* on the stack; in the memo; in containers together */
};

enum pickle_kind {
    PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_FLOAT, PICKLE_TEXT, PICKLE_TUPLE,
    PICKLE_LIST, PICKLE_DICT, PICKLE_GLOBAL, PICKLE_STORAGE, PICKLE_TENSOR
};

struct pickle_value {
    enum pickle_kind kind;
    uint32_t len;         /* of the text */
    union {
        int64_t number;   /* bool, int, global; index of a container, storage or tensor */
        const char *text; /* into the pickle, not NUL-terminated */
    } u;
};

/* A tuple, list or dictionary (key, value, key, value, ...). */
struct pickle_items {
    struct pickle_value *at;
    size_t n, cap;
};

struct pickle_storage {
    enum stored_type type;
    struct pickle_value key;
    int64_t n;                /* values in the whole storage */
    int64_t view_at, view_n;  /* the part of it that is meant */
};

struct pickle_tensor {
    size_t storage;
    int64_t offset;
    int n_dims;
    int64_t dims[STORED_DIMS], strides[STORED_DIMS];
};

struct pickle {
    const char *file; /* for messages */
    const unsigned char *start, *p, *end;
    struct pickle_value *stack, *memo;
    size_t n_stack, cap_stack, n_memo, cap_memo;
    size_t *marks;
    size_t n_marks, cap_marks;
    struct pickle_items *items;
    size_t n_items, cap_items, n_values;
    struct pickle_storage *storages;
    size_t n_storages, cap_storages;
    struct pickle_tensor *tensors;
    size_t n_tensors, cap_tensors;
    struct pickle_value top; /* what the pickle holds */
    struct err *e;
};

/*
 * Reads the pickle at data[0..n-1]; *used is its length.  data must outlive *p, which
 * needs pickle_free() in any case.  ERR_DATA when it is malformed or not allowed.
 */
int pickle_run(struct pickle *p, const char *file, const unsigned char *data, size_t n,
               size_t *used, struct err *e) MUST_USE;
void pickle_free(struct pickle *p);

/* Whether a value is this text. */
bool pickle_is(const struct pickle_value *v, const char *text);

#endif
