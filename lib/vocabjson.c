/* SPDX-License-Identifier: MIT */
/*
 * The JSON that Hugging Face's readers expect of each family: BERT's for WordPiece and whole
 * words, RoBERTa's for byte-level BPE, ALBERT's for Unigram.
 * Source: transformers/models/{bert,roberta,albert}/tokenization_*.py.
 */
#include "vocabjson.h"

#include <string.h>

json_t *vocabjson_ids(const struct vocablist *v)
{
    json_t *object = json_object();

    for (size_t i = 0; i < v->n; i++)
        json_object_set_new(object, v->token[i], json_integer((json_int_t)i));
    return object;
}

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

static json_t *bert_model(const struct vocab_options *o, const struct vocablist *v)
{
    if (o->kind == VOCAB_WORD)
        return json_pack("{ss so ss}", "type", "WordLevel", "vocab", vocabjson_ids(v),
                         "unk_token", "[UNK]");
    return json_pack("{ss ss ss si so}", "type", "WordPiece", "unk_token", "[UNK]",
                     "continuing_subword_prefix", "##", "max_input_chars_per_word", 100,
                     "vocab", vocabjson_ids(v));
}

static json_t *bert_json(const struct vocab_options *o, const struct vocablist *v)
{
    return json_pack(
        "{ss sn sn so s{ss sb sb sn sb} s{ss} so s{ss ss sb} so}", "version", "1.0",
        "truncation", "padding", "added_tokens", added_tokens(o), "normalizer", "type",
        "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1, "strip_accents",
        "lowercase", !o->cased, "pre_tokenizer", "type", "BertPreTokenizer", "post_processor",
        bert_template(), "decoder", "type", "WordPiece", "prefix", "##", "cleanup", 1, "model",
        bert_model(o, v));
}

static json_t *merge_list(const struct vocablist *v)
{
    json_t *list = json_array();

    for (size_t i = 0; i < v->n_merges; i++)
        json_array_append_new(list, json_pack("[ss]", v->token[v->merge[i].a],
                                              v->token[v->merge[i].b]));
    return list;
}

static json_t *roberta_json(const struct vocab_options *o, const struct vocablist *v)
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
        "", "fuse_unk", 0, "byte_fallback", 0, "vocab", vocabjson_ids(v), "merges",
        merge_list(v));
}

/* ---- ALBERT ---- */

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

static json_t *albert_pieces(const struct vocablist *v)
{
    json_t *list = json_array();

    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(list, json_pack("[sf]", v->token[i], (double)v->score[i]));
    return list;
}

static json_t *albert_json(const struct vocab_options *o, const struct vocablist *v)
{
    return json_pack("{ss sn sn so so s{ss s[{ss} o]} so so s{ss si sb so}}", "version", "1.0",
                     "truncation", "padding", "added_tokens", added_tokens(o), "normalizer",
                     albert_normalizer(o), "pre_tokenizer", "type", "Sequence", "pretokenizers",
                     "type", "WhitespaceSplit", metaspace(), "post_processor", bert_template(),
                     "decoder", metaspace(), "model", "type", "Unigram", "unk_id", 1,
                     "byte_fallback", 0, "vocab", albert_pieces(v));
}

json_t *vocabjson_tokenizer(const struct vocab_options *o, const struct vocablist *v)
{
    return o->kind == VOCAB_BPE       ? roberta_json(o, v)
           : o->kind == VOCAB_UNIGRAM ? albert_json(o, v)
                                      : bert_json(o, v);
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
