/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sentencepiece: any bytes as a SentencePiece model, of each family in turn.  What is read
 * lies within the file; the tokenizer that is made of it gives ids below its size.
 */
#include "fuzz.h"
#include "tokrules.h"
#include "tokspm.h"

#include <string.h>

static void use_model(const struct tokenizer *t)
{
    static const char text[] = "The ``1,000'' [CLS] na\xc3\xafve  <s>caf\x65\xcc\x81 \xe4\xb8\xad!";
    struct err e = {0};
    struct encoder *enc = encoder_new(t, &e);
    struct tok_ids ids = {0};

    if (!enc || (encoder_encode(enc, text, sizeof text - 1, &ids, &e) &&
                 !encoder_met_unknown(enc)))
        __builtin_trap();
    if (encoder_met_unknown(enc)) /* a family's layout may lack the file's unknown piece */
        ids.n = 0;
    for (size_t i = 0; i < ids.n; i++)
        if (ids.id[i] >= tokenizer_size(t))
            __builtin_trap();
    tok_ids_free(&ids);
    encoder_free(enc);
}

static void use_family(const struct sp_model *m, enum spm_family family, unsigned flags)
{
    const struct spm_settings s = {.family = family,
                                   .lower = flags & 1,
                                   .keep_accents = flags & 2,
                                   .split_punct = flags & 4,
                                   .extra_ids = flags};
    struct tokenizer *t = NULL;
    struct err e = {0};
    struct buf json = {0};

    if (spm_json(m, "fuzz", &s, &json, &e) == 0)
        t = tokrules_from_json("fuzz", json.data, json.len, &e);
    if (!t && e.code != ERR_DATA)
        __builtin_trap();
    if (t)
        use_model(t);
    tokenizer_free(t);
    buf_free(&json);
}

int fuzz_sentencepiece(const uint8_t *data, size_t n)
{
    struct err e = {0};
    struct sp_model m;
    size_t all = 0;

    if (sp_read(&m, "fuzz", data, n, &e)) {
        if (e.code != ERR_DATA)
            __builtin_trap();
        return 0;
    }
    for (size_t i = 0; i < m.n; i++) {
        const char *text = m.piece[i].text;

        all += m.piece[i].n;
        if (m.piece[i].n && (text < (const char *)data ||
                             text + m.piece[i].n > (const char *)data + n))
            __builtin_trap();
    }
    if (all > n || m.n_charsmap > n || m.unk >= m.n)
        __builtin_trap();
    for (enum spm_family f = SPM_XLMR; f <= SPM_T5; f++)
        use_family(&m, f, n & 7);
    sp_free(&m);
    return 0;
}

FUZZ_ENTRY(fuzz_sentencepiece)
