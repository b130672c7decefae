/* SPDX-License-Identifier: MIT */
#include "vocabmap.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL /* tokens are a few bytes: a call would cost more than the hash */
#include <xxhash.h>

void vocabmap_free(struct vocabmap *v)
{
    buf_free(&v->bytes);
    free(v->token);
    free(v->slot);
    free(v->added);
    *v = (struct vocabmap){0};
}

/* How many tokens are fetched together, and the longest that are compared as two numbers. */
enum { TOGETHER = 48, SHORT = VOCAB_SLACK };

/* A token to be looked for. */
struct wanted {
    const char *token;
    size_t len;
    uint64_t part[2]; /* of a short one: its bytes, zeros behind them */
    uint64_t hash;
};

/* The first n <= SHORT bytes at p, of which SHORT may be read, without a branch. */
static inline void load_short(uint64_t part[2], const char *p, size_t n)
{
    static const uint64_t keep[4] = {UINT64_MAX, UINT64_MAX, 0, 0};
    uint64_t mask[2];

    memcpy(part, p, SHORT);
    memcpy(mask, (const char *)keep + (SHORT - n), SHORT);
    part[0] &= mask[0];
    part[1] &= mask[1];
}

/* SHORT bytes may be read at `token`. */
static inline __attribute__((always_inline)) struct wanted want(const char *token, size_t len)
{
    struct wanted w = {.token = token, .len = len};
    uint64_t h;

    if (len > SHORT) {
        w.hash = XXH3_64bits(token, len);
        return w;
    }
    load_short(w.part, token, len);
    h = (w.part[0] ^ len * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 32 ^ w.part[1]) * 0xc4ceb9fe1a85ec53u;
    h = (h ^ h >> 29) * 0x9e3779b97f4a7c15u;
    w.hash = h ^ h >> 32;
    return w;
}

static size_t first_slot(const struct vocabmap *v, uint64_t hash)
{
    return (size_t)hash & (v->slots - 1);
}

static inline bool holds(const struct vocabmap *v, const struct vocab_token *t,
                         const struct wanted *w)
{
    const char *p = v->bytes.data + t->at;
    uint64_t part[2];

    if (t->len != w->len)
        return false;
    if (w->len > SHORT)
        return memcmp(p, w->token, w->len) == 0;
    load_short(part, p, w->len);
    return ((part[0] ^ w->part[0]) | (part[1] ^ w->part[1])) == 0;
}

/* The slot of a token: the one that holds it, or the free one where it belongs. */
static inline struct vocab_slot *place(const struct vocabmap *v, const struct wanted *w)
{
    const uint32_t tag = (uint32_t)(w->hash >> 32);
    size_t i = first_slot(v, w->hash);

    for (; v->slot[i].id; i = (i + 1) & (v->slots - 1))
        if (v->slot[i].tag == tag && holds(v, &v->token[v->slot[i].id - 1], w))
            break;
    return &v->slot[i];
}

static struct wanted want_id(const struct vocabmap *v, uint32_t id)
{
    return want(v->bytes.data + v->token[id].at, v->token[id].len);
}

static int set_slots(struct vocabmap *v, size_t slots, struct err *e)
{
    const struct vocabmap old = *v;

    v->slot = mem_alloc(slots, sizeof *v->slot, "vocabulary", e);
    if (!v->slot) {
        v->slot = old.slot;
        return -1;
    }
    v->slots = slots;
    for (size_t i = 0; i < old.slots; i++) {
        if (old.slot[i].id) {
            const struct wanted w = want_id(v, old.slot[i].id - 1);

            *place(v, &w) = old.slot[i];
        }
    }
    free(old.slot);
    return 0;
}

int vocabmap_reserve(struct vocabmap *v, size_t n, struct err *e)
{
    if (n > VOCAB_MAX_ID)
        return 0;
    return mem_grow(&v->token, &v->cap, n, sizeof *v->token, e) ||
                   mem_grow(&v->added, &v->added_cap, n, sizeof *v->added, e) ||
                   buf_reserve(&v->bytes, n * 8 + SHORT, e)
               ? -1
               : 0;
}

/* Makes an id that of its token. */
static void settle(struct vocabmap *v, const struct wanted *w, uint32_t id)
{
    struct vocab_slot *slot = place(v, w);

    if (!slot->id)
        v->entries++;
    else if (!v->keep_spelling)
        v->token[slot->id - 1].len = VOCAB_UNUSED;
    *slot = (struct vocab_slot){(uint32_t)(w->hash >> 32), id + 1};
}

/* Room for one more; what is there already needs no call. */
static inline int add_room(struct vocabmap *v, size_t len, size_t id, struct err *e)
{
    const size_t need = len + 1 + SHORT;

    if ((id >= v->cap && mem_grow(&v->token, &v->cap, id + 1, sizeof *v->token, e)) ||
        (v->n_added == v->added_cap &&
         mem_grow(&v->added, &v->added_cap, v->n_added + 1, sizeof *v->added, e)) ||
        (need >= v->bytes.cap - v->bytes.len && buf_reserve(&v->bytes, need, e)))
        return -1;
    for (; v->size <= id; v->size++)
        v->token[v->size] = (struct vocab_token){0, VOCAB_UNUSED};
    return 0;
}

