/* SPDX-License-Identifier: MIT */
/*
 * tokvocab: vocabularies and merges, the large parts of a tokenizer's files.
 */
#include "io.h"
#include "jsonscan.h"
#include "tokrules.h"
#include "unidata.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 512 << 20 };

int tokrules_vocab(struct tokenizer *t, struct jsonscan *s, struct err *e)
{
    bool first = true;
    const char *token;
    uint64_t id;
    size_t n;
    int more = jsonscan_take(s, '{', e);

    /* An entry takes about 16 bytes. */
    if (more || vocabmap_reserve(&t->vocab, (size_t)(s->end - s->p) / 20, e))
        return -1;
    while ((more = jsonscan_more(s, '}', &first, e)) > 0) {
        if (jsonscan_string(s, &token, &n, e) || jsonscan_take(s, ':', e) ||
            jsonscan_number(s, &id, e))
            return -1;
        if (vocabmap_put(&t->vocab, token, n, id, e))
            return err_prefix(e, "'%s': ", s->name);
    }
    if (more == 0 && t->vocab.entries == 0)
        return err_set(e, ERR_DATA, "'%s': the vocabulary is empty", s->name);
    return more;
}

/* A piece and its score, a list of two. */
static int read_piece(struct tokenizer *t, struct jsonscan *s, struct buf *piece, struct err *e)
{
    const char *token;
    double score;
    size_t n;

    buf_reset(piece);
    if (jsonscan_take(s, '[', e) || jsonscan_string(s, &token, &n, e) ||
        buf_add(piece, token, n, e) || jsonscan_take(s, ',', e) ||
        jsonscan_real(s, &score, e) || jsonscan_take(s, ']', e))
        return -1;
    return unigram_add(&t->unigram, &t->vocab, piece->data, piece->len, score, e)
               ? err_prefix(e, "'%s': ", s->name)
               : 0;
}

int tokrules_pieces(struct tokenizer *t, struct jsonscan *s, struct err *e)
{
    struct buf piece = {0};
    bool first = true;
    int more = jsonscan_take(s, '[', e);

    if (more || vocabmap_reserve(&t->vocab, (size_t)(s->end - s->p) / 30, e))
        return -1;
    while ((more = jsonscan_more(s, ']', &first, e)) > 0) {
        if (read_piece(t, s, &piece, e)) {
            more = -1;
            break;
        }
    }
    buf_free(&piece);
    if (more == 0 && t->unigram.n == 0)
        return err_set(e, ERR_DATA, "'%s': the vocabulary is empty", s->name);
    return more;
}

/* Adds the merge of two tokens, whose sum must be a token, too. */
static int add_merge(struct tokenizer *t, const char *left, size_t n_left, const char *right,
                     size_t n_right, uint32_t rank, struct buf *scratch, struct err *e)
{
    const int64_t a = vocabmap_id(&t->vocab, left, n_left);
    const int64_t b = vocabmap_id(&t->vocab, right, n_right);
    const size_t prefix = t->chars.prefix ? strlen(t->chars.prefix) : 0;
    const size_t cut = prefix < n_right ? prefix : n_right;
    int64_t both;

    /* The prefix of inner tokens is not within others. */
    buf_reset(scratch);
    if (buf_add(scratch, left, n_left, e) || buf_add(scratch, right + cut, n_right - cut, e))
        return -1;
    both = vocabmap_id(&t->vocab, scratch->data, scratch->len);
    if (a < 0 || b < 0 || both < 0)
        return err_set(e, ERR_DATA, "merge %u ('%.*s' and '%.*s') is not in the vocabulary",
                       rank + 1, (int)(n_left < 200 ? n_left : 200), left,
                       (int)(n_right < 200 ? n_right : 200), right);
    bpe_add(&t->bpe, (uint32_t)a, (uint32_t)b, rank, (uint32_t)both);
    return 0;
}

/* Splits "left right" at its only space. */
static int split_merge(const char *p, size_t n, size_t *n_left)
{
    const char *space = memchr(p, ' ', n);

    if (!space || memchr(space + 1, ' ', n - (size_t)(space + 1 - p)))
        return -1;
    *n_left = (size_t)(space - p);
    return 0;
}

static int no_pair(const struct jsonscan *s, uint32_t rank, struct err *e)
{
    return err_set(e, ERR_DATA, "'%s': merge %u is no pair of tokens", s->name, rank + 1);
}

