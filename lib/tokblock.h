/* SPDX-License-Identifier: MIT */
/*
 * tokblock: one data block of a token stream, in memory and as bytes (L1, private to
 * tokstream*).  tokstream(5) describes the bytes.
 */
#ifndef BERTUTILS_TOKBLOCK_H
#define BERTUTILS_TOKBLOCK_H

#include "intern.h"
#include "mem.h"
#include "tokstream.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the token stream is read and written in place: little-endian machines only"
#endif

enum {
    TOKS_VERSION = 1,
    BLOCK_HEAD = 32,          /* bytes before the payload */
    BLOCK_MAX = 16 << 20,     /* largest block, its head and padding included */
    BLOCK_TARGET = 1 << 20,   /* a block is closed at about so many bytes */
    BLOCK_LABELS_MAX = 65534  /* different labels in one block: their numbers are u16 */
};

/* Bits of a data block's column set, in the order of the columns. */
enum {
    COL_LEN = 1 << 0,
    COL_LABEL = 1 << 1,
    COL_SPLIT = 1 << 2,
    COL_NUMBER = 1 << 3,
    COL_START = 1 << 4,
    COL_WEIGHT = 1 << 5,
    COL_KEY = 1 << 6
};
#define COL_IDS 0x80000000u
#define COL_ALWAYS (COL_LEN | COL_NUMBER | COL_START | COL_IDS)

/* No segment B, no label. */
#define NONE32 UINT32_MAX
#define NONE16 UINT16_MAX

struct toks_block {
    int columns;   /* TOKS_... */
    size_t n;      /* records */
    uint64_t *number; /* (n) */
    uint32_t *off;    /* (n + 1) where each record's tokens start */
    uint32_t *split;  /* (n) tokens of segment A, NONE32: no B; NULL without TOKS_PAIR */
    float *weight;    /* (n) or NULL */
    uint16_t *label;  /* (n) index of a label, NONE16: none; or NULL */
    struct intern labels;
    uint32_t *key_off; /* (n + 1) or NULL */
    char *keys;        /* (key_off[n]) */
    uint32_t *ids;     /* (off[n]) */
    uint8_t *start;    /* (off[n]) 0 or 1 */
    /* Instead of those two while a block is made: of its one record, where they were. */
    const uint32_t *lent_ids;
    const uint8_t *lent_start;
    struct {
        size_t number, off, split, weight, label, key_off, keys, ids, start;
    } cap;
};

/* The XXH64-sealed head of a block. */
struct tokblock_head {
    char type[4];
    uint32_t length;  /* of the payload, without padding */
    uint32_t records;
    uint64_t sequence;
    uint64_t hash;
};

/* Size of a block with so long a payload: head and padding included. */
size_t tokblock_size(size_t payload);

/* Writes the head before a padded payload that lies at inner + BLOCK_HEAD; fills in the
 * hash. */
void tokblock_seal(uint8_t *inner, struct tokblock_head *h, uint64_t seed);

/* Checks type, version, flags, length and padding of a whole block of n bytes. */
int tokblock_open(const uint8_t *inner, size_t n, struct tokblock_head *h,
                  struct err *e) MUST_USE;
/* The hash that the block should have; its bytes are the same afterwards. */
uint64_t tokblock_hash(uint8_t *inner, size_t n, uint64_t seed);

/* Empties a block for the columns of a stream. */
int tokblock_start(struct toks_block *b, int columns, struct err *e) MUST_USE;
/* Bytes of the block if this record were added (an upper bound: its label counts as new).
 */
uint64_t tokblock_size_with(const struct toks_block *b, const struct toks_record *r,
                            int id_bytes);
int tokblock_put(struct toks_block *b, const struct toks_record *r,
                 struct err *e) MUST_USE;
/* How many of the texts a block without optional columns can take within `limit` bytes. */
size_t tokblock_fit(const struct toks_block *b, const struct toks_texts *t, int id_bytes,
                    uint64_t limit);
/* Adds all of the texts, `tokens` tokens in all. */
int tokblock_put_texts(struct toks_block *b, const struct toks_texts *t, size_t tokens,
                       struct err *e) MUST_USE;
/* Can an empty block have this one record without a copy of its ids? */
bool tokblock_lends(const struct toks_record *r);
/* As tokblock_put does, but the ids stay where they are until the block is started anew. */
int tokblock_lend(struct toks_block *b, const struct toks_record *r,
                  struct err *e) MUST_USE;
/* Where the ids and word starts of a block that is being made are. */
static inline const uint32_t *tokblock_ids(const struct toks_block *b)
{
    return b->lent_ids ? b->lent_ids : b->ids;
}
static inline const uint8_t *tokblock_starts(const struct toks_block *b)
{
    return b->lent_start ? b->lent_start : b->start;
}
/* Appends the payload of a data block. */
int tokblock_encode(const struct toks_block *b, int id_bytes, struct buf *out,
                 struct err *e) MUST_USE;
/* Reads a payload; nothing in it is trusted. */
int tokblock_decode(struct toks_block *b, const uint8_t *payload, size_t n, int id_bytes,
                 uint32_t vocab_size, struct err *e) MUST_USE;

/* The identity of the data: see tokstream(5), "content". */
struct tokcontent;
struct tokcontent *tokcontent_new(struct err *e) MUST_USE;
void tokcontent_free(struct tokcontent *c);
void tokcontent_reset(struct tokcontent *c);
void tokcontent_copy(struct tokcontent *to, const struct tokcontent *from);
void tokcontent_add(struct tokcontent *c, const struct toks_block *b);
void tokcontent_hex(const struct tokcontent *c, char hex[33]);

bool toks_utf8_valid(const char *s, size_t n);
/* Copies s, each byte that is not valid UTF-8 replaced by U+FFFD. */
char *toks_utf8_repair(const char *s, struct err *e) MUST_USE;

#endif
