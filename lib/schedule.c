/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include "opt.h"

#include <math.h>
#include <string.h>

#define POLY_END 1e-7
#define STLR_RATIO 32.0
#define PI 3.14159265358979323846

static int find_kind(const char *name, enum schedule_kind *kind)
{
    static const char *const names[] = {"linear", "constant", "cosine",
                                        "poly",   "wsd",      "stlr"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum schedule_kind)i;
            return 0;
        }
    return -1;
}

/* "N" or "X%" of the run. */
static int read_warmup(struct schedule *s, const char *text, struct err *e)
{
    const size_t n = strlen(text);
    char number[32];
    double percent;

    if (n == 0 || text[n - 1] != '%') {
        if (opt_int(text, "warmup", &s->warmup, e))
            return -1;
        if (s->warmup < 0)
            return err_set(e, ERR_USAGE, "--warmup %s: must not be negative", text);
        return 0;
    }
    if (n > sizeof number)
        return err_set(e, ERR_USAGE, "--warmup '%s': not a percentage", text);
    memcpy(number, text, n - 1);
    number[n - 1] = '\0';
    if (opt_real(number, "warmup", &percent, e))
        return -1;
    if (!(percent >= 0 && percent <= 100))
        return err_set(e, ERR_USAGE, "--warmup %s: must be between 0%% and 100%%", text);
    s->warmup = (int64_t)ceil((double)s->total * percent / 100.0 - 1e-9);
    return 0;
}

int schedule_init(struct schedule *s, const char *name, double lr, const char *warmup,
                  int64_t total, struct err *e)
{
    memset(s, 0, sizeof *s);
    s->lr = lr;
    s->total = total;
    if (find_kind(name, &s->kind))
        return err_set(e, ERR_USAGE, "--schedule %s: must be one of " SCHEDULE_NAMES,
                       name);
    if (s->kind == SCHEDULE_POLY && lr <= POLY_END)
        return err_set(e, ERR_USAGE,
                       "--schedule poly goes down to %g: --lr must be above it",
                       POLY_END);
    return read_warmup(s, warmup, e);
}

static double at_least_1(int64_t n)
{
    return n > 1 ? (double)n : 1.0;
}

static double factor_poly(const struct schedule *s, int64_t t)
{
    double rest;

    if (t > s->total)
        return POLY_END / s->lr;
    if (s->total == s->warmup)
        return 1.0;
    rest = 1.0 - (double)(t - s->warmup) / (double)(s->total - s->warmup);
    return ((s->lr - POLY_END) * rest + POLY_END) / s->lr;
}

static double factor_wsd(const struct schedule *s, int64_t t)
{
    const int64_t decay = (s->total + 9) / 10;
    int64_t start = s->total - decay;

    if (start < s->warmup)
        start = s->warmup;
    if (t < start)
        return 1.0;
    return fmax(0.0, 1.0 - (double)(t - start) / at_least_1(decay));
}

static double factor_stlr(const struct schedule *s, int64_t t)
{
    const int64_t tenth = s->total / 10, cut = tenth > 1 ? tenth : 1;
    double p = t < cut ? (double)t / (double)cut
                       : 1.0 - (double)(t - cut) / (9.0 * (double)cut);

    if (p < 0)
        p = 0; /* the cut is rounded down, so the triangle may end before the run */
    return (1.0 + p * (STLR_RATIO - 1.0)) / STLR_RATIO;
}

double schedule_lr(const struct schedule *s, int64_t step)
{
    const int64_t t = step - 1;
    double done;

    if (s->kind == SCHEDULE_STLR)
        return s->lr * factor_stlr(s, t);
    if (t < s->warmup)
        return s->lr * ((double)t / at_least_1(s->warmup));
    done = (double)(t - s->warmup) / at_least_1(s->total - s->warmup);
    switch (s->kind) {
    case SCHEDULE_LINEAR:
        return s->lr *
               fmax(0.0, (double)(s->total - t) / at_least_1(s->total - s->warmup));
    case SCHEDULE_COSINE:
        return s->lr * fmax(0.0, 0.5 * (1.0 + cos(PI * done)));
    case SCHEDULE_POLY:
        return s->lr * factor_poly(s, t);
    case SCHEDULE_WSD:
        return s->lr * factor_wsd(s, t);
    default:
        return s->lr;
    }
}
