/* SPDX-License-Identifier: MIT */
#include "tokblock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

size_t tokblock_size(size_t payload)
{
    return BLOCK_HEAD + (payload + 7) / 8 * 8;
}

uint64_t tokblock_hash(uint8_t *inner, size_t n, uint64_t seed)
{
    uint8_t head[BLOCK_HEAD];
    uint64_t hash;

    /* The hash itself lies between the two parts; for a moment they are moved together.
     */
    memcpy(head, inner, sizeof head);
    memcpy(inner + 8, head, 24);
    hash = XXH64(inner + 8, n - 8, seed);
    memcpy(inner, head, sizeof head);
    return hash;
}

void tokblock_seal(uint8_t *inner, struct tokblock_head *h, uint64_t seed)
{
    const uint16_t version = TOKS_VERSION, flags = 0;

    memcpy(inner, h->type, 4);
    memcpy(inner + 4, &version, 2);
    memcpy(inner + 6, &flags, 2);
    memcpy(inner + 8, &h->length, 4);
    memcpy(inner + 12, &h->records, 4);
    memcpy(inner + 16, &h->sequence, 8);
    h->hash = tokblock_hash(inner, tokblock_size(h->length), seed);
    memcpy(inner + 24, &h->hash, 8);
}

int tokblock_open(const uint8_t *inner, size_t n, struct tokblock_head *h, struct err *e)
{
    uint16_t version, flags;

    if (n < BLOCK_HEAD || memcmp(inner, "TKS", 3) != 0)
        return err_set(e, ERR_DATA, "not a block of a token stream");
    memcpy(h->type, inner, 4);
    memcpy(&version, inner + 4, 2);
    memcpy(&flags, inner + 6, 2);
    memcpy(&h->length, inner + 8, 4);
    memcpy(&h->records, inner + 12, 4);
    memcpy(&h->sequence, inner + 16, 8);
    memcpy(&h->hash, inner + 24, 8);
    if (version != TOKS_VERSION)
        return err_set(e, ERR_DATA,
                       "token stream of version %d; this program reads version %d",
                       version, TOKS_VERSION);
    if (flags != 0 || h->length > BLOCK_MAX - BLOCK_HEAD || tokblock_size(h->length) != n)
        return err_set(e, ERR_DATA, "damaged block: flags or length are wrong");
    for (size_t i = BLOCK_HEAD + h->length; i < n; i++)
        if (inner[i] != 0)
            return err_set(e, ERR_DATA, "damaged block: padding is not zero");
    return 0;
}

void toks_block_free(struct toks_block *b)
{
    if (!b)
        return;
    free(b->number);
    free(b->off);
    free(b->split);
    free(b->weight);
    free(b->label);
    intern_free(&b->labels);
    free(b->key_off);
    free(b->keys);
    free(b->ids);
    free(b->start);
    free(b);
}

size_t toks_block_records(const struct toks_block *b)
{
    return b->n;
}

size_t toks_block_bytes(const struct toks_block *b)
{
    return sizeof *b + b->cap.number * sizeof *b->number + b->cap.off * sizeof *b->off +
           b->cap.split * sizeof *b->split + b->cap.weight * sizeof *b->weight +
           b->cap.label * sizeof *b->label + b->cap.key_off * sizeof *b->key_off +
           b->cap.keys + b->cap.ids * sizeof *b->ids + b->cap.start + b->labels.text.cap +
           b->labels.off_cap * sizeof *b->labels.off +
           b->labels.n_slot * sizeof *b->labels.slot;
}

void toks_get(const struct toks_block *b, size_t i, struct toks_record *r)
{
    const uint32_t from = b->off[i], n = b->off[i + 1] - from;
    const uint32_t split = b->split ? b->split[i] : NONE32;

    *r = (struct toks_record){.a = b->ids + from, .start_a = b->start + from, .n_a = n,
                              .number = b->number[i], .weight = 1};
    if (split != NONE32) {
        r->n_a = split;
        r->b = b->ids + from + split;
        r->start_b = b->start + from + split;
        r->n_b = n - split;
    }
    if (b->key_off) {
        r->key = b->keys + b->key_off[i];
        r->key_len = b->key_off[i + 1] - b->key_off[i];
    }
    if (b->label && b->label[i] != NONE16)
        r->label = intern_get(&b->labels, b->label[i], &r->label_len);
    if (b->weight)
        r->weight = b->weight[i];
}

