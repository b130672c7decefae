/* SPDX-License-Identifier: MIT */
#include "sentencepiece.h"
#include "mem.h"
#include "utf8.h"
#include "vocabmap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* What is left of a message. */
struct message {
    const uint8_t *p, *end;
    const char *name;
};

/* One field of it; the value by its wire type. */
struct field {
    uint64_t number, value; /* value: of VARINT, FIXED32 and FIXED64 */
    enum wire wire;
    struct message bytes;
};

static int bad(const char *name, const char *what, struct err *e)
{
    return err_set(e, ERR_DATA, "'%s' is no SentencePiece model: %s", name, what);
}

static int varint(struct message *m, uint64_t *out, struct err *e)
{
    *out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte;

        if (m->p == m->end)
            return bad(m->name, "a number is cut off", e);
        byte = *m->p++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return 0;
    }
    return bad(m->name, "a number is too long", e);
}

static int fixed(struct message *m, size_t n, uint64_t *out, struct err *e)
{
    if ((size_t)(m->end - m->p) < n)
        return bad(m->name, "a number is cut off", e);
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out |= (uint64_t)*m->p++ << 8 * i;
    return 0;
}

/* The next field: 1, 0 at the end of the message, -1 and *e. */
static int next_field(struct message *m, struct field *f, struct err *e)
{
    uint64_t tag, n;

    if (m->p == m->end)
        return 0;
    if (varint(m, &tag, e))
        return -1;
    *f = (struct field){.number = tag >> 3, .wire = (enum wire)(tag & 7)};
    if (f->number == 0)
        return bad(m->name, "a field has the number 0", e);
    if (f->wire == VARINT)
        return varint(m, &f->value, e) ? -1 : 1;
    if (f->wire == FIXED32 || f->wire == FIXED64)
        return fixed(m, f->wire == FIXED32 ? 4 : 8, &f->value, e) ? -1 : 1;
    if (f->wire != BYTES)
        return bad(m->name, "a field is of an unknown type", e);
    if (varint(m, &n, e))
        return -1;
    if (n > (uint64_t)(m->end - m->p))
        return bad(m->name, "a field goes on behind the end", e);
    f->bytes = (struct message){m->p, m->p + n, m->name};
    m->p += n;
    return 1;
}

static int read_piece(struct sp_model *m, struct message in, struct err *e)
{
    struct sp_piece piece = {.type = SP_NORMAL, .text = ""};
    struct field f;
    int more;

    while ((more = next_field(&in, &f, e)) > 0) {
        if (f.number == 1 && f.wire == BYTES) {
            const size_t n = (size_t)(f.bytes.end - f.bytes.p);

            if (n > UINT32_MAX || !utf8_valid(f.bytes.p, n))
                return bad(in.name, "a piece is not UTF-8", e);
            piece.text = (const char *)f.bytes.p;
            piece.n = (uint32_t)n;
        } else if (f.number == 2 && f.wire == FIXED32) {
            const uint32_t bits = (uint32_t)f.value;

            memcpy(&piece.score, &bits, sizeof piece.score);
            if (!isfinite(piece.score))
                return bad(in.name, "a score is no number", e);
        } else if (f.number == 3 && f.wire == VARINT) {
            if (f.value < SP_NORMAL || f.value > SP_BYTE)
                return bad(in.name, "a piece is of an unknown type", e);
            piece.type = (int)f.value;
        }
    }
    if (more < 0 || mem_grow(&m->piece, &m->cap, m->n + 1, sizeof *m->piece, e))
        return -1;
    if (m->n >= VOCAB_MAX_ID)
        return bad(in.name, "it has too many pieces", e);
    m->piece[m->n++] = piece;
    return 0;
}

static int read_trainer(struct sp_model *m, struct message in, struct err *e)
{
    struct field f;
    int more;

    while ((more = next_field(&in, &f, e)) > 0) {
        if (f.wire != VARINT)
            continue;
        if (f.number == 3)
            m->kind = f.value;
        else if (f.number == 24)
            m->suffix = f.value != 0;
        else if (f.number == 40)
            m->unk = f.value;
    }
    return more;
}

static int read_normalizer(struct sp_model *m, struct message in, struct err *e)
{
    struct field f;
    int more;

    while ((more = next_field(&in, &f, e)) > 0) {
        if (f.number == 2 && f.wire == BYTES) {
            m->n_charsmap = (size_t)(f.bytes.end - f.bytes.p);
            m->charsmap = m->n_charsmap ? (const char *)f.bytes.p : NULL;
        } else if (f.number == 3 && f.wire == VARINT) {
            m->dummy_prefix = f.value != 0;
        } else if (f.number == 5 && f.wire == VARINT) {
            m->escape = f.value != 0;
        }
    }
    return more;
}

int sp_read(struct sp_model *m, const char *name, const void *data, size_t n, struct err *e)
{
    struct message in = {data, (const uint8_t *)data + n, name};
    struct field f;
    int more;

    *m = (struct sp_model){.kind = SP_UNIGRAM, .dummy_prefix = true, .escape = true};
    while ((more = next_field(&in, &f, e)) > 0) {
        if (f.wire == BYTES && f.number == 1)
            more = read_piece(m, f.bytes, e);
        else if (f.wire == BYTES && f.number == 2)
            more = read_trainer(m, f.bytes, e);
        else if (f.wire == BYTES && f.number == 3)
            more = read_normalizer(m, f.bytes, e);
        if (more < 0)
            break;
    }
    if (more == 0 && m->n == 0)
        more = bad(name, "it has no pieces", e);
    if (more == 0 && m->unk >= m->n)
        more = bad(name, "its unknown piece is not among the pieces", e);
    if (more < 0)
        sp_free(m);
    return more;
}

void sp_free(struct sp_model *m)
{
    free(m->piece);
    *m = (struct sp_model){0};
}
