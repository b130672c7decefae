/* SPDX-License-Identifier: MIT */
#include "added.h"
#include "unidata.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

const struct added_token *added_find(const struct added *a, const char *content, size_t len)
{
    const int64_t at = vocabmap_id(&a->place, content, len);

    return at < 0 ? NULL : &a->at[at];
}

int added_index(struct added *a, size_t ids, struct err *e)
{
    a->by_id = mem_alloc(ids, sizeof *a->by_id, "added tokens", e);
    if (!a->by_id)
        return -1;
    a->ids = ids;
    for (size_t i = 0; i < a->n; i++)
        if (a->at[i].id < ids)
            a->by_id[a->at[i].id] = (uint32_t)i + 1;
    return 0;
}

const struct added_token *added_by_id(const struct added *a, uint32_t id)
{
    return id < a->ids && a->by_id[id] ? &a->at[a->by_id[id] - 1] : NULL;
}

int added_put(struct added *a, const struct added_token *token, struct err *e)
{
    struct added_token copy = *token;
    const struct added_token *old = added_find(a, token->content, token->len);

    copy.shown = NULL;
    copy.content = mem_dupn(token->content, token->len, e);
    if (!copy.content)
        return -1;
    if (old) {
        free(old->content);
        a->at[old - a->at] = copy;
        return 0;
    }
    if (mem_grow(&a->at, &a->cap, a->n + 1, sizeof *a->at, e)) {
        free(copy.content);
        return -1;
    }
    a->at[a->n++] = copy;
    a->max_id = copy.id > a->max_id ? copy.id : a->max_id;
    return vocabmap_put(&a->place, copy.content, copy.len, a->n - 1, e);
}

void added_free(struct added *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free(a->at[i].content);
        free(a->at[i].shown);
    }
    free(a->at);
    free(a->by_id);
    vocabmap_free(&a->place);
    trie_free(&a->raw.trie);
    trie_free(&a->normalized.trie);
    *a = (struct added){0};
}

static bool is_flagged(uint32_t c, uint32_t flag)
{
    return (uni_of(c) & flag) != 0;
}

/* Start of the white space that ends before p[at], no further left than `from`. */
static size_t spaces_before(const uint8_t *p, size_t at, size_t from)
{
    size_t used;

    while (at > from && is_flagged(utf8_last(p, at, &used), UNI_SPACE))
        at -= used;
    return at < from ? from : at;
}

static size_t spaces_behind(const uint8_t *p, size_t n, size_t at)
{
    size_t used;

    while (at < n && is_flagged(utf8_next(p + at, n - at, &used), UNI_SPACE))
        at += used;
    return at;
}

static bool stands_alone(const uint8_t *p, size_t n, size_t start, size_t stop)
{
    size_t used;

    return (start == 0 || !is_flagged(utf8_last(p, start, &used), UNI_WORD)) &&
           (stop == n || !is_flagged(utf8_next(p + stop, n - stop, &used), UNI_WORD));
}

/* Behind whole groups of bytes that no token of the set starts with; where they are few. */
static size_t skip_others(const struct added_set *set, const uint8_t *p, size_t n, size_t at)
{
#if defined(__SSE2__)
    __m128i some[ADDED_SOME];

    for (int i = 0; i < ADDED_SOME; i++)
        some[i] = _mm_set1_epi8((char)set->some[i]);
    for (; set->has_some && n - at >= sizeof(__m128i); at += sizeof(__m128i)) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
        __m128i found = _mm_cmpeq_epi8(v, some[0]);

        for (int i = 1; i < ADDED_SOME; i++)
            found = _mm_or_si128(found, _mm_cmpeq_epi8(v, some[i]));
        if (_mm_movemask_epi8(found))
            break;
    }
#else
    (void)set;
    (void)p;
    (void)n;
#endif
    return at;
}

/* The first place from `at` on where a token of the set may start, or n. */
static size_t candidate(const struct added_set *set, const uint8_t *p, size_t n, size_t at)
{
    if (set->only >= 0) {
        const uint8_t *found = at < n ? memchr(p + at, set->only, n - at) : NULL;

        return found ? (size_t)(found - p) : n;
    }
    at = skip_others(set, p, n, at);
    while (at < n && !set->first[p[at]])
        at++;
    return at;
}

/* Finds the next token that counts; its place with the blanks it takes in is *piece. */
static bool next_token(const struct added *a, const struct added_set *set, bool specials,
                       const uint8_t *p, size_t n, struct added_walk *walk,
                       struct added_piece *piece)
{
    if (set->n == 0)
        return false;
    for (;;) {
        const struct added_token *token;
        size_t len, start, stop;
        int32_t index = 0;

        start = candidate(set, p, n, walk->scan);
        if (start == n)
            return false;
        len = trie_longest(&set->trie, TRIE_ROOT, p + start, n - start, &index);
        walk->scan = start + (len ? len : 1);
        if (!len)
            continue;
        token = &a->at[index];
        stop = start + len;
        if ((!specials && token->special) ||
            (token->single_word && !stands_alone(p, n, start, stop)))
            continue;
        if (token->lstrip)
            start = spaces_before(p, start, walk->done);
        if (token->rstrip)
            stop = spaces_behind(p, n, stop);
        *piece = (struct added_piece){token, start, stop - start};
        return true;
    }
}

int added_next(const struct added *a, const struct added_set *set, bool specials,
               const uint8_t *p, size_t n, struct added_walk *walk, struct added_piece *piece)
{
    struct added_piece token;
    size_t text_end = n;

    if (walk->has_held) {
        *piece = walk->held;
        walk->has_held = false;
        walk->done = piece->at + piece->n;
        return 1;
    }
    if (next_token(a, set, specials, p, n, walk, &token)) {
        if (token.at <= walk->done) {
            *piece = token;
            walk->done = token.at + token.n;
            return 1;
        }
        walk->held = token;
        walk->has_held = true;
        text_end = token.at;
    }
    if (text_end <= walk->done)
        return 0;
    *piece = (struct added_piece){NULL, walk->done, text_end - walk->done};
    walk->done = text_end;
    return 1;
}