/* ---- making a block ---- */

int tokblock_start(struct toks_block *b, int columns, struct err *e)
{
    b->n = 0;
    b->columns = columns;
    b->lent_ids = NULL;
    b->lent_start = NULL;
    intern_reset(&b->labels);
    /* Never NULL, so that an empty segment has an address. */
    if (mem_grow(&b->off, &b->cap.off, 1, sizeof *b->off, e) ||
        mem_grow(&b->ids, &b->cap.ids, 1, sizeof *b->ids, e) ||
        mem_grow(&b->start, &b->cap.start, 1, 1, e))
        return -1;
    b->off[0] = 0;
    if (columns & TOKS_KEY) {
        if (mem_grow(&b->key_off, &b->cap.key_off, 1, sizeof *b->key_off, e) ||
            mem_grow(&b->keys, &b->cap.keys, 1, 1, e))
            return -1;
        b->key_off[0] = 0;
    }
    return 0;
}

static uint64_t padded(uint64_t n)
{
    return (n + 7) / 8 * 8;
}

/* Bytes of a block with these counts; the one place that knows the layout's sizes. */
static uint64_t size_of(int columns, uint64_t n, uint64_t n_tokens, int id_bytes,
                        uint64_t n_labels, uint64_t label_bytes, uint64_t key_bytes)
{
    uint64_t size = BLOCK_HEAD + 16 + padded(4 * n) + 8 * n + padded((n_tokens + 7) / 8) +
                    padded(n_tokens * (uint64_t)id_bytes);

    if (columns & TOKS_LABEL)
        size += padded(8 + 4 * n_labels + label_bytes) + padded(2 * n);
    if (columns & TOKS_PAIR)
        size += padded(4 * n);
    if (columns & TOKS_WEIGHT)
        size += padded(4 * n);
    if (columns & TOKS_KEY)
        size += padded(4 * n + key_bytes);
    return size;
}

uint64_t tokblock_size_with(const struct toks_block *b, const struct toks_record *r,
                            int id_bytes)
{
    const uint64_t keys =
        b->columns & TOKS_KEY ? b->key_off[b->n] + (uint64_t)r->key_len : 0;

    return size_of(b->columns, b->n + 1, b->off[b->n] + (uint64_t)r->n_a + r->n_b,
                   id_bytes, b->labels.n + 1, b->labels.text.len + (uint64_t)r->label_len,
                   keys);
}

size_t tokblock_fit(const struct toks_block *b, const struct toks_texts *t, int id_bytes,
                    uint64_t limit)
{
    uint64_t tokens = b->off[b->n];
    size_t i = 0;

    for (; i < t->n; i++) {
        tokens += t->len[i];
        if (size_of(0, b->n + i + 1, tokens, id_bytes, 0, 0, 0) > limit)
            break;
    }
    return i;
}

/* As mem_grow does; that there is room already needs no call. */
static inline int more(void *array, size_t *cap, size_t need, size_t size, struct err *e)
{
    return need <= *cap ? 0 : mem_grow(array, cap, need, size, e);
}

/* Room for so many more records and tokens in the columns that every stream has. */
static inline int put_room(struct toks_block *b, size_t records, size_t tokens, struct err *e)
{
    const size_t end = b->off[b->n] + tokens;

    return more(&b->number, &b->cap.number, b->n + records, sizeof *b->number, e) ||
                   more(&b->off, &b->cap.off, b->n + records + 1, sizeof *b->off, e) ||
                   more(&b->ids, &b->cap.ids, end + 1, sizeof *b->ids, e) ||
                   more(&b->start, &b->cap.start, end + 1, 1, e)
               ? -1
               : 0;
}

