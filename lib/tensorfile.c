/* SPDX-License-Identifier: MIT */
#include "tensorfile.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "checkpoint files are little-endian and are read without swapping"
#endif

enum { CHUNK = 1 << 20 }; /* bytes converted at a time */

bool fits_mul(uint64_t a, uint64_t b, uint64_t *result)
{
    return !__builtin_mul_overflow(a, b, result);
}

bool fits_add(uint64_t a, uint64_t b, uint64_t *result)
{
    return !__builtin_add_overflow(a, b, result);
}

/* ---- files ---- */

int tensorfile_open(struct tensorfile *f, const char *path, struct err *e)
{
    struct stat st;

    *f = (struct tensorfile){.fd = -1};
    f->name = mem_dup(path, e);
    if (!f->name)
        return -1;
    /* O_NONBLOCK: a FIFO of that name must not hang the tool. */
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0) {
        err_sys(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOINPUT : ERR_IO,
                "cannot open '%s'", path);
        goto fail;
    }
    if (fstat(f->fd, &st) != 0) {
        err_sys(e, ERR_IO, "cannot read '%s'", path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_DATA, "'%s' is not a regular file", path);
        goto fail;
    }
    f->size = (uint64_t)st.st_size;
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_WILLNEED); /* read ahead of who asks for it */
    return 0;
fail:
    tensorfile_close(f);
    return -1;
}

int tensorfile_memory(struct tensorfile *f, const char *name, const void *data, size_t n,
                      struct err *e)
{
    *f = (struct tensorfile){.fd = -1, .mem = data, .size = n};
    f->name = mem_dup(name, e);
    return f->name ? 0 : -1;
}

void tensorfile_close(struct tensorfile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->name);
    *f = (struct tensorfile){.fd = -1};
}

int tensorfile_read(const struct tensorfile *f, uint64_t at, void *to, size_t n,
                    struct err *e)
{
    char *p = to;