/* A merge as "left right", or as ["left", "right"] for tokens with spaces. */
static int read_merge(struct tokenizer *t, struct jsonscan *s, uint32_t rank,
                      struct buf *scratch, struct buf *left, struct err *e)
{
    const bool text = jsonscan_peek(s) == '"';
    const char *p;
    size_t n, n_left;
    bool first = true;
    int rc;

    buf_reset(left);
    if (!text && jsonscan_peek(s) != '[')
        return no_pair(s, rank, e);
    if (text) {
        if (jsonscan_string(s, &p, &n, e))
            return -1;
        if (split_merge(p, n, &n_left))
            return no_pair(s, rank, e);
        rc = add_merge(t, p, n_left, p + n_left + 1, n - n_left - 1, rank, scratch, e);
    } else {
        if (jsonscan_take(s, '[', e) || jsonscan_more(s, ']', &first, e) <= 0 ||
            jsonscan_string(s, &p, &n, e) || buf_add(left, p, n, e) ||
            jsonscan_more(s, ']', &first, e) <= 0 || jsonscan_string(s, &p, &n, e) ||
            jsonscan_take(s, ']', e))
            return no_pair(s, rank, e);
        rc = add_merge(t, left->data, left->len, p, n, rank, scratch, e);
    }
    return rc ? err_prefix(e, "'%s': ", s->name) : 0;
}

/* Number of merges in a list: that of the strings, or half of it for pairs; at least so. */
static size_t count_merges(const struct jsonscan *s)
{
    size_t quotes = 0;

    for (const char *p = s->p; p < s->end; p++)
        quotes += *p == '"';
    return quotes / 2 + 1;
}

int tokrules_merges(struct tokenizer *t, struct jsonscan *s, struct err *e)
{
    struct buf scratch = {0}, left = {0};
    bool first = true;
    uint32_t rank = 0;
    int more;

    if (jsonscan_take(s, '[', e) || bpe_init(&t->bpe, &t->vocab, count_merges(s), e))
        return -1;
    while ((more = jsonscan_more(s, ']', &first, e)) > 0) {
        if (read_merge(t, s, rank++, &scratch, &left, e)) {
            more = -1;
            break;
        }
    }
    buf_free(&scratch);
    buf_free(&left);
    return more;
}

/* Length of a line without the white space at its end. */
static size_t trimmed(const uint8_t *p, size_t n)
{
    size_t used;

    while (n > 0 && uni_of(utf8_last(p, n, &used)) & UNI_SPACE)
        n -= used;
    return n;
}

int tokrules_vocab_txt(struct tokenizer *t, const char *path, struct err *e)
{
    size_t n, at = 0;
    char *text = io_slurp(path, FILE_MAX, &n, e);
    uint64_t id = 0;
    int rc;

    if (!text)
        return -1;
    rc = vocabmap_reserve(&t->vocab, n / 8, e);
    if (rc == 0 && !utf8_valid((const uint8_t *)text, n))
        rc = err_set(e, ERR_DATA, "is not UTF-8");
    for (; rc == 0 && at < n; id++) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t len = end ? (size_t)(end - text) - at : n - at;

        rc = vocabmap_put(&t->vocab, text + at, trimmed((const uint8_t *)text + at, len), id, e);
        at += len + 1;
    }
    free(text);
    return rc ? err_prefix(e, "'%s': ", path) : 0;
}

int tokrules_merges_txt(struct tokenizer *t, const char *path, struct err *e)
{
    struct buf scratch = {0};
    size_t n, n_left, lines = 1;
    char *text = io_slurp(path, FILE_MAX, &n, e);
    uint32_t rank = 0, line = 0;
    int rc;

    if (!text)
        return -1;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    rc = bpe_init(&t->bpe, &t->vocab, lines, e);
    for (size_t at = 0; rc == 0 && at < n;) {
        const char *end = memchr(text + at, '\n', n - at), *p = text + at;
        size_t len = end ? (size_t)(end - p) : n - at;

        at += len + 1;
        line++;
        if (len && p[len - 1] == '\r')
            len--;
        if (len == 0 || (len >= 8 && memcmp(p, "#version", 8) == 0))
            continue;
        if (split_merge(p, len, &n_left))
            rc = err_set(e, ERR_DATA, "%s:%u: not two tokens with a space between", path, line);
        else if (add_merge(t, p, n_left, p + n_left + 1, len - n_left - 1, rank++, &scratch, e))
            rc = err_prefix(e, "%s:%u: ", path, line);
    }
    buf_free(&scratch);
    free(text);
    return rc;
}
