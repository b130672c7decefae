/* SPDX-License-Identifier: MIT */
/*
 * The identity of data: a hash of all columns of all records in their order, whatever the
 * blocks, the compression, the threads and the history.  And the little UTF-8 that the
 * stream itself needs.
 */
#include "tokblock.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Three hashes, so that ids and word starts go in as the long runs that they are. */
enum { RECORDS, IDS, STARTS, N_PARTS };

struct tokcontent {
    XXH3_state_t *part[N_PARTS];
};

struct tokcontent *tokcontent_new(struct err *e)
{
    struct tokcontent *c = mem_alloc(1, sizeof *c, "hash", e);

    if (!c)
        return NULL;
    for (int i = 0; i < N_PARTS; i++) {
        c->part[i] = XXH3_createState();
        if (!c->part[i]) {
            err_oom(e, "hash", 0);
            tokcontent_free(c);
            return NULL;
        }
    }
    tokcontent_reset(c);
    return c;
}

void tokcontent_free(struct tokcontent *c)
{
    if (!c)
        return;
    for (int i = 0; i < N_PARTS; i++)
        XXH3_freeState(c->part[i]);
    free(c);
}

void tokcontent_reset(struct tokcontent *c)
{
    for (int i = 0; i < N_PARTS; i++)
        XXH3_128bits_reset(c->part[i]);
}

void tokcontent_copy(struct tokcontent *to, const struct tokcontent *from)
{
    for (int i = 0; i < N_PARTS; i++)
        XXH3_copyState(to->part[i], from->part[i]);
}

/* What is hashed of one record beside its tokens; lengths are ~0 where there is none. */
struct fixed_part {
    uint32_t n_a, n_b, label_len, key_len;
    uint64_t number;
    float weight;
    uint32_t zero;
};

void tokcontent_add(struct tokcontent *c, const struct toks_block *b)
{
    enum { SOME = 64 };
    struct fixed_part held[SOME];
    size_t n = 0; /* held: many are hashed sooner together */

    for (size_t i = 0; i < b->n; i++) {
        struct toks_record r;
        struct fixed_part f = {0};

        toks_get(b, i, &r);
        f.n_a = (uint32_t)r.n_a;
        f.n_b = r.b ? (uint32_t)r.n_b : NONE32;
        f.label_len = r.label ? (uint32_t)r.label_len : NONE32;
        f.key_len = r.key ? (uint32_t)r.key_len : NONE32;
        f.number = r.number;
        f.weight = r.weight;
        held[n++] = f;
        if (n < SOME && i + 1 < b->n && !r.label_len && !r.key_len)
            continue;
        XXH3_128bits_update(c->part[RECORDS], held, n * sizeof f);
        n = 0;
        if (r.label_len)
            XXH3_128bits_update(c->part[RECORDS], r.label, r.label_len);
        if (r.key_len)
            XXH3_128bits_update(c->part[RECORDS], r.key, r.key_len);
    }
    XXH3_128bits_update(c->part[IDS], tokblock_ids(b), b->off[b->n] * sizeof *b->ids);
    XXH3_128bits_update(c->part[STARTS], tokblock_starts(b), b->off[b->n]);
}

void tokcontent_hex(const struct tokcontent *c, char hex[33])
{
    static const char digits[] = "0123456789abcdef";
    XXH128_canonical_t part[N_PARTS], all;

    for (int i = 0; i < N_PARTS; i++)
        XXH128_canonicalFromHash(&part[i], XXH3_128bits_digest(c->part[i]));
    XXH128_canonicalFromHash(&all, XXH3_128bits(part, sizeof part));
    for (int i = 0; i < 16; i++) {
        hex[2 * i] = digits[all.digest[i] >> 4];
        hex[2 * i + 1] = digits[all.digest[i] & 15];
    }
    hex[32] = '\0';
}

/* Bytes of the valid sequence at s (RFC 3629), or 0. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t len = s[0] < 0x80   ? 1
                       : s[0] < 0xC0 ? 0
                       : s[0] < 0xE0 ? 2
                       : s[0] < 0xF0 ? 3
                       : s[0] < 0xF8 ? 4
                                     : 0;
    uint32_t c;

    if (len < 2)
        return len;
    if (len > n)
        return 0;
    c = s[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3F);
    }
    return c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) ? 0 : len;
}

bool toks_utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const size_t len = utf8_sequence((const unsigned char *)s + i, n - i);

        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

char *toks_utf8_repair(const char *s, struct err *e)
{
    struct buf b = {0};
    const size_t n = strlen(s);

    if (buf_reserve(&b, n, e))
        return NULL;
    b.data[0] = '\0';
    for (size_t i = 0; i < n;) {
        const size_t len = utf8_sequence((const unsigned char *)s + i, n - i);
        const int bad =
            len ? buf_add(&b, s + i, len, e) : buf_puts(&b, "\xEF\xBF\xBD", e);

        if (bad) {
            buf_free(&b);
            return NULL;
        }
        i += len ? len : 1;
    }
    return b.data;
}
