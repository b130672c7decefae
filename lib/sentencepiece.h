/* SPDX-License-Identifier: MIT */
/*
 * sentencepiece: what a SentencePiece model file says (L2).
 *
 * The file is a protobuf message of the type ModelProto.  Only what a tokenizer needs is read;
 * other fields are stepped over.  Sources: sentencepiece/src/sentencepiece_model.proto for the
 * fields and their defaults, protobuf.dev/programming-guides/encoding for the bytes.
 */
#ifndef BERTUTILS_SENTENCEPIECE_H
#define BERTUTILS_SENTENCEPIECE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sp_type { SP_NORMAL = 1, SP_UNKNOWN, SP_CONTROL, SP_USER, SP_UNUSED, SP_BYTE };
enum sp_kind { SP_UNIGRAM = 1, SP_BPE, SP_WORD, SP_CHAR };

struct sp_piece {
    const char *text; /* n bytes of valid UTF-8, within the file */
    uint32_t n;
    int type;
    float score; /* finite */
};

/* {0} is empty; the file's bytes must stay as long as the model is used. */
struct sp_model {
    struct sp_piece *piece; /* (n) by id */
    size_t n, cap;
    uint64_t kind;
    uint64_t unk;         /* id of the unknown piece, < n */
    const char *charsmap; /* rules of normalization, NULL: none */
    size_t n_charsmap;
    bool dummy_prefix;    /* a blank before the first word */
    bool escape;          /* blanks become U+2581 */
    bool suffix;          /* U+2581 behind a word, not before it */
};

/* Reads the n bytes of a file; ERR_DATA naming `name` when it is no such model. */
int sp_read(struct sp_model *m, const char *name, const void *data, size_t n,
            struct err *e) MUST_USE;
void sp_free(struct sp_model *m);

#endif
