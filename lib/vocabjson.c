/* SPDX-License-Identifier: MIT */
/*
 * The JSON that Hugging Face's readers expect of each family: BERT's for WordPiece and whole
 * words, RoBERTa's for byte-level BPE, ALBERT's for Unigram.
 * Source: transformers/models/{bert,roberta,albert}/tokenization_*.py.
 */
#include "vocabjson.h"
#include "jsontext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the model, too long a text to be built as values first ---- */

int vocabjson_ids(const struct vocablist *v, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (buf_puts(out, i ? ",\n" : "{\n", e) ||
            jsontext_string(out, v->token[i], strlen(v->token[i]), e) ||
            buf_addf(out, e, ":%zu", i))
            return -1;
    return buf_puts(out, "\n}", e);
}

static int put_merges(const struct vocablist *v, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < v->n_merges; i++) {
        const char *a = v->token[v->merge[i].a], *b = v->token[v->merge[i].b];

        if (buf_puts(out, i ? ",\n[" : "\n[", e) || jsontext_string(out, a, strlen(a), e) ||
            buf_putc(out, ',', e) || jsontext_string(out, b, strlen(b), e) ||
            buf_putc(out, ']', e))
            return -1;
    }
    return 0;
}

static int put_pieces(const struct vocablist *v, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (buf_puts(out, i ? ",\n[" : "\n[", e) ||
            jsontext_string(out, v->token[i], strlen(v->token[i]), e) ||
            buf_addf(out, e, ",%.17g]", (double)v->score[i]))
            return -1;
    return 0;
}

static int put_model(const struct vocab_options *o, const struct vocablist *v, struct buf *out,
                     struct err *e)
{
    switch (o->kind) {
    case VOCAB_WORDPIECE:
        return buf_puts(out, "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
                             "\"continuing_subword_prefix\":\"##\","
                             "\"max_input_chars_per_word\":100,\"vocab\":", e) ||
               vocabjson_ids(v, out, e) || buf_putc(out, '}', e);
    case VOCAB_WORD:
        return buf_puts(out, "{\"type\":\"WordLevel\",\"unk_token\":\"[UNK]\",\"vocab\":", e) ||
               vocabjson_ids(v, out, e) || buf_putc(out, '}', e);
    case VOCAB_BPE:
        return buf_puts(out, "{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                             "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\","
                             "\"fuse_unk\":false,\"byte_fallback\":false,\"vocab\":", e) ||
               vocabjson_ids(v, out, e) || buf_puts(out, ",\"merges\":[", e) ||
               put_merges(v, out, e) || buf_puts(out, "]}", e);
    case VOCAB_UNIGRAM:
        break;
    }
    return buf_puts(out, "{\"type\":\"Unigram\",\"unk_id\":1,\"byte_fallback\":false,"
                         "\"vocab\":[", e) ||
           put_pieces(v, out, e) || buf_puts(out, "]}", e);
}

/* ---- what is around it ---- */

/* The mask token of these families takes the blanks before it. */
static bool mask_lstrip(enum vocab_kind kind)
{
    return kind == VOCAB_BPE || kind == VOCAB_UNIGRAM;
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
                            mask_lstrip(o->kind) && i == n - 1, "rstrip", 0, "normalized", 0,
                            "special", 1));
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

static json_t *bert_json(const struct vocab_options *o)
{
    return json_pack(
        "{ss sn sn so s{ss sb sb sn sb} s{ss} so s{ss ss sb}}", "version", "1.0",
        "truncation", "padding", "added_tokens", added_tokens(o), "normalizer", "type",
        "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1, "strip_accents",
        "lowercase", !o->cased, "pre_tokenizer", "type", "BertPreTokenizer", "post_processor",
        bert_template(), "decoder", "type", "WordPiece", "prefix", "##", "cleanup", 1);
}

