/* SPDX-License-Identifier: MIT */
/* rows: picks rows out of a matrix and adds them back. */
#include "common.cuh"

struct rows_arg {
    void *x, *y;
    const int32_t *row;
    int64_t rows, cols, ldx, ldy;
};

/*
 * y[i] = x[row[i]], or x[row[i]] += y[i]; rows are distinct, so no two blocks meet. Grid:
 * (pieces of 512 columns, rows, cut to the limit of grids), 128 threads with 4 columns
 * each. CPU: cpu_rows_get, cpu_rows_add.
 */
template <class T, bool ADD, bool FAST>
static __global__ void rows_kernel(const rows_arg a)
{
    const int64_t col = (int64_t)blockIdx.x * 512 + threadIdx.x * 4, n = a.cols - col;

    if (n <= 0)
        return;
    for (int64_t i = blockIdx.y; i < a.rows; i += gridDim.y) {
        T *x = (T *)a.x + a.row[i] * a.ldx + col, *y = (T *)a.y + i * a.ldy + col;

        if (ADD) {
            const float4 u = load4<FAST>(x, n), v = load4<FAST>(y, n);

            store4<FAST>(x, make_float4(u.x + v.x, u.y + v.y, u.z + v.z, u.w + v.w), n);
        } else {
            store4<FAST>(y, load4<FAST>(x, n), n);
        }
    }
}

template <bool ADD>
static int rows_run(struct dev *d, const struct mat *x, const int32_t *row,
                    const struct mat *y, const char *op, struct err *e)
{
    const rows_arg a = {x->p, y->p, row, y->rows, y->cols, x->ld, y->ld};
    const dim3 grid((unsigned)index_cut(a.cols, 512),
                    (unsigned)(a.rows < 65535 ? a.rows : 65535));

    if (a.rows == 0)
        return 0;
    by_type(x->t, [&](auto *type) {
        using T = element<decltype(type)>;

        if (mat_by_4(x) && mat_by_4(y))
            rows_kernel<T, ADD, true><<<grid, 128, 0, d->stream>>>(a);
        else
            rows_kernel<T, ADD, false><<<grid, 128, 0, d->stream>>>(a);
    });
    return cuda_launched(d, op, e);
}

int cuda_rows_get(struct dev *d, struct mat x, const int32_t *row, struct mat y,
                  struct err *e)
{
    return rows_run<false>(d, &x, row, &y, "rows_get", e);
}

int cuda_rows_add(struct dev *d, struct mat x, const int32_t *row, struct mat y,
                  struct err *e)
{
    return rows_run<true>(d, &x, row, &y, "rows_add", e);
}
