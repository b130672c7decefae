/* SPDX-License-Identifier: MIT */
/*
 * Damaged and hostile token streams: every cut, every flipped bit, lost, swapped, doubled
 * and foreign blocks, bombs, and blocks whose seals are right but whose contents are not.
 * Each is an error (or gives the very same records), none a wrong result, none an access
 * out of bounds.
 */
#include "tokblock.h"
#include "tokheader.h"
#include "toks_fixture.h"

#include <xxhash.h>
#include <zstd.h>

/* Small streams with several blocks; k & 1: plain. */
static struct plan small_plan(int k)
{
    return (struct plan){.vocab = k & 2 ? 70000 : 30522, .columns = ALL_COLUMNS, .to = 12,
                         .o = {.plain = k & 1, .block_records = 4}};
}

static void cut_at_every_byte(void)
{
    for (int k = 0; k < 4; k++) {
        const struct plan p = small_plan(k);
        struct buf b = make_stream(&p);

        for (size_t n = 0; n < b.len; n++)
            for (int threads = 1; threads <= 1 + (n % 16 == 0); threads++) {
                struct err e = {0};

                CHECK_MSG(read_bytes(b.data, n, &p, threads, NULL, &e) == -1,
                          "cut at %zu", n);
                CHECK_MSG(e.code == (n ? ERR_DATA : ERR_NOINPUT), "cut at %zu: %d %s", n,
                          e.code, e.text);
                CHECK_MSG(n == 0 || strstr(e.text, "test.toks: record "), "%s", e.text);
            }
        buf_free(&b);
    }
}

static void flip_every_bit(void)
{
    for (int k = 0; k < 4; k++) {
        const struct plan p = small_plan(k);
        struct buf b = make_stream(&p);
        size_t same = 0;

        for (size_t bit = 0; bit < 8 * b.len; bit++) {
            struct err e = {0};
            int64_t n;

            b.data[bit / 8] = (char)(b.data[bit / 8] ^ 1 << bit % 8);
            n = read_bytes(b.data, b.len, &p, bit % 64 == 0 ? 2 : 1, NULL, &e);
            b.data[bit / 8] = (char)(b.data[bit / 8] ^ 1 << bit % 8);
            CHECK_MSG(n == (int64_t)p.to || e.code == ERR_DATA,
                      "bit %zu: %d records, %d %s", bit, (int)n, e.code, e.text);
            same += n >= 0;
        }
        /* Only a frame's own head has bits that do not matter. */
        CHECK_MSG(same < 8 * 5 * 8 && (!p.o.plain || same == 0), "%zu", same);
        buf_free(&b);
    }
}

/* ---- whole blocks ---- */

enum { MAX_PARTS = 16 };

struct parts {
    struct buf bytes;
    size_t at[MAX_PARTS + 1];
    int n;
};

static struct parts split(struct buf bytes, bool plain)
{
    struct parts s = {.bytes = bytes};

    while (s.n < MAX_PARTS && s.at[s.n] < bytes.len) {
        const char *from = bytes.data + s.at[s.n];
        size_t size = ZSTD_findFrameCompressedSize(from, bytes.len - s.at[s.n]);

        if (plain) {
            uint32_t length;

            memcpy(&length, from + 8, 4);
            size = tokblock_size(length);
        }
        s.at[s.n + 1] = s.at[s.n] + size;
        s.n++;
    }
    return s;
}

static void add_part(struct buf *to, const struct parts *s, int i)
{
    struct err e = {0};

    (void)!buf_add(to, s->bytes.data + s->at[i], s->at[i + 1] - s->at[i], &e);
}

/* The parts in that order must be refused. */
static bool refused(const struct parts *from, const int *order, int n,
                    const struct plan *p)
{
    struct buf b = {0};
    struct err e = {0};
    int64_t got;

    for (int i = 0; i < n; i++)
        add_part(&b, from, order[i]);
    got = read_bytes(b.data, b.len, p, 1, NULL, &e);
    buf_free(&b);
    return got == -1 && e.code == ERR_DATA;
}

static void lost_doubled_and_swapped_blocks(void)
{
    for (int k = 0; k < 2; k++) {
        const struct plan p = small_plan(k);
        struct parts s = split(make_stream(&p), p.o.plain);
        int order[MAX_PARTS + 1];

        CHECK(s.n == 5);
        for (int i = 0; i < s.n; i++) {
            int n = 0;

            for (int j = 0; j < s.n; j++)
                if (j != i)
                    order[n++] = j;
            CHECK_MSG(refused(&s, order, n, &p), "without block %d", i);
            n = 0;
            for (int j = 0; j < s.n; j++) {
                order[n++] = j;
                if (j == i)
                    order[n++] = j;
            }
            CHECK_MSG(refused(&s, order, n, &p), "block %d twice", i);
            for (int other = 0; other < i; other++) {
                for (int j = 0; j < s.n; j++)
                    order[j] = j == i ? other : j == other ? i : j;
                CHECK_MSG(refused(&s, order, s.n, &p), "blocks %d and %d swapped", other,
                          i);
            }
        }
        buf_free(&s.bytes);
    }
}

