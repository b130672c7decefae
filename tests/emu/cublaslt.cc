/* SPDX-License-Identifier: MIT */
/*
 * cublaslt: cuBLASLt as far as it is used, one sum after the other.
 *
 * It refuses what the library's documentation does not promise: layouts that do not fit each
 * other, types and scales it has no kernels for, an algorithm of another problem, pointers less
 * aligned than the heuristic was told, a workspace too small or not at a multiple of 256 bytes,
 * vectors of epilogues that are not aligned.  $EMU_PLAIN: it has no algorithm for anything;
 * $EMU_REFUSE: it has, and takes it back when it is used.
 */
#include "stream.h"

#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

enum { MADE = 0x6c61796f, LEAST_BIAS = 16, LEAST_WORKSPACE = 256 };

struct layout {
    uint32_t made;
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld;
};
struct operation {
    uint32_t made;
    int32_t turn_a, turn_b, epilogue;
    void *bias;
};
struct wish {
    uint32_t made, schemes, align[4];
    uint64_t workspace;
};
/* What an algorithm is for. */
struct problem {
    layout a, b, c;
    int32_t turn_a, turn_b, epilogue;
    uint32_t align[4];
    uint64_t workspace;
};
static_assert(sizeof(layout) <= sizeof(cublasLtMatrixLayoutOpaque_t));
static_assert(sizeof(operation) <= sizeof(cublasLtMatmulDescOpaque_t));
static_assert(sizeof(wish) <= sizeof(cublasLtMatmulPreferenceOpaque_t));

template <class T> static T take(const void *from, const char *what)
{
    T t;

    memcpy(&t, from, sizeof t);
    if (t.made != MADE)
        emu_refuse("cuBLASLt: %s that was never made", what);
    return t;
}

static uint64_t hash_of(const problem &p)
{
    const unsigned char *bytes = (const unsigned char *)&p;
    uint64_t hash = 1469598103934665603u;

    for (size_t i = 0; i < sizeof p; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash;
}

static uint64_t size_m(const operation &o, const layout &a)
{
    return o.turn_a == CUBLAS_OP_T ? a.cols : a.rows;
}

/* Whether the three belong together, and there are kernels for their types. */
static bool fits(const operation &o, const layout &a, const layout &b, const layout &c)
{
    const uint64_t k = o.turn_a == CUBLAS_OP_T ? a.rows : a.cols;
    const uint64_t n = o.turn_b == CUBLAS_OP_T ? b.rows : b.cols;
    const uint64_t kb = o.turn_b == CUBLAS_OP_T ? b.cols : b.rows;
    const bool types = a.type == b.type &&
                       (a.type == CUDA_R_32F ? c.type == CUDA_R_32F
                                             : a.type == CUDA_R_16BF &&
                                                   (c.type == CUDA_R_16BF ||
                                                    c.type == CUDA_R_32F));

    return types && k == kb && size_m(o, a) == c.rows && n == c.cols && k > 0 && n > 0 &&
           c.rows > 0 && a.ld >= (int64_t)a.rows && b.ld >= (int64_t)b.rows &&
           c.ld >= (int64_t)c.rows;
}

extern "C" {
cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    if (emu_capturing())
        emu_refuse("cublasLtCreate in a capture");
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
    const layout t = {MADE, type, rows, cols, ld};

    if (size < sizeof t)
        return CUBLAS_STATUS_ALLOC_FAILED;
    memcpy((void *)l, &t, sizeof t);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t d, size_t,
                                               cublasComputeType_t compute, cudaDataType_t scale)
{
    const operation o = {MADE, 0, 0, CUBLASLT_EPILOGUE_DEFAULT, NULL};

    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
        emu_refuse("cuBLASLt: sums in another type than fp32");
    memcpy((void *)d, &o, sizeof o);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t what,
                                              const void *value, size_t size)
{
    operation o = take<operation>(d, "a description");

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
cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t p, size_t)
{
    const wish w = {MADE, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}, 0};

    memcpy((void *)p, &w, sizeof w);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void *value, size_t size)
{
    wish w = take<wish>(p, "a preference");
    const int at = (int)what - (int)CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;

    if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && size == 8)
        memcpy(&w.workspace, value, 8);
    else if (what == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK && size == 4)
        memcpy(&w.schemes, value, 4);
    else if (at >= 0 && at < 4 && size == 4)
        memcpy(&w.align[at], value, 4);
    else
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy((void *)p, &w, sizeof w);
    return CUBLAS_STATUS_SUCCESS;
}

