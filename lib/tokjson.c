/* SPDX-License-Identifier: MIT */
/*
 * tokjson: a tokenizer from tokenizer.json, read as data.
 *
 * What is not implemented is an error that names the file and the feature.  Truncation and
 * padding are left out: they are the business of the tools that train.
 */
#include "io.h"
#include "jsonscan.h"
#include "tokjson_int.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

int tokjson_bad(const struct json_loader *l, const char *what)
{
    return err_set(l->e, ERR_DATA, "'%s': %s", l->path, what);
}

const char *tokjson_type(const json_t *o, const char *const (*shapes)[6], size_t n)
{
    const char *type = json_string_value(json_object_get(o, "type"));

    for (size_t i = 0; !type && i < n; i++) {
        size_t k = 1;

        while (shapes[i][k] && json_object_get(o, shapes[i][k]))
            k++;
        type = shapes[i][k] ? NULL : shapes[i][0];
    }
    return type ? type : "without a type";
}

int tokjson_missing(const struct json_loader *l, const char *part, const char *type)
{
    return err_set(l->e, ERR_DATA, "'%s': the %s '%s' is not implemented", l->path, part, type);
}

/* ---- model ---- */

/* The id of the unknown token; a vocabulary without it does for texts that have only known words. */
static int32_t unknown_id(const struct json_loader *l, const json_t *token)
{
    const int64_t id =
        vocabmap_id(&l->t->vocab, json_string_value(token), json_string_length(token));

    l->t->lacks_unk = id < 0;
    return id < 0 ? VOCAB_NO_ID : (int32_t)id;
}

static int load_wordpiece(const struct json_loader *l, const json_t *o)
{
    struct tokenizer *t = l->t;
    const json_t *prefix = json_object_get(o, "continuing_subword_prefix");
    const json_t *max = json_object_get(o, "max_input_chars_per_word");
    const json_t *unk = json_object_get(o, "unk_token");

    t->model = TOK_WORDPIECE;
    t->prefix = mem_dup(json_is_string(prefix) ? json_string_value(prefix) : "##", l->e);
    if (!t->prefix)
        return -1;
    if (!json_is_string(unk))
        return tokjson_bad(l, "the model has no unk_token");
    if (max && json_whole(max, INT32_MAX) < 0)
        return tokjson_bad(l, "max_input_chars_per_word is no number");
    t->wordpiece.unk = unknown_id(l, unk);
    t->wordpiece.max_chars = max ? (size_t)json_whole(max, INT32_MAX) : 100;
    return 0;
}

/* An option that is text; NULL where it is absent or empty. */
static int affix(const struct json_loader *l, const json_t *o, const char *key, char **out)
{
    const char *text = json_text_of(o, key);

    *out = *text ? mem_dup(text, l->e) : NULL;
    return *text && !*out ? -1 : 0;
}

static int load_bpe(const struct json_loader *l, const json_t *o)
{
    struct tokenizer *t = l->t;
    const json_t *dropout = json_object_get(o, "dropout");
    const json_t *unk = json_object_get(o, "unk_token");
    struct jsonscan s;
    int rc;

    t->model = TOK_BPE;
    if (json_is_number(dropout) && json_number_value(dropout) != 0)
        return tokjson_missing(l, "model's option", "dropout");
    if (!l->large.merges)
        return tokjson_bad(l, "the model has no merges");
    if (affix(l, o, "continuing_subword_prefix", &t->chars.prefix) ||
        affix(l, o, "end_of_word_suffix", &t->chars.suffix))
        return -1;
    t->chars.byte_fallback = json_flag(o, "byte_fallback", false);
    jsonscan_open(&s, l->large.merges, l->large.n_merges, l->path);
    rc = tokrules_merges(t, &s, l->e);
    jsonscan_close(&s);
    if (rc)
        return -1;
    t->bpe.whole = json_flag(o, "ignore_merges", false);
    t->bpe.fuse_unk = json_flag(o, "fuse_unk", false);
    if (unk && !json_is_null(unk) && !json_is_string(unk))
        return tokjson_bad(l, "unk_token is no text");
    t->bpe.unk = json_is_string(unk) ? unknown_id(l, unk) : -1;
    return 0;
}

static int load_unigram(const struct json_loader *l, const json_t *o)
{
    struct tokenizer *t = l->t;
    const json_t *unk = json_object_get(o, "unk_id");
    const int64_t id = json_whole(unk, VOCAB_MAX_ID);

    t->model = TOK_UNIGRAM;
    t->lacks_unk = !unk || json_is_null(unk);
    if (!t->lacks_unk && (id < 0 || (size_t)id >= t->unigram.n))
        return tokjson_bad(l, "the unknown token is not in the vocabulary: unk_id is wrong");
    t->unigram.unk = t->lacks_unk ? VOCAB_NO_ID : (int32_t)id;
    t->unigram.byte_fallback = json_flag(o, "byte_fallback", false);
    return 0;
}

