/* SPDX-License-Identifier: MIT */
/* The reader of the score TSV: one pass, then the kind of the file is settled. */
#include "io.h"
#include "scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_SIZE = 1 << 18,
    LINE_MAX_BYTES = 16 << 20, /* more is no file of scores */
    SHOWN = 60                 /* bytes of a field that a message repeats */
};

/*
 * Rows whose p: columns miss one by more than this are no softmax: the file is
 * multi-label.
 */
static const double SUM_SLACK = 0.02;

/* Labels of one field of a multi-label row, in reader.members. */
struct set {
    size_t from, n;
};

struct reader {
    struct scores *s;
    const char *name;
    size_t line;     /* number of the line being read, from 1 */
    size_t rows;     /* data lines so far */
    bool multi_seen; /* something that only a multi-label file can hold */
    int kind_wanted;
    int32_t *table;    /* label numbers by hash; -1: free */
    size_t table_size; /* a power of two */
    size_t *label_len; /* [n_labels] */
    /* A field is label number c, or, where c < 0, the set with number -1 - c. */
    int32_t *gold, *pred;
    double *gold_value, *pred_value;
    size_t gold_cap, pred_cap, gold_value_cap, pred_value_cap, p_cap, key_cap;
    struct buf keys;
    struct set *sets;
    size_t n_sets, sets_cap;
    int32_t *members;
    size_t n_members, members_cap;
};

struct field {
    const char *at;
    size_t n;
};

static int shown(const struct field *f)
{
    return f->n > SHOWN ? SHOWN : (int)f->n;
}

/* "FILE:LINE: ", put before an error that is set already. */
static int at_line(const struct reader *r, struct err *e)
{
    return err_prefix(e, "%s:%zu: ", r->name, r->line);
}

/* ---- numbers ---- */

/* Where the digits from `p` on end; their value (the first 19) goes onto *m. */
static const char *digits(const char *p, const char *end, uint64_t *m, int *taken)
{
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        if (*m > 0 || *p != '0') {
            if (++*taken <= 19)
                *m = *m * 10 + (uint64_t)(*p - '0');
        }
    return p;
}

static double by_strtod(const struct field *f)
{
    char text[256];

    if (f->n >= sizeof text)
        return NAN;
    memcpy(text, f->at, f->n);
    text[f->n] = '\0';
    return strtod(text, NULL);
}

/*
 * A decimal number that fills the whole field: no blanks, hexadecimal, nan or inf.  Where
 * the digits fit 53 bits and the power of ten is exact, one operation rounds correctly
 * (Clinger, "How to read floating point numbers accurately", PLDI 1990); strtod does the
 * rest.
 */
static bool number(const struct field *f, double *x)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *p = f->at, *const end = f->at + f->n, *start, *point;
    uint64_t m = 0, power = 0;
    int taken = 0, power_digits = 0;
    long scale = 0;
    bool minus, power_minus = false;

    minus = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    start = p;
    p = point = digits(p, end, &m, &taken);
    if (p < end && *p == '.') {
        p = digits(p + 1, end, &m, &taken);
        scale = -(long)(p - point - 1);
    }
    if (p - start - (p > point) <= 0)
        return false; /* no digit at all */
    if (p < end && (*p == 'e' || *p == 'E')) {
        power_minus = ++p < end && *p == '-';
        p += p < end && (*p == '-' || *p == '+');
        start = p;
        p = digits(p, end, &power, &power_digits);
        if (p == start)
            return false;
    }
    if (p != end)
        return false;
    if (power_digits < 6)
        scale += power_minus ? -(long)power : (long)power;
    if (taken > 19 || power_digits >= 6 || m > (uint64_t)1 << 53 || scale < -22 ||
        scale > 22)
        *x = by_strtod(f);
    else {
        *x = scale < 0 ? (double)m / ten[-scale] : (double)m * ten[scale];
        *x = minus ? -*x : *x;
    }
    return isfinite(*x);
}

/* ---- labels ---- */

/* FNV-1a; the labels are few and the file is the user's own. */
static size_t hash(const char *s, size_t n)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

