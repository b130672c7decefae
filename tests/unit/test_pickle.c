/* SPDX-License-Identifier: MIT */
/*
 * pytorch_model.bin: what torch.save wrote is read, everything else is refused by name.
 * Golden files: tests/golden/weights/make.py.
 */
#include "io.h"
#include "pickle.h"
#include "pickle_vm.h"
#include "test.h"
#include "torch_fixture.h"

#include <math.h>

static struct err e;

/* Runs one pickle.  0, or -1 and e. */
static int run(const void *data, size_t n)
{
    struct pickle p;
    size_t used = 0;
    int rc;

    err_clear(&e);
    rc = pickle_run(&p, "case", data, n, &used, &e);
    pickle_free(&p);
    return rc;
}

/* Lists the tensors of a file in memory, and reads them when there are any. */
static int list(const struct buf *b, float *to, size_t room)
{
    struct stored_list l = {0};
    struct tensorfile f;
    int rc = -1;

    err_clear(&e);
    if (tensorfile_memory(&f, "case", b->data, b->len, &e))
        return -1;
    rc = pickle_list(&f, &l, &e);
    if (!rc)
        rc = stored_sort(&l, &e);
    for (size_t i = 0; !rc && to && i < l.n; i++)
        if ((size_t)l.at[i].w.n <= room)
            rc = stored_read(&l.at[i], to, &e);
    stored_list_free(&l);
    tensorfile_close(&f);
    return rc;
}

/* ---- what runs code ---- */

static void names_are_refused(void)
{
    static const char *const names[][2] = {
        {"os", "system"}, {"posix", "system"}, {"nt", "system"}, {"subprocess", "Popen"},
        {"subprocess", "check_output"}, {"builtins", "eval"}, {"builtins", "exec"},
        {"builtins", "getattr"}, {"builtins", "open"}, {"__builtin__", "eval"},
        {"operator", "attrgetter"}, {"runpy", "_run_code"}, {"importlib", "import_module"},
        {"torch", "load"}, {"torch.hub", "load"}, {"torch.jit", "load"},
        {"torch.jit._serialization", "unpackage_script_module"}, {"torch.nn", "Linear"},
        {"torch.storage", "_load_from_bytes"}, {"torch.storage", "TypedStorage"},
        {"torch._utils", "_rebuild_sparse_tensor"}, {"torch._utils", "_rebuild_tensor_v3"},
        {"torch", "_utils._rebuild_tensor_v2"}, {"torch", "FloatStorage.from_file"},
        {"collections", "defaultdict"}, {"collections", "OrderedDict.fromkeys"},
        {"numpy.core.multiarray", "_reconstruct"}, {"", ""}, {"collections ", "OrderedDict"},
        {"Collections", "OrderedDict"}, {"torch._utils", ""},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf b = {0};

        put_proto(&b);
        put_global(&b, names[i][0], names[i][1]);
        put_op(&b, '(');
        put_text(&b, "touch /tmp/pwned");
        put_bytes(&b, "tR.", 3);
        CHECK_MSG(run(b.data, b.len) == -1 && e.code == ERR_DATA, "%s.%s", names[i][0],
                  names[i][1]);
        CHECK_MSG(strstr(e.text, names[i][0]) && strstr(e.text, names[i][1]), "%s", e.text);
        CHECK_MSG(strstr(e.text, "nothing was run") && strstr(e.text, "case"), "%s", e.text);
        buf_free(&b);
    }
}

/* Each of the 256 opcodes: those that are not allowed are refused wherever they stand. */
static void opcodes_are_refused(void)
{
    static const unsigned char allowed[] = {
        0x80, '(', '.', 'c', 'R', 'Q', 'b', 'q', 'r', 'h', 'j', 'N', 0x88, 0x89, 0x8a, 'G', 'J',
        'K', 'M', 'U', 'T', 'X', ')', ']', '}', 0x85, 0x86, 0x87, 'a', 's', 't', 'e', 'u'};

    for (int op = 0; op < 256; op++) {
        struct buf b = {0};

        if (memchr(allowed, op, sizeof allowed))
            continue;
        put_proto(&b);
        put_bytes(&b, "NNN", 3);
        put_op(&b, op);
        put_bytes(&b, "os\nsystem\n\0\0\0\0\0\0\0\0.", 19);
        CHECK_MSG(run(b.data, b.len) == -1 && e.code == ERR_DATA, "opcode %02x", op);
        CHECK_MSG(strstr(e.text, "opcode") && strstr(e.text, "byte 5"), "%02x: %s", op, e.text);
        buf_free(&b);
    }
}