/* A block of another stream, though of the same shape and at the same place. */
static void foreign_blocks(void)
{
    for (int k = 0; k < 2; k++) {
        struct plan p = small_plan(k), q = p;
        struct parts a, b;

        q.hash = "ffffffffffffffffffffffffffffffff";
        a = split(make_stream(&p), p.o.plain);
        b = split(make_stream(&q), p.o.plain);
        for (int i = 0; i < a.n; i++) {
            struct buf mix = {0};
            struct err e = {0};

            for (int j = 0; j < a.n; j++)
                add_part(&mix, j == i ? &b : &a, j);
            CHECK_MSG(read_bytes(mix.data, mix.len, &p, 1, NULL, &e) == -1, "block %d",
                      i);
            CHECK(e.code == ERR_DATA);
            buf_free(&mix);
        }
        buf_free(&a.bytes);
        buf_free(&b.bytes);
    }
}

static void other_tokenizers_do_not_mix(void)
{
    struct plan p = small_plan(0), q = p;
    struct buf a, b;
    struct err e = {0};

    q.hash = "ffffffffffffffffffffffffffffffff";
    a = make_stream(&p);
    b = make_stream(&q);
    CHECK(buf_add(&a, b.data, b.len, &e) == 0);
    CHECK(read_bytes(a.data, a.len, &p, 1, NULL, &e) == -1 && e.code == ERR_DATA);
    CHECK_MSG(strstr(e.text, "different tokenizers") && strstr(e.text, "x.tsv"), "%s",
              e.text);
    buf_free(&a);
    buf_free(&b);
}

/* ---- bursts ---- */

/* A small generator of its own (xorshift64*): the same damage on every machine. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

/* Overwrites, zeroes, deletes or doubles 1 to 64 bytes somewhere. */
static struct buf burst(const struct buf *from, uint64_t *state)
{
    struct buf b = {0};
    struct err e = {0};
    const size_t n = 1 + next_random(state) % 64,
                 at = next_random(state) % (from->len - n);
    const int kind = (int)(next_random(state) % 4);

    if (buf_add(&b, from->data, from->len, &e) || buf_reserve(&b, n, &e))
        return b;
    if (kind == 2) {
        memmove(b.data + at, b.data + at + n, b.len - at - n);
        b.len -= n;
    } else if (kind == 3) {
        memmove(b.data + at + n, b.data + at, b.len - at);
        b.len += n;
    }
    for (size_t i = 0; kind < 2 && i < n; i++)
        b.data[at + i] = kind ? 0 : (char)next_random(state);
    return b;
}

static void random_bursts(void)
{
    for (int k = 0; k < 2; k++) {
        const struct plan p = {.vocab = 30522, .columns = ALL_COLUMNS, .to = 120,
                               .o = {.plain = k, .block_records = 6}};
        struct buf good = make_stream(&p);
        uint64_t state = 88172645463325252u;

        for (int i = 0; i < 8000; i++) {
            struct buf bad = burst(&good, &state);
            struct err e = {0};
            const int64_t n =
                read_bytes(bad.data, bad.len, &p, 1 + i % 32 / 31, NULL, &e);

            CHECK_MSG(n == 120 || (n == -1 && e.code == ERR_DATA), "burst %d: %d", i,
                      e.code);
            buf_free(&bad);
        }
        buf_free(&good);
    }
}

/* ---- around the frames ---- */

