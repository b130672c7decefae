/* SPDX-License-Identifier: MIT */
/*
 * The files of a tokenizer as Hugging Face spells them.  tokenizer.json is written last: a
 * directory that has it is complete.
 */
#include "io.h"
#include "jsontext.h"
#include "vocabtrain.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 8 };

struct files {
    const char *dir;
    char *made[MAX_FILES]; /* paths of the files that are there already */
    int n;
    bool made_dir;
};

static int put_file(struct files *f, const char *name, const char *text, size_t n,
                    struct err *e)
{
    char *path = io_join(f->dir, name, e);

    if (!path || io_put_file(path, text, n, e)) {
        free(path);
        return -1;
    }
    f->made[f->n++] = path;
    return 0;
}

static int put_json(struct files *f, const char *name, json_t *json, size_t flags,
                    struct err *e)
{
    char *text = json ? jsontext_dump(json, flags) : NULL;
    int rc = -1;

    if (!text || errno == ENOMEM) /* without memory, members are left out */
        err_oom(e, name, 0);
    else
        rc = put_file(f, name, text, strlen(text), e);
    free(text);
    json_decref(json);
    return rc;
}

static void undo(struct files *f, bool failed)
{
    for (int i = 0; i < f->n; i++) {
        if (failed)
            unlink(f->made[i]);
        free(f->made[i]);
    }
    if (failed && f->made_dir)
        rmdir(f->dir);
}

/* vocab.json, or the "vocab" of tokenizer.json: token to id, in the order of ids. */
static json_t *vocab_object(const struct pairmerge *v)
{
    json_t *object = json_object();

    for (size_t i = 0; i < v->n; i++)
        json_object_set_new(object, v->token[i], json_integer((json_int_t)i));
    return object;
}

static json_t *added_tokens(const struct vocab_options *o)
{
    json_t *list = json_array();
    int n;
    const char *const *special = vocab_specials(o->kind, &n);

    for (int i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{si ss sb sb sb sb sb}", "id", i, "content", special[i],
                            "single_word", 0, "lstrip",
                            o->kind == VOCAB_BPE && strcmp(special[i], "<mask>") == 0, "rstrip",
                            0, "normalized", 0, "special", 1));
    return list;
}

static json_t *bert_template(void)
{
    return json_pack(
        "{ss s[{s{sssi}} {s{sssi}} {s{sssi}}]"
        " s[{s{sssi}} {s{sssi}} {s{sssi}} {s{sssi}} {s{sssi}}]"
        " s{s{sss[i]s[s]} s{sss[i]s[s]}}}",
        "type", "TemplateProcessing", "single", "SpecialToken", "id", "[CLS]", "type_id", 0,
        "Sequence", "id", "A", "type_id", 0, "SpecialToken", "id", "[SEP]", "type_id", 0, "pair",
        "SpecialToken", "id", "[CLS]", "type_id", 0, "Sequence", "id", "A", "type_id", 0,
        "SpecialToken", "id", "[SEP]", "type_id", 0, "Sequence", "id", "B", "type_id", 1,
        "SpecialToken", "id", "[SEP]", "type_id", 1, "special_tokens", "[CLS]", "id", "[CLS]",
        "ids", 2, "tokens", "[CLS]", "[SEP]", "id", "[SEP]", "ids", 3, "tokens", "[SEP]");
}

static json_t *bert_json(const struct vocab_options *o, const struct pairmerge *v)
{
    return json_pack(
        "{ss sn sn so s{ss sb sb sn sb} s{ss} so s{ss ss sb} s{ss ss ss si so}}", "version",
        "1.0", "truncation", "padding", "added_tokens", added_tokens(o), "normalizer", "type",
        "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1, "strip_accents",
        "lowercase", !o->cased, "pre_tokenizer", "type", "BertPreTokenizer", "post_processor",
        bert_template(), "decoder", "type", "WordPiece", "prefix", "##", "cleanup", 1, "model",
        "type", "WordPiece", "unk_token", "[UNK]", "continuing_subword_prefix", "##",
        "max_input_chars_per_word", 100, "vocab", vocab_object(v));
}

static json_t *merge_list(const struct pairmerge *v)
{
    json_t *list = json_array();

    for (size_t i = 0; i < v->n_merges; i++)
        json_array_append_new(list, json_pack("[ss]", v->token[v->merge[i].a],
                                              v->token[v->merge[i].b]));
    return list;
}

static json_t *roberta_json(const struct vocab_options *o, const struct pairmerge *v)
{
    return json_pack(
        "{ss sn sn so sn s{ss sb sb sb} s{ss s[si] s[si] sb sb} s{ss sb sb sb}"
        " s{ss sn sn ss ss sb sb so so}}",
        "version", "1.0", "truncation", "padding", "added_tokens", added_tokens(o),
        "normalizer", "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0,
        "trim_offsets", 1, "use_regex", 1, "post_processor", "type", "RobertaProcessing", "sep",
        "</s>", 2, "cls", "<s>", 0, "trim_offsets", 1, "add_prefix_space", 0, "decoder", "type",
        "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type",
        "BPE", "dropout", "unk_token", "continuing_subword_prefix", "", "end_of_word_suffix",
        "", "fuse_unk", 0, "byte_fallback", 0, "vocab", vocab_object(v), "merges",
        merge_list(v));
}

