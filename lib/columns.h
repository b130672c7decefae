/* SPDX-License-Identifier: MIT */
/*
 * columns: which fields of a file are text, pair, label, weight and key (L1).
 *
 * A column is given by name or by number from 1, and is looked up in every file anew.  What
 * is asked for is a `struct wants`, made once from the options; what one file has for it is a
 * `struct layout`, made from the file's first record.
 *
 * A header is there when every name that was given is a field of the first record; where no
 * name was given (no column at all, or numbers only), when a usual name is among the fields
 * (text, sentence, label, title, ...).  Without any column given, one column is the text and
 * two are label and text, by their names if there is a header; anything else is refused.  Where
 * columns are given by name and no label, a header's column called label is the label.
 */
#ifndef BERTUTILS_COLUMNS_H
#define BERTUTILS_COLUMNS_H

#include "records.h"

enum column_role { COLUMN_TEXT, COLUMN_PAIR, COLUMN_LABEL, COLUMN_WEIGHT, COLUMN_KEY };

enum { MAX_WANTS = 72, MAX_COLUMNS = 1 << 20 };

/* A piece of the input. */
struct field {
    const char *at;
    size_t n;
    bool escaped; /* CSV: doubled quotes inside; JSON key: escapes inside */
};

struct want {
    enum column_role role;
    char *name;      /* as given */
    int64_t number;  /* from 1; 0 when it is no number */
};

/* Columns that were asked for: texts first, in their order. */
struct wants {
    struct want at[MAX_WANTS];
    int n, n_text;
    bool any_name; /* at least one is no number */
};

int wants_make(struct wants *w, const struct records_options *o, struct err *e) MUST_USE;
void wants_free(struct wants *w);

/* Where one file has them. */
struct layout {
    int n, n_text;            /* texts first */
    enum column_role role[MAX_WANTS];
    size_t field[MAX_WANTS];  /* number from 0; JSON: not used */
    char *key[MAX_WANTS];     /* JSON: the key; else NULL */
    size_t need;              /* fields a record must have: the largest of `field` plus 1 */
    bool header;              /* the first record is a header */
    bool guessed;             /* no column was asked for: every record has `width` fields */
    bool found_label;         /* the label was not asked for, but a header calls it so */
    size_t width;
};

/*
 * Makes *l from the first record of the text called `name`.  json: `first` are the keys of
 * the first object, which is a record itself.  ERR_USAGE names the column that is not there,
 * or says what was seen and which options to give.
 */
int layout_make(struct layout *l, const struct wants *w, enum records_header header,
                const struct field *first, size_t n, bool json, const char *name,
                struct err *e) MUST_USE;
void layout_free(struct layout *l);

bool layout_has(const struct layout *l, enum column_role role);

/* True when this field is one of the names that headers usually have. */
bool is_usual_name(const struct field *f);
/* True when every name (not number) that was asked for is one of the fields. */
bool wants_names_in(const struct wants *w, const struct field *first, size_t n);

#endif
