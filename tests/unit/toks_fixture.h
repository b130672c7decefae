/* SPDX-License-Identifier: MIT */
/*
 * toks_fixture: token streams in memory with known records, for the tests of the stream.
 */
#ifndef BERTUTILS_TOKS_FIXTURE_H
#define BERTUTILS_TOKS_FIXTURE_H

#include "io.h"
#include "mem.h"
#include "test.h"
#include "tokstream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALL_COLUMNS = TOKS_LABEL | TOKS_PAIR | TOKS_KEY | TOKS_WEIGHT };

static inline void make_header(struct toks_header *h, const char *hash, uint32_t vocab,
                               int columns)
{
    struct err e = {0};

    *h = (struct toks_header){.vocab_size = vocab, .columns = columns};
    h->tok_kind = mem_dup("wordpiece", &e);
    h->tok_name = mem_dup("b\xC3\xA9rt", &e);
    h->tok_hash = mem_dup(hash, &e);
    h->template = (struct template){
        .single = {{101, 0}, {SEGMENT_A, 0}, {102, 0}},
        .pair = {{101, 0}, {SEGMENT_A, 0}, {102, 0}, {SEGMENT_B, 1}, {102, 1}},
        .n_single = 3,
        .n_pair = 5,
        .cls = 101,
        .sep = 102,
        .pad = 0,
        .unk = 100,
        .mask = -1};
    (void)!toks_add_provenance(h, "tok", "tok --text 'a b' x.tsv", &e);
}

/* Record i of the test data: every kind of emptiness comes by, and ids use the whole
 * range. */
static inline void make_record(uint64_t i, uint32_t vocab, int columns,
                               struct toks_record *r)
{
    static uint32_t ids[64];
    static uint8_t start[64];
    static char key[40], label[40];

    *r = (struct toks_record){.number = i + 1, .weight = 1, .a = ids, .start_a = start};
    for (size_t k = 0; k < 64; k++) {
        ids[k] = (uint32_t)((i * 2654435761u + k * 40503u) % vocab);
        start[k] = (i + k) % 3 != 0;
    }
    ids[63] = vocab - 1;
    r->n_a = i % 7 == 3 ? 0 : 1 + i * 5 % 40;
    if (columns & TOKS_PAIR && i % 3 != 0) {
        r->b = ids + 40;
        r->start_b = start + 40;
        r->n_b = i % 5 == 0 ? 0 : 24;
    }
    if (columns & TOKS_LABEL && i % 11 != 5) {
        r->label_len = (size_t)sprintf(label, "%s",
                                       i % 4 == 0   ? ""
                                       : i % 4 == 1 ? "na\xC3\xAFve"
                                                    : "1");
        r->label = label;
    }
    if (columns & TOKS_KEY) {
        r->key_len = i % 13 == 12 ? 0 : (size_t)sprintf(key, "key-%d", (int)i);
        r->key = key;
    }
    if (columns & TOKS_WEIGHT)
        r->weight = (float)(i % 9) / 4;
}

static inline bool same_ids(const uint32_t *a, const uint32_t *b, size_t n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

static inline bool same_text(const char *a, size_t n, const char *b, size_t m)
{
    return (a == NULL) == (b == NULL) && n == m && (n == 0 || memcmp(a, b, n) == 0);
}

static inline bool same_record(const struct toks_record *x, const struct toks_record *y)
{
    return x->n_a == y->n_a && x->n_b == y->n_b && (x->b == NULL) == (y->b == NULL) &&
           same_ids(x->a, y->a, x->n_a) && same_ids(x->b, y->b, x->n_b) &&
           (!x->n_a || memcmp(x->start_a, y->start_a, x->n_a) == 0) &&
           (!x->n_b || memcmp(x->start_b, y->start_b, x->n_b) == 0) &&
           same_text(x->label, x->label_len, y->label, y->label_len) &&
           same_text(x->key, x->key_len, y->key, y->key_len) && x->number == y->number &&
           x->weight == y->weight;
}

static inline int memory_file(void)
{
    return memfd_create("stream", MFD_CLOEXEC);
}

/* The whole of a memory file. */
static inline struct buf whole(int fd)
{
    struct buf b = {0};
    struct err e = {0};
    const off_t n = lseek(fd, 0, SEEK_END);

    (void)!buf_reserve(&b, (size_t)n, &e);
    b.len = pread(fd, b.data, (size_t)n, 0) == n ? (size_t)n : 0;
    return b;
}

static inline int file_of(const void *data, size_t n)
{
    const int fd = memory_file();
    struct err e = {0};

    (void)!io_write_full(fd, data, n, "memory", &e);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* Records from..to-1 as a stream. */
struct plan {
    const char *hash;
    uint32_t vocab;
    int columns;
    uint64_t from, to;
    struct toks_write_options o;
};

static inline struct buf make_stream(const struct plan *p)
{
    struct err e = {0};
    struct toks_header h;
    const int fd = memory_file();
    struct toks_writer *w;
    struct toks_end end = {.unk = 3, .invalid_utf8 = 1};
    struct buf b = {0};
    int bad = 0;

    make_header(&h, p->hash ? p->hash : "0123456789abcdef0123456789abcdef", p->vocab,
                p->columns);
    w = toks_create(fd, "memory", &h, &p->o, &e);
    for (uint64_t i = p->from; w && i < p->to; i++) {
        struct toks_record r;

        make_record(i, p->vocab, p->columns, &r);
        bad |= toks_put(w, &r, &e);
    }
    if (w && !bad && toks_finish(w, &end, &e) == 0)
        b = whole(fd);
    else
        printf("# %s\n", e.text);
    toks_writer_free(w);
    toks_header_free(&h);
    close(fd);
    return b;
}

/* Reads a stream: the number of records when each is as planned and it ended well, else
 * -1. */
static inline int64_t read_fd(int fd, const struct plan *p, int threads,
                              struct toks_totals *totals, struct err *e)
{
    const struct toks_read_options o = {.threads = threads};
    struct toks_reader *r = toks_open(fd, "test.toks", &o, e);
    const struct toks_block *b;
    uint64_t n = 0, wrong = 0;
    int got = -1;

    while (r && (got = toks_next_block(r, &b, e)) > 0)
        for (size_t i = 0; i < toks_block_records(b); i++, n++) {
            struct toks_record have, want;

            toks_get(b, i, &have);
            make_record(p->from + n % (p->to - p->from), p->vocab, p->columns, &want);
            wrong += !same_record(&have, &want);
        }
    /* Records come before END does; only with a good end they count. */
    if (got == 0 && wrong)
        err_set(e, -1, "%d of %d records differ", (int)wrong, (int)n);
    if (r && got == 0 && totals)
        *totals = *toks_reader_totals(r);
    toks_reader_free(r);
    return got == 0 && !e->code ? (int64_t)n : -1;
}

static inline int64_t read_bytes(const void *data, size_t n, const struct plan *p,
                                 int threads, struct toks_totals *totals, struct err *e)
{
    const int fd = file_of(data, n);
    const int64_t got = read_fd(fd, p, threads, totals, e);

    close(fd);
    return got;
}

#endif
