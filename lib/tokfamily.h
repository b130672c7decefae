/* SPDX-License-Identifier: MIT */
/*
 * tokfamily: what tokenizers of one family share, for directories without a tokenizer.json
 * (L2, private to tokfiles).
 */
#ifndef BERTUTILS_TOKFAMILY_H
#define BERTUTILS_TOKFAMILY_H

#include "tokspm.h"
#include "vocabmap.h"

enum { CLS, SEP, PAD, UNK, MASK, BOS, EOS, ROLES };
enum files { FILES_TXT, FILES_BPE, FILES_SPM, FILES_NONE };

/* What the tokenizers of a family share. */
struct family {
    const char *name;
    const char *token[ROLES]; /* NULL: none */
    enum files files;
    bool mask_lstrip;
    /* SentencePiece has a frame of its own (tokspm.h), and these settings. */
    bool framed, two_seps;
    int32_t second_type;
    enum spm_family spm;
    bool lower, keep_accents;
};

/*
 * The family that a tokenizer's class or, without one, a model's type names; `likely` when
 * neither does (NULL or of no meaning), NULL when the name is not known.
 */
const struct family *family_find(const char *class, const char *type,
                                 const struct family *likely);

/* The likely family of files that name none: of a vocab.txt, of a byte-level vocabulary, of a
 * SentencePiece model in a file of that path.  NULL: cannot be told. */
const struct family *family_of_words(void);
const struct family *family_of_vocab(const struct vocabmap *v);
const struct family *family_of_pieces(const struct sp_model *m, const char *path);

#endif
