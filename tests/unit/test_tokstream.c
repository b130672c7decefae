/* SPDX-License-Identifier: MIT */
/*
 * The token stream: what goes in comes out, whatever the threads, the blocks, the files
 * and the sizes of reads.  test_tokdamage.c has what happens to damaged streams.
 */
#include "tokchain.h"
#include "toks_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

static void round_trip_all_columns(void)
{
    for (int columns = 0; columns < 16; columns++)
        for (int k = 0; k < 4; k++) {
            const struct plan p = {.vocab = k & 1 ? 65537 : 30522,
                                   .columns = columns,
                                   .to = 200,
                                   .o = {.plain = k & 2, .block_records = 64}};
            struct buf b = make_stream(&p);
            struct err e = {0};
            struct toks_totals t;

            CHECK(b.len > 0);
            CHECK_MSG(read_bytes(b.data, b.len, &p, 1, &t, &e) == 200, "%s", e.text);
            CHECK(t.records == 200 && t.blocks == 4 && t.segments == 1);
            CHECK(t.unk == 3 && t.invalid_utf8 == 1 && strlen(t.content) == 32);
            buf_free(&b);
        }
}

static void empty_stream(void)
{
    const struct plan p = {.vocab = 1000, .columns = ALL_COLUMNS};
    struct buf b = make_stream(&p);
    struct err e = {0};
    struct toks_totals t;

    CHECK(b.len > 0);
    CHECK_MSG(read_bytes(b.data, b.len, &p, 1, &t, &e) == 0, "%s", e.text);
    CHECK(t.records == 0 && t.blocks == 0);
    buf_free(&b);
    CHECK(read_bytes("", 0, &p, 1, NULL, &e) == -1 && e.code == ERR_NOINPUT);
}

/* The largest ids of each width, and a vocabulary at the border between them. */
static void id_widths(void)
{
    static const uint32_t vocab[] = {1, 2, 65535, 65536, 65537, 250002, INT32_MAX};

    for (size_t i = 0; i < sizeof vocab / sizeof *vocab; i++) {
        struct plan p = {.vocab = vocab[i] > 103 ? vocab[i] : 103, .to = 20};
        struct buf b = make_stream(&p);
        struct err e = {0};

        CHECK_MSG(read_bytes(b.data, b.len, &p, 1, NULL, &e) == 20, "%s", e.text);
        buf_free(&b);
    }
}

static void threads_give_the_same_bytes(void)
{
    static const int threads[] = {1, 2, 3, 8};
    struct plan p = {.vocab = 30522, .columns = ALL_COLUMNS, .to = 40000};
    struct buf first = make_stream(&p);

    CHECK(first.len > 0);
    for (int i = 0; i < 4; i++) {
        struct err e = {0};
        struct toks_totals t;
        struct buf b;

        p.o.threads = threads[i];
        b = make_stream(&p);
        CHECK(b.len == first.len && memcmp(b.data, first.data, b.len) == 0);
        CHECK_MSG(read_bytes(b.data, b.len, &p, threads[i], &t, &e) == 40000, "%s",
                  e.text);
        CHECK(t.blocks > 3);
        buf_free(&b);
    }
    buf_free(&first);
}

/* `content` is that of the records: blocks, levels, segments and columns without use are
 * not. */
static void content_is_of_the_data(void)
{
    const struct plan plans[] = {
        {.vocab = 30522, .columns = ALL_COLUMNS, .to = 300},
        {.vocab = 30522, .columns = ALL_COLUMNS, .to = 300, .o = {.block_records = 7}},
        {.vocab = 30522, .columns = ALL_COLUMNS, .to = 300, .o = {.plain = true}},
        {.vocab = 30522, .columns = ALL_COLUMNS, .to = 300, .o = {.level = 9}},
    };
    char content[33] = "";

    for (int i = 0; i < 4; i++) {
        struct buf b = make_stream(&plans[i]);
        struct err e = {0};
        struct toks_totals t;

        CHECK(read_bytes(b.data, b.len, &plans[i], 2, &t, &e) == 300);
        CHECK(i == 0 || strcmp(content, t.content) == 0);
        strcpy(content, t.content);
        buf_free(&b);
    }
    for (uint64_t cut = 0; cut <= 300; cut += 50) {
        struct plan p = plans[0], q = plans[0];
        struct buf a, b;
        struct err e = {0};
        struct toks_totals t;

        p.to = q.from = cut;
        a = make_stream(&p);
        b = make_stream(&q);
        CHECK(buf_add(&a, b.data, b.len, &e) == 0);
        CHECK_MSG(read_bytes(a.data, a.len, &plans[0], 1, &t, &e) == 300, "%s", e.text);
        CHECK(t.segments == 2 && strcmp(content, t.content) == 0);
        buf_free(&a);
        buf_free(&b);
    }
}

