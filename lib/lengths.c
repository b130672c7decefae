/* SPDX-License-Identifier: MIT */
#include "lengths.h"

#include <stdbool.h>
#include <stdio.h>

enum { OCTAVE = 64, OCTAVE_BITS = 6, EXACT_BITS = 12, ROWS = 16 };

const uint32_t length_limits[LENGTH_LIMITS] = {32, 64, 128, 256, 384, 512};

static size_t bin_of(uint64_t length)
{
    unsigned high;
    size_t bin;

    if (length < LENGTH_EXACT)
        return (size_t)length;
    high = 63u - (unsigned)__builtin_clzll(length);
    bin = LENGTH_EXACT + (size_t)(high - EXACT_BITS) * OCTAVE +
          (size_t)(length >> (high - OCTAVE_BITS) & (OCTAVE - 1));
    return bin < LENGTH_BINS ? bin : LENGTH_BINS - 1;
}

uint64_t lengths_from(size_t bin)
{
    const size_t above = bin - LENGTH_EXACT;

    if (bin < LENGTH_EXACT)
        return bin;
    return (uint64_t)(OCTAVE + above % OCTAVE) << (above / OCTAVE + EXACT_BITS - OCTAVE_BITS);
}

uint64_t lengths_to(size_t bin)
{
    return bin < LENGTH_BINS - 1 ? lengths_from(bin + 1) - 1 : UINT64_MAX;
}

void lengths_add(struct lengths *l, uint64_t tokens, uint64_t specials)
{
    const uint64_t length = tokens + specials;

    l->n++;
    l->sum += length;
    l->tokens += tokens;
    if (length > l->longest)
        l->longest = length;
    l->bin[bin_of(length)]++;
}

uint64_t lengths_quantile(const struct lengths *l, double share)
{
    uint64_t seen = 0;

    for (size_t i = 0; i < LENGTH_BINS; i++) {
        seen += l->bin[i];
        if (seen > 0 && (double)seen >= share * (double)l->n)
            return lengths_to(i) < l->longest ? lengths_to(i) : l->longest;
    }
    return l->longest;
}

double lengths_mean(const struct lengths *l)
{
    return l->n ? (double)l->sum / (double)l->n : 0;
}

struct lengths_cut lengths_cut(const struct lengths *l, uint64_t limit)
{
    uint64_t whole = 0, inputs = 0;

    for (size_t i = 0; i <= limit && i < LENGTH_EXACT; i++) {
        inputs += l->bin[i];
        whole += i * l->bin[i];
    }
    return (struct lengths_cut){l->n - inputs, l->sum - whole - (l->n - inputs) * limit};
}

uint32_t lengths_advice(const struct lengths *l, uint64_t *all)
{
    *all = (l->longest + 7) / 8 * 8;
    for (int i = 0; i < LENGTH_LIMITS; i++)
        if (lengths_cut(l, length_limits[i]).tokens <= l->tokens / 100)
            return length_limits[i];
    return length_limits[LENGTH_LIMITS - 1];
}

double lengths_percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static int print_advice(const struct lengths *l, struct buf *out, struct err *e)
{
    uint64_t all;
    const uint32_t limit = lengths_advice(l, &all);
    const struct lengths_cut cut = lengths_cut(l, limit);

    if (cut.inputs == 0)
        return buf_addf(out, e, "advice      --max-len %u cuts nothing\n", limit);
    if (buf_addf(out, e, "advice      --max-len %u%s loses %.2g %% of the tokens, in %.2g %% of "
                 "the records", limit,
                 limit == length_limits[LENGTH_LIMITS - 1] ? ", the most that most models take,"
                                                           : "",
                 lengths_percent(cut.tokens, l->tokens), lengths_percent(cut.inputs, l->n)))
        return -1;
    return all <= length_limits[LENGTH_LIMITS - 1]
               ? buf_addf(out, e, "; %llu cuts nothing\n", (unsigned long long)all)
               : buf_addf(out, e, "; the longest has %llu\n", (unsigned long long)l->longest);
}

