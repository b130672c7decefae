/* SPDX-License-Identifier: MIT */
/*
 * adamw: the norm of the gradient and the update, each one pass over the flat buffers.
 *
 * Up to MAX_RUNS runs go into one launch (more of them into more).  They are cut into
 * chunks of CHUNK floats, a block each; of rows that were never touched only the
 * parameters are looked at, and only where they decay.
 */
#include "common.cuh"

#include <math.h>

constexpr int MAX_RUNS = 8, CHUNK = 16384, RUN_THREADS = 256, SUM_THREADS = 512;
constexpr int BESIDE_THREADS = 1024;

struct run_part {
    int64_t at, n, chunks;
    const uint8_t *touched;
    int64_t cols;
    float lr_scale, decay;
    int by_4;         /* at, n and cols are multiples of 4 */
    int keep_g;       /* g is not zeroed */
};

struct run_list {
    struct run_part run[MAX_RUNS];
    int n;
};

/* The run of a chunk, and the chunk's place in it. */
__device__ static inline const run_part &find_run(const run_list &l, int64_t *chunk)
{
    int i = 0;

    while (i < l.n - 1 && *chunk >= l.run[i].chunks)
        *chunk -= l.run[i++].chunks;
    return l.run[i];
}

__device__ static inline bool is_touched(const run_part &r, int64_t i)
{
    if (!r.touched)
        return true;
    /* Dividing in 64 bits would take longer than the rest of a row that was not touched. */
    return r.touched[r.n <= UINT32_MAX ? (uint32_t)i / (uint32_t)r.cols : i / r.cols];
}

/*
 * f(i, fast, live) by every thread for its own places i of the chunk in the run: 4
 * neighbours where fast, else one; live: in a row that was touched.
 */
template <int THREADS, class F>
__device__ static inline void each_quad(const run_part &r, int64_t chunk, F f)
{
    const int64_t from = chunk * CHUNK, last = from + CHUNK, to = last < r.n ? last : r.n;

    if (r.by_4) {
        for (int64_t i = from + threadIdx.x * 4; i < to; i += THREADS * 4)
            f(i, std::true_type(), is_touched(r, i));
    } else {
        for (int64_t i = from + threadIdx.x; i < to; i += THREADS)
            f(i, std::false_type(), is_touched(r, i));
    }
}

/* part[block] = sum of squares of its chunk, threads joined in a fixed order.  CPU:
 * sqnorm_chunk. */
static __global__ void __launch_bounds__(RUN_THREADS)
    sqnorm_kernel(const float *g, const run_list l, double *part)
{
    __shared__ double sums[RUN_THREADS / WARP];
    double sum = 0;
    int64_t chunk = blockIdx.x;
    const run_part &r = find_run(l, &chunk);

    each_quad<RUN_THREADS>(r, chunk, [&](int64_t i, auto fast, bool live) {
        if (!live)
            return;
        const float4 v = load4<decltype(fast)::value>(g + r.at + i, 1);

        sum += (double)v.x * v.x;
        sum += (double)v.y * v.y;
        sum += (double)v.z * v.z;
        sum += (double)v.w * v.w;
    });
    for (int i = WARP / 2; i > 0; i /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, i);
    if (threadIdx.x % WARP == 0)
        sums[threadIdx.x / WARP] = sum;
    __syncthreads();
    if (threadIdx.x > 0)
        return;
    for (int i = 1; i < RUN_THREADS / WARP; i++)
        sum += sums[i];
    part[blockIdx.x] = sum;
}

/* *out = sum of n parts, in a fixed order.  One block of SUM_THREADS threads. */
static __global__ void __launch_bounds__(SUM_THREADS)
    total_kernel(const double *part, int64_t n, double *out)
{
    __shared__ double sums[SUM_THREADS];
    double sum = 0;

    for (int64_t i = threadIdx.x; i < n; i += SUM_THREADS)
        sum += part[i];
    sums[threadIdx.x] = sum;
    for (int half = SUM_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0)
        *out = sums[0];
}

