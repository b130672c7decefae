/* SPDX-License-Identifier: MIT */
/* dropout: rows with some of their elements dropped. */
#include "common.cuh"

struct dropout_arg {
    const void *x;
    void *y;
    int64_t rows, cols, ldx, ldy;
    struct drop_arg drop;
};

/*
 * y = drop(x); y may be x.  Grid: (pieces of 1024 columns, rows, cut to the limit of grids),
 * 128 threads: a warp has 256 columns, a lane the 8 of one call of Philox.  CPU: cpu_dropout.
 */
template <class T, bool FAST> static __global__ void dropout_kernel(const dropout_arg a)
{
    const int first = (int)(blockIdx.x * 8 + threadIdx.x / WARP * 2), lane = threadIdx.x % WARP;
    uint2 key = {0, 0};

    if (a.drop.on)
        key = drop_key(a.drop);
    for (int64_t i = blockIdx.y; i < a.rows; i += gridDim.y) {
        uint4 w = {0, 0, 0, 0};

        for (int piece = first; piece < first + 2; piece++) {
            const int64_t col = 4 * (lane + (int64_t)piece * WARP), n = a.cols - col;
            float4 v;

            if (n <= 0)
                break;
            v = load4<FAST>((const T *)a.x + i * a.ldx + col, n);
            if (a.drop.on)
                v = drop4(a.drop, key, a.drop.row[i], piece, w, v);
            store4<FAST>((T *)a.y + i * a.ldy + col, v, n);
        }
    }
}

int cuda_dropout(struct dev *d, const struct drop *drop, struct mat x, struct mat y,
                 struct err *e)
{
    const dropout_arg a = {x.p, y.p, x.rows, x.cols, x.ld, y.ld, drop_arg(drop)};
    const dim3 grid((unsigned)index_cut(a.cols, 1024),
                    (unsigned)(a.rows < 65535 ? a.rows : 65535));

    if (a.rows == 0 || a.cols == 0 || (!a.drop.on && x.p == y.p))
        return 0;
    by_type(x.t, [&](auto *type) {
        using T = element<decltype(type)>;

        if (mat_by_4(&x) && mat_by_4(&y))
            dropout_kernel<T, true><<<grid, 128, 0, d->stream>>>(a);
        else
            dropout_kernel<T, false><<<grid, 128, 0, d->stream>>>(a);
    });
    return cuda_launched(d, "dropout", e);
}