static void other_data_has_other_content(void)
{
    struct plan p = {.vocab = 30522, .columns = TOKS_LABEL, .to = 50};
    const struct plan q = {.vocab = 30522, .columns = TOKS_PAIR, .to = 50};
    struct buf a = make_stream(&p), b = make_stream(&q), c;
    struct err e = {0};
    struct toks_totals x, y, z;

    p.to = 49;
    c = make_stream(&p);
    CHECK(read_bytes(a.data, a.len, &(struct plan){.vocab = 30522, .columns = TOKS_LABEL,
                                                   .to = 50}, 1, &x, &e) == 50);
    CHECK(read_bytes(b.data, b.len, &q, 1, &y, &e) == 50);
    CHECK(read_bytes(c.data, c.len, &p, 1, &z, &e) == 49);
    CHECK(strcmp(x.content, y.content) && strcmp(x.content, z.content));
    buf_free(&a);
    buf_free(&b);
    buf_free(&c);
}

/* ---- pipes ---- */

struct feeder {
    int fd;
    struct buf bytes;
    size_t step;
};

static void *feed_fd(void *arg)
{
    struct feeder *f = arg;

    for (size_t i = 0; i < f->bytes.len; i += f->step) {
        const size_t left = f->bytes.len - i, n = left < f->step ? left : f->step;

        if (write(f->fd, f->bytes.data + i, n) != (ssize_t)n)
            break;
    }
    close(f->fd);
    return NULL;
}

/* A socket of packets gives one read what one write sent: reads of 1, 2, 3 and 1000
 * bytes. */
static void reads_of_any_size(void)
{
    static const size_t steps[] = {1, 2, 3, 1000};

    for (int plain = 0; plain < 2; plain++)
        for (int i = 0; i < 8; i++) {
            const struct plan p = {.vocab = 30522, .columns = ALL_COLUMNS, .to = 60,
                                   .o = {.plain = plain, .block_records = 16}};
            struct feeder f = {.bytes = make_stream(&p), .step = steps[i % 4]};
            struct err e = {0};
            pthread_t t;
            int ends[2];

            CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
            f.fd = ends[1];
            CHECK(pthread_create(&t, NULL, feed_fd, &f) == 0);
            CHECK_MSG(read_fd(ends[0], &p, i / 4 + 1, NULL, &e) == 60, "%s", e.text);
            pthread_join(t, NULL);
            close(ends[0]);
            buf_free(&f.bytes);
        }
}

/* What was flushed can be read before the writer goes on; and a reader can be given up
 * then. */
static void a_pipe_is_read_as_it_fills(void)
{
    for (int threads = 1; threads <= 3; threads++) {
        const struct plan p = {.vocab = 30522, .columns = 0, .to = 10};
        const struct toks_read_options ro = {.threads = threads};
        const struct toks_write_options wo = {.threads = threads};
        struct err e = {0};
        struct toks_header h;
        struct toks_writer *w;
        struct toks_reader *r;
        const struct toks_block *b;
        int ends[2];

        CHECK(pipe(ends) == 0);
        make_header(&h, "0123456789abcdef0123456789abcdef", p.vocab, 0);
        w = toks_create(ends[1], "pipe", &h, &wo, &e);
        r = toks_open(ends[0], "pipe", &ro, &e);
        CHECK_MSG(w && r, "%s", e.text);
        for (uint64_t i = 0; i < 10; i++) {
            struct toks_record rec;

            make_record(i, p.vocab, 0, &rec);
            CHECK(toks_put(w, &rec, &e) == 0 && toks_flush(w, &e) == 0);
            CHECK(toks_next_block(r, &b, &e) == 1 && toks_block_records(b) == 1);
        }
        toks_reader_free(r); /* does not wait for more input */
        toks_writer_free(w);
        toks_header_free(&h);
        close(ends[0]);
        close(ends[1]);
    }
}

