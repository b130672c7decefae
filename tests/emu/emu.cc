/* SPDX-License-Identifier: MIT */
/* emu: the threads of a block as coroutines, and the instructions that they share. */
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <vector>

/* ---- coroutines (x86-64) ---- */

extern "C" void emu_switch(void **save, void *to);
asm(".text\n.globl emu_switch\n.hidden emu_switch\nemu_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

struct copy {
    char *to;
    const char *from;
    int taken, bytes;
};

struct fiber {
    emu_thread t;
    void *sp;
    char *stack;
    bool done;
    unsigned exchanges; /* with the warp, so far */
    long syncs;         /* __syncwarp passed */
    std::vector<std::vector<copy>> copies; /* committed groups, the open one last */
};

struct barrier {
    int arrived, members;
    long generation;
};

constexpr size_t STACK = 256 << 10;
constexpr size_t ROOM = 256 << 10;

emu_thread *emu_now;
uint3 emu_block;
dim3 emu_block_dim, emu_grid_dim;
char *emu_room;

static std::vector<fiber> fibers;
static std::vector<barrier> warps;
static barrier block_barrier;
/* Of each warp 32 x 64 bytes, twice: while one is read the next exchange fills the other. */
static std::vector<std::vector<char>> slots;
static void *main_sp;
static fiber *current;
static const std::function<void()> *body;
static bool progress;

static void leave(barrier *b)
{
    b->members--;
    if (b->members > 0 && b->arrived == b->members) {
        b->arrived = 0;
        b->generation++;
    }
}

static void fiber_main()
{
    (*body)();
    current->done = true;
    progress = true;
    leave(&warps[(size_t)current->t.warp]);
    leave(&block_barrier);
    emu_switch(&current->sp, main_sp);
    abort();
}

static void watch_current()
{
    watch_thread(&current->t, current->stack, STACK);
    watch_order(block_barrier.generation, current->syncs);
}

static void wait_for(bool whole_block)
{
    barrier *b = whole_block ? &block_barrier : &warps[(size_t)current->t.warp];
    const long now = b->generation;

    progress = true;
    if (++b->arrived == b->members) {
        b->arrived = 0;
        b->generation++;
        return;
    }
    while (b->generation == now)
        emu_switch(&current->sp, main_sp);
    progress = true;
}

void emu_wait(bool whole_block)
{
    wait_for(whole_block);
    watch_current();
}

void emu_syncwarp()
{
    wait_for(false);
    current->syncs++;
    watch_current();
}

char (*emu_exchange(const void *mine, size_t bytes))[64]
{
    char(*slot)[64] = (char(*)[64])slots[(size_t)current->t.warp].data() +
                      32 * (current->exchanges++ % 2);

    memcpy(slot[current->t.lane], mine, bytes);
    emu_wait(false);
    return slot;
}

static void prepare(fiber *f)
{
    void **sp = (void **)(f->stack + STACK - 64);

    *--sp = NULL; /* so that the stack is aligned as after a call */
    *--sp = (void *)fiber_main;
    for (int i = 0; i < 6; i++)
        *--sp = NULL;
    f->sp = sp;
    f->done = false;
    f->exchanges = 0;
    f->syncs = 0;
    if (f->copies.size() != 1 || !f->copies[0].empty())
        f->copies.assign(1, {});
}

static void run_block(const std::vector<int> &order)
{
    size_t left = fibers.size();

    while (left > 0) {
        progress = false;
        for (int i : order) {
            fiber *f = &fibers[(size_t)i];

            if (f->done)
                continue;
            current = f;
            emu_now = &f->t;
            watch_current();
            emu_switch(&main_sp, f->sp);
            watch_thread(NULL, NULL, 0);
            left -= f->done;
        }
        if (!progress) {
            fprintf(stderr, "emu: a barrier that not all threads reach\n");
            abort();
        }
    }
}

static std::vector<int> make_order(int n)
{
    const char *how = getenv("EMU_ORDER");
    std::vector<int> order;
    uint32_t random = 12345;

    for (int i = 0; i < n; i++)
        order.push_back(i);
    if (how && strcmp(how, "reverse") == 0)
        std::reverse(order.begin(), order.end());
    if (how && strcmp(how, "mixed") == 0)
        for (int i = n - 1; i > 0; i--)
            std::swap(
                order[(size_t)i],
                order[(size_t)((random = random * 1664525 + 1013904223) >> 8) % (i + 1)]);
    return order;
}

static void run_kernel(dim3 grid, dim3 block, size_t room,
                       const std::function<void()> &kernel)
{
    const int n = (int)(block.x * block.y * block.z);
    const std::vector<int> order = make_order(n);

    if (n == 0 || n > 1024 || block.z != 1 || grid.x == 0 || grid.x > INT32_MAX ||
        grid.y == 0 || grid.y > 65535 || grid.z != 1)
        emu_refuse("a launch that no GPU takes");
    if (!emu_room)
        emu_room = (char *)aligned_alloc(128, ROOM + 2 * WATCH_GUARD) + WATCH_GUARD;
    while ((int)fibers.size() < n) {
        fibers.emplace_back();
        fibers.back().stack = (char *)aligned_alloc(64, STACK);
    }
    std::vector<fiber> rest;

    while ((int)fibers.size() > n) {
        rest.push_back(fibers.back());
        fibers.pop_back();
    }
    while (slots.size() < (size_t)(n + 31) / 32)
        slots.emplace_back(2 * 32 * 64);
    body = &kernel;
    emu_block_dim = block;
    emu_grid_dim = grid;
    for (unsigned y = 0; y < grid.y; y++) {
        for (unsigned x = 0; x < grid.x; x++) {
            emu_block = make_uint3(x, y, 0);
            memset(emu_room, 0xff, room); /* NaN, where nothing was written */
            watch_block(emu_room, room);
            warps.assign((size_t)(n + 31) / 32, {0, 0, 0});
            block_barrier = {0, n, 0};
            for (int i = 0; i < n; i++) {
                fiber *f = &fibers[(size_t)i];

                f->t.at = make_uint3((unsigned)i % block.x, (unsigned)i / block.x, 0);
                f->t.lane = i % 32;
                f->t.warp = i / 32;
                warps[(size_t)i / 32].members++;
                prepare(f);
            }
            run_block(order);
        }
    }
    for (const fiber &f : rest)
        fibers.push_back(f);
}

void emu_launch(const void *which, dim3 grid, dim3 block, size_t room,
                cudaStream_t stream, const std::function<void()> &kernel)
{
    if (room > emu_room_of(which))
        emu_refuse("a launch with more shared memory than was asked for");
    emu_submit(stream, [=] { run_kernel(grid, block, room, kernel); });
}

/* ---- instructions ---- */

/* The eight rows of a matrix are read at once where they lie in different banks. */
static void check_banks(const char (*all)[64])
{
    const int first = current->t.lane / 8 * 8;
    unsigned seen = 0;

    for (int i = first; i < first + 8; i++) {
        uintptr_t p;

        memcpy(&p, all[i], sizeof p);
        seen |= 1u << p / 16 % 8;
    }
    if (seen != 0xff)
        emu_refuse("ldmatrix with two rows in one bank");
}

void emu_load_matrix(uint32_t *r, const void *p, bool turned)
{
    const int lane = current->t.lane;
    char(*all)[64] = emu_exchange(&p, sizeof p);

    if ((uintptr_t)p % 16)
        emu_refuse("ldmatrix of an address that is not aligned");
    watch(p, 16, false);
    check_banks(all);
    for (int m = 0; m < 4; m++) {
        uint32_t value = 0;

        for (int half = 0; half < 2; half++) {
            const int row = turned ? 2 * (lane % 4) + half : lane / 4;
            const int col = turned ? lane / 4 : 2 * (lane % 4) + half;
            const uint16_t *from;

            memcpy(&from, all[8 * m + row], sizeof from);
            value |= (uint32_t)from[col] << 16 * half;
        }
        r[m] = value;
    }
}

static float half_of(uint32_t pair, int half)
{
    return emu_float(half ? pair & 0xffff0000u : pair << 16);
}

void emu_multiply(float *c, const uint32_t *a, uint32_t b0, uint32_t b1)
{
    const int lane = current->t.lane;
    const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    char(*all)[64] = emu_exchange(mine, sizeof mine);

    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, col = 2 * (lane % 4) + i % 2;

        for (int k = 0; k < 16; k++) {
            const uint32_t *from_a = (const uint32_t *)all[row % 8 * 4 + k % 8 / 2];
            const uint32_t *from_b = (const uint32_t *)all[col * 4 + k % 8 / 2];

            c[i] += half_of(from_a[row / 8 + 2 * (k / 8)], k % 2) *
                    half_of(from_b[4 + k / 8], k % 2);
        }
    }
}

/* Copies happen as late as the program allows. */
void emu_copy(void *to, const void *from, int taken, int bytes)
{
    if ((uintptr_t)to % (unsigned)bytes || (uintptr_t)from % (unsigned)bytes)
        emu_refuse("cp.async of an address that is not aligned");
    if (taken && !emu_on_device(from, (size_t)bytes))
        emu_refuse("cp.async of what is not the device's memory");
    watch(to, (size_t)bytes, true);
    current->copies.back().push_back({(char *)to, (const char *)from, taken, bytes});
}

void emu_commit()
{
    current->copies.emplace_back();
}

void emu_copy_wait(int n)
{
    while ((int)current->copies.size() > n + 1) {
        for (const copy &c : current->copies.front()) {
            watch(c.to, (size_t)c.bytes, true);
            memset(c.to, 0, (size_t)c.bytes);
            memcpy(c.to, c.from, (size_t)c.taken);
        }
        current->copies.erase(current->copies.begin());
    }
}
