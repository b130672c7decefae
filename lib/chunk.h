/* SPDX-License-Identifier: MIT */
/*
 * chunk: memory of a record_chunk for texts that are not in the input as they are (L1,
 * private to record input).
 */
#ifndef BERTUTILS_CHUNK_H
#define BERTUTILS_CHUNK_H

#include "records.h"

/* Room for n bytes that will not move until the chunk is reused; NULL and *e. */
char *chunk_room(struct record_chunk *c, size_t n, struct err *e) MUST_USE;
/* Keeps the first n bytes of the room given last; the next room follows them. */
void chunk_keep(struct record_chunk *c, size_t n);
/* Forgets records and texts; memory is kept, what was unusually large is given back. */
void chunk_reset(struct record_chunk *c);
/* One more record, zeroed but for its weight of 1; NULL and *e. */
struct record *chunk_add(struct record_chunk *c, struct err *e) MUST_USE;

#endif
