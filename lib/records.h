/* SPDX-License-Identifier: MIT */
/*
 * records: TSV, CSV, JSON lines and plain text from files, pipes and archives (L1).
 *
 *     in = records_open(paths, n, &options, msg, &e);
 *     while ((got = records_next_chunk(in, &chunk, &e)) > 0) ...
 *
 * Reading is one pass, in the order of the operands and, within an archive, of its members.
 * A chunk holds whole records; its texts stay valid until the chunk is reused, so that chunks
 * can be worked on by several threads.  Messages about bad data hold FILE:LINE: (archives:
 * ARCHIVE(MEMBER):LINE:).
 *
 * The format of each text is told by its name (.tsv .tab .csv .jsonl .ndjson .json), else by
 * its first line: an object is JSON lines, a TAB means TSV, named columns or a header with
 * commas mean CSV, anything else is plain text.  How columns are found: columns.h.
 */
#ifndef BERTUTILS_RECORDS_H
#define BERTUTILS_RECORDS_H

#include "err.h"
#include "mem.h"
#include "msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum records_format { RECORDS_AUTO, RECORDS_TSV, RECORDS_CSV, RECORDS_JSONL, RECORDS_TEXT };
enum records_header { HEADER_AUTO, HEADER_YES, HEADER_NO };

/* What becomes of NUL and of what is not UTF-8: U+FFFD, ERR_DATA, or its record is left out. */
enum records_invalid { INVALID_REPLACE, INVALID_ERROR, INVALID_SKIP };

struct records_options {
    enum records_format format;
    enum records_header header;
    enum records_invalid invalid;
    const char *text;   /* COL[,COL...] or NULL; COL is a name or a number from 1 */
    const char *join;   /* between several text columns; NULL: one space */
    const char *pair, *label, *weight, *key; /* COL or NULL */
    const char *member; /* glob over member paths, '*' also matches '/'; NULL: every member */
    size_t max_line;    /* bytes of a line, or of a CSV record; 0: 16 MiB */
    size_t chunk_bytes; /* about so much text a chunk; 0: 128 KiB */
    uint64_t max_members, max_member_bytes, max_ratio; /* see members.h; 0: its defaults */
};

enum { CHUNK_SLACK = 64 }; /* bytes that can be read behind the texts of a chunk */

struct record {
    /* pair, label, key: NULL when there is none; an empty field is not NULL.  Valid UTF-8. */
    const char *text, *pair, *label, *key;
    size_t text_len, pair_len, label_len, key_len;
    float weight;    /* 1 when there is no weight column */
    uint64_t number; /* from 1 over all inputs */
    uint64_t line;   /* from 1 in its file */
};

/* {0} is an empty one. */
struct record_chunk {
    struct record *at;
    size_t n, cap;
    struct buf bytes;        /* the input's bytes; what the records point into */
    struct chunk_pool *pool; /* texts that differ from the input: repaired, joined, unquoted */
    uint64_t invalid_utf8;   /* sequences replaced by U+FFFD in this chunk */
};
void record_chunk_free(struct record_chunk *c);
/* Bytes that what is in it takes. */
size_t record_chunk_memory(const struct record_chunk *c);

struct records;

struct records *records_open(char *const *paths, int n, const struct records_options *o,
                             struct msg *m, struct err *e) MUST_USE;
/* Fills *c (its memory is reused) with the next records: 1, 0 at the end, -1 and *e. */
int records_next_chunk(struct records *in, struct record_chunk *c, struct err *e) MUST_USE;
void records_free(struct records *in);

/* Known once the first chunk was read: which of the optional columns there are. */
bool records_has_label(const struct records *in);
bool records_has_pair(const struct records *in);
bool records_has_key(const struct records *in);
bool records_has_weight(const struct records *in);

/* Records left out so far (INVALID_SKIP); those behind them keep their numbers. */
uint64_t records_skipped(const struct records *in);
/* For progress and reports: bytes read from all inputs so far. */
uint64_t records_bytes(const struct records *in);

#endif
