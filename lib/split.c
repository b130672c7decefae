/* SPDX-License-Identifier: MIT */
#include "split.h"
#include "mem.h"
#include "opt.h"
#include "order.h"
#include "philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void split_free(struct split *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->part[i].name);
    free(s->part);
    *s = (struct split){0};
}

/* Adds a part; takes the name. */
static int add_part(struct split *s, char *name, double share, uint64_t count,
                    struct err *e)
{
    if (!name || mem_grow(&s->part, &s->cap, s->n + 1, sizeof *s->part, e)) {
        free(name);
        return -1;
    }
    s->part[s->n++] = (struct split_part){name, share, count};
    return 0;
}

/* "10%" or "500". */
static int parse_amount(const char *text, const char *option, double *share,
                        uint64_t *count, struct err *e)
{
    const size_t n = strlen(text);
    int64_t whole;
    char *number;
    int rc;

    *share = -1;
    *count = 0;
    if (n == 0 || text[n - 1] != '%') {
        if (opt_int(text, option, &whole, e))
            return -1;
        if (whole < 0)
            return err_set(e, ERR_USAGE, "%s: %s is less than nothing", option, text);
        *count = (uint64_t)whole;
        return 0;
    }
    number = mem_dupn(text, n - 1, e);
    if (!number)
        return -1;
    rc = opt_real(number, option, share, e);
    free(number);
    if (rc)
        return -1;
    if (*share < 0 || *share > 100)
        return err_set(e, ERR_USAGE, "%s: %s is not between 0%% and 100%%", option, text);
    *share /= 100;
    return 0;
}

static int parse_part(struct split *s, const char *text, size_t n, struct err *e)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-+";
    const char *equals = memchr(text, '=', n);
    char *name, *amount;
    double share;
    uint64_t count;
    int rc;

    if (!equals || equals == text)
        return err_set(e, ERR_USAGE, "--split: '%.*s' is not NAME=N%%", (int)n, text);
    name = mem_dupn(text, (size_t)(equals - text), e);
    amount = mem_dupn(equals + 1, n - (size_t)(equals + 1 - text), e);
    rc = name && amount ? parse_amount(amount, "--split", &share, &count, e) : -1;
    if (!rc && (*name == '.' || strspn(name, allowed) != strlen(name)))
        rc = err_set(e, ERR_USAGE, "--split: '%s' is to be part of a file name: letters, "
                     "digits and . _ - + only", name);
    for (size_t i = 0; !rc && i < s->n; i++)
        if (strcmp(s->part[i].name, name) == 0)
            rc = err_set(e, ERR_USAGE, "--split: '%s' is there twice", name);
    free(amount);
    if (rc) {
        free(name);
        return -1;
    }
    return add_part(s, name, share, count, e);
}

int split_parse(struct split *s, const char *text, struct err *e)
{
    double sum = 0;

    for (;;) {
        const size_t n = strcspn(text, ",");

        if (parse_part(s, text, n, e))
            return -1;
        if (s->part[s->n - 1].share > 0)
            sum += s->part[s->n - 1].share;
        if (text[n] == '\0')
            break;
        text += n + 1;
    }
    if (sum > 1 + 1e-9)
        return err_set(e, ERR_USAGE, "--split: the parts are %g %% together", 100 * sum);
    return 0;
}

int split_equal(struct split *s, size_t n, size_t first, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct buf b = {0};

        if (buf_addf(&b, e, "%zu", first + i) || add_part(s, b.data, 1 / (double)n, 0, e))
            return -1;
    }
    return 0;
}

int split_sample(struct split *s, const char *text, struct err *e)
{
    double share;
    uint64_t count;

    return parse_amount(text, "--sample", &share, &count, e) ||
                   add_part(s, mem_dup("sample", e), share, count, e)
               ? -1 : 0;
}