static void opcodes_are_named(void)
{
    static const struct {
        unsigned char op;
        const char *name;
    } cases[] = {{'i', "INST"}, {'o', "OBJ"}, {0x81, "NEWOBJ"}, {0x93, "STACK_GLOBAL"},
                 {0x92, "NEWOBJ_EX"}, {0x82, "EXT1"}, {'P', "PERSID"}, {0x95, "FRAME"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(run(&cases[i].op, 1) == -1);
        CHECK_MSG(strstr(e.text, cases[i].name), "%s", e.text);
    }
}

/* ---- values of the wrong type, stacks that are too short ---- */

struct raw_case {
    const char *what, *bytes;
    size_t n;
    const char *says;
};
#define RAW(what, bytes, says) {what, bytes, sizeof(bytes) - 1, says}
#define OD "ccollections\nOrderedDict\n"
#define TENSOR "ctorch._utils\n_rebuild_tensor_v2\n"
#define FLOATS "ctorch\nFloatStorage\n"
#define STORAGE "(U\x07storage" FLOATS "U\x01" "0U\x03" "cpuK\x06tQ"

static const struct raw_case raw_cases[] = {
    RAW("nothing", "", "cut short"),
    RAW("no STOP", "N", "cut short"),
    RAW("STOP alone", ".", "leave one value"),
    RAW("two values", "NN.", "leave one value"),
    RAW("a mark left", "N(.", "leave one value"),
    RAW("protocol 1", "\x80\x01N.", "protocol"),
    RAW("protocol 6", "\x80\x06N.", "protocol"),
    RAW("SETITEM on a list", "]NNs.", "no dictionary"),
    RAW("SETITEM on a tuple", ")NNs.", "no dictionary"),
    RAW("SETITEM on a number", "K\x01NNs.", "no dictionary"),
    RAW("SETITEM on a text", "U\x01xNNs.", "no dictionary"),
    RAW("SETITEM on a storage", STORAGE "NNs.", "no dictionary"),
    RAW("SETITEMS on a list", "](NNu.", "no dictionary"),
    RAW("SETITEMS on a tensor's name", TENSOR "(NNu.", "no dictionary"),
    RAW("SETITEMS with a lone key", "}(Nu.", "no value"),
    RAW("SETITEM with nothing below", "NNs.", "missing"),
    RAW("APPEND to a dictionary", "}Na.", "no list"),
    RAW("APPEND to a tuple", ")Na.", "no list"),
    RAW("APPENDS to a dictionary", "}(Ne.", "no list"),
    RAW("APPENDS to nothing", "(Ne.", "missing"),
    RAW("APPEND across a mark", "](Na.", "missing"),
    RAW("TUPLE without a mark", "Nt.", "mark is missing"),
    RAW("SETITEMS without a mark", "}NNu.", "mark is missing"),
    RAW("APPENDS without a mark", "]Ne.", "mark is missing"),
    RAW("TUPLE2 of one", "N\x86.", "missing"),
    RAW("TUPLE3 across a mark", "NN(N\x87.", "missing"),
    RAW("REDUCE of nothing", "R", "missing"),
    RAW("REDUCE of one", "NR.", "missing"),
    RAW("REDUCE across a mark", OD "()R.", "missing"),
    RAW("REDUCE of a number", "K\x01)R.", "no function"),
    RAW("REDUCE of a text", "U\x09os.system)R.", "no function"),
    RAW("REDUCE with a list", OD "]R.", "no function"),
    RAW("REDUCE of a storage's class", FLOATS ")R.", "by a call"),
    RAW("OrderedDict of something", OD "]\x85R.", "made of something"),
    RAW("tensor of nothing", TENSOR ")R.", "wrong number of parts"),
    RAW("tensor of five", TENSOR "(NNNNNtR.", "wrong number of parts"),
    RAW("tensor of no storage", TENSOR "(NK\0))\x89NtR.", "no storage"),
    RAW("tensor with a text for an offset", TENSOR "(" STORAGE "U\x01" "0))\x89NtR.",
        "offset"),
    RAW("tensor with a negative offset", TENSOR "(" STORAGE "J\xff\xff\xff\xff))\x89NtR.",
        "offset"),
    RAW("tensor with a number for a shape", TENSOR "(" STORAGE "K\0K\x01)\x89NtR.", "no tuple"),
    RAW("tensor with a list for a shape", TENSOR "(" STORAGE "K\0])\x89NtR.", "no tuple"),
    RAW("tensor with a true for a count", TENSOR "(" STORAGE "K\0\x88\x85K\x01\x85\x89NtR.",
        "counts"),
    RAW("tensor with a negative count",
        TENSOR "(" STORAGE "K\0J\xff\xff\xff\xff\x85K\x01\x85\x89NtR.", "counts"),
    RAW("tensor with a stride too few", TENSOR "(" STORAGE "K\0K\x01\x85)\x89NtR.", "strides"),
    RAW("tensor of nine dimensions", TENSOR "(" STORAGE "K\0(NNNNNNNNNt)\x89NtR.",
        "more than 8"),
    RAW("parameter of no tensor", "ctorch._utils\n_rebuild_parameter\n(NNNtR.", "no tensor"),
    RAW("persistent id a text", "U\x07storageQ.", "no tuple"),
    RAW("persistent id of nothing", ")Q.", "no storage"),
    RAW("persistent id of a module", "(U\x06moduleNNNNtQ.", "no storage"),
    RAW("storage of a function", "(U\x07storage" TENSOR "U\x01" "0U\x03" "cpuK\x06tQ.",
        "no storage"),
    RAW("storage without a key", "(U\x07storage" FLOATS "U\0U\x03" "cpuK\x06tQ.", "no storage"),
    RAW("storage with a NUL", "(U\x07storage" FLOATS "U\x01\0U\x03" "cpuK\x06tQ.", "NUL"),
    RAW("storage of -1", "(U\x07storage" FLOATS "U\x01" "0U\x03" "cpuJ\xff\xff\xff\xfftQ.",
        "no storage"),
    RAW("state of a list", "]}b.", "gets a state"),
    RAW("state of a tensor's storage", STORAGE "}b.", "gets a state"),
    RAW("state that is none", "}Nb.", "no dictionary"),
    RAW("state alone", "}b.", "gets a state"),
    RAW("memo read before it is set", "h\0.", "empty"),
    RAW("memo read beyond its end", "Nq\0h\x01.", "empty"),
    RAW("memo hole", "Nq\x02h\x01.", "empty"),
    RAW("memo set of nothing", "q\0.", "missing"),
    RAW("memo across a mark", "N(q\0.", "missing"),
    RAW("memo far off", "Nr\xff\xff\xff\xff.", "too far"),
    RAW("memo far off by a little", "Nr\x40\0\0\0.", "too far"),
    RAW("memo read far off", "Nj\xff\xff\xff\xff.", "empty"),
    RAW("long of 9 bytes", "\x8a\x09" "123456789.", "64 bits"),
    RAW("long cut short", "\x8a\x08" "1234", "cut short"),
    RAW("text longer than all", "X\xff\xff\xff\x7f.", "cut short"),
    RAW("text of 4 GiB", "T\xff\xff\xff\xff.", "cut short"),
    RAW("name without an end", "cos", "cut short"),
    RAW("second name without an end", "cos\nsystem", "cut short"),
    RAW("name with a NUL", "co\0s\nsystem\n.", "NUL"),
};

static void wrong_types(void)
{
    for (size_t i = 0; i < sizeof raw_cases / sizeof *raw_cases; i++) {
        const struct raw_case *c = &raw_cases[i];

        CHECK_MSG(run(c->bytes, c->n) == -1 && e.code == ERR_DATA, "%s: accepted", c->what);
        CHECK_MSG(strstr(e.text, c->says), "%s: %s", c->what, e.text);
    }
}

static void harmless_ones(void)
{
    /* A list and a dictionary that hold themselves, numbers of all sizes. */
    CHECK_MSG(run("]q\0h\0a.", 7) == 0, "%s", e.text);
    CHECK_MSG(run("}q\0Nh\0s.", 8) == 0, "%s", e.text);
    CHECK_MSG(run("(J\xff\xff\xff\xffK\x01M\x01\x02\x8a\0\x8a\x01\xffG12345678t.", 31) == 0, "%s",
              e.text);
}

/* Limits instead of memory: each of these would take gigabytes. */
static void endless_ones(void)
{
    enum { N = 6 << 20 };
    static const char *const repeated[] = {"(", "]", "N", ")", "}q\0", "(t", "K\x01"};
    char *data = malloc(N + 16);

    for (size_t i = 0; i < sizeof repeated / sizeof *repeated; i++) {
        const size_t n = repeated[i][0] == '}' ? 3 : strlen(repeated[i]);

        for (size_t at = 0; at + n <= N; at += n)
            memcpy(data + at, repeated[i], n);
        CHECK_MSG(run(data, N) == -1 && e.code == ERR_DATA, "%s", repeated[i]);
    }
    free(data);
}

/* ---- files: the layout before torch 1.6 ---- */

static struct buf legacy(const struct fixture *f, int says, int values)
{
    const char *const keys[] = {f->key};
    struct buf b = {0};

    put_legacy_start(&b, 1001, true);
    put_dict(&b, "a", f);
    put_legacy_keys(&b, keys, 1);
    put_legacy_values(&b, says, values);
    return b;
}

/* Makes the file, lists it, frees it. */
static int list_legacy(const struct fixture *f, int says, int values)
{
    struct buf b = legacy(f, says, values);
    float to[8];
    const int rc = list(&b, to, 8);

    buf_free(&b);
    return rc;
}

#define REFUSED(call, says_)                                                                  \
    do {                                                                                     \
        CHECK((call) == -1);                                                                 \
        CHECK_MSG(e.code == ERR_DATA && strstr(e.text, says_), "%d %s", e.code, e.text);      \
    } while (0)

static void legacy_sizes(void)
{
    const struct fixture good = fixture_default();
    struct fixture f = good;

    CHECK_MSG(list_legacy(&f, 6, 6) == 0, "%s", e.text);
    REFUSED(list_legacy(&f, 5, 6), "does not have the 6 values");
    REFUSED(list_legacy(&f, 7, 7), "does not have the 6 values");
    REFUSED(list_legacy(&f, 6, 5), "does not have the 6 values");
    REFUSED(list_legacy(&f, 6, 7), "stands behind");
    f.type = "HalfStorage"; /* 12 bytes of 24 */
    REFUSED(list_legacy(&f, 6, 6), "stands behind");
    f.type = "DoubleStorage";
    REFUSED(list_legacy(&f, 6, 6), "does not have the 6 values");
    f.type = "LongStorage";
    REFUSED(list_legacy(&f, 6, 12), "I64 values");
    f = good;
    f.n = INT64_MAX;
    REFUSED(list_legacy(&f, -1, 6), "does not have");
    f.n = INT64_C(1) << 62; /* times 4 is 0 in 64 bits */
    f.dims[0] = f.dims[1] = 0;
    REFUSED(list_legacy(&f, 0, 0), "does not have");
}

static void legacy_shapes(void)
{
    const struct fixture good = fixture_default();
    struct fixture f = good;

    f.offset = 1;
    REFUSED(list_legacy(&f, 6, 6), "does not lie inside");
    f = good;
    f.dims[0] = 3;
    REFUSED(list_legacy(&f, 6, 6), "does not lie inside");
    f = good;
    f.strides[0] = 4;
    REFUSED(list_legacy(&f, 6, 6), "does not lie inside");
    f = good;
    f.strides[0] = INT64_MAX;
    f.dims[0] = 3;
    REFUSED(list_legacy(&f, 6, 6), "does not lie inside");
    f = good;
    f.offset = INT64_MAX;
    REFUSED(list_legacy(&f, 6, 6), "does not lie inside");
    f = good;
    f.dims[0] = f.dims[1] = INT64_C(1) << 32;
    f.strides[0] = f.strides[1] = 0;
    REFUSED(list_legacy(&f, 6, 6), "too large");
    f = good;
    f.dims[0] = 1000;
    f.strides[0] = f.strides[1] = 0;
    REFUSED(list_legacy(&f, 6, 6), "repeats");
    f = good;
    f.dims[0] = 0;
    f.offset = 7;
    REFUSED(list_legacy(&f, 6, 6), "does not lie inside");
    f.offset = 6;
    CHECK_MSG(list_legacy(&f, 6, 6) == 0, "%s", e.text);
}

static void legacy_views(void)
{
    const struct fixture good = fixture_default();
    struct fixture f = good;
    struct buf b;
    float to[8] = {0};

    f.view_at = 2;
    f.view_n = 4;
    f.dims[0] = 1;
    b = legacy(&f, 6, 6);
    CHECK_MSG(list(&b, to, 8) == 0, "%s", e.text);
    CHECK(to[0] == 2 && to[2] == 4);
    buf_free(&b);
    f.offset = 2;
    REFUSED(list_legacy(&f, 6, 6), "does not lie inside");
    f = good;
    f.view_at = 3;
    f.view_n = 4;
    REFUSED(list_legacy(&f, 6, 6), "view");
    f.view_at = INT64_MAX;
    f.view_n = INT64_MAX;
    REFUSED(list_legacy(&f, 6, 6), "view");
}

static void legacy_keys(void)
{
    static const char *const keys[] = {"0", "1", "0"};
    const struct fixture f = fixture_default();
    struct buf b = {0};

    for (int n = 0; n <= 3; n++) {
        buf_reset(&b);
        put_legacy_start(&b, 1001, true);
        put_dict(&b, "a", &f);
        put_legacy_keys(&b, keys, n);
        for (int i = 0; i < n; i++)
            put_legacy_values(&b, 6, 6);
        if (n == 1)
            CHECK_MSG(list(&b, NULL, 0) == 0, "%s", e.text);
        else
            REFUSED(list(&b, NULL, 0), n == 0   ? "is not there"
                                       : n == 2 ? "belongs to no tensor"
                                                : "twice");
    }
    buf_free(&b);
}

static void legacy_starts(void)
{
    const struct fixture f = fixture_default();
    static const char *const keys[] = {"0"};
    struct buf b = {0};

    for (int wrong = 0; wrong < 2; wrong++) {
        buf_reset(&b);
        put_legacy_start(&b, wrong ? 1001 : 1002, !wrong);
        put_dict(&b, "a", &f);
        put_legacy_keys(&b, keys, 1);
        put_legacy_values(&b, 6, 6);
        REFUSED(list(&b, NULL, 0), wrong ? "little-endian" : "unknown version");
    }
    buf_free(&b);
}

/* The object must be a dictionary of texts and tensors. */
static void legacy_objects(void)
{
    static const struct raw_case objects[] = {
        RAW("a list", "].", "no dictionary"),
        RAW("a number", "K\x01.", "no dictionary"),
        RAW("a number for a key", "}K\x01Ns.", "key is no text"),
        RAW("a number for a tensor", "}U\x01xK\x01s.", "'x' is no tensor"),
        RAW("a dictionary in itself", "}q\0U\x01xh\0s.", "'x' is no tensor"),
        RAW("os.system", "cos\nsystem\n.", "os.system"),
    };
    struct buf b = {0};

    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        buf_reset(&b);
        put_legacy_start(&b, 1001, true);
        put_bytes(&b, objects[i].bytes, objects[i].n);
        put_legacy_keys(&b, NULL, 0);
        REFUSED(list(&b, NULL, 0), objects[i].says);
    }
    buf_free(&b);
}