    if (at > f->size || n > f->size - at)
        return err_set(e, ERR_DATA, "'%s' ends early: %zu bytes at %llu are not there",
                       f->name, n, (unsigned long long)at);
    if (f->fd < 0) {
        if (n)
            memcpy(to, f->mem + at, n);
        return 0;
    }
    while (n > 0) {
        const ssize_t got = pread(f->fd, p, n, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, ERR_IO, "cannot read '%s'", f->name);
        if (got == 0)
            return err_set(e, ERR_DATA, "'%s' became shorter while it was read", f->name);
        p += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

unsigned char *tensorfile_get(const struct tensorfile *f, uint64_t at, size_t n,
                              struct err *e)
{
    unsigned char *data;

    /* Before the memory is asked for: a size that the file claims need not be there. */
    if (at > f->size || n > f->size - at) {
        err_set(e, ERR_DATA, "'%s' ends early: %zu bytes at %llu are not there", f->name,
                n, (unsigned long long)at);
        return NULL;
    }
    data = malloc(n + 1);
    if (!data) {
        err_oom(e, f->name, n);
        return NULL;
    }
    if (tensorfile_read(f, at, data, n, e)) {
        free(data);
        return NULL;
    }
    data[n] = '\0';
    return data;
}

/* ---- types ---- */

static const struct {
    const char *name;
    int bits;
} stored_types[STORED_TYPES] = {
    [STORED_F32] = {"F32", 32},         [STORED_F16] = {"F16", 16},
    [STORED_BF16] = {"BF16", 16},       [STORED_F64] = {"F64", 64},
    [STORED_BOOL] = {"BOOL", 8},        [STORED_U8] = {"U8", 8},
    [STORED_I8] = {"I8", 8},            [STORED_U16] = {"U16", 16},
    [STORED_I16] = {"I16", 16},         [STORED_U32] = {"U32", 32},
    [STORED_I32] = {"I32", 32},         [STORED_U64] = {"U64", 64},
    [STORED_I64] = {"I64", 64},         [STORED_F8_E4M3] = {"F8_E4M3", 8},
    [STORED_F8_E5M2] = {"F8_E5M2", 8},  [STORED_F8_E8M0] = {"F8_E8M0", 8},
    [STORED_F4] = {"F4", 4},            [STORED_F6_E2M3] = {"F6_E2M3", 6},
    [STORED_F6_E3M2] = {"F6_E3M2", 6},  [STORED_C64] = {"C64", 64},
};

const char *stored_type_name(enum stored_type t)
{
    return stored_types[t].name;
}

int stored_type_bits(enum stored_type t)
{
    return stored_types[t].bits;
}

int stored_type_find(const char *name)
{
    for (int t = 0; t < STORED_TYPES; t++)
        if (strcmp(stored_types[t].name, name) == 0)
            return t;
    return -1;
}

/* ---- lists ---- */

struct stored *stored_add(struct stored_list *l, const struct tensorfile *f,
                          const char *name, size_t len, const int64_t *dims, int n_dims,
                          enum stored_type type, struct err *e)
{
    struct stored *t;
    uint64_t n = 1;

    if (memchr(name, '\0', len)) {
        err_set(e, ERR_DATA, "'%s': the name of a tensor holds a NUL", f->name);
        return NULL;
    }
    if (n_dims > STORED_DIMS) {
        err_set(e, ERR_DATA, "'%s': tensor '%.*s' has more than %d dimensions", f->name,
                (int)(len < 500 ? len : 500), name, STORED_DIMS);
        return NULL;
    }
    if (l->n >= STORED_MAX) {
        err_set(e, ERR_DATA, "'%s': more than %d tensors", f->name, STORED_MAX);
        return NULL;
    }
    for (int i = 0; i < n_dims; i++)
        if (dims[i] < 0 || !fits_mul(n, (uint64_t)dims[i], &n) || n > INT64_MAX / 8) {
            err_set(e, ERR_DATA, "'%s': the shape of tensor '%.*s' is too large", f->name,
                    (int)(len < 500 ? len : 500), name);
            return NULL;
        }
    if (mem_grow(&l->at, &l->cap, l->n + 1, sizeof *l->at, e))
        return NULL;
    t = &l->at[l->n];
    *t = (struct stored){.type = type, .file = f};
    t->w.name = mem_dupn(name, len, e);
    if (!t->w.name)
        return NULL;
    t->w.n_dims = n_dims;
    for (int i = 0; i < n_dims; i++)
        t->w.dims[i] = dims[i];
    t->w.n = (int64_t)n;
    l->n++;
    return t;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct stored *)a)->w.name, ((const struct stored *)b)->w.name);
}

int stored_sort(struct stored_list *l, struct err *e)
{
    if (l->n)
        qsort(l->at, l->n, sizeof *l->at, compare_names);
    for (size_t i = 1; i < l->n; i++)
        if (compare_names(&l->at[i - 1], &l->at[i]) == 0)
            return err_set(e, ERR_DATA, "'%s': tensor '%s' is there twice",
                           l->at[i].file->name, l->at[i].w.name);
    return 0;
}

void stored_list_free(struct stored_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free((char *)l->at[i].w.name);
    free(l->at);
    *l = (struct stored_list){0};
}

/* ---- values ---- */

