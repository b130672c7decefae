/* SPDX-License-Identifier: MIT */
/*
 * presplit: pre-tokenizers in a row, some of which change the text (L2).
 *
 * Source: tokenizers/src/pre_tokenizers/{metaspace,split,punctuation,byte_level}.rs and
 * tokenizer/normalizer.rs for what becomes of delimiters.
 */
#ifndef BERTUTILS_PRESPLIT_H
#define BERTUTILS_PRESPLIT_H

#include "pattern.h"
#include "pretoken.h"

struct presplit_event {
    size_t at, n;
    bool match;
};

/* The text and its pieces; one a thread.  {0} is empty. */
struct presplit {
    const uint8_t *p;     /* the text, which steps may have made */
    size_t first;         /* bytes at its start that come from the very first character */
    struct span *span[2]; /* (n) the pieces are span[list] */
    size_t span_cap[2], n;
    int list;
    struct buf text[2], piece;
    struct presplit_event *event;
    size_t event_cap, events;
    struct pattern_scratch pattern;
};
void presplit_free(struct presplit *w);

/*
 * Cuts p[0..n-1] by the first `steps` steps; the pieces are w->span[w->list] of w->p, behind
 * which `slack` bytes may be read when steps have made it.  `first`: as in the struct, of p; 0
 * when p is not the start of the text.
 */
struct presplit_input {
    const uint8_t *p;
    size_t n, first, slack;
};
int presplit(const struct pretokenizer *pre, int steps, const struct presplit_input *in,
             struct presplit *w, struct err *e) MUST_USE;

#endif