int tokblock_put_texts(struct toks_block *b, const struct toks_texts *t, size_t tokens,
                       struct err *e)
{
    uint32_t at;

    if (put_room(b, t->n, tokens, e))
        return -1;
    at = b->off[b->n];
    if (tokens) {
        memcpy(b->ids + at, t->ids, tokens * sizeof *b->ids);
        memcpy(b->start + at, t->start, tokens);
    }
    if (t->n)
        memcpy(b->number + b->n, t->number, t->n * sizeof *b->number);
    for (size_t i = 0; i < t->n; i++)
        b->off[++b->n] = at += t->len[i];
    return 0;
}

/* The columns that not every stream has. */
static int put_optional(struct toks_block *b, const struct toks_record *r, struct err *e)
{
    if (b->columns & TOKS_PAIR) {
        if (mem_grow(&b->split, &b->cap.split, b->n + 1, sizeof *b->split, e))
            return -1;
        b->split[b->n] = r->b ? (uint32_t)r->n_a : NONE32;
    }
    if (b->columns & TOKS_WEIGHT) {
        if (mem_grow(&b->weight, &b->cap.weight, b->n + 1, sizeof *b->weight, e))
            return -1;
        b->weight[b->n] = r->weight;
    }
    if (b->columns & TOKS_LABEL) {
        int64_t label = NONE16;

        if (r->label)
            label = intern_add(&b->labels, r->label, r->label_len, e);
        if (label < 0 ||
            mem_grow(&b->label, &b->cap.label, b->n + 1, sizeof *b->label, e))
            return -1;
        b->label[b->n] = (uint16_t)label;
    }
    if (b->columns & TOKS_KEY) {
        const uint32_t at = b->key_off[b->n];

        if (mem_grow(&b->key_off, &b->cap.key_off, b->n + 2, sizeof *b->key_off, e) ||
            mem_grow(&b->keys, &b->cap.keys, at + r->key_len + 1, 1, e))
            return -1;
        if (r->key_len)
            memcpy(b->keys + at, r->key, r->key_len);
        b->key_off[b->n + 1] = at + (uint32_t)r->key_len;
    }
    return 0;
}

int tokblock_put(struct toks_block *b, const struct toks_record *r, struct err *e)
{
    const size_t at = b->off[b->n], end = at + r->n_a + r->n_b;

    if (put_room(b, 1, r->n_a + r->n_b, e) || put_optional(b, r, e))
        return -1;
    b->number[b->n] = r->number;
    if (r->n_a) {
        memcpy(b->ids + at, r->a, r->n_a * sizeof *b->ids);
        for (size_t i = 0; i < r->n_a; i++)
            b->start[at + i] = r->start_a[i] != 0;
    }
    if (r->n_b) {
        memcpy(b->ids + at + r->n_a, r->b, r->n_b * sizeof *b->ids);
        for (size_t i = 0; i < r->n_b; i++)
            b->start[at + r->n_a + i] = r->start_b[i] != 0;
    }
    b->off[++b->n] = (uint32_t)end;
    return 0;
}

/* One segment, or two in one piece, whose starts are 0 and 1 as they come from an encoder. */
bool tokblock_lends(const struct toks_record *r)
{
    return r->n_b == 0 || (r->b == r->a + r->n_a && r->start_b == r->start_a + r->n_a);
}

int tokblock_lend(struct toks_block *b, const struct toks_record *r, struct err *e)
{
    struct toks_record bare = *r;

    bare.n_a = bare.n_b = 0;
    if (tokblock_put(b, &bare, e))
        return -1;
    if (b->columns & TOKS_PAIR && r->b)
        b->split[0] = (uint32_t)r->n_a;
    b->off[1] = (uint32_t)(r->n_a + r->n_b);
    b->lent_ids = r->a;
    b->lent_start = r->start_a;
    return 0;
}

/* ---- block to bytes ---- */

