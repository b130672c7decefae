/* SPDX-License-Identifier: MIT */
/* stream: what the parts of the emulated runtime share; see emu.h. */
#ifndef BERTUTILS_EMU_STREAM_H
#define BERTUTILS_EMU_STREAM_H

#include "emu.h"

#include <stdint.h>

/* Ends the program with what it did that no GPU would bear. */
[[noreturn]] void emu_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Remembers an error as the runtime does, and returns it. */
cudaError_t emu_error(cudaError_t why);

/* ---- queue.cc ---- */

/* It is one of ours: the legacy stream waits for others and breaks captures. */
void emu_check_stream(cudaStream_t s, const char *who);
bool emu_capturing();
/* A call that no capture allows: it fails, and the capture with it. */
cudaError_t emu_spoil();
/* Runs all that was submitted; for calls that wait. */
cudaError_t emu_settle();
/* What the device is broken with, for ever. */
cudaError_t emu_broken();

/* Bytes of dynamic shared memory that a launch of this kernel may ask for. */
size_t emu_room_of(const void *kernel);

/* ---- memory.cc ---- */

/* Is all of it inside of one allocation of the device? */
bool emu_on_device(const void *p, size_t n);
/* Memory that work in one stream alone may use, until it is freed. */
void emu_use(const void *p, cudaStream_t s);
/* The device's memory that graphs take. */
bool emu_take(size_t n);
void emu_give(size_t n);
/* $NAME as a word, or "". */
const char *emu_wish(const char *name);

#endif
