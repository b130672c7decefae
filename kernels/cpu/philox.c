/* SPDX-License-Identifier: MIT */
/*
 * philox: the random numbers of dropout, many at once.
 *
 * Eight (AVX-512) or four (AVX2) counters, one in each 64-bit lane.  The products read the low
 * half of a lane only, so what lies in the high halves is of no account until the end.
 * Compilers do not find this form by themselves.
 */
#include "cpu.h"

enum { ROUNDS = PHILOX_DROP_ROUNDS, CALL = 8 /* half-words of a call */, UNIT_CALLS = 4 };

/* Calls i..n-1 of columns; see philox_columns.  What takes no vectors, and their rest. */
static void columns_plain(uint16_t *out, int64_t i, int64_t n, const uint32_t first[4],
                          const uint32_t key[2])
{
    for (; i < n; i++) {
        const uint32_t counter[4] = {first[0], first[1], first[2] + (uint32_t)i, first[3]};
        uint32_t word[4];

        philox_rounds(word, counter, key, ROUNDS);
        for (int h = 0; h < CALL; h++)
            out[h / 4 * DROP_APART + 4 * i + h % 4] = (uint16_t)philox_half(word, h);
    }
}

/* A pair of rows in a tile: four calls. */
struct unit {
    int64_t pair, tile;
};

static inline struct unit unit_after(const struct drop_rows *r, struct unit u)
{
    return u.tile + 1 < r->tiles ? (struct unit){u.pair, u.tile + 1}
                                 : (struct unit){u.pair + 1, 0};
}

/* Where the halves of the unit's first row go. */
static inline uint16_t *unit_at(const struct drop_rows *r, struct unit u)
{
    return r->out + u.pair * r->ld + u.tile * DROP_TILE;
}

static inline uint32_t unit_query(const struct drop_rows *r, struct unit u)
{
    return r->offset + (uint32_t)u.pair;
}

static inline uint32_t unit_group(struct unit u)
{
    return (uint32_t)u.tile * UNIT_CALLS;
}

static void rows_plain(const struct drop_rows *r, struct unit u)
{
    for (; u.pair < r->pairs; u = unit_after(r, u)) {
        for (uint32_t q = 0; q < UNIT_CALLS; q++) {
            const uint32_t counter[4] = {r->record, unit_query(r, u), unit_group(u) + q,
                                         r->head};
            uint32_t word[4];

            philox_rounds(word, counter, r->key, ROUNDS);
            for (int h = 0; h < CALL; h++)
                unit_at(r, u)[h / 2 % 2 * 8 * r->ld + h / 4 * 8 + 2 * q + h % 2] =
                    (uint16_t)philox_half(word, h);
        }
    }
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* The keys of the rounds, as lanes want them. */
struct round_keys {
    int64_t k0[ROUNDS], k1[ROUNDS];
};

static struct round_keys round_keys(const uint32_t key[2])
{
    struct round_keys k;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        k.k0[i] = (uint32_t)(key[0] + i * 0x9E3779B9u);
        k.k1[i] = (uint32_t)(key[1] + i * 0xBB67AE85u);
    }
    return k;
}

/* c: the counters; then the words, of which the low halves of lanes count. */
__attribute__((target("avx512f"), always_inline)) static inline void
rounds_avx512(__m512i c[4], const struct round_keys *k)
{
    const __m512i m0 = _mm512_set1_epi64(0xD2511F53), m1 = _mm512_set1_epi64(0xCD9E8D57);

    for (int i = 0; i < ROUNDS; i++) {
        const __m512i p0 = _mm512_mul_epu32(c[0], m0), p1 = _mm512_mul_epu32(c[2], m1);

        c[0] = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p1, 32), c[1]),
                                _mm512_set1_epi64(k->k0[i]));
        c[2] = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p0, 32), c[3]),
                                _mm512_set1_epi64(k->k1[i]));
        c[1] = p1;
        c[3] = p0;
    }
}

/* The words of two lanes' vectors as one of 64 bits a lane. */
__attribute__((target("avx512f"), always_inline)) static inline __m512i
pair_avx512(__m512i first, __m512i second)
{
    return _mm512_mask_shuffle_epi32(first, 0xaaaa, second, _MM_PERM_CCAA);
}

__attribute__((target("avx512f"))) static int64_t
columns_avx512(uint16_t *out, int64_t n, const uint32_t first[4], const uint32_t key[2])
{
    const struct round_keys k = round_keys(key);
    __m512i group = _mm512_add_epi64(_mm512_set1_epi64(first[2]),
                                     _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0));
    int64_t i = 0;

    for (; i + 8 <= n; i += 8) {
        __m512i c[4] = {_mm512_set1_epi64(first[0]), _mm512_set1_epi64(first[1]), group,
                        _mm512_set1_epi64(first[3])};

        rounds_avx512(c, &k);
        _mm512_storeu_si512(out + 4 * i, pair_avx512(c[0], c[1]));
        _mm512_storeu_si512(out + DROP_APART + 4 * i, pair_avx512(c[2], c[3]));
        group = _mm512_add_epi64(group, _mm512_set1_epi64(8));
    }
    return i;
}

/*
 * Two units at once: lanes 0 to 3 have the first one's calls, 4 to 7 the second one's.
 * Returns the first unit that is left, as the others do.
 */