/* ---- files: zip archives ---- */

static const float six[6] = {0, 1, 2, 3, 4, 5};

struct zip_case {
    const char *what;
    struct zip_part parts[5]; /* data == NULL: the right pickle */
    const char *says;
};

static const struct zip_case zip_cases[] = {
    {"good", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 24, 0, 0, 0}}, NULL},
    {"little", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 24, 0, 0, 0},
                {"x/byteorder", "little", 6, 0, 0, 0}}, NULL},
    {"big", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 24, 0, 0, 0},
             {"x/byteorder", "big", 3, 0, 0, 0}}, "little-endian"},
    {"short storage", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 20, 0, 0, 0}},
     "has 20 bytes, not 6 values of 4"},
    {"long storage", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", "0123456789012345678901234",
     25, 0, 0, 0}}, "has 25 bytes"},
    {"no storage", {{"x/data.pkl", NULL, 0, 0, 0, 0}}, "'x/data/0' is not there"},
    {"other folder", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"y/data/0", six, 24, 0, 0, 0}},
     "is not there"},
    {"wrong checksum", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 24, 1, 0, 0}},
     "checksum"},
    {"wrong checksum of the pickle", {{"x/data.pkl", NULL, 0, 1, 0, 0},
     {"x/data/0", six, 24, 0, 0, 0}}, "checksum"},
    {"packed", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 24, 0, 8, 0}},
     "compressed"},
    {"encrypted", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 24, 0, 0, 1}},
     "encrypted"},
    {"twice", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 24, 0, 0, 0},
               {"x/data/0", six, 24, 0, 0, 0}}, "two entries"},
    {"two pickles", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"y/data.pkl", NULL, 0, 0, 0, 0}},
     "more than one data.pkl"},
    {"no pickle", {{"x/data/0", six, 24, 0, 0, 0}}, "without data.pkl"},
    {"pickle too deep", {{"x/y/data.pkl", NULL, 0, 0, 0, 0}}, "without data.pkl"},
    {"TorchScript", {{"x/data.pkl", NULL, 0, 0, 0, 0}, {"x/data/0", six, 24, 0, 0, 0},
                     {"x/constants.pkl", ").", 2, 0, 0, 0}}, "TorchScript"},
    {"evil pickle", {{"x/data.pkl", "cos\nsystem\n(U\x02lstR.", 20, 0, 0, 0}}, "os.system"},
    {"text behind the pickle", {{"x/data.pkl", "}.x", 3, 0, 0, 0}}, "stands behind"},
};

