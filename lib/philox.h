/* SPDX-License-Identifier: MIT */
/*
 * philox: counter-based random numbers, the same on CPU and GPU (L0, header only).
 *
 * Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
 * 3" (SC 2011).  A number is a pure function of what it is for, so results do not depend on
 * threads, micro-batches or ranks, nothing is stored for the backward pass, and a resumed run
 * draws what an uninterrupted one would have drawn.
 *
 * For dropout and masking the key is made of (seed, step, site); the counter is (record in
 * the global batch, position in the sequence, column / 4, head), and the four words of one
 * call serve four neighbouring columns.
 */
#ifndef BERTUTILS_PHILOX_H
#define BERTUTILS_PHILOX_H

#include <stdint.h>

#if defined(__CUDACC__)
#define PHILOX_INLINE static inline __host__ __device__
#else
#define PHILOX_INLINE static inline
#endif

PHILOX_INLINE void philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
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

/* An element is dropped when its word is below this. */
PHILOX_INLINE uint32_t philox_threshold(float p)
{
    const double t = (double)p * 4294967296.0;

    return t >= 4294967295.0 ? 4294967295u : (uint32_t)t;
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
