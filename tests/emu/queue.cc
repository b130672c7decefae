/* SPDX-License-Identifier: MIT */
/*
 * queue: streams, events, captures and graphs of the CUDA runtime; see emu.h.
 *
 * Each stream is a queue, and a wait for an event is an entry of it.  Nothing runs before the
 * host waits; then $EMU_STREAMS says who goes first where the program leaves it open:
 *
 *     main   streams of the default priority, others only when one of those waits for them
 *     side   streams of low priority as soon as they can
 *     turns  one entry of each in turn
 *
 * A program whose streams share what they may not gives other results in one of these.
 */
#include "stream.h"

#include <stdlib.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string_view>
#include <vector>

using work = std::function<void()>;

/* Place n of a stream: behind its first n entries. */
struct lane {
    bool low; /* its priority */
    std::deque<struct entry> left;
    int64_t submitted, done;
};
struct entry {
    work run;           /* or, where it is empty, */
    lane *other;        /* a wait for a place of this stream */
    int64_t place;
};
struct graph {
    std::vector<std::pair<lane *, entry>> list; /* waits: for places counted in the graph */
    std::map<lane *, int64_t> count, joined;    /* joined: seen by the first stream */
    lane *first;
    size_t bytes; /* of the device, when it can be run */
};
struct event {
    lane *of;
    int64_t place;
    const graph *in; /* recorded by this capture */
};

static std::vector<lane *> lanes; /* never freed: events may point to them */
static int64_t submitted;         /* all work so far */
static graph *capturing;
static bool spoiled; /* the capture saw a call that is not allowed in it */
static cudaError_t broken; /* stays for ever */

static lane *lane_of(cudaStream_t s, const char *who)
{
    for (lane *l : lanes)
        if ((cudaStream_t)l == s)
            return l;
    emu_refuse("%s in a stream that is none of the device's", who);
}

void emu_check_stream(cudaStream_t s, const char *who)
{
    (void)lane_of(s, who);
}

bool emu_capturing()
{
    return capturing;
}

cudaError_t emu_broken()
{
    return broken;
}

cudaError_t emu_spoil()
{
    spoiled = true;
    return emu_error(cudaErrorStreamCaptureUnsupported);
}

static void enqueue(lane *l, entry w)
{
    l->left.push_back(std::move(w));
    l->submitted++;
}

static void capture(lane *l, entry w)
{
    if (!capturing->count.count(l))
        emu_refuse("work beside a capture, in a stream that is not part of it");
    capturing->list.push_back({l, std::move(w)});
    capturing->count[l]++;
}

/* $EMU_BREAK: the number of the work at which the device breaks. */
void emu_submit(cudaStream_t s, work w)
{
    const char *when = emu_wish("EMU_BREAK");
    lane *l = lane_of(s, "work");

    if (capturing) {
        capture(l, {std::move(w), NULL, 0});
        return;
    }
    enqueue(l, {std::move(w), NULL, 0});
    if (++submitted, *when && submitted == strtoll(when, NULL, 10))
        broken = cudaErrorIllegalAddress;
}

/* A kernel's code is loaded when it is first launched, which takes memory. */
void emu_first_launch()
{
    if (capturing)
        emu_refuse("a kernel is launched for the first time while a capture is on");
}

/* ---- running ---- */

static bool can_run(const lane *l)
{
    const entry *w = l->left.empty() ? NULL : &l->left.front();

    return w && (w->run || w->other->done >= w->place);
}

static lane *choose()
{
    static size_t turn;
    const std::string_view order = emu_wish("EMU_STREAMS");
    lane *second = NULL;

    if (order == "turns") {
        for (size_t i = 0; i < lanes.size(); i++) {
            lane *l = lanes[++turn % lanes.size()];

            if (can_run(l))
                return l;
        }
        return NULL;
    }
    for (lane *l : lanes) {
        if (!can_run(l))
            continue;
        if (l->low == (order == "side"))
            return l;
        second = l;
    }
    return second;
}

