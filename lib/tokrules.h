/* SPDX-License-Identifier: MIT */
/*
 * tokrules: what a tokenizer is made of, inside the library's text layer (L2, private).
 *
 * The loaders (tokjson, tokfiles) fill it; tokenizer_finish builds the searching parts.
 */
#ifndef BERTUTILS_TOKRULES_H
#define BERTUTILS_TOKRULES_H

#include "added.h"
#include "bpe.h"
#include "charbpe.h"
#include "normalize.h"
#include "pretoken.h"
#include "template.h"
#include "tokenizer.h"
#include "unigram.h"
#include "vocabmap.h"
#include "wordpiece.h"

enum tok_model { TOK_WORDPIECE = 1, TOK_BPE, TOK_UNIGRAM, TOK_WORDS };

/* One step from tokens to text; all go over the list of them in turn. */
enum tok_decode {
    DECODE_JOIN, /* what stands for no decoder: a blank between all */
    DECODE_WORDPIECE,
    DECODE_BYTES,
    DECODE_METASPACE,
    DECODE_FALLBACK,
    DECODE_FUSE,
    DECODE_REPLACE,
    DECODE_STRIP,
    DECODE_BPE,
    DECODE_UNKNOWN
};
enum { DECODE_MAX = 16 };
struct decode_step {
    enum tok_decode kind;
    char *text;              /* prefix, content or suffix */
    bool cleanup;            /* WORDPIECE */
    bool strip;              /* METASPACE: the first token loses its marks */
    uint32_t c;              /* METASPACE, STRIP */
    size_t start, stop;      /* STRIP */
    struct pattern *pattern; /* REPLACE */
};

struct tokenizer {
    enum tok_model model;
    struct vocabmap vocab;
    struct normalizer normalizer;
    struct pretokenizer pre;
    struct wordpiece wordpiece;
    struct bpe bpe;
    struct charbpe chars; /* BPE over characters */
    struct unigram unigram;
    int64_t words_unk; /* TOK_WORDS */
    bool lacks_unk;    /* the model's unknown token is VOCAB_NO_ID */
    char *prefix; /* of inner word pieces */
    struct added added;
    struct template template;
    struct decode_step decode[DECODE_MAX];
    int decodes;
    /* A decoder of one step, for loaders that need no more; finished ones have its kind here. */
    enum tok_decode decoder;
    char *decode_prefix;
    bool decode_cleanup;
    uint32_t size;
    char hash[33];
    /* BertNormalizer and BertPreTokenizer, for the fast path over ASCII. */
    bool bert, bert_lower, bert_cjk;
    bool units; /* the fast path over words between single blanks: see unitscan */
};

/* Adds a step to the decoder, which is filled in by the caller; NULL when there are too many. */
struct decode_step *tokrules_decode(struct tokenizer *t, enum tok_decode kind);

/* Finds out about t->units. */
int unitscan_build(struct tokenizer *t, struct err *e) MUST_USE;
/* Fills hash. */
int tokrules_hash(struct tokenizer *t, struct err *e) MUST_USE;

/* The parts of BertNormalizer; strip_accents: -1 follows lowercase. */
int tokrules_bert(struct tokenizer *t, bool clean, bool cjk, int strip_accents, bool lower);

/*
 * Adds a token as the reference's add_tokens does: its id is the vocabulary's, else the next
 * one free.
 */
int tokrules_add(struct tokenizer *t, const char *content, size_t len, int flags,
                 struct err *e) MUST_USE;
enum { ADDED_SPECIAL = 1, ADDED_LSTRIP = 2, ADDED_RSTRIP = 4, ADDED_SINGLE = 8,
       ADDED_NORMALIZED = 16 };

/* Id of a token, added ones first, or -1. */
int64_t tokrules_id(const struct tokenizer *t, const char *token, size_t len);

/* Reads {"token": id, ...}, [["piece", score], ...] or a list of merges at *s; merges last. */
struct jsonscan;
int tokrules_vocab(struct tokenizer *t, struct jsonscan *s, struct err *e) MUST_USE;
int tokrules_pieces(struct tokenizer *t, struct jsonscan *s, struct err *e) MUST_USE;
int tokrules_merges(struct tokenizer *t, struct jsonscan *s, struct err *e) MUST_USE;

/* The same from vocab.txt, one token a line, and from merges.txt. */
int tokrules_vocab_txt(struct tokenizer *t, const char *path, struct err *e) MUST_USE;
int tokrules_merges_txt(struct tokenizer *t, const char *path, struct err *e) MUST_USE;

/* Appends a place to a template; -1 when there is no room. */
int tokrules_piece(struct template_piece *piece, int *n, int32_t id, int32_t type);

/* A tokenizer from the text of a tokenizer.json alone; `name` is what messages name. */
struct tokenizer *tokrules_from_json(const char *name, const char *text, size_t n,
                                     struct err *e) MUST_USE;

/* The loaders; `path` is the file or directory that messages name. */
int tokjson_load(struct tokenizer *t, const char *path, struct err *e) MUST_USE;
int tokjson_text(struct tokenizer *t, const char *path, const char *text, size_t n,
                 struct err *e) MUST_USE;
int tokfiles_load(struct tokenizer *t, const char *dir, struct err *e) MUST_USE;
/* Fills the ids of cls, sep, pad, unk, mask from DIR's small files (NULL: none), else
 * from usual names. */
int tokfiles_specials(struct tokenizer *t, const char *dir, struct err *e) MUST_USE;

#endif
