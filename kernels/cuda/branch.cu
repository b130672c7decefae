/* SPDX-License-Identifier: MIT */
/*
 * branch: work beside the stream of the device, in a second stream of lower priority.
 *
 * Small batches leave most of the GPU idle: a product of 360 rows has 54 tiles for 132
 * multiprocessors.  So the gradients of weights, which nobody waits for, are computed beside
 * those that go on down, and the update of a step beside the next forward pass.  In a capture
 * the same calls become branches of the graph.
 *
 * Who works in the branch has the branch's own workspace and scratch: these and the stream
 * change places with the device's, so that no other code knows of it.  BERTUTILS_BRANCH=0 in
 * the environment puts everything back into one stream.
 */
#include "common.cuh"

#include <stdlib.h>
#include <string.h>
#include <utility>

int branch_open(struct dev *d, struct err *e)
{
    const char *wish = getenv("BERTUTILS_BRANCH");
    int least = 0, greatest = 0;

    OPEN_TRY(d, cudaDeviceGetStreamPriorityRange(&least, &greatest), e);
    OPEN_TRY(d, cudaStreamCreateWithPriority(&d->stream, cudaStreamNonBlocking, greatest), e);
    if (wish && strcmp(wish, "0") == 0)
        return 0;
    OPEN_TRY(d, cudaEventCreateWithFlags(&d->forked, cudaEventDisableTiming), e);
    for (int i = 0; i < DEV_MARKS; i++)
        OPEN_TRY(d, cudaEventCreateWithFlags(&d->mark[i], cudaEventDisableTiming), e);
    OPEN_TRY(d, cudaStreamCreateWithPriority(&d->side.stream, cudaStreamNonBlocking, least), e);
    return 0;
}

void branch_close(struct dev *d)
{
    if (d->side.stream)
        cudaStreamDestroy(d->side.stream);
    if (d->stream)
        cudaStreamDestroy(d->stream);
    if (d->forked)
        cudaEventDestroy(d->forked);
    for (int i = 0; i < DEV_MARKS; i++)
        if (d->mark[i])
            cudaEventDestroy(d->mark[i]);
    cudaFree(d->side.workspace);
    cudaFree(d->side.scratch.p);
}

void branch_wait(struct dev *d)
{
    if (d->stream)
        (void)cudaStreamSynchronize(d->stream);
    if (d->side.stream)
        (void)cudaStreamSynchronize(d->side.stream);
}

static void change_places(struct dev *d)
{
    if (!d->side.stream)
        return;
    std::swap(d->stream, d->side.stream);
    std::swap(d->workspace, d->side.workspace);
    std::swap(d->scratch, d->side.scratch);
}

static int take_workspace(struct dev *d, struct err *e)
{
    if (d->side.stream && !d->side.workspace)
        d->side.workspace = cuda_memory(d, GEMM_WORKSPACE, e);
    return d->side.stream && !d->side.workspace ? -1 : 0;
}

int branch_enter(struct dev *d, struct err *e)
{
    if (take_workspace(d, e))
        return -1;
    if (d->side.stream) {
        CUDA_TRY(d, cudaEventRecord(d->forked, d->stream), "a branch", e);
        CUDA_TRY(d, cudaStreamWaitEvent(d->side.stream, d->forked, 0), "a branch", e);
    }
    change_places(d);
    d->in_branch = d->side.stream != NULL;
    return 0;
}

void branch_leave(struct dev *d)
{
    change_places(d);
    d->in_branch = false;
}

int branch_mark(struct dev *d, int i, struct err *e)
{
    if (d->side.stream)
        CUDA_TRY(d, cudaEventRecord(d->mark[i], d->stream), "a branch", e);
    return 0;
}

int branch_reach(struct dev *d, int i, struct err *e)
{
    if (d->side.stream)
        CUDA_TRY(d, cudaStreamWaitEvent(d->stream, d->mark[i], 0), "a branch", e);
    return 0;
}

bool branch_pays(const struct dev *d, int64_t rows)
{
    /* Beyond that each of the products fills the GPU. */
    return d->side.stream && rows <= 4096;
}

int branch_reserve(struct dev *d, size_t scratch, struct err *e)
{
    void *p = d;

    if (!d->side.stream)
        return 0;
    if (take_workspace(d, e))
        return -1;
    change_places(d);
    p = cuda_scratch(d, scratch, e);
    change_places(d);
    return p ? 0 : -1;
}

size_t branch_taken(const struct dev *d)
{
    return (d->side.workspace ? GEMM_WORKSPACE : 0) + d->side.scratch.size;
}

size_t branch_bytes(const struct dev *d, size_t scratch)
{
    const size_t wish = buffer_size(scratch), has = d->side.scratch.size;

    return d->side.stream ? GEMM_WORKSPACE + (wish > has ? wish : has) : 0;
}