/* The slot where a label is or would be. */
static int32_t *slot(const struct reader *r, const char *s, size_t n)
{
    size_t i = hash(s, n) & (r->table_size - 1);

    while (r->table[i] >= 0) {
        const int32_t label = r->table[i];

        if (r->label_len[label] == n && memcmp(r->s->labels[label], s, n) == 0)
            break;
        i = (i + 1) & (r->table_size - 1);
    }
    return &r->table[i];
}

/* Adds the set of the labels that commas separate in a field; its code goes to *code. */
static int add_set(struct reader *r, const struct field *f, const char *column,
                   int32_t *code, struct err *e)
{
    const char *p = f->at, *const end = f->at + f->n;

    if (r->n_sets >= INT32_MAX - 1)
        return err_set(e, ERR_DATA, "too many rows");
    if (mem_grow(&r->sets, &r->sets_cap, r->n_sets + 1, sizeof *r->sets, e))
        return -1;
    r->sets[r->n_sets] = (struct set){r->n_members, 0};
    while (f->n > 0) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const struct field part = {p, (size_t)((comma ? comma : end) - p)};
        const int32_t label = *slot(r, part.at, part.n);

        if (label < 0)
            return err_set(e, ERR_DATA, "%s '%.*s' is none of the labels in the header",
                           column, shown(&part), part.at);
        if (mem_grow(&r->members, &r->members_cap, r->n_members + 1, sizeof *r->members,
                     e))
            return -1;
        r->members[r->n_members++] = label;
        r->sets[r->n_sets].n++;
        if (!comma)
            break;
        p = comma + 1;
    }
    *code = -1 - (int32_t)r->n_sets++;
    r->multi_seen = true;
    return 0;
}

/* The code of a gold or pred field. */
static int read_labels(struct reader *r, const struct field *f, const char *column,
                       int32_t *code, struct err *e)
{
    *code = *slot(r, f->at, f->n);
    if (*code >= 0)
        return 0;
    if (r->kind_wanted == SCORES_SINGLE || (f->n > 0 && !memchr(f->at, ',', f->n)))
        return err_set(e, ERR_DATA, "%s '%.*s' is none of the labels in the header",
                       column, shown(f), f->at);
    return add_set(r, f, column, code, e);
}

/* ---- the header ---- */

static bool is_text(const struct field *f, const char *text)
{
    return f->n == strlen(text) && memcmp(f->at, text, f->n) == 0;
}

/* The next field of a line, *p moved behind its TAB, or to NULL after the last one. */
static struct field next_field(const char **p, const char *end)
{
    const char *tab = memchr(*p, '\t', (size_t)(end - *p));
    const struct field f = {*p, (size_t)((tab ? tab : end) - *p)};

    *p = tab ? tab + 1 : NULL;
    return f;
}

static int add_label(struct reader *r, const struct field *f, size_t *cap,
                     size_t *len_cap, struct err *e)
{
    struct scores *s = r->s;
    const bool z = f->n >= 2 && memcmp(f->at, "z:", 2) == 0;

    if (is_text(f, "top1"))
        return err_set(e, ERR_DATA,
                       "the file holds the best labels alone; metrics need all of them: "
                       "make it without --top");
    if (!z && !(f->n >= 2 && memcmp(f->at, "p:", 2) == 0))
        return err_set(e, ERR_DATA,
                       "column '%.*s' of the header is neither p:LABEL nor "
                       "z:LABEL",
                       shown(f), f->at);
    if (f->n == 2)
        return err_set(e, ERR_DATA, "a label of the header is empty");
    if (memchr(f->at, '\0', f->n))
        return err_set(e, ERR_DATA, "a label of the header holds a NUL");
    if (s->n_labels > 0 && z != s->logits)
        return err_set(e, ERR_DATA,
                       "the header has p: and z: columns; one kind is possible");
    if (s->n_labels >= INT32_MAX / 4)
        return err_set(e, ERR_DATA, "too many labels");
    s->logits = z;
    if (mem_grow(&s->labels, cap, s->n_labels + 1, sizeof *s->labels, e) ||
        mem_grow(&r->label_len, len_cap, s->n_labels + 1, sizeof *r->label_len, e))
        return -1;
    s->labels[s->n_labels] = mem_dupn(f->at + 2, f->n - 2, e);
    if (!s->labels[s->n_labels])
        return -1;
    r->label_len[s->n_labels++] = f->n - 2;
    return 0;
}

