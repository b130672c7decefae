/* SPDX-License-Identifier: MIT */
/* jsontext: JSON values as text, whole or not at all (L1). */
#ifndef BERTUTILS_JSONTEXT_H
#define BERTUTILS_JSONTEXT_H

#include <jansson.h>

/*
 * As json_dumps, but NULL when memory ran out anywhere: jansson itself (2.14) leaves out the
 * piece for which it had none and reports success.  errno stays as it was on success.
 */
char *jsontext_dump(const json_t *value, size_t flags);

#endif
