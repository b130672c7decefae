/* SPDX-License-Identifier: MIT */
/*
 * room: what the device takes for itself beside the memory that the model asks for.
 *
 * Scratch is as large as the largest wish of any slot for batches within the limits; each
 * function below says which slot's it is.  The context and the code of the kernels, which
 * every process on the GPU has, are not counted: they are there before anything is planned.
 */
#include "common.cuh"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/*
 * The most parts that sums over up to so many rows have, `unit` rows being taken at a time:
 * index_rows_per_part grows with the rows, so fewer rows can have more parts.
 */
static size_t parts(int64_t rows, int64_t unit)
{
    const int64_t few = index_cut(rows, 2 * unit), most = index_cut(512, unit);
    const int64_t many = index_cut(rows, 32 * unit);

    return (size_t)((few < most ? few : most) > many ? (few < most ? few : most) : many) + 1;
}

/* Sums of the columns of gradients: the layers' and, beside them, the branch's. */
static size_t columns_wish(const struct dev_load *l)
{
    const int64_t wide = l->inner > 3 * l->width ? l->inner : 3 * l->width;
    const int64_t head = l->mlm ? l->vocab : l->classes;

    return l->train ? larger(parts(l->tokens, 8) * (size_t)wide * sizeof(float),
                             parts(l->rows, 8) * (size_t)head * sizeof(float))
                    : 0;
}

static size_t scratch_wish(const struct dev_load *l)
{
    const size_t real = sizeof(float);
    size_t n = 2 * (size_t)l->width * parts(l->tokens, 1) * real; /* norms */

    if (!l->train)
        return 0;
    n = larger(n, columns_wish(l));
    n = larger(n, (size_t)(l->heads * l->tokens) * 2 * real);     /* attention backwards */
    n = larger(n, embed_scratch(l->tokens, l->width));
    return larger(n, ((size_t)index_cut(l->params, 4096) + 16) * sizeof(double)); /* sqnorm */
}

/* The gradient of logits in bf16. */
static size_t cast_wish(const struct dev *d, const struct dev_load *l)
{
    const int64_t rows = l->mlm && l->chunk < l->rows ? l->chunk : l->rows;

    if (!l->train || d->act != DT_BF16)
        return 0;
    return (size_t)(rows * index_round(l->mlm ? l->vocab : l->classes, 8)) * sizeof(bf16);
}

/* Large allocations come in pages of 2 MB: what may be lost in those of the model and ours. */
constexpr size_t PAGES_LOST = 8 * (2 << 20);

size_t room_overhead(struct dev *d, const struct dev_load *l)
{
    const size_t shadow = d->act == DT_BF16 ? (size_t)l->params * sizeof(bf16) : 0;
    const size_t scratch = larger(buffer_size(scratch_wish(l)), d->scratch.size);
    const size_t cast = larger(buffer_size(cast_wish(d, l)), d->cast.size);

    return shadow + GEMM_WORKSPACE + scratch + cast + PAGES_LOST +
           (l->train ? branch_bytes(d, columns_wish(l)) + graph_bytes(d, l) : 0);
}

int room_reserve(struct dev *d, const struct dev_load *l, struct err *e)
{
    const size_t scratch = scratch_wish(l), cast = cast_wish(d, l);

    d->graph_room = graph_bytes(d, l);
    if (d->act == DT_BF16 && l->weights && !shadow_of(d, l->weights, e))
        return -1;
    if (scratch && !cuda_scratch(d, scratch, e))
        return -1;
    if (l->train && branch_reserve(d, columns_wish(l), e))
        return -1;
    return cast && !cuda_cast_room(d, cast, e) ? -1 : 0;
}