static json_t *special_map(enum vocab_kind kind)
{
    if (kind == VOCAB_WORDPIECE)
        return json_pack("{ss ss ss ss ss}", "cls_token", "[CLS]", "mask_token", "[MASK]",
                         "pad_token", "[PAD]", "sep_token", "[SEP]", "unk_token", "[UNK]");
    return json_pack("{ss ss ss s{ss sb sb sb sb} ss ss ss}", "bos_token", "<s>", "cls_token",
                     "<s>", "eos_token", "</s>", "mask_token", "content", "<mask>", "lstrip", 1,
                     "normalized", 0, "rstrip", 0, "single_word", 0, "pad_token", "<pad>",
                     "sep_token", "</s>", "unk_token", "<unk>");
}

static json_t *tokenizer_config(const struct vocab_options *o)
{
    json_t *config = special_map(o->kind);

    json_object_set_new(config, "model_max_length", json_integer(512));
    if (o->kind == VOCAB_WORDPIECE) {
        json_object_set_new(config, "tokenizer_class", json_string("BertTokenizer"));
        json_object_set_new(config, "do_lower_case", json_boolean(!o->cased));
        json_object_set_new(config, "tokenize_chinese_chars", json_true());
        json_object_set_new(config, "strip_accents", json_null());
    } else {
        json_object_set_new(config, "tokenizer_class", json_string("RobertaTokenizer"));
        json_object_set_new(config, "add_prefix_space", json_false());
    }
    return config;
}

static int put_vocab_txt(struct files *f, const struct pairmerge *v, struct err *e)
{
    struct buf text = {0};
    int rc = 0;

    for (size_t i = 0; i < v->n && rc == 0; i++)
        rc = buf_puts(&text, v->token[i], e) || buf_putc(&text, '\n', e) ? -1 : 0;
    if (rc == 0)
        rc = put_file(f, "vocab.txt", text.data, text.len, e);
    buf_free(&text);
    return rc;
}

static int put_merges_txt(struct files *f, const struct pairmerge *v, struct err *e)
{
    struct buf text = {0};
    int rc = buf_puts(&text, "#version: 0.2\n", e);

    for (size_t i = 0; i < v->n_merges && rc == 0; i++)
        rc = buf_addf(&text, e, "%s %s\n", v->token[v->merge[i].a], v->token[v->merge[i].b]);
    if (rc == 0)
        rc = put_file(f, "merges.txt", text.data, text.len, e);
    buf_free(&text);
    return rc;
}

int vocab_writable(const char *dir, bool force, struct err *e)
{
    char *path = io_join(dir, "tokenizer.json", e);
    const bool there = path && io_exists(path);

    if (!path)
        return -1;
    free(path);
    if (there && !force)
        return err_set(e, ERR_CREATE, "'%s' has a tokenizer already; give -f to replace it, or "
                       "another -o", dir);
    if (io_exists(dir) && !io_is_dir(dir))
        return err_set(e, ERR_CREATE, "'%s' is there and is no directory", dir);
    return 0;
}

static int put_all(struct files *f, const struct vocab_options *o, const struct pairmerge *v,
                   struct err *e)
{
    const size_t pretty = JSON_INDENT(2) | JSON_SORT_KEYS;
    const bool bert = o->kind == VOCAB_WORDPIECE;

    errno = 0; /* for put_json */
    if (bert ? put_vocab_txt(f, v, e)
             : put_json(f, "vocab.json", vocab_object(v), JSON_COMPACT, e) ||
                   put_merges_txt(f, v, e))
        return -1;
    if (put_json(f, "special_tokens_map.json", special_map(o->kind), pretty, e) ||
        put_json(f, "tokenizer_config.json", tokenizer_config(o), pretty, e))
        return -1;
    return put_json(f, "tokenizer.json", bert ? bert_json(o, v) : roberta_json(o, v),
                    JSON_INDENT(2), e);
}

int vocab_write(const char *dir, const struct vocab_options *o, const struct pairmerge *v,
                bool force, struct err *e)
{
    struct files f = {.dir = dir};
    int rc;

    if (vocab_writable(dir, force, e))
        return -1;
    f.made_dir = mkdir(dir, 0777) == 0;
    if (!f.made_dir && errno != EEXIST)
        return err_sys(e, ERR_CREATE, "cannot create directory '%s'", dir);
    rc = put_all(&f, o, v, e);
    undo(&f, rc != 0);
    return rc;
}
