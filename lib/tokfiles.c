/* SPDX-License-Identifier: MIT */
/*
 * tokfiles: a tokenizer from a directory with vocabulary files alone.
 *
 * vocab.txt is BERT's WordPiece; vocab.json with merges.txt is a byte-level BPE, a SentencePiece
 * model a Unigram or BPE, of the family that tokenizer_config.json or config.json names, else of
 * the one whose special tokens the vocabulary holds.  Settings come from tokenizer_config.json
 * and special_tokens_map.json.
 * Source: transformers/models/{bert,roberta,gpt2,deberta,...}/tokenization_*.py.
 */
#include "io.h"
#include "jsonscan.h"
#include "tokfamily.h"
#include "tokrules.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* model_max_length is often 1e30, written as an integer. */
enum { FILE_MAX = 512 << 20, JSON_FLAGS = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL };
static const char *const role_key[ROLES] = {"cls_token", "sep_token", "pad_token", "unk_token",
                                            "mask_token", "bos_token", "eos_token"};

struct loader {
    struct tokenizer *t;
    const char *dir;
    json_t *config, *map, *model; /* tokenizer_config, special_tokens_map, config; or NULL */
    const struct family *family;
    struct err *e;
};

/* DIR/NAME as JSON, NULL where there is no such file; -1 and *e when it is malformed. */
static int read_json(const char *dir, const char *name, json_t **out, struct err *e)
{
    char *path = io_join(dir, name, e), *text = NULL;
    json_error_t error;
    size_t n;
    int rc = path ? 0 : -1;

    *out = NULL;
    if (rc == 0 && io_exists(path)) {
        text = io_slurp(path, FILE_MAX, &n, e);
        errno = 0;
        *out = text ? json_loadb(text, n, JSON_FLAGS, &error) : NULL;
        if (errno == ENOMEM) /* which the parser calls a syntax error, or does not notice */
            err_oom(e, path, n);
        else if (text && !*out)
            err_set(e, ERR_DATA, "'%s' is not JSON: line %d: %s", path, error.line, error.text);
        if (*out && !json_is_object(*out))
            err_set(e, ERR_DATA, "'%s' is no JSON object", path);
        rc = !*out || e->code ? -1 : 0;
    }
    free(text);
    free(path);
    return rc;
}

static int open_small_files(struct loader *l)
{
    if (!l->dir)
        return 0;
    return read_json(l->dir, "tokenizer_config.json", &l->config, l->e) ||
                   read_json(l->dir, "special_tokens_map.json", &l->map, l->e) ||
                   read_json(l->dir, "config.json", &l->model, l->e)
               ? -1
               : 0;
}

static void close_small_files(struct loader *l)
{
    json_decref(l->config);
    json_decref(l->map);
    json_decref(l->model);
}

/* A special token as the files name it (text, or an object with content), or NULL. */
static const json_t *named(const struct loader *l, const char *key)
{
    const json_t *v = json_object_get(l->config, key);

    return v && !json_is_null(v) ? v : json_object_get(l->map, key);
}

static const char *content_of(const json_t *v)
{
    return json_is_object(v) ? json_string_value(json_object_get(v, "content"))
                             : json_string_value(v);
}

