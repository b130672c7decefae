/* SPDX-License-Identifier: MIT */
/*
 * vocab_loss: logits over the vocabulary, cross-entropy and gradients, a chunk of rows at
 * a time.  CPU: cpu_vocab_loss.
 */
#include "gemm.cuh"

constexpr int VOCAB_THREADS = 512, VOCAB_WARPS = VOCAB_THREADS / WARP;

struct vocab_arg {
    float *z;          /* (rows, n) logits; in fp32 they become their gradient */
    void *dz;          /* their gradient in the type of activations; may be z */
    const int32_t *label;
    float *row_loss;
    int32_t *best;     /* or NULL */
    const struct dev_step *step;
    int64_t ldz, lddz;
    int n, gradient;
};

/* The larger value; of equals the smaller place. */
__device__ static inline void take_best(float *top, int *at, float other, int other_at)
{
    if (other > *top || (other == *top && other_at < *at)) {
        *top = other;
        *at = other_at;
    }
}

/* The largest of the block's values and its first place; for all threads. */
__device__ static void block_best(float *top, int *at)
{
    __shared__ float tops[VOCAB_WARPS];
    __shared__ int places[VOCAB_WARPS];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;

    for (int i = WARP / 2; i > 0; i /= 2)
        take_best(top, at, __shfl_xor_sync(0xffffffffu, *top, i),
                  __shfl_xor_sync(0xffffffffu, *at, i));
    if (lane == 0) {
        tops[warp] = *top;
        places[warp] = *at;
    }
    __syncthreads();
    *top = tops[0];
    *at = places[0];
    for (int i = 1; i < VOCAB_WARPS; i++)
        take_best(top, at, tops[i], places[i]);
}

/* Each thread's sum has at most some hundred terms; they are joined in double. */
__device__ static double block_sum(float own)
{
    __shared__ double sums[VOCAB_WARPS];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    double sum = own;

    for (int i = WARP / 2; i > 0; i /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, i);
    if (lane == 0)
        sums[warp] = sum;
    __syncthreads();
    sum = sums[0];
    for (int i = 1; i < VOCAB_WARPS; i++)
        sum += sums[i];
    return sum;
}

/*
 * Loss, arg max and gradient of one row of logits.  Grid: a block a row, VOCAB_THREADS
 * threads.  CPU: vocab_row.
 */
template <class T> static __global__ void __launch_bounds__(VOCAB_THREADS)
    vocab_kernel(const vocab_arg a)
{
    const int64_t row = blockIdx.x;
    const int32_t label = a.label[row];
    const float *z = a.z + row * a.ldz;
    T *dz = (T *)a.dz + row * a.lddz;
    float top = -INFINITY, sum = 0, scale, factor, own;
    int at = a.n;
    double total;

    for (int i = threadIdx.x; i < a.n; i += VOCAB_THREADS)
        take_best(&top, &at, z[i], i);
    block_best(&top, &at);
    for (int i = threadIdx.x; i < a.n; i += VOCAB_THREADS)
        sum += expf(z[i] - top);
    own = label < 0 ? 0 : z[label];
    total = block_sum(sum); /* its barrier: own is read before z is written */
    if (threadIdx.x == 0) {
        a.row_loss[row] = label < 0 ? 0 : (float)(log(total) + (double)top - (double)own);
        if (a.best)
            a.best[row] = at < a.n ? at : 0; /* a row of NaN has no largest */
    }
    if (!a.gradient)
        return;
    scale = a.step->scale;
    factor = label < 0 ? 0 : (float)((double)scale / total);
    for (int i = threadIdx.x; i < a.n; i += VOCAB_THREADS) {
        const float p = expf(z[i] - top) * factor;

        dz[i] = from_float<T>(i == label ? p - scale : p);
    }
}

/*
 * The rows of the work area as a matrix whose ld suits the products: a multiple of 8
 * where there is room for it.
 */
static struct mat work_rows(const struct vocab_loss *a)
{
    const int64_t room = (a->work.rows - 1) * a->work.ld + a->work.cols;
    const int64_t ld = index_round(a->w.rows, 8);
    struct mat z = a->work;

    if (room / ld > 0) {
        z.ld = ld;
        z.rows = room / ld;
    }
    return z;
}

static struct mat rows_of(const struct mat *m, int64_t from, int64_t n)
{
    struct mat part = *m;

    part.p = (char *)m->p + (size_t)(from * m->ld) * type_size(m->t);
    part.rows = n;
    return part;
}

/* One chunk; z and dz have its number of rows. */
static int vocab_chunk(struct dev *d, const struct vocab_loss *a, int64_t first,
                       const struct mat *z, const struct mat *dz, struct err *e)
{
    static const char op[] = "vocab_loss";
    const struct mat x = rows_of(&a->x, first, z->rows);
    const vocab_arg arg = {(float *)z->p, dz->p, a->label + first, a->row_loss + first,
                           a->best ? a->best + first : NULL, a->step, z->ld, dz->ld,
                           (int)a->w.rows, a->gradient};

    if (gemm_forward(d, &x, &a->w, a->b, z, op, e))
        return -1;
    by_type(dz->t, [&](auto *type) {
        vocab_kernel<element<decltype(type)>>
            <<<(unsigned)z->rows, VOCAB_THREADS, 0, d->stream>>>(arg);
    });
    if (cuda_launched(d, op, e))
        return -1;
    if (!a->gradient)
        return 0;
    const struct mat dx = rows_of(&a->dx, first, z->rows);

    const struct weight_grad g = {dz, &x, &a->dw, false, a->db, false};

    return gemm_dx(d, dz, &a->w, &dx, false, op, e) || gemm_dw(d, &g, op, e) ? -1 : 0;
}

int cuda_vocab_loss(struct dev *d, const struct vocab_loss *a, struct err *e)
{
    struct mat work, dz;

    if (a->x.rows == 0)
        return 0;
    work = work_rows(a);
    dz = work;
    if (a->gradient && d->act == DT_BF16) {
        const int64_t rows = a->x.rows < work.rows ? a->x.rows : work.rows;

        dz.t = DT_BF16;
        dz.ld = index_round(a->w.rows, 8);
        dz.p = cuda_cast_room(d, (size_t)(rows * dz.ld) * sizeof(bf16), e);
        if (!dz.p)
            return -1;
    }
    for (int64_t first = 0; first < a->x.rows; first += work.rows) {
        const int64_t left = a->x.rows - first;
        struct mat z = work;

        z.rows = dz.rows = left < work.rows ? left : work.rows;
        if (vocab_chunk(d, a, first, &z, &dz, e))
            return -1;
    }
    return 0;
}