static void kept_blocks_stay(void)
{
    const struct plan p = {.vocab = 30522, .columns = ALL_COLUMNS, .to = 500,
                           .o = {.block_records = 100}};
    struct buf bytes = make_stream(&p);
    const int fd = file_of(bytes.data, bytes.len);
    const struct toks_read_options o = {.threads = 3};
    struct err e = {0};
    struct toks_reader *r = toks_open(fd, "kept", &o, &e);
    struct toks_block *kept[5];
    const struct toks_block *b;
    int n = 0;

    CHECK(r);
    while (toks_next_block(r, &b, &e) > 0) {
        CHECK(n < 5);
        kept[n++] = toks_block_keep(r);
    }
    CHECK(n == 5 && !e.code);
    toks_reader_free(r);
    for (int i = 0; i < 5; i++) {
        CHECK(toks_block_bytes(kept[i]) > 1000);
        for (size_t k = 0; k < 100; k++) {
            struct toks_record have, want;

            toks_get(kept[i], k, &have);
            make_record((uint64_t)i * 100 + k, p.vocab, p.columns, &want);
            CHECK(same_record(&have, &want));
        }
        toks_block_free(kept[i]);
    }
    close(fd);
    buf_free(&bytes);
}

/* ---- files and headers ---- */

static void several_files(void)
{
    struct plan p = {.vocab = 30522, .columns = TOKS_LABEL, .to = 30};
    struct plan q = {
        .vocab = 30522, .columns = TOKS_WEIGHT | TOKS_LABEL, .from = 30, .to = 60};
    struct buf a = make_stream(&p), b = make_stream(&q);
    char dir[] = "/tmp/toks.XXXXXX", one[64], two[64], *paths[] = {one, two, one};
    struct err e = {0};
    struct toks_reader *r;
    const struct toks_block *block;
    const struct toks_totals *t;

    CHECK(mkdtemp(dir));
    sprintf(one, "%s/one", dir);
    sprintf(two, "%s/two", dir);
    CHECK(io_put_file(one, a.data, a.len, &e) == 0 &&
          io_put_file(two, b.data, b.len, &e) == 0);
    r = toks_open_files(paths, 3, NULL, &e);
    CHECK_MSG(r, "%s", e.text);
    CHECK(toks_reader_header(r)->columns == (TOKS_LABEL | TOKS_WEIGHT));
    while (toks_next_block(r, &block, &e) > 0)
        ;
    t = toks_reader_totals(r);
    CHECK_MSG(!e.code && t->records == 90 && t->segments == 3, "%s", e.text);
    toks_reader_free(r);
    paths[1] = dir;
    CHECK(!toks_open_files(paths, 3, NULL, &e) && e.code == ERR_NOINPUT);
    err_clear(&e);
    CHECK(io_put_file(two, "", 0, &e) == 0);
    paths[1] = two;
    CHECK(!toks_open_files(paths, 2, NULL, &e) && e.code == ERR_NOINPUT);
    err_clear(&e);
    CHECK(io_remove_tree(dir, &e) == 0);
    buf_free(&a);
    buf_free(&b);
}

static void expected_records(void)
{
    const struct plan p = {.vocab = 30522, .to = 30};
    struct buf a = make_stream(&p);

    for (uint64_t n = 29; n < 32; n++) {
        const struct toks_read_options o = {.expect_records = n};
        const int fd = file_of(a.data, a.len);
        struct err e = {0};
        struct toks_reader *r = toks_open(fd, "x", &o, &e);
        const struct toks_block *b;

        CHECK(r && toks_next_block(r, &b, &e) == 1);
        CHECK(toks_next_block(r, &b, &e) == (n == 30 ? 0 : -1));
        CHECK(e.code == (n == 30 ? 0 : ERR_DATA));
        toks_reader_free(r);
        close(fd);
    }
    buf_free(&a);
}

static void header_comes_back(void)
{
    struct toks_header h, copy;
    const struct toks_header *got;
    struct err e = {0};
    const int fd = memory_file();
    struct toks_writer *w;
    struct toks_reader *r;

    make_header(&h, "0123456789abcdef0123456789abcdef", 30522, ALL_COLUMNS);
    h.tok_path = mem_dup("/models/b\xFF", &e); /* no UTF-8: repaired, not refused */
    h.publishes = mem_dup("/tmp/itpt", &e);
    CHECK(toks_add_provenance(&h, "shard", "shard --shuffle", &e) == 0);
    w = toks_create(fd, "x", &h, NULL, &e);
    CHECK(w && toks_finish(w, NULL, &e) == 0);
    toks_writer_free(w);
    lseek(fd, 0, SEEK_SET);
    r = toks_open(fd, "x", NULL, &e);
    CHECK_MSG(r, "%s", e.text);
    CHECK(toks_header_copy(&copy, toks_reader_header(r), &e) == 0);
    toks_reader_free(r);
    got = &copy;
    CHECK(strcmp(got->tok_path, "/models/b\xEF\xBF\xBD") == 0);
    CHECK(strcmp(got->tok_name, "b\xC3\xA9rt") == 0 &&
          strcmp(got->publishes, h.publishes) == 0);
    CHECK(got->vocab_size == 30522 && got->columns == ALL_COLUMNS);
    CHECK(memcmp(&got->template, &h.template, sizeof h.template) == 0);
    CHECK(strcmp(got->provenance, h.provenance) == 0);
    CHECK(strstr(got->provenance, "\"pp\":\"tok\""));
    toks_header_free(&copy);
    toks_header_free(&h);
    close(fd);
}