static bool setting(const struct loader *l, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(l->config, key);

    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/* ---- the family ---- */

/* The family that the small files name, else the `likely` one; it must have such files. */
static int find_family(struct loader *l, enum files files, const struct family *likely)
{
    static const char *const what[] = {"vocab.txt", "vocab.json and merges.txt",
                                       "SentencePiece"};
    const char *class = json_string_value(json_object_get(l->config, "tokenizer_class"));
    const char *type = json_string_value(json_object_get(l->model, "model_type"));

    l->family = family_find(class, type, likely);
    if (l->family && l->family->files == files)
        return 0;
    return err_set(l->e, ERR_DATA,
                   "'%s': %s files of a tokenizer of the kind '%s' are not implemented without "
                   "tokenizer.json",
                   l->dir, what[files], class ? class : type ? type : "unknown");
}

/* ---- special tokens ---- */

static int object_flags(const json_t *o)
{
    return (json_is_true(json_object_get(o, "lstrip")) ? ADDED_LSTRIP : 0) |
           (json_is_true(json_object_get(o, "rstrip")) ? ADDED_RSTRIP : 0) |
           (json_is_true(json_object_get(o, "single_word")) ? ADDED_SINGLE : 0) |
           (json_is_true(json_object_get(o, "normalized")) ? ADDED_NORMALIZED : 0);
}

/*
 * Adds the token of one role: as the files name it, else the family's where it has an id
 * (SentencePiece: also where it has none).
 */
static int add_role(const struct loader *l, int role)
{
    const json_t *v = named(l, role_key[role]);
    const char *content = content_of(v);
    int flags = ADDED_SPECIAL;

    if (!content) {
        content = l->family->token[role];
        if (!content || (l->family->files != FILES_SPM &&
                         vocabmap_id(&l->t->vocab, content, strlen(content)) < 0))
            return 0;
    }
    if (json_is_object(v))
        flags |= object_flags(v) & ~ADDED_NORMALIZED;
    else if (role == MASK && l->family->mask_lstrip)
        flags |= ADDED_LSTRIP;
    if (added_find(&l->t->added, content, strlen(content)) && !(flags & ADDED_LSTRIP))
        return 0;
    return tokrules_add(l->t, content, strlen(content), flags, l->e);
}

/* added_tokens_decoder of tokenizer_config.json: tokens by id, with all their flags. */
static int add_listed(const struct loader *l)
{
    json_t *list = json_object_get(l->config, "added_tokens_decoder"), *o;
    const char *key;

    json_object_foreach(list, key, o)
    {
        const char *content = content_of(o);
        char *end;
        const unsigned long id = strtoul(key, &end, 10);

        if (!content || *end || id > VOCAB_MAX_ID)
            return err_set(l->e, ERR_DATA, "'%s': tokenizer_config.json: added token '%s' is "
                           "malformed", l->dir, key);
        if (tokrules_add(l->t, content, strlen(content),
                         object_flags(o) |
                             (json_is_true(json_object_get(o, "special")) ? ADDED_SPECIAL : 0),
                         l->e))
            return -1;
        if (tokrules_id(l->t, content, strlen(content)) != (int64_t)id)
            return err_set(l->e, ERR_DATA,
                           "'%s': tokenizer_config.json gives '%s' the id %lu, the vocabulary "
                           "another one", l->dir, content, id);
    }
    return 0;
}

static int add_more(const struct loader *l, const char *key)
{
    const json_t *list = named(l, key);

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        const char *content = content_of(v);

        if (content && !added_find(&l->t->added, content, strlen(content)) &&
            tokrules_add(l->t, content, strlen(content),
                         ADDED_SPECIAL | (json_is_object(v) ? object_flags(v) : 0), l->e))
            return -1;
    }
    return 0;
}

static int add_specials(const struct loader *l)
{
    static const int order[] = {BOS, EOS, UNK, SEP, PAD, CLS, MASK};

    if (add_listed(l))
        return -1;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (add_role(l, order[i]))
            return -1;
    return add_more(l, "additional_special_tokens") || add_more(l, "extra_special_tokens") ? -1
                                                                                            : 0;
}

/* The content of a role's token, or NULL. */
static const char *role_content(const struct loader *l, int role)
{
    const char *content = content_of(named(l, role_key[role]));

    return content ? content : l->family->token[role];
}

static int make_template(const struct loader *l)
{
    struct template *m = &l->t->template;
    const struct family *f = l->family;
    const char *cls = role_content(l, CLS), *sep = role_content(l, SEP);
    const int64_t first = cls ? tokrules_id(l->t, cls, strlen(cls)) : -1;
    const int64_t last = sep ? tokrules_id(l->t, sep, strlen(sep)) : -1;
    const int32_t c = (int32_t)first, s = (int32_t)last;
    int rc;

    if (!f->framed)
        return tokrules_piece(m->single, &m->n_single, SEGMENT_A, 0) ||
                       tokrules_piece(m->pair, &m->n_pair, SEGMENT_A, 0) ||
                       tokrules_piece(m->pair, &m->n_pair, SEGMENT_B, 1)
                   ? -1
                   : 0;
    if (first < 0 || last < 0)
        return err_set(l->e, ERR_DATA, "'%s': the vocabulary has no '%s' or no '%s'", l->dir,
                       cls, sep);
    rc = tokrules_piece(m->single, &m->n_single, c, 0) ||
         tokrules_piece(m->single, &m->n_single, SEGMENT_A, 0) ||
         tokrules_piece(m->single, &m->n_single, s, 0) ||
         tokrules_piece(m->pair, &m->n_pair, c, 0) ||
         tokrules_piece(m->pair, &m->n_pair, SEGMENT_A, 0) ||
         tokrules_piece(m->pair, &m->n_pair, s, 0) ||
         (f->two_seps && tokrules_piece(m->pair, &m->n_pair, s, 0)) ||
         tokrules_piece(m->pair, &m->n_pair, SEGMENT_B, f->second_type) ||
         tokrules_piece(m->pair, &m->n_pair, s, f->second_type);
    return rc ? -1 : 0;
}

