/* SPDX-License-Identifier: MIT */
/*
 * index: the arithmetic of places that the CUDA kernels use (private to kernels/cuda).
 *
 * Plain C, compiled by nvcc into the kernels and by the C compiler into
 * tests/unit/test_cuda_index.c, so that it is tested on machines without a GPU.
 */
#ifndef BERTUTILS_CUDA_INDEX_H
#define BERTUTILS_CUDA_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__CUDACC__)
#define INDEX_INLINE static inline __host__ __device__
#else
#define INDEX_INLINE static inline
#endif

INDEX_INLINE int64_t index_cut(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

INDEX_INLINE int64_t index_round(int64_t n, int64_t size)
{
    return index_cut(n, size) * size;
}

/* ---- sums over rows ---- */

/*
 * Sums over the rows of a matrix have two stages: parts of so many rows, then the parts
 * in order.  The number depends on the shape alone.
 */
INDEX_INLINE int64_t index_rows_per_part(int64_t rows)
{
    const int64_t n = index_cut(rows, 512);

    return n < 2 ? 2 : n > 32 ? 32 : n;
}

/* The same where the `warps` of a block take rows in turn and join what they have. */
INDEX_INLINE int64_t index_rows_per_block(int64_t rows, int64_t warps)
{
    const int64_t n = index_cut(rows, 1536);

    return warps * (n < 2 ? 2 : n > 16 ? 16 : n);
}

/* ---- segments: equal neighbours in a sorted list of keys ---- */

/*
 * The list is cut into chunks of SEG_CHUNK.  A run is what one chunk holds of one key.  A
 * run that is all there is of its key goes straight to the sum's place.  Of a key that
 * goes over the ends of chunks every run is stored as a part, in one of the two places of
 * its chunk: SEG_HEAD where the key began in an earlier chunk, SEG_TAIL where it begins
 * here; a second pass, by the chunk where the key began, adds them up in order.
 */
enum { SEG_CHUNK = 32, SEG_HEAD = 0, SEG_TAIL = 1, SEG_WHOLE = 2 };

INDEX_INLINE int32_t seg_chunk_end(int32_t n, int32_t chunk)
{
    const int32_t from = chunk * SEG_CHUNK;

    return n - from < SEG_CHUNK ? n : from + SEG_CHUNK;
}

/* Where the run that starts at `begin` ends; `end` is the end of its chunk. */
INDEX_INLINE int32_t seg_run_end(const int32_t *key, int32_t begin, int32_t end)
{
    int32_t i = begin + 1;

    while (i < end && key[i] == key[begin])
        i++;
    return i;
}

/* SEG_HEAD, SEG_TAIL or SEG_WHOLE for the run begin..end-1. */
INDEX_INLINE int seg_kind(const int32_t *key, int32_t n, int32_t begin, int32_t end)
{
    if (begin > 0 && key[begin - 1] == key[begin])
        return SEG_HEAD;
    return end < n && key[end] == key[begin] ? SEG_TAIL : SEG_WHOLE;
}

/* Whether the last key of a chunk begins in it and goes on behind it. */
INDEX_INLINE bool seg_owns(const int32_t *key, int32_t n, int32_t chunk)
{
    const int32_t from = chunk * SEG_CHUNK, to = seg_chunk_end(n, chunk);
    const int32_t last = key[to - 1];

    if (to >= n || key[to] != last)
        return false;
    return from == 0 || key[from - 1] != last;
}

/*
 * The last chunk that the key which this one owns reaches into.  A search by halves: the parts
 * in between can then be read without waiting for one another.
 */
INDEX_INLINE int32_t seg_last_chunk(const int32_t *key, int32_t n, int32_t chunk)
{
    int32_t low = chunk + 1, high = (int32_t)index_cut(n, SEG_CHUNK) - 1;
    const int32_t own = key[low * SEG_CHUNK];

    while (low < high) {
        const int32_t middle = low + (high - low + 1) / 2;

        if (key[middle * SEG_CHUNK] == own)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Bits that a sort by keys 0..n-1 has to look at. */
INDEX_INLINE int index_bits(int64_t n)
{
    int bits = 1;

    while (bits < 31 && ((int64_t)1 << bits) < n)
        bits++;
    return bits;
}

/* ---- attention ---- */

/* A task is one tile of queries (or keys) of one head of one sequence. */
struct attn_place {
    int32_t seq, head, tile;
};

INDEX_INLINE struct attn_place attn_find(int64_t task, int32_t heads, int32_t tiles)
{
    const int64_t pair = task / tiles;
    struct attn_place p;

    p.tile = (int32_t)(task % tiles);
    p.head = (int32_t)(pair % heads);
    p.seq = (int32_t)(pair / heads);
    return p;
}

/*
 * A result of m16n8k16 has, in a lane, columns c and c + 1 of rows r and r + 8, r = lane / 4,
 * c = 2 (lane % 4); two of them side by side are a tile of 16 x 16.  Where rows are queries
 * and columns keys, its 8 values are those of one call of Philox (philox.h), the call that
 * lane draws: query r, keys c, c + 1 and 8 further on.
 *
 * Transposed, rows are keys and columns queries: lanes that differ by 4 have keys r and r ^ 1
 * and the same queries c and c + 1, and need the same two calls.  The one with the even key
 * draws that of query c, the other that of query c + 1; of every word each takes the half of
 * its own key.
 */
INDEX_INLINE int attn_turn_query(int lane)
{
    return 2 * (lane % 4) + lane / 4 % 2;
}

INDEX_INLINE int attn_turn_key(int lane)
{
    return lane / 8 * 2;
}

#endif
