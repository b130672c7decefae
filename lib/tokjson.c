/* SPDX-License-Identifier: MIT */
/*
 * tokjson: a tokenizer from tokenizer.json, read as data.
 *
 * What is not implemented is an error that names the file and the feature.  Truncation and
 * padding are left out: they are the business of the tools that train.
 */
#include "io.h"
#include "jsonscan.h"
#include "tokrules.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Numbers may be larger than any integer: a limit on lengths often is "none", as 1e30. */
enum { JSON_MAX = 512 << 20, JSON_FLAGS = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL };

/* The vocabulary and the merges, within the file's text: too large for a tree. */
struct large {
    const char *vocab, *merges; /* NULL: none */
    size_t n_vocab, n_merges;
};

/* The loader's state; `path` is what messages name. */
struct loader {
    struct tokenizer *t;
    const char *path;
    struct err *e;
    struct large large;
};

static int bad(const struct loader *l, const char *what)
{
    return err_set(l->e, ERR_DATA, "'%s': %s", l->path, what);
}

static int missing(const struct loader *l, const char *part, const char *type)
{
    return err_set(l->e, ERR_DATA, "'%s': the %s '%s' is not implemented", l->path, part, type);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

/* A whole number from 0 to `most`, else -1. */
static int64_t whole(const json_t *v, int64_t most)
{
    const double x = json_is_number(v) ? json_number_value(v) : -1;

    return x >= 0 && x <= (double)most && x == (double)(int64_t)x ? (int64_t)x : -1;
}

static bool flag(const json_t *o, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(o, key);

    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static bool is_type(const json_t *o, const char *type)
{
    return strcmp(text_of(o, "type"), type) == 0;
}

/* ---- normalizer ---- */

static int add_steps(const struct loader *l, int a, int b)
{
    struct normalizer *nz = &l->t->normalizer;

    l->t->bert = false;
    if (normalizer_add(nz, (enum norm_step)a) || (b && normalizer_add(nz, (enum norm_step)b)))
        return bad(l, "too many normalizers");
    return 0;
}

static int load_normalizer(const struct loader *l, const json_t *o, int depth)
{
    const char *type = text_of(o, "type");

    if (!o || json_is_null(o))
        return 0;
    if (is_type(o, "Sequence") && depth < 8) {
        const json_t *list = json_object_get(o, "normalizers");

        for (size_t i = 0; i < json_array_size(list); i++)
            if (load_normalizer(l, json_array_get(list, i), depth + 1))
                return -1;
        return 0;
    }
    if (is_type(o, "BertNormalizer")) {
        const json_t *strip = json_object_get(o, "strip_accents");

        if (tokrules_bert(l->t, flag(o, "clean_text", true), flag(o, "handle_chinese_chars", true),
                          json_is_boolean(strip) ? json_is_true(strip) : -1,
                          flag(o, "lowercase", true)))
            return bad(l, "too many normalizers");
        return 0;
    }
    if (is_type(o, "Lowercase"))
        return add_steps(l, NORM_LOWER, 0);
    if (is_type(o, "StripAccents"))
        return add_steps(l, NORM_STRIP_MARK, 0);
    if (is_type(o, "NFD"))
        return add_steps(l, NORM_NFD, 0);
    if (is_type(o, "NFC"))
        return add_steps(l, NORM_NFC, 0);
    return missing(l, "normalizer", type);
}

/* ---- pre-tokenizer ---- */

static int load_byte_level(const struct loader *l, const json_t *o)
{
    struct pretokenizer *pre = &l->t->pre;

    if (pre->bytes)
        return bad(l, "two ByteLevel pre-tokenizers");
    pre->bytes = true;
    pre->prefix_space = flag(o, "add_prefix_space", true);
    return pretokenizer_add(pre, flag(o, "use_regex", true) ? PRE_GPT2 : PRE_NONE);
}

static int load_pre(const struct loader *l, const json_t *o, int depth)
{
    struct pretokenizer *pre = &l->t->pre;
    int rc = 0;

    if (!o || json_is_null(o))
        return 0;
    if (is_type(o, "Sequence") && depth < 8) {
        const json_t *list = json_object_get(o, "pretokenizers");

        for (size_t i = 0; i < json_array_size(list); i++)
            if (load_pre(l, json_array_get(list, i), depth + 1))
                return -1;
        return 0;
    }
    if (pre->bytes)
        return bad(l, "a pre-tokenizer behind ByteLevel is not implemented");
    if (is_type(o, "BertPreTokenizer"))
        rc = pretokenizer_add(pre, PRE_BERT);
    else if (is_type(o, "ByteLevel"))
        rc = load_byte_level(l, o);
    else if (is_type(o, "Whitespace"))
        rc = pretokenizer_add(pre, PRE_WORDS);
    else if (is_type(o, "WhitespaceSplit"))
        rc = pretokenizer_add(pre, PRE_SPACE);
    else if (is_type(o, "Digits"))
        rc = pretokenizer_add(pre, flag(o, "individual_digits", false) ? PRE_DIGIT : PRE_DIGITS);
    else if (is_type(o, "Punctuation") &&
             (!json_object_get(o, "behavior") || strcmp(text_of(o, "behavior"), "Isolated") == 0))
        rc = pretokenizer_add(pre, PRE_PUNCT);
    else
        return missing(l, "pre-tokenizer", text_of(o, "type"));
    return rc ? bad(l, "too many pre-tokenizers") : 0;
}

/* ---- model ---- */

static int load_wordpiece(const struct loader *l, const json_t *o)
{
    struct tokenizer *t = l->t;
    const json_t *prefix = json_object_get(o, "continuing_subword_prefix");
    const json_t *unk = json_object_get(o, "unk_token"), *max;
    const char *unk_name = json_is_string(unk) ? json_string_value(unk) : "[UNK]";
    const int64_t id = vocabmap_id(&t->vocab, unk_name, strlen(unk_name));

    max = json_object_get(o, "max_input_chars_per_word");
    t->model = TOK_WORDPIECE;
    t->prefix = mem_dup(json_is_string(prefix) ? json_string_value(prefix) : "##", l->e);
    if (!t->prefix)
        return -1;
    if (id < 0)
        return bad(l, "the unknown token is not in the vocabulary");
    if (max && whole(max, INT32_MAX) < 0)
        return bad(l, "max_input_chars_per_word is no number");
    t->wordpiece.unk = (int32_t)id;
    t->wordpiece.max_chars = max ? (size_t)whole(max, INT32_MAX) : 100;
    return 0;
}

static int load_bpe(const struct loader *l, const json_t *o)
{
    struct tokenizer *t = l->t;
    const json_t *dropout = json_object_get(o, "dropout");
    const char *unk = json_string_value(json_object_get(o, "unk_token"));
    struct jsonscan s;
    int rc;

    t->model = TOK_BPE;
    if (json_is_number(dropout) && json_number_value(dropout) != 0)
        return missing(l, "model's option", "dropout");
    if (*text_of(o, "continuing_subword_prefix"))
        return missing(l, "model's option", "continuing_subword_prefix");
    if (*text_of(o, "end_of_word_suffix"))
        return missing(l, "model's option", "end_of_word_suffix");
    if (flag(o, "byte_fallback", false))
        return missing(l, "model's option", "byte_fallback");
    if (!l->large.merges)
        return bad(l, "the model has no merges");
    jsonscan_open(&s, l->large.merges, l->large.n_merges, l->path);
    rc = tokrules_merges(t, &s, l->e);
    jsonscan_close(&s);
    if (rc)
        return -1;
    t->bpe.whole = flag(o, "ignore_merges", false);
    t->bpe.fuse_unk = flag(o, "fuse_unk", false);
    t->bpe.unk = unk ? vocabmap_id(&t->vocab, unk, strlen(unk)) : -1;
    if (unk && t->bpe.unk < 0)
        return bad(l, "the unknown token is not in the vocabulary");
    return 0;
}

/* A model without a type is told by what only it has. */
static const char *model_type(const json_t *o)
{
    if (*text_of(o, "type"))
        return text_of(o, "type");
    if (json_object_get(o, "merges"))
        return "BPE";
    if (json_object_get(o, "max_input_chars_per_word") ||
        json_object_get(o, "continuing_subword_prefix"))
        return "WordPiece";
    return "without a type";
}

static int load_model(const struct loader *l, const json_t *o)
{
    const char *type = model_type(o);
    const bool wordpiece = strcmp(type, "WordPiece") == 0;
    struct jsonscan s;
    int rc;

    if (!json_is_object(o))
        return bad(l, "there is no model");
    if (!wordpiece && strcmp(type, "BPE") != 0)
        return missing(l, "model", type);
    if (!l->large.vocab)
        return bad(l, "the model has no vocabulary");
    jsonscan_open(&s, l->large.vocab, l->large.n_vocab, l->path);
    rc = tokrules_vocab(l->t, &s, l->e);
    jsonscan_close(&s);
    if (rc)
        return -1;
    return wordpiece ? load_wordpiece(l, o) : load_bpe(l, o);
}

/* ---- added tokens ---- */

static int load_added(const struct loader *l, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i), *content = json_object_get(o, "content");
        const bool special = flag(o, "special", false);
        int flags = special ? ADDED_SPECIAL : 0;

        if (!json_is_string(content))
            return bad(l, "an added token has no content");
        flags |= flag(o, "lstrip", false) ? ADDED_LSTRIP : 0;
        flags |= flag(o, "rstrip", false) ? ADDED_RSTRIP : 0;
        flags |= flag(o, "single_word", false) ? ADDED_SINGLE : 0;
        flags |= flag(o, "normalized", !special) ? ADDED_NORMALIZED : 0;
        if (tokrules_add(l->t, json_string_value(content), json_string_length(content), flags,
                         l->e))
            return -1;
    }
    return 0;
}