static int load_words(const struct json_loader *l, const json_t *o)
{
    struct tokenizer *t = l->t;
    const json_t *unk = json_object_get(o, "unk_token");

    t->model = TOK_WORDS;
    if (!json_is_string(unk))
        return tokjson_bad(l, "the model has no unk_token");
    t->words_unk = unknown_id(l, unk);
    return 0;
}

/* A model without a type is told by what only it has. */
static const char *model_type(const struct json_loader *l, const json_t *o)
{
    if (*json_text_of(o, "type"))
        return json_text_of(o, "type");
    if (l->large.vocab && *l->large.vocab == '[')
        return "Unigram";
    if (json_object_get(o, "merges"))
        return "BPE";
    if (json_object_get(o, "max_input_chars_per_word") ||
        json_object_get(o, "continuing_subword_prefix"))
        return "WordPiece";
    return json_object_get(o, "unk_token") ? "WordLevel" : "without a type";
}

static const struct {
    const char *type;
    int (*load)(const struct json_loader *l, const json_t *o);
    bool pieces; /* the vocabulary is a list with scores */
} models[] = {
    {"WordPiece", load_wordpiece, false},
    {"BPE", load_bpe, false},
    {"Unigram", load_unigram, true},
    {"WordLevel", load_words, false},
};

static int load_model(const struct json_loader *l, const json_t *o)
{
    const char *type = model_type(l, o);
    size_t k = 0;
    struct jsonscan s;
    int rc;

    if (!json_is_object(o))
        return tokjson_bad(l, "there is no model");
    while (k < sizeof models / sizeof models[0] && strcmp(models[k].type, type) != 0)
        k++;
    if (k == sizeof models / sizeof models[0])
        return tokjson_missing(l, "model", type);
    if (!l->large.vocab)
        return tokjson_bad(l, "the model has no vocabulary");
    jsonscan_open(&s, l->large.vocab, l->large.n_vocab, l->path);
    rc = models[k].pieces ? tokrules_pieces(l->t, &s, l->e) : tokrules_vocab(l->t, &s, l->e);
    jsonscan_close(&s);
    return rc ? -1 : models[k].load(l, o);
}

/* ---- added tokens ---- */

static int load_added(const struct json_loader *l, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i), *content = json_object_get(o, "content");
        const bool special = json_flag(o, "special", false);
        int flags = special ? ADDED_SPECIAL : 0;

        if (!json_is_string(content))
            return tokjson_bad(l, "an added token has no content");
        flags |= json_flag(o, "lstrip", false) ? ADDED_LSTRIP : 0;
        flags |= json_flag(o, "rstrip", false) ? ADDED_RSTRIP : 0;
        flags |= json_flag(o, "single_word", false) ? ADDED_SINGLE : 0;
        flags |= json_flag(o, "normalized", !special) ? ADDED_NORMALIZED : 0;
        if (tokrules_add(l->t, json_string_value(content), json_string_length(content), flags,
                         l->e))
            return -1;
    }
    return 0;
}

static int load_all(const struct json_loader *l, const json_t *root)
{
    struct tokenizer *t = l->t;

    if (!json_is_object(root))
        return tokjson_bad(l, "is no JSON object");
    if (tokjson_normalizer(l, json_object_get(root, "normalizer"), 0) ||
        tokjson_pre(l, json_object_get(root, "pre_tokenizer"), 0) ||
        load_model(l, json_object_get(root, "model")) ||
        load_added(l, json_object_get(root, "added_tokens")))
        return -1;
    if (t->vocab.entries == 0 && t->added.n == 0)
        return tokjson_bad(l, "the vocabulary is empty");
    if (tokjson_post(l, json_object_get(root, "post_processor"), 0) ||
        tokjson_decoder(l, json_object_get(root, "decoder"), 0))
        return -1;
    if (t->template.n_single == 0 && tokjson_plain(l))
        return -1;
    return 0;
}

static int load_text(struct json_loader *l, const char *text, size_t n)
{
    struct buf rest = {0};
    struct jsonscan s;
    json_error_t error;
    json_t *root = NULL;
    int rc;

    jsonscan_open(&s, text, n, l->path);
    rc = tokjson_cut(&s, &l->large, &rest, l->e);
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
    struct json_loader l = {.t = t, .path = path, .e = e};

    return load_text(&l, text, n);
}

/* The text of a large vocabulary and its tables take some five times the file together. */
static void make_heap(const char *path)
{
    enum { SMALL = 4 << 20, MOST = 64 << 20, TIMES = 5 };
    struct stat st;

    if (stat(path, &st) == 0 && st.st_size >= SMALL)
        mem_heap_ahead(st.st_size < MOST / TIMES ? (size_t)st.st_size * TIMES : MOST);
}

int tokjson_load(struct tokenizer *t, const char *path, struct err *e)
{
    char *text;
    size_t n;
    int rc;

    make_heap(path);
    text = io_slurp(path, JSON_MAX, &n, e);
    rc = text ? tokjson_text(t, path, text, n, e) : -1;
    free(text);
    return rc;
}
