/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing safetensors, directories of weights and publishing of models.  The
 * reference's own file is tests/golden/weights/plain.safetensors; see make.py beside it.
 */
#include "io.h"
#include "mem.h"
#include "modeldir.h"
#include "safetensors.h"
#include "test.h"
#include "weights.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err e;
static char dir[] = "/tmp/test_weights.XXXXXX";

/* A path below the test's own directory; good until the eighth next call. */
static const char *in(const char *name)
{
    static char paths[8][300];
    static int at;

    at = (at + 1) % 8;
    snprintf(paths[at], sizeof paths[at], "%s/%s", dir, name);
    return paths[at];
}

static void put(const char *name, const void *data, size_t n)
{
    struct err ignored = {0};

    if (io_put_file(in(name), data, n, &ignored))
        printf("# cannot write %s: %s\n", name, ignored.text);
}

/* ---- safetensors: malformed headers ---- */

struct header_case {
    const char *what;
    const char *json;
    size_t values;     /* bytes behind the header */
    const char *says;  /* must be in the message; NULL: it is well formed */
};

#define F32_2 "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

static const struct header_case header_cases[] = {
    {"one tensor", "{\"a\":" F32_2 "}", 8, NULL},
    {"no tensor", "{}", 0, NULL},
    {"blanks", " {}", 0, "start with '{'"},
    {"blanks inside", "{ \"a\" : { \"dtype\" : \"F32\" , \"shape\" : [ 2 ] , "
     "\"data_offsets\" : [ 0 , 8 ] } }\n\t\r ", 8, NULL},
    {"metadata", "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},\"a\":" F32_2 "}", 8, NULL},
    {"empty metadata", "{\"__metadata__\":{},\"a\":" F32_2 "}", 8, NULL},
    {"escaped name", "{\"\\u0061\\n\\ud83d\\ude00\\/\":" F32_2 "}", 8, NULL},
    {"scalar", "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, NULL},
    {"two scalars out of order", "{\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":"
     "[4,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 8, NULL},
    {"empty tensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[0,0]}}", 0, NULL},
    {"4-bit pairs", "{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, NULL},
    /* from here on: refused */
    {"nothing", "", 0, "start with '{'"},
    {"an array", "[]", 0, "start with '{'"},
    {"unfinished object", "{", 0, "a string must be here"},
    {"unfinished tensor", "{\"a\":{\"dtype\":\"F32\"", 0, "must be here"},
    {"unfinished string", "{\"a", 0, "unfinished string"},
    {"unfinished escape", "{\"a\\", 0, "unfinished escape"},
    {"unknown escape", "{\"a\\x\":" F32_2 "}", 8, "unknown escape"},
    {"bad \\u", "{\"\\u00g1\":" F32_2 "}", 8, "bad \\u escape"},
    {"short \\u", "{\"\\u00", 0, "unfinished \\u"},
    {"lone high surrogate", "{\"\\ud800\":" F32_2 "}", 8, "surrogate"},
    {"lone low surrogate", "{\"\\udc00\":" F32_2 "}", 8, "surrogate"},
    {"wrong pair", "{\"\\ud800\\u0041\":" F32_2 "}", 8, "surrogate"},
    {"control character", "{\"a\n\":" F32_2 "}", 8, "control character"},
    {"NUL in a name", "{\"a\\u0000b\":" F32_2 "}", 8, "NUL"},
    {"bad UTF-8", "{\"\xff\":" F32_2 "}", 8, "not valid UTF-8"},
    {"overlong UTF-8", "{\"\xe0\x80\xaf\":" F32_2 "}", 8, "not valid UTF-8"},
    {"surrogate in UTF-8", "{\"\xed\xa0\x80\":" F32_2 "}", 8, "not valid UTF-8"},
    {"something behind", "{\"a\":" F32_2 "}x", 8, "stands behind"},
    {"two objects", "{\"a\":" F32_2 "}{}", 8, "stands behind"},
    {"trailing comma", "{\"a\":" F32_2 ",}", 8, "a string must be here"},
    {"no colon", "{\"a\"" F32_2 "}", 8, "':' must be here"},
    {"tensor twice", "{\"a\":" F32_2 ",\"a\":" F32_2 "}", 8, "overlap"},
    {"twice, no values", "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":"
     "{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "twice"},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice"},
    {"metadata key twice", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "twice"},
    {"metadata not text", "{\"__metadata__\":{\"k\":1}}", 0, "a string must be here"},
    {"metadata an array", "{\"__metadata__\":[]}", 0, "must be an object"},
    {"deep metadata", "{\"__metadata__\":{\"k\":{}}}", 0, "a string must be here"},
    {"other framework", "{\"__metadata__\":{\"format\":\"tf\"}}", 0, "format 'tf'"},
    {"tensor no object", "{\"a\":1}", 0, "must be an object"},
    {"tensor null", "{\"a\":null}", 0, "must be an object"},
    {"empty tensor object", "{\"a\":{}}", 0, "lacks"},
    {"no dtype", "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "lacks"},
    {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "lacks"},
    {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "lacks"},
    {"field twice", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":"
     "[0,8]}}", 8, "twice"},
    {"unknown field", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}",
     8, "unknown field"},
    {"unknown dtype", "{\"a\":{\"dtype\":\"F128\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     "unknown dtype"},
    {"NaN dtype", "{\"a\":{\"dtype\":NaN,\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     "a string must be here"},
    {"dtype in small letters", "{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
     8, "unknown dtype"},
    {"shape no array", "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8,
     "must be an array"},
    {"shape negative", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8,
     "a count must be here"},
    {"shape a fraction", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8,
     "not whole"},
    {"shape with an exponent", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2e0],\"data_offsets\":"
     "[0,8]}}", 8, "not whole"},
    {"shape with a leading 0", "{\"a\":{\"dtype\":\"F32\",\"shape\":[02],\"data_offsets\":[0,8]}}",
     8, "starts with 0"},
    {"shape nested", "{\"a\":{\"dtype\":\"F32\",\"shape\":[[2]],\"data_offsets\":[0,8]}}", 8,
     "a count must be here"},
    {"nine dimensions", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":"
     "[0,4]}}", 4, "more than 8"},
    {"shape 2^64", "{\"a\":{\"dtype\":\"F32\",\"shape\":[18446744073709551616],\"data_offsets\":"
     "[0,8]}}", 8, "too large"},
    {"shape 2^32 x 2^32", "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],"
     "\"data_offsets\":[0,0]}}", 0, "too large"},
    {"shape 2^62 floats", "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],"
     "\"data_offsets\":[0,0]}}", 0, "too large"},
    {"shape and offsets disagree", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":"
     "[0,8]}}", 8, "do not agree"},
    {"half a byte", "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1,
     "do not agree"},
    {"three offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8,
     "two numbers"},
    {"one offset", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8,
     "two numbers"},
    {"offsets swapped", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8,
     "backwards"},
    {"hole at the start", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
     "a hole"},
    {"hole between", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":"
     "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", 12, "a hole"},
    {"overlap", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":"
     "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "overlap"},
    {"one byte too few", "{\"a\":" F32_2 "}", 7, "cut short"},
    {"one byte too many", "{\"a\":" F32_2 "}", 9, "cut short or damaged"},
    {"bytes without tensors", "{}", 1, "cut short or damaged"},
    {"offsets beyond 2^63", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":"
     "[9223372036854775808,9223372036854775816]}}", 8, "too large"},
};

/* A file in memory: length, header, zeros. */
static int list_header(const char *json, size_t json_len, size_t values, struct stored_list *l)
{
    const size_t n = 8 + json_len + values;
    unsigned char *data = calloc(1, n);
    const uint64_t length = json_len;
    struct tensorfile f;
    int rc = -1;

    memcpy(data, &length, 8);
    memcpy(data + 8, json, json_len);
    err_clear(&e);
    if (tensorfile_memory(&f, "case", data, n, &e) == 0)
        rc = safetensors_list(&f, l, &e) || stored_sort(l, &e) ? -1 : 0;
    tensorfile_close(&f);
    free(data);
    return rc;
}

static void headers(void)
{
    int refused = 0;

    for (size_t i = 0; i < sizeof header_cases / sizeof *header_cases; i++) {
        const struct header_case *c = &header_cases[i];
        struct stored_list l = {0};
        const int rc = list_header(c->json, strlen(c->json), c->values, &l);

        stored_list_free(&l);
        if (!c->says) {
            CHECK_MSG(rc == 0, "%s: %s", c->what, e.text);
            continue;
        }
        refused++;
        CHECK_MSG(rc == -1 && e.code == ERR_DATA, "%s: accepted", c->what);
        CHECK_MSG(strstr(e.text, c->says), "%s: %s", c->what, e.text);
        CHECK_MSG(strstr(e.text, "case"), "%s: no file in: %s", c->what, e.text);
    }
    CHECK_MSG(refused >= 40, "only %d refused", refused);
}

static void escaped_name_is_read(void)
{
    static const char json[] = "{\"\\u0061\\n\\ud83d\\ude00\\/\":" F32_2 "}";
    struct stored_list l = {0};

    CHECK(list_header(json, strlen(json), 8, &l) == 0 && l.n == 1);
    CHECK(strcmp(l.at[0].w.name, "a\n\xf0\x9f\x98\x80/") == 0);
    stored_list_free(&l);
}

static void lengths(void)
{
    static const uint64_t claims[] = {3, 100, 100000001, UINT64_C(1) << 63, UINT64_MAX,
                                      UINT64_MAX - 7};
    unsigned char data[10] = {0};
    struct stored_list l = {0};
    struct tensorfile f;

    for (size_t n = 0; n < 8; n++) {
        err_clear(&e);
        CHECK(tensorfile_memory(&f, "short", data, n, &e) == 0);
        CHECK(safetensors_list(&f, &l, &e) == -1 && e.code == ERR_DATA);
        tensorfile_close(&f);
    }
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        memcpy(data, &claims[i], 8);
        err_clear(&e);
        CHECK(tensorfile_memory(&f, "claim", data, sizeof data, &e) == 0);
        CHECK(safetensors_list(&f, &l, &e) == -1 && e.code == ERR_DATA);
        tensorfile_close(&f);
    }
    stored_list_free(&l);
}

/* Nested arrays and endless numbers cost no stack and no memory. */
static void deep_header(void)
{
    enum { N = 1 << 20 };
    char *json = malloc(N + 100);
    struct stored_list l = {0};
    int n = sprintf(json, "{\"a\":{\"dtype\":\"F32\",\"shape\":");

    memset(json + n, '[', N);
    CHECK(list_header(json, (size_t)n + N, 0, &l) == -1 && e.code == ERR_DATA);
    memset(json + n, '1', N);
    CHECK(list_header(json, (size_t)n + N, 0, &l) == -1 && e.code == ERR_DATA);
    stored_list_free(&l);
    free(json);
}

static void too_many_tensors(void)
{
    struct buf json = {0};
    struct stored_list l = {0};

    CHECK(buf_putc(&json, '{', &e) == 0);
    for (int i = 0; i <= STORED_MAX; i++)
        CHECK(buf_addf(&json, &e, "%s\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":"
                       "[0,0]}", i ? "," : "", i) == 0);
    CHECK(buf_putc(&json, '}', &e) == 0);
    CHECK(list_header(json.data, json.len, 0, &l) == -1 && e.code == ERR_DATA);
    CHECK_MSG(strstr(e.text, "65536"), "%s", e.text);
    stored_list_free(&l);
    buf_free(&json);
}

/* ---- values ---- */

static void half_values(void)
{
    unsigned char *data = malloc(65536 * 2);
    float *to = malloc(65536 * sizeof *to);
    struct stored t = {.type = STORED_F16, .w = {.name = "h", .n_dims = 1, .dims = {65536}}};
    struct tensorfile f;

    t.w.n = 65536;
    for (int i = 0; i < 65536; i++) {
        data[2 * i] = (unsigned char)i;
        data[2 * i + 1] = (unsigned char)(i >> 8);
    }
    CHECK(tensorfile_memory(&f, "halves", data, 65536 * 2, &e) == 0);
    t.file = &f;
    CHECK(stored_read(&t, to, &e) == 0);
    for (int i = 0; i < 65536; i++) {
        const int exponent = i >> 10 & 31, mantissa = i & 1023;
        const double sign = i & 0x8000 ? -1 : 1;
        const double value = exponent == 0 ? ldexp(mantissa, -24)
                                           : ldexp(1024 + mantissa, exponent - 25);

        if (exponent == 31 && mantissa)
            CHECK_MSG(isnan(to[i]), "%04x is %g", i, (double)to[i]);
        else if (exponent == 31)
            CHECK_MSG(isinf(to[i]) && (to[i] > 0) == (sign > 0), "%04x", i);
        else
            CHECK_MSG((double)to[i] == sign * value && !signbit(to[i]) == (sign > 0),
                      "%04x is %g", i, (double)to[i]);
    }
    tensorfile_close(&f);
    free(data);
    free(to);
}

/* ---- writing ---- */

/* The values of make.py's base. */
static float base_value(int i, int j)
{
    return (float)i + (float)j / 8 - 2;
}

struct to_write {
    float base[42], row[7], scalar;
    int calls;
};

static const float *fill(void *ctx, size_t i, struct err *err)
{
    struct to_write *w = ctx;

    (void)err;
    w->calls++;
    return i == 1 ? w->row : i == 2 ? &w->scalar : w->base;
}

static void writes_as_the_reference(void)
{
    const struct safetensor t[] = {{"b.weight", 2, {6, 7}, 42},
                                   {"a", 1, {7}, 7},
                                   {"b", 0, {0}, 1},
                                   {"empty", 2, {0, 3}, 0}};
    struct to_write w = {.scalar = 1.5f};
    char *ours, *golden;
    size_t n = 0, n_golden = 0;
    int fd;

    for (int i = 0; i < 42; i++)
        w.base[i] = base_value(i / 7, i % 7);
    memcpy(w.row, w.base, sizeof w.row);
    err_clear(&e);
    fd = open(in("plain"), O_CREAT | O_WRONLY | O_TRUNC, 0666);
    CHECK(fd >= 0);
    CHECK_MSG(safetensors_write(fd, &(struct safetensors_file){"plain", t, 4}, fill, &w, &e) == 0, "%s", e.text);
    close(fd);
    CHECK(w.calls == 4);
    ours = io_slurp(in("plain"), 1 << 20, &n, &e);
    golden = io_slurp("tests/golden/weights/plain.safetensors", 1 << 20, &n_golden, &e);
    CHECK_MSG(ours && golden, "%s", e.text);
    CHECK_MSG(n == n_golden && memcmp(ours, golden, n) == 0, "%zu bytes, wanted %zu", n, n_golden);
    free(ours);
    free(golden);
}

static const float *no_values(void *ctx, size_t i, struct err *err)
{
    (void)ctx;
    (void)i;
    (void)err;
    return NULL;
}

static int write_some(int fd, const struct safetensor *t, size_t n,
                      const float *(*values)(void *ctx, size_t i, struct err *err),
                      struct to_write *w)
{
    const struct safetensors_file file = {"x", t, n};

    return safetensors_write(fd, &file, values, w, &e);
}

static void refuses_to_write(void)
{
    const struct safetensor twice[] = {{"a", 1, {1}, 1}, {"a", 1, {1}, 1}};
    const struct safetensor wrong[] = {{"a", 2, {2, 2}, 5}};
    const struct safetensor fine[] = {{"a", 1, {1}, 1}};
    const int fd = open("/dev/null", O_WRONLY), full = open("/dev/full", O_WRONLY);
    struct to_write w = {0};

    err_clear(&e);
    CHECK(write_some(fd, twice, 2, fill, &w) == -1 && e.code == ERR_INTERNAL);
    err_clear(&e);
    CHECK(write_some(fd, wrong, 1, fill, &w) == -1 && e.code == ERR_INTERNAL);
    err_clear(&e);
    CHECK(write_some(fd, fine, 1, no_values, &w) == -1 && e.code);
    err_clear(&e);
    CHECK(write_some(full, fine, 1, fill, &w) == -1 && e.code == ERR_IO);
    close(fd);
    close(full);
}

/* ---- directories of weights ---- */

static void write_shard(const char *name, const char *tensor, float value)
{
    const struct safetensor t = {tensor, 1, {1}, 1};
    struct to_write w = {.base = {value}};
    const int fd = open(in(name), O_CREAT | O_WRONLY | O_TRUNC, 0666);

    err_clear(&e);
    if (fd < 0 || safetensors_write(fd, &(struct safetensors_file){name, &t, 1}, fill, &w, &e))
        printf("# cannot write %s\n", name);
    close(fd);
}

static struct weights *open_shards(const char *index)
{
    put("s/model.safetensors.index.json", index, strlen(index));
    err_clear(&e);
    return weights_open(in("s"), &e);
}

static void shards(void)
{
    struct weights *w;
    float value = 0;

    mkdir(in("s"), 0777);
    write_shard("s/one.safetensors", "a", 1);
    write_shard("s/two.safetensors", "b", 2);
    w = open_shards("{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"one.safetensors\","
                    "\"b\":\"two.safetensors\"}}");
    CHECK_MSG(w, "%s", e.text);
    CHECK(weights_count(w) == 2 && !weights_find(w, "c"));
    CHECK(strcmp(weights_at(w, 0)->name, "a") == 0);
    CHECK(weights_read(w, weights_find(w, "b"), &value, &e) == 0 && value == 2);
    weights_close(w);
}

static void bad_shards(void)
{
    static const struct {
        const char *index;
        int code;
        const char *says;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"../s/one.safetensors\"}}", ERR_DATA, "no plain file name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", ERR_DATA, "no plain file name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", ERR_DATA, "no plain file name"},
        {"{\"weight_map\":{\"a\":\"\"}}", ERR_DATA, "no plain file name"},
        {"{\"weight_map\":{\"a\":1}}", ERR_DATA, "no plain file name"},
        {"{\"weight_map\":{\"a\":\"three.safetensors\"}}", ERR_NOINPUT, "three.safetensors"},
        {"{\"weight_map\":{\"c\":\"one.safetensors\"}}", ERR_DATA, "'c' is not in"},
        {"{\"weight_map\":{\"a\":\"two.safetensors\"}}", ERR_DATA, "'a' is not in"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}", ERR_DATA,
         "'b' is not in"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"copy.safetensors\"}}", ERR_DATA,
         "twice"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}", ERR_DATA,
         "duplicate"},
        {"{\"weight_map\":{}}", ERR_DATA, "no weight_map"},
        {"{\"weight_map\":[]}", ERR_DATA, "no weight_map"},
        {"[]", ERR_DATA, "no weight_map"},
        {"{\"weight_map\":", ERR_DATA, "line 1"},
    };

    write_shard("s/copy.safetensors", "a", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weights *w = open_shards(cases[i].index);

        CHECK_MSG(!w, "accepted: %s", cases[i].index);
        CHECK_MSG(e.code == cases[i].code, "%d for %s: %s", e.code, cases[i].index, e.text);
        CHECK_MSG(strstr(e.text, cases[i].says), "%s: %s", cases[i].index, e.text);
    }
}

static void absent_weights(void)
{
    mkdir(in("empty"), 0777);
    err_clear(&e);
    CHECK(!weights_open(in("empty"), &e) && e.code == ERR_NOINPUT);
    err_clear(&e);
    CHECK(!weights_open(in("nowhere"), &e) && e.code == ERR_NOINPUT);
    mkdir(in("odd"), 0777);
    mkdir(in("odd/model.safetensors"), 0777);
    err_clear(&e);
    CHECK(!weights_open(in("odd"), &e) && e.code == ERR_DATA);
}

/* safetensors come before pickles, and a plain file before shards. */
static void preferred_file(void)
{
    struct weights *w;
    float value = 0;

    put("s/pytorch_model.bin", "rubbish", 7);
    write_shard("s/model.safetensors", "a", 5);
    err_clear(&e);
    w = weights_open(in("s"), &e);
    CHECK_MSG(w, "%s", e.text);
    CHECK(weights_count(w) == 1 && weights_read(w, weights_at(w, 0), &value, &e) == 0);
    CHECK(value == 5);
    weights_close(w);
}

/* ---- publishing ---- */

static bool holds(const char *name, const char *text)
{
    struct err ignored = {0};
    size_t n = 0;
    char *data = io_slurp(in(name), 1 << 20, &n, &ignored);
    const bool same = data && n == strlen(text) && memcmp(data, text, n) == 0;

    free(data);
    return same;
}

/* Entries of a directory, hidden ones included. */
static int count_entries(const char *name)
{
    char command[400];
    FILE *p;
    int n = -1;

    snprintf(command, sizeof command, "find '%s' -mindepth 1 -maxdepth 1 | wc -l", in(name));
    p = popen(command, "r");
    if (!p || fscanf(p, "%d", &n) != 1)
        n = -1;
    if (p)
        pclose(p);
    return n;
}

static int publish(const char *name, bool force, const char *weights)
{
    struct modeldir d;

    err_clear(&e);
    if (modeldir_begin(&d, in(name), force, &e))
        return -1;
    if (modeldir_put(&d, "model.safetensors", weights, strlen(weights), &e) ||
        modeldir_put(&d, "config.json", "{}", 2, &e)) {
        modeldir_discard(&d);
        return -1;
    }
    return modeldir_publish(&d, NULL, &e);
}

static void publish_new(void)
{
    mkdir(in("p"), 0777);
    CHECK_MSG(publish("p/new", false, "one") == 0, "%s", e.text);
    CHECK(holds("p/new/model.safetensors", "one") && count_entries("p") == 1);
    CHECK(count_entries("p/new") == 2);
    /* A slash at the end, and an empty directory that is there. */
    CHECK_MSG(publish("p/slash/", false, "one") == 0, "%s", e.text);
    CHECK(holds("p/slash/config.json", "{}"));
    mkdir(in("p/there"), 0777);
    CHECK_MSG(publish("p/there", false, "two") == 0, "%s", e.text);
    CHECK(holds("p/there/model.safetensors", "two") && count_entries("p/there") == 2);
    CHECK(count_entries("p") == 3);
}

static void publish_over(void)
{
    put("p/new/notes.txt", "mine", 4);
    put("p/new/pytorch_model.bin", "stale", 5);
    CHECK(publish("p/new", false, "three") == -1 && e.code == ERR_CREATE);
    CHECK_MSG(strstr(e.text, "-f"), "%s", e.text);
    CHECK(holds("p/new/model.safetensors", "one"));
    CHECK_MSG(publish("p/new", true, "three") == 0, "%s", e.text);
    CHECK(holds("p/new/model.safetensors", "three") && holds("p/new/notes.txt", "mine"));
    CHECK(!io_exists(in("p/new/pytorch_model.bin")));
    CHECK(count_entries("p") == 3 && count_entries("p/new") == 3);
}

/* A directory with other things in it keeps them, the model comes along. */
static void publish_into(void)
{
    mkdir(in("p/mine"), 0777);
    put("p/mine/train.log", "log", 3);
    put("p/mine/config.json", "old", 3);
    CHECK_MSG(publish("p/mine", false, "four") == 0, "%s", e.text);
    CHECK(holds("p/mine/train.log", "log") && holds("p/mine/config.json", "{}"));
    CHECK(holds("p/mine/model.safetensors", "four") && count_entries("p/mine") == 3);
}

static void publish_refused(void)
{
    struct modeldir d;

    put("p/file", "x", 1);
    CHECK(publish("p/file", true, "x") == -1 && e.code == ERR_CREATE);
    CHECK(publish("p/absent/new", false, "x") == -1 && e.code == ERR_CREATE);
    err_clear(&e);
    CHECK(modeldir_check("", false, &e) == -1 && e.code == ERR_CREATE);
    err_clear(&e);
    CHECK(modeldir_check("/", false, &e) == -1 && e.code == ERR_CREATE);
    /* Given up: nothing stays behind. */
    err_clear(&e);
    CHECK(modeldir_begin(&d, in("p/dropped"), false, &e) == 0);
    CHECK(modeldir_put(&d, "config.json", "{}", 2, &e) == 0);
    modeldir_discard(&d);
    CHECK(!io_exists(in("p/dropped")) && count_entries("p") == 5);
    /* Someone else was faster. */
    CHECK(modeldir_begin(&d, in("p/raced"), false, &e) == 0);
    CHECK(modeldir_put(&d, "model.safetensors", "mine", 4, &e) == 0);
    CHECK(publish("p/raced", false, "other") == 0);
    err_clear(&e);
    CHECK(modeldir_publish(&d, NULL, &e) == -1 && e.code == ERR_CREATE);
    CHECK(holds("p/raced/model.safetensors", "other") && count_entries("p") == 6);
}

static void stamps_and_hashes(void)
{
    struct stat weights, config;
    char a[33], b[33];
    struct modeldir d;

    err_clear(&e);
    CHECK(modeldir_begin(&d, in("p/stamped"), false, &e) == 0);
    CHECK(modeldir_put(&d, "model.safetensors", "w", 1, &e) == 0);
    usleep(20000);
    CHECK(modeldir_put(&d, "config.json", "{}", 2, &e) == 0);
    CHECK(modeldir_publish(&d, a, &e) == 0 && strlen(a) == 32);
    CHECK(stat(in("p/stamped/model.safetensors"), &weights) == 0);
    CHECK(stat(in("p/stamped/config.json"), &config) == 0);
    CHECK(weights.st_mtim.tv_sec > config.st_mtim.tv_sec ||
          (weights.st_mtim.tv_sec == config.st_mtim.tv_sec &&
           weights.st_mtim.tv_nsec >= config.st_mtim.tv_nsec));
    /* provenance.json tells who made it, not what it is. */
    put("p/stamped/provenance.json", "[]", 2);
    CHECK(modeldir_hash(in("p/stamped"), b, &e) == 0 && strcmp(a, b) == 0);
    put("p/stamped/vocab.txt", "x", 1);
    CHECK(modeldir_hash(in("p/stamped"), b, &e) == 0 && strcmp(a, b) != 0);
    CHECK(modeldir_hash(in("p/nothing"), b, &e) == -1 && e.code == ERR_NOINPUT);
}

/* What a killed process left is taken away; what may be someone's is not. */
static void stale_ones_go(void)
{
    /* A process number beyond what Linux gives out. */
    mkdir(in("p/.again.99999999.0.tmp"), 0777);
    put("p/.again.99999999.0.tmp/model.safetensors", "half", 4);
    mkdir(in("p/.again.99999999.1.tmp"), 0777);
    put("p/.again.99999999.1.tmp/notes.txt", "mine", 4);
    mkdir(in("p/.again.1.0.tmp"), 0777); /* process 1 lives */
    mkdir(in("p/.other.99999999.0.tmp"), 0777);
    CHECK_MSG(publish("p/again", false, "w") == 0, "%s", e.text);
    CHECK(!io_exists(in("p/.again.99999999.0.tmp")));
    CHECK(holds("p/.again.99999999.1.tmp/notes.txt", "mine"));
    CHECK(io_exists(in("p/.again.1.0.tmp")) && io_exists(in("p/.other.99999999.0.tmp")));
}

static void copies_the_tokenizer(void)
{
    struct modeldir d;

    mkdir(in("from"), 0777);
    put("from/vocab.txt", "a\nb\n", 4);
    put("from/tokenizer_config.json", "{}", 2);
    put("from/README.md", "no", 2);
    err_clear(&e);
    CHECK(modeldir_begin(&d, in("p/copied"), false, &e) == 0);
    CHECK_MSG(modeldir_copy_tokenizer(&d, in("from"), &e) == 0, "%s", e.text);
    CHECK(modeldir_put(&d, "model.safetensors", "w", 1, &e) == 0);
    CHECK(modeldir_publish(&d, NULL, &e) == 0);
    CHECK(holds("p/copied/vocab.txt", "a\nb\n") && count_entries("p/copied") == 3);
}

int main(void)
{
    struct err ignored = {0};

    if (!mkdtemp(dir))
        return 1;
    RUN(headers);
    RUN(escaped_name_is_read);
    RUN(lengths);
    RUN(deep_header);
    RUN(too_many_tensors);
    RUN(half_values);
    RUN(writes_as_the_reference);
    RUN(refuses_to_write);
    RUN(shards);
    RUN(bad_shards);
    RUN(absent_weights);
    RUN(preferred_file);
    RUN(publish_new);
    RUN(publish_over);
    RUN(publish_into);
    RUN(publish_refused);
    RUN(stamps_and_hashes);
    RUN(copies_the_tokenizer);
    RUN(stale_ones_go);
    if (io_remove_tree(dir, &ignored))
        printf("# %s\n", ignored.text);
    return test_end();
}