/* ---- WordPiece ---- */

static int load_wordpiece(struct loader *l, const char *path)
{
    struct tokenizer *t = l->t;
    const json_t *strip;
    const char *unk;
    int64_t id;

    if (tokrules_vocab_txt(t, path, l->e) || find_family(l, FILES_TXT, family_of_words()))
        return -1;
    t->model = TOK_WORDPIECE;
    t->decoder = DECODE_WORDPIECE;
    t->decode_cleanup = true;
    t->prefix = mem_dup("##", l->e);
    t->decode_prefix = mem_dup("##", l->e);
    if (!t->prefix || !t->decode_prefix)
        return -1;
    unk = role_content(l, UNK);
    id = vocabmap_id(&t->vocab, unk, strlen(unk));
    if (id < 0)
        return err_set(l->e, ERR_DATA, "'%s' has no '%s'", path, unk);
    t->wordpiece.unk = (int32_t)id;
    t->wordpiece.max_chars = 100;
    strip = json_object_get(l->config, "strip_accents");
    if (tokrules_bert(t, true, setting(l, "tokenize_chinese_chars", true),
                      json_is_boolean(strip) ? json_is_true(strip) : -1,
                      setting(l, "do_lower_case", true)) ||
        pretokenizer_add(&t->pre, PRE_BERT))
        return -1;
    return 0;
}

/* ---- byte-level BPE ---- */

static int read_vocab_json(struct tokenizer *t, const char *path, struct err *e)
{
    struct jsonscan s;
    size_t n;
    char *text = io_slurp(path, FILE_MAX, &n, e);
    int rc;

    if (!text)
        return -1;
    jsonscan_open(&s, text, n, path);
    rc = tokrules_vocab(t, &s, e);
    if (rc == 0 && jsonscan_peek(&s))
        rc = err_set(e, ERR_DATA, "'%s' is not JSON: more text behind its end", path);
    jsonscan_close(&s);
    free(text);
    return rc;
}

static int load_bpe(struct loader *l, const char *vocab, const char *merges)
{
    struct tokenizer *t = l->t;

    if (read_vocab_json(t, vocab, l->e) || find_family(l, FILES_BPE, family_of_vocab(&t->vocab)) ||
        tokrules_merges_txt(t, merges, l->e))
        return -1;
    t->model = TOK_BPE;
    t->decoder = DECODE_BYTES;
    t->bpe.unk = -1;
    t->pre.bytes = true;
    t->pre.prefix_space = setting(l, "add_prefix_space", false);
    return pretokenizer_add(&t->pre, PRE_GPT2);
}

/* ---- SentencePiece ---- */

static int load_pieces(struct loader *l, const char *path, const struct sp_model *m)
{
    const json_t *extra = json_object_get(l->config, "extra_ids");
    const double extra_ids = json_is_number(extra) ? json_number_value(extra) : 100;
    struct spm_settings s = {.split_punct = setting(l, "split_by_punct", false)};
    struct buf json = {0};
    int rc;

    if (find_family(l, FILES_SPM, family_of_pieces(m, path)))
        return -1;
    if (!(extra_ids >= 0 && extra_ids <= 10000))
        return err_set(l->e, ERR_DATA, "'%s': tokenizer_config.json: extra_ids is out of range",
                       l->dir);
    s.extra_ids = (int64_t)extra_ids;
    s.family = l->family->spm;
    s.lower = setting(l, "do_lower_case", l->family->lower);
    s.keep_accents = setting(l, "keep_accents", l->family->keep_accents);
    rc = spm_json(m, path, &s, &json, l->e);
    if (rc == 0)
        rc = tokjson_text(l->t, path, json.data, json.len, l->e);
    buf_free(&json);
    return rc;
}

