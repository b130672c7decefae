/* SPDX-License-Identifier: MIT */
#include "normchars.h"
#include "unidata.h"
#include "unikind.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Code points in the table, those beyond are always looked up; bytes normalized at once. */
enum { POINTS = 0x20000, NORMAL_PIECE = 64 << 10, AROUND = 128 };

void norm_chars_free(struct norm_chars *c)
{
    free(c->at);
    free(c->same);
    buf_free(&c->piece);
    *c = (struct norm_chars){0};
}

/* ---- all steps ---- */

/* Does a step look at no more than a code point and the marks behind it? */
static bool is_local(enum norm_step step)
{
    switch (step) {
    case NORM_CLEAN:
    case NORM_CJK:
    case NORM_NFD:
    case NORM_NFC:
    case NORM_STRIP_MN:
    case NORM_STRIP_MARK:
    case NORM_LOWER:
        return true;
    default:
        return false;
    }
}

/* How much of a long text can be normalized alone, since what follows has nothing to do with it. */
static size_t normal_piece(const struct normalizer *nz, const uint8_t *p, size_t n)
{
    const uint32_t joins = UNI_DROP | UNI_MN | UNI_MARK | UNI_DECOMP | UNI_CCC | UNI_COMPOSES;
    size_t at = NORMAL_PIECE, used;

    for (int i = 0; i < nz->n; i++)
        if (!is_local((enum norm_step)nz->step[i]))
            return n;
    for (; at < n; at++)
        if ((p[at] & 0xc0) != 0x80 && !(uni_of(utf8_next(p + at, n - at, &used)) & joins))
            return at;
    return n;
}

int normalize_long(const struct normalizer *nz, const struct norm_text *text,
                   struct norm_scratch *s, struct buf *piece, struct buf *out, struct err *e)
{
    size_t first = 0;

    for (size_t at = 0, len; at < text->n; at += len) {
        len = text->n - at;
        /* The work space is many times the text. */
        if (len > NORMAL_PIECE)
            len = normal_piece(nz, text->p + at, len);
        if (normalize(nz, text->p + at, len, s, piece, e) ||
            buf_add(out, piece->data, piece->len, e))
            return -1;
        first = at == 0 ? s->first_bytes : first;
    }
    s->first_bytes = first;
    return 0;
}

/* ---- what is known of a character ---- */

static bool is_in(const struct norm_arg *arg, uint32_t c)
{
    if (!arg->is_text)
        return c == ' '; /* a run of blanks */
    for (size_t i = 0; i < arg->n_from; i++)
        if (arg->from[i] == c)
            return true;
    return false;
}

/* Whether a step reaches no further than from a character to the next. */
static bool can_cut(const struct normalizer *nz)
{
    for (int i = 0; i < nz->n; i++)
        if (nz->step[i] == NORM_REPLACE && !nz->arg[i].is_text && !nz->arg[i].is_blanks)
            return false;
    return true;
}

/* Before NFx: whether the first code point may join what stands before it. */
static bool joins(enum norm_step step, uint32_t c)
{
    const bool compat = step == NORM_NFKD || step == NORM_NFKC;
    const bool composed = step == NORM_NFC || step == NORM_NFKC;
    uint32_t to[KIND_LONGEST];

    if (c >= 0x1100 && c < 0x1200)
        return true; /* jamo */
    (void)(compat ? kind_decompose(c, to) : uni_decompose(c, to));
    return uni_of(to[0]) & (UNI_CCC | (composed ? UNI_COMPOSES : 0));
}

/* Whether the clusters of p[0..n-1] may go on before or behind it. */
static bool opens_cluster(const uint32_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t kind = kind_of(p[i]), join = kind >> KIND_JOIN_SHIFT & 3;

        if (join == JOIN_LINKER || (i == 0 && join == JOIN_EXTEND))
            return true;
        switch (kind & KIND_BREAK) {
        case BREAK_OTHER:
        case BREAK_LF:
        case BREAK_CONTROL:
        case BREAK_LV:
        case BREAK_LVT:
            break;
        case BREAK_EXTEND:
        case BREAK_SPACING:
            if (i > 0)
                break;
            return true;
        default:
            return true;
        }
    }
    return false;
}