static void zips(void)
{
    const struct fixture f = fixture_default();
    struct buf pickle = {0}, file = {0};

    put_dict(&pickle, "a", &f);
    for (size_t i = 0; i < sizeof zip_cases / sizeof *zip_cases; i++) {
        for (int zip64 = 0; zip64 < 2; zip64++) {
            struct zip_part parts[5];
            float to[6] = {0};
            size_t n = 0;

            memcpy(parts, zip_cases[i].parts, sizeof parts);
            for (; n < 5 && parts[n].name; n++)
                if (!parts[n].data) {
                    parts[n].data = pickle.data;
                    parts[n].n = pickle.len;
                }
            buf_reset(&file);
            put_zip(&file, parts, n, zip64);
            if (!zip_cases[i].says) {
                CHECK_MSG(list(&file, to, 6) == 0, "%s: %s", zip_cases[i].what, e.text);
                CHECK(to[5] == 5);
                continue;
            }
            CHECK_MSG(list(&file, to, 6) == -1, "%s: accepted", zip_cases[i].what);
            CHECK_MSG(e.code == ERR_DATA && strstr(e.text, zip_cases[i].says), "%s: %s",
                      zip_cases[i].what, e.text);
        }
    }
    buf_free(&pickle);
    buf_free(&file);
}

