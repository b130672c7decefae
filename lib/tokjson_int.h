/* SPDX-License-Identifier: MIT */
/*
 * tokjson_int: shared by the parts of the reader of tokenizer.json (L2, private).
 */
#ifndef BERTUTILS_TOKJSON_INT_H
#define BERTUTILS_TOKJSON_INT_H

#include "tokrules.h"

#include <jansson.h>
#include <string.h>

/* Numbers may be larger than any integer: a limit on lengths often is "none", as 1e30. */
enum { JSON_MAX = 512 << 20, JSON_FLAGS = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL };

/* The vocabulary and the merges, within the file's text: too large for a tree. */
struct json_large {
    const char *vocab, *merges; /* NULL: none */
    size_t n_vocab, n_merges;
};

/* The loader's state; `path` is what messages name. */
struct json_loader {
    struct tokenizer *t;
    const char *path;
    struct err *e;
    struct json_large large;
};

/* ERR_DATA: what is wrong; the part of the tokenizer of a kind that is not implemented. */
int tokjson_bad(const struct json_loader *l, const char *what);
int tokjson_missing(const struct json_loader *l, const char *part, const char *type);

/*
 * Splits the file's text into the large parts and the rest, which is JSON still and appended
 * to *rest.
 */
struct jsonscan;
int tokjson_cut(struct jsonscan *s, struct json_large *large, struct buf *rest,
                struct err *e) MUST_USE;

/* The parts of the file, each from its own object, which may be NULL. */
int tokjson_normalizer(const struct json_loader *l, const json_t *o, int depth) MUST_USE;
int tokjson_pre(const struct json_loader *l, const json_t *o, int depth) MUST_USE;
int tokjson_decoder(const struct json_loader *l, const json_t *o, int depth) MUST_USE;
int tokjson_post(const struct json_loader *l, const json_t *o, int depth) MUST_USE;
/* A segment on its own, or two: the template where there is none. */
int tokjson_plain(const struct json_loader *l) MUST_USE;

static inline const char *json_text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static inline bool json_flag(const json_t *o, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(o, key);

    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/*
 * The type of a part.  Old files leave it out; it is then the one that has the part's keys: of
 * `shapes`, lists of keys with the type in front that end in NULL, the first that has all.
 */
const char *tokjson_type(const json_t *o, const char *const (*shapes)[6], size_t n);

/* A whole number from 0 to `most`, else -1. */
static inline int64_t json_whole(const json_t *v, int64_t most)
{
    const double x = json_is_number(v) ? json_number_value(v) : -1;

    return x >= 0 && x <= (double)most && x == (double)(int64_t)x ? (int64_t)x : -1;
}

/* The one code point of a string, or -1. */
int64_t tokjson_point(const json_t *v);
/*
 * {"String": "..."} or {"Regex": "..."}: a pattern, or NULL and an error.  *source is a name of
 * it for the hash, which the caller frees.
 */
struct pattern *tokjson_pattern(const struct json_loader *l, const json_t *o,
                                char **source) MUST_USE;

#endif
