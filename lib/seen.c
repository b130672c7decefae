/* SPDX-License-Identifier: MIT */
#include "seen.h"
#include "mem.h"

#include <stdlib.h>
#include <xxhash.h>

static struct seen_slot hash_of(const struct toks_record *r)
{
    XXH128_hash_t h = XXH3_128bits(r->a, r->n_a * sizeof *r->a);
    struct seen_slot key;

    /* An empty second segment is not the same as none. */
    if (r->b) {
        const XXH128_hash_t b = XXH3_128bits_withSeed(r->b, r->n_b * sizeof *r->b, 1);
        const uint64_t both[4] = {h.high64, h.low64, b.high64, b.low64};

        h = XXH3_128bits(both, sizeof both);
    }
    key = (struct seen_slot){.high = h.high64, .low = h.low64};
    if (!key.high && !key.low)
        key.low = 1;
    return key;
}

static struct seen_slot *find(const struct seen *s, const struct seen_slot *key)
{
    size_t at = key->low & (s->n_slot - 1);

    while ((s->slot[at].high || s->slot[at].low) &&
           (s->slot[at].high != key->high || s->slot[at].low != key->low))
        at = (at + 1) & (s->n_slot - 1);
    return &s->slot[at];
}

static int grow(struct seen *s, struct err *e)
{
    const struct seen old = *s;

    s->n_slot = old.n_slot ? old.n_slot * 2 : 1024;
    s->slot = mem_alloc(s->n_slot, sizeof *s->slot, "set of records", e);
    if (!s->slot) {
        *s = old;
        return -1;
    }
    for (size_t i = 0; i < old.n_slot; i++)
        if (old.slot[i].high || old.slot[i].low)
            *find(s, &old.slot[i]) = old.slot[i];
    free(old.slot);
    return 0;
}

int seen_add(struct seen *s, const struct toks_record *r, uint64_t *value, struct err *e)
{
    struct seen_slot key = hash_of(r), *at;

    if (3 * (s->n + 1) > 2 * s->n_slot && grow(s, e))
        return -1;
    at = find(s, &key);
    if (at->high || at->low) {
        *value = at->value;
        return 1;
    }
    key.value = *value;
    *at = key;
    s->n++;
    return 0;
}

int seen_find(const struct seen *s, const struct toks_record *r, uint64_t *value)
{
    const struct seen_slot key = hash_of(r), *at;

    if (s->n_slot == 0)
        return 0;
    at = find(s, &key);
    if (!at->high && !at->low)
        return 0;
    *value = at->value;
    return 1;
}

bool seen_has(const struct seen *s, const struct toks_record *r)
{
    uint64_t value;

    return seen_find(s, r, &value) == 1;
}

void seen_free(struct seen *s)
{
    free(s->slot);
    *s = (struct seen){0};
}