/* Sums that have no fixed order: the product asks for those that have one. */
static const uint32_t LOOSE =
    CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;

/*
 * bf16 wants rows and addresses by 16 bytes here, so that the plain kernel is tried as well.
 * The first result is one that the caller must not take.
 */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
    cublasLtMatmulPreference_t pref, int most, cublasLtMatmulHeuristicResult_t *found, int *n)
{
    const operation o = take<operation>(desc, "a description");
    const wish w = take<wish>(pref, "a preference");
    problem p;
    uint64_t hash;

    memset(&p, 0, sizeof p);
    p.a = take<layout>(a, "a layout");
    p.b = take<layout>(b, "a layout");
    p.c = take<layout>(c, "a layout");
    *n = 0;
    if (c != d || w.schemes & LOOSE || w.align[2] != w.align[3] || most < 2)
        emu_refuse("cuBLASLt: a preference that results would depend on");
    if (!fits(o, p.a, p.b, p.c))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (o.epilogue != CUBLASLT_EPILOGUE_DEFAULT && (uintptr_t)o.bias % LEAST_BIAS)
        emu_refuse("cuBLASLt: a vector that is not aligned, which only shows when it runs");
    if (o.epilogue != CUBLASLT_EPILOGUE_DEFAULT && o.epilogue != CUBLASLT_EPILOGUE_BIAS &&
        o.epilogue != CUBLASLT_EPILOGUE_BGRADB)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (p.a.type == CUDA_R_16BF &&
        (p.a.ld % 8 || p.b.ld % 8 || w.align[0] < 16 || w.align[1] < 16))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (*emu_wish("EMU_PLAIN"))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    p.turn_a = o.turn_a;
    p.turn_b = o.turn_b;
    p.epilogue = o.epilogue;
    memcpy(p.align, w.align, sizeof p.align);
    p.workspace = p.a.rows % 3 ? w.workspace : 0; /* some take all that there is */
    hash = hash_of(p);
    memset(found, 0, 2 * sizeof *found);
    found[0].state = CUBLAS_STATUS_NOT_SUPPORTED;
    memcpy(&found[1].algo, &hash, sizeof hash);
    memcpy((char *)&found[1].algo + 8, p.align, sizeof p.align);
    found[1].state = CUBLAS_STATUS_SUCCESS;
    found[1].workspaceSize = p.workspace;
    *n = 2;
    return CUBLAS_STATUS_SUCCESS;
}

static float element_at(const void *p, cudaDataType type, int64_t i)
{
    return type == CUDA_R_16BF ? emu_float((uint32_t)((const uint16_t *)p)[i] << 16)
                               : ((const float *)p)[i];
}

/* op(matrix) as floats, row after row, or column after column. */
static std::vector<float> unpack(const void *p, const layout &l, bool by_rows)
{
    std::vector<float> all((size_t)(l.rows * l.cols));

    for (uint64_t j = 0; j < l.cols; j++)
        for (uint64_t i = 0; i < l.rows; i++)
            all[(size_t)(by_rows ? i * l.cols + j : j * l.rows + i)] =
                element_at(p, l.type, (int64_t)(i + j * (uint64_t)l.ld));
    return all;
}

struct product {
    operation o;
    layout a, b, c;
    const void *from_a, *from_b;
    void *to, *workspace;
    size_t room;
    float alpha, beta;
};

/* The sums of op(b)'s columns, which have k terms each, in the type of the result. */
static void sum_rows(const product &p, const std::vector<float> &b, uint64_t n, uint64_t k)
{
    for (uint64_t j = 0; j < n; j++) {
        float sum = 0;

        for (uint64_t x = 0; x < k; x++)
            sum += b[j * k + x];
        if (p.c.type == CUDA_R_16BF)
            ((__nv_bfloat16 *)p.o.bias)[j] = __float2bfloat16_rn(sum);
        else
            ((float *)p.o.bias)[j] = sum;
    }
}