static void chains_join(void)
{
    struct toks_header a, b;
    struct err e = {0};
    struct buf line = {0};

    make_header(&a, "h", 200, 0);
    make_header(&b, "h", 200, 0);
    CHECK(toks_add_provenance(&a, "shard", "shard -n 2 --part 0", &e) == 0);
    CHECK(toks_add_provenance(&b, "shard", "shard -n 2 --part 1", &e) == 0);
    CHECK(tokchain_join(&a.provenance, b.provenance, &e) == 0);
    CHECK(tokchain_join(&a.provenance, b.provenance, &e) == 0);
    CHECK(toks_add_provenance(&a, "shard", "shard", &e) == 0);
    CHECK(tokchain_line(a.provenance, &line, &e) == 0);
    CHECK_MSG(strcmp(line.data, "shard <(tok --text 'a b' x.tsv | shard -n 2 --part 0) "
                                "<(tok --text 'a b' x.tsv | shard -n 2 --part 1)") == 0,
              "%s", line.data);
    buf_free(&line);
    toks_header_free(&a);
    toks_header_free(&b);
}

/* ---- refusals of the writer ---- */

static int put_one(int columns, const struct toks_record *r, struct err *e)
{
    const int fd = memory_file();
    struct toks_header h;
    struct toks_writer *w;
    int rc;

    make_header(&h, "h", 200, columns);
    w = toks_create(fd, "x", &h, NULL, e);
    rc = w ? toks_put(w, r, e) : -1;
    toks_writer_free(w);
    toks_header_free(&h);
    close(fd);
    return rc ? e->code : 0;
}

static void what_cannot_be_stored_is_refused(void)
{
    static const uint32_t ids[] = {199, 200};
    static const uint8_t start[] = {1, 1};
    const struct toks_record r = {.a = ids, .start_a = start, .n_a = 1, .number = 7,
                                  .weight = 1};
    struct toks_record bad;
    struct err e[8] = {{0}};
    const size_t many = (size_t)9 << 20;
    uint32_t *long_ids = calloc(many, sizeof *long_ids);
    uint8_t *long_start = calloc(many, 1);

    CHECK(put_one(0, &r, &e[0]) == 0);
    bad = r, bad.n_a = 2;
    CHECK(put_one(0, &bad, &e[1]) == ERR_INTERNAL);
    bad = r, bad.label = "x", bad.label_len = 1;
    CHECK(put_one(0, &bad, &e[2]) == ERR_DATA && strstr(e[2].text, "record 7"));
    bad.label = "\xFF";
    CHECK(put_one(TOKS_LABEL, &bad, &e[3]) == ERR_DATA);
    bad = r, bad.weight = 2;
    CHECK(put_one(0, &bad, &e[4]) == ERR_DATA);
    CHECK(put_one(TOKS_KEY, &r, &e[5]) == ERR_DATA);
    bad = r, bad.a = long_ids, bad.start_a = long_start, bad.n_a = many;
    CHECK(put_one(0, &bad, &e[6]) == ERR_DATA && strstr(e[6].text, "too large"));
    bad.n_a = (size_t)7 << 20;
    CHECK(put_one(0, &bad, &e[7]) == 0);
    free(long_ids);
    free(long_start);
}

/* ---- texts at once ---- */

enum { TEXTS = 30000, LONG = 700000, MOST_IDS = 3 * LONG };

struct many {
    uint32_t *ids;
    uint8_t *start;
    uint32_t len[TEXTS];
    uint64_t number[TEXTS];
};