/* Runs as the kernels want them; returns the number of chunks. */
static int64_t list_runs(const struct param_run *run, int n, run_list *l)
{
    int64_t chunks = 0;

    *l = {};
    for (int i = 0; i < n; i++) {
        run_part *r = &l->run[l->n];

        if (run[i].n <= 0)
            continue;
        r->at = run[i].at;
        r->n = run[i].n;
        r->cols = 1;
        if (run[i].touched && run[i].cols > 0) {
            r->touched = run[i].touched;
            r->cols = run[i].cols;
        }
        r->by_4 = r->at % 4 == 0 && r->n % 4 == 0 && (!r->touched || r->cols % 4 == 0);
        r->chunks = index_cut(r->n, CHUNK);
        r->lr_scale = run[i].lr_scale;
        r->decay = run[i].decay;
        r->keep_g = run[i].keep_g;
        chunks += r->chunks;
        l->n++;
    }
    return chunks;
}

int cuda_sqnorm(struct dev *d, const float *g, const struct param_run *run, int n_run,
                double *sumsq, struct err *e)
{
    run_list l;
    int64_t chunks;
    double *part;

    if (n_run > MAX_RUNS)
        return err_set(e, ERR_INTERNAL, "sqnorm: %d runs of parameters", n_run);
    chunks = list_runs(run, n_run, &l);
    if (!by_4(g))
        for (int i = 0; i < l.n; i++)
            l.run[i].by_4 = 0;
    part = (double *)cuda_scratch(d, (size_t)(chunks + 1) * sizeof *part, e);
    if (!part)
        return -1;
    if (chunks > 0)
        sqnorm_kernel<<<(unsigned)chunks, RUN_THREADS, 0, d->stream>>>(g, l, part);
    total_kernel<<<1, SUM_THREADS, 0, d->stream>>>(part, chunks, sumsq);
    return cuda_launched(d, "sqnorm", e);
}

struct adamw_arg {
    float *p, *g, *m, *v;
    bf16 *shadow; /* of p, or NULL */
    const struct dev_step *step;
    const double *sumsq;
    float beta1, beta2, eps, clip;
};

/* Of a run at this step: factor of g, lr / (1 - beta1^t), 1 - lr decay, dev_step.root2. */
struct adamw_step {
    float clip, rate, keep, root;
};

__device__ static inline adamw_step adamw_numbers(const adamw_arg &a, const run_part &r)
{
    const double lr = a.step->lr * (double)r.lr_scale;
    adamw_step s = {1, (float)(lr / a.step->rest1), (float)(1 - lr * (double)r.decay),
                    a.step->root2};

    if (a.clip > 0) {
        const double factor = (double)a.clip / (sqrt(*a.sumsq) + 1e-6);

        s.clip = factor < 1 ? (float)factor : 1.0f;
    }
    return s;
}

__device__ static inline void adamw_one(const adamw_arg &a, const adamw_step &s, float *p,
                                        float g, float *m, float *v)
{
    const float grad = g * s.clip;

    *m = a.beta1 * *m + (1 - a.beta1) * grad;
    *v = a.beta2 * *v + (1 - a.beta2) * grad * grad;
    *p = *p * s.keep - s.rate * (*m / (sqrtf(*v) * s.root + a.eps));
}

/* Where g, m and v are 0. */
template <bool FAST>
__device__ static inline void decay_quad(const adamw_arg &a, int64_t i, float keep)
{
    float4 p = load4<FAST>(a.p + i, 1);

    p.x *= keep;
    p.y *= keep;
    p.z *= keep;
    p.w *= keep;
    store4<FAST>(a.p + i, p, 1);
    if (a.shadow)
        store4<FAST>(a.shadow + i, p, 1);
}

/*
 * The update of a chunk; g is zeroed, where the run does not keep it, and the shadow
 * written in the same pass.  The factor of the gradient is made here of *sumsq, so that the
 * host need not wait for it.
 */
