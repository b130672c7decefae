/* SPDX-License-Identifier: MIT */
/*
 * delim: fields of TSV lines and CSV records (L1).
 *
 * TSV has no quoting: every TAB separates.  CSV is RFC 4180: a field that starts with a quote
 * ends with one, holds commas and line ends, and a quote as two.  A quote inside a field that
 * does not start with one is an ordinary character.
 */
#ifndef BERTUTILS_DELIM_H
#define BERTUTILS_DELIM_H

#include "columns.h"

/*
 * The first `max` fields of a line without its line end go to out; returns how many fields
 * there are, counting on only up to `max`.
 */
size_t tsv_split(const char *line, size_t n, struct field *out, size_t max);

enum csv_result {
    CSV_OK,
    CSV_MORE,     /* the record does not end within these bytes */
    CSV_UNCLOSED, /* a quote is open at the end of the file */
    CSV_JUNK,     /* something stands between a closing quote and the next comma */
    CSV_LONE_CR   /* a carriage return without a newline, outside quotes */
};

struct csv_record {
    size_t used;     /* bytes of the record and its line end */
    size_t lines;    /* line ends within those bytes */
    size_t n;        /* fields, all of them */
    size_t at_line;  /* on a fault, or while a quote is open: its line, from 0 */
    bool open;       /* CSV_MORE: a quote is open */
};

/* The record at data; its first `max` fields go to out.  eof: nothing follows. */
enum csv_result csv_split(const char *data, size_t n, bool eof, struct field *out, size_t max,
                          struct csv_record *r);

/* The text of a field with doubled quotes, into out[f->n]; returns its length. */
size_t csv_unescape(const struct field *f, char *out);

#endif