/* ---- what torch itself wrote ---- */

static float base_value(int64_t i, int64_t j)
{
    return (float)i + (float)j / 8 - 2;
}

/* Element k of a tensor of make.py, by its name. */
static float wanted(const char *name, int64_t k)
{
    if (strcmp(name, "turned") == 0)
        return base_value(k % 6, k / 6);
    if (strcmp(name, "window") == 0)
        return base_value(1 + k / 3, 2 + k % 3);
    if (strcmp(name, "tail") == 0)
        return base_value((k + 3) / 7, (k + 3) % 7);
    if (strcmp(name, "double") == 0)
        return base_value(2 * (k / 7), k % 7);
    if (strcmp(name, "scalar") == 0)
        return 1.5f;
    if (strcmp(name, "permuted") == 0) /* (4, 2, 3) of (2, 3, 4) */
        return (float)(k % 6 * 4 + k / 6);
    return base_value(k / 7, k % 7); /* base, half, bf16, parameter */
}

static void check_golden(const char *path)
{
    struct stored_list l = {0};
    struct tensorfile f;
    float to[64];

    err_clear(&e);
    CHECK_MSG(tensorfile_open(&f, path, &e) == 0, "%s", e.text);
    CHECK_MSG(pickle_list(&f, &l, &e) == 0 && stored_sort(&l, &e) == 0, "%s", e.text);
    CHECK_MSG(l.n == 13, "%zu tensors", l.n);
    for (size_t i = 0; i < l.n; i++) {
        const struct stored *t = &l.at[i];

        if (t->type > STORED_F64) {
            CHECK(stored_read(t, to, &e) == -1 && e.code == ERR_DATA);
            err_clear(&e);
            continue;
        }
        CHECK(t->w.n <= 64);
        CHECK_MSG(stored_read(t, to, &e) == 0, "%s", e.text);
        for (int64_t k = 0; k < t->w.n; k++)
            CHECK_MSG(to[k] == wanted(t->w.name, k), "%s[%d] is %g", t->w.name, (int)k,
                      (double)to[k]);
    }
    stored_list_free(&l);
    tensorfile_close(&f);
}