static void bytes_behind_the_end(void)
{
    static const char skip[] = "\x5E\x2A\x4D\x18\x05\0\0\0hello";
    const struct plan p = small_plan(0);
    struct buf b = make_stream(&p);
    const size_t n = b.len;
    struct parts s;
    struct err e = {0};

    CHECK(buf_add(&b, skip, 13, &e) == 0);
    CHECK_MSG(read_bytes(b.data, b.len, &p, 1, NULL, &e) == 12, "%s", e.text);
    CHECK(read_bytes(b.data, n, &p, 1, NULL, &e) == 12);
    for (size_t cut = n + 1; cut < n + 13; cut++) {
        err_clear(&e);
        CHECK(read_bytes(b.data, cut, &p, 1, NULL, &e) == -1 && e.code == ERR_DATA);
    }
    /* A segment may follow the frame; anything else may not. */
    err_clear(&e);
    CHECK(buf_reserve(&b, n, &e) == 0 && buf_add(&b, b.data, n, &e) == 0);
    CHECK_MSG(read_bytes(b.data, b.len, &p, 2, NULL, &e) == 24, "%s", e.text);
    CHECK(buf_putc(&b, '\0', &e) == 0);
    CHECK(read_bytes(b.data, b.len, &p, 1, NULL, &e) == -1 && e.code == ERR_DATA);
    /* Between two blocks it is damage. */
    err_clear(&e);
    b.len = n;
    s = split(b, false);
    b = (struct buf){0};
    for (int i = 0; i < s.n; i++) {
        add_part(&b, &s, i);
        CHECK(i != 1 || buf_add(&b, skip, 13, &e) == 0);
    }
    CHECK(read_bytes(b.data, b.len, &p, 1, NULL, &e) == -1 && e.code == ERR_DATA);
    buf_free(&b);
    buf_free(&s.bytes);
}

static void what_is_no_stream(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } no[] = {
        {"text\tlabel\n", 11, "not a token stream but text"},
        {"\x1f\x8b\x08\x00zzzz", 8, "not a token stream"},
        {"x", 1, "cut"},
        /* zstd frames: no checksum; no content size; window 2^41; content 1 GiB;
           dictionary */
        {"\x28\xB5\x2F\xFD\x20\x00\x01\x00\x00", 9, "without a checksum"},
        {"\x28\xB5\x2F\xFD\x04\x58\x01\x00\x00", 9, "without a content size"},
        {"\x28\xB5\x2F\xFD\x84\xF8\x00\x00\x01\x00\x01\x00\x00", 13, "window"},
        {"\x28\xB5\x2F\xFD\xA4\x00\x00\x00\x40\x01\x00\x00", 12, "limit of a block"},
        {"\x28\xB5\x2F\xFD\x25\x07\x40\x01\x00\x00", 10, "dictionary"},
    };

    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        struct err e = {0};
        const struct plan p = small_plan(0);

        CHECK(read_bytes(no[i].bytes, no[i].n, &p, 1, NULL, &e) == -1);
        CHECK_MSG(e.code == ERR_DATA && strstr(e.text, no[i].says), "%zu: %s", i, e.text);
    }
}

static void bombs(void)
{
    const struct plan p = small_plan(0);
    struct buf zeros = {0}, b = {0};
    struct err e = {0};
    const size_t n = (size_t)16 << 20;

    /* 16 MiB of zeros in a small frame is allowed by size, and is no block. */
    CHECK(buf_reserve(&zeros, n, &e) == 0 && buf_reserve(&b, n, &e) == 0);
    memset(zeros.data, 0, n);
    {
        ZSTD_CCtx *c = ZSTD_createCCtx();

        ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
        b.len = ZSTD_compress2(c, b.data, b.cap, zeros.data, n);
        ZSTD_freeCCtx(c);
    }
    CHECK(b.len < 5000);
    CHECK(read_bytes(b.data, b.len, &p, 1, NULL, &e) == -1 && e.code == ERR_DATA);
    /* A frame that goes on for ever in blocks of nothing: they are all zeros. */
    err_clear(&e);
    memcpy(zeros.data, "\x28\xB5\x2F\xFD\xA4\x00\x01\x00\x00", 9);
    CHECK(read_bytes(zeros.data, n, &p, 1, NULL, &e) == -1 && e.code == ERR_DATA);
    CHECK_MSG(strstr(e.text, "damaged zstd frame"), "%s", e.text);
    buf_free(&zeros);
    buf_free(&b);
}

/* ---- right seals, wrong contents ---- */

/* A header block of any JSON, sealed, then an empty END. */
static int open_json(const char *json, struct err *e)
{
    struct buf b = {0};
    struct tokblock_head h = {.type = "TKSH", .length = (uint32_t)strlen(json)};
    const struct plan p = small_plan(1);
    int64_t got = -1;

    if (buf_reserve(&b, tokblock_size(h.length), e) == 0) {
        b.len = tokblock_size(h.length);
        memset(b.data, 0, b.len);
        memcpy(b.data + BLOCK_HEAD, json, h.length);
        tokblock_seal((uint8_t *)b.data, &h, 0);
        got = read_bytes(b.data, b.len, &p, 1, NULL, e);
    }
    buf_free(&b);
    return got == -1 ? e->code : 0;
}

