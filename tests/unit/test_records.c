/* SPDX-License-Identifier: MIT */
/*
 * Record input: every case is a text, how it is to be read, and what must come out: one line
 * a record, NUMBER:LINE [key] [label] [pair] [weight] <text>, or the error's code and words.
 */
#include "records.h"
#include "test.h"
#include "utf8fix.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/test_records.XXXXXX";

static char *write_file(const char *name, const void *data, size_t n)
{
    static char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0)
        abort();
    return path;
}

struct result {
    struct buf out;
    struct err e;
    uint64_t invalid;
    size_t records;
};

static void show(struct result *r, const struct record *rec)
{
    struct err *e = &r->e;
    struct buf *b = &r->out;
    int rc = buf_addf(b, e, "%llu:%llu", (unsigned long long)rec->number,
                      (unsigned long long)rec->line);

    if (rec->key)
        rc |= buf_puts(b, " k=", e) | buf_add(b, rec->key, rec->key_len, e);
    if (rec->label)
        rc |= buf_puts(b, " l=", e) | buf_add(b, rec->label, rec->label_len, e);
    if (rec->pair)
        rc |= buf_puts(b, " p=", e) | buf_add(b, rec->pair, rec->pair_len, e);
    if (rec->weight != 1)
        rc |= buf_addf(b, e, " w=%g", (double)rec->weight);
    rc |= buf_puts(b, " <", e) | buf_add(b, rec->text, rec->text_len, e) |
          buf_puts(b, ">\n", e);
    if (rc)
        abort();
}

static struct result read_paths(char *const *paths, int n, const struct records_options *o)
{
    struct result r = {0};
    struct record_chunk c = {0};
    struct records *in = records_open(paths, n, o, NULL, &r.e);
    int got = in ? 1 : -1;

    if (buf_puts(&r.out, "", &r.e))
        abort();
    while (in && (got = records_next_chunk(in, &c, &r.e)) > 0) {
        r.invalid += c.invalid_utf8;
        r.records += c.n;
        for (size_t i = 0; i < c.n; i++)
            show(&r, &c.at[i]);
    }
    if ((got < 0) != (r.e.code != 0))
        abort();
    record_chunk_free(&c);
    records_free(in);
    return r;
}

static struct result read_text(const char *name, const char *data, size_t n,
                               const struct records_options *o)
{
    char *path = write_file(name, data, n);

    return read_paths(&path, 1, o);
}

/* Reads with several chunk sizes, which must not matter; then compares. */
#define GIVES(name, input, want, ...)                                                       \
    do {                                                                                   \
        for (size_t chunk_ = 1; chunk_ < 1 << 20; chunk_ *= 7) {                           \
            struct records_options o_ = {__VA_ARGS__};                                     \
            struct result r_;                                                              \
            int same_;                                                                     \
            o_.chunk_bytes = chunk_;                                                       \
            r_ = read_text(name, input, sizeof input - 1, &o_);                              \
            same_ = r_.e.code == 0 && r_.out.len == sizeof want - 1 &&                     \
                    memcmp(r_.out.data, want, sizeof want - 1) == 0;                       \
            if (!same_)                                                                    \
                printf("# chunk %zu: code %d %s\n# %s\n", chunk_, r_.e.code, r_.e.text,    \
                       r_.out.data);                                                       \
            buf_free(&r_.out);                                                             \
            CHECK(same_);                                                                  \
        }                                                                                  \
    } while (0)

#define FAILS(name, input, want_code, words, ...)                                           \
    do {                                                                                   \
        for (size_t chunk_ = 1; chunk_ < 1 << 20; chunk_ *= 7) {                           \
            struct records_options o_ = {__VA_ARGS__};                                     \
            struct result r_;                                                              \
            o_.chunk_bytes = chunk_;                                                       \
            r_ = read_text(name, input, sizeof input - 1, &o_);                              \
            buf_free(&r_.out);                                                             \
            CHECK_MSG(r_.e.code == (want_code) && strstr(r_.e.text, words),                \
                      "chunk %zu: code %d, %s", chunk_, r_.e.code, r_.e.text);             \
        }                                                                                  \
    } while (0)

