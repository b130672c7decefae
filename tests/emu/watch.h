/* SPDX-License-Identifier: MIT */
/* watch: see watch.cc. */
#ifndef BERTUTILS_EMU_WATCH_H
#define BERTUTILS_EMU_WATCH_H

#include "stream.h"

/* Bytes before and behind dynamic shared memory that are nobody's. */
constexpr size_t WATCH_GUARD = 4096;

/* A block begins, with so much dynamic shared memory. */
void watch_block(const char *room, size_t bytes);
/* This thread runs from now on, on that stack; NULL: none does. */
void watch_thread(const emu_thread *t, const char *stack, size_t bytes);
/* What it has passed: barriers of the block, __syncwarp. */
void watch_order(long barriers, long syncs);
/* It reads or writes. */
void watch(const void *p, size_t n, bool write);

#endif
