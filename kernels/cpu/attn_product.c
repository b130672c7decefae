/* SPDX-License-Identifier: MIT */
/* attn_product: products too small for a library call, as attention has them by the thousand. */
#include "attn.h"

/* ATTN_PAD floats, which the compiler splits into what the machine has. */
typedef float vec __attribute__((vector_size(ATTN_PAD * sizeof(float)), aligned(4), may_alias));

enum { ROWS = 4 };

/* Rows i..i+3 by columns j..j+15; rows past the end repeat the last one and are not stored. */
INLINE void tile(const struct small_product *p, int64_t i, int64_t j)
{
    const int64_t left = p->m - i, step = p->step_stride;
    const float *a0 = p->a + i * p->row_stride;
    const float *a1 = left > 1 ? a0 + p->row_stride : a0;
    const float *a2 = left > 2 ? a1 + p->row_stride : a1;
    const float *a3 = left > 3 ? a2 + p->row_stride : a2;
    const float *b = p->b + j;
    float *c = p->c + i * p->ldc + j;
    vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};

    for (int64_t k = 0; k < p->k; k++) {
        const vec v = *(const vec *)(b + k * p->ldb);

        s0 += a0[k * step] * v;
        s1 += a1[k * step] * v;
        s2 += a2[k * step] * v;
        s3 += a3[k * step] * v;
    }
    for (int64_t r = 0; r < ROWS && r < left; r++, c += p->ldc) {
        vec *to = (vec *)c;
        const vec s = r == 0 ? s0 : r == 1 ? s1 : r == 2 ? s2 : s3;

        if (p->add)
            *to += s;
        else
            *to = s;
    }
}

MULTI_ISA
void attn_small_product(const struct small_product *p)
{
    for (int64_t i = 0; i < p->m; i += ROWS)
        for (int64_t j = 0; j < p->n; j += ATTN_PAD)
            tile(p, i, j);
}
