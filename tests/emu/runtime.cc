/* SPDX-License-Identifier: MIT */
/* runtime: errors, messages and devices of the CUDA runtime; see emu.h. */
#include "stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <map>

static cudaError_t last;
static std::map<const void *, size_t> rooms; /* what kernels were allowed */

void emu_refuse(const char *format, ...)
{
    va_list list;

    fflush(stdout);
    fputs("emu: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    abort();
}

size_t emu_room_of(const void *kernel)
{
    const auto at = rooms.find(kernel);

    return at == rooms.end() ? 48 << 10 : at->second > 48 << 10 ? at->second : 48 << 10;
}

const char *emu_wish(const char *name)
{
    const char *given = getenv(name);

    return given ? given : "";
}

cudaError_t emu_error(cudaError_t why)
{
    if (why != cudaSuccess)
        last = why;
    return why;
}

/* ---- the runtime ---- */

extern "C" {
const char *cudaGetErrorString(cudaError_t why)
{
    return why == cudaErrorIllegalAddress ? "an illegal memory access was encountered"
                                          : "emulated error";
}
const char *cudaGetErrorName(cudaError_t)
{
    return "emulated";
}
cudaError_t cudaGetLastError()
{
    const cudaError_t why = last;

    last = emu_broken();
    return why;
}

/* ---- devices: $EMU_DEVICE says what is wrong with it ---- */

static bool device_is(const char *what)
{
    return strcmp(emu_wish("EMU_DEVICE"), what) == 0;
}
cudaError_t cudaGetDeviceCount(int *n)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");

    *n = 0;
    if (device_is("old driver") || device_is("no driver"))
        return emu_error(cudaErrorInsufficientDriver);
    if (device_is("none") || (visible && !*visible))
        return emu_error(cudaErrorNoDevice);
    if (device_is("not ready"))
        return emu_error(cudaErrorSystemNotReady);
    *n = 1;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *v)
{
    *v = device_is("no driver") ? 0 : 12040;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *v)
{
    *v = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int)
{
    *value = what == cudaDevAttrComputeCapabilityMinor ? 0 : device_is("old") ? 7 : 9;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int)
{
    return emu_error(device_is("full")   ? cudaErrorMemoryAllocation
                     : device_is("busy") ? cudaErrorDevicesUnavailable
                                         : cudaSuccess);
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, const void *)
{
    return emu_error(device_is("too new") ? cudaErrorNoKernelImageForDevice : cudaSuccess);
}
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute what, int bytes)
{
    /* The smallest limit: of sm_86, sm_89 and sm_120. */
    if (what != cudaFuncAttributeMaxDynamicSharedMemorySize || bytes > 99 << 10)
        return emu_error(cudaErrorInvalidValue);
    rooms[kernel] = (size_t)bytes;
    return cudaSuccess;
}
}
