/* SPDX-License-Identifier: MIT */
#include "tokheader.h"
#include "jsontext.h"
#include "tokblock.h"
#include "tokchain.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void toks_header_free(struct toks_header *h)
{
    free(h->tok_kind);
    free(h->tok_name);
    free(h->tok_hash);
    free(h->tok_path);
    free(h->provenance);
    free(h->publishes);
    memset(h, 0, sizeof *h);
}

/* Copies a string that may be NULL; false when out of memory. */
static bool copy_text(char **to, const char *from, struct err *e)
{
    *to = from ? mem_dup(from, e) : NULL;
    return !from || *to;
}

int toks_header_copy(struct toks_header *to, const struct toks_header *from,
                     struct err *e)
{
    *to = *from;
    to->tok_kind = to->tok_name = to->tok_hash = to->tok_path = NULL;
    to->provenance = to->publishes = NULL;
    if (copy_text(&to->tok_kind, from->tok_kind, e) &&
        copy_text(&to->tok_name, from->tok_name, e) &&
        copy_text(&to->tok_hash, from->tok_hash, e) &&
        copy_text(&to->tok_path, from->tok_path, e) &&
        copy_text(&to->provenance, from->provenance, e) &&
        copy_text(&to->publishes, from->publishes, e))
        return 0;
    toks_header_free(to);
    return -1;
}

int tokheader_id_bytes(const struct toks_header *h)
{
    return h->vocab_size <= 65536 ? 2 : 4;
}

/* ---- writing ---- */

static json_t *text_or_null(const char *s, struct err *e)
{
    char *valid = s ? toks_utf8_repair(s, e) : NULL;
    json_t *j = valid ? json_string(valid) : s ? NULL : json_null();

    free(valid);
    return j;
}

/* [[id or "A" or "B", type], ...] */
static json_t *pieces_json(const struct template_piece *at, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++) {
        json_t *id = at[i].id == SEGMENT_A   ? json_string("A")
                     : at[i].id == SEGMENT_B ? json_string("B")
                                             : json_integer(at[i].id);
        json_t *pair = json_array();

        /* The _new functions take NULL as a failure and free what they are given. */
        if (json_array_append_new(pair, id) ||
            json_array_append_new(pair, json_integer(at[i].type)) ||
            json_array_append(list, pair)) {
            json_decref(pair);
            json_decref(list);
            return NULL;
        }
        json_decref(pair);
    }
    return list;
}

static json_t *special_json(const struct template *t)
{
    json_t *o = json_object();
    int bad = 0;

    bad |= json_object_set_new(o, "cls", json_integer(t->cls));
    bad |= json_object_set_new(o, "mask", json_integer(t->mask));
    bad |= json_object_set_new(o, "pad", json_integer(t->pad));
    bad |= json_object_set_new(o, "sep", json_integer(t->sep));
    bad |= json_object_set_new(o, "unk", json_integer(t->unk));
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

/* In the order in which they lie in a block. */
static const struct {
    const char *name;
    int bit; /* TOKS_..., or 0: always there */
} columns[] = {{"len", 0},   {"label", TOKS_LABEL},   {"pair", TOKS_PAIR}, {"number", 0},
               {"start", 0}, {"weight", TOKS_WEIGHT}, {"key", TOKS_KEY},   {"ids", 0}};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static json_t *columns_json(int set)
{
    json_t *list = json_array();
    int bad = 0;

    for (int i = 0; i < N_COLUMNS; i++)
        if (!columns[i].bit || set & columns[i].bit)
            bad |= json_array_append_new(list, json_string(columns[i].name));
    if (!bad)
        return list;
    json_decref(list);
    return NULL;
}

/* Puts an object as canonical JSON; takes the object. */
static int dump(json_t *o, int bad, struct buf *out, struct err *e)
{
    char *text = o && !bad ? jsontext_dump(o, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    int rc;

    json_decref(o);
    if (!text)
        return e->code ? -1 : err_oom(e, "JSON", 0);
    rc = buf_puts(out, text, e);
    free(text);
    return rc;
}

int tokheader_encode(const struct toks_header *h, struct buf *out, struct err *e)
{
    json_t *o = json_object(), *tok = json_object(), *template = json_object();
    const size_t before = out->len;
    const struct template *t = &h->template;
    int bad = 0;

    bad |= json_object_set_new(tok, "kind", text_or_null(h->tok_kind, e));
    bad |= json_object_set_new(tok, "name", text_or_null(h->tok_name, e));
    bad |= json_object_set_new(tok, "path", text_or_null(h->tok_path, e));
    bad |= json_object_set_new(tok, "xxh128", text_or_null(h->tok_hash, e));
    bad |= json_object_set_new(template, "single", pieces_json(t->single, t->n_single));
    bad |= json_object_set_new(template, "pair", pieces_json(t->pair, t->n_pair));
    bad |= json_object_set_new(o, "tokenizer", tok);
    bad |= json_object_set_new(o, "template", template);
    bad |= json_object_set_new(o, "format", json_string("toks"));
    bad |= json_object_set_new(o, "version", json_pack("[i,i]", TOKS_VERSION, 0));
    bad |= json_object_set_new(o, "id_bytes", json_integer(tokheader_id_bytes(h)));
    bad |= json_object_set_new(o, "vocab_size", json_integer(h->vocab_size));
    bad |= json_object_set_new(o, "special", special_json(t));
    bad |= json_object_set_new(o, "columns", columns_json(h->columns));
    bad |= json_object_set_new(o, "pg", tokchain_json(h->provenance, e));
    bad |= json_object_set_new(o, "publishes", text_or_null(h->publishes, e));
    if (dump(o, bad, out, e))
        return -1;
    if (out->len - before > HEADER_JSON_MAX)
        return err_set(e, ERR_DATA, "the header would be %zu bytes long; the limit is %d",
                       out->len - before, HEADER_JSON_MAX);
    return 0;
}

/* ---- reading ---- */

/* Brackets are counted before the parser recurses into them. */
static bool too_deep(const char *s, size_t n)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < n; i++) {
        if (in_string) {
            i += s[i] == '\\';
            in_string = i >= n || s[i] != '"' || s[i - 1] == '\\';
        } else if (s[i] == '"') {
            in_string = true;
        } else if (s[i] == '[' || s[i] == '{') {
            if (++depth > HEADER_JSON_DEPTH)
                return true;
        } else if (s[i] == ']' || s[i] == '}') {
            depth--;
        }
    }
    return false;
}

