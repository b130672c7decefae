/* SPDX-License-Identifier: MIT */
/*
 * memory: the device's memory, pinned memory and copies; see emu.h.
 *
 * Pinned memory that a copy still needs is watched: what is written to it between the call
 * and the copy would be a race on a GPU, and so would what is read out of it too early.
 */
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>

#include <map>

static std::map<const char *, size_t> device, pinned;
static std::map<const void *, cudaStream_t> users;
static size_t taken; /* of the device, as pages */

static bool is_inside(const std::map<const char *, size_t> &all, const void *p, size_t n)
{
    auto at = all.upper_bound((const char *)p);

    if (at == all.begin())
        return false;
    --at;
    return (const char *)p + n <= at->first + at->second;
}

bool emu_on_device(const void *p, size_t n)
{
    return is_inside(device, p, n);
}

void emu_use(const void *p, cudaStream_t s)
{
    const auto at = users.insert({p, s});

    if (at.first->second != s)
        emu_refuse("two streams share a workspace");
}

/* $EMU_MEMORY: bytes of the device. */
static size_t all_memory()
{
    const char *given = emu_wish("EMU_MEMORY");

    return *given ? strtoull(given, NULL, 10) : (size_t)80e9;
}

static size_t pages(size_t n)
{
    const size_t page = n < 1 << 20 ? 512 : 2 << 20;

    return (n + page - 1) / page * page;
}

bool emu_take(size_t n)
{
    if (n > all_memory() || taken > all_memory() - n)
        return false;
    taken += n;
    return true;
}

void emu_give(size_t n)
{
    taken -= n;
}

extern "C" {
cudaError_t cudaMalloc(void **p, size_t n)
{
    if (emu_capturing())
        return emu_spoil();
    if (!emu_take(pages(n)))
        return emu_error(cudaErrorMemoryAllocation);
    if (posix_memalign(p, 256, n)) /* to the byte, for the address sanitizer */
        emu_refuse("no memory left");
    memset(*p, 0xff, n);
    device[(const char *)*p] = n;
    return cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    const auto at = device.find((const char *)p);

    if (!p)
        return cudaSuccess;
    if (emu_capturing())
        return emu_spoil();
    if (at == device.end())
        return emu_error(cudaErrorInvalidValue);
    (void)emu_settle();
    emu_give(pages(at->second));
    device.erase(at);
    users.erase(p);
    free(p);
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *all = all_memory();
    *left = *all - taken;
    return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **p, size_t n, unsigned)
{
    if (emu_capturing())
        return emu_spoil();
    if (posix_memalign(p, 256, n))
        return emu_error(cudaErrorMemoryAllocation);
    memset(*p, 0xff, n);
    pinned[(const char *)*p] = n;
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void *p)
{
    if (emu_capturing())
        return emu_spoil();
    (void)emu_settle();
    pinned.erase((const char *)p);
    free(p);
    return cudaSuccess;
}

static uint64_t sum_of(const void *p, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)p;
    uint64_t sum = 1469598103934665603u, word;

    for (; n >= 8; n -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        sum = (sum ^ word) * 1099511628211u;
        sum ^= sum >> 29;
    }
    while (n-- > 0)
        sum = (sum ^ *bytes++) * 1099511628211u;
    return sum;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    const bool up = kind == cudaMemcpyHostToDevice;
    void *host = up ? (void *)from : to;
    uint64_t sum;

    if (!emu_on_device(up ? to : from, n))
        emu_refuse("a copy leaves the device's memory");
    if (!is_inside(pinned, host, n))
        emu_refuse("a copy behind the caller of memory that is not pinned");
    if (emu_capturing())
        emu_refuse("a recorded copy would take what is in the host's memory later");
    if (!up)
        memset(host, 0xfb, n); /* who reads it too early gets no number */
    sum = sum_of(host, n);
    emu_submit(s, [=] {
        if (sum_of(host, n) != sum)
            emu_refuse("pinned memory was written while a copy needed it");
        memcpy(to, from, n);
    });
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t n, cudaStream_t s)
{
    if (!emu_on_device(to, n))
        emu_refuse("a memset leaves the device's memory");
    emu_submit(s, [=] { memset(to, value, n); });
    return cudaSuccess;
}
}