/* ---- post-processor ---- */

static int piece(const struct loader *l, bool pair, int32_t id, int32_t type)
{
    struct template *m = &l->t->template;

    if (tokrules_piece(pair ? m->pair : m->single, pair ? &m->n_pair : &m->n_single, id, type))
        return bad(l, "the post-processor's template is too long");
    return 0;
}

/* A segment on its own, or two: what stands where there is no template. */
static int plain_template(const struct loader *l)
{
    return piece(l, false, SEGMENT_A, 0) || piece(l, true, SEGMENT_A, 0) ||
                   piece(l, true, SEGMENT_B, 1)
               ? -1
               : 0;
}

/* ["[SEP]", 102] */
static int32_t pair_id(const json_t *o, const char *key)
{
    return (int32_t)whole(json_array_get(json_object_get(o, key), 1), VOCAB_MAX_ID);
}

/* BertProcessing and RobertaProcessing: fixed shapes. */
static int fixed_template(const struct loader *l, const json_t *o, bool roberta)
{
    const int32_t sep = pair_id(o, "sep"), cls = pair_id(o, "cls");
    const int32_t second = roberta ? 0 : 1;

    if (sep < 0 || cls < 0)
        return bad(l, "the post-processor has no sep or no cls");
    return piece(l, false, cls, 0) || piece(l, false, SEGMENT_A, 0) || piece(l, false, sep, 0) ||
                   piece(l, true, cls, 0) || piece(l, true, SEGMENT_A, 0) ||
                   piece(l, true, sep, 0) || (roberta && piece(l, true, sep, 0)) ||
                   piece(l, true, SEGMENT_B, second) || piece(l, true, sep, second)
               ? -1
               : 0;
}