static int pad8(struct buf *out, size_t base, struct err *e)
{
    static const char zeros[8];

    return buf_add(out, zeros, (8 - (out->len - base) % 8) % 8, e);
}

/* Where the ranges off[0..n] become lengths. */
static int put_lengths(struct buf *out, const uint32_t *off, size_t n, struct err *e)
{
    if (buf_reserve(out, 4 * n, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        const uint32_t len = off[i + 1] - off[i];

        memcpy(out->data + out->len, &len, 4);
        out->len += 4;
    }
    return 0;
}

static int put_labels(struct buf *out, size_t base, const struct toks_block *b,
                      struct err *e)
{
    const uint32_t head[2] = {(uint32_t)b->labels.n, (uint32_t)b->labels.text.len};

    if (buf_add(out, head, sizeof head, e))
        return -1;
    for (size_t i = 0; i < b->labels.n; i++) {
        size_t len;
        uint32_t len32;

        (void)intern_get(&b->labels, i, &len);
        len32 = (uint32_t)len;
        if (buf_add(out, &len32, 4, e))
            return -1;
    }
    return buf_add(out, b->labels.text.data, head[1], e) || pad8(out, base, e) ||
           buf_add(out, b->label, 2 * b->n, e) || pad8(out, base, e);
}

/*
 * Numbers as differences to the one before, the sign in the lowest bit: those of an
 * unbroken stream are all 2 and take no room once compressed.
 */
static int put_numbers(struct buf *out, const uint64_t *number, size_t n, struct err *e)
{
    uint64_t before = 0;

    if (buf_reserve(out, 8 * n, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        const uint64_t d = number[i] - before;
        const uint64_t v = d << 1 ^ (d >> 63 ? UINT64_MAX : 0);

        memcpy(out->data + out->len, &v, 8);
        out->len += 8;
        before = number[i];
    }
    return 0;
}

static int put_starts(struct buf *out, const uint8_t *start, size_t n, struct err *e)
{
    if (buf_reserve(out, n / 8 + 1, e))
        return -1;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t eight;

        /* Eight bytes of 0 or 1 become eight bits, byte k bit k. */
        memcpy(&eight, start + i, 8);
        out->data[out->len++] = (char)(eight * 0x0102040810204080u >> 56);
    }
    if (n % 8) {
        unsigned bits = 0;

        for (size_t k = 0; k < n % 8; k++)
            bits |= (unsigned)start[n / 8 * 8 + k] << k;
        out->data[out->len++] = (char)bits;
    }
    return 0;
}

static int put_ids(struct buf *out, const uint32_t *ids, size_t n, int id_bytes,
                   struct err *e)
{
    char *to;

    if (id_bytes == 4)
        return buf_add(out, ids, 4 * n, e);
    if (buf_reserve(out, 2 * n, e))
        return -1;
    to = out->data + out->len;
    for (size_t i = 0; i < n; i++) {
        const uint16_t id = (uint16_t)ids[i];

        memcpy(to + 2 * i, &id, 2);
    }
    out->len += 2 * n;
    return 0;
}

int tokblock_encode(const struct toks_block *b, int id_bytes, struct buf *out,
                    struct err *e)
{
    const uint32_t n_tokens = b->off[b->n];
    const size_t base = out->len;
    uint32_t head[4] = {(uint32_t)b->n, n_tokens, COL_ALWAYS, 0};
    int bad;

    head[2] |= b->columns & TOKS_LABEL ? COL_LABEL : 0;
    head[2] |= b->columns & TOKS_PAIR ? COL_SPLIT : 0;
    head[2] |= b->columns & TOKS_WEIGHT ? COL_WEIGHT : 0;
    head[2] |= b->columns & TOKS_KEY ? COL_KEY : 0;
    bad = buf_add(out, head, sizeof head, e) || put_lengths(out, b->off, b->n, e) ||
          pad8(out, base, e);
    if (!bad && b->columns & TOKS_LABEL)
        bad = put_labels(out, base, b, e);
    if (!bad && b->columns & TOKS_PAIR)
        bad = buf_add(out, b->split, 4 * b->n, e) || pad8(out, base, e);
    bad = bad || put_numbers(out, b->number, b->n, e) ||
          put_starts(out, tokblock_starts(b), n_tokens, e) || pad8(out, base, e);
    if (!bad && b->columns & TOKS_WEIGHT)
        bad = buf_add(out, b->weight, 4 * b->n, e) || pad8(out, base, e);
    if (!bad && b->columns & TOKS_KEY)
        bad = put_lengths(out, b->key_off, b->n, e) ||
              buf_add(out, b->keys, b->key_off[b->n], e) || pad8(out, base, e);
    bad = bad || put_ids(out, tokblock_ids(b), n_tokens, id_bytes, e) || pad8(out, base, e);
    return bad ? -1 : 0;
}

/* ---- bytes to block ---- */

/* What is left of a payload. */
struct cursor {
    const uint8_t *at, *base;
    size_t left;
    struct err *e;
};

/* The next n bytes and the zeros that pad them to a multiple of 8; NULL and *e when
 * short. */
static const uint8_t *take(struct cursor *c, uint64_t n, const char *column)
{
    const uint8_t *p = c->at;
    const uint64_t used = (uint64_t)(c->at - c->base);
    const uint64_t pad = (8 - (used + n) % 8) % 8;

    if (n > c->left || pad > c->left - n) {
        err_set(c->e, ERR_DATA, "damaged block: column '%s' is cut", column);
        return NULL;
    }
    for (uint64_t i = n; i < n + pad; i++)
        if (p[i] != 0) {
            err_set(c->e, ERR_DATA, "damaged block: padding of '%s' is not zero", column);
            return NULL;
        }
    c->at += n + pad;
    c->left -= (size_t)(n + pad);
    return p;
}

/* Room for n objects; what was there is lost.  Exact, since a kept block is never added
 * to. */
static int room(void *array, size_t *cap, size_t n, size_t size, struct err *e)
{
    void *old, *made;

    if (n < 1)
        n = 1;
    if (n <= *cap)
        return 0;
    memcpy(&old, array, sizeof old);
    free(old);
    made = malloc(n * size);
    memcpy(array, &made, sizeof made);
    *cap = made ? n : 0;
    return made ? 0 : err_oom(e, "block", n * size);
}

/* Turns n lengths into offsets; their sum must be `total`. */
static int to_offsets(uint32_t *off, const uint8_t *lengths, size_t n, uint64_t total,
                      const char *column, struct err *e)
{
    uint64_t sum = 0;

    off[0] = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t len;

        memcpy(&len, lengths + 4 * i, 4);
        sum += len;
        if (sum > total)
            break;
        off[i + 1] = (uint32_t)sum;
    }
    if (sum != total)
        return err_set(e, ERR_DATA, "damaged block: lengths of '%s' do not add up",
                       column);
    return 0;
}

