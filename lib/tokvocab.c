/* SPDX-License-Identifier: MIT */
/*
 * tokvocab: vocabularies and merges, the large parts of a tokenizer's files.
 */
#include "io.h"
#include "jsonscan.h"
#include "tokrules.h"
#include "unidata.h"
#include "utf8.h"

#include <stdio.h>
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
        if (vocabmap_add(&t->vocab, token, n, id, e))
            return err_prefix(e, "'%s': ", s->name);
    }
    return more == 0 && vocabmap_index(&t->vocab, e) ? -1 : more;
}

/* A piece and its score, a list of two. */
static int read_piece(struct tokenizer *t, struct jsonscan *s, struct err *e)
{
    struct unigram *u = &t->unigram;
    const char *token;
    size_t n;

    if (jsonscan_take(s, '[', e) || jsonscan_string(s, &token, &n, e))
        return -1;
    /* Its text is good until the next call. */
    if (unigram_add(u, &t->vocab, token, n, 0, e))
        return err_prefix(e, "'%s': ", s->name);
    return jsonscan_take(s, ',', e) || jsonscan_real(s, &u->score[u->n - 1], e) ||
                   jsonscan_take(s, ']', e)
               ? -1
               : 0;
}

int tokrules_pieces(struct tokenizer *t, struct jsonscan *s, struct err *e)
{
    bool first = true;
    int more = jsonscan_take(s, '[', e);
    const size_t bytes = (size_t)(s->end - s->p);

    /* An entry takes some 35 bytes, half of them the piece: nothing is copied to grow. */
    if (more || vocabmap_reserve(&t->vocab, bytes / 30, e) ||
        buf_reserve(&t->vocab.bytes, bytes / 2, e) || unigram_reserve(&t->unigram, bytes / 30, e))
        return -1;
    while ((more = jsonscan_more(s, ']', &first, e)) > 0) {
        if (read_piece(t, s, e)) {
            more = -1;
            break;
        }
    }
    return more == 0 && vocabmap_index(&t->vocab, e) ? -1 : more;
}

/* Merges whose tokens are looked for together; the first has this rank. */
enum { TOGETHER = 16, TOKENS = 3 };
struct merges {
    struct tokenizer *t;
    const char *name;   /* of the file, for messages */
    size_t prefix;      /* bytes of the prefix of inner tokens, which is not within others */
    struct buf text;    /* of the pairs: the left token, the right one, and with a prefix both */
    struct {
        size_t at, n_left, n_right;
        uint32_t line; /* in the file; 0: it has none */
    } pair[TOGETHER];
    size_t n;
    uint32_t rank;
};

static void merges_begin(struct merges *m, struct tokenizer *t, const char *name)
{
    *m = (struct merges){.t = t, .name = name,
                         .prefix = t->chars.prefix ? strlen(t->chars.prefix) : 0};
}

static void merges_free(struct merges *m)
{
    buf_free(&m->text);
}

static int bad_merge(const struct merges *m, size_t i, struct err *e)
{
    const char *left = m->text.data + m->pair[i].at, *right = left + m->pair[i].n_left;
    const size_t n_left = m->pair[i].n_left, n_right = m->pair[i].n_right;
    char line[16] = "";

    if (m->pair[i].line)
        snprintf(line, sizeof line, ":%u", m->pair[i].line);
    return err_set(e, ERR_DATA, "%s%s%s%s merge %u ('%.*s' and '%.*s') is not in the vocabulary",
                   *line ? "" : "'", m->name, line, *line ? ":" : "':",
                   m->rank + (uint32_t)i + 1, (int)(n_left < 200 ? n_left : 200), left,
                   (int)(n_right < 200 ? n_right : 200), right);
}

/* Gives the merges at hand to the model; their sums must be tokens, too. */
static int merges_flush(struct merges *m, struct err *e)
{
    struct vocab_query query[TOGETHER * TOKENS];

    for (size_t i = 0; i < m->n; i++) {
        const size_t n_left = m->pair[i].n_left, n_right = m->pair[i].n_right;
        const char *left = m->text.data + m->pair[i].at, *right = left + n_left;
        const size_t cut = m->prefix < n_right ? m->prefix : n_right;

        query[TOKENS * i] = (struct vocab_query){left, n_left, 0};
        query[TOKENS * i + 1] = (struct vocab_query){right, n_right, 0};
        query[TOKENS * i + 2] =
            (struct vocab_query){m->prefix ? right + n_right : left, n_left + n_right - cut, 0};
    }
    vocabmap_ids(&m->t->vocab, query, TOKENS * m->n);
    for (size_t i = 0; i < m->n; i++)
        if (query[TOKENS * i].id >= 0 && query[TOKENS * i + 1].id >= 0)
            bpe_fetch(&m->t->bpe, (uint32_t)query[TOKENS * i].id,
                      (uint32_t)query[TOKENS * i + 1].id);
    for (size_t i = 0; i < m->n; i++) {
        const struct vocab_query *q = &query[TOKENS * i];

        if (q[0].id < 0 || q[1].id < 0 || q[2].id < 0)
            return bad_merge(m, i, e);
        bpe_add(&m->t->bpe, (uint32_t)q[0].id, (uint32_t)q[1].id, m->rank + (uint32_t)i,
                (uint32_t)q[2].id);
    }
    m->rank += (uint32_t)m->n;
    m->n = 0;
    m->text.len = 0;
    return 0;
}

