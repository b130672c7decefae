/* SPDX-License-Identifier: MIT */
#include "byteclass.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- SSE2, which every x86-64 has ---- */

#define NAME(x) sse2_##x
#define TARGET

struct sse2_block {
    __m128i v[4];
};

static struct sse2_block sse2_load(const uint8_t *p)
{
    struct sse2_block b;

    for (int i = 0; i < 4; i++)
        b.v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
    return b;
}

static void sse2_store(uint8_t *p, struct sse2_block b)
{
    for (int i = 0; i < 4; i++)
        _mm_storeu_si128((__m128i *)(void *)(p + 16 * i), b.v[i]);
}

static __m128i sse2_in(__m128i v, int low, int high)
{
    const __m128i from = _mm_sub_epi8(v, _mm_set1_epi8((char)low));

    return _mm_cmpeq_epi8(_mm_min_epu8(from, _mm_set1_epi8((char)(high - low))), from);
}

static uint64_t sse2_range(struct sse2_block b, int low, int high)
{
    uint64_t m = 0;

    for (int i = 0; i < 4; i++)
        m |= (uint64_t)(uint16_t)_mm_movemask_epi8(sse2_in(b.v[i], low, high)) << 16 * i;
    return m;
}

static struct sse2_block sse2_fold(struct sse2_block b)
{
    for (int i = 0; i < 4; i++)
        b.v[i] = _mm_or_si128(b.v[i], _mm_and_si128(sse2_in(b.v[i], 'A', 'Z'), _mm_set1_epi8(0x20)));
    return b;
}

static struct sse2_block sse2_lowered(struct sse2_block b)
{
    for (int i = 0; i < 4; i++)
        b.v[i] = _mm_or_si128(b.v[i], _mm_set1_epi8(0x20));
    return b;
}

#include "byteclass_impl.h"

/* ---- AVX2 ---- */

#define NAME(x) avx2_##x
#define TARGET __attribute__((target("avx2")))

struct avx2_block {
    __m256i v[2];
};

TARGET static inline struct avx2_block avx2_load(const uint8_t *p)
{
    struct avx2_block b;

    for (int i = 0; i < 2; i++)
        b.v[i] = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32 * i));
    return b;
}

TARGET static inline void avx2_store(uint8_t *p, struct avx2_block b)
{
    for (int i = 0; i < 2; i++)
        _mm256_storeu_si256((__m256i *)(void *)(p + 32 * i), b.v[i]);
}

TARGET static inline __m256i avx2_in(__m256i v, int low, int high)
{
    const __m256i from = _mm256_sub_epi8(v, _mm256_set1_epi8((char)low));

    return _mm256_cmpeq_epi8(_mm256_min_epu8(from, _mm256_set1_epi8((char)(high - low))), from);
}

TARGET static inline uint64_t avx2_range(struct avx2_block b, int low, int high)
{
    return (uint32_t)_mm256_movemask_epi8(avx2_in(b.v[0], low, high)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(avx2_in(b.v[1], low, high)) << 32;
}

TARGET static inline struct avx2_block avx2_fold(struct avx2_block b)
{
    for (int i = 0; i < 2; i++)
        b.v[i] = _mm256_or_si256(b.v[i], _mm256_and_si256(avx2_in(b.v[i], 'A', 'Z'),
                                                          _mm256_set1_epi8(0x20)));
    return b;
}

TARGET static inline struct avx2_block avx2_lowered(struct avx2_block b)
{
    for (int i = 0; i < 2; i++)
        b.v[i] = _mm256_or_si256(b.v[i], _mm256_set1_epi8(0x20));
    return b;
}

#include "byteclass_impl.h"

/* ---- AVX-512 for bytes ---- */

#define NAME(x) avx512_##x
#define TARGET __attribute__((target("avx512bw")))

struct avx512_block {
    __m512i v;
};

TARGET static inline struct avx512_block avx512_load(const uint8_t *p)
{
    return (struct avx512_block){_mm512_loadu_si512(p)};
}

TARGET static inline void avx512_store(uint8_t *p, struct avx512_block b)
{
    _mm512_storeu_si512(p, b.v);
}

TARGET static inline uint64_t avx512_range(struct avx512_block b, int low, int high)
{
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(b.v, _mm512_set1_epi8((char)low)),
                                  _mm512_set1_epi8((char)(high - low)));
}

TARGET static inline struct avx512_block avx512_lowered(struct avx512_block b)
{
    return (struct avx512_block){_mm512_or_si512(b.v, _mm512_set1_epi8(0x20))};
}

TARGET static inline struct avx512_block avx512_fold(struct avx512_block b)
{
    return (struct avx512_block){_mm512_mask_add_epi8(b.v, avx512_range(b, 'A', 'Z'), b.v,
                                                      _mm512_set1_epi8(0x20))};
}

#include "byteclass_impl.h"

const struct byteclass *byteclass_x86(size_t i)
{
    static const struct byteclass version[] = {{"avx512", avx512_bert, avx512_gpt2},
                                               {"avx2", avx2_bert, avx2_gpt2},
                                               {"sse2", sse2_bert, sse2_gpt2}};
    const bool has[] = {__builtin_cpu_supports("avx512bw") != 0,
                        __builtin_cpu_supports("avx2") != 0, true};

    for (size_t k = 0; k < sizeof has / sizeof has[0]; k++)
        if (has[k] && i-- == 0)
            return &version[k];
    return NULL;
}

#else
const struct byteclass *byteclass_x86(size_t i)
{
    (void)i;
    return NULL;
}
#endif
