/* SPDX-License-Identifier: MIT */
/* runtime: the CUDA runtime and cuBLASLt as far as they are used; see emu.h. */
#include "emu.h"

#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

/* ---- the stream ---- */

using work = std::function<void()>;
struct graph {
    std::vector<work> list;
};

static std::vector<work> stream;
static int64_t submitted; /* numbers the work; the last in `stream` has this number */
static graph *capturing;
static bool spoiled; /* the capture saw a call that is not allowed in it */

void emu_submit(work w)
{
    if (capturing) {
        capturing->list.push_back(std::move(w));
        return;
    }
    stream.push_back(std::move(w));
    submitted++;
}

/* Runs what is in the stream up to number `last`. */
static void drain(int64_t last)
{
    const int64_t first = submitted - (int64_t)stream.size() + 1;
    const size_t n = last < first ? 0 : (size_t)(last - first + 1);
    const std::vector<work> now(stream.begin(), stream.begin() + (long)n);

    stream.erase(stream.begin(), stream.begin() + (long)n);
    for (const work &w : now)
        w();
}

/* A call that waits, or that touches memory: not while a capture is on. */
static cudaError_t settle()
{
    if (capturing) {
        spoiled = true;
        return cudaErrorStreamCaptureUnsupported;
    }
    drain(submitted);
    return cudaSuccess;
}

/* ---- the runtime ---- */

extern "C" {
const char *cudaGetErrorString(cudaError_t)
{
    return "emulated error";
}
const char *cudaGetErrorName(cudaError_t)
{
    return "emulated";
}
cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}
/* $EMU_MEMORY: bytes that no allocation may exceed, as if the device were so small. */
static size_t device_memory()
{
    const char *given = getenv("EMU_MEMORY");

    return given ? strtoull(given, NULL, 10) : 0;
}
static cudaError_t take(void **p, size_t n)
{
    if (capturing) {
        spoiled = true;
        return cudaErrorStreamCaptureUnsupported;
    }
    if (posix_memalign(p, 256, n)) /* to the byte, for the address sanitizer */
        return cudaErrorMemoryAllocation;
    memset(*p, 0xff, n);
    return cudaSuccess;
}
cudaError_t cudaMalloc(void **p, size_t n)
{
    return device_memory() && n > device_memory() ? cudaErrorMemoryAllocation : take(p, n);
}
cudaError_t cudaFree(void *p)
{
    if (settle() != cudaSuccess)
        return cudaErrorStreamCaptureUnsupported;
    free(p);
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *left = *all = device_memory();
    return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **p, size_t n, unsigned)
{
    return take(p, n);
}
cudaError_t cudaFreeHost(void *p)
{
    return cudaFree(p);
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind,
                            cudaStream_t)
{
    emu_submit([=] { memcpy(to, from, n); });
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t n, cudaStream_t)
{
    emu_submit([=] { memset(to, value, n); });
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = NULL;
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t)
{
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return settle();
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
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t)
{
    *(int64_t *)e = submitted;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (capturing)
        return settle();
    drain(*(int64_t *)e);
    return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode)
{
    capturing = new graph;
    spoiled = getenv("EMU_NO_CAPTURE") != NULL;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *g)
{
    *g = spoiled ? NULL : (cudaGraph_t)capturing;
    if (spoiled)
        delete capturing;
    capturing = NULL;
    return spoiled ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *e, cudaGraph_t g, unsigned long long)
{
    *e = (cudaGraphExec_t) new graph(*(const graph *)g);
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    delete (graph *)g;
    return cudaSuccess;
}
/* What is in the stream already may need it. */
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e)
{
    const cudaError_t why = settle();

    if (why == cudaSuccess)
        delete (graph *)e;
    return why;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t)
{
    for (const work &w : ((const graph *)e)->list)
        emu_submit(w);
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 1;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int)
{
    *value = 9;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute, int bytes)
{
    return bytes <= 99 << 10 ? cudaSuccess
                             : cudaErrorInvalidValue; /* the smallest limit */
}

/* ---- cuBLASLt: what the descriptions say, one sum after the other ---- */

