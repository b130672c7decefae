/* SPDX-License-Identifier: MIT */
#include "io.h"
#include "tokrules.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

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
        id = (int64_t)t->vocab.entries;
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
    rc = rc || trie_build(&set->trie, entry, (size_t)set->n, e) ? -1 : 0;
    norm_scratch_free(&scratch);
    buf_free(&all);
    buf_free(&one);
    free(entry);
    free(at);
    return rc;
}

static void hash_number(XXH3_state_t *h, uint64_t v)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(v >> 8 * i);
    XXH3_128bits_update(h, bytes, sizeof bytes);
}

static void hash_text(XXH3_state_t *h, const char *s, size_t n)
{
    hash_number(h, n);
    XXH3_128bits_update(h, s, n);
}

static void hash_template(XXH3_state_t *h, const struct template_piece *piece, int n)
{
    hash_number(h, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        hash_number(h, (uint64_t)(int64_t)piece[i].id);
        hash_number(h, (uint64_t)piece[i].type);
    }
}

static void hash_added(XXH3_state_t *h, const struct tokenizer *t)
{
    size_t normalized = 0;

    for (size_t i = 0; i < t->added.n; i++)
        normalized += t->added.at[i].normalized;
    hash_number(h, t->added.n);
    for (uint32_t id = 0; id < t->size; id++) {
        const struct added_token *next = added_by_id(&t->added, id);

        if (!next)
            continue;
        hash_number(h, next->id);
        hash_text(h, next->content, next->len);
        hash_number(h, (next->special ? ADDED_SPECIAL : 0) | (next->lstrip ? ADDED_LSTRIP : 0) |
                           (next->rstrip ? ADDED_RSTRIP : 0) |
                           (next->single_word ? ADDED_SINGLE : 0) |
                           /* Without a normalizer the flag tells nothing if all have it. */
                           (next->normalized &&
                                    (t->normalizer.n || normalized != t->added.n)
                                ? ADDED_NORMALIZED
                                : 0));
    }
}

/* Merges are summed up, so that the order of the table does not matter. */
static void hash_bpe(XXH3_state_t *h, const struct bpe *b)
{
    uint64_t sum[2] = {0, 0};

    for (size_t i = 0; i < b->slots; i++) {
        if (b->slot[i]) {
            const uint64_t fact[2] = {b->slot[i], b->made[(b->slot[i] & BPE_RANK_MASK) - 1]};
            const XXH128_hash_t one = XXH3_128bits(fact, sizeof fact);

            sum[0] += one.low64;
            sum[1] += one.high64;
        }
    }
    hash_number(h, b->merges);
    hash_number(h, sum[0]);
    hash_number(h, sum[1]);
    hash_number(h, b->bytes_only ? 0 : (uint64_t)(b->unk + 1));
    hash_number(h, !b->bytes_only && b->fuse_unk);
    hash_number(h, b->whole);
}

static int hash_rules(struct tokenizer *t, struct err *e)
{
    XXH3_state_t *h = XXH3_createState();
    XXH128_canonical_t canonical;

    if (!h)
        return err_oom(e, "hash", 0);
    XXH3_128bits_reset(h);
    hash_text(h, "bertutils tokenizer 1", 21);
    hash_number(h, t->model);
    for (size_t id = 0; id < t->vocab.size; id++) {
        size_t len;
        const char *token = vocabmap_token(&t->vocab, (uint32_t)id, &len);

        if (token) {
            hash_number(h, id);
            hash_text(h, token, len);
        }
    }
    hash_text(h, (const char *)t->normalizer.step, (size_t)t->normalizer.n);
    hash_text(h, (const char *)t->pre.step, (size_t)t->pre.n);
    hash_number(h, t->pre.prefix_space);
    if (t->model == TOK_WORDPIECE) {
        hash_text(h, t->prefix, strlen(t->prefix));
        hash_number(h, (uint64_t)t->wordpiece.unk);
        hash_number(h, t->wordpiece.max_chars);
    } else {
        hash_bpe(h, &t->bpe);
    }
    hash_added(h, t);
    hash_template(h, t->template.single, t->template.n_single);
    hash_template(h, t->template.pair, t->template.n_pair);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(h));
    XXH3_freeState(h);
    for (size_t i = 0; i < sizeof canonical.digest; i++) {
        t->hash[2 * i] = "0123456789abcdef"[canonical.digest[i] >> 4];
        t->hash[2 * i + 1] = "0123456789abcdef"[canonical.digest[i] & 15];
    }
    return 0;
}

/* Everything that is derived from the rules. */
static int finish(struct tokenizer *t, struct err *e)
{
    if (t->pre.n == 0 && pretokenizer_add(&t->pre, PRE_NONE))
        return -1;
    t->bert = t->bert && t->model == TOK_WORDPIECE && t->pre.n == 1 &&
              t->pre.step[0] == PRE_BERT;
    if (t->model == TOK_WORDPIECE && wordpiece_build(&t->wordpiece, &t->vocab, t->prefix, e))
        return -1;
    if (build_set(t, &t->added.raw, false, e) || build_set(t, &t->added.normalized, true, e))
        return -1;
    t->size = (uint32_t)t->vocab.size;
    if (t->added.n && t->added.max_id >= t->size)
        t->size = t->added.max_id + 1;
    return added_index(&t->added, t->size, e) || hash_rules(t, e) ? -1 : 0;
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
    free(t);
}

const char *tokenizer_kind(const struct tokenizer *t)
{
    return t->model == TOK_WORDPIECE ? "wordpiece" : "bpe";
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
