/* SPDX-License-Identifier: MIT */
/*
 * fuzz_input: four bytes that choose the options of record input, then any bytes as its file.
 * Texts that come out are valid UTF-8, numbers rise, a plain text has as many as
 * lines, and the size of chunks changes neither a record nor whether there is an error.
 */
#include "encoding.h"
#include "feed.h"
#include "fuzz.h"
#include "records.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHOICES = 4 };

struct outcome {
    struct buf out;
    struct err e;
    uint64_t records, skipped, invalid;
};

static void set_options(struct records_options *o, const uint8_t *c)
{
    static const char *const texts[] = {NULL, "1", "2", "text", "a", "1,2", "a,text", "3,1"};
    static const char *const others[] = {NULL, NULL, "1", "2", "label", "b", "key", "4"};

    *o = (struct records_options){.format = (enum records_format)(c[0] % 5),
                                  .header = (enum records_header)(c[0] / 5 % 3),
                                  .invalid = (enum records_invalid)(c[0] / 15 % 3),
                                  .text = texts[c[1] % 8],
                                  .label = others[c[1] / 8 % 8],
                                  .pair = others[c[2] % 8],
                                  .key = others[c[2] / 8 % 8],
                                  .weight = c[2] & 64 ? "2" : NULL,
                                  .max_line = c[3] & 1 ? 40 : 0,
                                  .join = c[3] & 2 ? "" : NULL,
                                  .member = c[3] & 4 && c[3] & 8 ? "*" : NULL,
                                  .max_member_bytes = 1 << 20};
}

static void put(struct buf *b, const char *text, size_t n)
{
    struct err e = {0};

    if (!text && buf_puts(b, "-\n", &e))
        __builtin_trap();
    if (!text)
        return;
    if (!utf8_valid((const uint8_t *)text, n) || buf_addf(b, &e, "%zu:", n) ||
        buf_add(b, text, n, &e))
        __builtin_trap();
}

static void take(struct outcome *r, const struct record_chunk *c)
{
    struct err e = {0};

    for (size_t i = 0; i < c->n; i++) {
        const struct record *rec = &c->at[i];

        if (rec->number <= r->records || rec->line == 0)
            __builtin_trap();
        r->records++;
        if (buf_addf(&r->out, &e, "%llu %llu %a ", (unsigned long long)rec->number,
                     (unsigned long long)rec->line, (double)rec->weight))
            __builtin_trap();
        put(&r->out, rec->text, rec->text_len);
        put(&r->out, rec->pair, rec->pair_len);
        put(&r->out, rec->label, rec->label_len);
        put(&r->out, rec->key, rec->key_len);
    }
    r->invalid += c->invalid_utf8;
}

static struct outcome read_all(char *path, const struct records_options *o)
{
    struct outcome r = {0};
    struct record_chunk c = {0};
    struct records *in = records_open(&path, 1, o, NULL, &r.e);
    int got = in ? 1 : -1;

    while (in && (got = records_next_chunk(in, &c, &r.e)) > 0)
        take(&r, &c);
    if ((got < 0) != (r.e.code != 0) || (got < 0 && !r.e.text[0]))
        __builtin_trap();
    if (in)
        r.skipped = records_skipped(in);
    record_chunk_free(&c);
    records_free(in);
    return r;
}

/* Lines of a plain text; what is packed or not text as it stands is none of them. */
static void check_lines(const struct outcome *r, const uint8_t *data, size_t n)
{
    const char *why;
    uint64_t lines = 0;

    if (feed_kind_of((const char *)data, n) != FEED_PLAIN ||
        encoding_of((const char *)data, n, &why) != ENCODING_BYTES)
        return;
    if (n >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        n -= 3;
    }
    for (size_t i = 0; i < n; i++)
        lines += data[i] == '\n';
    lines += n > 0 && data[n - 1] != '\n';
    if (r->records + r->skipped != lines)
        __builtin_trap();
}

/* What has two faults is refused for either, and what comes before one depends on the chunks. */
static void same(size_t chunk, const struct outcome *a, const struct outcome *b)
{
    const bool texts = a->out.len == b->out.len && a->invalid == b->invalid &&
                       a->skipped == b->skipped &&
                       (a->out.len == 0 || memcmp(a->out.data, b->out.data, a->out.len) == 0);

    if (!a->e.code == !b->e.code && (a->e.code || texts))
        return;
    fprintf(stderr, "chunks of %zu: %d %s, not %d %s\n%s", chunk, b->e.code, b->e.text,
            a->e.code, a->e.text, texts ? "" : "other records\n");
    __builtin_trap();
}

/* A file of its own for the data, always the same one. */
static char *file_of(const uint8_t *data, size_t n)
{
    static char path[40];
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
        __builtin_trap();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

int fuzz_input(const uint8_t *data, size_t n)
{
    static const size_t sizes[] = {1, 7, 61, 997};
    struct records_options o;
    struct outcome whole;
    char *path;

    if (n < CHOICES)
        return 0;
    set_options(&o, data);
    path = file_of(data + CHOICES, n - CHOICES);
    whole = read_all(path, &o);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct outcome part;

        o.chunk_bytes = sizes[i];
        part = read_all(path, &o);
        same(sizes[i], &whole, &part);
        buf_free(&part.out);
    }
    if (!whole.e.code && o.format == RECORDS_TEXT)
        check_lines(&whole, data + CHOICES, n - CHOICES);
    buf_free(&whole.out);
    return 0;
}

FUZZ_ENTRY(fuzz_input)
