/* SPDX-License-Identifier: MIT */
/*
 * torch_fixture: files of torch.save made by hand, right and wrong ones, for tests.
 *
 * A pickle is put together opcode by opcode in a struct buf; the functions end the test
 * program when memory runs out, since a test has nothing better to do.
 */
#ifndef BERTUTILS_TORCH_FIXTURE_H
#define BERTUTILS_TORCH_FIXTURE_H

#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static inline void put_bytes(struct buf *b, const void *data, size_t n)
{
    struct err e = {0};

    if (buf_add(b, data, n, &e))
        abort();
}

static inline void put_op(struct buf *b, int op)
{
    const unsigned char c = (unsigned char)op;

    put_bytes(b, &c, 1);
}

static inline void put_number(struct buf *b, uint64_t value, int bytes)
{
    put_bytes(b, &value, (size_t)bytes);
}

static inline void put_text(struct buf *b, const char *text)
{
    put_op(b, 'X');
    put_number(b, strlen(text), 4);
    put_bytes(b, text, strlen(text));
}

static inline void put_global(struct buf *b, const char *module, const char *name)
{
    put_op(b, 'c');
    put_bytes(b, module, strlen(module));
    put_op(b, '\n');
    put_bytes(b, name, strlen(name));
    put_op(b, '\n');
}

/* LONG1 of 8 bytes: any int64. */
static inline void put_int(struct buf *b, int64_t value)
{
    put_op(b, 0x8a);
    put_op(b, 8);
    put_number(b, (uint64_t)value, 8);
}

static inline void put_proto(struct buf *b)
{
    put_bytes(b, "\x80\x02", 2);
}

/* What differs between the tensors of the tests. */
struct fixture {
    const char *type, *key; /* "FloatStorage", "0" */
    int64_t n;              /* values that the storage says it has */
    int64_t offset, dims[3], strides[3];
    int n_dims;
    int64_t view_at, view_n; /* view_n < 0: none */
};

static inline struct fixture fixture_default(void)
{
    const struct fixture f = {.type = "FloatStorage", .key = "0", .n = 6, .dims = {2, 3},
                              .strides = {3, 1}, .n_dims = 2, .view_n = -1};

    return f;
}

static inline void put_storage(struct buf *b, const struct fixture *f)
{
    put_op(b, '(');
    put_text(b, "storage");
    put_global(b, "torch", f->type);
    put_text(b, f->key);
    put_text(b, "cpu");
    put_int(b, f->n);
    if (f->view_n >= 0) {
        put_text(b, "view");
        put_int(b, f->view_at);
        put_int(b, f->view_n);
        put_op(b, 0x87);
    }
    put_op(b, 't');
    put_op(b, 'Q');
}

static inline void put_counts(struct buf *b, const int64_t *at, int n)
{
    put_op(b, '(');
    for (int i = 0; i < n; i++)
        put_int(b, at[i]);
    put_op(b, 't');
}

static inline void put_tensor(struct buf *b, const struct fixture *f)
{
    put_global(b, "torch._utils", "_rebuild_tensor_v2");
    put_op(b, '(');
    put_storage(b, f);
    put_int(b, f->offset);
    put_counts(b, f->dims, f->n_dims);
    put_counts(b, f->strides, f->n_dims);
    put_op(b, 0x89);
    put_global(b, "collections", "OrderedDict");
    put_bytes(b, ")RtR", 4);
}

/* {name: tensor} as a whole pickle. */
static inline void put_dict(struct buf *b, const char *name, const struct fixture *f)
{
    put_proto(b);
    put_op(b, '}');
    put_text(b, name);
    put_tensor(b, f);
    put_bytes(b, "s.", 2);
}

/* ---- the layout before torch 1.6 ---- */