static void golden_zip(void)
{
    check_golden("tests/golden/weights/zip.bin");
}

static void golden_legacy(void)
{
    check_golden("tests/golden/weights/legacy.bin");
}

static void golden_module(void)
{
    struct tensorfile f;
    struct stored_list l = {0};

    err_clear(&e);
    CHECK(tensorfile_open(&f, "tests/golden/weights/module.bin", &e) == 0);
    REFUSED(pickle_list(&f, &l, &e), "torch.nn.modules.linear.Linear");
    stored_list_free(&l);
    tensorfile_close(&f);
}

/* Sum over everything that a file holds; NaN when it was refused. */
static double checksum(const struct buf *b)
{
    struct stored_list l = {0};
    struct tensorfile f;
    double sum = NAN;
    float to[256];

    err_clear(&e);
    if (tensorfile_memory(&f, "damaged", b->data, b->len, &e) == 0 &&
        pickle_list(&f, &l, &e) == 0 && stored_sort(&l, &e) == 0) {
        sum = (double)l.n;
        for (size_t i = 0; i < l.n; i++) {
            const struct stored *t = &l.at[i];

            if (t->type > STORED_F64 || t->w.n > 256)
                continue;
            if (stored_read(t, to, &e))
                break;
            for (int64_t k = 0; k < t->w.n; k++)
                sum += (double)to[k] * (double)(k + 1) * (double)(i + 1);
        }
        if (e.code)
            sum = NAN;
    }
    stored_list_free(&l);
    tensorfile_close(&f);
    return sum;
}