static int get_labels(struct toks_block *b, struct cursor *c)
{
    const uint8_t *head = c->at, *lengths, *text, *index;
    uint32_t n, bytes;
    size_t at = 0;

    if (c->left < 8)
        return err_set(c->e, ERR_DATA, "damaged block: column 'label' is cut");
    memcpy(&n, head, 4);
    memcpy(&bytes, head + 4, 4);
    if (n > BLOCK_LABELS_MAX)
        return err_set(c->e, ERR_DATA, "damaged block: too many labels");
    head = take(c, 8 + 4 * (uint64_t)n + bytes, "label");
    index = head ? take(c, 2 * (uint64_t)b->n, "label") : NULL;
    if (!index || room(&b->label, &b->cap.label, b->n, sizeof *b->label, c->e))
        return -1;
    lengths = head + 8;
    text = lengths + 4 * (size_t)n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len;

        memcpy(&len, lengths + 4 * (size_t)i, 4);
        if (len > bytes - at || !toks_utf8_valid((const char *)text + at, len))
            return err_set(c->e, ERR_DATA, "damaged block: label %u is wrong", i);
        if (intern_add(&b->labels, (const char *)text + at, len, c->e) < 0)
            return -1;
        at += len;
    }
    /* Equal labels would have been given one number. */
    if (at != bytes || b->labels.n != n)
        return err_set(c->e, ERR_DATA, "damaged block: its labels do not add up");
    memcpy(b->label, index, 2 * b->n);
    for (size_t i = 0; i < b->n; i++)
        if (b->label[i] != NONE16 && b->label[i] >= n)
            return err_set(c->e, ERR_DATA, "damaged block: label out of range");
    return 0;
}