/* How what a character has become touches its neighbours in the next step. */
static unsigned touches(const struct normalizer *nz, int i, const uint32_t *p, size_t n)
{
    const enum norm_step step = (enum norm_step)nz->step[i];
    const struct norm_arg *arg = &nz->arg[i];
    const uint32_t first = p[0], last = p[n - 1];

    switch (step) {
    case NORM_NFD:
    case NORM_NFC:
    case NORM_NFKD:
    case NORM_NFKC:
        return joins(step, first) ? NORM_CHAR_SLOW : 0;
    case NORM_CHARSMAP:
        return opens_cluster(p, n) ? NORM_CHAR_SLOW : 0;
    case NORM_STRIP_LEFT:
    case NORM_STRIP_RIGHT:
        return (uni_of(first) | uni_of(last)) & UNI_SPACE ? NORM_CHAR_SLOW : 0;
    case NORM_REPLACE:
        if (arg->is_text && arg->n_from == 1)
            return 0;
        return is_in(arg, first) || is_in(arg, last) ? NORM_CHAR_TOUCHY : 0;
    default:
        return 0;
    }
}

/* The flags of a character that became n code points at p, which are written to *to. */
static unsigned spell(const struct norm_chars *c, const uint32_t *p, size_t n,
                      struct norm_char *to)
{
    unsigned flags = NORM_CHAR_KNOWN;
    uint8_t utf8[4];

    for (size_t i = 0; i < n; i++) {
        const size_t len = utf8_put(p[i], utf8);

        if (to->n + len > NORM_CHAR_BYTES)
            return flags | NORM_CHAR_SLOW;
        memcpy(to->byte + to->n, utf8, len);
        to->n = (uint8_t)(to->n + len);
        if (uni_of(p[i]) & UNI_SPACE || (p[i] == c->mark && c->mark))
            flags |= NORM_CHAR_BLANK;
    }
    return flags;
}

/* Notes that a character stays what it is. */
static void note_same(struct norm_chars *c, uint32_t point, const struct norm_char *k)
{
    uint8_t utf8[4];

    if (point < POINTS && k->flags == NORM_CHAR_KNOWN && k->n == utf8_put(point, utf8) &&
        memcmp(k->byte, utf8, k->n) == 0)
        c->same[point / 64] |= (uint64_t)1 << point % 64;
}

static int learn(const struct normalizer *nz, uint32_t point, struct norm_chars *c,
                 struct norm_scratch *s, struct norm_char *to, struct err *e)
{
    const bool inside = s->inside;
    unsigned flags = 0;
    size_t n = 1;

    if (mem_grow(&s->at, &s->cap, 2, sizeof *s->at, e))
        return -1;
    s->at[0] = point;
    s->first = 1;
    s->inside = true;
    for (int i = 0; i < nz->n && n > 0; i++) {
        flags |= touches(nz, i, s->at, n);
        if (norm_step(nz, i, s, &n, e)) {
            s->inside = inside;
            return -1;
        }
    }
    s->inside = inside;
    *to = (struct norm_char){0};
    flags |= n ? spell(c, s->at, n, to) : NORM_CHAR_SLOW; /* its neighbours meet */
    to->flags = (uint8_t)flags;
    note_same(c, point, to);
    return 0;
}

/* ---- texts ---- */

struct work {
    const struct normalizer *nz;
    const uint8_t *p;
    size_t n;
    struct norm_chars *c;
    struct norm_scratch *s;
    struct buf *out;
    struct err *e;
};

/* What is known of a character, or NULL and the error. */
static inline const struct norm_char *look(const struct work *w, uint32_t point,
                                           struct norm_char *other)
{
    struct norm_char *k = other;

    if (point < POINTS) {
        k = &w->c->at[point];
        if (k->flags)
            return k;
    }
    return learn(w->nz, point, w->c, w->s, k, w->e) ? NULL : k;
}

/* Room for another character at `to`, which is of w->out; *limit is where the room ends. */
static int more_room(const struct work *w, uint8_t **to, uint8_t **limit)
{
    w->out->len = (size_t)(*to - (uint8_t *)w->out->data);
    if (buf_reserve(w->out, w->out->cap / 4 + 2 * sizeof(struct norm_char), w->e))
        return -1;
    *to = (uint8_t *)w->out->data + w->out->len;
    *limit = (uint8_t *)w->out->data + w->out->cap - sizeof(struct norm_char);
    return 0;
}

