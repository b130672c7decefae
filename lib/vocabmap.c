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
    *v = (struct vocabmap){0};
}

/* The slot of a token: the one that holds it, or the free one where it belongs. */
static struct vocab_slot *place(const struct vocabmap *v, const char *token, size_t len,
                                uint32_t *tag)
{
    const uint64_t hash = XXH3_64bits(token, len);
    size_t i = (size_t)hash & (v->slots - 1);

    *tag = (uint32_t)(hash >> 32);
    for (; v->slot[i].id; i = (i + 1) & (v->slots - 1)) {
        const struct vocab_token *t = &v->token[v->slot[i].id - 1];

        if (v->slot[i].tag == *tag && t->len == len &&
            memcmp(v->bytes.data + t->at, token, len) == 0)
            break;
    }
    return &v->slot[i];
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
    size_t slots = v->slots ? v->slots : 4096;

    if (n > VOCAB_MAX_ID)
        return 0;
    while (slots < n * 2)
        slots *= 2;
    return (slots > v->slots && set_slots(v, slots, e)) ||
                   mem_grow(&v->token, &v->cap, n, sizeof *v->token, e) ||
                   buf_reserve(&v->bytes, n * 8, e)
               ? -1
               : 0;
}

int vocabmap_put(struct vocabmap *v, const char *token, size_t len, uint64_t id, struct err *e)
{
    struct vocab_slot *slot;
    uint32_t tag;

    if (id > VOCAB_MAX_ID)
        return err_set(e, ERR_DATA, "token id %llu is over the limit of %d",
                       (unsigned long long)id, VOCAB_MAX_ID);
    if (len >= UINT32_MAX / 2 || v->bytes.len >= UINT32_MAX / 2)
        return err_set(e, ERR_DATA, "a vocabulary of more than 2 GiB");
    if (((v->entries + 1) * 2 > v->slots &&
         set_slots(v, v->slots ? v->slots * 4 : 4096, e)) ||
        mem_grow(&v->token, &v->cap, (size_t)id + 1, sizeof *v->token, e))
        return -1;
    for (; v->size <= id; v->size++)
        v->token[v->size] = (struct vocab_token){0, VOCAB_UNUSED};
    slot = place(v, token, len, &tag);
    if (!slot->id)
        v->entries++;
    else if (!v->keep_spelling)
        v->token[slot->id - 1].len = VOCAB_UNUSED;
    if (v->token[id].len != VOCAB_UNUSED)
        return err_set(e, ERR_DATA, "two tokens have the id %llu", (unsigned long long)id);
    v->token[id] = (struct vocab_token){(uint32_t)v->bytes.len, (uint32_t)len};
    *slot = (struct vocab_slot){tag, (uint32_t)id + 1};
    return buf_add(&v->bytes, token, len, e) || buf_putc(&v->bytes, '\0', e) ? -1 : 0;
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
