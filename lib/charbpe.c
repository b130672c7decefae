/* SPDX-License-Identifier: MIT */
#include "charbpe.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

void charbpe_build(struct charbpe *c, const struct vocabmap *v)
{
    static const char hex[] = "0123456789ABCDEF";

    c->on = true;
    for (int b = 0; b < 256; b++) {
        const char name[] = {'<', '0', 'x', hex[b >> 4], hex[b & 15], '>'};

        c->byte_id[b] = (int32_t)vocabmap_id(v, name, sizeof name);
    }
    for (int b = 0; b < 128; b++) {
        const char byte = (char)b;

        c->ascii[b] = (int32_t)vocabmap_id(v, &byte, 1);
    }
}

void charbpe_free(struct charbpe *c)
{
    free(c->prefix);
    free(c->suffix);
    *c = (struct charbpe){0};
}

static size_t length(const char *s)
{
    return s ? strlen(s) : 0;
}

size_t charbpe_room(const struct charbpe *c, size_t n)
{
    return c->byte_fallback ? n * (1 + length(c->prefix)) + length(c->suffix) + 1 : n + 1;
}

/* A word on its way to symbols. */
struct speller {
    const struct charbpe_model *m;
    struct buf one;  /* a character with prefix and suffix */
    uint32_t *ids;
    size_t n;
    bool unknown; /* an unknown token waits behind those written */
    struct err *e;
};

static int64_t find(struct speller *s, const uint8_t *p, size_t n, bool first, bool last)
{
    const struct charbpe *c = s->m->chars;
    const char *prefix = first ? NULL : c->prefix, *suffix = last ? c->suffix : NULL;

    if (n == 1 && !prefix && !suffix && p[0] < 128)
        return c->ascii[p[0]];
    if (!prefix && !suffix)
        return vocabmap_id(s->m->vocab, (const char *)p, n);
    buf_reset(&s->one);
    if ((prefix && buf_puts(&s->one, prefix, s->e)) || buf_add(&s->one, p, n, s->e) ||
        (suffix && buf_puts(&s->one, suffix, s->e)))
        return -2;
    return vocabmap_id(s->m->vocab, s->one.data, s->one.len);
}

/* The tokens of all bytes, when there is one for each. */
static bool put_bytes(struct speller *s, const uint8_t *p, size_t n)
{
    const struct charbpe *c = s->m->chars;

    for (size_t i = 0; i < n; i++)
        if (c->byte_id[p[i]] < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        s->ids[s->n++] = (uint32_t)c->byte_id[p[i]];
    return true;
}

static void flush_unknown(struct speller *s)
{
    if (s->unknown)
        s->ids[s->n++] = (uint32_t)s->m->bpe->unk;
    s->unknown = false;
}

/* A character that is no token.  Tokens of bytes go before an unknown one that waits. */
static void put_stranger(struct speller *s, const uint8_t *p, size_t n)
{
    const struct charbpe *c = s->m->chars;
    const bool spelled = s->one.len > 0;

    if (c->byte_fallback && put_bytes(s, spelled ? (const uint8_t *)s->one.data : p,
                                      spelled ? s->one.len : n))
        return;
    if (s->m->bpe->unk < 0)
        return;
    if (!s->m->bpe->fuse_unk)
        flush_unknown(s);
    s->unknown = true;
}

int64_t charbpe_word(const struct charbpe_model *m, const uint8_t *word, size_t n,
                     struct bpe_scratch *scratch, uint32_t *ids, struct err *e)
{
    struct speller s = {.m = m, .ids = ids, .e = e};
    int64_t id = 0;

    if (m->bpe->whole && (id = vocabmap_id(m->vocab, (const char *)word, n)) >= 0) {
        ids[0] = (uint32_t)id;
        return 1;
    }
    for (size_t at = 0, used; at < n; at += used) {
        utf8_next(word + at, n - at, &used);
        buf_reset(&s.one);
        id = find(&s, word + at, used, at == 0, at + used == n);
        if (id == -2)
            break;
        if (id >= 0) {
            flush_unknown(&s);
            ids[s.n++] = (uint32_t)id;
        } else {
            put_stranger(&s, word + at, used);
        }
    }
    flush_unknown(&s);
    buf_free(&s.one);
    return id == -2 ? -1 : bpe_merge(m->bpe, scratch, ids, s.n, e);
}