template <int THREADS>
__device__ static inline void adamw_chunk(const adamw_arg &a, const run_part &r,
                                          int64_t chunk, const adamw_step s)
{
    each_quad<THREADS>(r, chunk, [&](int64_t place, auto fast, bool live) {
        constexpr bool FAST = decltype(fast)::value;
        const int64_t i = r.at + place;

        if (!live) {
            if (r.decay != 0)
                decay_quad<FAST>(a, i, s.keep);
            return;
        }
        const float4 g = load4<FAST>(a.g + i, 1);
        float4 p = load4<FAST>(a.p + i, 1), m = load4<FAST>(a.m + i, 1);
        float4 v = load4<FAST>(a.v + i, 1);

        adamw_one(a, s, &p.x, g.x, &m.x, &v.x);
        if (FAST) {
            adamw_one(a, s, &p.y, g.y, &m.y, &v.y);
            adamw_one(a, s, &p.z, g.z, &m.z, &v.z);
            adamw_one(a, s, &p.w, g.w, &m.w, &v.w);
        }
        store4<FAST>(a.p + i, p, 1);
        store4<FAST>(a.m + i, m, 1);
        store4<FAST>(a.v + i, v, 1);
        if (!r.keep_g)
            store4<FAST>(a.g + i, make_float4(0, 0, 0, 0), 1);
        if (a.shadow)
            store4<FAST>(a.shadow + i, p, 1);
    });
}

/* Grid: any number of blocks of THREADS threads, for one chunk after the other.  CPU:
 * adamw_rows, decay_rows. */
template <int THREADS>
static __global__ void __launch_bounds__(THREADS)
    adamw_kernel(const adamw_arg a, const run_list l, const int64_t chunks)
{
    __shared__ adamw_step numbers;

    for (int64_t at = blockIdx.x; at < chunks; at += gridDim.x) {
        int64_t chunk = at;
        const run_part &r = find_run(l, &chunk);

        if (threadIdx.x == 0)
            numbers = adamw_numbers(a, r);
        __syncthreads();
        adamw_chunk<THREADS>(a, r, chunk, numbers);
        __syncthreads();
    }
}

/*
 * Alone, it fills the GPU.  Beside a forward pass it takes half of the multiprocessors, with
 * as many reads under way as memory can answer, and leaves the others whole: blocks of a
 * product may want all registers of one.
 */
static void launch_adamw(const struct dev *d, const adamw_arg &arg, const run_list &l,
                         int64_t chunks)
{
    const int64_t half = d->processors > 1 ? d->processors / 2 : 1;

    if (chunks == 0)
        return;
    if (d->in_branch)
        adamw_kernel<BESIDE_THREADS><<<(unsigned)(chunks < half ? chunks : half),
                                       BESIDE_THREADS, 0, d->stream>>>(arg, l, chunks);
    else
        adamw_kernel<RUN_THREADS>
            <<<(unsigned)chunks, RUN_THREADS, 0, d->stream>>>(arg, l, chunks);
}

int cuda_adamw(struct dev *d, const struct adamw *a, struct err *e)
{
    const adamw_arg arg = {a->p, a->g, a->m, a->v, shadow_if_any(d, a->p), a->step, a->sumsq,
                           a->beta1, a->beta2, a->eps, a->clip};
    const bool aligned = by_4(a->p) && by_4(a->g) && by_4(a->m) && by_4(a->v) &&
                         is_aligned(arg.shadow, 8);

    for (int from = 0; from < a->n_run; from += MAX_RUNS) {
        const int left = a->n_run - from;
        run_list l;
        const int64_t chunks = list_runs(a->run + from, left < MAX_RUNS ? left : MAX_RUNS, &l);

        for (int i = 0; i < l.n && !aligned; i++)
            l.run[i].by_4 = 0;
        launch_adamw(d, arg, l, chunks);
    }
    return cuda_launched(d, "adamw", e);
}
