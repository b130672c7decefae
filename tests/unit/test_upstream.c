/* SPDX-License-Identifier: MIT */
/*
 * The cases of the reference's own tests: tests/golden/upstream.jsonl, one a line, relative to
 * the top of the tree.  Which of its tests they stand for, and why others have none, says
 * upstream.txt beside it.  A case is the parts of a tokenizer.json and what must come of them:
 *
 *     text           what is encoded; with `pair` and `max_len` for `input`
 *     normalized words ids tokens    what becomes of it, watched and unwatched
 *     plain          special tokens in it are text
 *     back           its ids decoded
 *     input types    the whole input; `frame` is what stands around it where it is "framed";
 *                    `left`: what is too long loses its start
 *     decode         tokens to decode, or `ids_to_decode`; `skip`: without the special ones
 *     decoded        what they give
 *     cut            [of A, of B, limit, left of A, left of B]: truncation alone
 *     error          words of the message that refuses it
 *     files base     the files of a directory; a model in ../shared/data, whose parts are
 *                    replaced (`bytes`: one of bytes alone); skipped where it is not
 */
#include "io.h"
#include "mem.h"
#include "test.h"
#include "tokrules.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#define GOLDEN "tests/golden/"
#define DATA "../shared/data/"

static int skipped, done;

/* What a watcher saw. */
struct seen {
    const char *text;
    struct buf normalized;
    json_t *words;
    struct tok_ids ids;
};

static int see(void *ctx, const struct encoder_event *event, struct err *e)
{
    struct seen *s = ctx;

    if (event->kind == ENCODER_NORMALIZED)
        return buf_add(&s->normalized, (const char *)event->p, event->n, e);
    if (event->kind == ENCODER_WORD || event->kind == ENCODER_ADDED)
        json_array_append_new(s->words, json_stringn((const char *)event->p, event->n));
    return 0;
}

/* ---- making a tokenizer ---- */

static struct tokenizer *from_files(const json_t *files, struct err *e)
{
    char dir[] = "/tmp/test_upstream.XXXXXX", path[300];
    struct tokenizer *t;
    const char *name;
    json_t *text;

    if (!mkdtemp(dir))
        return NULL;
    json_object_foreach((json_t *)(uintptr_t)files, name, text) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (io_put_file(path, json_string_value(text), json_string_length(text), e))
            return NULL;
    }
    t = tokenizer_load(dir, e);
    json_object_foreach((json_t *)(uintptr_t)files, name, text) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        unlink(path);
    }
    rmdir(dir);
    return t;
}

/* A vocabulary of the tokens to decode. */
static json_t *words_model(const json_t *tokens)
{
    json_t *vocab = json_object();
    const char *unk = tokens ? json_string_value(json_array_get(tokens, 0)) : "<unk>";

    for (size_t i = 0; i < json_array_size(tokens); i++) {
        const char *token = json_string_value(json_array_get(tokens, i));

        if (!json_object_get(vocab, token))
            json_object_set_new(vocab, token, json_integer((int)json_object_size(vocab)));
    }
    if (!tokens)
        json_object_set_new(vocab, unk, json_integer(0));
    return json_pack("{s:s,s:o,s:s}", "type", "WordLevel", "vocab", vocab, "unk_token", unk);
}

/* BPE without a merge over the characters that stand for bytes. */
static json_t *bytes_model(void)
{
    json_t *vocab = json_object();

    for (unsigned b = 0, extra = 256; b < 256; b++) {
        const bool same = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        const unsigned c = same ? b : extra++;
        const char two[] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 63)), 0};
        const char one[] = {(char)c, 0};

        json_object_set_new(vocab, c < 128 ? one : two, json_integer(b));
    }
    return json_pack("{s:n,s:n,s:n,s:{s:s,s:o,s:[]},s:{s:s,s:b},s:{s:s}}", "normalizer",
                     "post_processor", "added_tokens", "model", "type", "BPE", "vocab", vocab,
                     "merges", "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0,
                     "decoder", "type", "ByteLevel");
}

