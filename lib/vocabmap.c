/* SPDX-License-Identifier: MIT */
#include "vocabmap.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void vocabmap_free(struct vocabmap *v)
{
    buf_free(&v->bytes);
    free(v->token);
    free(v->slot);
    *v = (struct vocabmap){0};
}

/* The slot of a token: the one that holds it, or the free one where it belongs. */
static size_t place(const struct vocabmap *v, const char *token, size_t len)
{
    size_t i = (size_t)XXH3_64bits(token, len) & (v->slots - 1);

    for (; v->slot[i]; i = (i + 1) & (v->slots - 1)) {
        const struct vocab_token *t = &v->token[v->slot[i] - 1];

        if (t->len == len && memcmp(v->bytes.data + t->at, token, len) == 0)
            break;
    }
    return i;
}

static int widen(struct vocabmap *v, struct err *e)
{
    const size_t old_slots = v->slots;
    uint32_t *old = v->slot;

    if ((v->entries + 1) * 2 <= v->slots)
        return 0;
    v->slots = old_slots ? old_slots * 4 : 4096;
    v->slot = mem_alloc(v->slots, sizeof *v->slot, "vocabulary", e);
    if (!v->slot) {
        v->slot = old;
        v->slots = old_slots;
        return -1;
    }
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i]) {
            const struct vocab_token *t = &v->token[old[i] - 1];

            v->slot[place(v, v->bytes.data + t->at, t->len)] = old[i];
        }
    }
    free(old);
    return 0;
}

int vocabmap_put(struct vocabmap *v, const char *token, size_t len, uint64_t id, struct err *e)
{
    const size_t old_size = v->size;
    size_t i;

    if (id > VOCAB_MAX_ID)
        return err_set(e, ERR_DATA, "token id %llu is over the limit of %d",
                       (unsigned long long)id, VOCAB_MAX_ID);
    if (len > UINT32_MAX / 2)
        return err_set(e, ERR_DATA, "a token of %zu bytes is too long", len);
    if (widen(v, e) || mem_grow(&v->token, &v->cap, (size_t)id + 1, sizeof *v->token, e))
        return -1;
    if (id >= old_size) {
        v->size = (size_t)id + 1;
        memset(v->token + old_size, 0, (v->size - old_size) * sizeof *v->token);
    }
    i = place(v, token, len);
    if (v->slot[i])
        v->token[v->slot[i] - 1].used = false;
    else
        v->entries++;
    if (v->token[id].used)
        return err_set(e, ERR_DATA, "two tokens have the id %llu", (unsigned long long)id);
    v->token[id] = (struct vocab_token){.at = v->bytes.len, .len = (uint32_t)len, .used = true};
    v->slot[i] = (uint32_t)id + 1;
    return buf_add(&v->bytes, token, len, e) || buf_putc(&v->bytes, '\0', e) ? -1 : 0;
}

int64_t vocabmap_id(const struct vocabmap *v, const char *token, size_t len)
{
    return v->slots ? (int64_t)v->slot[place(v, token, len)] - 1 : -1;
}

const char *vocabmap_token(const struct vocabmap *v, uint32_t id, size_t *len)
{
    if (id >= v->size || !v->token[id].used)
        return NULL;
    if (len)
        *len = v->token[id].len;
    return v->bytes.data + v->token[id].at;
}
