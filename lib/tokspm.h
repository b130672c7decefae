/* SPDX-License-Identifier: MIT */
/*
 * tokspm: a SentencePiece model as the tokenizer.json that its family makes of it (L2).
 *
 * The families differ in the ids they give, in normalization and in the frame of a text.  The
 * rest is tokjson's.  Sources: transformers/convert_slow_tokenizer.py and, for XLM-R, CamemBERT,
 * ALBERT and T5, models/X/tokenization_X.py, which cut at white space as published files do.
 */
#ifndef BERTUTILS_TOKSPM_H
#define BERTUTILS_TOKSPM_H

#include "mem.h"
#include "sentencepiece.h"

enum spm_family {
    SPM_XLMR = 1,  /* ids of fairseq, <mask> behind the pieces; XLM-R */
    SPM_CAMEMBERT, /* the same with one piece more before */
    SPM_ALBERT,    /* quotes, accents and case */
    SPM_REMBERT,   /* the same in another order */
    SPM_DEBERTA,   /* version 2 and 3 */
    SPM_BIGBIRD,
    SPM_BARTHEZ,
    SPM_T5 /* sentinels behind the pieces, no token before a text */
};

/* What tokenizer_config.json may say. */
struct spm_settings {
    enum spm_family family;
    bool lower, keep_accents, split_punct;
    int64_t extra_ids; /* T5's sentinels */
};

/*
 * Appends the JSON to *out.  ERR_DATA naming `name` when the file lacks the family's tokens or
 * has something that no family does.
 */
int spm_json(const struct sp_model *m, const char *name, const struct spm_settings *s,
             struct buf *out, struct err *e) MUST_USE;

#endif
