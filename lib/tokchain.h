/* SPDX-License-Identifier: MIT */
/*
 * tokchain: where a stream comes from, as a graph of commands (L1).
 *
 * A JSON array of {"cl": command, "id", "pn": program, "pp": id of the step before, "vn":
 * version}.  "pp" is null at a beginning, an id behind a pipe, an array of ids where
 * several streams were joined.
 */
#ifndef BERTUTILS_TOKCHAIN_H
#define BERTUTILS_TOKCHAIN_H

#include "err.h"
#include "mem.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * Parses JSON without trusting it; NULL with *why, or with *e when out of memory.  Short
 * of memory the JSON library leaves characters out and says nothing, hence two readings,
 * which must agree.
 */
json_t *tokchain_parse(const char *json, size_t n, json_error_t *why,
                       struct err *e) MUST_USE;

bool tokchain_valid(const json_t *pg);
/* The array as JSON values; NULL text is the empty chain.  NULL and *e when it is not
 * valid. */
json_t *tokchain_json(const char *provenance, struct err *e) MUST_USE;

/* Adds the chain of another input, with ids of its own; one that is there is not added
 * again. */
int tokchain_join(char **provenance, const char *other, struct err *e) MUST_USE;

/* "tok -m bert | shard --shuffle", "shard <(tok a) <(tok b)": can be run again by a
 * shell. */
int tokchain_line(const char *provenance, struct buf *out, struct err *e) MUST_USE;

#endif