static void multiply(const product &p)
{
    const layout &lc = p.c;
    const bool ta = p.o.turn_a == CUBLAS_OP_T, tb = p.o.turn_b == CUBLAS_OP_T;
    const uint64_t m = lc.rows, n = lc.cols, k = ta ? p.a.rows : p.a.cols;
    const std::vector<float> a = unpack(p.from_a, p.a, ta);  /* [k][m] */
    const std::vector<float> b = unpack(p.from_b, p.b, tb);  /* [n][k] */
    std::vector<float> sums((size_t)m);

    if (p.o.epilogue == CUBLASLT_EPILOGUE_BGRADB)
        sum_rows(p, b, n, k);
    if (p.room) /* it is ours meanwhile; some of it, for speed */
        memset(p.workspace, 0xff, p.room < 4096 ? p.room : 4096);
    for (uint64_t j = 0; j < n; j++) {
        sums.assign((size_t)m, 0);
        for (uint64_t x = 0; x < k; x++)
            for (uint64_t i = 0; i < m; i++)
                sums[i] += a[x * m + i] * b[j * k + x];
        for (uint64_t i = 0; i < m; i++) {
            const int64_t at = (int64_t)(i + j * (uint64_t)lc.ld);
            float sum = sums[i] * p.alpha;

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

static size_t bytes_of(const layout &l)
{
    return ((size_t)(l.cols - 1) * (size_t)l.ld + l.rows) * (l.type == CUDA_R_16BF ? 2 : 4);
}

/* Addresses as they were promised, and inside of the device's memory. */
static void check_addresses(const product &p, const uint32_t *align)
{
    const struct {
        const void *p;
        const layout *l;
        uint32_t align;
    } list[] = {{p.from_a, &p.a, align[0]}, {p.from_b, &p.b, align[1]}, {p.to, &p.c, align[2]}};

    for (const auto &x : list) {
        if ((uintptr_t)x.p % x.align)
            emu_refuse("cuBLASLt: a matrix less aligned than its algorithm was chosen for");
        if (!emu_on_device(x.p, bytes_of(*x.l)))
            emu_refuse("cuBLASLt: a matrix leaves the device's memory");
    }
    const uint64_t length = p.o.epilogue == CUBLASLT_EPILOGUE_BIAS ? p.c.rows : p.c.cols;

    if (p.o.epilogue != CUBLASLT_EPILOGUE_DEFAULT &&
        !emu_on_device(p.o.bias, length * (p.c.type == CUDA_R_16BF ? 2 : 4)))
        emu_refuse("cuBLASLt: a bias leaves the device's memory");
}

/* The algorithm is one that the heuristic gave for this very problem and this workspace. */
static void check_algorithm(const product &p, const cublasLtMatmulAlgo_t *algo)
{
    uint64_t given;
    problem q;

    memset(&q, 0, sizeof q);
    q.a = p.a;
    q.b = p.b;
    q.c = p.c;
    q.turn_a = p.o.turn_a;
    q.turn_b = p.o.turn_b;
    q.epilogue = p.o.epilogue;
    q.workspace = p.room;
    memcpy(&given, algo, sizeof given);
    memcpy(q.align, (const char *)algo + 8, sizeof q.align);
    if (hash_of(q) != given)
        emu_refuse("cuBLASLt: an algorithm of another problem, or too little workspace");
    if (p.room && ((uintptr_t)p.workspace % LEAST_WORKSPACE ||
                   !emu_on_device(p.workspace, p.room)))
        emu_refuse("cuBLASLt: a workspace that is none");
    check_addresses(p, q.align);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                              const void *alpha, const void *a, cublasLtMatrixLayout_t da,
                              const void *b, cublasLtMatrixLayout_t db, const void *beta,
                              const void *c, cublasLtMatrixLayout_t dc, void *d,
                              cublasLtMatrixLayout_t dd, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t room, cudaStream_t s)
{
    product p;

    p.o = take<operation>(desc, "a description");
    p.a = take<layout>(da, "a layout");
    p.b = take<layout>(db, "a layout");
    p.c = take<layout>(dc, "a layout");
    p.from_a = a;
    p.from_b = b;
    p.to = d;
    p.workspace = workspace;
    p.room = room;
    p.alpha = *(const float *)alpha;
    p.beta = *(const float *)beta;
    if (!fits(p.o, p.a, p.b, p.c) || c != d || dc != dd)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (*emu_wish("EMU_REFUSE"))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    check_algorithm(p, algo);
    if (room)
        emu_use(workspace, s);
    emu_submit(s, [=] { multiply(p); });
    return CUBLAS_STATUS_SUCCESS;
}
}