/* Lengths of all kinds: none, a few, more than a block takes, and many that fill one. */
static void make_many(struct many *m)
{
    uint64_t x = 1;
    size_t left = MOST_IDS;

    for (size_t i = 0; i < MOST_IDS; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        m->ids[i] = (uint32_t)(x >> 40) % 30522;
        m->start[i] = x >> 63;
    }
    for (size_t i = 0; i < TEXTS; i++) {
        const size_t want = i == 0 || i == 9000 ? LONG : (size_t)(m->ids[i] % 40) * (i % 3);

        m->len[i] = (uint32_t)(want < left ? want : left);
        left -= m->len[i];
        m->number[i] = i + 1 + i / 1000;
    }
}

/* The stream of them, put one by one (step 0) or so many at a time. */
static struct buf stream_of(const struct many *m, size_t step,
                            const struct toks_write_options *o, struct err *e)
{
    const int fd = memory_file();
    struct toks_header h;
    struct toks_writer *w;
    struct buf b = {0};
    size_t from = 0;
    int bad = 0;

    make_header(&h, "h", 30522, 0);
    w = toks_create(fd, "x", &h, o, e);
    for (size_t i = 0; w && i < TEXTS && !bad; i += step ? step : 1) {
        const size_t n = step < TEXTS - i ? step : TEXTS - i;
        const struct toks_texts t = {m->ids + from, m->start + from, m->len + i, m->number + i, n};
        const struct toks_record r = {.a = m->ids + from, .start_a = m->start + from,
                                      .n_a = m->len[i], .number = m->number[i], .weight = 1};

        bad = step ? toks_put_texts(w, &t, e) : toks_put(w, &r, e);
        for (size_t k = 0; k < (step ? n : 1); k++)
            from += m->len[i + k];
    }
    if (w && !bad && toks_finish(w, NULL, e) == 0)
        b = whole(fd);
    toks_writer_free(w);
    toks_header_free(&h);
    close(fd);
    return b;
}

/* Whether a stream holds them. */
static bool holds(const struct buf *stream, const struct many *m, struct err *e)
{
    const int fd = file_of(stream->data, stream->len);
    struct toks_reader *r = toks_open(fd, "x", NULL, e);
    const struct toks_block *b;
    size_t n = 0, from = 0, wrong = 0;

    while (r && toks_next_block(r, &b, e) > 0)
        for (size_t i = 0; i < toks_block_records(b) && n < TEXTS; from += m->len[n++], i++) {
            struct toks_record have, want = {.a = m->ids + from, .start_a = m->start + from,
                                             .n_a = m->len[n], .number = m->number[n],
                                             .weight = 1};

            toks_get(b, i, &have);
            wrong += !same_record(&have, &want);
        }
    toks_reader_free(r);
    close(fd);
    return n == TEXTS && wrong == 0 && !e->code;
}

/* Random ids, of which a compressor finds few again, in blocks large and small. */
static void texts_at_once_give_the_same_bytes(void)
{
    static const struct toks_write_options options[] = {{0}, {.plain = true},
                                                        {.block_records = 77}, {.threads = 3}};
    static const size_t steps[] = {1, 7, 1000, TEXTS};
    struct many *m = calloc(1, sizeof *m);
    struct err e = {0};

    m->ids = calloc(MOST_IDS, sizeof *m->ids);
    m->start = calloc(MOST_IDS, 1);
    make_many(m);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct buf want = stream_of(m, 0, &options[i], &e);

        CHECK_MSG(want.len > 0, "%s", e.text);
        CHECK_MSG(holds(&want, m, &e), "%s", e.text);
        for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
            struct buf got = stream_of(m, steps[k], &options[i], &e);

            CHECK(got.len == want.len && memcmp(got.data, want.data, want.len) == 0);
            buf_free(&got);
        }
        buf_free(&want);
    }
    m->ids[LONG + 5000] = 30522;
    CHECK(stream_of(m, 1000, NULL, &e).len == 0 && e.code == ERR_INTERNAL);
    CHECK(strstr(e.text, "id 30522 is not below 30522"));
    free(m->ids);
    free(m->start);
    free(m);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    RUN(round_trip_all_columns);
    RUN(empty_stream);
    RUN(id_widths);
    RUN(threads_give_the_same_bytes);
    RUN(content_is_of_the_data);
    RUN(other_data_has_other_content);
    RUN(reads_of_any_size);
    RUN(a_pipe_is_read_as_it_fills);
    RUN(kept_blocks_stay);
    RUN(several_files);
    RUN(expected_records);
    RUN(header_comes_back);
    RUN(chains_join);
    RUN(what_cannot_be_stored_is_refused);
    RUN(texts_at_once_give_the_same_bytes);
    return test_end();
}