/* The valid header with one piece of it replaced. */
static void wrong_headers(void)
{
    static const char *const change[][2] = {
        {"", ""}, /* as it is: the error is the END that is missing */
        {"\"format\":\"toks\"", "\"format\":\"tiks\""},
        {"\"format\":\"toks\"", "\"format\":\"toks\",\"format\":\"toks\""},
        {"\"format\":\"toks\"",
         "\"format\":\"toks\",\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]"
         "]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
        {"\"vocab_size\":30522", "\"vocab_size\":0"},
        {"\"vocab_size\":30522", "\"vocab_size\":-1"},
        {"\"vocab_size\":30522", "\"vocab_size\":4294967296"},
        {"\"vocab_size\":30522", "\"vocab_size\":1e3"},
        {"\"vocab_size\":30522", "\"vocab_size\":100000"}, /* wants ids of four bytes */
        {"\"id_bytes\":2", "\"id_bytes\":3"},
        {"\"cls\":101", "\"cls\":30522"},
        {"\"cls\":101", "\"cls\":-2"},
        {"[\"A\",0]", "[\"C\",0]"},
        {"[\"A\",0]", "[\"A\"]"},
        {"[\"A\",0]", "[-3,0]"},
        {"[\"A\",0]", "{}"},
        {"\"ids\"", "\"idz\""},
        {",\"ids\"", ""},
        {"\"pp\":null", "\"pp\":\"tok\""},
        {"\"pp\":null", "\"pp\":7"},
        {"\"xxh128\":\"0", "\"xxh129\":\"0"},
        {"\"xxh128\":\"0", "\"xxh128\":\"\\u0000"},
        {"{", "["},
        {"{", "{{"},
    };
    struct toks_header h;
    struct buf json = {0};
    struct err e = {0};

    make_header(&h, "0123456789abcdef0123456789abcdef", 30522, 0);
    CHECK(tokheader_encode(&h, &json, &e) == 0);
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        const char *at = strstr(json.data, change[i][0]);
        struct buf b = {0};
        int code;

        CHECK_MSG(at, "%s is not in %s", change[i][0], json.data);
        CHECK(buf_add(&b, json.data, (size_t)(at - json.data), &e) == 0 &&
              buf_puts(&b, change[i][1], &e) == 0 &&
              buf_puts(&b, at + strlen(change[i][0]), &e) == 0);
        code = open_json(b.data, &e);
        CHECK_MSG(code == ERR_DATA, "%s: %d", change[i][1], code);
        CHECK_MSG((strstr(e.text, "without END") != NULL) == (i == 0), "%s: %s",
                  change[i][1], e.text);
        err_clear(&e);
        buf_free(&b);
    }
    buf_free(&json);
    toks_header_free(&h);
}

/* Seals all blocks of a plain stream anew, END's chain included. */
static void reseal(struct parts *s)
{
    uint64_t chain[MAX_PARTS], seed = 0;

    for (int i = 0; i < s->n; i++) {
        uint8_t *inner = (uint8_t *)s->bytes.data + s->at[i];
        struct tokblock_head h;
        struct err e = {0};

        if (tokblock_open(inner, s->at[i + 1] - s->at[i], &h, &e))
            return;
        if (i == s->n - 1) {
            const uint64_t all = XXH64(chain, sizeof *chain * (size_t)i, 0);

            memcpy(inner + BLOCK_HEAD + 32, &all, 8);
        }
        tokblock_seal(inner, &h, seed);
        if (i == 0)
            seed = h.hash;
        chain[i] = h.hash;
    }
}

/* As an attacker would: each byte of a data block's payload to several values, sealed
 * anew. */
static void hostile_blocks(void)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7F, 0x80, 0xFF};
    const struct plan p = small_plan(1);
    struct parts s = split(make_stream(&p), true);
    size_t vocabulary = 0;

    CHECK(s.n == 5);
    reseal(&s);
    {
        struct err e = {0};

        CHECK_MSG(read_bytes(s.bytes.data, s.bytes.len, &p, 1, NULL, &e) == 12, "%s",
                  e.text);
    }
    for (size_t at = s.at[1] + BLOCK_HEAD; at < s.at[2]; at++)
        for (size_t v = 0; v < sizeof values; v++) {
            const char old = s.bytes.data[at];
            struct err e = {0};
            int64_t n;

            s.bytes.data[at] = (char)values[v];
            reseal(&s);
            n = read_bytes(s.bytes.data, s.bytes.len, &p, 1, NULL, &e);
            /* What decodes at all has another content than END says. */
            CHECK_MSG(old == s.bytes.data[at] ? n == 12 : n == -1 && e.code == ERR_DATA,
                      "byte %zu", at);
            vocabulary += strstr(e.text, "is not in the vocabulary") != NULL;
            s.bytes.data[at] = old;
        }
    CHECK(vocabulary > 0);
    buf_free(&s.bytes);
}