static bool is_token(const struct vocabmap *v, size_t id, const char *token, size_t len)
{
    return v->token[id].len == len && memcmp(v->bytes.data + v->token[id].at, token, len) == 0;
}

int vocabmap_add(struct vocabmap *v, const char *token, size_t len, uint64_t id, struct err *e)
{
    char *to;

    if (id > VOCAB_MAX_ID)
        return err_set(e, ERR_DATA, "token id %llu is over the limit of %d",
                       (unsigned long long)id, VOCAB_MAX_ID);
    if (len >= UINT32_MAX / 2 || v->bytes.len >= UINT32_MAX / 2)
        return err_set(e, ERR_DATA, "a vocabulary of more than 2 GiB");
    if (add_room(v, len, (size_t)id, e))
        return -1;
    if (v->token[id].len != VOCAB_UNUSED) {
        /* It is free again when its token got another one meanwhile. */
        if (vocabmap_index(v, e))
            return -1;
        if (is_token(v, (size_t)id, token, len))
            return 0;
        if (v->token[id].len != VOCAB_UNUSED)
            return err_set(e, ERR_DATA, "two tokens have the id %llu", (unsigned long long)id);
    }
    v->token[id] = (struct vocab_token){(uint32_t)v->bytes.len, (uint32_t)len};
    v->added[v->n_added++] = (uint32_t)id;
    to = v->bytes.data + v->bytes.len;
    if (len)
        memcpy(to, token, len);
    to[len] = '\0';
    v->bytes.len += len + 1;
    return 0;
}

int vocabmap_index(struct vocabmap *v, struct err *e)
{
    const size_t n = v->n_added;
    size_t slots = v->slots ? v->slots : 64;
    struct wanted w[TOGETHER];

    while (slots < (v->entries + n) * 2)
        slots *= 2;
    if (slots > v->slots && set_slots(v, slots, e))
        return -1;
    for (size_t i = 0; i < n + TOGETHER; i++) {
        if (i >= TOGETHER)
            settle(v, &w[i % TOGETHER], v->added[i - TOGETHER]);
        if (i < n) {
            w[i % TOGETHER] = want_id(v, v->added[i]);
            __builtin_prefetch(&v->slot[first_slot(v, w[i % TOGETHER].hash)], 1);
        }
    }
    v->n_added = 0;
    return 0;
}

int vocabmap_put(struct vocabmap *v, const char *token, size_t len, uint64_t id, struct err *e)
{
    return vocabmap_add(v, token, len, id, e) || vocabmap_index(v, e) ? -1 : 0;
}

/* The same of up to TOGETHER tokens. */
static void find_together(const struct vocabmap *v, struct vocab_query *query, size_t n)
{
    struct wanted w[TOGETHER];

    /* What a look-up needs one after the other is fetched for all of them at a time. */
    for (size_t i = 0; i < n; i++) {
        w[i] = want(query[i].token, query[i].len);
        __builtin_prefetch(&v->slot[first_slot(v, w[i].hash)]);
    }
    for (int step = 0; step < 2; step++)
        for (size_t i = 0; i < n; i++) {
            const uint32_t id = v->slot[first_slot(v, w[i].hash)].id;

            if (id && step == 0)
                __builtin_prefetch(&v->token[id - 1]);
            else if (id)
                __builtin_prefetch(v->bytes.data + v->token[id - 1].at);
        }
    for (size_t i = 0; i < n; i++)
        query[i].id = (int64_t)place(v, &w[i])->id - 1;
}

void vocabmap_ids(const struct vocabmap *v, struct vocab_query *query, size_t n)
{
    for (size_t i = 0; i < n; i += TOGETHER) {
        const size_t some = n - i < TOGETHER ? n - i : TOGETHER;

        if (v->slots)
            find_together(v, query + i, some);
        else
            for (size_t k = 0; k < some; k++)
                query[i + k].id = -1;
    }
}

int64_t vocabmap_id(const struct vocabmap *v, const char *token, size_t len)
{
    char copy[SHORT] = {0};
    struct wanted w;

    if (!v->slots)
        return -1;
    if (len < SHORT && len)
        memcpy(copy, token, len);
    w = want(len < SHORT ? copy : token, len);
    return (int64_t)place(v, &w)->id - 1;
}

const char *vocabmap_token(const struct vocabmap *v, uint32_t id, size_t *len)
{
    if (id >= v->size || v->token[id].len == VOCAB_UNUSED)
        return NULL;
    if (len)
        *len = v->token[id].len;
    return v->bytes.data + v->token[id].at;
}
