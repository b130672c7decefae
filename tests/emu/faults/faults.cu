/* SPDX-License-Identifier: MIT */
/*
 * faults: kernels with one fault each, and one without, for a test of what the emulator
 * sees:  faults NAME
 */
#include <cuda_runtime.h>
#include <stdlib.h>
#include <string.h>

enum fault { NONE, RACE, WARP_RACE, TOO_FAR, NOT_ALIGNED, FOREIGN, BANKS, ASYNC };

struct fault_arg {
    float *out, *host;
    int fault;
};

/* Thread i writes word i and reads that of its neighbour, or one of another warp. */
static __global__ void fault_kernel(const fault_arg a)
{
    extern __shared__ __align__(16) char room[];
    float *words = (float *)room;
    const int i = (int)threadIdx.x;

    words[i] = (float)i;
    if (a.fault == WARP_RACE)
        __syncwarp();
    else if (a.fault != RACE)
        __syncthreads();
    a.out[i] = words[(i + 33) % 64];
    if (a.fault == TOO_FAR)
        a.out[i] = words[i + 64];
    if (a.fault == NOT_ALIGNED)
        a.out[i] = (*(const float2 *)(words + 1)).x;
    if (a.fault == FOREIGN)
        a.host[i] = 1;
    if (a.fault == BANKS) {
        uint32_t r[4];

        emu_load_matrix(r, room, false);
    }
    if (a.fault == ASYNC) {
        emu_copy(room, a.out, 16, 16); /* all of them the same place */
        emu_commit();
        emu_copy_wait(0);
    }
}

int main(int n, char **name)
{
    static const char *const names[] = {"none",        "race",    "warp-race", "too-far",
                                        "not-aligned", "foreign", "banks",     "async"};
    fault_arg a = {NULL, (float *)malloc(64 * sizeof(float)), -1};
    cudaStream_t stream;
    size_t bytes = 64 * sizeof(float);

    for (int i = 0; n == 2 && i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name[1], names[i]) == 0)
            a.fault = i;
    if (n == 2 && strcmp(name[1], "too-much") == 0)
        a.fault = NONE, bytes = 50 << 10;
    if (a.fault < 0 || cudaMalloc((void **)&a.out, 64 * sizeof(float)) != cudaSuccess ||
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess)
        return 2;
    fault_kernel<<<1, 64, bytes, stream>>>(a);
    return cudaStreamSynchronize(stream) != cudaSuccess;
}
