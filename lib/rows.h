/* SPDX-License-Identifier: MIT */
/*
 * rows: the state of record input, and one record out of its bytes (L1, private to it).
 *
 * records.c finds texts and fills chunks, rows.c takes records out of the bytes.
 */
#ifndef BERTUTILS_ROWS_H
#define BERTUTILS_ROWS_H

#include "columns.h"
#include "delim.h"
#include "jsonl.h"
#include "labelcheck.h"
#include "records.h"
#include "source.h"

struct records {
    struct records_options o; /* defaults filled in */
    struct wants wants;
    struct msg *msg;
    char **paths; /* (n_paths) */
    int n_paths, next_path;
    struct source *source;
    uint64_t bytes_done; /* of the sources before it */

    /* The text at hand. */
    bool in_text;
    bool source_over; /* the source has nothing more */
    bool eof;         /* neither has `carry` */
    bool begun; /* its format and layout are known */
    enum records_format format;
    struct layout layout;
    uint64_t line;    /* line ends before what is still to be parsed */
    struct buf carry; /* bytes that were read but not parsed, from carry_at on */
    size_t carry_at;
    struct label_check labels;

    /* Over all texts. */
    uint64_t number; /* of the last record */
    uint64_t skipped; /* records that were left out */
    bool any_begun;
    bool has[COLUMN_KEY + 1]; /* by column_role */

    /* Work space of a record. */
    struct field *fields; /* (fields_cap) */
    size_t fields_cap;
    struct json_value values[MAX_WANTS];
};

#define GOOD_UNKNOWN SIZE_MAX

/* Where parsing stands within a chunk's bytes. */
struct parse {
    struct records *in;
    struct record_chunk *chunk;
    char *data; /* (n) */
    size_t n, at;
    size_t from; /* where it started */
    size_t good; /* the bytes from there up to here are valid UTF-8 without NUL, if it is known */
    bool no_cr; /* there is no carriage return */
};

/* Adds the next record to the chunk: 1, 0 when none is whole, -1 and *e. */
int row_next(struct parse *p, struct err *e) MUST_USE;

/*
 * Adds lines of plain text while they start before `until`, there are fewer than `most` records,
 * and nothing is to be looked at but where they end; what is left is row_next's.
 */
void row_texts(struct parse *p, size_t until, size_t most);

/*
 * The next line, without its end: 1, 0 when none is whole, -1 and *e.  At the end of the text
 * the last line needs no newline.  p->at moves behind it, in->line does not.
 */
int row_line(struct parse *p, struct field *line, struct err *e) MUST_USE;

/* The next CSV record into in->fields, as csv_split does; p->at does not move. */
int row_csv(struct parse *p, size_t max, struct csv_record *r, struct err *e) MUST_USE;

/* Faults of a line of the text at hand.  Always -1. */
int row_bad(const struct records *in, uint64_t line, struct err *e, const char *what);
int row_json_bad(const struct records *in, const struct jsonl *j, uint64_t line,
                 struct err *e);

#endif
