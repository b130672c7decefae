/* SPDX-License-Identifier: MIT */
#include "clean_show.h"
#include "screen.h"
#include "uniprop.h"
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

enum { FLUSH = 64 << 10 };

struct show {
    const struct cleaner *cleaner;
    struct clean_scratch scratch;
    struct clean_counts *counts;
    struct buf out;
    bool colour;
    int fd;
    const char *name;
};

struct text {
    const char *at;
    size_t n;
};

static int flush(struct show *s, struct err *e)
{
    if (io_write_full(s->fd, s->out.data, s->out.len, s->name, e))
        return -1;
    buf_reset(&s->out);
    return 0;
}

/* One character, spelled where it could not be seen; edge: it stands at an end of the text. */
static int put_point(struct show *s, uint32_t c, bool edge, struct err *e)
{
    uint8_t bytes[4];

    if (c < 0x20 || c == 0x7f) /* the block of Control Pictures has them in order */
        c = c == 0x7f ? 0x2421 : 0x2400 + c;
    else if (c == ' ' && edge)
        c = 0x2420;
    else if (c != ' ' && prop_of(c) & (PROP_SPACE | PROP_HIDDEN))
        return buf_addf(&s->out, e, "\xe2\x9f\xa8U+%04X\xe2\x9f\xa9", (unsigned)c);
    return buf_add(&s->out, bytes, utf8_put(c, bytes), e);
}

/* A text's line; what stands from `from` to `to` is shown in the colour. */
static int put_line(struct show *s, const char *lead, const struct text *t, const char *colour,
                    const size_t part[2], struct err *e)
{
    const bool on = s->colour && part[0] < part[1];
    size_t used;

    if (buf_puts(&s->out, lead, e))
        return -1;
    for (size_t i = 0; i < t->n; i += used) {
        const uint32_t c = utf8_next((const uint8_t *)t->at + i, t->n - i, &used);

        if ((on && i == part[0] && buf_puts(&s->out, colour, e)) ||
            put_point(s, c, i == 0 || i + used == t->n, e) ||
            (on && i + used == part[1] && buf_puts(&s->out, "\033[0m", e)) ||
            (s->out.len > FLUSH && flush(s, e)))
            return -1;
    }
    return buf_putc(&s->out, '\n', e);
}

static bool starts_character(const struct text *t, size_t at)
{
    return at == t->n || ((uint8_t)t->at[at] & 0xc0) != 0x80;
}

/* Where two texts differ: all but what they begin and end with alike. */
static void difference(const struct text *a, const struct text *b, size_t in_a[2], size_t in_b[2])
{
    const size_t least = a->n < b->n ? a->n : b->n;
    size_t head = 0, tail = 0;

    while (head < least && a->at[head] == b->at[head])
        head++;
    while (!starts_character(a, head) || !starts_character(b, head))
        head--;
    while (tail < least - head && a->at[a->n - 1 - tail] == b->at[b->n - 1 - tail])
        tail++;
    while (!starts_character(a, a->n - tail) || !starts_character(b, b->n - tail))
        tail--;
    in_a[0] = in_b[0] = head;
    in_a[1] = a->n - tail;
    in_b[1] = b->n - tail;
}

static int show_text(struct show *s, const char *at, size_t n, struct err *e)
{
    const struct text before = {at, n};
    struct text after;
    size_t in_before[2] = {0}, in_after[2] = {0};

    if (!at)
        return 0;
    if (clean_text(s->cleaner, &s->scratch, at, n, &after.at, &after.n, e))
        return -1;
    if (after.n == n && memcmp(after.at, at, n) == 0)
        return put_line(s, "  ", &before, "", in_before, e);
    s->counts->changed++;
    s->counts->emptied += after.n == 0;
    difference(&before, &after, in_before, in_after);
    return put_line(s, "- ", &before, "\033[31m", in_before, e) ||
                   put_line(s, "+ ", &after, "\033[32m", in_after, e)
               ? -1 : 0;
}

static int show_record(struct show *s, const struct record *r, struct err *e)
{
    if (buf_addf(&s->out, e, "record %llu", (unsigned long long)r->number) ||
        (r->key && (buf_puts(&s->out, " ", e) || buf_add(&s->out, r->key, r->key_len, e))) ||
        buf_putc(&s->out, '\n', e))
        return -1;
    if (show_text(s, r->text, r->text_len, e) || show_text(s, r->pair, r->pair_len, e))
        return e->code != ERR_DATA ? -1 : err_prefix(e, "record %llu (line %llu): ",
                                                     (unsigned long long)r->number,
                                                     (unsigned long long)r->line);
    return 0;
}

int clean_show(struct records *in, const struct cleaner *c, const struct io_out *to,
               struct clean_counts *counts, struct err *e)
{
    struct show s = {.cleaner = c, .counts = counts, .colour = screen_of(to->fd).colour,
                     .fd = to->fd, .name = to->name};
    struct record_chunk chunk = {0};
    int got;

    while ((got = records_next_chunk(in, &chunk, e)) > 0) {
        for (size_t i = 0; i < chunk.n && got > 0; i++)
            if (show_record(&s, &chunk.at[i], e))
                got = -1;
        if (got < 0 || flush(&s, e)) {
            got = -1;
            break;
        }
    }
    record_chunk_free(&chunk);
    clean_scratch_free(&s.scratch);
    buf_free(&s.out);
    return got < 0 ? -1 : 0;
}