static int merges_add(struct merges *m, const char *left, size_t n_left, const char *right,
                      size_t n_right, uint32_t line, struct err *e)
{
    const size_t need = 2 * (n_left + n_right) + VOCAB_SLACK;
    char *to;

    if (need >= m->text.cap - m->text.len && buf_reserve(&m->text, need, e))
        return -1;
    m->pair[m->n].at = m->text.len;
    m->pair[m->n].n_left = n_left;
    m->pair[m->n].n_right = n_right;
    m->pair[m->n].line = line;
    to = m->text.data + m->text.len;
    memcpy(to, left, n_left);
    memcpy(to + n_left, right, n_right);
    to += n_left + n_right;
    if (m->prefix) {
        const size_t cut = m->prefix < n_right ? m->prefix : n_right;

        memcpy(to, left, n_left);
        memcpy(to += n_left, right + cut, n_right - cut);
        to += n_right - cut;
    }
    m->text.len = (size_t)(to - m->text.data);
    return ++m->n == TOGETHER ? merges_flush(m, e) : 0;
}

/* The highest bit of each byte that is a space, of eight. */
static inline uint64_t spaces_of(const char *p)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
    uint64_t x;

    memcpy(&x, p, sizeof x);
    x ^= 0x2020202020202020u;
    return ~(((x & low) + low) | x | low);
}

/* Splits "left right" at its only space. */
static int split_merge(const char *p, size_t n, size_t *n_left)
{
    size_t at = 0, found = 0;

    for (; n - at >= 8; at += 8) {
        const uint64_t spaces = spaces_of(p + at);

        if (!spaces)
            continue;
        *n_left = at + (size_t)__builtin_ctzll(spaces) / 8;
        found += 1 + ((spaces & (spaces - 1)) != 0);
    }
    for (; at < n; at++)
        if (p[at] == ' ') {
            *n_left = at;
            found++;
        }
    return found == 1 ? 0 : -1;
}

static int no_pair(const struct jsonscan *s, uint32_t rank, struct err *e)
{
    return err_set(e, ERR_DATA, "'%s': merge %u is no pair of tokens", s->name, rank + 1);
}

/* A merge as "left right", or as ["left", "right"] for tokens with spaces. */
static int read_merge(struct merges *m, struct jsonscan *s, struct buf *left, struct err *e)
{
    const uint32_t rank = m->rank + (uint32_t)m->n;
    const char open = jsonscan_peek(s);
    const char *p;
    size_t n, n_left;
    bool first = true;

    if (open == '"') {
        if (jsonscan_string(s, &p, &n, e))
            return -1;
        if (split_merge(p, n, &n_left))
            return no_pair(s, rank, e);
        return merges_add(m, p, n_left, p + n_left + 1, n - n_left - 1, 0, e);
    }
    buf_reset(left);
    if (open != '[' || jsonscan_take(s, '[', e) || jsonscan_more(s, ']', &first, e) <= 0 ||
        jsonscan_string(s, &p, &n, e) || buf_add(left, p, n, e) ||
        jsonscan_more(s, ']', &first, e) <= 0 || jsonscan_string(s, &p, &n, e) ||
        jsonscan_take(s, ']', e))
        return no_pair(s, rank, e);
    return merges_add(m, left->data, left->len, p, n, 0, e);
}

/* How often a byte is in a text; short stretches are counted in bytes, many at a time. */
static size_t count_bytes(const char *p, size_t n, char byte)
{
    size_t count = 0;

    for (size_t i = 0; i < n;) {
        const size_t end = n - i < 128 ? n : i + 128;
        uint8_t some = 0;

        for (; i < end; i++)
            some = (uint8_t)(some + (p[i] == byte));
        count += some;
    }
    return count;
}

/* Number of merges in a list: that of the strings, or half of it for pairs; at least so. */
static size_t count_merges(const struct jsonscan *s)
{
    return count_bytes(s->p, (size_t)(s->end - s->p), '"') / 2 + 1;
}

int tokrules_merges(struct tokenizer *t, struct jsonscan *s, struct err *e)
{
    struct merges m;
    struct buf left = {0};
    bool first = true;
    int more;

    if (jsonscan_take(s, '[', e) || bpe_init(&t->bpe, &t->vocab, count_merges(s), e))
        return -1;
    merges_begin(&m, t, s->name);
    while ((more = jsonscan_more(s, ']', &first, e)) > 0) {
        if (read_merge(&m, s, &left, e)) {
            more = -1;
            break;
        }
    }
    if (more == 0)
        more = merges_flush(&m, e);
    merges_free(&m);
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

        rc = vocabmap_add(&t->vocab, text + at, trimmed((const uint8_t *)text + at, len), id, e);
        at += len + 1;
    }
    rc = rc || vocabmap_index(&t->vocab, e) ? -1 : 0;
    free(text);
    return rc ? err_prefix(e, "'%s': ", path) : 0;
}

int tokrules_merges_txt(struct tokenizer *t, const char *path, struct err *e)
{
    struct merges m;
    size_t n, n_left;
    char *text = io_slurp(path, FILE_MAX, &n, e);
    uint32_t line = 0;
    int rc;

    if (!text)
        return -1;
    merges_begin(&m, t, path);
    rc = bpe_init(&t->bpe, &t->vocab, count_bytes(text, n, '\n') + 1, e);
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
        else
            rc = merges_add(&m, p, n_left, p + n_left + 1, len - n_left - 1, line, e);
    }
    if (rc == 0)
        rc = merges_flush(&m, e);
    merges_free(&m);
    free(text);
    return rc;
}
