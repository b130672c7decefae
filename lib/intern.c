/* SPDX-License-Identifier: MIT */
#include "intern.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

const char *intern_get(const struct intern *t, size_t i, size_t *len)
{
    *len = t->off[i + 1] - t->off[i];
    return t->text.data + t->off[i];
}

/* The slot that holds the string, or the free one where it would go. */
static size_t find_slot(const struct intern *t, const char *s, size_t len)
{
    size_t at = XXH3_64bits(s, len) & (t->n_slot - 1);

    for (; t->slot[at]; at = (at + 1) & (t->n_slot - 1)) {
        size_t n;
        const char *other = intern_get(t, t->slot[at] - 1, &n);

        if (n == len && memcmp(other, s, n) == 0)
            break;
    }
    return at;
}

/* Doubles the table; it is never more than half full. */
static int grow(struct intern *t, struct err *e)
{
    const size_t n = t->n_slot ? t->n_slot * 2 : 64;
    uint32_t *slot = mem_alloc(n, sizeof *slot, "string table", e);

    if (!slot)
        return -1;
    free(t->slot);
    t->slot = slot;
    t->n_slot = n;
    for (size_t i = 0; i < t->n; i++) {
        size_t len;
        const char *s = intern_get(t, i, &len);

        t->slot[find_slot(t, s, len)] = (uint32_t)i + 1;
    }
    return 0;
}

int64_t intern_add(struct intern *t, const char *s, size_t len, struct err *e)
{
    size_t at;

    if (2 * (t->n + 1) > t->n_slot && grow(t, e))
        return -1;
    at = find_slot(t, len ? s : "", len);
    if (t->slot[at])
        return t->slot[at] - 1;
    if (t->n >= UINT32_MAX - 1)
        return err_set(e, ERR_INTERNAL, "too many different strings");
    if (mem_grow(&t->off, &t->off_cap, t->n + 2, sizeof *t->off, e) ||
        buf_add(&t->text, len ? s : "", len, e))
        return -1;
    t->off[t->n] = t->text.len - len;
    t->off[t->n + 1] = t->text.len;
    t->slot[at] = (uint32_t)++t->n;
    return (int64_t)t->n - 1;
}

int64_t intern_find(const struct intern *t, const char *s, size_t len)
{
    return t->n_slot ? (int64_t)t->slot[find_slot(t, len ? s : "", len)] - 1 : -1;
}

void intern_reset(struct intern *t)
{
    if (t->n && t->n_slot)
        memset(t->slot, 0, t->n_slot * sizeof *t->slot);
    t->n = 0;
    buf_reset(&t->text);
}

void intern_free(struct intern *t)
{
    buf_free(&t->text);
    free(t->off);
    free(t->slot);
    *t = (struct intern){0};
}
