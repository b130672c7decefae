/* SPDX-License-Identifier: MIT */
/*
 * jsonl: values out of one line of JSON, RFC 8259 (L1).
 *
 * A pull parser over a line that must be one object: values that are asked for are decoded,
 * the rest is checked and passed over, nothing is built.  Its own, because text may hold
 * \u0000 and lone surrogates (they become U+FFFD), which JSON libraries refuse.
 */
#ifndef BERTUTILS_JSONL_H
#define BERTUTILS_JSONL_H

#include "columns.h"

enum json_kind { JSON_ABSENT, JSON_NULL, JSON_SCALAR, JSON_LIST, JSON_OTHER };

struct json_value {
    enum json_kind kind;
    /* JSON_SCALAR: a string's text, or a number, true or false as it is spelled.
       JSON_LIST: the scalars of an array, joined by commas. */
    const char *at;
    size_t n;
};

/* What jsonl_parse needs beside the line. */
struct jsonl {
    char *const *keys; /* asked for (n) */
    size_t n;
    struct json_value *values; /* (n), of the keys; the last of equal keys wins */
    char *room; /* for decoded text: as many bytes as the line has, and 2 per key more */
    size_t used; /* of it, out */
    size_t members; /* of the object, out */
    uint64_t replaced; /* lone surrogates that became U+FFFD, out; only of what is asked for */
    const char *problem; /* on failure: what is wrong */
    size_t where;        /* on failure: byte in the line, from 0 */
};

/* 0, or -1 with j->problem. */
int jsonl_parse(struct jsonl *j, const char *line, size_t n) MUST_USE;

/*
 * The keys of an object, in order and decoded into room (as above); at most `max` go to
 * out, *found is how many there are.  0, or -1 with j->problem.
 */
int jsonl_keys(struct jsonl *j, const char *line, size_t n, struct field *out, size_t max,
               size_t *found) MUST_USE;

#endif
