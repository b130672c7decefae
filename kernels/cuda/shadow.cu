/* SPDX-License-Identifier: MIT */
/*
 * shadow: the bf16 twins of parameters.
 *
 * Parameters are fp32 in the flat buffer of the model, and so are the pointers that slots
 * get. room_reserve, or else the first product in bf16 with a weight inside an allocation,
 * makes a shadow of all of it; from then on put, zero and adamw keep it up to date.  No
 * record of a step may be older than the shadow: the update in it would not write it.
 */
#include "common.cuh"

#include <stdlib.h>
#include <string.h>

/* ---- allocations ---- */

int block_add(struct dev *d, void *p, size_t bytes, struct err *e)
{
    if (d->n_blocks == d->cap_blocks) {
        const int cap = d->cap_blocks ? 2 * d->cap_blocks : 16;
        void *more = realloc(d->blocks, (size_t)cap * sizeof *d->blocks);

        if (!more)
            return err_oom(e, "device", (size_t)cap * sizeof *d->blocks);
        d->blocks = (struct block *)more;
        d->cap_blocks = cap;
    }
    d->blocks[d->n_blocks].p = (char *)p;
    d->blocks[d->n_blocks].bytes = bytes;
    d->blocks[d->n_blocks++].shadow = NULL;
    return 0;
}

void block_drop(struct dev *d, void *p)
{
    struct block *b = block_of(d, p);

    if (!b)
        return;
    graph_forget(d);
    if (b->shadow)
        cudaFree(b->shadow);
    *b = d->blocks[--d->n_blocks];
}

struct block *block_of(struct dev *d, const void *p)
{
    const char *at = (const char *)p;

    for (int i = 0; i < d->n_blocks; i++) {
        struct block *b = &d->blocks[i];

        if (at == b->p || (at > b->p && at < b->p + b->bytes))
            return b;
    }
    return NULL;
}

/* ---- conversion ---- */

/*
 * to[i] = from[i] in bf16.  Grid: enough blocks of 256 threads for 4 numbers each; from
 * and to start at the same multiple of 4 numbers of their allocations, so both can be
 * taken 4 at a time.  No counterpart on the CPU.
 */
static __global__ void convert_kernel(const float *from, bf16 *to, int64_t n)
{
    const int64_t i = 4 * ((int64_t)blockIdx.x * blockDim.x + threadIdx.x);

    if (i + 4 <= n)
        store4<true>(to + i, load4<true>(from + i, 4), 4);
    else if (i < n)
        store4<false>(to + i, load4<false>(from + i, n - i), n - i);
}

cudaError_t code_is_there(void)
{
    cudaFuncAttributes ignored;

    return cudaFuncGetAttributes(&ignored, (const void *)convert_kernel);
}

static int convert(struct dev *d, const float *from, bf16 *to, int64_t n, struct err *e)
{
    if (n > 0)
        convert_kernel<<<(unsigned)index_cut(n, 4 * 256), 256, 0, d->stream>>>(from, to,
                                                                               n);
    return cuda_launched(d, "shadow", e);
}

int shadow_refresh(struct dev *d, const void *p, size_t bytes, struct err *e)
{
    const struct block *b = block_of(d, p);
    size_t from, to;

    if (!b || !b->shadow || bytes == 0)
        return 0;
    from = (size_t)((const char *)p - b->p) / 16 * 4;
    to = ((size_t)((const char *)p - b->p) + bytes + 3) / 4;
    to = to < b->bytes / 4 ? to : b->bytes / 4;
    return convert(d, (const float *)b->p + from, b->shadow + from, (int64_t)(to - from),
                   e);
}

bf16 *shadow_if_any(struct dev *d, const void *p)
{
    const struct block *b = block_of(d, p);

    return b && b->shadow ? b->shadow + ((const char *)p - b->p) / 4 : NULL;
}

const bf16 *shadow_of(struct dev *d, const void *master, struct err *e)
{
    struct block *b = block_of(d, master);

    if (!b) {
        err_set(e, ERR_INTERNAL, "a weight is not in the device's memory");
        return NULL;
    }
    if (!b->shadow) {
        b->shadow = (bf16 *)cuda_memory(d, b->bytes / 4 * sizeof(bf16), e);
        if (!b->shadow)
            return NULL;
        graph_forget(d);
        if (shadow_refresh(d, b->p, b->bytes, e))
            return NULL;
    }
    return b->shadow + ((const char *)master - b->p) / 4;
}

/*
 * y = x in bf16, with zeros in columns cols..ld-1.  Grid: (rows, pieces of 1024 columns),
 * 256 threads with 4 columns each.  No counterpart on the CPU.
 */
static __global__ void cast_kernel(const float *x, int64_t ldx, bf16 *y, int64_t ldy,
                                   int cols)
{
    const int64_t row = blockIdx.x;
    const int at = (int)(blockIdx.y * 1024 + threadIdx.x * 4);
    const int64_t left = cols - at;

    if (at >= ldy)
        return;
    store4<true>(
        y + row * ldy + at,
        left > 0 ? load4<false>(x + row * ldx + at, left) : make_float4(0, 0, 0, 0), 4);
}

int cast_to_act(struct dev *d, const struct mat *x, struct mat *y, struct err *e)
{
    *y = *x;
    if (x->t == d->act)
        return 0;
    y->t = DT_BF16; /* in fp32 all is fp32 */
    y->ld = index_round(x->cols, 8);
    y->p = cuda_cast_room(d, (size_t)(x->rows * y->ld) * sizeof(bf16), e);
    if (!y->p)
        return -1;
    cast_kernel<<<dim3((unsigned)x->rows, (unsigned)index_cut(y->ld, 1024)), 256, 0,
                  d->stream>>>((const float *)x->p, x->ld, (bf16 *)y->p, y->ld,
                               (int)x->cols);
    return cuda_launched(d, "cast", e);
}