static json_t *base_of(const char *name)
{
    char path[300];

    if (strcmp(name, "bytes") == 0)
        return bytes_model();
    snprintf(path, sizeof path, DATA "%s/tokenizer.json", name);
    return json_load_file(path, JSON_ALLOW_NUL, NULL);
}

/* NULL and no error: it needs data that are not there. */
static struct tokenizer *make(const json_t *c, struct err *e)
{
    static const char *const parts[] = {"normalizer", "pre_tokenizer", "post_processor",
                                        "decoder", "added_tokens", "model"};
    const char *base = json_string_value(json_object_get(c, "base"));
    const json_t *decode = json_object_get(c, "decode");
    struct tokenizer *t;
    json_t *root;
    char *text;

    if (json_object_get(c, "files"))
        return from_files(json_object_get(c, "files"), e);
    root = base ? base_of(base) : json_object();
    if (!root)
        return NULL;
    if (!base)
        json_object_set_new(root, "model", words_model(decode));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (json_object_get(c, parts[i]))
            json_object_set(root, parts[i], json_object_get(c, parts[i]));
    text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    t = tokrules_from_json("case", text, strlen(text), e);
    free(text);
    return t;
}

/* ---- what comes of it ---- */

static bool same(const char *what, const json_t *want, json_t *got)
{
    const bool is = !want || json_equal(want, got);
    char *a = is ? NULL : json_dumps(want, JSON_ENCODE_ANY), *b;

    if (!is) {
        b = json_dumps(got, JSON_ENCODE_ANY);
        printf("# %s: %s, not %s\n", what, b, a);
        free(b);
    }
    free(a);
    json_decref(got);
    return is;
}

static json_t *ids_json(const uint32_t *id, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(id[i]));
    return list;
}

static json_t *tokens_json(const struct tokenizer *t, const struct tok_ids *ids)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ids->n; i++)
        json_array_append_new(list, json_string(tokenizer_token(t, ids->id[i])));
    return list;
}

static int encode(const struct tokenizer *t, const json_t *c, const char *key,
                  const struct encoder_watcher *w, struct tok_ids *ids, struct err *e)
{
    const json_t *text = json_object_get(c, key);
    const size_t n = json_string_length(text);
    struct encoder *enc = encoder_new(t, e);
    /* Of just its size, so that a sanitizer sees every byte too far. */
    char *copy = malloc(n ? n : 1);
    int rc;

    memcpy(copy, json_string_value(text), n);
    encoder_specials_in_text(enc, !json_is_true(json_object_get(c, "plain")));
    encoder_watch(enc, w);
    rc = encoder_encode(enc, copy, n, ids, e);
    encoder_free(enc);
    free(copy);
    return rc;
}

static bool decodes(const struct tokenizer *t, const json_t *c, const char *key,
                    const uint32_t *ids, size_t n, struct err *e)
{
    struct buf out = {0};
    const bool skip = json_is_true(json_object_get(c, "skip"));
    bool good = tokenizer_decode(t, ids, n, skip, &out, e) == 0 &&
                same(key, json_object_get(c, key), json_stringn(out.data ? out.data : "", out.len));

    buf_free(&out);
    return good;
}

/* The tokens that are to be decoded. */
static bool decoded(const struct tokenizer *t, const json_t *c, struct err *e)
{
    const json_t *tokens = json_object_get(c, "decode"), *given;
    uint32_t ids[64];
    size_t n = 0;

    given = tokens ? tokens : json_object_get(c, "ids_to_decode");
    for (; n < json_array_size(given) && n < 64; n++) {
        const json_t *v = json_array_get(given, n);

        ids[n] = (uint32_t)(tokens ? tokenizer_id(t, json_string_value(v))
                                   : json_integer_value(v));
    }
    return decodes(t, c, "decoded", ids, n, e);
}

