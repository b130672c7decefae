/* SPDX-License-Identifier: MIT */
#include "io.h"
#include "tokrules.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

int tokrules_bert(struct tokenizer *t, bool clean, bool cjk, int strip_accents, bool lower)
{
    const bool strip = strip_accents < 0 ? lower : strip_accents > 0;
    struct normalizer *nz = &t->normalizer;

    t->bert = clean && nz->n == 0;
    t->bert_lower = lower;
    t->bert_cjk = cjk;
    return (clean && normalizer_add(nz, NORM_CLEAN)) || (cjk && normalizer_add(nz, NORM_CJK)) ||
                   (strip && normalizer_add(nz, NORM_NFD)) ||
                   (strip && normalizer_add(nz, NORM_STRIP_MN)) ||
                   (lower && normalizer_add(nz, NORM_LOWER))
               ? -1
               : 0;
}

int64_t tokrules_id(const struct tokenizer *t, const char *token, size_t len)
{
    const struct added_token *added = added_find(&t->added, token, len);

    return added ? (int64_t)added->id : vocabmap_id(&t->vocab, token, len);
}

int tokrules_add(struct tokenizer *t, const char *content, size_t len, int flags, struct err *e)
{
    const struct added_token *old = added_find(&t->added, content, len);
    int64_t id = old ? (int64_t)old->id : vocabmap_id(&t->vocab, content, len);
    struct added_token token = {.content = (char *)(uintptr_t)content, .len = len};

    if (len == 0)
        return 0;
    if (id < 0) {
        id = (int64_t)(t->model == TOK_UNIGRAM ? t->unigram.n : t->vocab.entries);
        if (t->added.n && (int64_t)t->added.max_id >= id)
            id = (int64_t)t->added.max_id + 1;
    }
    token.id = (uint32_t)id;
    token.special = flags & ADDED_SPECIAL;
    token.lstrip = flags & ADDED_LSTRIP;
    token.rstrip = flags & ADDED_RSTRIP;
    token.single_word = flags & ADDED_SINGLE;
    token.normalized = flags & ADDED_NORMALIZED;
    return added_put(&t->added, &token, e);
}

int tokrules_piece(struct template_piece *piece, int *n, int32_t id, int32_t type)
{
    if (*n == TEMPLATE_MAX)
        return -1;
    piece[(*n)++] = (struct template_piece){id, type};
    return 0;
}

/* The bytes that tokens of a set start with, where they are few. */
static void list_first(struct added_set *set)
{
    int n = 0;

    for (int b = 0; b < 256; b++)
        if (set->first[b] && n++ < ADDED_SOME)
            set->some[n - 1] = (uint8_t)b;
    set->has_some = n > 0 && n <= ADDED_SOME;
    for (int i = n; set->has_some && i < ADDED_SOME; i++)
        set->some[i] = set->some[0];
}

/* Builds the trie of the raw added tokens, or of the normalized ones. */
static int build_set(struct tokenizer *t, struct added_set *set, bool normalized, struct err *e)
{
    struct trie_entry *entry = mem_alloc(t->added.n, sizeof *entry, "added tokens", e);
    struct norm_scratch scratch = {0};
    struct buf all = {0}, one = {0};
    size_t *at = mem_alloc(t->added.n, sizeof *at, "added tokens", e);
    int rc = entry && at ? 0 : -1;

    set->n = 0;
    /* From the last to the first: of two that are the same when normalized the first wins. */
    for (size_t i = t->added.n; rc == 0 && i-- > 0;) {
        struct added_token *token = &t->added.at[i];

        if (token->normalized != normalized)
            continue;
        rc = normalized ? normalize(&t->normalizer, (const uint8_t *)token->content, token->len,
                                    &scratch, &one, e)
                        : (buf_reset(&one), buf_add(&one, token->content, token->len, e));
        token->shown = rc ? NULL : mem_dupn(one.data ? one.data : "", one.len, e);
        token->shown_len = one.len;
        rc = rc || !token->shown ? -1 : 0;
        if (rc || one.len == 0)
            continue;
        at[set->n] = all.len;
        entry[set->n++] = (struct trie_entry){NULL, one.len, (int32_t)i};
        rc = buf_add(&all, one.data, one.len, e);
    }
    memset(set->first, 0, sizeof set->first);
    set->only = -1;
    for (int i = 0; rc == 0 && i < set->n; i++) {
        const uint8_t byte = (uint8_t)all.data[at[i]];

        entry[i].bytes = all.data + at[i];
        set->only = i == 0 || set->only == byte ? byte : -1;
        set->first[byte] = true;
    }
    list_first(set);
    rc = rc || trie_build(&set->trie, entry, (size_t)set->n, e) ? -1 : 0;
    norm_scratch_free(&scratch);
    buf_free(&all);
    buf_free(&one);
    free(entry);
    free(at);
    return rc;
}

struct decode_step *tokrules_decode(struct tokenizer *t, enum tok_decode kind)
{
    struct decode_step *step = &t->decode[t->decodes];

    if (t->decodes == DECODE_MAX)
        return NULL;
    *step = (struct decode_step){.kind = kind};
    t->decodes++;
    return step;
}

/* Without steps of its own a loader's decoder is one. */
static int finish_decoder(struct tokenizer *t, struct err *e)
{
    struct decode_step *step;

    if (t->decodes) {
        t->decoder = t->decode[0].kind;
        return 0;
    }
    step = tokrules_decode(t, t->decoder);
    step->cleanup = t->decode_cleanup;
    step->text = t->decode_prefix ? mem_dup(t->decode_prefix, e) : NULL;
    return t->decode_prefix && !step->text ? -1 : 0;
}

