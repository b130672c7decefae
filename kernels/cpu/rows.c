/* SPDX-License-Identifier: MIT */
/* rows: picks rows out of a matrix and adds them back. */
#include "cpu.h"

#include <string.h>

struct rows_job {
    struct mat x, y;
    const int32_t *row;
    bool add;
};

MULTI_ISA
static void rows_block(void *ctx, int64_t i, int thread)
{
    const struct rows_job *j = ctx;
    const int64_t last = (i + 1) * ROW_BLOCK, n = j->y.cols;
    const int64_t end = last < j->y.rows ? last : j->y.rows;

    (void)thread;
    for (int64_t r = i * ROW_BLOCK; r < end; r++) {
        float *x = mat_row(&j->x, j->row[r]), *y = mat_row(&j->y, r);

        if (!j->add) {
            memcpy(y, x, (size_t)n * sizeof *y);
            continue;
        }
#pragma omp simd
        for (int64_t k = 0; k < n; k++)
            x[k] += y[k];
    }
}

static int rows_run(struct dev *d, struct rows_job *j)
{
    par_for(d->par, cut_count(j->y.rows, ROW_BLOCK), rows_block, j);
    return 0;
}

int cpu_rows_get(struct dev *d, struct mat x, const int32_t *row, struct mat y, struct err *e)
{
    struct rows_job j = {x, y, row, false};

    (void)e;
    return rows_run(d, &j);
}

int cpu_rows_add(struct dev *d, struct mat x, const int32_t *row, struct mat y, struct err *e)
{
    struct rows_job j = {x, y, row, true};

    (void)e;
    return rows_run(d, &j);
}