static void plain_text(void)
{
    GIVES("x", "a b\n\n c \nlast", "1:1 <a b>\n2:2 <>\n3:3 < c >\n4:4 <last>\n", 0);
    GIVES("x", "a\r\nb\r\n", "1:1 <a>\n2:2 <b>\n", 0);
    GIVES("x", "\xef\xbb\xbf" "a\n", "1:1 <a>\n", 0);
    GIVES("x", "", "", 0);
    GIVES("x", "\xef\xbb\xbf", "", 0);
    GIVES("x", "\n", "1:1 <>\n", 0);
    GIVES("x.tsv", "a\tb\n", "1:1 <a\tb>\n", .format = RECORDS_TEXT);
    FAILS("x", "a\rb\rc", 65, ":1: a carriage return", 0);
    FAILS("x", "ok\na\rb\n", 65, ":2: a carriage return", 0);
    FAILS("x", "a\nb\r", 65, ":2: a carriage return", 0);
    GIVES("x", "\xff\xfe" "a\0\n\0" "b\0", "1:1 <a>\n2:2 <b>\n", 0);
    FAILS("x", "\xff\xfe\0\0" "a\0\0\0", 65, "UTF-32", 0);
    FAILS("x", "a\nb\xff\n", 65, ":2: this is not UTF-8", .invalid = INVALID_ERROR);
    GIVES("x", "a\nb\xff\n\0\nc", "1:1 <a>\n4:4 <c>\n", .invalid = INVALID_SKIP);
    FAILS("x", "a b\n", 2, "no column 'label'", .format = RECORDS_TEXT, .label = "label");
}

static void tsv(void)
{
    GIVES("x.tsv", "1\tone\n0\ttwo", "1:1 l=1 <one>\n2:2 l=0 <two>\n", 0);
    GIVES("x", "1\tone\r\n0\ttwo\r\n", "1:1 l=1 <one>\n2:2 l=0 <two>\n", 0);
    GIVES("x.tsv", "label\ttext\n1\ta\n", "1:2 l=1 <a>\n", 0);
    GIVES("x.tsv", "Text\tLabel\n a \t1\n", "1:2 l=1 < a >\n", 0);
    GIVES("x.tsv", "title\tgroup\na\t1\n", "1:2 l=1 <a>\n", 0);
    GIVES("x.tsv", "\xef\xbb\xbftext\na\n", "1:2 <a>\n", 0);
    GIVES("x", "text\na\n", "1:2 <a>\n", 0);
    GIVES("x.tsv", "\"a\n\"b\n", "1:1 <\"a>\n2:2 <\"b>\n", 0);
    GIVES("x.tsv", "a\t\n\tb\n", "1:1 l=a <>\n2:2 l= <b>\n", 0);
    GIVES("x.tsv", "gj04\t1\t\tOur friends\n", "1:1 l=1 <Our friends>\n", .text = "4",
          .label = "2");
    GIVES("x.tsv", "a\tb\tc\n", "1:1 <c+a>\n", .text = "3,1", .join = "+");
    GIVES("x.tsv", "a\t\tc\n", "1:1 <a  c>\n", .text = "1,2,3");
    GIVES("x.tsv", "k\tt\tp\tw\n7\ta\tb\t0.5\n", "1:2 k=7 p=b w=0.5 <a>\n", .text = "t",
          .pair = "p", .weight = "w", .key = "k");
    /* A number is a place, also where a field has that name; a header must be asked for. */
    GIVES("x.tsv", "1\t2\na\tb\n", "1:1 <2>\n2:2 <b>\n", .text = "2");
    GIVES("x.tsv", "2\t1\na\tb\n", "1:2 <a>\n", .text = "2", .header = HEADER_YES);
    GIVES("x.tsv", "label\ttext\n1\ta\n", "1:1 l=label <text>\n2:2 l=1 <a>\n",
          .header = HEADER_NO);
    GIVES("x.tsv", "label\ttext\n1\ta\n", "1:2 <a>\n", .text = "2");
    GIVES("x.tsv", "u\tv\n1\ta\n", "1:2 <a>\n", .text = "v");
    GIVES("x.tsv", "id\tlabel\ttext\n9\t1\ta\n", "1:2 l=1 <a>\n", .label = "label");
}