/* Whole counts of a data block and of END replaced by large numbers. */
static void hostile_counts(void)
{
    static const uint32_t values[] = {0,          1,          0x7FFFFFFF,
                                      0x80000000, 0xFFFFFFFF, 0x40000000};
    const struct plan p = small_plan(1);
    struct parts s = split(make_stream(&p), true);

    for (int part = 1; part < 5; part += 3)
        for (size_t at = s.at[part] + BLOCK_HEAD; at + 4 <= s.at[part + 1]; at += 4)
            for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                uint32_t old;
                struct err e = {0};
                int64_t n;

                memcpy(&old, s.bytes.data + at, 4);
                memcpy(s.bytes.data + at, &values[v], 4);
                reseal(&s);
                n = read_bytes(s.bytes.data, s.bytes.len, &p, 1, NULL, &e);
                CHECK_MSG(n == 12 || (n == -1 && e.code == ERR_DATA), "at %zu", at);
                memcpy(s.bytes.data + at, &old, 4);
            }
    buf_free(&s.bytes);
}

/* Bursts inside data blocks, sealed anew. */
static void hostile_bursts(void)
{
    const struct plan p = small_plan(1);
    struct buf good = make_stream(&p);
    uint64_t state = 0x123456789ABCDEFu;

    for (int i = 0; i < 8000; i++) {
        struct parts s = split(good, true);
        struct err e = {0};
        const size_t from = s.at[1] + BLOCK_HEAD, room = s.at[2] - from;
        int64_t n;

        s.bytes = (struct buf){0};
        CHECK(buf_add(&s.bytes, good.data, good.len, &e) == 0);
        for (int k = 0; k < 1 + i % 4; k++) {
            const uint32_t value =
                (uint32_t)(next_random(&state) >> next_random(&state) % 33);

            memcpy(s.bytes.data + from + next_random(&state) % (room / 4) * 4, &value, 4);
        }
        reseal(&s);
        n = read_bytes(s.bytes.data, s.bytes.len, &p, 1, NULL, &e);
        CHECK_MSG(n == 12 || (n == -1 && e.code == ERR_DATA), "burst %d: %s", i, e.text);
        buf_free(&s.bytes);
    }
    buf_free(&good);
}

/* An ancillary block is passed over, an unknown critical one is not. */
static void unknown_blocks(void)
{
    for (int k = 0; k < 2; k++) {
        const struct plan p = {.vocab = 30522, .to = 4, .o = {.plain = true}};
        struct buf b = make_stream(&p), c = {0};
        struct parts s = split(b, true);
        struct err e = {0};
        char *extra;
        uint64_t two = 2, three = 3, bytes;

        CHECK(s.n == 3);
        add_part(&c, &s, 0);
        add_part(&c, &s, 1);
        bytes = s.at[2] + BLOCK_HEAD;
        CHECK(buf_reserve(&c, BLOCK_HEAD, &e) == 0);
        extra = c.data + c.len;
        memset(extra, 0, BLOCK_HEAD);
        memcpy(extra, k ? "TKSx" : "TKSX", 4);
        extra[4] = 1;
        memcpy(extra + 16, &two, 8);
        c.len += BLOCK_HEAD;
        add_part(&c, &s, 2);
        memcpy(c.data + bytes + 16, &three, 8); /* END: its sequence, blocks and bytes */
        memcpy(c.data + bytes + BLOCK_HEAD + 16, &two, 8);
        memcpy(c.data + bytes + BLOCK_HEAD + 24, &bytes, 8);
        buf_free(&s.bytes);
        s = split(c, true);
        CHECK(s.n == 4);
        reseal(&s);
        CHECK_MSG(read_bytes(s.bytes.data, s.bytes.len, &p, 1, NULL, &e) == (k ? 4 : -1),
                  "%s", e.text);
        CHECK(k || strstr(e.text, "newer"));
        buf_free(&s.bytes);
    }
}

int main(void)
{
    RUN(cut_at_every_byte);
    RUN(flip_every_bit);
    RUN(lost_doubled_and_swapped_blocks);
    RUN(foreign_blocks);
    RUN(other_tokenizers_do_not_mix);
    RUN(random_bursts);
    RUN(bytes_behind_the_end);
    RUN(what_is_no_stream);
    RUN(bombs);
    RUN(wrong_headers);
    RUN(hostile_blocks);
    RUN(hostile_counts);
    RUN(hostile_bursts);
    RUN(unknown_blocks);
    return test_end();
}
