/* SPDX-License-Identifier: MIT */
/*
 * tokheader: the JSON of a token stream's header and of its END (L1, private to
 * tokstream*).
 */
#ifndef BERTUTILS_TOKHEADER_H
#define BERTUTILS_TOKHEADER_H

#include "intern.h"
#include "mem.h"
#include "tokstream.h"

enum {
    HEADER_JSON_MAX = 1 << 20, /* bytes */
    HEADER_JSON_DEPTH = 32,
    END_LENGTHS = 34,  /* records of 0, 1, 2-3, 4-7, ... tokens */
    END_LABELS_MAX = 4096 /* more different labels than this are not listed */
};

/* Ids take two bytes where they fit. */
int tokheader_id_bytes(const struct toks_header *h);

int tokheader_encode(const struct toks_header *h, struct buf *out,
                     struct err *e) MUST_USE;
int tokheader_decode(const char *json, size_t n, struct toks_header *h,
                     struct err *e) MUST_USE;

/* Do two streams make one?  If not: ERR_DATA, naming both chains. */
int tokheader_agree(const struct toks_header *a, const struct toks_header *b,
                    struct err *e) MUST_USE;
/* What END says of one segment beside its counts. */
struct tokend {
    char content[33];
    char model_hash[33]; /* "" for none */
    char upstream[33];   /* "" for none */
    uint64_t unk, invalid_utf8;
    uint64_t lengths[END_LENGTHS];
    uint64_t longest;         /* tokens of the longest record */
    const struct intern
        *labels; /* writing: label and count, in any order; NULL: too many */
    const uint64_t *label_count;
};
int tokend_encode(const struct tokend *end, struct buf *out, struct err *e) MUST_USE;
int tokend_decode(const char *json, size_t n, struct tokend *end, struct err *e) MUST_USE;

#endif