/* What the test itself puts around the ids: first, between, last. */
static json_t *framed(const json_t *c, const struct tok_ids *a, const struct tok_ids *b)
{
    const json_t *frame = json_object_get(c, "frame");
    const size_t n = json_array_size(frame);
    json_t *list = json_array(), *ids = ids_json(a->id, a->n);

    json_array_append(list, json_array_get(frame, 0));
    json_array_extend(list, ids);
    json_decref(ids);
    for (size_t i = 1; i + 1 < n; i++)
        json_array_append(list, json_array_get(frame, i));
    ids = ids_json(b->id, b->n);
    json_array_extend(list, ids);
    json_decref(ids);
    json_array_append(list, json_array_get(frame, n - 1));
    return list;
}

static bool whole_input(const struct tokenizer *t, const json_t *c, const struct tok_ids *a,
                        struct err *e)
{
    const bool pair = json_object_get(c, "pair") != NULL;
    const struct template_limit limit = {json_integer_value(json_object_get(c, "max_len")),
                                         json_object_get(c, "left") ? 0 : -1};
    struct template_text first = {a->id, a->n, 0, 0}, second;
    struct tok_ids b = {0};
    int32_t ids[256], types[256];
    size_t n;
    json_t *want = json_incref(json_object_get(c, "input"));
    bool good;

    if (pair && encode(t, c, "pair", NULL, &b, e))
        return false;
    if (json_is_string(want)) {
        json_decref(want);
        want = framed(c, a, &b);
    }
    second = (struct template_text){b.id, b.n, 0, 0};
    template_keep(tokenizer_template(t), &limit, &first, pair ? &second : NULL);
    n = template_fill(tokenizer_template(t), &first, pair ? &second : NULL, ids, types, NULL);
    good = same("input", want, ids_json((const uint32_t *)ids, n)) &&
           same("types", json_object_get(c, "types"), ids_json((const uint32_t *)types, n));
    json_decref(want);
    tok_ids_free(&b);
    return good;
}

static bool encoded(const struct tokenizer *t, const json_t *c, struct err *e)
{
    struct seen s = {.words = json_array()};
    const struct encoder_watcher watcher = {see, &s};
    struct tok_ids ids = {0};
    bool good = encode(t, c, "text", NULL, &ids, e) == 0 &&
                encode(t, c, "text", &watcher, &s.ids, e) == 0;

    good = good && same("ids", json_object_get(c, "ids"), ids_json(ids.id, ids.n)) &&
           same("ids when watched", json_object_get(c, "ids"), ids_json(s.ids.id, s.ids.n)) &&
           same("tokens", json_object_get(c, "tokens"), tokens_json(t, &ids)) &&
           same("normalized", json_object_get(c, "normalized"),
                json_stringn(s.normalized.data ? s.normalized.data : "", s.normalized.len)) &&
           same("words", json_object_get(c, "words"), json_incref(s.words)) &&
           (!json_object_get(c, "back") || decodes(t, c, "back", ids.id, ids.n, e)) &&
           (!json_object_get(c, "input") || whole_input(t, c, &ids, e));
    json_decref(s.words);
    buf_free(&s.normalized);
    tok_ids_free(&s.ids);
    tok_ids_free(&ids);
    return good;
}

static bool cut_is(const json_t *c)
{
    const json_t *cut = json_object_get(c, "cut");
    struct template m = {0};
    size_t n[5];

    for (size_t i = 0; i < 5; i++)
        n[i] = (size_t)json_integer_value(json_array_get(cut, i));
    if (n[2] == 0) /* here: no limit */
        return true;
    template_cut(&m, (int64_t)n[2], &n[0], &n[1]);
    if (n[0] != n[3] || n[1] != n[4])
        printf("# cut to %zu and %zu, not %zu and %zu\n", n[0], n[1], n[3], n[4]);
    return n[0] == n[3] && n[1] == n[4];
}

