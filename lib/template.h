/* SPDX-License-Identifier: MIT */
/*
 * template: how a model's input is made of segments and special tokens (L0).
 *
 * The tokenizer knows it, the token stream's header carries it, and the tools that train and
 * score apply it: ids are stored whole and without specials.
 */
#ifndef BERTUTILS_TEMPLATE_H
#define BERTUTILS_TEMPLATE_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { TEMPLATE_MAX = 16, SEGMENT_A = -1, SEGMENT_B = -2 };

/* One place of a template: a special token, or where a segment goes. */
struct template_piece {
    int32_t id;   /* of the special token; SEGMENT_A or SEGMENT_B */
    int32_t type; /* token type id of this place */
};

struct template {
    struct template_piece single[TEMPLATE_MAX], pair[TEMPLATE_MAX];
    int n_single, n_pair;
    /* Ids of the special tokens, -1 where the tokenizer has none. */
    int32_t cls, sep, pad, unk, mask;
};

/* Special tokens that the template adds to one segment, or to two. */
int template_specials(const struct template *t, int pair);

/*
 * How many tokens of each segment stay under max_len (specials included; 0: no limit), as
 * `tokenizers` 0.23.3 truncates "longest_first": of a pair the longer is cut first; with an
 * odd budget the second segment keeps the extra token.  (utils/truncation.rs)
 * With n_b = NULL there is one segment.
 */
void template_cut(const struct template *t, int64_t max_len, size_t *n_a, size_t *n_b);

/* How long inputs may be, and which part of a text that is too long stays. */
struct template_limit {
    int64_t max_len; /* specials included; 0: no limit */
    int64_t head;    /* tokens from the start of a cut text, the others from its end; -1: all */
};

/*
 * Reads "head", "tail", "head+tail" or "head+tail:N" into limit->head, limit->max_len being
 * set: N tokens from the start, without N a quarter of the limit, as the 128 of 512 of Sun et
 * al. 2019, section 5.3.1.  ERR_USAGE for anything else.
 */
int template_read_cut(const char *text, struct template_limit *limit, struct err *e) MUST_USE;

/* One text of an input, `kept` ids of its n: the first `head`, and behind them the last. */
struct template_text {
    const uint32_t *ids;
    size_t n, kept, head;
};

/* Says of one or two texts what stays of them (b = NULL: there is one), by template_cut. */
void template_keep(const struct template *t, const struct template_limit *limit,
                   struct template_text *a, struct template_text *b);

/* The ids of a text that stay, one behind the other (kept); returns how many. */
size_t template_take(const struct template_text *text, int32_t *ids);

/*
 * Lays out one input: ids, token types, and for each place whether it is an ordinary token
 * (1) or a special one (0; `ordinary` may be NULL).  b is NULL when there is no second text
 * (an empty one is not NULL).  The arrays must have room for a->kept + b->kept +
 * template_specials().  Returns the number of places written.
 */
size_t template_fill(const struct template *t, const struct template_text *a,
                     const struct template_text *b, int32_t *ids, int32_t *types,
                     uint8_t *ordinary);

#endif