static inline void put_legacy_start(struct buf *b, int protocol, bool little_endian)
{
    put_bytes(b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 15);
    put_proto(b);
    put_int(b, protocol);
    put_op(b, '.');
    put_proto(b);
    put_op(b, '}');
    put_text(b, "little_endian");
    put_op(b, little_endian ? 0x88 : 0x89);
    put_bytes(b, "s.", 2);
}

static inline void put_legacy_keys(struct buf *b, const char *const *keys, int n)
{
    put_proto(b);
    put_bytes(b, "](", 2);
    for (int i = 0; i < n; i++)
        put_text(b, keys[i]);
    put_bytes(b, "e.", 2);
}

/* n floats 0, 1, 2, ... behind their number. */
static inline void put_legacy_values(struct buf *b, int64_t says, int n)
{
    put_number(b, (uint64_t)says, 8);
    for (int i = 0; i < n; i++) {
        const float x = (float)i;

        put_bytes(b, &x, sizeof x);
    }
}

/* ---- the zip layout ---- */

struct zip_part {
    const char *name;
    const void *data;
    size_t n;
    uint32_t wrong_crc; /* xor */
    int method, flags;
};

static inline void put_zip_header(struct buf *b, const struct zip_part *p, uint64_t at,
                                  bool central, bool zip64)
{
    const uint32_t crc = (uint32_t)crc32_z(0, p->data, p->n) ^ p->wrong_crc;

    put_number(b, central ? 0x02014b50 : 0x04034b50, 4);
    if (central)
        put_number(b, 45, 2);
    put_number(b, 45, 2);
    put_number(b, (uint64_t)p->flags, 2);
    put_number(b, (uint64_t)p->method, 2);
    put_number(b, 0, 4);
    put_number(b, crc, 4);
    put_number(b, central && zip64 ? UINT32_MAX : p->n, 4);
    put_number(b, central && zip64 ? UINT32_MAX : p->n, 4);
    put_number(b, strlen(p->name), 2);
    put_number(b, central && zip64 ? 28 : 0, 2);
    if (central) {
        put_number(b, 0, 2);
        put_number(b, 0, 2);
        put_number(b, 0, 2);
        put_number(b, 0, 4);
        put_number(b, zip64 ? UINT32_MAX : at, 4);
    }
    put_bytes(b, p->name, strlen(p->name));
    if (central && zip64) {
        put_number(b, 1, 2);
        put_number(b, 24, 2);
        put_number(b, p->n, 8);
        put_number(b, p->n, 8);
        put_number(b, at, 8);
    }
}

static inline void put_zip(struct buf *b, const struct zip_part *parts, size_t n, bool zip64)
{
    uint64_t *at = calloc(n + 1, sizeof *at), directory, end;

    if (!at)
        abort();
    for (size_t i = 0; i < n; i++) {
        at[i] = b->len;
        put_zip_header(b, &parts[i], at[i], false, zip64);
        put_bytes(b, parts[i].data, parts[i].n);
    }
    directory = b->len;
    for (size_t i = 0; i < n; i++)
        put_zip_header(b, &parts[i], at[i], true, zip64);
    end = b->len;
    if (zip64) {
        put_number(b, 0x06064b50, 4);
        put_number(b, 44, 8);
        put_number(b, 45, 2);
        put_number(b, 45, 2);
        put_number(b, 0, 4);
        put_number(b, 0, 4);
        put_number(b, n, 8);
        put_number(b, n, 8);
        put_number(b, end - directory, 8);
        put_number(b, directory, 8);
        put_number(b, 0x07064b50, 4);
        put_number(b, 0, 4);
        put_number(b, end, 8);
        put_number(b, 1, 4);
    }
    put_number(b, 0x06054b50, 4);
    put_number(b, 0, 4);
    put_number(b, zip64 ? 0xffff : n, 2);
    put_number(b, zip64 ? 0xffff : n, 2);
    put_number(b, zip64 ? UINT32_MAX : end - directory, 4);
    put_number(b, zip64 ? UINT32_MAX : directory, 4);
    put_number(b, 0, 2);
    free(at);
}

#endif