static void truncations(void)
{
    static const char *const files[] = {"tests/golden/weights/zip.bin",
                                        "tests/golden/weights/legacy.bin"};

    for (int i = 0; i < 2; i++) {
        struct buf b = {0};

        err_clear(&e);
        b.data = io_slurp(files[i], 1 << 20, &b.len, &e);
        CHECK_MSG(b.data, "%s", e.text);
        CHECK(!isnan(checksum(&b)));
        for (size_t n = b.len; n-- > 0;) {
            /* A copy of just that size: a sanitizer sees what is read beyond it. */
            struct buf cut = {0};

            put_bytes(&cut, b.data, n);
            CHECK_MSG(isnan(checksum(&cut)), "%s: accepted when cut to %zu bytes", files[i], n);
            CHECK_MSG(e.code == ERR_DATA, "%zu: %d %s", n, e.code, e.text);
            buf_free(&cut);
        }
        buf_free(&b);
    }
}

/* With a sanitizer each case costs a hundred times as much. */
#ifdef __SANITIZE_ADDRESS__
enum { FLIP_STEP = 13 };
#else
enum { FLIP_STEP = 1 };
#endif

/* Bits of the zip file turned, one at a time: an error, or the same values. */
static void flips(void)
{
    struct buf b = {0};
    double right;
    int harmless = 0;

    err_clear(&e);
    b.data = io_slurp("tests/golden/weights/zip.bin", 1 << 20, &b.len, &e);
    CHECK_MSG(b.data, "%s", e.text);
    right = checksum(&b);
    for (size_t i = 0; i < b.len * 8; i += FLIP_STEP) {
        double sum;

        b.data[i / 8] = (char)(b.data[i / 8] ^ 1 << i % 8);
        sum = checksum(&b);
        b.data[i / 8] = (char)(b.data[i / 8] ^ 1 << i % 8);
        CHECK_MSG(isnan(sum) || sum == right, "bit %zu: other values", i);
        CHECK_MSG(!isnan(sum) || e.code == ERR_DATA, "bit %zu: %d %s", i, e.code, e.text);
        harmless += !isnan(sum);
    }
    printf("# %d of %zu turned bits change nothing\n", harmless, b.len * 8 / FLIP_STEP);
    buf_free(&b);
}

int main(void)
{
    RUN(names_are_refused);
    RUN(opcodes_are_refused);
    RUN(opcodes_are_named);
    RUN(wrong_types);
    RUN(harmless_ones);
    RUN(endless_ones);
    RUN(legacy_sizes);
    RUN(legacy_shapes);
    RUN(legacy_views);
    RUN(legacy_keys);
    RUN(legacy_starts);
    RUN(legacy_objects);
    RUN(zips);
    RUN(golden_zip);
    RUN(golden_legacy);
    RUN(golden_module);
    RUN(truncations);
    RUN(flips);
    return test_end();
}
