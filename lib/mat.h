/* SPDX-License-Identifier: MIT */
/*
 * mat: a row-major matrix in a device's memory (L4).
 */
#ifndef BERTUTILS_MAT_H
#define BERTUTILS_MAT_H

#include <stddef.h>
#include <stdint.h>

enum dtype { DT_F32 = 0, DT_BF16 = 1 };

struct mat {
    void *p;            /* device memory; NULL: not there */
    int64_t rows, cols; /* element (i, j) is p[i * ld + j] */
    int64_t ld;         /* >= cols */
    enum dtype t;
};

static inline struct mat mat_f32(float *p, int64_t rows, int64_t cols)
{
    const struct mat m = {p, rows, cols, cols, DT_F32};

    return m;
}

static inline float *mat_row(const struct mat *m, int64_t i)
{
    return (float *)m->p + i * m->ld;
}

#endif
