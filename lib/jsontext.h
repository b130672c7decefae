/* SPDX-License-Identifier: MIT */
/* jsontext: JSON values as text, whole or not at all (L1). */
#ifndef BERTUTILS_JSONTEXT_H
#define BERTUTILS_JSONTEXT_H

#include "mem.h"

#include <jansson.h>

/*
 * As json_dumps, but NULL when memory ran out anywhere: jansson itself (2.14) leaves out the
 * piece for which it had none and reports success.  errno stays as it was on success.
 */
char *jsontext_dump(const json_t *value, size_t flags);

/* Appends n bytes of UTF-8 as a JSON string, for lists too long to be made as values first. */
int jsontext_string(struct buf *out, const char *text, size_t n, struct err *e) MUST_USE;

#endif