/* One place of a TemplateProcessing; a special token may stand for several ids. */
static int template_place(const struct loader *l, const json_t *specials, const json_t *o,
                          bool pair)
{
    const json_t *special = json_object_get(o, "SpecialToken");
    const json_t *at = special ? special : json_object_get(o, "Sequence"), *ids;
    const int32_t type_id = (int32_t)whole(json_object_get(at, "type_id"), 255);

    if (type_id < 0)
        return bad(l, "the post-processor's template is malformed");
    if (!special) {
        const char *id = text_of(at, "id");

        if (strcmp(id, "A") != 0 && (strcmp(id, "B") != 0 || !pair))
            return bad(l, "the post-processor's template is malformed");
        return piece(l, pair, *id == 'A' ? SEGMENT_A : SEGMENT_B, type_id);
    }
    ids = json_object_get(json_object_get(specials, text_of(at, "id")), "ids");
    if (json_array_size(ids) == 0)
        return bad(l, "the post-processor's template names an unknown special token");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const int64_t id = whole(json_array_get(ids, i), VOCAB_MAX_ID);

        if (id < 0)
            return bad(l, "the post-processor's special token has a bad id");
        if (piece(l, pair, (int32_t)id, type_id))
            return -1;
    }
    return 0;
}

static int load_template(const struct loader *l, const json_t *o)
{
    const json_t *specials = json_object_get(o, "special_tokens");
    const json_t *single = json_object_get(o, "single"), *pair = json_object_get(o, "pair");

    if (!json_is_array(single) || !json_is_array(pair))
        return bad(l, "the post-processor's template is malformed");
    for (size_t i = 0; i < json_array_size(single); i++)
        if (template_place(l, specials, json_array_get(single, i), false))
            return -1;
    for (size_t i = 0; i < json_array_size(pair); i++)
        if (template_place(l, specials, json_array_get(pair, i), true))
            return -1;
    return 0;
}

