/* SPDX-License-Identifier: MIT */
/*
 * emu: runs the CUDA kernels on the CPU, for tests on machines without a GPU.
 *
 * kernels/cuda is compiled by the C++ compiler with this header in front (tests/emu/build
 * rewrites the few things that are not C++), into a plug-in like the real one.  A block's
 * threads are coroutines; shuffles, matrix instructions and barriers wait for all threads
 * of the warp or block, and a barrier that some never reach ends the program.
 * Streams are behind their caller as far as they can be: nothing runs before somebody waits
 * for it, with the arguments that it was given; what one does before another, where nothing
 * says so, EMU_STREAMS decides (queue.cc).  What is submitted between the begin and the end of
 * a capture is kept and runs at each launch of the graph.
 *
 * What a GPU would not bear, or bear only by luck, ends the program: copies of memory that is
 * not pinned, or that somebody touches meanwhile; the legacy stream; memory, events and first
 * launches in a capture; cuBLASLt's arguments beyond its documentation.  Device memory is
 * counted (EMU_MEMORY), errors stay until they are taken, a broken device for ever (EMU_BREAK),
 * and a device can be unusable in many ways (EMU_DEVICE, runtime.cc).
 * EMU_NO_CAPTURE makes every capture fail at its end.
 * watch.cc sees races and accesses outside of shared memory, the compiler those that are
 * not aligned.  EMU_ORDER=reverse or =mixed runs the threads in another order, which shows missing
 * barriers.  It says nothing about speed, and nothing about what cuBLASLt does beyond its
 * documentation.
 */
#ifndef BERTUTILS_EMU_H
#define BERTUTILS_EMU_H

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __launch_bounds__
#undef __align__
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct emu_thread {
    uint3 at;
    int lane, warp;
};
/* One thread of the host drives the device. */
extern emu_thread *emu_now;
extern uint3 emu_block;
extern dim3 emu_block_dim, emu_grid_dim;
extern char *emu_room; /* dynamic shared memory */

#define threadIdx (emu_now->at)
#define blockIdx emu_block
#define blockDim emu_block_dim
#define gridDim emu_grid_dim

void emu_launch(const void *which, dim3 grid, dim3 block, size_t room,
                cudaStream_t stream, const std::function<void()> &kernel);
void emu_first_launch();
/* A kernel with its arguments as they are now. */
template <class F, class... A> static inline std::function<void()> emu_frozen(F f, A... a)
{
    static bool loaded;

    if (!loaded)
        emu_first_launch();
    loaded = true;
    return [=] { f(a...); };
}
/* Puts work into a stream, which must be one of ours: the legacy one waits for others. */
void emu_submit(cudaStream_t s, std::function<void()> work);
void emu_wait(bool whole_block);
void emu_syncwarp();
/* 64 bytes of each lane of the warp, seen by all of them until the exchange after the next. */
char (*emu_exchange(const void *mine, size_t bytes))[64];

static inline void emu_syncthreads()
{
    emu_wait(true);
}
#define __syncthreads emu_syncthreads
#define __syncwarp emu_syncwarp

template <class T> static inline T emu_shuffle(T mine, int from)
{
    T got;

    memcpy(&got, emu_exchange(&mine, sizeof mine)[from], sizeof got);
    return got;
}
#define __shfl_xor_sync(mask, x, i) emu_shuffle(x, emu_now->lane ^ (i))
#define __shfl_sync(mask, x, i) emu_shuffle(x, i)

static inline float emu_float(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}
#define __uint_as_float emu_float

/* Bytes of a and, from 4 on, of b, chosen by the nibbles of s. */
static inline uint32_t emu_byte_perm(uint32_t a, uint32_t b, uint32_t s)
{
    const uint64_t both = (uint64_t)b << 32 | a;
    uint32_t out = 0;

    for (int i = 0; i < 4; i++)
        out |= (uint32_t)(both >> 8 * (s >> 4 * i & 7) & 0xff) << 8 * i;
    return out;
}
#define __byte_perm emu_byte_perm
#define __fdividef(a, b) ((a) / (b))

/* ex2.approx.ftz.f32: 2^x, 0 where that is denormal. */
static inline float emu_exp2(float x)
{
    const float y = exp2f(x);

    return y < 0x1p-126f ? 0 : y;
}

void emu_load_matrix(uint32_t *r, const void *p, bool turned);
void emu_multiply(float *c, const uint32_t *a, uint32_t b0, uint32_t b1);
/* cp.async: `taken` bytes of `from`, then zeros up to `bytes`. */
void emu_copy(void *to, const void *from, int taken, int bytes);
void emu_commit();
void emu_copy_wait(int n);

#endif
