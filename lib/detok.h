/* SPDX-License-Identifier: MIT */
/*
 * detok: a token stream as lines of text, TAB-separated (L2).
 */
#ifndef BERTUTILS_DETOK_H
#define BERTUTILS_DETOK_H

#include "tokenizer.h"
#include "tokstream.h"

enum detok_column {
    DETOK_KEY, DETOK_LABEL, DETOK_WEIGHT, DETOK_LEN, DETOK_IDS, DETOK_TOKENS, DETOK_TEXT,
    DETOK_COLUMNS
};

struct detok_options {
    enum detok_column column[16]; /* (n) */
    int n;
    bool fixed;      /* --columns: ids, tokens and text take two fields where pairs may be */
    bool special;    /* whole inputs as the model sees them, instead of their segments */
    struct template_limit limit;
};

/* Reads "key,label,..." into the options; ERR_USAGE names what is no column. */
int detok_columns(struct detok_options *o, const char *list, struct err *e) MUST_USE;
/* Whether a tokenizer is needed. */
bool detok_needs_tokenizer(const struct detok_options *o);

/*
 * The tokenizer that made the stream: of the model `given`, or when that is NULL of the one
 * that the header names.  ERR_DATA when it is another one, with both names.
 */
struct tokenizer *detok_tokenizer(const struct toks_header *h, const char *given,
                                  struct err *e) MUST_USE;

/*
 * Writes one line a record to fd, up to the end of the stream; t may be NULL when it is not
 * needed.  A text's own TABs and line ends are printed as blanks, so that they end no field.
 * Segment B stands in a field of its own behind segment A.
 */
int detok(struct toks_reader *in, const struct tokenizer *t, const struct detok_options *o,
          int fd, const char *name, struct err *e) MUST_USE;

#endif