struct layout {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld;
};
struct operation {
    int32_t turn_a, turn_b, epilogue;
    const void *bias;
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    *h = (cublasLtHandle_t)malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    free(h);
    return CUBLAS_STATUS_SUCCESS;
}
const char *cublasLtGetStatusString(cublasStatus_t)
{
    return "emulated";
}
cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t l, size_t size,
                                                 cudaDataType type, uint64_t rows,
                                                 uint64_t cols, int64_t ld)
{
    const layout t = {type, rows, cols, ld};

    if (size < sizeof t)
        return CUBLAS_STATUS_ALLOC_FAILED;
    memcpy((void *)l, &t, sizeof t);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t d, size_t,
                                               cublasComputeType_t, cudaDataType_t)
{
    const operation o = {0, 0, CUBLASLT_EPILOGUE_DEFAULT, NULL};

    memcpy((void *)d, &o, sizeof o);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t what,
                                              const void *value, size_t size)
{
    operation o;

    memcpy(&o, (void *)d, sizeof o);
    if (what == CUBLASLT_MATMUL_DESC_TRANSA && size == 4)
        memcpy(&o.turn_a, value, 4);
    else if (what == CUBLASLT_MATMUL_DESC_TRANSB && size == 4)
        memcpy(&o.turn_b, value, 4);
    else if (what == CUBLASLT_MATMUL_DESC_EPILOGUE && size == 4)
        memcpy(&o.epilogue, value, 4);
    else if (what == CUBLASLT_MATMUL_DESC_BIAS_POINTER && size == sizeof o.bias)
        memcpy(&o.bias, value, sizeof o.bias);
    else
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy((void *)d, &o, sizeof o);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

/* bf16 wants rows by 16 bytes here, so that the plain kernel is tried as well. */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
    cublasLtMatmulPreference_t, int, cublasLtMatmulHeuristicResult_t *found, int *n)
{
    layout la, lb;

    memcpy(&la, (void *)a, sizeof la);
    memcpy(&lb, (void *)b, sizeof lb);
    *n = 0;
    if (la.type == CUDA_R_16BF && (la.ld % 8 || lb.ld % 8))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (getenv("EMU_PLAIN"))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    memset(found, 0, sizeof *found);
    found->state = CUBLAS_STATUS_SUCCESS;
    *n = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static float element_at(const void *p, cudaDataType type, int64_t i)
{
    return type == CUDA_R_16BF ? emu_float((uint32_t)((const uint16_t *)p)[i] << 16)
                               : ((const float *)p)[i];
}

struct product {
    operation o;
    layout a, b, c;
    const void *from_a, *from_b;
    void *to;
    float alpha, beta;
};

static void multiply(const product &p)
{
    const layout &la = p.a, &lb = p.b, &lc = p.c;
    const bool ta = p.o.turn_a == CUBLAS_OP_T, tb = p.o.turn_b == CUBLAS_OP_T;
    const uint64_t m = lc.rows, n = lc.cols, k = ta ? la.rows : la.cols;

    for (uint64_t j = 0; j < n; j++) {
        for (uint64_t i = 0; i < m; i++) {
            const int64_t at = (int64_t)(i + j * (uint64_t)lc.ld);
            float sum = 0;

            for (uint64_t x = 0; x < k; x++)
                sum += element_at(p.from_a, la.type,
                                  (int64_t)(ta ? x + i * la.ld : i + x * la.ld)) *
                       element_at(p.from_b, lb.type,
                                  (int64_t)(tb ? j + x * lb.ld : x + j * lb.ld));
            sum *= p.alpha;
            if (p.o.epilogue == CUBLASLT_EPILOGUE_BIAS)
                sum += element_at(p.o.bias, lc.type, (int64_t)i);
            if (p.beta != 0)
                sum += p.beta * element_at(p.to, lc.type, at);
            if (lc.type == CUDA_R_16BF)
                ((__nv_bfloat16 *)p.to)[at] = __float2bfloat16_rn(sum);
            else
                ((float *)p.to)[at] = sum;
        }
    }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                              const void *alpha, const void *a, cublasLtMatrixLayout_t da,
                              const void *b, cublasLtMatrixLayout_t db, const void *beta,
                              const void *c, cublasLtMatrixLayout_t dc, void *d,
                              cublasLtMatrixLayout_t dd, const cublasLtMatmulAlgo_t *,
                              void *, size_t, cudaStream_t)
{
    product p;

    (void)dd;
    memcpy(&p.o, (void *)desc, sizeof p.o);
    memcpy(&p.a, (void *)da, sizeof p.a);
    memcpy(&p.b, (void *)db, sizeof p.b);
    memcpy(&p.c, (void *)dc, sizeof p.c);
    p.from_a = a;
    p.from_b = b;
    p.to = d;
    p.alpha = *(const float *)alpha;
    p.beta = *(const float *)beta;
    const bool ta = p.o.turn_a == CUBLAS_OP_T, tb = p.o.turn_b == CUBLAS_OP_T;
    const uint64_t m = ta ? p.a.cols : p.a.rows, k = ta ? p.a.rows : p.a.cols;
    const uint64_t n = tb ? p.b.rows : p.b.cols, kb = tb ? p.b.cols : p.b.rows;

    if (k != kb || m != p.c.rows || n != p.c.cols || p.a.ld < (int64_t)p.a.rows ||
        p.b.ld < (int64_t)p.b.rows || p.c.ld < (int64_t)p.c.rows ||
        p.a.type != p.b.type || c != d)
        return CUBLAS_STATUS_INVALID_VALUE;
    emu_submit([=] { multiply(p); });
    return CUBLAS_STATUS_SUCCESS;
}
}