static json_t *parse(const char *json, size_t n, const char *what, struct err *e)
{
    json_error_t why;
    json_t *o;

    if (n > HEADER_JSON_MAX || too_deep(json, n)) {
        err_set(e, ERR_DATA, "%s of the stream is too long or too deep", what);
        return NULL;
    }
    o = tokchain_parse(json, n, &why, e);
    if (!o && e->code)
        return NULL;
    if (!json_is_object(o)) {
        err_set(e, ERR_DATA, "%s of the stream is damaged: %s", what,
                o ? "no JSON object" : why.text);
        json_decref(o);
        return NULL;
    }
    return o;
}

static int wrong(const char *key, struct err *e)
{
    return err_set(e, ERR_DATA, "stream header: '%s' is missing or wrong", key);
}

/* A string without NUL; `optional` lets null and absence be NULL. */
static int get_text(const json_t *o, const char *key, bool optional, char **to,
                    struct err *e)
{
    const json_t *j = json_object_get(o, key);

    *to = NULL;
    if (optional && (!j || json_is_null(j)))
        return 0;
    if (!json_is_string(j) || strlen(json_string_value(j)) != json_string_length(j))
        return wrong(key, e);
    *to = mem_dup(json_string_value(j), e);
    return *to ? 0 : -1;
}

static int get_int(const json_t *o, const char *key, int64_t min, int64_t max,
                   int64_t *to, struct err *e)
{
    const json_t *j = json_object_get(o, key);

    *to = 0;
    if (!json_is_integer(j) || json_integer_value(j) < min || json_integer_value(j) > max)
        return wrong(key, e);
    *to = json_integer_value(j);
    return 0;
}

static int get_special(const json_t *o, const char *key, uint32_t vocab_size, int32_t *to,
                       struct err *e)
{
    int64_t v = 0;

    if (get_int(o, key, -1, (int64_t)vocab_size - 1, &v, e))
        return -1;
    *to = (int32_t)v;
    return 0;
}

static int get_pieces(const json_t *o, const char *key, uint32_t vocab_size,
                      struct template_piece *at, int *n, struct err *e)
{
    const json_t *list = json_object_get(o, key);
    const size_t count = json_array_size(list);