static json_t *roberta_json(const struct vocab_options *o)
{
    return json_pack(
        "{ss sn sn so sn s{ss sb sb sb} s{ss s[si] s[si] sb sb} s{ss sb sb sb}}", "version",
        "1.0", "truncation", "padding", "added_tokens", added_tokens(o), "normalizer",
        "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
        "use_regex", 1, "post_processor", "type", "RobertaProcessing", "sep", "</s>", 2, "cls",
        "<s>", 0, "trim_offsets", 1, "add_prefix_space", 0, "decoder", "type", "ByteLevel",
        "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1);
}

static json_t *albert_normalizer(const struct vocab_options *o)
{
    json_t *list = json_pack("[{ss s{ss} ss} {ss s{ss} ss}]", "type", "Replace", "pattern",
                             "String", "``", "content", "\"", "type", "Replace", "pattern",
                             "String", "''", "content", "\"");

    if (!o->cased) {
        json_array_append_new(list, json_pack("{ss}", "type", "NFKD"));
        json_array_append_new(list, json_pack("{ss}", "type", "StripAccents"));
        json_array_append_new(list, json_pack("{ss}", "type", "Lowercase"));
    }
    return json_pack("{ss so}", "type", "Sequence", "normalizers", list);
}

static json_t *metaspace(void)
{
    return json_pack("{ss ss ss sb}", "type", "Metaspace", "replacement", "\xe2\x96\x81",
                     "prepend_scheme", "always", "split", 1);
}

static json_t *albert_json(const struct vocab_options *o)
{
    return json_pack("{ss sn sn so so s{ss s[{ss} o]} so so}", "version", "1.0", "truncation",
                     "padding", "added_tokens", added_tokens(o), "normalizer",
                     albert_normalizer(o), "pre_tokenizer", "type", "Sequence", "pretokenizers",
                     "type", "WhitespaceSplit", metaspace(), "post_processor", bert_template(),
                     "decoder", metaspace());
}

int vocabjson_tokenizer(const struct vocab_options *o, const struct vocablist *v,
                        struct buf *out, struct err *e)
{
    json_t *json;
    char *text;
    int rc;

    errno = 0; /* without memory, members are left out */
    json = o->kind == VOCAB_BPE       ? roberta_json(o)
           : o->kind == VOCAB_UNIGRAM ? albert_json(o)
                                      : bert_json(o);
    text = json ? jsontext_dump(json, JSON_INDENT(2)) : NULL;
    if (!text || errno == ENOMEM) {
        rc = err_oom(e, "tokenizer.json", 0);
    } else {
        /* Its last brace goes behind the model. */
        text[strlen(text) - 2] = '\0';
        rc = buf_puts(out, text, e) || buf_puts(out, ",\n  \"model\": ", e) ||
             put_model(o, v, out, e) || buf_puts(out, "\n}", e);
    }
    free(text);
    json_decref(json);
    return rc ? -1 : 0;
}

/* ---- the small files ---- */

/* RoBERTa's and ALBERT's: <pad> and <unk>, and a mask that takes the blanks before it. */
static json_t *framed_specials(const char *cls, const char *sep)
{
    return json_pack("{ss ss ss s{ss sb sb sb sb} ss ss ss}", "bos_token", cls, "cls_token", cls,
                     "eos_token", sep, "mask_token", "content", *cls == '[' ? "[MASK]" : "<mask>",
                     "lstrip", 1, "normalized", 0, "rstrip", 0, "single_word", 0, "pad_token",
                     "<pad>", "sep_token", sep, "unk_token", "<unk>");
}

json_t *vocabjson_specials(enum vocab_kind kind)
{
    if (kind == VOCAB_BPE)
        return framed_specials("<s>", "</s>");
    if (kind == VOCAB_UNIGRAM)
        return framed_specials("[CLS]", "[SEP]");
    return json_pack("{ss ss ss ss ss}", "cls_token", "[CLS]", "mask_token", "[MASK]",
                     "pad_token", "[PAD]", "sep_token", "[SEP]", "unk_token", "[UNK]");
}

json_t *vocabjson_config(const struct vocab_options *o)
{
    static const char *const class[] = {"BertTokenizer", "RobertaTokenizer", "AlbertTokenizer",
                                        "PreTrainedTokenizerFast"};
    json_t *config = vocabjson_specials(o->kind);

    json_object_set_new(config, "model_max_length", json_integer(512));
    json_object_set_new(config, "tokenizer_class", json_string(class[o->kind]));
    if (o->kind == VOCAB_BPE) {
        json_object_set_new(config, "add_prefix_space", json_false());
        return config;
    }
    json_object_set_new(config, "do_lower_case", json_boolean(!o->cased));
    if (o->kind == VOCAB_UNIGRAM) {
        json_object_set_new(config, "keep_accents", json_boolean(o->cased));
        return config;
    }
    json_object_set_new(config, "tokenize_chinese_chars", json_true());
    json_object_set_new(config, "strip_accents", json_null());
    return config;
}