int lengths_print(const struct lengths *l, struct buf *out, struct err *e)
{
    if (buf_addf(out, e,
                 "length      mean %.1f, median %llu, 90 %% %llu, 95 %% %llu, 99 %% %llu, "
                 "longest %llu (special tokens included)\n"
                 "limit       records cut          tokens cut\n", lengths_mean(l),
                 (unsigned long long)lengths_quantile(l, 0.5),
                 (unsigned long long)lengths_quantile(l, 0.9),
                 (unsigned long long)lengths_quantile(l, 0.95),
                 (unsigned long long)lengths_quantile(l, 0.99), (unsigned long long)l->longest))
        return -1;
    for (int i = 0; i < LENGTH_LIMITS; i++) {
        const struct lengths_cut cut = lengths_cut(l, length_limits[i]);

        if (buf_addf(out, e, "  %4u  %10llu %6.2f %%  %10llu %6.2f %%\n", length_limits[i],
                     (unsigned long long)cut.inputs, lengths_percent(cut.inputs, l->n),
                     (unsigned long long)cut.tokens, lengths_percent(cut.tokens, l->tokens)))
            return -1;
    }
    return l->n ? print_advice(l, out, e) : 0;
}

/* Inputs of `from` to `to` tokens; both are ends of bins. */
static uint64_t between(const struct lengths *l, uint64_t from, uint64_t to)
{
    uint64_t sum = 0;

    for (size_t i = bin_of(from); i < LENGTH_BINS && lengths_from(i) <= to; i++)
        sum += l->bin[i];
    return sum;
}

/* The ranges of the bars: from `first` on, ROWS of a width, then one of all that is longer. */
struct ranges {
    uint64_t first, width;
    int n;
    bool more;
};

static struct ranges choose(const struct lengths *l)
{
    /* A few very long inputs must not press all others into one bar. */
    const uint64_t low = lengths_quantile(l, 0), high = lengths_quantile(l, 0.995);
    struct ranges r = {.width = 1};

    while (high / r.width - low / r.width >= ROWS)
        r.width *= 2;
    r.first = low / r.width * r.width;
    r.n = (int)((high - r.first) / r.width) + 1;
    r.more = l->longest >= r.first + (uint64_t)r.n * r.width;
    return r;
}

static int bar(const struct lengths *l, const char *range, uint64_t n, uint64_t most,
               const struct screen *screen, struct buf *out, struct err *e)
{
    const int width = screen->width > 51 ? screen->width - 37 : 14;

    return buf_addf(out, e, "  %13s  %10llu %5.1f %%  ", range, (unsigned long long)n,
                    lengths_percent(n, l->n)) ||
                   screen_bar(screen, most ? (double)n / (double)most : 0, width, out, e) ||
                   buf_putc(out, '\n', e)
               ? -1
               : 0;
}

int lengths_bars(const struct lengths *l, const struct screen *screen, struct buf *out,
                 struct err *e)
{
    const struct ranges r = choose(l);
    uint64_t most = 0;
    char range[48];

    if (l->n == 0)
        return 0;
    for (int i = 0; i <= r.n; i++) {
        const uint64_t from = r.first + (uint64_t)i * r.width;
        const uint64_t n = between(l, from, i < r.n ? from + r.width - 1 : UINT64_MAX);

        most = n > most ? n : most;
    }
    if (buf_puts(out, "tokens             records\n", e))
        return -1;
    for (int i = 0; i < r.n + r.more; i++) {
        const uint64_t from = r.first + (uint64_t)i * r.width;
        const uint64_t to = i < r.n ? from + r.width - 1 : l->longest;
        const int len = snprintf(range, sizeof range, "%llu", (unsigned long long)from);

        if (to > from)
            snprintf(range + len, sizeof range - (size_t)len, "-%llu", (unsigned long long)to);
        if (bar(l, range, between(l, from, to), most, screen, out, e))
            return -1;
    }
    return 0;
}
