/* SPDX-License-Identifier: MIT */
/* table: the CUDA op table, its memory and its transfers. */
#include "gemm.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BERTUTILS_BUILD_ID
#define BERTUTILS_BUILD_ID "unset"
#endif

/* ---- errors ---- */

int cuda_fail(struct dev *d, cudaError_t why, const char *op, struct err *e)
{
    if (d->failed == cudaSuccess)
        d->failed = why;
    return err_set(e, ERR_RUN, "%s on cuda:%d: %s (%s)", op, d->index,
                   cudaGetErrorString(d->failed), cudaGetErrorName(d->failed));
}

int cuda_launched(struct dev *d, const char *op, struct err *e)
{
    const cudaError_t why = cudaGetLastError();

    return why == cudaSuccess && d->failed == cudaSuccess ? 0 : cuda_fail(d, why, op, e);
}

/* ---- memory ---- */

void *cuda_memory(struct dev *d, size_t bytes, struct err *e)
{
    cudaError_t why;
    void *p = NULL;

    if (bytes == 0)
        bytes = 1;
    if (d->recording) { /* no call for a graph; without one it goes on */
        err_set(e, ERR_INTERNAL, "memory is wanted while a step is recorded");
        return NULL;
    }
    why = cudaMalloc(&p, bytes);
    if (why == cudaErrorMemoryAllocation) {
        size_t left = 0, all = 0;

        (void)cudaGetLastError(); /* nothing is broken */
        (void)cudaMemGetInfo(&left, &all);
        err_set(e, ERR_INTERNAL,
                "out of memory on cuda:%d: %.0f MB are wanted, %.0f of %.0f MB are free; a "
                "smaller --batch, --memory or --max-len needs less",
                d->index, (double)bytes / 1e6, (double)left / 1e6, (double)all / 1e6);
        return NULL;
    }
    if (why != cudaSuccess) {
        cuda_fail(d, why, "memory", e);
        return NULL;
    }
    return p;
}

size_t buffer_size(size_t bytes)
{
    return (size_t)index_round((int64_t)(bytes + bytes / 8), 1 << 20);
}

static void *buffer_room(struct dev *d, struct buffer *b, size_t bytes, struct err *e)
{
    void *p;

    if (bytes <= b->size && b->p)
        return b->p;
    bytes = buffer_size(bytes);
    p = cuda_memory(d, bytes, e);
    if (!p)
        return NULL;
    graph_forget(d);
    (void)cudaStreamSynchronize(d->stream); /* something may still use the old one */
    cudaFree(b->p);
    b->p = p;
    b->size = bytes;
    return p;
}

void *cuda_scratch(struct dev *d, size_t bytes, struct err *e)
{
    return buffer_room(d, &d->scratch, bytes, e);
}

void *cuda_cast_room(struct dev *d, size_t bytes, struct err *e)
{
    return buffer_room(d, &d->cast, bytes, e);
}

static void *table_alloc(struct dev *d, size_t bytes, struct err *e)
{
    void *p = cuda_memory(d, bytes, e);

    if (p && block_add(d, p, bytes, e) != 0) {
        cudaFree(p);
        return NULL;
    }
    return p;
}

static void table_release(struct dev *d, void *p)
{
    if (!p)
        return;
    branch_wait(d);
    block_drop(d, p);
    cudaFree(p);
}

/* ---- transfers ---- */

/* The next piece of pinned memory, after what was last copied from or to it is through.
 */
static int stage_take(struct dev *d, int *which, const char *op, struct err *e)
{
    *which = d->next_stage;
    d->next_stage = (d->next_stage + 1) % STAGES;
    CUDA_TRY(d, cudaEventSynchronize(d->stage_free[*which]), op, e);
    return 0;
}

/* Returns when `from` may be written again, not when the data is there. */
static int put_bytes(struct dev *d, void *to, const void *from, size_t bytes,
                     const char *op, struct err *e)
{
    for (size_t at = 0; at < bytes; at += STAGE_BYTES) {
        const size_t n = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
        int i;

        if (stage_take(d, &i, op, e))
            return -1;
        memcpy(d->stage[i], (const char *)from + at, n);
        CUDA_TRY(d,
                 cudaMemcpyAsync((char *)to + at, d->stage[i], n, cudaMemcpyHostToDevice,
                                 d->stream),
                 op, e);
        CUDA_TRY(d, cudaEventRecord(d->stage_free[i], d->stream), op, e);
    }
    return 0;
}

