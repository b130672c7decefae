/* SPDX-License-Identifier: MIT */
#include "tokfamily.h"

#include <string.h>

static const struct family bert = {
    "bert", {"[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", NULL, NULL}, FILES_TXT,
    .framed = true, .second_type = 1};
static const struct family roberta = {
    "roberta", {"<s>", "</s>", "<pad>", "<unk>", "<mask>", "<s>", "</s>"}, FILES_BPE,
    .mask_lstrip = true, .framed = true, .two_seps = true};
static const struct family deberta = {
    "deberta", {"[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]"}, FILES_BPE,
    .mask_lstrip = true, .framed = true, .second_type = 1};
static const struct family gpt2 = {
    "gpt2", {NULL, NULL, NULL, "<|endoftext|>", NULL, "<|endoftext|>", "<|endoftext|>"},
    FILES_BPE, .second_type = 1};

#define FAIRSEQ_TOKENS {"<s>", "</s>", "<pad>", "<unk>", "<mask>", "<s>", "</s>"}
#define ALBERT_TOKENS {"[CLS]", "[SEP]", "<pad>", "<unk>", "[MASK]", "[CLS]", "[SEP]"}
static const struct family xlmr = {"xlm-roberta", FAIRSEQ_TOKENS, FILES_SPM, .mask_lstrip = true,
                                   .spm = SPM_XLMR};
static const struct family camembert = {"camembert", FAIRSEQ_TOKENS, FILES_SPM,
                                        .mask_lstrip = true, .spm = SPM_CAMEMBERT};
static const struct family barthez = {"barthez", FAIRSEQ_TOKENS, FILES_SPM, .mask_lstrip = true,
                                      .spm = SPM_BARTHEZ};
static const struct family albert = {"albert", ALBERT_TOKENS, FILES_SPM, .mask_lstrip = true,
                                     .spm = SPM_ALBERT, .lower = true};
static const struct family fnet = {"fnet", ALBERT_TOKENS, FILES_SPM, .mask_lstrip = true,
                                   .spm = SPM_ALBERT, .keep_accents = true};
static const struct family rembert = {"rembert", ALBERT_TOKENS, FILES_SPM, .mask_lstrip = true,
                                      .spm = SPM_REMBERT, .keep_accents = true};
static const struct family deberta_v2 = {
    "deberta-v2", {"[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]"}, FILES_SPM,
    .spm = SPM_DEBERTA};
static const struct family big_bird = {
    "big_bird", {"[CLS]", "[SEP]", "<pad>", "<unk>", "[MASK]", "<s>", "</s>"}, FILES_SPM,
    .mask_lstrip = true, .spm = SPM_BIGBIRD};
static const struct family t5 = {
    "t5", {NULL, NULL, "<pad>", "<unk>", NULL, NULL, "</s>"}, FILES_SPM, .spm = SPM_T5};

/* Names of model types and, before "Tokenizer", of tokenizer classes, in lower case. */
static const struct {
    const char *name;
    const struct family *family;
} families[] = {
    {"bert", &bert},        {"distilbert", &bert}, {"electra", &bert},   {"mobilebert", &bert},
    {"convbert", &bert},    {"lxmert", &bert},     {"layoutlm", &bert},  {"retribert", &bert},
    {"visual_bert", &bert}, {"nezha", &bert},      {"megatron-bert", &bert},
    {"tinybert", &bert},    {"ernie", &bert},      {"splinter", &bert},
    {"roberta", &roberta},  {"longformer", &roberta}, {"bart", &roberta}, {"led", &roberta},
    {"roberta-prelayernorm", &roberta},            {"deberta", &deberta},
    {"gpt2", &gpt2},        {"gpt_neo", &gpt2},    {"gptj", &gpt2},      {"opt", NULL},
    {"xlmroberta", &xlmr},  {"xlm-roberta", &xlmr}, {"xlm-roberta-xl", &xlmr},
    {"camembert", &camembert}, {"barthez", &barthez}, {"albert", &albert}, {"fnet", &fnet},
    {"rembert", &rembert},  {"debertav2", &deberta_v2}, {"deberta-v2", &deberta_v2},
    {"bigbird", &big_bird}, {"big_bird", &big_bird}, {"t5", &t5},        {"mt5", &t5},
};

/* The name before "Tokenizer" or "TokenizerFast", in lower case. */
static void class_stem(const char *name, char *stem, size_t size)
{
    const char *end = strstr(name, "Tokenizer");
    size_t n = end ? (size_t)(end - name) : strlen(name);

    if (n >= size)
        n = size - 1;
    for (size_t i = 0; i < n; i++)
        stem[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    stem[n] = '\0';
}

static const struct family *family_named(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].name, name) == 0)
            return families[i].family;
    return NULL;
}

/* A byte-level vocabulary is of the family whose special tokens it holds. */
const struct family *family_of_vocab(const struct vocabmap *v)
{
    static const struct family *const tried[] = {&roberta, &deberta, &gpt2};

    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++) {
        const char *unk = tried[i]->token[UNK], *cls = tried[i]->token[CLS];

        if (vocabmap_id(v, unk, strlen(unk)) >= 0 &&
            (!cls || vocabmap_id(v, cls, strlen(cls)) >= 0))
            return tried[i];
    }
    return NULL;
}

/* Of models that name no family. */
const struct family *family_of_pieces(const struct sp_model *m, const char *path)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    bool cls = false, s = false;

    for (size_t i = 0; i < m->n; i++) {
        cls |= m->piece[i].n == 5 && memcmp(m->piece[i].text, "[CLS]", 5) == 0;
        s |= m->piece[i].n == 3 && memcmp(m->piece[i].text, "<s>", 3) == 0;
    }
    if (cls)
        return strcmp(name, "spm.model") == 0 ? &deberta_v2 : &albert;
    return !s ? &t5 : strcmp(name, "sentencepiece.bpe.model") == 0 ? &xlmr : NULL;
}

const struct family *family_of_words(void)
{
    return &bert;
}

const struct family *family_find(const char *class, const char *type,
                                 const struct family *likely)
{
    char stem[64];

    class_stem(class ? class : "", stem, sizeof stem);
    if (strcmp(stem, "pretrained") == 0 || strcmp(stem, "auto") == 0)
        stem[0] = '\0';
    return *stem || type ? family_named(*stem ? stem : type) : likely;
}