static void tsv_refused(void)
{
    FAILS("x.tsv", "a\tb\n", 2, "no column 'foo'", .text = "foo");
    FAILS("x.tsv", "a\tb\n", 2, "no column '3'", .text = "3");
    FAILS("x.tsv", "a\tb\nc\n", 65, ":2: 1 field where 2 are needed", .text = "2");
    FAILS("x.tsv", "a\tb\n\n", 65, ":2: 1 field", 0);
    FAILS("x.tsv", "a\tb\nc\td\te\n", 65, ":2: more than the 2 fields", 0);
    FAILS("x.tsv", "a\tb\tc\n", 2, "--text", 0);
    FAILS("x.tsv", "id\ttext\tlabel\n1\tb\tc\n", 2, "--text text --label label", 0);
    FAILS("x.tsv", "text\tx\ttext\na\tb\tc\n", 2, "2 columns are called 'text'", .text = "text");
    FAILS("x.tsv", "a\tb\n", 65, ":1: the weight 'b'", .text = "1", .weight = "2");
    FAILS("x.tsv", "a\t-1\n", 65, ":1: the weight '-1'", .text = "1", .weight = "2");
    FAILS("x.tsv", "a\tb\n", 2, "column is empty", .text = "1,");
    FAILS("x.tsv", "1\ta\n2\tb\n3\tc\n4\td\n5\te\n6\tf\n7\tg\n8\th\n9\ti\n10\tj\n", 2,
          "10 values in 10 records", 0);
    GIVES("x.tsv", "1\ta\n2\tb\n3\tc\n4\td\n5\te\n6\tf\n7\tg\n8\th\n9\ti\n",
          "1:1 l=1 <a>\n2:2 l=2 <b>\n3:3 l=3 <c>\n4:4 l=4 <d>\n5:5 l=5 <e>\n6:6 l=6 <f>\n"
          "7:7 l=7 <g>\n8:8 l=8 <h>\n9:9 l=9 <i>\n", 0);
}

static void csv(void)
{
    GIVES("x.csv", "1,one\n0,\"t,wo\"\n", "1:1 l=1 <one>\n2:2 l=0 <t,wo>\n", 0);
    GIVES("x.csv", "1,\"a \"\"b\"\" \"\r\n2,\"l1\nl2\"\r\n3,c",
          "1:1 l=1 <a \"b\" >\n2:2 l=2 <l1\nl2>\n3:4 l=3 <c>\n", 0);
    GIVES("x.csv", "1,a \"b\" c\n", "1:1 l=1 <a \"b\" c>\n", 0);
    GIVES("x.csv", "label,text\n1,a\n", "1:2 l=1 <a>\n", 0);
    GIVES("x", "\"a\rb\",text\nx,y\n", "1:2 <y>\n", .text = "text");
    GIVES("x.csv", "\"la\"\"bel\",text\n1,a\n", "1:2 l=1 <a>\n", .label = "la\"bel",
          .text = "text");
    GIVES("x.csv", "\"\n\",text\n1,a\n", "1:3 <a>\n", .text = "text");
    GIVES("x.csv", "1,\"\"\n2,\n", "1:1 l=1 <>\n2:2 l=2 <>\n", 0);
    GIVES("x", "label,text\n1,a\n", "1:2 l=1 <a>\n", 0);
    GIVES("x", "\"1\",\"a,b\"\n", "1:1 l=1 <a,b>\n", 0);
    GIVES("x.csv", "title\tgroup\na,b\t1\n", "1:2 l=1 <a,b>\n", 0);
    GIVES("x.csv", "1,\"a\rb\"\n", "1:1 l=1 <a\rb>\n", 0);
    GIVES("x.csv", "a\n\nb\n", "1:1 <a>\n2:2 <>\n3:3 <b>\n", 0);
    FAILS("x.csv", "1,a\n2,\"b\n3,c\n4,d\n", 65, ":2: the quote opened on this line", 0);
    FAILS("x.csv", "1,a\n2,\"b\nb\",\"c\nd\n", 65, ":3: the quote opened on this line",
          .text = "1");
    FAILS("x.csv", "1,\"a\"b\n", 65, ":1: something stands between", 0);
    FAILS("x.csv", "1,a\r2,b\r", 65, ":1: a carriage return", 0);
    FAILS("x.csv", "1,\"a\"\r2,b\r", 65, ":1: a carriage return", 0);
    FAILS("x.csv", "1,a\n2\n", 65, ":2: 1 field", 0);
    FAILS("x.csv", "\"k\tk\",a\n", 65, ":1: the key holds a TAB", .text = "2", .key = "1");
    FAILS("x.csv", "\"k\nk\",a\n", 65, ":1: the label holds a line end", .text = "2",
          .label = "1");
}