static int table_put(struct dev *d, void *to, const void *from, size_t bytes,
                     struct err *e)
{
    if (bytes == 0)
        return 0;
    if (put_bytes(d, to, from, bytes, "copying to the device", e))
        return -1;
    return shadow_refresh(d, to, bytes, e);
}

/* Piece i is on its way while piece i - 1 is taken out of pinned memory. */
static int table_get(struct dev *d, void *to, const void *from, size_t bytes,
                     struct err *e)
{
    static const char op[] = "copying from the device";
    const size_t pieces = (bytes + STAGE_BYTES - 1) / STAGE_BYTES;
    int stage[2] = {0, 0};

    for (size_t k = 0; k <= pieces && bytes; k++) {
        if (k < pieces) {
            const size_t at = k * STAGE_BYTES;
            const size_t n = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
            int *i = &stage[k % 2];

            if (stage_take(d, i, op, e))
                return -1;
            CUDA_TRY(d, cudaMemcpyAsync(d->stage[*i], (const char *)from + at, n,
                                        cudaMemcpyDeviceToHost, d->stream), op, e);
            CUDA_TRY(d, cudaEventRecord(d->stage_free[*i], d->stream), op, e);
        }
        if (k > 0) {
            const size_t at = (k - 1) * STAGE_BYTES;
            const size_t n = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
            const int i = stage[(k - 1) % 2];

            CUDA_TRY(d, cudaEventSynchronize(d->stage_free[i]), op, e);
            memcpy((char *)to + at, d->stage[i], n);
        }
    }
    return d->failed == cudaSuccess ? 0 : cuda_fail(d, d->failed, op, e);
}

static int table_zero(struct dev *d, void *p, size_t bytes, struct err *e)
{
    if (bytes == 0)
        return 0;
    CUDA_TRY(d, cudaMemsetAsync(p, 0, bytes, d->stream), "zero", e);
    return shadow_refresh(d, p, bytes, e);
}

static int table_sync(struct dev *d, struct err *e)
{
    CUDA_TRY(d, cudaStreamSynchronize(d->stream), "sync", e);
    return cuda_launched(d, "sync", e);
}

/* ---- behind the caller ---- */

static void *table_pin(struct dev *d, size_t bytes, struct err *e)
{
    void *p = NULL;
    const cudaError_t why = cudaHostAlloc(&p, bytes ? bytes : 1, cudaHostAllocDefault);

    if (why == cudaSuccess)
        return p;
    if (why == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        err_oom(e, "a batch", bytes);
    } else {
        cuda_fail(d, why, "pinned memory", e);
    }
    return NULL;
}

static void table_unpin(struct dev *, void *p)
{
    if (p)
        cudaFreeHost(p);
}

static int table_send(struct dev *d, void *to, const void *from, size_t bytes,
                      struct err *e)
{
    CUDA_TRY(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->stream),
             "copying to the device", e);
    return 0;
}

static int table_fetch(struct dev *d, void *to, const void *from, size_t bytes, int ticket,
                       struct err *e)
{
    static const char op[] = "copying from the device";

    CUDA_TRY(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, d->stream), op, e);
    CUDA_TRY(d, cudaEventRecord(d->fetched[ticket], d->stream), op, e);
    return 0;
}

static int table_await(struct dev *d, int ticket, struct err *e)
{
    CUDA_TRY(d, cudaEventSynchronize(d->fetched[ticket]), "waiting for the device", e);
    return cuda_launched(d, "waiting for the device", e);
}

/* ---- watching ---- */

static void table_count(const struct dev *d, struct dev_count *c)
{
    c->replays = d->replays;
    c->records = d->records;
    c->record_bytes = d->graph_peak;
    c->plain = d->plain;
}

/* Free, or taken by us beside the model's: what room_overhead counts. */
static size_t table_left(struct dev *d)
{
    size_t left = 0, all = 0;

    if (cudaMemGetInfo(&left, &all) != cudaSuccess) {
        (void)cudaGetLastError();
        return 0;
    }
    left += branch_taken(d) + GEMM_WORKSPACE + d->scratch.size + d->cast.size + d->graph_used;
    for (int i = 0; i < d->n_blocks; i++)
        left += d->blocks[i].shadow ? d->blocks[i].bytes / 2 : 0;
    return left;
}

/* ---- opening ---- */