/* Runs until the stream has come to the place. */
static cudaError_t drain(lane *until, int64_t place)
{
    while (until->done < place) {
        lane *l = choose();

        if (!l)
            emu_refuse("the streams wait for each other");
        const entry w = std::move(l->left.front());

        l->left.pop_front();
        if (w.run && broken == cudaSuccess)
            w.run();
        l->done++;
    }
    return emu_error(broken);
}

cudaError_t emu_settle()
{
    if (capturing)
        return emu_spoil();
    for (lane *l : lanes)
        (void)drain(l, l->submitted);
    return emu_error(broken);
}

/* ---- streams and events ---- */

static cudaStream_t open_stream(unsigned flags, bool low)
{
    if (flags != cudaStreamNonBlocking)
        emu_refuse("a stream that waits for the legacy one");
    lanes.push_back(new lane{low, {}, 0, 0});
    return (cudaStream_t)lanes.back();
}

extern "C" {
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned flags, int priority)
{
    *s = open_stream(flags, priority == 0);
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    return cudaStreamCreateWithPriority(s, flags, 0);
}
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    lane *l = lane_of(s, "cudaStreamDestroy");

    return drain(l, l->submitted);
}
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    lane *l = lane_of(s, "cudaStreamSynchronize");

    return capturing ? emu_spoil() : drain(l, l->submitted);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    *e = (cudaEvent_t) new event{NULL, 0, NULL};
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete (event *)e;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    lane *l = lane_of(s, "cudaEventRecord");

    if (capturing && !capturing->count.count(l))
        emu_refuse("an event of a stream that is not part of the capture");
    *(event *)e = {l, capturing ? capturing->count[l] : l->submitted, capturing};
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    const event *at = (const event *)e;

    if (capturing)
        return emu_spoil();
    if (at->in)
        emu_refuse("an event of a capture, which nobody can wait for");
    return at->of ? drain(at->of, at->place) : cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    const event *at = (const event *)e;
    lane *l = lane_of(s, "cudaStreamWaitEvent");

    if (at->in != capturing)
        emu_refuse("a wait for an event of another capture, or of none");
    if (!at->of || at->of == l)
        return cudaSuccess;
    if (!capturing) {
        enqueue(l, {work(), at->of, at->place});
        return cudaSuccess;
    }
    capturing->count[l] += 0; /* it is part of the capture from now on */
    capture(l, {work(), at->of, at->place});
    if (l == capturing->first)
        capturing->joined[at->of] = std::max(capturing->joined[at->of], at->place);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode)
{
    lane *l = lane_of(s, "cudaStreamBeginCapture");

    if (mode == cudaStreamCaptureModeRelaxed || capturing)
        return emu_error(cudaErrorInvalidValue);
    capturing = new graph{{}, {{l, 0}}, {}, l, 0};
    spoiled = *emu_wish("EMU_NO_CAPTURE");
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g)
{
    if ((lane *)s != capturing->first)
        emu_refuse("a capture ends in another stream than it began in");
    for (const auto &part : capturing->count)
        if (part.first != capturing->first && !spoiled &&
            capturing->joined[part.first] < part.second)
            spoiled = true; /* its streams have not come together */
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
    *e = (cudaGraphExec_t) new graph(*from);
    ((graph *)*e)->bytes = bytes;
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
/* What is in a stream already has what it needs: it is freed behind that. */
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e)
{
    emu_give(((const graph *)e)->bytes);
    delete (graph *)e;
    return cudaSuccess;
}
/* Its branches begin behind what is in their streams, which all have come together by then. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s)
{
    const graph *g = (const graph *)e;
    std::map<lane *, int64_t> base;

    if (lane_of(s, "cudaGraphLaunch") != g->first)
        emu_refuse("a graph in another stream than it was captured in");
    if (capturing)
        emu_refuse("a graph in a graph");
    for (const auto &part : g->count)
        base[part.first] = part.first->submitted;
    for (const auto &[l, w] : g->list) {
        if (w.run)
            emu_submit((cudaStream_t)l, w.run);
        else
            enqueue(l, {work(), w.other, base[w.other] + w.place});
    }
    return cudaSuccess;
}
}
