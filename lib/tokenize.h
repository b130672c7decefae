/* SPDX-License-Identifier: MIT */
/*
 * tokenize: records to a token stream, in parallel and in order (L2).
 */
#ifndef BERTUTILS_TOKENIZE_H
#define BERTUTILS_TOKENIZE_H

#include "clean.h"
#include "msg.h"
#include "records.h"
#include "stat.h"
#include "tokenizer.h"
#include "tokstream.h"

struct tokenize_options {
    int threads;              /* in all, at least 1; never changes the stream */
    bool no_specials_in_text; /* "[SEP]" in a text is text */
    const struct cleaner *clean; /* NULL: texts stay as they are */
    uint64_t expect_records;  /* 0: any number; else ERR_DATA when there are not so many */
    struct toks_write_options write; /* its threads are set here */
    struct stream_stat *stat; /* NULL, or where what is written is counted, in its order */
    int fd;                   /* where the stream goes */
    const char *name;         /* of it, for messages */
    struct msg *msg;          /* for progress; NULL: none */
};

struct tokenize_report {
    uint64_t records, tokens, unk, invalid_utf8;
    uint64_t skipped; /* records left out, see records.h */
    struct clean_counts clean;
    uint64_t text_bytes; /* of texts and pairs */
    uint64_t file_bytes; /* read from the inputs */
    double seconds;
};

/*
 * Encodes all of `in` and writes the stream, END included, after the whole input ended well.
 * *h has the tokenizer and the provenance; its columns are set here.  Texts in flight are
 * bounded, so that memory does not grow with the number of threads.
 */
int tokenize(struct records *in, const struct tokenizer *t, struct toks_header *h,
             const struct tokenize_options *o, struct tokenize_report *report,
             struct err *e) MUST_USE;

/* Fills the header with what it needs of a tokenizer; `model` is -m as it was given. */
int tokenize_header(struct toks_header *h, const struct tokenizer *t, const char *model,
                    struct err *e) MUST_USE;

/* The tokenizer of the model that `name` means (modelpath.h); NULL and *e. */
struct tokenizer *tokenizer_find(const char *name, struct err *e) MUST_USE;

/* Bounds what is counted and makes the table of unknown words: for streams of any length. */
int tokenize_stat(struct stream_stat *s, struct err *e) MUST_USE;

/*
 * Warnings about the text, and with -v what was counted (NULL: nothing), times and memory.
 */
void tokenize_say(const struct tokenize_report *r, const struct stream_stat *s,
                  const struct toks_header *h, struct msg *m);

#endif