__attribute__((target("avx512f"))) static struct unit rows_avx512(const struct drop_rows *r)
{
    const struct round_keys k = round_keys(r->key);
    const __m512i lane = _mm512_set_epi64(3, 2, 1, 0, 3, 2, 1, 0);
    const __m512i gather =
        _mm512_set_epi32(30, 28, 26, 24, 14, 12, 10, 8, 22, 20, 18, 16, 6, 4, 2, 0);
    struct unit u = {0, 0}, v;

    for (v = unit_after(r, u); v.pair < r->pairs; u = unit_after(r, v), v = unit_after(r, u)) {
        const __m512i query = _mm512_mask_set1_epi64(_mm512_set1_epi64(unit_query(r, u)), 0xf0,
                                                     unit_query(r, v));
        const __m512i group =
            _mm512_mask_set1_epi64(_mm512_set1_epi64(unit_group(u)), 0xf0, unit_group(v));
        uint16_t *to0 = unit_at(r, u), *to1 = unit_at(r, v);
        __m512i c[4] = {_mm512_set1_epi64(r->record), query, _mm512_add_epi64(group, lane),
                        _mm512_set1_epi64(r->head)};

        rounds_avx512(c, &k);
        for (int i = 0; i < 2; i++, to0 += 8 * r->ld, to1 += 8 * r->ld) {
            const __m512i both = _mm512_permutex2var_epi32(c[i], gather, c[2 + i]);

            _mm256_storeu_si256((void *)to0, _mm512_castsi512_si256(both));
            _mm256_storeu_si256((void *)to1, _mm512_extracti64x4_epi64(both, 1));
        }
    }
    return u;
}

__attribute__((target("avx2"), always_inline)) static inline void
rounds_avx2(__m256i c[4], const struct round_keys *k)
{
    const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);

    for (int i = 0; i < ROUNDS; i++) {
        const __m256i p0 = _mm256_mul_epu32(c[0], m0), p1 = _mm256_mul_epu32(c[2], m1);

        c[0] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c[1]),
                                _mm256_set1_epi64x(k->k0[i]));
        c[2] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c[3]),
                                _mm256_set1_epi64x(k->k1[i]));
        c[1] = p1;
        c[3] = p0;
    }
}

__attribute__((target("avx2"), always_inline)) static inline __m256i
pair_avx2(__m256i first, __m256i second)
{
    return _mm256_blend_epi32(first, _mm256_slli_epi64(second, 32), 0xaa);
}

__attribute__((target("avx2"))) static int64_t
columns_avx2(uint16_t *out, int64_t n, const uint32_t first[4], const uint32_t key[2])
{
    const struct round_keys k = round_keys(key);
    __m256i group =
        _mm256_add_epi64(_mm256_set1_epi64x(first[2]), _mm256_set_epi64x(3, 2, 1, 0));
    int64_t i = 0;

    for (; i + 4 <= n; i += 4) {
        __m256i c[4] = {_mm256_set1_epi64x(first[0]), _mm256_set1_epi64x(first[1]), group,
                        _mm256_set1_epi64x(first[3])};

        rounds_avx2(c, &k);
        _mm256_storeu_si256((void *)(out + 4 * i), pair_avx2(c[0], c[1]));
        _mm256_storeu_si256((void *)(out + DROP_APART + 4 * i), pair_avx2(c[2], c[3]));
        group = _mm256_add_epi64(group, _mm256_set1_epi64x(4));
    }
    return i;
}

__attribute__((target("avx2"))) static struct unit rows_avx2(const struct drop_rows *r)
{
    const struct round_keys k = round_keys(r->key);
    const __m256i lane = _mm256_set_epi64x(3, 2, 1, 0);
    const __m256i gather = _mm256_set_epi32(6, 4, 2, 0, 6, 4, 2, 0);
    struct unit u = {0, 0};

    for (; u.pair < r->pairs; u = unit_after(r, u)) {
        uint16_t *to = unit_at(r, u);
        __m256i c[4] = {_mm256_set1_epi64x(r->record), _mm256_set1_epi64x(unit_query(r, u)),
                        _mm256_add_epi64(_mm256_set1_epi64x(unit_group(u)), lane),
                        _mm256_set1_epi64x(r->head)};

        rounds_avx2(c, &k);
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256(
                (void *)(to + i * 8 * r->ld),
                _mm256_blend_epi32(_mm256_permutevar8x32_epi32(c[i], gather),
                                   _mm256_permutevar8x32_epi32(c[2 + i], gather), 0xf0));
    }
    return u;
}

static int64_t columns_simd(uint16_t *out, int64_t n, const uint32_t first[4],
                            const uint32_t key[2])
{
    if (__builtin_cpu_supports("avx512f"))
        return columns_avx512(out, n, first, key);
    return __builtin_cpu_supports("avx2") ? columns_avx2(out, n, first, key) : 0;
}

static struct unit rows_simd(const struct drop_rows *r)
{
    if (__builtin_cpu_supports("avx512f"))
        return rows_avx512(r);
    return __builtin_cpu_supports("avx2") ? rows_avx2(r) : (struct unit){0, 0};
}
#else
static int64_t columns_simd(uint16_t *out, int64_t n, const uint32_t first[4],
                            const uint32_t key[2])
{
    (void)out, (void)n, (void)first, (void)key;
    return 0;
}

static struct unit rows_simd(const struct drop_rows *r)
{
    (void)r;
    return (struct unit){0, 0};
}
#endif

void philox_columns(uint16_t *out, int64_t n, struct row_id id, uint32_t group,
                    const uint32_t key[2])
{
    const uint32_t first[4] = {id.record, id.offset, group, 0};

    columns_plain(out, columns_simd(out, n, first, key), n, first, key);
}

void philox_rows(const struct drop_rows *r)
{
    rows_plain(r, rows_simd(r));
}