static int load_spm(struct loader *l, const char *path)
{
    struct sp_model m = {0};
    size_t n;
    char *data = io_slurp(path, FILE_MAX, &n, l->e);
    int rc = data ? sp_read(&m, path, data, n, l->e) : -1;

    if (rc == 0)
        rc = load_pieces(l, path, &m);
    sp_free(&m);
    free(data);
    return rc;
}

/* ---- which files there are ---- */

/* The vocabulary in a directory: its path in *path (to be freed), NULL where there is none. */
static int find_files(const char *dir, enum files *files, char **path, struct err *e)
{
    static const struct {
        const char *name;
        enum files files;
    } names[] = {{"vocab.json", FILES_BPE},   {"vocab.txt", FILES_TXT},
                 {"spiece.model", FILES_SPM}, {"sentencepiece.bpe.model", FILES_SPM},
                 {"spm.model", FILES_SPM}};
    char *merges = io_join(dir, "merges.txt", e);
    const bool bpe = merges && io_exists(merges);
    int rc = merges ? 0 : -1;

    *path = NULL;
    *files = FILES_NONE;
    free(merges);
    for (size_t i = 0; rc == 0 && !*path && i < sizeof names / sizeof names[0]; i++) {
        if (names[i].files == FILES_BPE && !bpe)
            continue;
        *files = names[i].files;
        *path = io_join(dir, names[i].name, e);
        rc = *path ? 0 : -1;
        if (*path && !io_exists(*path)) {
            free(*path);
            *path = NULL;
        }
    }
    return rc;
}

static int load_files(struct loader *l, enum files files, const char *path)
{
    char *merges;
    int rc;

    if (files == FILES_TXT)
        return load_wordpiece(l, path);
    if (files == FILES_SPM)
        return load_spm(l, path);
    merges = io_join(l->dir, "merges.txt", l->e);
    rc = merges ? load_bpe(l, path, merges) : -1;
    free(merges);
    return rc;
}

int tokfiles_load(struct tokenizer *t, const char *dir, struct err *e)
{
    struct loader l = {.t = t, .dir = dir, .e = e};
    enum files files;
    char *path;
    int rc = find_files(dir, &files, &path, e);

    if (rc == 0 && !path)
        rc = err_set(e, ERR_NOINPUT,
                     "no tokenizer in '%s': no tokenizer.json, no vocab.txt, no vocab.json with "
                     "merges.txt, no SentencePiece model", dir);
    if (rc == 0)
        rc = open_small_files(&l) || load_files(&l, files, path) || add_specials(&l) ? -1 : 0;
    if (rc == 0 && files != FILES_SPM)
        rc = make_template(&l);
    close_small_files(&l);
    free(path);
    return rc;
}

int tokfiles_specials(struct tokenizer *t, const char *dir, struct err *e)
{
    static const char *const usual[5][2] = {
        {"[CLS]", "<s>"}, {"[SEP]", "</s>"}, {"[PAD]", "<pad>"}, {"[UNK]", "<unk>"},
        {"[MASK]", "<mask>"}};
    struct loader l = {.t = t, .dir = dir, .e = e};
    int32_t *const id[5] = {&t->template.cls, &t->template.sep, &t->template.pad,
                            &t->template.unk, &t->template.mask};
    const int rc = open_small_files(&l);

    for (int i = 0; rc == 0 && i < 5; i++) {
        const char *content = content_of(named(&l, role_key[i]));
        int64_t found = content ? tokrules_id(t, content, strlen(content)) : -1;

        for (int k = 0; k < 2 && found < 0; k++)
            found = tokrules_id(t, usual[i][k], strlen(usual[i][k]));
        *id[i] = (int32_t)found;
    }
    if (t->model == TOK_WORDPIECE)
        t->template.unk = t->lacks_unk ? -1 : t->wordpiece.unk;
    close_small_files(&l);
    return rc;
}
