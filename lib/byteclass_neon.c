/* SPDX-License-Identifier: MIT */
#include "byteclass.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define NAME(x) neon_##x
#define TARGET

struct neon_block {
    uint8x16_t v[4];
};

static inline struct neon_block neon_load(const uint8_t *p)
{
    struct neon_block b;

    for (int i = 0; i < 4; i++)
        b.v[i] = vld1q_u8(p + 16 * i);
    return b;
}

static inline void neon_store(uint8_t *p, struct neon_block b)
{
    for (int i = 0; i < 4; i++)
        vst1q_u8(p + 16 * i, b.v[i]);
}

static inline uint8x16_t neon_in(uint8x16_t v, int low, int high)
{
    return vcleq_u8(vsubq_u8(v, vdupq_n_u8((uint8_t)low)), vdupq_n_u8((uint8_t)(high - low)));
}

/* Each byte keeps the bit of its place among eight; neighbours are added three times. */
static inline uint64_t neon_range(struct neon_block b, int low, int high)
{
    static const uint8_t place[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bit = vld1q_u8(place);
    uint8x16_t v[4];

    for (int i = 0; i < 4; i++)
        v[i] = vandq_u8(neon_in(b.v[i], low, high), bit);
    v[0] = vpaddq_u8(vpaddq_u8(v[0], v[1]), vpaddq_u8(v[2], v[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(v[0], v[0])), 0);
}

static inline struct neon_block neon_fold(struct neon_block b)
{
    for (int i = 0; i < 4; i++)
        b.v[i] = vorrq_u8(b.v[i], vandq_u8(neon_in(b.v[i], 'A', 'Z'), vdupq_n_u8(0x20)));
    return b;
}

static inline struct neon_block neon_lowered(struct neon_block b)
{
    for (int i = 0; i < 4; i++)
        b.v[i] = vorrq_u8(b.v[i], vdupq_n_u8(0x20));
    return b;
}

#include "byteclass_impl.h"

const struct byteclass *byteclass_neon(size_t i)
{
    static const struct byteclass version = {"neon", neon_bert, neon_gpt2};

    return i == 0 ? &version : NULL;
}

#else
const struct byteclass *byteclass_neon(size_t i)
{
    (void)i;
    return NULL;
}
#endif
