/* SPDX-License-Identifier: MIT */
#include "columns.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const role_option[] = {"--text", "--pair", "--label", "--weight", "--key"};

/* Names by which a header is known. */
static const char *const usual_names[] = {
    "text",      "text1",     "text2",     "sentence", "sentence1", "sentence2",
    "label",     "labels",    "title",     "abstract", "headline",  "review",
    "premise",   "hypothesis", "question1", "question2", "content",  "description",
};

static bool is_name(const struct field *f, const char *name)
{
    return strlen(name) == f->n && strncasecmp(f->at, name, f->n) == 0;
}

bool is_usual_name(const struct field *f)
{
    for (size_t i = 0; i < sizeof usual_names / sizeof usual_names[0]; i++)
        if (is_name(f, usual_names[i]))
            return true;
    return false;
}

static bool is_text_name(const struct field *f)
{
    return is_name(f, "text") || is_name(f, "sentence");
}

static bool is_label_name(const struct field *f)
{
    return is_name(f, "label") || is_name(f, "labels");
}

/* ---- what is asked for ---- */

static int add_want(struct wants *w, enum column_role role, const char *name, size_t n,
                    struct err *e)
{
    struct want *to = &w->at[w->n];

    if (n == 0)
        return err_set(e, ERR_USAGE, "%s: the name of a column is empty", role_option[role]);
    if (w->n == MAX_WANTS)
        return err_set(e, ERR_USAGE, "%s: more than %d columns", role_option[role], MAX_WANTS);
    *to = (struct want){.role = role, .name = mem_dupn(name, n, e)};
    if (!to->name)
        return -1;
    w->n++;
    w->n_text += role == COLUMN_TEXT;
    if (strspn(to->name, "0123456789") == n && n < 10)
        to->number = strtol(to->name, NULL, 10);
    w->any_name |= to->number == 0;
    if (to->number > MAX_COLUMNS)
        return err_set(e, ERR_USAGE, "%s: column %s is beyond the limit of %d",
                       role_option[role], to->name, MAX_COLUMNS);
    return 0;
}

int wants_make(struct wants *w, const struct records_options *o, struct err *e)
{
    const char *const single[] = {o->pair, o->label, o->weight, o->key};

    *w = (struct wants){0};
    for (const char *p = o->text; p;) {
        const size_t n = strcspn(p, ",");

        if (add_want(w, COLUMN_TEXT, p, n, e))
            return -1;
        p = p[n] ? p + n + 1 : NULL;
    }
    for (int i = 0; i < 4; i++)
        if (single[i] && add_want(w, COLUMN_PAIR + (enum column_role)i, single[i],
                                  strlen(single[i]), e))
            return -1;
    return 0;
}

void wants_free(struct wants *w)
{
    for (int i = 0; i < w->n; i++)
        free(w->at[i].name);
    *w = (struct wants){0};
}

/* ---- the first record ---- */

static bool same_name(const struct field *f, const char *name)
{
    return strlen(name) == f->n && memcmp(f->at, name, f->n) == 0;
}

/* How many fields have this name; *at is the first. */
static int find_name(const struct field *first, size_t n, const char *name, size_t *at)
{
    int found = 0;

    for (size_t i = 0; i < n; i++)
        if (same_name(&first[i], name) && found++ == 0)
            *at = i;
    return found;
}

bool wants_names_in(const struct wants *w, const struct field *first, size_t n)
{
    size_t at;

    for (int i = 0; i < w->n; i++)
        if (w->at[i].number == 0 && !find_name(first, n, w->at[i].name, &at))
            return false;
    return true;
}

static bool looks_like_header(const struct wants *w, const struct field *first, size_t n)
{
    if (w->any_name)
        return wants_names_in(w, first, n);
    for (size_t i = 0; i < n; i++)
        if (is_usual_name(&first[i]))
            return true;
    return false;
}

/* "a | b | c": the fields as they were seen, long ones and many of them cut. */
static int describe(const struct field *first, size_t n, struct buf *b, struct err *e)
{
    for (size_t i = 0; i < n && i < 12; i++) {
        size_t show = first[i].n;

        if (show > 40)
            for (show = 40; show > 36 && (first[i].at[show] & 0xc0) == 0x80;)
                show--;
        if (buf_puts(b, i ? " | " : "", e) || buf_add(b, first[i].at, show, e) ||
            (show < first[i].n && buf_puts(b, "...", e)))
            return -1;
    }
    return n > 12 ? buf_puts(b, " | ...", e) : 0;
}