static void table_close(struct dev *d)
{
    if (!d)
        return;
    branch_wait(d);
    while (d->n_blocks > 0) {
        void *p = d->blocks[d->n_blocks - 1].p;

        block_drop(d, p);
        cudaFree(p);
    }
    for (int i = 0; i < STAGES; i++) {
        if (d->stage[i])
            cudaFreeHost(d->stage[i]);
        if (d->stage_free[i])
            cudaEventDestroy(d->stage_free[i]);
    }
    for (int i = 0; i < DEV_TICKETS; i++)
        if (d->fetched[i])
            cudaEventDestroy(d->fetched[i]);
    graph_close(d);
    gemm_close(d);
    cudaFree(d->scratch.p);
    cudaFree(d->cast.p);
    branch_close(d);
    free(d->blocks);
    free(d);
}

static int open_parts(struct dev *d, struct err *e)
{
    OPEN_TRY(d, cudaSetDevice(d->index), e);
    if (branch_open(d, e))
        return -1;
    OPEN_TRY(d, code_is_there(), e);
    OPEN_TRY(d, cudaDeviceGetAttribute(&d->processors, cudaDevAttrMultiProcessorCount,
                                       d->index), e);
    for (int i = 0; i < STAGES; i++) {
        OPEN_TRY(d, cudaHostAlloc((void **)&d->stage[i], STAGE_BYTES, cudaHostAllocDefault),
                 e);
        OPEN_TRY(d, cudaEventCreateWithFlags(&d->stage_free[i], cudaEventDisableTiming), e);
    }
    /* A host that waits sleeps: a tool in a pipe always has a busy neighbour. */
    for (int i = 0; i < DEV_TICKETS; i++)
        OPEN_TRY(d, cudaEventCreateWithFlags(&d->fetched[i], cudaEventDisableTiming |
                                                                 cudaEventBlockingSync), e);
    if (gemm_open(d, e) || graph_open(d, e))
        return -1;
    return table_sync(d, e);
}

static struct dev *table_open(const struct dev_options *o, struct err *e)
{
    const char *precision = o->precision ? o->precision : "auto";
    const bool fp32 = strcmp(precision, "fp32") == 0;
    struct dev *d;

    if (!fp32 && strcmp(precision, "auto") != 0 && strcmp(precision, "bf16") != 0) {
        err_set(e, ERR_USAGE, "unknown precision '%s'; it is auto, fp32 or bf16",
                precision);
        return NULL;
    }
    d = (struct dev *)calloc(1, sizeof *d);
    if (!d) {
        err_oom(e, "device", sizeof *d);
        return NULL;
    }
    d->index = o->index;
    d->act = fp32 ? DT_F32 : DT_BF16;
    if (open_parts(d, e) != 0) {
        table_close(d);
        return NULL;
    }
    return d;
}

static enum dtype table_activations(const struct dev *d)
{
    return d->act;
}

static const struct dev_behind behind = {
    .pin = table_pin,
    .unpin = table_unpin,
    .send = table_send,
    .fetch = table_fetch,
    .await = table_await,
    .replay = graph_replay,
    .replay_end = graph_replay_end,
    .branch = branch_enter,
    .trunk = branch_leave,
    .mark = branch_mark,
    .reach = branch_reach,
    .count = table_count,
    .left = table_left,
    .overhead = room_overhead,
    .reserve = room_reserve,
};

static const struct backend table = {
    .abi = BACKEND_ABI,
    .size = sizeof(struct backend),
    .name = "cuda",
    .build_id = BERTUTILS_BUILD_ID,
    .probe = device_probe,
    .warm = device_warm,
    .open = table_open,
    .close = table_close,
    .activations = table_activations,
    .alloc = table_alloc,
    .release = table_release,
    .put = table_put,
    .get = table_get,
    .zero = table_zero,
    .sync = table_sync,
    .behind = &behind,
    .embed = cuda_embed,
    .embed_bwd = cuda_embed_bwd,
    .linear = cuda_linear,
    .linear_bwd = cuda_linear_bwd,
    .attn = cuda_attn,
    .attn_bwd = cuda_attn_bwd,
    .ffn = cuda_ffn,
    .ffn_bwd = cuda_ffn_bwd,
    .add_norm = cuda_add_norm,
    .add_norm_bwd = cuda_add_norm_bwd,
    .dropout = cuda_dropout,
    .rows_get = cuda_rows_get,
    .rows_add = cuda_rows_add,
    .loss = cuda_loss,
    .vocab_loss = cuda_vocab_loss,
    .sqnorm = cuda_sqnorm,
    .adamw = cuda_adamw,
};

/* The only symbol of the plug-in that others see; lib/backend.c looks it up. */
extern "C" __attribute__((visibility("default"))) const struct backend *
backend_entry(void)
{
    return &table;
}
