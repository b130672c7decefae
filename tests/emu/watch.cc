/* SPDX-License-Identifier: MIT */
/*
 * watch: what the threads of a block do to memory; see emu.h.
 *
 * The compiler puts a call before every read and write of the kernels (as for its thread
 * sanitizer, whose library is not linked).  Two threads that touch the same two bytes of
 * shared memory, one of them writing, need __syncthreads between them, or __syncwarp when
 * they are of one warp: that they happen to run in a good order here says nothing.
 * Dynamic shared memory ends where the launch said; what a kernel writes outside of shared
 * memory and its stack is memory of the device.
 */
#include "watch.h"

#include <link.h>

#include <algorithm>
#include <vector>

struct touch {
    int thread, warp;
    long barriers, syncs; /* of the block and the warp, passed before */
};

/* Two bytes: the last write, and the last reads of two warps. */
struct cell {
    long block;
    touch write, read, other;
};

static const char *low, *high;            /* dynamic shared memory */
static const char *own_low, *own_high;    /* the kernels' __shared__ variables are in here */
static const char *stack_low, *stack_high;
static std::vector<cell> room_cells, own_cells;
static long block;
static bool on;
static touch now;

static int find_own(struct dl_phdr_info *info, size_t, void *)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) &h = info->dlpi_phdr[i];
        const char *from = (const char *)info->dlpi_addr + h.p_vaddr;

        if (h.p_type != PT_LOAD || !(h.p_flags & PF_W) || (const char *)&own_low < from ||
            (const char *)&own_low >= from + h.p_memsz)
            continue;
        own_low = from;
        own_high = from + h.p_memsz;
        return 1;
    }
    return 0;
}

void watch_block(const char *room, size_t bytes)
{
    if (!own_low) {
        dl_iterate_phdr(find_own, NULL);
        own_cells.resize((size_t)(own_high - own_low) / 2 + 8);
    }
    low = room;
    high = room + bytes;
    if (room_cells.size() < bytes / 2 + 8)
        room_cells.resize(bytes / 2 + 8);
    block++;
}

void watch_thread(const emu_thread *t, const char *stack, size_t bytes)
{
    on = t != NULL;
    if (!t)
        return;
    now = {t->warp * 32 + t->lane, t->warp, 0, 0};
    stack_low = stack;
    stack_high = stack + bytes;
}

void watch_order(long barriers, long syncs)
{
    now.barriers = barriers;
    now.syncs = syncs;
}

/* Could both happen at a time? */
static bool meets(const touch &a)
{
    if (a.thread < 0 || a.thread == now.thread || a.barriers != now.barriers)
        return false;
    return a.warp != now.warp || a.syncs == now.syncs;
}

static void touch_cell(cell *c, bool write)
{
    if (c->block != block)
        *c = {block, {-1, 0, 0, 0}, {-1, 0, 0, 0}, {-1, 0, 0, 0}};
    if (meets(c->write) || (write && (meets(c->read) || meets(c->other))))
        emu_refuse("threads %d and %d of a block touch the same shared memory, and "
                   "nothing is between them",
                   meets(c->write) ? c->write.thread
                   : meets(c->read) ? c->read.thread : c->other.thread,
                   now.thread);
    if (write) {
        c->write = now;
        return;
    }
    if (c->read.thread >= 0 && c->read.warp != now.warp)
        c->other = c->read;
    c->read = now;
}

static void each_cell(std::vector<cell> &cells, size_t at, size_t n, bool write)
{
    for (size_t i = at / 2; i <= (at + n - 1) / 2; i++)
        touch_cell(&cells[i], write);
}

void watch(const void *p, size_t n, bool write)
{
    static const char *last_low, *last_high; /* of the device's memory, where it was */
    const char *at = (const char *)p;

    if (!on || (at >= stack_low && at < stack_high))
        return;
    if (at >= low - WATCH_GUARD && at < high + WATCH_GUARD) {
        if (at < low || at + n > high)
            emu_refuse("a thread leaves the shared memory of its launch");
        each_cell(room_cells, (size_t)(at - low), n, write);
    } else if (at >= own_low && at < own_high) {
        each_cell(own_cells, (size_t)(at - own_low), n, write);
    } else if (write && !(at >= last_low && at + n <= last_high)) {
        if (!emu_on_device(p, n))
            emu_refuse("a kernel writes to what is not the device's memory");
        last_low = at;
        last_high = at + n;
    }
}

/* ---- what the compiler calls ---- */

#define EXPORTED extern "C" __attribute__((visibility("hidden")))
#define WATCH(size)                                                                     \
    EXPORTED void __tsan_read##size(void *p) { watch(p, size, false); }                 \
    EXPORTED void __tsan_write##size(void *p) { watch(p, size, true); }                 \
    EXPORTED void __tsan_unaligned_read##size(void *p) { watch(p, size, false); }       \
    EXPORTED void __tsan_unaligned_write##size(void *p) { watch(p, size, true); }
WATCH(1)
WATCH(2)
WATCH(4)
WATCH(8)
WATCH(16)
EXPORTED void __tsan_read_range(void *p, size_t n) { watch(p, n, false); }
EXPORTED void __tsan_write_range(void *p, size_t n) { watch(p, n, true); }
/* clang has these for what gcc leaves alone. */
EXPORTED void *__tsan_memcpy(void *to, const void *from, size_t n)
{
    return memcpy(to, from, n);
}
EXPORTED void *__tsan_memmove(void *to, const void *from, size_t n)
{
    return memmove(to, from, n);
}
EXPORTED void *__tsan_memset(void *to, int value, size_t n)
{
    return memset(to, value, n);
}
EXPORTED void __tsan_vptr_update(void **, void *) {}
EXPORTED void __tsan_vptr_read(void **) {}
EXPORTED void __tsan_func_entry(void *) {}
EXPORTED void __tsan_func_exit(void *) {}
EXPORTED void __tsan_init(void) {}