/* The hash table of the labels; two equal ones are refused. */
static int index_labels(struct reader *r, struct err *e)
{
    const struct scores *s = r->s;

    r->table_size = 8;
    while (r->table_size < 2 * s->n_labels)
        r->table_size *= 2;
    r->table = mem_alloc(r->table_size, sizeof *r->table, "labels", e);
    if (!r->table)
        return -1;
    memset(r->table, 0xff, r->table_size * sizeof *r->table);
    for (size_t i = 0; i < s->n_labels; i++) {
        int32_t *at = slot(r, s->labels[i], r->label_len[i]);

        if (*at >= 0)
            return err_set(e, ERR_DATA, "the header has the label '%s' twice",
                           s->labels[i]);
        *at = (int32_t)i;
    }
    return 0;
}

static int read_header(struct reader *r, const char *line, size_t n, struct err *e)
{
    static const char *const fixed[] = {"key", "gold", "pred"};
    struct scores *s = r->s;
    const char *p = line;
    size_t cap = 0, len_cap = 0;

    for (int i = 0; i < 3; i++) {
        const struct field f = p ? next_field(&p, line + n) : (struct field){"", 0};

        if (!is_text(&f, fixed[i]))
            return err_set(e, ERR_DATA,
                           "no file of scores: its header must start with key, "
                           "gold, pred (it has '%.*s' for '%s')",
                           shown(&f), f.at, fixed[i]);
    }
    s->kind = SCORES_REGRESSION;
    if (!p)
        return 0;
    while (p) {
        const struct field f = next_field(&p, line + n);

        if (add_label(r, &f, &cap, &len_cap, e))
            return -1;
    }
    if (s->logits && s->n_labels == 1 && strcmp(s->labels[0], "value") == 0 &&
        r->kind_wanted != SCORES_MULTI)
        return 0;
    s->kind = SCORES_SINGLE;
    return index_labels(r, e);
}

/* ---- rows ---- */

/* The p: or z: columns into row n of s->p. */
static int read_values(struct reader *r, const char *p, const char *end, struct err *e)
{
    struct scores *s = r->s;
    double sum = 0, *row;

    if (s->n_labels == 0)
        return p ? err_set(e, ERR_DATA, "more than the 3 fields of the header") : 0;
    if (s->n + 1 > SIZE_MAX / sizeof(double) / (s->n_labels + 1))
        return err_oom(e, "scores", SIZE_MAX);
    if (mem_grow(&s->p, &r->p_cap, (s->n + 1) * s->n_labels, sizeof *s->p, e))
        return -1;
    row = s->p + s->n * s->n_labels;
    for (size_t i = 0; i < s->n_labels; i++) {
        struct field f;

        if (!p)
            return err_set(e, ERR_DATA, "%zu fields; the header has %zu", i + 3,
                           s->n_labels + 3);
        f = next_field(&p, end);
        if (!number(&f, &row[i]))
            return err_set(e, ERR_DATA, "'%.*s' for label '%s' is no finite number",
                           shown(&f), f.at, s->labels[i]);
        if (!s->logits && (row[i] < 0 || row[i] > 1))
            return err_set(e, ERR_DATA,
                           "probability '%.*s' of label '%s' is not within 0 and "
                           "1",
                           shown(&f), f.at, s->labels[i]);
        sum += row[i];
    }
    if (p)
        return err_set(e, ERR_DATA, "more than the %zu fields of the header",
                       s->n_labels + 3);
    if (s->kind != SCORES_REGRESSION && !s->logits && fabs(sum - 1) > SUM_SLACK)
        r->multi_seen = true;
    return 0;
}