/* A last ByteLevel gives its bytes to BPE as they are, where that makes no difference. */
static int finish_bytes(struct tokenizer *t, struct err *e)
{
    struct pretokenizer *pre = &t->pre;
    const bool spelled = pre->n && pre->step[pre->n - 1] == PRE_BYTES;
    const bool plain = t->model == TOK_BPE && !t->chars.byte_fallback && !t->chars.prefix &&
                       !t->chars.suffix;

    if (pre->n == 0 && pretokenizer_add(pre, PRE_NONE))
        return err_set(e, ERR_DATA, "too many pre-tokenizers");
    if (spelled && plain) {
        const struct pre_rule *r = &pre->rule[pre->n - 1];

        pre->step[pre->n - 1] = r->words ? PRE_GPT2 : PRE_NONE;
        pre->prefix_space = r->prefix;
        pre->bytes = true;
    }
    for (int i = 0; i < pre->n; i++)
        pre->rules = pre->rules || pre->step[i] > PRE_NONE;
    pre->joins = pre->step[pre->n - 1] == PRE_METASPACE &&
                 (pre->n == 1 || (pre->n == 2 && pre->step[0] == PRE_SPACE));
    if (pre->joins) {
        const struct pre_rule *r = &pre->rule[pre->n - 1];
        size_t used;

        pre->mark = utf8_next(r->mark, r->n_mark, &used);
    }
    if (t->model == TOK_BPE && !pre->bytes)
        charbpe_build(&t->chars, &t->vocab);
    return 0;
}

static int build_model(struct tokenizer *t, struct err *e)
{
    if (t->model == TOK_WORDPIECE)
        return wordpiece_build(&t->wordpiece, &t->vocab, t->prefix, e);
    return t->model == TOK_UNIGRAM ? unigram_build(&t->unigram, &t->vocab, e) : 0;
}

/* Everything that is derived from the rules. */
static int finish(struct tokenizer *t, struct err *e)
{
    if (finish_bytes(t, e) || finish_decoder(t, e))
        return -1;
    t->bert = t->bert && t->model == TOK_WORDPIECE && t->pre.n == 1 &&
              t->pre.step[0] == PRE_BERT;
    if (build_model(t, e))
        return -1;
    if (build_set(t, &t->added.raw, false, e) || build_set(t, &t->added.normalized, true, e))
        return -1;
    t->size = (uint32_t)t->vocab.size;
    if (t->added.n && t->added.max_id >= t->size)
        t->size = t->added.max_id + 1;
    if (t->lacks_unk && t->size > VOCAB_NO_ID)
        return err_set(e, ERR_DATA, "a vocabulary of %u without an unknown token is not "
                       "implemented", t->size);
    return added_index(&t->added, t->size, e) || unitscan_build(t, e) || tokrules_hash(t, e) ? -1
                                                                                           : 0;
}

struct tokenizer *tokenizer_load(const char *dir, struct err *e)
{
    struct tokenizer *t = mem_alloc(1, sizeof *t, "tokenizer", e);
    char *json = t ? io_join(dir, "tokenizer.json", e) : NULL;
    int rc = json ? 0 : -1;

    if (rc == 0)
        rc = io_exists(json) ? tokjson_load(t, json, e) : tokfiles_load(t, dir, e);
    if (rc == 0)
        rc = tokfiles_specials(t, dir, e);
    if (rc == 0)
        rc = finish(t, e);
    free(json);
    if (rc == 0)
        return t;
    tokenizer_free(t);
    return NULL;
}

struct tokenizer *tokrules_from_json(const char *name, const char *text, size_t n,
                                     struct err *e)
{
    struct tokenizer *t = mem_alloc(1, sizeof *t, "tokenizer", e);

    if (t && tokjson_text(t, name, text, n, e) == 0 && tokfiles_specials(t, NULL, e) == 0 &&
        finish(t, e) == 0)
        return t;
    tokenizer_free(t);
    return NULL;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    vocabmap_free(&t->vocab);
    wordpiece_free(&t->wordpiece);
    bpe_free(&t->bpe);
    added_free(&t->added);
    free(t->prefix);
    free(t->decode_prefix);
    unigram_free(&t->unigram);
    charbpe_free(&t->chars);
    normalizer_free(&t->normalizer);
    pretokenizer_free(&t->pre);
    for (int i = 0; i < t->decodes; i++) {
        free(t->decode[i].text);
        pattern_free(t->decode[i].pattern);
    }
    free(t);
}

const char *tokenizer_kind(const struct tokenizer *t)
{
    static const char *const name[] = {"", "wordpiece", "bpe", "unigram", "wordlevel"};

    return name[t->model];
}

const char *tokenizer_hash(const struct tokenizer *t)
{
    return t->hash;
}

uint32_t tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

const struct template *tokenizer_template(const struct tokenizer *t)
{
    return &t->template;
}

const char *tokenizer_token(const struct tokenizer *t, uint32_t id)
{
    const struct added_token *added = added_by_id(&t->added, id);

    return added ? added->shown : vocabmap_token(&t->vocab, id, NULL);
}

int64_t tokenizer_id(const struct tokenizer *t, const char *token)
{
    return tokrules_id(t, token, strlen(token));
}

bool tokenizer_is_special(const struct tokenizer *t, uint32_t id)
{
    const struct added_token *added = added_by_id(&t->added, id);

    return added && added->special;
}