static int load_post(const struct loader *l, const json_t *o, int depth)
{
    if (!o || json_is_null(o) || is_type(o, "ByteLevel"))
        return 0;
    if (is_type(o, "Sequence") && depth < 8) {
        const json_t *list = json_object_get(o, "processors");

        for (size_t i = 0; i < json_array_size(list); i++)
            if (load_post(l, json_array_get(list, i), depth + 1))
                return -1;
        return 0;
    }
    if (l->t->template.n_single)
        return bad(l, "two post-processors with templates are not implemented");
    if (is_type(o, "TemplateProcessing"))
        return load_template(l, o);
    if (is_type(o, "BertProcessing") || is_type(o, "RobertaProcessing"))
        return fixed_template(l, o, is_type(o, "RobertaProcessing"));
    return missing(l, "post-processor", text_of(o, "type"));
}

/* ---- decoder ---- */

static int load_decoder(const struct loader *l, const json_t *o)
{
    struct tokenizer *t = l->t;
    const json_t *prefix = json_object_get(o, "prefix");

    t->decoder = DECODE_UNKNOWN;
    if (!o || json_is_null(o)) {
        t->decoder = DECODE_JOIN;
    } else if (is_type(o, "ByteLevel")) {
        t->decoder = DECODE_BYTES;
    } else if (is_type(o, "WordPiece")) {
        t->decoder = DECODE_WORDPIECE;
        t->decode_cleanup = flag(o, "cleanup", true);
        t->decode_prefix = mem_dup(json_is_string(prefix) ? json_string_value(prefix) : "##", l->e);
        if (!t->decode_prefix)
            return -1;
    }
    return 0;
}

static int load_all(const struct loader *l, const json_t *root)
{
    struct tokenizer *t = l->t;

    if (!json_is_object(root))
        return bad(l, "is no JSON object");
    if (load_normalizer(l, json_object_get(root, "normalizer"), 0) ||
        load_pre(l, json_object_get(root, "pre_tokenizer"), 0) ||
        load_model(l, json_object_get(root, "model")) ||
        load_added(l, json_object_get(root, "added_tokens")) ||
        load_post(l, json_object_get(root, "post_processor"), 0) ||
        load_decoder(l, json_object_get(root, "decoder")))
        return -1;
    if (t->template.n_single == 0 && plain_template(l))
        return -1;
    if ((t->model == TOK_BPE) != t->pre.bytes)
        return bad(l, t->pre.bytes ? "ByteLevel with a model that is no BPE is not implemented"
                                   : "BPE without ByteLevel is not implemented");
    return 0;
}