    if (!json_is_array(list) || count > TEMPLATE_MAX)
        return wrong(key, e);
    for (size_t i = 0; i < count; i++) {
        const json_t *place = json_array_get(list, i), *id = json_array_get(place, 0);
        const json_t *type = json_array_get(place, 1);
        const char *segment = json_string_value(id);

        if (json_array_size(place) != 2 || !json_is_integer(type) ||
            json_integer_value(type) < 0 || json_integer_value(type) > 255)
            return wrong(key, e);
        at[i].type = (int32_t)json_integer_value(type);
        if (segment && (strcmp(segment, "A") == 0 || strcmp(segment, "B") == 0))
            at[i].id = *segment == 'A' ? SEGMENT_A : SEGMENT_B;
        else if (json_is_integer(id) && json_integer_value(id) >= 0 &&
                 json_integer_value(id) < vocab_size)
            at[i].id = (int32_t)json_integer_value(id);
        else
            return wrong(key, e);
    }
    *n = (int)count;
    return 0;
}

static int get_template(const json_t *o, uint32_t vocab_size, struct template *t,
                        struct err *e)
{
    const json_t *special = json_object_get(o, "special");
    const json_t *template = json_object_get(o, "template");

    return get_special(special, "cls", vocab_size, &t->cls, e) ||
           get_special(special, "sep", vocab_size, &t->sep, e) ||
           get_special(special, "pad", vocab_size, &t->pad, e) ||
           get_special(special, "unk", vocab_size, &t->unk, e) ||
           get_special(special, "mask", vocab_size, &t->mask, e) ||
           get_pieces(template, "single", vocab_size, t->single, &t->n_single, e) ||
           get_pieces(template, "pair", vocab_size, t->pair, &t->n_pair, e)
               ? -1 : 0;
}

static int get_columns(const json_t *o, int *set, struct err *e)
{
    const json_t *list = json_object_get(o, "columns"), *name;
    int always = 0;
    size_t i;

    *set = 0;
    if (!json_is_array(list))
        return wrong("columns", e);
    json_array_foreach(list, i, name) {
        int k = 0;

        while (k < N_COLUMNS && (!json_is_string(name) ||
                                 strcmp(json_string_value(name), columns[k].name) != 0))
            k++;
        if (k == N_COLUMNS)
            return wrong("columns", e);
        *set |= columns[k].bit;
        always += columns[k].bit == 0;
    }
    return always == 4 ? 0 : wrong("columns", e);
}

/* Fills *h, which toks_header_free releases also after a failure. */
static int read_header(const json_t *o, struct toks_header *h, struct err *e)
{
    const json_t *format = json_object_get(o, "format"),
                 *tok = json_object_get(o, "tokenizer");
    int64_t vocab_size = 0, id_bytes = 0;
    char *pg;

    if (!json_is_string(format) || strcmp(json_string_value(format), "toks") != 0)
        return wrong("format", e);
    if (get_int(o, "vocab_size", 1, INT32_MAX, &vocab_size, e) ||
        get_int(o, "id_bytes", 2, 4, &id_bytes, e))
        return -1;
    h->vocab_size = (uint32_t)vocab_size;
    if (id_bytes != tokheader_id_bytes(h))
        return wrong("id_bytes", e);
    if (get_text(tok, "kind", true, &h->tok_kind, e) ||
        get_text(tok, "name", true, &h->tok_name, e) ||
        get_text(tok, "path", true, &h->tok_path, e) ||
        get_text(tok, "xxh128", false, &h->tok_hash, e) ||
        get_text(o, "publishes", true, &h->publishes, e) ||
        get_columns(o, &h->columns, e) || get_template(o, h->vocab_size, &h->template, e))
        return -1;
    if (!tokchain_valid(json_object_get(o, "pg")))
        return wrong("pg", e);
    pg = jsontext_dump(json_object_get(o, "pg"), JSON_SORT_KEYS | JSON_COMPACT);
    h->provenance = pg;
    return pg ? 0 : err_oom(e, "JSON", 0);
}

int tokheader_decode(const char *json, size_t n, struct toks_header *h, struct err *e)
{
    json_t *o = parse(json, n, "the header", e);
    int rc;

    memset(h, 0, sizeof *h);
    if (!o)
        return -1;
    rc = read_header(o, h, e);
    json_decref(o);
    if (rc)
        toks_header_free(h);
    return rc;
}

static bool same_pieces(const struct template_piece *a, const struct template_piece *b,
                        int n)
{
    for (int i = 0; i < n; i++)
        if (a[i].id != b[i].id || a[i].type != b[i].type)
            return false;
    return true;
}

static bool same_template(const struct template *a, const struct template *b)
{
    return a->n_single == b->n_single && a->n_pair == b->n_pair && a->cls == b->cls &&
           a->sep == b->sep && a->pad == b->pad && a->unk == b->unk &&
           a->mask == b->mask && same_pieces(a->single, b->single, a->n_single) &&
           same_pieces(a->pair, b->pair, a->n_pair);
}