static int no_column(const struct want *w, const struct field *first, size_t n, bool json,
                     bool header, const char *name, struct err *e)
{
    struct buf seen = {0};
    const char *what = json ? "keys" : header ? "columns" : "fields of the first line";

    if (describe(first, n, &seen, e) == 0)
        err_set(e, ERR_USAGE, "%s: there is no column '%s' (%s); its %s are: %s", name, w->name,
                role_option[w->role], what, seen.len ? seen.data : "(none)");
    buf_free(&seen);
    return -1;
}

static int place(struct layout *l, enum column_role role, size_t field, const struct field *f,
                 bool json, struct err *e)
{
    l->role[l->n] = role;
    l->field[l->n] = field;
    l->key[l->n] = json ? mem_dupn(f->at, f->n, e) : NULL;
    if (json && !l->key[l->n])
        return -1;
    l->n++;
    l->n_text += role == COLUMN_TEXT;
    if (field + 1 > l->need)
        l->need = field + 1;
    return 0;
}

/* One column that was asked for.  Where fields have names, a name wins over a number. */
static int resolve(struct layout *l, const struct want *w, const struct field *first, size_t n,
                   bool json, bool by_name, const char *name, struct err *e)
{
    size_t at = 0;
    const int found = by_name ? find_name(first, n, w->name, &at) : 0;

    if (found > 1 && !json)
        return err_set(e, ERR_USAGE, "%s: %d columns are called '%s' (%s); give its number",
                       name, found, w->name, role_option[w->role]);
    if (found == 0 && w->number > 0 && (uint64_t)w->number <= n)
        at = (size_t)w->number - 1;
    else if (found == 0)
        return no_column(w, first, n, json, l->header, name, e);
    return place(l, w->role, at, &first[at], json, e);
}

/* The field that options would name: its name, or its number. */
static int option_for(struct buf *b, const char *option, const struct field *first, size_t at,
                      bool names, struct err *e)
{
    if (buf_addf(b, e, "%s%s ", b->len ? " " : "", option))
        return -1;
    return names ? buf_add(b, first[at].at, first[at].n, e) : buf_addf(b, e, "%zu", at + 1);
}

/* The likeliest text: by its name, else the longest field. */
static size_t likely_text(const struct field *first, size_t n, bool names)
{
    size_t best = 0;

    for (size_t i = 0; i < n; i++) {
        if (names && is_text_name(&first[i]))
            return i;
        if (!names && first[i].n > first[best].n)
            best = i;
    }
    return best;
}

/* The likeliest label: by its name, else the shortest field that is not empty. */
static size_t likely_label(const struct field *first, size_t n, size_t text, bool names)
{
    size_t best = text;

    for (size_t i = 0; i < n; i++) {
        if (names && is_label_name(&first[i]))
            return i;
        if (i != text && first[i].n > 0 && (best == text || first[i].n < first[best].n))
            best = i;
    }
    return best;
}

static int refuse_guess(const struct field *first, size_t n, bool names, const char *name,
                        struct err *e)
{
    const size_t text = n ? likely_text(first, n, names) : 0;
    const size_t label = n ? likely_label(first, n, text, names) : 0;
    struct buf seen = {0}, options = {0};

    if (n == 0)
        return err_set(e, ERR_USAGE, "%s: the first record has no columns", name);
    if (describe(first, n, &seen, e) == 0 &&
        option_for(&options, "--text", first, text, names, e) == 0 &&
        (label == text || option_for(&options, "--label", first, label, names, e) == 0))
        err_set(e, ERR_USAGE, "%s: which of its %zu columns is the text? seen: %s; say so, for "
                "example with: %s", name, n, seen.data, options.data);
    buf_free(&seen);
    buf_free(&options);
    return -1;
}

/* Of two columns with names, which one is the text; -1 when the names do not say. */
static int text_by_name(const struct field *first)
{
    for (int i = 0; i < 2; i++)
        if (is_text_name(&first[i]) && !is_text_name(&first[1 - i]))
            return i;
    for (int i = 0; i < 2; i++)
        if (is_label_name(&first[i]))
            return 1 - i;
    for (int i = 0; i < 2; i++)
        if (is_usual_name(&first[i]) && !is_usual_name(&first[1 - i]))
            return i;
    return -1;
}