static void json_lines(void)
{
    GIVES("x.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"label\": true, \"text\": \"b\"}\n",
          "1:1 l=1 <a>\n2:2 l=true <b>\n", 0);
    GIVES("x", "{\"b\":[1,{\"c\":null}],\"t\":\"\\u00e9\\ud83d\\ude00\\n\\\"\"}\n",
          "1:1 <\xc3\xa9\xf0\x9f\x98\x80\n\">\n", .text = "t");
    GIVES("x", "{\"t\":\"a\\u0000b\\uffff\"}\n", "1:1 <a\0b\xef\xbf\xbf>\n", .text = "t");
    GIVES("x", "{\"t\":\"\\ud800x\\udc00\"}\n", "1:1 <\xef\xbf\xbdx\xef\xbf\xbd>\n",
          .text = "t");
    GIVES("x", "{\"t\":\"a\",\"l\":[\"x\",\"y\"],\"p\":null}\n{\"t\":\"\",\"l\":null,\"p\":\"\"}\n",
          "1:1 l=x,y <a>\n2:2 p= <>\n", .text = "t", .label = "l", .pair = "p");
    GIVES("x", "{\"t\":\"a\",\"t\":\"b\"}", "1:1 <b>\n", .text = "t");
    GIVES("x", "{\"k\":7,\"t\":\"a\"}", "1:1 k=7 <a+7>\n", .text = "2,1", .key = "1",
          .join = "+");
    GIVES("x", "{\"\\u0074\":\"a\"}", "1:1 <a>\n", .text = "t");
    FAILS("x.jsonl", "{\"text\":\"a\"}\n[1]\n", 65, ":2: the line is no JSON object", 0);
    FAILS("x.jsonl", "{\"text\":\"a\"}\n\n", 65, ":2: the line is no JSON object", 0);
    FAILS("x.jsonl", "{\"text\":\"a\"} {\"text\":\"b\"}\n", 65, ":1: something follows", 0);
    FAILS("x.jsonl", "{\"text\":\"a\"\n", 65, ":1: the object is not closed", 0);
    FAILS("x.jsonl", "{\"text\":\"a\nb\"}\n", 65, ":1: the line ends within a string", 0);
    FAILS("x.jsonl", "{\"text\":\"a\"}\n{\"tex\":\"a\"}\n", 65, ":2: 'text' is missing", 0);
    FAILS("x.jsonl", "{\"text\":\"a\"}\n{\"text\":null}\n", 65, ":2: 'text' is null", 0);
    FAILS("x.jsonl", "{\"text\":[\"a\"]}\n", 65, ":1: 'text' is an array", 0);
    FAILS("x.jsonl", "{\"a\":\"a\"}\n", 2, "no column 'text'", .text = "text");
    FAILS("x.jsonl", "{\"a\":\"b\",\"b\":\"b\",\"c\":\"c\"}\n", 2, "--text", 0);
    FAILS("x.jsonl", "{\"t\":\"a\",\"k\":\"\\t\"}\n", 65, ":1: the key holds a TAB",
          .text = "t", .key = "k");
    FAILS("x.jsonl", "{\"t\":01}\n", 65, ":1: ", .text = "t");
    FAILS("x.jsonl", "{\"t\":nul}\n", 65, ":1: ", .text = "t");
    FAILS("x.jsonl", "{}\n", 2, "no columns", 0);
    FAILS("x.jsonl", "{\"t\":\"\\u12\"}\n", 65, ":1: ", .text = "t");
}

