/* SPDX-License-Identifier: MIT */
/*
 * tokstream: the token stream, tokstream(5): compressed, checked blocks of records (L1).
 *
 * Writing, in the order of the records:
 *     w = toks_create(fd, name, &header, &options, &e);
 *     toks_put(w, &record, &e);            a block goes out when it is full
 *     toks_finish(w, &end_info, &e);       END, only after the input ended well
 *     toks_writer_free(w);                 without toks_finish the stream is visibly cut
 *
 * Reading (compressed or plain; several segments, as `cat a b` makes them, are one stream):
 *     r = toks_open(fd, name, &options, &e);     the header is read
 *     while ((got = toks_next_block(r, &block, &e)) > 0)
 *         for (i = 0; i < block->n; i++) toks_get(block, i, &record);
 *     got == 0: END was read and everything agrees;  got < 0: *e, ERR_DATA
 *
 * A block may be kept after the next one is read: toks_block_keep() hands it to the caller.
 * Compression and decompression run on `threads` threads; bytes do not depend on them.
 */
#ifndef BERTUTILS_TOKSTREAM_H
#define BERTUTILS_TOKSTREAM_H

#include "err.h"
#include "template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Optional columns of a stream; lengths, ids and word starts are always there. */
enum {
    TOKS_LABEL = 1 << 0,
    TOKS_PAIR = 1 << 1,   /* some records may have a segment B */
    TOKS_KEY = 1 << 2,    /* keys are text; without it they are record numbers */
    TOKS_WEIGHT = 1 << 3
};

struct toks_header {
    char *tok_kind, *tok_name, *tok_hash; /* tokenizer: kind, name for people, behaviour hash */
    char *tok_path;     /* the model directory or name that `tok -m` was given, or NULL */
    uint32_t vocab_size; /* every id is below it */
    struct template template;
    int columns;        /* TOKS_... */
    char *provenance;   /* canonical JSON array of {"cl","id","pn","pp","vn"} objects */
    char *publishes;    /* mlm-pretrain: absolute path of the model it will publish, or NULL */
};
void toks_header_free(struct toks_header *h); /* frees the strings, not *h */
int toks_header_copy(struct toks_header *to, const struct toks_header *from, struct err *e) MUST_USE;
/* Appends a step to the chain: program `name`, its version, its command line. */
int toks_add_provenance(struct toks_header *h, const char *name, const char *command,
                        struct err *e) MUST_USE;

struct toks_record {
    const uint32_t *a, *b;   /* ids of the segments (n_a), (n_b); b is NULL when there is none */
    size_t n_a, n_b;
    const uint8_t *start_a, *start_b; /* (n_a), (n_b): 1 where a word starts */
    const char *key;         /* NULL: the key is the number */
    size_t key_len;
    uint64_t number;         /* from 1, over all inputs of `tok`; stays with the record */
    const char *label;       /* NULL: no label */
    size_t label_len;
    float weight;            /* 1 where the stream has none */
};

/* ---- writing ---- */
struct toks_writer;

struct toks_write_options {
    int level;          /* zstd level; 0: the default, 1; at most 12 is used */
    int threads;        /* in all; 0 or 1: compress on the caller's thread */
    bool helped;        /* no thread is started: so many of the caller's call toks_help */
    size_t block_records; /* close a block after so many records; 0: by size (1 MiB) */
    bool plain;         /* the inner stream, not compressed */
};

struct toks_writer *toks_create(int fd, const char *name, const struct toks_header *h,
                                const struct toks_write_options *o, struct err *e) MUST_USE;
int toks_put(struct toks_writer *w, const struct toks_record *r, struct err *e) MUST_USE;
/* Texts one after the other, for streams without optional columns. */
struct toks_texts {
    const uint32_t *ids;    /* of all of them */
    const uint8_t *start;   /* 1 where a word starts, else 0 */
    const uint32_t *len;    /* (n) tokens of each */
    const uint64_t *number; /* (n) */
    size_t n;
};
/* What toks_put does of each, sooner. */
int toks_put_texts(struct toks_writer *w, const struct toks_texts *t, struct err *e) MUST_USE;
/* Compresses a block that waits, on any thread, also while another puts; false: there is none. */
bool toks_help(struct toks_writer *w);
/* Closes the block at hand, so that a reader of a pipe sees what was put. */
int toks_flush(struct toks_writer *w, struct err *e) MUST_USE;

/* What goes into END beside the counts that the writer keeps itself. */
struct toks_end {
    uint64_t unk;          /* unknown tokens */
    uint64_t invalid_utf8; /* replaced sequences */
    char *model_hash;      /* mlm-pretrain: XXH3-128 hex of the published model, or NULL */
    const char *upstream;  /* content hash of the stream this one was made of, or NULL */
};
int toks_finish(struct toks_writer *w, const struct toks_end *end, struct err *e) MUST_USE;
void toks_writer_free(struct toks_writer *w);

/* ---- reading ---- */
struct toks_reader;
struct toks_block; /* decoded columns of one block, read-only */

struct toks_read_options {
    int threads;             /* in all; 0 or 1: decompress on the caller's thread */
    uint64_t expect_records; /* 0: any number */
};

struct toks_reader *toks_open(int fd, const char *name, const struct toks_read_options *o,
                              struct err *e) MUST_USE;
const struct toks_header *toks_reader_header(const struct toks_reader *r);
/* The next block with records: 1, 0 at a good end, -1 and *e.  *block lives until the next call. */
int toks_next_block(struct toks_reader *r, const struct toks_block **block, struct err *e) MUST_USE;
/* Takes the block of the last call out of the reader; release with toks_block_free. */
struct toks_block *toks_block_keep(struct toks_reader *r);
void toks_block_free(struct toks_block *b);
void toks_reader_free(struct toks_reader *r);

size_t toks_block_records(const struct toks_block *b);
size_t toks_block_bytes(const struct toks_block *b); /* memory it takes */
void toks_get(const struct toks_block *b, size_t i, struct toks_record *r);

/* After toks_next_block returned 0: what END said, summed over segments. */
struct toks_totals {
    uint64_t records, tokens, blocks, segments;
    uint64_t unk, invalid_utf8;
    char content[33];    /* XXH3-128 of all columns of all records in order, hex */
    char model_hash[33]; /* "" when END carries none */
};
const struct toks_totals *toks_reader_totals(const struct toks_reader *r);

/*
 * Several inputs as one stream, in order: operands of a tool ("-" and none: standard input).
 * Headers must agree (same tokenizer): else ERR_DATA with both chains.  Used like a reader.
 */
struct toks_reader *toks_open_files(char *const *paths, int n, const struct toks_read_options *o,
                                    struct err *e) MUST_USE;

#endif
