/* SPDX-License-Identifier: MIT */
/* device: which devices can be used, and why one cannot, in words that help. */
#include "common.cuh"

#include <stdlib.h>

constexpr int LEAST_CAPABILITY = 8; /* bf16 and its matrix instructions */

/* Without a driver the runtime says that it is too old. */
static void old_driver(struct err *why)
{
    int has = 0, needs = 0;

    (void)cudaDriverGetVersion(&has);
    (void)cudaRuntimeGetVersion(&needs);
    if (has == 0)
        err_set(why, ERR_RUN, "there is no NVIDIA driver");
    else
        err_set(why, ERR_RUN,
                "the driver is for CUDA %d.%d, the plug-in needs %d.%d: install a newer driver, "
                "or make the plug-in with an older CUDA",
                has / 1000, has % 1000 / 10, needs / 1000, needs % 1000 / 10);
}

static void no_devices(cudaError_t code, struct err *why)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");

    if (code == cudaErrorInsufficientDriver)
        old_driver(why);
    else if ((code == cudaErrorNoDevice || code == cudaSuccess) && visible)
        err_set(why, ERR_RUN, "CUDA_VISIBLE_DEVICES ('%.100s') leaves none", visible);
    else if (code == cudaErrorNoDevice || code == cudaSuccess)
        err_set(why, ERR_RUN, "there is none");
    else if (code == cudaErrorSystemNotReady)
        err_set(why, ERR_RUN, "%s: is nvidia-fabricmanager running?", cudaGetErrorString(code));
    else
        err_set(why, ERR_RUN, "%s (%s)", cudaGetErrorString(code), cudaGetErrorName(code));
}

int device_probe(struct err *why)
{
    int n = 0;
    const cudaError_t code = cudaGetDeviceCount(&n);

    if (code != cudaSuccess || n == 0) {
        (void)cudaGetLastError();
        no_devices(code, why);
        return 0;
    }
    for (int i = 0; i < n; i++) {
        int major = 0, minor = 0;

        if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, i) !=
                cudaSuccess ||
            cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, i) !=
                cudaSuccess ||
            major < LEAST_CAPABILITY) {
            if (i == 0)
                err_set(why, ERR_RUN, "cuda:0 has compute capability %d.%d, %d.0 is needed",
                        major, minor, LEAST_CAPABILITY);
            n = i;
        }
    }
    (void)cudaGetLastError();
    return n;
}

int device_fail(struct dev *d, cudaError_t why, struct err *e)
{
    int major = 0, minor = 0;

    (void)cudaGetLastError();
    (void)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, d->index);
    (void)cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, d->index);
    switch (why) {
    case cudaErrorMemoryAllocation:
        return err_set(e, ERR_INTERNAL,
                       "out of memory on cuda:%d: other programs leave too little to start; see "
                       "nvidia-smi, or use --device cpu",
                       d->index);
    case cudaErrorDevicesUnavailable:
        return err_set(e, ERR_RUN,
                       "cuda:%d is busy or unavailable: another program may have it for itself; "
                       "see nvidia-smi, or use --device cpu",
                       d->index);
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion:
        return err_set(e, ERR_RUN,
                       "the plug-in has no code for cuda:%d (compute capability %d.%d): make "
                       "cuda CUDA_ARCH='-gencode arch=compute_%d%d,code=sm_%d%d'",
                       d->index, major, minor, major, minor, major, minor);
    default:
        return cuda_fail(d, why, "opening", e);
    }
}

/* Any error comes again when the device is opened, which says what it means. */
void device_warm(int index)
{
    cublasLtHandle_t lt = NULL;

    if (cudaSetDevice(index) == cudaSuccess && cudaFree(NULL) == cudaSuccess &&
        code_is_there() == cudaSuccess && cublasLtCreate(&lt) == CUBLAS_STATUS_SUCCESS)
        (void)cublasLtDestroy(lt);
    (void)cudaGetLastError();
}
