/* SPDX-License-Identifier: MIT */
/*
 * graph: parts of steps recorded as CUDA graphs and run again.
 *
 * The first time that a key comes its ops run one by one, which takes what scratch they want
 * and chooses the algorithms of their products; the second time they are captured; from then
 * on they are one launch.  Everything that differs between two runs of a graph is in device
 * memory (dev_step, keys of dropout, the batch).  The graph that was not used for the longest
 * time makes room for a new one; all are forgotten when memory goes away that they may use.
 *
 * Nothing that a capture forbids happens between begin and end: memory is refused (cuda_memory),
 * and transfers, events and waits belong to the model, which does them around it.  The kernels'
 * code is there by then, having run before (it may be loaded only when first launched), and the
 * scalars of products are taken by value.  Only one graph runs at a time, in the one stream, so
 * that all share the scratch and the workspaces; its branches (branch.cu) come together before
 * its end.  One that is destroyed while it runs is freed
 * behind its end (cuGraphExecDestroy).
 */
#include "common.cuh"

#include <stdlib.h>
#include <string.h>

/* Enough for the sizes of a run's batches; GRAPHS_ENV in the environment sets another limit. */
constexpr int GRAPHS = 64;
static const char GRAPHS_ENV[] = "BERTUTILS_GRAPHS";
/* What a node is taken to cost: its parameters are 4 KB at most. */
constexpr size_t NODE_BYTES = 4 << 10;
constexpr int64_t NODES_LAYER = 26, NODES_REST = 56;

struct graph {
    unsigned char key[DEV_KEY];
    size_t n;       /* bytes of the key; 0: a free place */
    int64_t used;   /* when */
    bool never;     /* it could not be captured */
    cudaGraphExec_t exec;
    size_t bytes;   /* of the device that it took, as measured */
};

int graph_open(struct dev *d, struct err *e)
{
    const char *text = getenv(GRAPHS_ENV);
    char *end = NULL;
    const long n = text ? strtol(text, &end, 10) : GRAPHS;

    d->most_graphs = text && end == text ? GRAPHS : n < 0 ? 0 : n > 4096 ? 4096 : (int)n;
    if (d->most_graphs == 0)
        return 0;
    d->graphs = (struct graph *)calloc((size_t)d->most_graphs, sizeof *d->graphs);
    return d->graphs ? 0 : err_oom(e, "device", (size_t)d->most_graphs * sizeof *d->graphs);
}

static void drop_exec(struct dev *d, struct graph *g)
{
    if (!g->exec)
        return;
    (void)cudaGraphExecDestroy(g->exec);
    g->exec = NULL;
    d->graph_used -= g->bytes;
    g->bytes = 0;
}

/* What was recorded goes; that its sizes have been seen stays. */
void graph_forget(struct dev *d)
{
    for (int i = 0; d->graphs && i < d->most_graphs; i++)
        drop_exec(d, &d->graphs[i]);
}

void graph_close(struct dev *d)
{
    graph_forget(d);
    free(d->graphs);
    d->graphs = NULL;
}

/* The graph of a key, or a place for it: a free one or that of the least recently used. */
static struct graph *find(struct dev *d, const void *key, size_t n)
{
    struct graph *place = &d->graphs[0];

    for (int i = 0; i < d->most_graphs; i++) {
        struct graph *g = &d->graphs[i];

        if (g->n == n && memcmp(g->key, key, n) == 0)
            return g;
        if (g->used < place->used)
            place = g;
    }
    return place;
}

static int launch(struct dev *d, struct graph *g, struct err *e)
{
    CUDA_TRY(d, cudaGraphLaunch(g->exec, d->stream), "a recorded step", e);
    return 0;
}

int graph_replay(struct dev *d, const void *key, size_t n, struct err *e)
{
    struct graph *g;

    if (d->failed != cudaSuccess)
        return cuda_fail(d, d->failed, "a recorded step", e);
    if (d->most_graphs == 0 || n == 0 || n > DEV_KEY)
        return 0;
    g = find(d, key, n);
    g->used = ++d->uses;
    if (g->n != n || memcmp(g->key, key, n) != 0) {
        drop_exec(d, g);
        memcpy(g->key, key, n);
        g->n = n;
        g->never = false;
        return 0;
    }
    if (g->exec) {
        d->replays++;
        return launch(d, g, e) ? -1 : 1;
    }
    /* Other threads may use CUDA meanwhile. */
    if (!g->never &&
        cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess)
        d->recording = g;
    (void)cudaGetLastError();
    return 0;
}

static size_t free_now(void)
{
    size_t left = 0, all = 0;

    return cudaMemGetInfo(&left, &all) == cudaSuccess ? left : 0;
}

/* Graphs go, the oldest first, until the rest are within their limit; one stays. */
static void keep_within(struct dev *d, const struct graph *newest)
{
    while (d->graph_used > d->graph_room) {
        struct graph *oldest = NULL;

        for (int i = 0; i < d->most_graphs; i++) {
            struct graph *g = &d->graphs[i];

            if (g->exec && g != newest && (!oldest || g->used < oldest->used))
                oldest = g;
        }
        if (!oldest)
            return;
        drop_exec(d, oldest);
    }
}

/* The upload takes the device's memory now, so that it is measured and a failure is no loss. */
static bool make_exec(struct dev *d, struct graph *g, cudaGraph_t graph)
{
    const size_t before = free_now();
    size_t after;

    if (cudaGraphInstantiate(&g->exec, graph, 0) != cudaSuccess) {
        g->exec = NULL;
        return false;
    }
    if (cudaGraphUpload(g->exec, d->stream) != cudaSuccess) {
        drop_exec(d, g);
        return false;
    }
    after = free_now();
    /* What is more than all graphs may have is another process's. */
    g->bytes = before > after && before - after <= d->graph_room ? before - after : 0;
    d->graph_used += g->bytes;
    keep_within(d, g);
    d->graph_peak = d->graph_used > d->graph_peak ? d->graph_used : d->graph_peak;
    d->records++;
    return true;
}

int graph_replay_end(struct dev *d, bool failed, struct err *e)
{
    struct graph *g = d->recording;
    cudaGraph_t graph = NULL;
    bool made;

    if (!g)
        return failed ? -1 : 0;
    d->recording = NULL;
    made = cudaStreamEndCapture(d->stream, &graph) == cudaSuccess && graph && !failed &&
           make_exec(d, g, graph);
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (made)
        return launch(d, g, e);
    /* A capture breaks nothing: what it has reported is forgotten with it. */
    (void)cudaGetLastError();
    d->failed = cudaSuccess;
    g->never = true;
    return 1;
}

size_t graph_bytes(const struct dev *d, const struct dev_load *l)
{
    return (size_t)d->most_graphs * (size_t)(l->layers * NODES_LAYER + NODES_REST) *
           NODE_BYTES;
}
