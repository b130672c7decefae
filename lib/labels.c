/* SPDX-License-Identifier: MIT */
#include "labels.h"

#include "mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Labels of which nearly every record has its own are numbers or texts, not classes. */
enum { MANY_CLASSES = 1000 };

bool labels_has(enum labels_kind kind, const struct toks_record *r)
{
    return r->label && (r->label_len > 0 || kind == LABELS_MULTI);
}

/* -1 and a message that names the record. */
static int bad(const struct dataset *d, const struct toks_record *r, const char *what,
               const char *label, size_t len, struct err *e)
{
    char room[24];
    size_t key_len;
    const char *key = dataset_key(r, room, &key_len);

    return err_set(e, ERR_DATA, "%s: record %llu (key '%.*s'): %s '%.*s'", d->name,
                   (unsigned long long)r->number, (int)(key_len < 100 ? key_len : 100),
                   key, what, (int)(len < 200 ? len : 200), label);
}

/*
 * The next of the names joined by commas in [*at, end); false when there are none left.
 */
static bool next_name(const char **at, const char *end, const char **name, size_t *len)
{
    const char *comma;

    if (*at > end)
        return false;
    *name = *at;
    comma = memchr(*at, ',', (size_t)(end - *at));
    *len = (size_t)((comma ? comma : end) - *at);
    *at += *len + 1;
    return true;
}

static int read_number(const struct dataset *d, const struct toks_record *r, float *value,
                       struct err *e)
{
    char text[64], *end;
    double x;

    if (r->label_len >= sizeof text)
        return bad(d, r, "not a number:", r->label, r->label_len, e);
    memcpy(text, r->label, r->label_len);
    text[r->label_len] = '\0';
    x = strtod(text, &end);
    /* Decimal alone, as in a file of scores: strtod would also take blanks, NUL and hex. */
    if (strspn(text, "0123456789+-.eE") != r->label_len || end == text || *end || !isfinite(x) || !isfinite((float)x))
        return bad(d, r, "not a number:", r->label, r->label_len, e);
    *value = (float)x;
    return 0;
}

/* ---- collecting ---- */

static int collect(struct labels *l, const struct dataset *d, const struct toks_record *r,
                   struct err *e)
{
    const char *at = r->label, *end = r->label + r->label_len, *name;
    size_t len;
    float value;

    if (l->kind == LABELS_REGRESSION)
        return read_number(d, r, &value, e);
    if (l->kind == LABELS_SINGLE)
        return intern_add(&l->index, r->label, r->label_len, e) < 0 ? -1 : 0;
    if (r->label_len == 0)
        return 0;
    while (next_name(&at, end, &name, &len)) {
        if (len == 0)
            return bad(d, r, "an empty name among the labels", r->label, r->label_len, e);
        if (intern_add(&l->index, name, len, e) < 0)
            return -1;
    }
    return 0;
}

static bool is_integer(const char *s)
{
    if (*s == '-' || *s == '+')
        s++;
    if (!*s)
        return false;
    return s[strspn(s, "0123456789")] == '\0';
}