/* Notes where the vocabulary and the merges are in the model at *s, and what is left. */
static int cut_model(struct jsonscan *s, struct large *large, struct buf *rest, struct err *e)
{
    const char *from = s->p, *key;
    bool first = true;
    size_t n;
    int more = jsonscan_take(s, '{', e);

    while (more == 0 && (more = jsonscan_more(s, '}', &first, e)) > 0) {
        char open;

        more = jsonscan_string(s, &key, &n, e) || jsonscan_take(s, ':', e) ? -1 : 0;
        if (more)
            break;
        open = jsonscan_peek(s);
        if ((open == '{' && n == 5 && memcmp(key, "vocab", 5) == 0) ||
            (open == '[' && n == 6 && memcmp(key, "merges", 6) == 0)) {
            const char *const value = s->p;

            if (jsonscan_skip(s, e) || buf_add(rest, from, (size_t)(value - from), e) ||
                buf_puts(rest, open == '{' ? "{}" : "[]", e))
                return -1;
            *(open == '{' ? &large->vocab : &large->merges) = value;
            *(open == '{' ? &large->n_vocab : &large->n_merges) = (size_t)(s->p - value);
            from = s->p;
        } else if (jsonscan_skip(s, e)) {
            return -1;
        }
        more = 0;
    }
    return more < 0 || buf_add(rest, from, (size_t)(s->p - from), e) ? -1 : 0;
}

/* Splits the file's text into what is large and the rest, which is JSON still. */
static int cut_large(struct jsonscan *s, struct large *large, struct buf *rest, struct err *e)
{
    const char *from = s->p, *key;
    bool first = true;
    size_t n;
    int more = jsonscan_take(s, '{', e);

    while (more == 0 && (more = jsonscan_more(s, '}', &first, e)) > 0) {
        more = jsonscan_string(s, &key, &n, e) || jsonscan_take(s, ':', e) ? -1 : 0;
        if (more)
            break;
        if (jsonscan_peek(s) == '{' && n == 5 && memcmp(key, "model", 5) == 0) {
            if (buf_add(rest, from, (size_t)(s->p - from), e) || cut_model(s, large, rest, e))
                return -1;
            from = s->p;
        } else if (jsonscan_skip(s, e)) {
            return -1;
        }
    }
    return more < 0 || buf_add(rest, from, (size_t)(s->end - from), e) ? -1 : 0;
}

static int load_text(struct loader *l, const char *text, size_t n)
{
    struct buf rest = {0};
    struct jsonscan s;
    json_error_t error;
    json_t *root = NULL;
    int rc;

    jsonscan_open(&s, text, n, l->path);
    rc = cut_large(&s, &l->large, &rest, l->e);
    jsonscan_close(&s);
    errno = 0;
    if (rc == 0)
        root = json_loadb(rest.data, rest.len, JSON_FLAGS, &error);
    if (rc == 0 && errno == ENOMEM) { /* which the parser calls a syntax error, or overlooks */
        err_oom(l->e, l->path, n);
        json_decref(root);
        root = NULL;
    } else if (rc == 0 && !root)
        err_set(l->e, ERR_DATA, "'%s' is not JSON: %s", l->path, error.text);
    rc = root ? load_all(l, root) : -1;
    json_decref(root);
    buf_free(&rest);
    return rc;
}

int tokjson_text(struct tokenizer *t, const char *path, const char *text, size_t n,
                 struct err *e)
{
    struct loader l = {.t = t, .path = path, .e = e};

    return load_text(&l, text, n);
}

int tokjson_load(struct tokenizer *t, const char *path, struct err *e)
{
    size_t n;
    char *text = io_slurp(path, JSON_MAX, &n, e);
    const int rc = text ? tokjson_text(t, path, text, n, e) : -1;

    free(text);
    return rc;
}