static int get_splits(struct toks_block *b, struct cursor *c)
{
    const uint8_t *p = take(c, 4 * (uint64_t)b->n, "pair");

    if (!p || room(&b->split, &b->cap.split, b->n, sizeof *b->split, c->e))
        return -1;
    memcpy(b->split, p, 4 * b->n);
    for (size_t i = 0; i < b->n; i++)
        if (b->split[i] != NONE32 && b->split[i] > b->off[i + 1] - b->off[i])
            return err_set(c->e, ERR_DATA,
                           "damaged block: a pair starts behind its record");
    return 0;
}

static int get_numbers(struct toks_block *b, struct cursor *c)
{
    const uint8_t *p = take(c, 8 * (uint64_t)b->n, "number");
    uint64_t before = 0;

    if (!p || room(&b->number, &b->cap.number, b->n, sizeof *b->number, c->e))
        return -1;
    for (size_t i = 0; i < b->n; i++) {
        uint64_t v;

        memcpy(&v, p + 8 * i, 8);
        before += v >> 1 ^ (v & 1 ? UINT64_MAX : 0);
        b->number[i] = before;
    }
    return 0;
}

static int get_starts(struct toks_block *b, size_t n, struct cursor *c)
{
    const uint8_t *bits = take(c, ((uint64_t)n + 7) / 8, "start");

    if (!bits || room(&b->start, &b->cap.start, n + 8, 1, c->e))
        return -1;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t eight = bits[i / 8] * 0x0101010101010101u & 0x8040201008040201u;

        /* Byte k now holds bit k in its own place; bring it down to 0 or 1. */
        eight = (eight + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
        memcpy(b->start + i, &eight, 8);
    }
    if (n % 8 && bits[n / 8] >> n % 8)
        return err_set(c->e, ERR_DATA, "damaged block: padding of 'start' is not zero");
    return 0;
}

static int get_weights(struct toks_block *b, struct cursor *c)
{
    const uint8_t *p = take(c, 4 * (uint64_t)b->n, "weight");

    if (!p || room(&b->weight, &b->cap.weight, b->n, sizeof *b->weight, c->e))
        return -1;
    memcpy(b->weight, p, 4 * b->n);
    for (size_t i = 0; i < b->n; i++)
        if (!isfinite(b->weight[i]))
            return err_set(c->e, ERR_DATA, "damaged block: a weight is no number");
    return 0;
}

static int get_keys(struct toks_block *b, struct cursor *c)
{
    uint64_t bytes = 0;
    const uint8_t *p = c->at;

    for (size_t i = 0; i < b->n && 4 * (i + 1) <= c->left; i++) {
        uint32_t len;

        memcpy(&len, p + 4 * i, 4);
        bytes += len;
    }
    p = take(c, 4 * (uint64_t)b->n + bytes, "key");
    if (!p || room(&b->key_off, &b->cap.key_off, b->n + 1, sizeof *b->key_off, c->e) ||
        room(&b->keys, &b->cap.keys, (size_t)bytes, 1, c->e) ||
        to_offsets(b->key_off, p, b->n, bytes, "key", c->e))
        return -1;
    memcpy(b->keys, p + 4 * b->n, (size_t)bytes);
    for (size_t i = 0; i < b->n; i++)
        if (!toks_utf8_valid(b->keys + b->key_off[i], b->key_off[i + 1] - b->key_off[i]))
            return err_set(c->e, ERR_DATA, "damaged block: a key is not UTF-8");
    return 0;
}