/* IEEE half to single precision: exact. */
static float half_value(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, mantissa = h & 0x3ff;
    const uint32_t exponent = (h >> 10) & 0x1f;
    uint32_t bits;
    float value;

    if (exponent == 0) { /* zero and subnormals: mantissa * 2^-24 */
        value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = exponent == 31 ? 0x7f800000 | mantissa << 13
                          : (exponent + 112) << 23 | mantissa << 13;
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void convert(enum stored_type type, const void *from, size_t n, float *to)
{
    const unsigned char *p = from;

    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        uint32_t bits;
        double wide;

        switch (type) {
        case STORED_F16:
            memcpy(&half, p + 2 * i, sizeof half);
            to[i] = half_value(half);
            break;
        case STORED_BF16:
            memcpy(&half, p + 2 * i, sizeof half);
            bits = (uint32_t)half << 16;
            memcpy(&to[i], &bits, sizeof bits);
            break;
        case STORED_F64:
            memcpy(&wide, p + 8 * i, sizeof wide);
            to[i] = (float)wide;
            break;
        default: /* STORED_F32 */
            memcpy(&to[i], p + 4 * i, sizeof to[i]);
            break;
        }
    }
}

static int check_crc(const struct stored *t, uint32_t crc, struct err *e)
{
    if (crc == t->crc)
        return 0;
    return err_set(e, ERR_DATA,
                   "'%s': the checksum of the values of tensor '%s' is wrong",
                   t->file->name, t->w.name);
}

/* The CRC of the storage that a view is a part of. */
static int check_storage(const struct stored *t, struct err *e)
{
    unsigned char *chunk = malloc(CHUNK);
    uint32_t crc = 0;
    int rc = chunk ? 0 : err_oom(e, "tensor", CHUNK);

    for (uint64_t done = 0; !rc && done < t->entry_size;) {
        const uint64_t left = t->entry_size - done;
        const size_t n = left < CHUNK ? (size_t)left : CHUNK;

        rc = tensorfile_read(t->file, t->entry_at + done, chunk, n, e);
        if (!rc)
            crc = (uint32_t)crc32_z(crc, chunk, n);
        done += n;
    }
    free(chunk);
    return rc ? rc : check_crc(t, crc, e);
}

static int read_contiguous(const struct stored *t, float *to, struct err *e)
{
    const size_t size = (size_t)stored_types[t->type].bits / 8;
    const uint64_t bytes = (uint64_t)t->w.n * size;
    const bool whole = t->checked && t->at == t->entry_at && bytes == t->entry_size;
    unsigned char *chunk;
    uint32_t crc = 0;
    int rc = 0;

    if (t->checked && !whole && check_storage(t, e))
        return -1;
    if (t->type == STORED_F32) {
        if (tensorfile_read(t->file, t->at, to, (size_t)bytes, e))
            return -1;
        if (whole)
            crc = (uint32_t)crc32_z(0, (const void *)to, (size_t)bytes);
        return whole ? check_crc(t, crc, e) : 0;
    }
    chunk = malloc(CHUNK);
    if (!chunk)
        return err_oom(e, "tensor", CHUNK);
    for (uint64_t done = 0; !rc && done < bytes;) {
        const size_t n = bytes - done < CHUNK ? (size_t)(bytes - done) : CHUNK;

        rc = tensorfile_read(t->file, t->at + done, chunk, n, e);
        if (!rc) {
            convert(t->type, chunk, n / size, to + done / size);
            crc = (uint32_t)crc32_z(crc, chunk, n);
        }
        done += n;
    }
    free(chunk);
    return rc ? rc : whole ? check_crc(t, crc, e) : 0;
}

/* Goes through the places of a view in the order of its indices, like an odometer. */
static int read_strided(const struct stored *t, float *to, struct err *e)
{
    const size_t size = (size_t)stored_types[t->type].bits / 8;
    int64_t index[STORED_DIMS] = {0}, place = 0, last = 0;
    unsigned char *span;

    if (t->w.n == 0)
        return 0;
    if (t->checked && check_storage(t, e))
        return -1;
    /* The reader of the file has checked that the last place lies inside the storage. */
    for (int d = 0; d < t->w.n_dims; d++)
        last += (t->w.dims[d] - 1) * t->strides[d];
    span = tensorfile_get(t->file, t->at, (size_t)(last + 1) * size, e);
    if (!span)
        return -1;
    for (int64_t i = 0; i < t->w.n; i++) {
        convert(t->type, span + (size_t)place * size, 1, to + i);
        for (int d = t->w.n_dims - 1; d >= 0; d--) {
            place += t->strides[d];
            if (++index[d] < t->w.dims[d])
                break;
            place -= t->strides[d] * t->w.dims[d];
            index[d] = 0;
        }
    }
    free(span);
    return 0;
}

int stored_read(const struct stored *t, float *to, struct err *e)
{
    if (t->type > STORED_F64)
        return err_set(e, ERR_DATA,
                       "'%s': tensor '%s' holds %s values, not F32, F16, BF16 or "
                       "F64 ones",
                       t->file->name, t->w.name, stored_types[t->type].name);
    return t->strided ? read_strided(t, to, e) : read_contiguous(t, to, e);
}