/* No column was asked for: one is the text, two are label and text. */
static int guess(struct layout *l, const struct field *first, size_t n, bool json,
                 const char *name, struct err *e)
{
    const bool names = json || l->header;
    int text = names && n == 2 ? text_by_name(first) : 1;

    l->guessed = true;
    l->width = n;
    if (n == 1)
        return place(l, COLUMN_TEXT, 0, first, json, e);
    if (n != 2 || (names && text < 0 && l->header &&
                   is_usual_name(&first[0]) && is_usual_name(&first[1])))
        return refuse_guess(first, n, names, name, e);
    if (text < 0)
        text = 1;
    if (place(l, COLUMN_TEXT, (size_t)text, &first[text], json, e))
        return -1;
    return place(l, COLUMN_LABEL, (size_t)(1 - text), &first[1 - text], json, e);
}

bool layout_has(const struct layout *l, enum column_role role)
{
    for (int i = 0; i < l->n; i++)
        if (l->role[i] == role)
            return true;
    return false;
}

static bool is_taken(const struct layout *l, size_t field)
{
    for (int i = 0; i < l->n; i++)
        if (l->field[i] == field)
            return true;
    return false;
}

/* Others were asked for, but no text: the one called so, else the only one that is left. */
static int guess_text(struct layout *l, const struct field *first, size_t n, bool json,
                      const char *name, struct err *e)
{
    size_t at = n, left = 0, named = 0;

    for (size_t i = 0; i < n; i++) {
        if (is_taken(l, i))
            continue;
        left++;
        if ((json || l->header) && is_text_name(&first[i]) && named++ == 0)
            at = i;
        else if (named == 0)
            at = i;
    }
    if (named != 1 && left != 1)
        return refuse_guess(first, n, json || l->header, name, e);
    /* Texts come first in a layout. */
    memmove(l->role + 1, l->role, (size_t)l->n * sizeof l->role[0]);
    memmove(l->field + 1, l->field, (size_t)l->n * sizeof l->field[0]);
    memmove(l->key + 1, l->key, (size_t)l->n * sizeof l->key[0]);
    l->role[0] = COLUMN_TEXT;
    l->field[0] = at;
    l->key[0] = json ? mem_dupn(first[at].at, first[at].n, e) : NULL;
    l->n++;
    l->n_text = 1;
    if (at + 1 > l->need)
        l->need = at + 1;
    return json && !l->key[0] ? -1 : 0;
}

/* Texts were asked for by name, and no label: a header's "label" is one.  Like this one pipe can
   have texts with and without labels, first to pretrain on and then to finetune on. */
static int find_label(struct layout *l, const struct field *first, size_t n, struct err *e)
{
    size_t at = n;

    if (l->n == MAX_WANTS)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_label_name(&first[i]))
            continue;
        if (at < n || is_taken(l, i))
            return 0;
        at = i;
    }
    if (at == n)
        return 0;
    l->found_label = true;
    return place(l, COLUMN_LABEL, at, &first[at], false, e);
}

int layout_make(struct layout *l, const struct wants *w, enum records_header header,
                const struct field *first, size_t n, bool json, const char *name,
                struct err *e)
{
    bool by_name;

    size_t at;

    *l = (struct layout){0};
    l->header = !json && (header == HEADER_YES ||
                          (header == HEADER_AUTO && looks_like_header(w, first, n)));
    /* Without --header yes a number is a place even where a field is called "1". */
    by_name = json || header == HEADER_YES || (l->header && w->any_name);
    if (w->n == 0)
        return guess(l, first, n, json, name, e);
    /* No header, since a name is missing: that one is the news, not the first of them. */
    for (int i = 0; i < w->n && w->any_name && !json && header == HEADER_AUTO && !l->header; i++)
        if (w->at[i].number == 0 && !find_name(first, n, w->at[i].name, &at))
            return no_column(&w->at[i], first, n, json, false, name, e);
    for (int i = 0; i < w->n; i++)
        if (resolve(l, &w->at[i], first, n, json,
                    by_name && (json || header == HEADER_YES || w->at[i].number == 0), name, e))
            return -1;
    if (l->n_text == 0 && guess_text(l, first, n, json, name, e))
        return -1;
    return l->header && w->any_name && !layout_has(l, COLUMN_LABEL) ? find_label(l, first, n, e)
                                                                    : 0;
}

void layout_free(struct layout *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->key[i]);
    *l = (struct layout){0};
}

