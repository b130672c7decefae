/* SPDX-License-Identifier: MIT */
/* runtime: streams, events, graphs and devices of the CUDA runtime; see emu.h. */
#include "stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <map>
#include <vector>

/* ---- the stream ---- */

using work = std::function<void()>;
struct graph {
    std::vector<work> list;
    size_t bytes; /* of the device, when it can be run */
};

static std::vector<work> stream;
static int64_t submitted; /* numbers the work; the last in `stream` has this number */
static graph *capturing;
static bool spoiled; /* the capture saw a call that is not allowed in it */
static cudaError_t last, broken; /* `broken` stays for ever */
static char only_stream;
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

void emu_check_stream(cudaStream_t s, const char *who)
{
    if (s != (cudaStream_t)&only_stream)
        emu_refuse("%s in another stream than the device's", who);
}

bool emu_capturing()
{
    return capturing;
}

cudaError_t emu_spoil()
{
    spoiled = true;
    return emu_error(cudaErrorStreamCaptureUnsupported);
}

/* $EMU_BREAK: the number of the work at which the device breaks. */
void emu_submit(work w)
{
    const char *when = emu_wish("EMU_BREAK");

    if (capturing) {
        capturing->list.push_back(std::move(w));
        return;
    }
    stream.push_back(std::move(w));
    submitted++;
    if (*when && submitted == strtoll(when, NULL, 10))
        broken = cudaErrorIllegalAddress;
}

/* Runs what is in the stream up to number `until`. */
static cudaError_t drain(int64_t until)
{
    const int64_t first = submitted - (int64_t)stream.size() + 1;
    const size_t n = until < first ? 0 : (size_t)(until - first + 1);
    const std::vector<work> now(stream.begin(), stream.begin() + (long)n);

    stream.erase(stream.begin(), stream.begin() + (long)n);
    for (const work &w : now)
        if (broken == cudaSuccess)
            w();
    return emu_error(broken);
}

cudaError_t emu_settle()
{
    return capturing ? emu_spoil() : drain(submitted);
}

/* A kernel's code is loaded when it is first launched, which takes memory. */
void emu_first_launch()
{
    if (capturing)
        emu_refuse("a kernel is launched for the first time while a capture is on");
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

    last = broken;
    return why;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    if (flags != cudaStreamNonBlocking)
        emu_refuse("a stream that waits for the legacy one");
    *s = (cudaStream_t)&only_stream;
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t)
{
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    emu_check_stream(s, "cudaStreamSynchronize");
    return emu_settle();
}
/* An event is the number of the work before it. */
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    *e = (cudaEvent_t)calloc(1, sizeof(int64_t));
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    free(e);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    emu_check_stream(s, "cudaEventRecord");
    if (capturing)
        emu_refuse("an event of a capture, which nobody can wait for");
    *(int64_t *)e = submitted;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    return capturing ? emu_spoil() : drain(*(int64_t *)e);
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode)
{
    emu_check_stream(s, "cudaStreamBeginCapture");
    if (mode == cudaStreamCaptureModeRelaxed || capturing)
        return emu_error(cudaErrorInvalidValue);
    capturing = new graph;
    spoiled = *emu_wish("EMU_NO_CAPTURE");
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *g)
{
    *g = spoiled ? NULL : (cudaGraph_t)capturing;
    if (spoiled)
        delete capturing;
    capturing = NULL;
    return spoiled ? emu_error(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *e, cudaGraph_t g, unsigned long long)
{
    const graph *from = (const graph *)g;
    const size_t bytes = from->list.size() * 4096;

    if (capturing)
        return emu_spoil();
    if (!emu_take(bytes))
        return emu_error(cudaErrorMemoryAllocation);
    *e = (cudaGraphExec_t) new graph{from->list, bytes};
    return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t s)
{
    emu_check_stream(s, "cudaGraphUpload");
    return capturing ? emu_spoil() : cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    delete (graph *)g;
    return cudaSuccess;
}
/* What is in the stream already has what it needs: it is freed behind that. */
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e)
{
    emu_give(((const graph *)e)->bytes);
    delete (graph *)e;
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s)
{
    emu_check_stream(s, "cudaGraphLaunch");
    if (capturing)
        emu_refuse("a graph in a graph");
    for (const work &w : ((const graph *)e)->list)
        emu_submit(w);
    return cudaSuccess;
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