/* Integers of any length: by sign, then by the number of digits, then digit by digit. */
static int compare_integers(const char *a, const char *b)
{
    const bool minus_a = *a == '-', minus_b = *b == '-';
    size_t n_a, n_b;
    int order;

    a += strspn(a, "+-");
    b += strspn(b, "+-");
    a += strspn(a, "0");
    b += strspn(b, "0");
    n_a = strlen(a);
    n_b = strlen(b);
    if (minus_a != minus_b && (n_a || n_b))
        return minus_a ? -1 : 1;
    order = n_a != n_b ? (n_a < n_b ? -1 : 1) : strcmp(a, b);
    return minus_a ? -order : order;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_number(const void *a, const void *b)
{
    const int order = compare_integers(*(char *const *)a, *(char *const *)b);

    return order ? order : by_bytes(a, b);
}

/* class_of, from the order that the names have now. */
static void number_classes(struct labels *l)
{
    for (int i = 0; i < l->n; i++)
        l->class_of[intern_find(&l->index, l->name[i], strlen(l->name[i]))] = i;
}

static int order_names(struct labels *l, struct err *e)
{
    bool integers = true;

    l->name = mem_alloc(l->index.n, sizeof *l->name, "the labels", e);
    l->class_of = mem_alloc(l->index.n, sizeof *l->class_of, "the labels", e);
    if (!l->name || !l->class_of)
        return -1;
    for (size_t i = 0; i < l->index.n; i++) {
        size_t len;
        const char *s = intern_get(&l->index, i, &len);

        l->name[i] = mem_dupn(s, len, e);
        if (!l->name[i])
            return -1;
        l->n++;
        integers = integers && is_integer(l->name[i]);
    }
    qsort(l->name, (size_t)l->n, sizeof *l->name, integers ? by_number : by_bytes);
    number_classes(l);
    return 0;
}

static int check_classes(const struct labels *l, const struct dataset *d, struct err *e)
{
    if (l->labelled == 0)
        return err_set(e, ERR_DATA, "%s: none of the %zu records has a label; "
                       "name its column: tok --label COL", d->name, d->n);
    if (l->kind == LABELS_SINGLE && l->index.n < 2)
        return err_set(e, ERR_DATA, "%s: every record has the same label; "
                       "there must be two classes at least", d->name);
    if (l->kind == LABELS_MULTI && l->index.n < 1)
        return err_set(e, ERR_DATA, "%s: every record's label is empty", d->name);
    if (l->index.n > INT32_MAX ||
        (l->index.n > MANY_CLASSES && l->index.n > l->labelled / 2))
        return err_set(e, ERR_DATA,
                       "%s: %zu different labels in %zu records are no classes; "
                       "numbers need --problem regression",
                       d->name, l->index.n, l->labelled);
    return 0;
}

int labels_learn(struct labels *l, enum labels_kind kind, const struct dataset *d,
                 struct err *e)
{
    struct toks_record r;

    memset(l, 0, sizeof *l);
    l->kind = kind;
    for (size_t i = 0; i < d->n; i++) {
        dataset_get(d, i, &r);
        if (!labels_has(kind, &r)) {
            l->unlabelled++;
            continue;
        }
        l->labelled++;
        if (collect(l, d, &r, e))
            return -1;
    }
    if (kind == LABELS_REGRESSION && intern_add(&l->index, "LABEL_0", 7, e) < 0)
        return -1;
    return check_classes(l, d, e) ? -1 : order_names(l, e);
}

bool labels_adopt_order(struct labels *l, char *const *names, int n)
{
    bool seen_all = n == l->n;

    for (int i = 0; seen_all && i < n; i++) {
        const int64_t at = intern_find(&l->index, names[i], strlen(names[i]));

        seen_all = at >= 0;
        for (int j = 0; seen_all && j < i; j++)
            seen_all = strcmp(names[i], names[j]) != 0;
    }
    if (!seen_all)
        return false;
    for (int i = 0; i < n; i++) {
        /* Same names, so each is somewhere behind: swap it to its place. */
        int j = i;

        while (strcmp(l->name[j], names[i]) != 0)
            j++;
        char *const moved = l->name[j];

        l->name[j] = l->name[i];
        l->name[i] = moved;
    }
    number_classes(l);
    return true;
}

void labels_free(struct labels *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->name[i]);
    free(l->name);
    free(l->class_of);
    intern_free(&l->index);
    memset(l, 0, sizeof *l);
}

/* ---- reading ---- */

static int find_class(const struct labels *l, const struct dataset *d,
                      const struct toks_record *r, const char *name, size_t len,
                      struct err *e)
{
    const int64_t at = intern_find(&l->index, name, len);

    if (at < 0)
        return bad(d, r, "a label that the training data does not have:", name, len, e);
    return l->class_of[at];
}

int labels_read(const struct labels *l, const struct dataset *d,
                const struct toks_record *r, int32_t *class, float *target, struct err *e)
{
    const char *at = r->label, *end = r->label + r->label_len, *name;
    size_t len;

    if (l->kind == LABELS_REGRESSION)
        return read_number(d, r, target, e);
    if (l->kind == LABELS_SINGLE) {
        *class = find_class(l, d, r, r->label, r->label_len, e);
        return *class < 0 ? -1 : 0;
    }
    memset(target, 0, (size_t)l->n * sizeof *target);
    if (r->label_len == 0)
        return 0;
    while (next_name(&at, end, &name, &len)) {
        const int k = find_class(l, d, r, name, len, e);

        if (k < 0)
            return -1;
        target[k] = 1;
    }
    return 0;
}