/* Goes on over characters that are told alone; *at is then the end or the start of a stretch. */
static int plain_run(const struct work *w, size_t *at)
{
    const uint64_t *const same = w->c->same;
    uint8_t *to = (uint8_t *)w->out->data + w->out->len, *limit = to;
    size_t i = *at, used, before = i, last = 0;
    unsigned touchy = 0, seen = 0;
    struct norm_char other;

    for (; i < w->n; before = i, i += used, to += last) {
        const uint32_t point = utf8_char(w->p + i, w->n - i, &used);
        const struct norm_char *k;

        if (to >= limit && more_room(w, &to, &limit))
            return -1;
        if (point < POINTS && same[point / 64] >> point % 64 & 1 && w->n - i >= 4) {
            memcpy(to, w->p + i, 4);
            last = used;
            touchy = 0;
            continue;
        }
        if (!(k = look(w, point, &other)))
            return -1;
        if (k->flags & (NORM_CHAR_SLOW | touchy)) {
            to -= last; /* with its neighbour */
            i = before;
            break;
        }
        memcpy(to, k, sizeof *k); /* what is behind k->n is written over */
        last = k->n;
        seen |= k->flags;
        touchy = k->flags & NORM_CHAR_TOUCHY;
    }
    w->out->len = (size_t)(to - (uint8_t *)w->out->data);
    w->c->seen |= seen;
    *at = i;
    return 0;
}

/* Where the stretch that starts at p[at] can be cut off. */
static int stretch_end(const struct work *w, size_t at, size_t *end)
{
    unsigned before = NORM_CHAR_SLOW;
    struct norm_char other;
    bool first = true;

    for (size_t used; at < w->n; at += used, first = false) {
        const uint32_t point = utf8_char(w->p + at, w->n - at, &used);
        const struct norm_char *k = look(w, point, &other);

        if (!k)
            return -1;
        if (!first && !((k->flags | before) & NORM_CHAR_SLOW) &&
            !(k->flags & before & NORM_CHAR_TOUCHY))
            break;
        before = k->flags;
    }
    *end = at;
    return 0;
}

/* Notes blanks among p[0..n-1], which is normalized. */
static void note_blanks(struct norm_chars *c, const uint8_t *p, size_t n)
{
    for (size_t at = 0, used; at < n && !(c->seen & NORM_CHAR_BLANK); at += used) {
        const uint32_t point = utf8_char(p + at, n - at, &used);

        if (uni_of(point) & UNI_SPACE || (point == c->mark && c->mark))
            c->seen |= NORM_CHAR_BLANK;
    }
}

/* All steps over a stretch; those at the ends of a text only where it is one. */
static int stretch(const struct work *w, size_t *at)
{
    const bool inside = w->s->inside;
    struct norm_text text = {w->p + *at, 0};
    const size_t before = w->out->len;
    size_t end;
    int rc;

    if (stretch_end(w, *at, &end))
        return -1;
    text.n = end - *at;
    w->s->inside = inside || *at > 0;
    rc = normalize_long(w->nz, &text, w->s, &w->c->piece, w->out, w->e);
    w->s->inside = inside;
    *at = end;
    if (rc == 0)
        note_blanks(w->c, (const uint8_t *)w->out->data + before, w->out->len - before);
    return rc;
}

/* Whether something is done at the start of a text. */
static bool has_start(const struct normalizer *nz)
{
    for (int i = 0; i < nz->n; i++)
        if (nz->step[i] == NORM_STRIP_LEFT || nz->step[i] == NORM_PREPEND)
            return true;
    return false;
}

static int make_table(const struct normalizer *nz, struct norm_chars *c, struct err *e)
{
    c->cannot = !can_cut(nz);
    c->same = mem_alloc(POINTS / 64, sizeof *c->same, "normalizer", e);
    c->at = c->same ? mem_alloc(c->cannot ? 1 : POINTS, sizeof *c->at, "normalizer", e) : NULL;
    return c->at ? 0 : -1;
}

int normalize_chars(const struct normalizer *nz, const struct norm_text *text,
                    struct norm_chars *c, struct norm_scratch *s, struct buf *out,
                    struct err *e)
{
    const struct work w = {nz, text->p, text->n, c, s, out, e};
    size_t at = 0, used, first;
    struct norm_char other;
    const struct norm_char *k;

    c->seen = NORM_CHAR_BLANK;
    s->first_bytes = 0;
    if (!c->at && make_table(nz, c, e))
        return -1;
    if (c->cannot)
        return normalize_long(nz, text, s, &c->piece, out, e);
    if (text->n == 0)
        return 0;
    c->seen = 0;
    /* Room for a text that keeps its length, and what callers want behind it: growing doubles. */
    if (buf_reserve(out, text->n + AROUND, e) ||
        !(k = look(&w, utf8_char(text->p, text->n, &used), &other)))
        return -1;
    first = k->n;
    if (!s->inside && has_start(nz)) {
        if (stretch(&w, &at))
            return -1;
        first = s->first_bytes;
    }
    while (at < text->n) {
        if (plain_run(&w, &at))
            return -1;
        used = at;
        if (at < text->n && stretch(&w, &at))
            return -1;
        if (used == 0)
            first = s->first_bytes;
    }
    s->first_bytes = first;
    return 0;
}
