/* SPDX-License-Identifier: MIT */
/*
 * The bytes are those of the reference writer for F32 tensors (safetensors 0.6,
 * tensor.rs): metadata first, tensors by name, no blanks, the header padded with blanks
 * to 8 bytes.
 */
#include "io.h"
#include "mem.h"
#include "safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct named {
    const char *name;
    size_t i;
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* order: the tensors by name; two of one name are the caller's fault. */
static int sort_names(const struct safetensors_file *file, size_t *order, struct err *e)
{
    const size_t n = file->n;
    struct named *by_name = mem_alloc(n, sizeof *by_name, "tensor names", e);

    if (!by_name)
        return -1;
    for (size_t i = 0; i < n; i++)
        by_name[i] = (struct named){file->at[i].name, i};
    if (n)
        qsort(by_name, n, sizeof *by_name, compare_named);
    for (size_t i = 0; i < n; i++) {
        order[i] = by_name[i].i;
        if (i && strcmp(by_name[i - 1].name, by_name[i].name) == 0)
            err_set(e, ERR_INTERNAL, "'%s': tensor '%s' would be written twice", file->name,
                    by_name[i].name);
    }
    free(by_name);
    return e->code ? -1 : 0;
}

static int put_name(struct buf *b, const char *name, struct err *e)
{
    for (; *name; name++) {
        const unsigned char c = (unsigned char)*name;
        int rc;

        if (c == '"' || c == '\\')
            rc = buf_addf(b, e, "\\%c", c);
        else if (c < 0x20)
            rc = buf_addf(b, e, "\\u%04x", c);
        else
            rc = buf_putc(b, (char)c, e);
        if (rc)
            return -1;
    }
    return 0;
}

/*
 * One tensor of the header.  *at is where its values start, and becomes where they end.
 */
static int put_tensor(struct buf *b, const struct safetensor *t, const char *file,
                      uint64_t *at, struct err *e)
{
    uint64_t product = 1, bytes, end;

    for (int d = 0; d < t->n_dims; d++)
        if (t->dims[d] < 0 || !fits_mul(product, (uint64_t)t->dims[d], &product))
            product = UINT64_MAX;
    if (t->n < 0 || (uint64_t)t->n != product || !fits_mul(product, 4, &bytes) ||
        !fits_add(*at, bytes, &end))
        return err_set(e, ERR_INTERNAL, "'%s': the shape of tensor '%s' is impossible",
                       file, t->name);
    if (buf_puts(b, ",\"", e) || put_name(b, t->name, e) ||
        buf_puts(b, "\":{\"dtype\":\"F32\",\"shape\":[", e))
        return -1;
    for (int d = 0; d < t->n_dims; d++)
        if (buf_addf(b, e, "%s%lld", d ? "," : "", (long long)t->dims[d]))
            return -1;
    if (buf_addf(b, e, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*at,
                 (unsigned long long)end))
        return -1;
    *at = end;
    return 0;
}

int safetensors_layout(const struct safetensors_file *file, struct buf *header, size_t *order,
                       uint64_t *at, struct err *e)
{
    uint64_t end = 0, length;

    buf_reset(header);
    if (sort_names(file, order, e) || buf_add(header, "\0\0\0\0\0\0\0\0", 8, e) ||
        buf_puts(header, "{\"__metadata__\":{\"format\":\"pt\"}", e))
        return -1;
    for (size_t i = 0; i < file->n; i++) {
        at[order[i]] = end;
        if (put_tensor(header, &file->at[order[i]], file->name, &end, e))
            return -1;
    }
    if (buf_putc(header, '}', e))
        return -1;
    while (header->len % 8)
        if (buf_putc(header, ' ', e))
            return -1;
    length = header->len - 8;
    if (length > SAFETENSORS_HEADER_MAX)
        return err_set(e, ERR_INTERNAL, "'%s': too many tensors for one file", file->name);
    memcpy(header->data, &length, 8);
    return 0;
}

int safetensors_write(int fd, const struct safetensors_file *file,
                      const float *(*fill)(void *ctx, size_t i, struct err *e), void *ctx,
                      struct err *e)
{
    size_t *order = mem_alloc(file->n, sizeof *order, "tensor order", e);
    uint64_t *at = mem_alloc(file->n, sizeof *at, "tensor places", e);
    struct buf header = {0};
    int rc = -1;

    if (!order || !at || safetensors_layout(file, &header, order, at, e) ||
        io_write_full(fd, header.data, header.len, file->name, e))
        goto done;
    for (size_t k = 0; k < file->n; k++) {
        const struct safetensor *t = &file->at[order[k]];
        const float *values = fill(ctx, order[k], e);

        if (!values) {
            err_set(e, ERR_INTERNAL, "no values for tensor '%s'", t->name);
            goto done;
        }
        if (io_write_full(fd, values, (size_t)t->n * sizeof *values, file->name, e))
            goto done;
    }
    rc = 0;
done:
    buf_free(&header);
    free(at);
    free(order);
    return rc;
}