static void deep_json(void)
{
    char line[8000];
    struct records_options o = {.text = "t"};
    struct result r;

    for (int i = 0; i < 1000; i++)
        memcpy(line + 5 * i, "{\"a\":", 5);
    r = read_text("x.jsonl", line, 5000, &o);
    buf_free(&r.out);
    CHECK_MSG(r.e.code == 65 && strstr(r.e.text, "nested"), "%d %s", r.e.code, r.e.text);
}

static void bad_bytes(void)
{
    struct records_options o = {0};
    struct result r;

    GIVES("x", "a\0b\n", "1:1 <a\xef\xbf\xbd" "b>\n", 0);
    GIVES("x", "\xe2\x82" "A\n", "1:1 <\xef\xbf\xbd" "A>\n", 0);
    GIVES("x", "\xed\xa0\x80\n", "1:1 <\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd>\n", 0);
    GIVES("x", "\xf0\x9f\x98\n\xff\n", "1:1 <\xef\xbf\xbd>\n2:2 <\xef\xbf\xbd>\n", 0);
    GIVES("x.tsv", "\xc3\t\xa9\n", "1:1 l=\xef\xbf\xbd <\xef\xbf\xbd>\n", 0);
    GIVES("x.csv", "\xc3,\"\xe2\x82\"\n", "1:1 l=\xef\xbf\xbd <\xef\xbf\xbd>\n", 0);
    GIVES("x", "{\"t\":\"\xe2\x82\"}\n", "1:1 <\xef\xbf\xbd>\n", .text = "t");
    r = read_text("x", "\xe2\x82" "A\0\xff\n", 6, &o);
    buf_free(&r.out);
    CHECK(r.invalid == 3 && r.records == 1);
}

/* Sequences against the definition, written another way: a table of the legal ranges. */
static void utf8_ranges(void)
{
    static const struct {
        unsigned char low[4], high[4];
        int n;
    } legal[] = {
        {{0x01}, {0x7f}, 1},
        {{0xc2, 0x80}, {0xdf, 0xbf}, 2},
        {{0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}, 3},
        {{0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}, 3},
        {{0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}, 3},
        {{0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}, 3},
        {{0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}, 4},
        {{0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}, 4},
        {{0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}, 4},
    };

    for (unsigned v = 0; v < 1u << 24; v += v < 0xc00000 ? 251 : 1) {
        const unsigned char s[4] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8),
                                    (unsigned char)v, 0xbf};
        size_t want = 4; /* the first bad byte, by longest legal prefix */
        char out[16];
        uint64_t count = 0;
        size_t at = 0, got;

        while (at < 4) {
            size_t step = 0;

            for (size_t k = 0; k < sizeof legal / sizeof legal[0] && !step; k++) {
                int i = 0;

                while (i < legal[k].n && at + (size_t)i < 4 &&
                       s[at + (size_t)i] >= legal[k].low[i] &&
                       s[at + (size_t)i] <= legal[k].high[i])
                    i++;
                if (i == legal[k].n)
                    step = (size_t)i;
            }
            if (!step) {
                want = at;
                break;
            }
            at += step;
        }
        got = utf8_first_bad((const char *)s, 4);
        CHECK_MSG(got == want, "%06x: %zu, not %zu", v, got, want);
        got = utf8_fix((const char *)s, 4, out, &count);
        CHECK_MSG(utf8_first_bad(out, got) == got && (count == 0) == (want == 4), "%06x", v);
    }
}