int split_sizes(struct split *s, size_t m, struct err *e)
{
    double cumulated = 0;
    uint64_t used = 0, counted = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct split_part *p = &s->part[i];

        if (p->share >= 0) {
            uint64_t upto;

            /* Rounding the sums and not the shares makes the parts fit together. */
            cumulated += p->share;
            upto = (uint64_t)floor(cumulated * (double)m + 0.5 - 1e-9);
            if (upto > m)
                upto = m;
            p->count = upto - used;
            used = upto;
        } else {
            counted += p->count;
        }
    }
    if (used > m || counted > m - used)
        return err_set(e, ERR_DATA, "%llu records are asked for, but there are only %zu",
                       (unsigned long long)(used + counted), m);
    return 0;
}

void split_runs(const struct split *s, size_t m, uint32_t *part)
{
    size_t at = 0;

    for (size_t p = 0; p < s->n; p++)
        for (uint64_t k = 0; k < s->part[p].count && at < m; k++)
            part[at++] = (uint32_t)p;
    while (at < m)
        part[at++] = SPLIT_NONE;
}

/* The random order, records of one class together (a counting sort keeps the order
 * within). */
static int sort_by_class(uint32_t *order, size_t m, const uint32_t *class, struct err *e)
{
    uint32_t n_classes = 0, *sorted;
    size_t *at;

    for (size_t i = 0; i < m; i++)
        n_classes = class[i] >= n_classes ? class[i] + 1 : n_classes;
    at = mem_alloc((size_t)n_classes + 1, sizeof *at, "classes", e);
    sorted = mem_alloc(m, sizeof *sorted, "classes", e);
    if (!at || !sorted) {
        free(at);
        free(sorted);
        return -1;
    }
    for (size_t i = 0; i < m; i++)
        at[class[i] + 1]++;
    for (uint32_t c = 0; c < n_classes; c++)
        at[c + 1] += at[c];
    for (size_t i = 0; i < m; i++)
        sorted[at[class[order[i]]]++] = order[i];
    memcpy(order, sorted, m * sizeof *order);
    free(at);
    free(sorted);
    return 0;
}

/*
 * Goes through the records class by class and gives each to the part that is furthest
 * behind its share, so that at any point, hence in each class, the parts have what is
 * theirs. SPLIT_NONE takes part as the part of those left out.
 */
static int deal_evenly(const struct split *s, size_t m, const uint32_t *order,
                       uint32_t *part, struct err *e)
{
    uint64_t left = m, *given = mem_alloc(s->n + 1, sizeof *given, "parts", e);

    if (!given)
        return -1;
    for (size_t p = 0; p < s->n; p++)
        left -= s->part[p].count;
    for (size_t i = 0; i < m; i++) {
        size_t best = s->n;
        double most = -1e300;

        for (size_t p = 0; p <= s->n; p++) {
            const uint64_t size = p < s->n ? s->part[p].count : left;
            const double behind =
                (double)size * (double)(i + 1) / (double)m - (double)given[p];

            if (given[p] < size && behind > most + 1e-9) {
                most = behind;
                best = p;
            }
        }
        given[best]++;
        part[order[i]] = best < s->n ? (uint32_t)best : SPLIT_NONE;
    }
    free(given);
    return 0;
}

int split_deal(const struct split *s, uint64_t seed, uint32_t draw, size_t m,
               const uint32_t *class, uint32_t *part, struct err *e)
{
    uint32_t *order = mem_alloc(m, sizeof *order, "order", e);
    int rc;

    if (!order)
        return -1;
    rc = order_permute(seed, draw, PHILOX_SITE_SHARD, m, order, e);
    if (!rc && class) {
        rc = sort_by_class(order, m, class, e) || deal_evenly(s, m, order, part, e) ? -1
                                                                                    : 0;
    } else if (!rc) {
        size_t at = 0;

        for (size_t p = 0; p < s->n; p++)
            for (uint64_t k = 0; k < s->part[p].count && at < m; k++)
                part[order[at++]] = (uint32_t)p;
        while (at < m)
            part[order[at++]] = SPLIT_NONE;
    }
    free(order);
    return rc;
}