static int read_value_row(struct reader *r, const struct field *gold,
                          const struct field *pred, struct err *e)
{
    const size_t n = r->s->n;

    if (mem_grow(&r->gold_value, &r->gold_value_cap, n + 1, sizeof *r->gold_value, e) ||
        mem_grow(&r->pred_value, &r->pred_value_cap, n + 1, sizeof *r->pred_value, e))
        return -1;
    if (gold->n > 0 && !number(gold, &r->gold_value[n]))
        return err_set(e, ERR_DATA,
                       "gold '%.*s' is no finite number (a header without p: "
                       "columns means regression)",
                       shown(gold), gold->at);
    if (!number(pred, &r->pred_value[n]))
        return err_set(e, ERR_DATA,
                       "pred '%.*s' is no finite number (a header without p: "
                       "columns means regression)",
                       shown(pred), pred->at);
    return 0;
}

static int read_label_row(struct reader *r, const struct field *gold,
                          const struct field *pred, struct err *e)
{
    const size_t n = r->s->n;

    if (mem_grow(&r->gold, &r->gold_cap, n + 1, sizeof *r->gold, e) ||
        mem_grow(&r->pred, &r->pred_cap, n + 1, sizeof *r->pred, e))
        return -1;
    if (gold->n > 0 && read_labels(r, gold, "gold", &r->gold[n], e))
        return -1;
    return read_labels(r, pred, "pred", &r->pred[n], e);
}

static int keep_key(struct reader *r, const struct field *key, struct err *e)
{
    struct scores *s = r->s;

    if (mem_grow(&s->key_end, &r->key_cap, s->n + 1, sizeof *s->key_end, e) ||
        buf_add(&r->keys, key->at, key->n, e))
        return -1;
    s->key_end[s->n++] = r->keys.len;
    return 0;
}

static int read_row(struct reader *r, const char *line, size_t n, struct err *e)
{
    const char *p = line, *const end = line + n;
    const struct field key = next_field(&p, end);
    const struct field gold = p ? next_field(&p, end) : (struct field){"", 0};
    const struct field pred = p ? next_field(&p, end) : (struct field){NULL, 0};

    r->rows++;
    if (!pred.at)
        return err_set(e, ERR_DATA, "%s", n ? "fewer than three fields" : "empty line");
    if (r->s->kind == SCORES_REGRESSION ? read_value_row(r, &gold, &pred, e)
                                        : read_label_row(r, &gold, &pred, e))
        return -1;
    if (read_values(r, p, end, e))
        return -1;
    if (gold.n > 0)
        return keep_key(r, &key, e);
    r->s->skipped++;
    return 0;
}

static int read_line(struct reader *r, const char *line, size_t n, struct err *e)
{
    int rc;

    r->line++;
    if (n > 0 && line[n - 1] == '\r')
        rc =
            err_set(e, ERR_DATA, "the line ends in CR LF; a file of scores has LF alone");
    else
        rc = r->line == 1 ? read_header(r, line, n, e) : read_row(r, line, n, e);
    return rc ? at_line(r, e) : 0;
}

/* ---- the file ---- */

/* Takes the whole lines out of `b`. */
static int take_lines(struct reader *r, struct buf *b, size_t seen, struct err *e)
{
    char *p = b->data, *const end = b->data + b->len, *newline;
    char *from = b->data + seen; /* no newline before it */

    while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
        if (read_line(r, p, (size_t)(newline - p), e))
            return -1;
        p = from = newline + 1;
    }
    b->len = (size_t)(end - p);
    memmove(b->data, p, b->len);
    if (b->len > LINE_MAX_BYTES)
        return err_set(e, ERR_DATA, "%s:%zu: the line is longer than %d bytes", r->name,
                       r->line + 1, LINE_MAX_BYTES);
    return 0;
}

static int read_all(struct reader *r, int fd, struct buf *b, struct err *e)
{
    bool any = false;

    for (;;) {
        const size_t seen = b->len;
        ssize_t got;

        if (buf_reserve(b, READ_SIZE, e))
            return -1;
        got = io_read_some(fd, b->data + b->len, READ_SIZE, r->name, e);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        any = true;
        b->len += (size_t)got;
        if (take_lines(r, b, seen, e))
            return -1;
    }
    if (!any)
        return err_set(e, ERR_NOINPUT, "%s is empty: no scores to read", r->name);
    if (b->len > 0)
        return err_set(e, ERR_DATA,
                       "%s:%zu: the last line has no line end: the file is cut", r->name,
                       r->line + 1);
    return 0;
}