static void long_lines(void)
{
    const size_t n = 100000;
    char *text = malloc(n + 2);
    struct records_options o = {.max_line = 99999, .chunk_bytes = 1000};
    struct result r;

    CHECK(text);
    memset(text, 'a', n);
    text[n] = '\n';
    r = read_text("x", text, n + 1, &o);
    buf_free(&r.out);
    CHECK(r.e.code == 65 && strstr(r.e.text, ":1: a line of more than 99999 bytes"));
    o.max_line = 100000;
    r = read_text("x", text, n + 1, &o);
    CHECK(r.e.code == 0 && r.records == 1 && r.out.len == n + 7);
    buf_free(&r.out);
    text[0] = '"';
    o.max_line = 5000;
    r = read_text("x.csv", text, n + 1, &o);
    buf_free(&r.out);
    CHECK(r.e.code == 65 && strstr(r.e.text, ":1: the quote opened here"));
    memset(text, '\r', n);
    r = read_text("x", text, n, &o);
    buf_free(&r.out);
    free(text);
    CHECK(r.e.code == 65 && strstr(r.e.text, "carriage return"));
}

static void several_files(void)
{
    char *paths[3];
    struct records_options o = {0};
    struct result r;

    paths[0] = strdup(write_file("a.tsv", "label\ttext\n1\ta\n", 15));
    paths[1] = strdup(write_file("b", "", 0));
    paths[2] = strdup(write_file("c.tsv", "2\tb\n", 4));
    r = read_paths(paths, 3, &o);
    CHECK(r.e.code == 0 && strcmp(r.out.data, "1:2 l=1 <a>\n2:1 l=2 <b>\n") == 0);
    buf_free(&r.out);
    write_file("c.tsv", "b\n", 2);
    r = read_paths(paths, 3, &o);
    buf_free(&r.out);
    CHECK(r.e.code == 2 && strstr(r.e.text, "no label"));
    unlink(paths[2]);
    r = read_paths(paths, 3, &o);
    buf_free(&r.out);
    CHECK(r.e.code == 66 && strstr(r.e.text, "c.tsv"));
    for (int i = 0; i < 3; i++)
        free(paths[i]);
}

/* Random bytes in every format: an answer or a clean refusal, the same for every chunk size. */
static void noise(void)
{
    static const char alphabet[] = "a,\"\t\r\n{}[]:\\u0d8 1\xe2\x82\xff";
    uint64_t seed = 1;

    for (int round = 0; round < 4000; round++) {
        char text[64];
        struct result one, two;
        struct records_options o = {.format = (enum records_format)(round % 5),
                                    .chunk_bytes = 1};
        size_t n = 0;

        if (round % 3 == 0)
            o.text = "1";
        while (n < sizeof text) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[n++] = alphabet[(seed >> 33) % (sizeof alphabet)];
            if ((seed >> 50) % 40 == 0)
                break;
        }
        one = read_text("x", text, n, &o);
        o.chunk_bytes = 1000;
        two = read_text("x", text, n, &o);
        CHECK(one.e.code == two.e.code && strcmp(one.e.text, two.e.text) == 0);
        CHECK(one.e.code || (one.out.len == two.out.len && one.invalid == two.invalid &&
                             memcmp(one.out.data, two.out.data, one.out.len) == 0));
        buf_free(&one.out);
        buf_free(&two.out);
    }
}

int main(void)
{
    char command[600];

    if (!mkdtemp(dir))
        return 1;
    RUN(plain_text);
    RUN(tsv);
    RUN(tsv_refused);
    RUN(csv);
    RUN(json_lines);
    RUN(deep_json);
    RUN(bad_bytes);
    RUN(utf8_ranges);
    RUN(long_lines);
    RUN(several_files);
    RUN(noise);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0 || test_end();
}
