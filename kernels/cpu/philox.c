/* SPDX-License-Identifier: MIT */
/*
 * philox: many random numbers at once.
 *
 * Eight (AVX-512) or four (AVX2) counters, one in each 64-bit lane.  The products read the low
 * half of a lane only, so what lies in the high halves is of no account until the end.
 * Compilers do not find this form by themselves.
 */
#include "cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum { ROUNDS = 10 };

/* The keys of the rounds, as lanes want them. */
static void round_keys(uint64_t k[2][ROUNDS], const uint32_t key[2])
{
    for (uint32_t r = 0; r < ROUNDS; r++) {
        k[0][r] = (uint32_t)(key[0] + r * 0x9E3779B9u);
        k[1][r] = (uint32_t)(key[1] + r * 0xBB67AE85u);
    }
}

__attribute__((target("avx512f"))) static int64_t
fill_avx512(uint32_t *out, int64_t n, uint32_t first, const uint32_t *second,
            const uint32_t *third, uint32_t fourth, const uint32_t key[2])
{
    const __m512i m0 = _mm512_set1_epi64(0xD2511F53), m1 = _mm512_set1_epi64(0xCD9E8D57);
    const __m512i low = _mm512_set1_epi64(0xffffffff);
    const __m512i front = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    const __m512i back = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    uint64_t k[2][ROUNDS];
    int64_t i = 0;

    round_keys(k, key);
    for (; i + 8 <= n; i += 8) {
        __m512i c0 = _mm512_set1_epi64(first), c3 = _mm512_set1_epi64(fourth);
        __m512i c1 = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const void *)(second + i)));
        __m512i c2 = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const void *)(third + i)));

        for (int round = 0; round < ROUNDS; round++) {
            const __m512i p0 = _mm512_mul_epu32(c0, m0), p1 = _mm512_mul_epu32(c2, m1);

            c0 = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p1, 32), c1),
                                  _mm512_set1_epi64((int64_t)k[0][round]));
            c2 = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p0, 32), c3),
                                  _mm512_set1_epi64((int64_t)k[1][round]));
            c1 = p1;
            c3 = p0;
        }
        c0 = _mm512_or_si512(_mm512_and_si512(c0, low), _mm512_slli_epi64(c1, 32));
        c2 = _mm512_or_si512(_mm512_and_si512(c2, low), _mm512_slli_epi64(c3, 32));
        _mm512_storeu_si512(out + 4 * i, _mm512_permutex2var_epi64(c0, front, c2));
        _mm512_storeu_si512(out + 4 * i + 16, _mm512_permutex2var_epi64(c0, back, c2));
    }
    return i;
}

__attribute__((target("avx2"))) static int64_t
fill_avx2(uint32_t *out, int64_t n, uint32_t first, const uint32_t *second,
          const uint32_t *third, uint32_t fourth, const uint32_t key[2])
{
    const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    uint64_t k[2][ROUNDS];
    int64_t i = 0;

    round_keys(k, key);
    for (; i + 4 <= n; i += 4) {
        __m256i c0 = _mm256_set1_epi64x(first), c3 = _mm256_set1_epi64x(fourth), even, odd;
        __m256i c1 = _mm256_cvtepu32_epi64(_mm_loadu_si128((const void *)(second + i)));
        __m256i c2 = _mm256_cvtepu32_epi64(_mm_loadu_si128((const void *)(third + i)));

        for (int round = 0; round < ROUNDS; round++) {
            const __m256i p0 = _mm256_mul_epu32(c0, m0), p1 = _mm256_mul_epu32(c2, m1);

            c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1),
                                  _mm256_set1_epi64x((int64_t)k[0][round]));
            c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3),
                                  _mm256_set1_epi64x((int64_t)k[1][round]));
            c1 = p1;
            c3 = p0;
        }
        c0 = _mm256_or_si256(_mm256_and_si256(c0, low), _mm256_slli_epi64(c1, 32));
        c2 = _mm256_or_si256(_mm256_and_si256(c2, low), _mm256_slli_epi64(c3, 32));
        even = _mm256_unpacklo_epi64(c0, c2);
        odd = _mm256_unpackhi_epi64(c0, c2);
        _mm256_storeu_si256((void *)(out + 4 * i), _mm256_permute2x128_si256(even, odd, 0x20));
        _mm256_storeu_si256((void *)(out + 4 * i + 8),
                            _mm256_permute2x128_si256(even, odd, 0x31));
    }
    return i;
}

static int64_t fill_simd(uint32_t *out, int64_t n, uint32_t c0, const uint32_t *c1,
                         const uint32_t *c2, uint32_t c3, const uint32_t key[2])
{
    if (__builtin_cpu_supports("avx512f"))
        return fill_avx512(out, n, c0, c1, c2, c3, key);
    if (__builtin_cpu_supports("avx2"))
        return fill_avx2(out, n, c0, c1, c2, c3, key);
    return 0;
}
#else
static int64_t fill_simd(uint32_t *out, int64_t n, uint32_t c0, const uint32_t *c1,
                         const uint32_t *c2, uint32_t c3, const uint32_t key[2])
{
    (void)out, (void)n, (void)c0, (void)c1, (void)c2, (void)c3, (void)key;
    return 0;
}
#endif

void philox_fill(uint32_t *out, int64_t n, uint32_t c0, const uint32_t *c1,
                 const uint32_t *c2, uint32_t c3, const uint32_t key[2])
{
    for (int64_t i = fill_simd(out, n, c0, c1, c2, c3, key); i < n; i++) {
        const uint32_t counter[4] = {c0, c1[i], c2[i], c3};

        philox4x32(out + 4 * i, counter, key);
    }
}