/* Refused when it is loaded, or when it is used. */
static bool refused(struct tokenizer *t, const json_t *c, struct err *e)
{
    const char *words = json_string_value(json_object_get(c, "error"));
    struct tok_ids ids = {0};
    struct buf out = {0};
    const uint32_t first = 0;

    if (t && json_object_get(c, "text") && encode(t, c, "text", NULL, &ids, e) == 0)
        e->code = 0;
    else if (t && !e->code && tokenizer_decode(t, &first, 1, false, &out, e) == 0)
        e->code = 0;
    tok_ids_free(&ids);
    buf_free(&out);
    if (e->code == ERR_DATA && strstr(e->text, words))
        return true;
    printf("# not refused for '%s': %d %s\n", words, e->code, e->text);
    return false;
}

static bool case_holds(const json_t *c)
{
    struct err e = {0};
    struct tokenizer *t;
    bool good;

    if (json_object_get(c, "cut"))
        return cut_is(c);
    t = make(c, &e);
    if (!t && !e.code) {
        skipped++;
        return true;
    }
    if (json_object_get(c, "error"))
        good = refused(t, c, &e);
    else
        good = t && (!json_object_get(c, "text") || encoded(t, c, &e)) &&
               (!json_object_get(c, "decoded") || decoded(t, c, &e));
    if (!good && e.code)
        printf("# %s\n", e.text);
    tokenizer_free(t);
    return good;
}

static void every_case_holds(void)
{
    FILE *f = fopen(GOLDEN "upstream.jsonl", "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int bad = 0;

    CHECK(f);
    while ((n = getline(&line, &cap, f)) > 0) {
        json_t *c = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);

        CHECK(c);
        done++;
        if (!case_holds(c)) {
            printf("# line %d: %s\n", done, json_string_value(json_object_get(c, "from")));
            bad++;
        }
        json_decref(c);
    }
    free(line);
    fclose(f);
    if (skipped)
        printf("# %d cases skipped: no " DATA "models\n", skipped);
    CHECK_MSG(done > 300 && bad == 0, "%d of %d", bad, done);
}

/* "src/x.rs test" or "transformers x/y.py test": the length of all but the test's name. */
static size_t file_len(const char *from)
{
    const char *blank = strrchr(from, ' ');

    return blank ? (size_t)(blank - from) : 0;
}

/* How many tests of a file have cases. */
static size_t tests_of(const char *file, size_t n)
{
    FILE *f = fopen(GOLDEN "upstream.jsonl", "r");
    json_t *names = json_object();
    char *line = NULL;
    size_t cap = 0, count;
    ssize_t got;

    while (f && (got = getline(&line, &cap, f)) > 0) {
        json_t *c = json_loadb(line, (size_t)got, JSON_ALLOW_NUL, NULL);
        const char *from = json_string_value(json_object_get(c, "from"));

        if (from && file_len(from) == n && memcmp(from, file, n) == 0)
            json_object_set_new(names, from, json_null());
        json_decref(c);
    }
    count = json_object_size(names);
    json_decref(names);
    free(line);
    if (f)
        fclose(f);
    return count;
}

/* The list beside the cases says what there is, and why the others have none. */
static void list_is_true(void)
{
    FILE *f = fopen(GOLDEN "upstream.txt", "r");
    char line[400], file[200], all[20], why[200];
    size_t sum = 0;
    unsigned long n;

    CHECK(f);
    while (fgets(line, sizeof line, f)) {
        if (*line == '#')
            continue;
        CHECK_MSG(sscanf(line, "%199[^\t]\t%19s\t%lu\t%199[^\n]", file, all, &n, why) == 4, "%s",
                  line);
        CHECK_MSG(tests_of(file, strlen(file)) == n, "%s: %lu", file, n);
        CHECK_MSG(n >= strtoul(all, NULL, 10) || strlen(why) > 1, "%s: no reason", file);
        sum += n;
    }
    fclose(f);
    CHECK_MSG(sum > 200, "%zu", sum);
}

int main(void)
{
    RUN(every_case_holds);
    RUN(list_is_true);
    return test_end();
}