int tokheader_agree(const struct toks_header *a, const struct toks_header *b,
                    struct err *e)
{
    struct buf x = {0}, y = {0};

    if (strcmp(a->tok_hash, b->tok_hash) == 0 && a->vocab_size == b->vocab_size &&
        same_template(&a->template, &b->template))
        return 0;
    if (tokchain_line(a->provenance, &x, e) == 0 &&
        tokchain_line(b->provenance, &y, e) == 0)
        err_set(e, ERR_DATA,
                "streams of different tokenizers cannot be joined: '%.600s' (%s) "
                "made the first, '%.600s' (%s) this one",
                x.data, a->tok_name ? a->tok_name : "?", y.data,
                b->tok_name ? b->tok_name : "?");
    buf_free(&x);
    buf_free(&y);
    return -1;
}

/* ---- END ---- */

struct label_count {
    const char *text;
    size_t len;
    uint64_t count;
};

static int by_bytes(const void *a, const void *b)
{
    const struct label_count *x = a, *y = b;
    const size_t n = x->len < y->len ? x->len : y->len;
    const int c = memcmp(x->text, y->text, n);

    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* [["label", count], ...] in the order of their bytes: it does not depend on who came
 * first. */
static json_t *labels_json(const struct tokend *end, struct err *e)
{
    struct label_count *all;
    json_t *list;

    if (!end->labels)
        return json_null();
    all = mem_alloc(end->labels->n, sizeof *all, "label counts", e);
    list = all ? json_array() : NULL;
    for (size_t i = 0; list && i < end->labels->n; i++) {
        all[i].text = intern_get(end->labels, i, &all[i].len);
        all[i].count = end->label_count[i];
    }
    if (list && end->labels->n)
        qsort(all, end->labels->n, sizeof *all, by_bytes);
    for (size_t i = 0; list && i < end->labels->n; i++) {
        json_t *pair = json_array();

        if (json_array_append_new(pair, json_stringn(all[i].text, all[i].len)) ||
            json_array_append_new(pair, json_integer((json_int_t)all[i].count)) ||
            json_array_append(list, pair)) {
            json_decref(list);
            list = NULL;
        }
        json_decref(pair);
    }
    free(all);
    return list;
}

int tokend_encode(const struct tokend *end, struct buf *out, struct err *e)
{
    json_t *o = json_object(), *lengths = json_array();
    int last = END_LENGTHS, bad = 0;

    while (last > 0 && end->lengths[last - 1] == 0)
        last--;
    for (int i = 0; i < last; i++)
        bad |= json_array_append_new(lengths, json_integer((json_int_t)end->lengths[i]));
    bad |= json_object_set_new(o, "lengths", lengths);
    bad |= json_object_set_new(o, "longest", json_integer((json_int_t)end->longest));
    bad |= json_object_set_new(o, "content", json_string(end->content));
    bad |= json_object_set_new(o, "labels", labels_json(end, e));
    bad |= json_object_set_new(o, "unk", json_integer((json_int_t)end->unk));
    bad |= json_object_set_new(o, "invalid_utf8",
                               json_integer((json_int_t)end->invalid_utf8));
    bad |= json_object_set_new(
        o, "model_hash", text_or_null(*end->model_hash ? end->model_hash : NULL, e));
    bad |= json_object_set_new(o, "upstream",
                               text_or_null(*end->upstream ? end->upstream : NULL, e));
    return dump(o, bad, out, e);
}

static int get_hash(const json_t *o, const char *key, bool optional, char hex[33],
                    struct err *e)
{
    char *text;

    hex[0] = '\0';
    if (get_text(o, key, optional, &text, e))
        return -1;
    if (!text)
        return 0;
    if (strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32)
        memcpy(hex, text, 33);
    free(text);
    return *hex ? 0 : err_set(e, ERR_DATA, "END of the stream: '%s' is wrong", key);
}

int tokend_decode(const char *json, size_t n, struct tokend *end, struct err *e)
{
    json_t *o = parse(json, n, "END", e);
    int64_t unk = 0, invalid = 0;
    int rc;

    memset(end, 0, sizeof *end);
    if (!o)
        return -1;
    rc = get_hash(o, "content", false, end->content, e) ||
         get_hash(o, "model_hash", true, end->model_hash, e) ||
         get_hash(o, "upstream", true, end->upstream, e) ||
         get_int(o, "unk", 0, INT64_MAX, &unk, e) ||
         get_int(o, "invalid_utf8", 0, INT64_MAX, &invalid, e);
    json_decref(o);
    end->unk = (uint64_t)unk;
    end->invalid_utf8 = (uint64_t)invalid;
    return rc ? -1 : 0;
}
