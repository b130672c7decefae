/* SPDX-License-Identifier: MIT */
/* CUB's radix sort for the emulator: a stable sort by the low bits of the key. */
#include <algorithm>
#include <numeric>
#include <vector>

#include "stream.h"

namespace cub {
struct DeviceRadixSort {
    static cudaError_t SortPairs(void *temp, size_t &bytes, const int32_t *key,
                                 int32_t *key_out, const int32_t *value,
                                 int32_t *value_out, int n, int, int end,
                                 cudaStream_t stream = NULL)
    {
        if (!temp)
            return bytes = 1024, cudaSuccess;
        emu_submit(stream, [=] { sort(key, key_out, value, value_out, n, end); });
        return cudaSuccess;
    }

    static void sort(const int32_t *key, int32_t *key_out, const int32_t *value,
                     int32_t *value_out, int n, int end)
    {
        const uint32_t mask = end < 32 ? (1u << end) - 1 : ~0u;
        std::vector<int> at((size_t)n);

        std::iota(at.begin(), at.end(), 0);
        std::stable_sort(at.begin(), at.end(), [&](int a, int b) {
            return ((uint32_t)key[a] & mask) < ((uint32_t)key[b] & mask);
        });
        for (int i = 0; i < n; i++) {
            key_out[i] = key[at[(size_t)i]];
            value_out[i] = value[at[(size_t)i]];
        }
    }
};
} // namespace cub