/* Rows of zeros and ones from the codes of a column. */
static int spread_sets(const struct reader *r, const int32_t *codes, uint8_t **set,
                       struct err *e)
{
    const size_t width = r->s->n_labels;

    *set = mem_alloc(r->s->n, width, "label sets", e);
    if (!*set)
        return -1;
    for (size_t i = 0; i < r->s->n; i++) {
        uint8_t *row = *set + i * width;

        if (codes[i] >= 0) {
            row[codes[i]] = 1;
            continue;
        }
        for (size_t k = 0; k < r->sets[-1 - codes[i]].n; k++)
            row[r->members[r->sets[-1 - codes[i]].from + k]] = 1;
    }
    return 0;
}

static int settle_multi(struct reader *r, struct err *e)
{
    struct scores *s = r->s;

    s->kind = SCORES_MULTI;
    for (size_t i = 0; i < s->n_labels; i++)
        if (strchr(s->labels[i], ','))
            return err_set(e, ERR_DATA,
                           "%s is multi-label, but its label '%s' holds a comma", r->name,
                           s->labels[i]);
    return spread_sets(r, r->gold, &s->gold_set, e) ||
                   spread_sets(r, r->pred, &s->pred_set, e)
               ? -1
               : 0;
}

static void to_probabilities(struct scores *s)
{
    for (size_t i = 0; i < s->n; i++) {
        double *row = s->p + i * s->n_labels;

        if (s->kind == SCORES_SINGLE)
            scores_softmax(row, s->n_labels, row);
        else
            for (size_t k = 0; k < s->n_labels; k++)
                row[k] = scores_sigmoid(row[k]);
    }
}

/* The kind is known once every row was seen; then the arrays get their final form. */
static int settle(struct reader *r, struct err *e)
{
    static const char *const names[] = {"single-label", "multi-label", "regression"};
    struct scores *s = r->s;

    s->keys = r->keys.data;
    r->keys = (struct buf){0};
    if (s->kind == SCORES_REGRESSION) {
        s->gold_value = r->gold_value;
        s->pred_value = r->pred_value;
        r->gold_value = r->pred_value = NULL;
        free(s->p); /* z:value is pred once more */
        s->p = NULL;
        while (s->n_labels > 0)
            free(s->labels[--s->n_labels]);
    } else if (r->kind_wanted != SCORES_SINGLE &&
               (r->kind_wanted == SCORES_MULTI || r->multi_seen || s->n_labels == 1)) {
        if (settle_multi(r, e))
            return -1;
    } else {
        s->gold = r->gold;
        s->pred = r->pred;
        r->gold = r->pred = NULL;
    }
    if (r->kind_wanted != SCORES_ANY && r->kind_wanted != (int)s->kind)
        return err_set(e, ERR_DATA, "%s holds %s scores, not %s ones", r->name,
                       names[s->kind], names[r->kind_wanted]);
    if (s->logits && s->kind != SCORES_REGRESSION)
        to_probabilities(s);
    return 0;
}

int scores_read(const char *path, int kind, struct scores *s, struct err *e)
{
    struct reader r = {.s = s, .name = io_name(path), .kind_wanted = kind};
    struct buf b = {0};
    const int fd = io_open_in(path, e);
    int rc;

    *s = (struct scores){0};
    if (fd < 0)
        return -1;
    rc = read_all(&r, fd, &b, e);
    if (fd != STDIN_FILENO)
        close(fd);
    if (!rc)
        rc = settle(&r, e);
    buf_free(&b);
    buf_free(&r.keys);
    free(r.table);
    free(r.label_len);
    free(r.gold);
    free(r.pred);
    free(r.gold_value);
    free(r.pred_value);
    free(r.sets);
    free(r.members);
    if (rc)
        scores_free(s);
    return rc;
}

void scores_free(struct scores *s)
{
    for (size_t i = 0; i < s->n_labels; i++)
        free(s->labels[i]);
    free(s->labels);
    free(s->gold);
    free(s->pred);
    free(s->gold_set);
    free(s->pred_set);
    free(s->gold_value);
    free(s->pred_value);
    free(s->p);
    free(s->keys);
    free(s->key_end);
    *s = (struct scores){0};
}
