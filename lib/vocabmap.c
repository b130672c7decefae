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

/* How many tokens are fetched together. */
enum { TOGETHER = 16 };

static size_t first_slot(const struct vocabmap *v, uint64_t hash)
{
    return (size_t)hash & (v->slots - 1);
}

static bool same_eight(const char *a, const char *b)
{
    uint64_t x, y;

    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return x == y;
}

static bool same_four(const char *a, const char *b)
{
    uint32_t x, y;

    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    return x == y;
}

/* Most tokens are short: a call of memcmp would take longer than the looks do, which overlap. */
static bool same(const char *a, const char *b, size_t n)
{
    if (n > 16)
        return memcmp(a, b, n) == 0;
    if (n >= 8)
        return same_eight(a, b) && same_eight(a + n - 8, b + n - 8);
    if (n >= 4)
        return same_four(a, b) && same_four(a + n - 4, b + n - 4);
    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

/* The slot of a token: the one that holds it, or the free one where it belongs. */
static struct vocab_slot *place_hash(const struct vocabmap *v, const char *token, size_t len,
                                     uint64_t hash, uint32_t *tag)
{
    size_t i = first_slot(v, hash);

    *tag = (uint32_t)(hash >> 32);
    for (; v->slot[i].id; i = (i + 1) & (v->slots - 1)) {
        const struct vocab_token *t = &v->token[v->slot[i].id - 1];

        if (v->slot[i].tag == *tag && t->len == len && same(v->bytes.data + t->at, token, len))
            break;
    }
    return &v->slot[i];
}

static struct vocab_slot *place(const struct vocabmap *v, const char *token, size_t len,
                                uint32_t *tag)
{
    return place_hash(v, token, len, XXH3_64bits(token, len), tag);
}

static int set_slots(struct vocabmap *v, size_t slots, struct err *e)
{
    const struct vocabmap old = *v;
    uint32_t tag;

    v->slot = mem_alloc(slots, sizeof *v->slot, "vocabulary", e);
    if (!v->slot) {
        v->slot = old.slot;
        return -1;
    }
    v->slots = slots;
    for (size_t i = 0; i < old.slots; i++) {
        if (old.slot[i].id) {
            const struct vocab_token *t = &v->token[old.slot[i].id - 1];

            *place(v, v->bytes.data + t->at, t->len, &tag) = old.slot[i];
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
                   buf_reserve(&v->bytes, n * 8, e)
               ? -1
               : 0;
}

/* Takes over a token whose slot is known. */
static void settle(struct vocabmap *v, struct vocab_slot *slot, uint32_t tag, uint32_t id)
{
    if (!slot->id)
        v->entries++;
    else if (!v->keep_spelling)
        v->token[slot->id - 1].len = VOCAB_UNUSED;
    *slot = (struct vocab_slot){tag, id + 1};
}

int vocabmap_add(struct vocabmap *v, const char *token, size_t len, uint64_t id, struct err *e)
{
    if (id > VOCAB_MAX_ID)
        return err_set(e, ERR_DATA, "token id %llu is over the limit of %d",
                       (unsigned long long)id, VOCAB_MAX_ID);
    if (len >= UINT32_MAX / 2 || v->bytes.len >= UINT32_MAX / 2)
        return err_set(e, ERR_DATA, "a vocabulary of more than 2 GiB");
    if (mem_grow(&v->token, &v->cap, (size_t)id + 1, sizeof *v->token, e) ||
        mem_grow(&v->added, &v->added_cap, v->n_added + 1, sizeof *v->added, e) ||
        buf_reserve(&v->bytes, len + 1, e))
        return -1;
    for (; v->size <= id; v->size++)
        v->token[v->size] = (struct vocab_token){0, VOCAB_UNUSED};
    /* An id is free again when its token got another one meanwhile. */
    if (v->token[id].len != VOCAB_UNUSED && vocabmap_index(v, e))
        return -1;
    if (v->token[id].len == len && memcmp(v->bytes.data + v->token[id].at, token, len) == 0)
        return 0;
    if (v->token[id].len != VOCAB_UNUSED)
        return err_set(e, ERR_DATA, "two tokens have the id %llu", (unsigned long long)id);
    v->token[id] = (struct vocab_token){(uint32_t)v->bytes.len, (uint32_t)len};
    v->added[v->n_added++] = (uint32_t)id;
    return buf_add(&v->bytes, token, len, e) || buf_putc(&v->bytes, '\0', e) ? -1 : 0;
}

int vocabmap_index(struct vocabmap *v, struct err *e)
{
    const size_t n = v->n_added;
    size_t slots = v->slots ? v->slots : 64;
    uint64_t hash[TOGETHER];

    while (slots < (v->entries + n) * 2)
        slots *= 2;
    if (slots > v->slots && set_slots(v, slots, e))
        return -1;
    for (size_t i = 0; i < n + TOGETHER; i++) {
        if (i >= TOGETHER) {
            const uint32_t id = v->added[i - TOGETHER];
            const struct vocab_token *t = &v->token[id];
            uint32_t tag;
            struct vocab_slot *slot = place_hash(v, v->bytes.data + t->at, t->len,
                                                 hash[i % TOGETHER], &tag);

            settle(v, slot, tag, id);
        }
        if (i < n) {
            const struct vocab_token *t = &v->token[v->added[i]];

            hash[i % TOGETHER] = XXH3_64bits(v->bytes.data + t->at, t->len);
            __builtin_prefetch(&v->slot[first_slot(v, hash[i % TOGETHER])], 1);
        }
    }
    v->n_added = 0;
    return 0;
}

int vocabmap_put(struct vocabmap *v, const char *token, size_t len, uint64_t id, struct err *e)
{
    return vocabmap_add(v, token, len, id, e) || vocabmap_index(v, e) ? -1 : 0;
}

void vocabmap_ids(const struct vocabmap *v, struct vocab_query *query, size_t n)
{
    uint32_t tag;

    /* What a look-up needs one after the other is fetched for all of them at a time. */
    for (size_t i = 0; i < n; i++) {
        query[i].id = -1;
        query[i].hash = XXH3_64bits(query[i].token, query[i].len);
        if (v->slots)
            __builtin_prefetch(&v->slot[first_slot(v, query[i].hash)]);
    }
    for (int step = 0; v->slots && step < 2; step++)
        for (size_t i = 0; i < n; i++) {
            const uint32_t id = v->slot[first_slot(v, query[i].hash)].id;

            if (id && step == 0)
                __builtin_prefetch(&v->token[id - 1]);
            else if (id)
                __builtin_prefetch(v->bytes.data + v->token[id - 1].at);
        }
    for (size_t i = 0; v->slots && i < n; i++)
        query[i].id = (int64_t)place_hash(v, query[i].token, query[i].len, query[i].hash,
                                          &tag)->id - 1;
}

int64_t vocabmap_id(const struct vocabmap *v, const char *token, size_t len)
{
    uint32_t tag;

    return v->slots ? (int64_t)place(v, token, len, &tag)->id - 1 : -1;
}

const char *vocabmap_token(const struct vocabmap *v, uint32_t id, size_t *len)
{
    if (id >= v->size || v->token[id].len == VOCAB_UNUSED)
        return NULL;
    if (len)
        *len = v->token[id].len;
    return v->bytes.data + v->token[id].at;
}
