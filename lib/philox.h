/* SPDX-License-Identifier: MIT */
/*
 * philox: counter-based random numbers, the same on CPU and GPU (L0, header only).
 *
 * Philox4x32 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
 * 3" (SC 2011).  A number is a pure function of what it is for, so results do not depend on
 * threads, micro-batches or ranks, nothing is stored for the backward pass, and a resumed run
 * draws what an uninterrupted one would have drawn.
 *
 * Keys, orders, masks of tokens and weights take 10 rounds, the paper's choice.  Dropout,
 * which draws by far the most, takes 7, the fewest that pass all of BigCrush (their table 2),
 * and 16 bits an element, so that one call serves 8 elements.
 */
#ifndef BERTUTILS_PHILOX_H
#define BERTUTILS_PHILOX_H

#include <stdint.h>

#if defined(__CUDACC__)
#define PHILOX_INLINE static inline __host__ __device__
#else
#define PHILOX_INLINE static inline
#endif

enum { PHILOX_ROUNDS = 10, PHILOX_DROP_ROUNDS = 7 };

PHILOX_INLINE void philox_rounds(uint32_t out[4], const uint32_t counter[4],
                                 const uint32_t key[2], int rounds)
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < rounds; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        const uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;

        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

PHILOX_INLINE void philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    philox_rounds(out, counter, key, PHILOX_ROUNDS);
}

/* The key of one use: 128 bits of (seed, step, site) through Philox itself. */
PHILOX_INLINE void philox_key(uint32_t key[2], uint64_t seed, uint32_t step, uint32_t site)
{
    const uint32_t seed_key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {step, site, 0x62657274u, 0};
    uint32_t out[4];

    philox4x32(out, counter, seed_key);
    key[0] = out[0];
    key[1] = out[1];
}

/* The identity of a row for the random numbers: which record of the step, which place in it. */
struct row_id {
    uint32_t record, offset;
};

/* A number in [0, 1) with 24 bits, exact in a float. */
PHILOX_INLINE float philox_unit(uint32_t word)
{
    return (float)(word >> 8) * (1.0f / 16777216.0f);
}

/* ---- dropout ---- */

/*
 * An element is dropped when its half-word is below this: p in units of 2^-16, rounded.  With
 * p > 0 it is 1 at least, so that a dropout that was asked for is never none; and at most
 * 65535, so that something is kept to be scaled.
 */
PHILOX_INLINE uint32_t drop_threshold(float p)
{
    const double t = (double)p * 65536 + 0.5;

    if (!(p > 0))
        return 0;
    return t < 1 ? 1 : t > 65535 ? 65535 : (uint32_t)t;
}

/*
 * What kept elements are multiplied with: 1 / (1 - p) of the p that the threshold makes, so
 * that the mean is that without dropout.  0 where p is 1 or more: then nothing is kept.
 */
PHILOX_INLINE float drop_scale(float p)
{
    return p < 1 ? 65536.0f / (float)(65536 - drop_threshold(p)) : 0;
}

/* Half-word 0..7 of the four words of a call: the low half of a word comes first. */
PHILOX_INLINE uint32_t philox_half(const uint32_t word[4], int half)
{
    return word[half / 2] >> 16 * (half % 2) & 0xffff;
}

/*
 * Column j of a row of a matrix takes half-word drop_half of the call with the counter
 * (record, offset, drop_group, 0).  A call has four neighbouring columns and the four that
 * are 128 further on: both are in one lane of a GPU's warp, which goes over a row by 128,
 * and whole vectors on a CPU.
 */
PHILOX_INLINE uint32_t drop_group(uint32_t j)
{
    return j / 256 * 32 + j % 128 / 4;
}

PHILOX_INLINE int drop_half(uint32_t j)
{
    return (int)(j / 128 % 2 * 4 + j % 4);
}

/*
 * The probability of query i and key j, both counted from the start of their sequence, takes
 * half-word drop_attn_half of the call with the counter (record, offset of query
 * drop_attn_query, drop_attn_group, head).  A call has queries r and r + 8 and keys 2q, 2q + 1,
 * 2q + 8 and 2q + 9 of a tile of 16 x 16: what lane 4r + q holds of a result of the matrix
 * instruction m16n8k16 where rows are queries; where they are keys, two lanes share two calls.
 * A word has two neighbouring keys.
 */
PHILOX_INLINE uint32_t drop_attn_query(uint32_t i)
{
    return i & ~8u;
}

PHILOX_INLINE uint32_t drop_attn_group(uint32_t j)
{
    return j / 16 * 4 + j % 8 / 2;
}

PHILOX_INLINE int drop_attn_half(uint32_t i, uint32_t j)
{
    return (int)(j / 8 % 2 * 4 + i / 8 % 2 * 2 + j % 2);
}

/* A number in 0..n-1 without bias worth speaking of (64-bit multiply-shift). */
PHILOX_INLINE uint64_t philox_below(uint32_t hi, uint32_t lo, uint64_t n)
{
    const uint64_t x = (uint64_t)hi << 32 | lo;

    return (uint64_t)(((unsigned __int128)x * n) >> 64);
}

/* What a random choice is for, where it is not a dropout site; keeps the streams apart. */
enum philox_site {
    PHILOX_SITE_ORDER = 0x10000,   /* order of records in an epoch */
    PHILOX_SITE_HELDOUT = 0x10001, /* which records are held out */
    PHILOX_SITE_INIT = 0x10002,    /* random weights; step = tensor's number */
    PHILOX_SITE_MASK = 0x10003,    /* masked language model: which and how */
    PHILOX_SITE_SHARD = 0x10004,   /* shard's shuffles and samples */
    PHILOX_SITE_BOOTSTRAP = 0x10005
};

#endif
