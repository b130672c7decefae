/* SPDX-License-Identifier: MIT */
/* Field numbers: sentencepiece/src/sentencepiece_model.proto; wire format: protobuf.dev. */
#include "spmwrite.h"

#include <string.h>

enum { VARINT = 0, BYTES = 2, FIXED32 = 5 };
enum { PAD, UNK, BOS, EOS };

static int put_varint(struct buf *b, uint64_t v, struct err *e)
{
    for (; v >= 0x80; v >>= 7)
        if (buf_putc(b, (char)(v | 0x80), e))
            return -1;
    return buf_putc(b, (char)v, e);
}

static int put_number(struct buf *b, unsigned field, uint64_t v, struct err *e)
{
    return put_varint(b, field << 3 | VARINT, e) || put_varint(b, v, e) ? -1 : 0;
}

static int put_bytes(struct buf *b, unsigned field, const char *p, size_t n, struct err *e)
{
    return put_varint(b, field << 3 | BYTES, e) || put_varint(b, n, e) || buf_add(b, p, n, e)
               ? -1
               : 0;
}

static int put_text(struct buf *b, unsigned field, const char *text, struct err *e)
{
    return put_bytes(b, field, text, strlen(text), e);
}

static int put_float(struct buf *b, unsigned field, float f, struct err *e)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    if (put_varint(b, field << 3 | FIXED32, e))
        return -1;
    for (int i = 0; i < 4; i++)
        if (buf_putc(b, (char)(bits >> 8 * i), e))
            return -1;
    return 0;
}

static int put_piece(struct buf *out, struct buf *one, const struct vocablist *v, size_t i,
                     uint64_t type, struct err *e)
{
    buf_reset(one);
    return put_text(one, 1, v->token[i], e) || put_float(one, 2, v->score[i], e) ||
                   put_number(one, 3, type, e) || put_bytes(out, 1, one->data, one->len, e)
               ? -1
               : 0;
}

static int put_trainer(struct buf *out, struct buf *one, const struct vocablist *v,
                       struct err *e)
{
    enum { UNIGRAM = 1 };

    buf_reset(one);
    if (put_number(one, 3, UNIGRAM, e) || put_number(one, 4, v->n, e))
        return -1;
    for (unsigned i = 0; i < 4; i++) {
        static const unsigned id[] = {[PAD] = 43, [UNK] = 40, [BOS] = 41, [EOS] = 42};
        static const unsigned text[] = {[PAD] = 48, [UNK] = 45, [BOS] = 46, [EOS] = 47};

        if (put_number(one, id[i], i, e) || put_text(one, text[i], v->token[i], e))
            return -1;
    }
    return put_bytes(out, 2, one->data, one->len, e);
}

int spm_write(const struct vocablist *v, int n_special, struct buf *out, struct err *e)
{
    enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3 };
    struct buf one = {0};
    int rc = 0;

    for (size_t i = 0; i < v->n && rc == 0; i++)
        rc = put_piece(out, &one, v, i,
                       i >= (size_t)n_special ? NORMAL : i == UNK ? UNKNOWN : CONTROL, e);
    if (rc == 0)
        rc = put_trainer(out, &one, v, e);
    buf_reset(&one);
    /* A blank before the first word, none twice, and U+2581 for blanks: the usual way. */
    if (rc == 0)
        rc = put_text(&one, 1, "identity", e) || put_number(&one, 3, 1, e) ||
                     put_number(&one, 4, 1, e) || put_number(&one, 5, 1, e) ||
                     put_bytes(out, 3, one.data, one.len, e)
                 ? -1
                 : 0;
    buf_free(&one);
    return rc;
}