static int get_ids(struct toks_block *b, size_t n, int id_bytes, uint32_t vocab_size,
                   struct cursor *c)
{
    const uint8_t *p = take(c, n * (uint64_t)id_bytes, "ids");
    uint32_t highest = 0;

    if (!p || room(&b->ids, &b->cap.ids, n, sizeof *b->ids, c->e))
        return -1;
    if (id_bytes == 4)
        memcpy(b->ids, p, 4 * n);
    else
        for (size_t i = 0; i < n; i++) {
            uint16_t id;

            memcpy(&id, p + 2 * i, 2);
            b->ids[i] = id;
        }
    for (size_t i = 0; i < n; i++)
        highest = b->ids[i] > highest ? b->ids[i] : highest;
    if (n && highest >= vocab_size)
        return err_set(c->e, ERR_DATA, "id %u is not in the vocabulary of %u tokens",
                       highest, vocab_size);
    return 0;
}

/* Optional columns that the block does not have are absent, also in a block that is
 * reused. */
static void drop_columns(struct toks_block *b)
{
    if (!(b->columns & TOKS_PAIR)) {
        free(b->split);
        b->split = NULL;
        b->cap.split = 0;
    }
    if (!(b->columns & TOKS_LABEL)) {
        free(b->label);
        b->label = NULL;
        b->cap.label = 0;
    }
    if (!(b->columns & TOKS_WEIGHT)) {
        free(b->weight);
        b->weight = NULL;
        b->cap.weight = 0;
    }
    if (!(b->columns & TOKS_KEY)) {
        free(b->key_off);
        free(b->keys);
        b->key_off = NULL;
        b->keys = NULL;
        b->cap.key_off = b->cap.keys = 0;
    }
}

static int columns_of(uint32_t bits, int *columns, struct err *e)
{
    const uint32_t known = COL_ALWAYS | COL_LABEL | COL_SPLIT | COL_WEIGHT | COL_KEY;

    if ((bits & COL_ALWAYS) != COL_ALWAYS || (bits & ~known) != 0)
        return err_set(e, ERR_DATA,
                       "block with columns %#x that this program does not know", bits);
    *columns = (bits & COL_LABEL ? TOKS_LABEL : 0) | (bits & COL_SPLIT ? TOKS_PAIR : 0) |
               (bits & COL_WEIGHT ? TOKS_WEIGHT : 0) | (bits & COL_KEY ? TOKS_KEY : 0);
    return 0;
}

int tokblock_decode(struct toks_block *b, const uint8_t *payload, size_t n, int id_bytes,
                 uint32_t vocab_size, struct err *e)
{
    struct cursor c = {payload, payload, n, e};
    const uint8_t *head = take(&c, 16, "counts"), *lengths;
    uint32_t count[4];

    if (!head)
        return -1;
    memcpy(count, head, sizeof count);
    if (count[3] != 0 || count[0] == 0)
        return err_set(e, ERR_DATA, "damaged block: its counts are wrong");
    if (columns_of(count[2], &b->columns, e))
        return -1;
    b->n = count[0];
    intern_reset(&b->labels);
    drop_columns(b);
    lengths = take(&c, 4 * (uint64_t)b->n, "len");
    if (!lengths || room(&b->off, &b->cap.off, b->n + 1, sizeof *b->off, e) ||
        to_offsets(b->off, lengths, b->n, count[1], "len", e))
        return -1;
    if ((b->columns & TOKS_LABEL && get_labels(b, &c)) ||
        (b->columns & TOKS_PAIR && get_splits(b, &c)) || get_numbers(b, &c) ||
        get_starts(b, count[1], &c) || (b->columns & TOKS_WEIGHT && get_weights(b, &c)) ||
        (b->columns & TOKS_KEY && get_keys(b, &c)) ||
        get_ids(b, count[1], id_bytes, vocab_size, &c))
        return -1;
    if (c.left != 0)
        return err_set(e, ERR_DATA, "damaged block: %zu bytes behind its columns",
                       c.left);
    return 0;
}
