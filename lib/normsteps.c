/* SPDX-License-Identifier: MIT */
/*
 * normsteps: the steps of normalizers that SentencePiece's and GPT's kin need.
 *
 * Each keeps count (first) of the code points that the reference says to come from the text's
 * first character: where a word starts among them, Metaspace's "first" puts its mark.
 */
#include "bpe.h"
#include "normalize.h"
#include "unikind.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

void normalizer_free(struct normalizer *nz)
{
    for (int i = 0; i < nz->n; i++) {
        pattern_free(nz->arg[i].pattern);
        free(nz->arg[i].from);
        free(nz->arg[i].text);
        if (nz->arg[i].charsmap)
            charsmap_free(nz->arg[i].charsmap);
        free(nz->arg[i].charsmap);
    }
    buf_free(&nz->facts);
    *nz = (struct normalizer){0};
}

static int add(struct normalizer *nz, enum norm_step step, struct err *e)
{
    return normalizer_add(nz, step) ? err_set(e, ERR_DATA, "too many normalizers") : 0;
}

/* Notes bytes of an argument for the hash, behind their number. */
static int note(struct normalizer *nz, const void *data, size_t n, struct err *e)
{
    const uint64_t count = n;
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(count >> 8 * i);
    return buf_add(&nz->facts, bytes, sizeof bytes, e) || buf_add(&nz->facts, data, n, e) ? -1 : 0;
}

/* The code points of a text, or NULL. */
static uint32_t *take_text(const char *text, size_t n, size_t *count, struct err *e)
{
    uint32_t *p = mem_alloc(n, sizeof *p, "normalizer", e);

    for (size_t i = 0, used; p && i < n; i += used)
        p[(*count)++] = utf8_next((const uint8_t *)text + i, n - i, &used);
    return p;
}

int normalizer_prepend(struct normalizer *nz, const char *text, size_t n, struct err *e)
{
    struct norm_arg *arg;

    if (add(nz, NORM_PREPEND, e))
        return -1;
    arg = &nz->arg[nz->n - 1];
    arg->text = take_text(text, n, &arg->n, e);
    return !arg->text || note(nz, text, n, e) ? -1 : 0;
}

int normalizer_charsmap(struct normalizer *nz, const void *data, size_t n, struct err *e)
{
    struct charsmap *m;

    if (add(nz, NORM_CHARSMAP, e))
        return -1;
    m = nz->arg[nz->n - 1].charsmap = mem_alloc(1, sizeof *m, "charsmap", e);
    return !m || charsmap_load(m, data, n, e) || note(nz, data, n, e) ? -1 : 0;
}

int normalizer_replace(struct normalizer *nz, const struct norm_replace *r, struct err *e)
{
    static const char blanks[] = " {2,}";
    struct norm_arg *arg;

    if (r->n_pattern == 0)
        return err_set(e, ERR_DATA, "to replace no text is not implemented");
    if (add(nz, NORM_REPLACE, e))
        return -1;
    arg = &nz->arg[nz->n - 1];
    arg->is_text = !r->regex;
    arg->is_blanks = r->regex && r->n_pattern == sizeof blanks - 1 &&
                     memcmp(r->pattern, blanks, sizeof blanks - 1) == 0;
    arg->from = take_text(r->pattern, r->n_pattern, &arg->n_from, e);
    arg->text = take_text(r->content, r->n_content, &arg->n, e);
    arg->pattern = r->regex ? pattern_compile(r->pattern, r->n_pattern, e)
                            : pattern_literal(r->pattern, r->n_pattern, e);
    return !arg->pattern || !arg->from || !arg->text ||
                   note(nz, r->regex ? "r" : "s", 1, e) ||
                   note(nz, r->pattern, r->n_pattern, e) ||
                   note(nz, r->content, r->n_content, e)
               ? -1
               : 0;
}

/* ---- running ---- */

/* What is written to the spare array, and how much of it is of the first character. */
struct output {
    struct norm_scratch *s;
    uint32_t *p;
    size_t n, first;
    bool open; /* all so far are */
};

static int open_output(struct output *o, struct norm_scratch *s, size_t room, struct err *e)
{
    if (mem_grow(&s->spare, &s->spare_cap, room + 1, sizeof *s->spare, e))
        return -1;
    *o = (struct output){.s = s, .p = s->spare, .open = true};
    return 0;
}

static void put(struct output *o, uint32_t c, bool of_first)
{
    o->p[o->n++] = c;
    o->open = o->open && of_first;
    o->first += o->open;
}

/* Makes the spare array the text. */
static void close_output(struct output *o, size_t *n)
{
    struct norm_scratch *s = o->s;
    uint32_t *const at = s->at;
    const size_t cap = s->cap;

    s->at = s->spare;
    s->cap = s->spare_cap;
    s->spare = at;
    s->spare_cap = cap;
    s->first = o->first;
    *n = o->n;
}

/* Whether a code point is decomposed, or has a place among marks, or can be composed. */
static bool may_change(uint32_t c, bool composed)
{
    if (c < 0x80)
        return false;
    return kind_of(c) & KIND_COMPAT ||
           uni_of(c) & (UNI_DECOMP | UNI_CCC | (composed ? UNI_COMPOSES : 0)) ||
           (c >= 0xac00 && c < 0xac00 + 11172);
}

static int compat(struct norm_scratch *s, size_t *n, bool composed, struct err *e)
{
    uint32_t out[KIND_LONGEST], seen = 0, marks = 0;
    struct output o;
    size_t room = 0;

    for (size_t i = 0; i < *n; i++)
        seen |= may_change(s->at[i], composed);
    if (!seen)
        return 0;
    for (size_t i = 0; i < *n; i++)
        room += may_change(s->at[i], false) ? (size_t)kind_decompose(s->at[i], out) : 1;
    if (open_output(&o, s, room, e))
        return -1;
    for (size_t i = 0; i < *n; i++) {
        const int count = may_change(s->at[i], false) ? kind_decompose(s->at[i], out)
                                                      : (out[0] = s->at[i], 1);

        for (int k = 0; k < count; k++) {
            marks |= uni_of(out[k]) & UNI_CCC;
            put(&o, out[k], i < s->first);
        }
    }
    close_output(&o, n);
    return marks || composed ? norm_marks(s, n, composed, e) : 0;
}

/* 0: the character goes; Source: tokenizers/src/normalizers/unicode.rs. */
static uint32_t nmt_of(uint32_t c)
{
    if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f ||
        c == 0x9f)
        return 0;
    if (c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
        (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
        c == 0xfeff || c == 0xfffd)
        return ' ';
    return c;
}

static void nmt(struct norm_scratch *s, size_t *n)
{
    size_t out = 0, first = 0;

    for (size_t i = 0; i < *n; i++) {
        const uint32_t c = s->at[i] ? nmt_of(s->at[i]) : 0;

        if (!c && s->at[i])
            continue;
        s->at[out++] = c;
        first += i < s->first;
    }
    s->first = first;
    *n = out;
}

static int bytes(struct norm_scratch *s, size_t *n, struct err *e)
{
    struct output o;

    if (open_output(&o, s, *n * 4, e))
        return -1;
    for (size_t i = 0; i < *n; i++) {
        uint8_t utf8[4];
        const size_t len = utf8_put(s->at[i], utf8);

        for (size_t k = 0; k < len; k++)
            put(&o, bpe_letter(utf8[k]), i < s->first);
    }
    close_output(&o, n);
    return 0;
}

static void strip(struct norm_scratch *s, size_t *n, bool left)
{
    size_t from = 0;

    while (left && from < *n && uni_of(s->at[from]) & UNI_SPACE)
        from++;
    while (!left && *n > 0 && uni_of(s->at[*n - 1]) & UNI_SPACE)
        --*n;
    if (from) {
        memmove(s->at, s->at + from, (*n - from) * sizeof *s->at);
        *n -= from;
    }
    s->first = s->first > from ? s->first - from : 0;
    s->first = s->first < *n ? s->first : *n;
}

static int prepend(const struct norm_arg *arg, struct norm_scratch *s, size_t *n, struct err *e)
{
    struct output o;

    if (*n == 0)
        return 0;
    if (open_output(&o, s, *n + arg->n, e))
        return -1;
    for (size_t i = 0; i < arg->n; i++)
        put(&o, arg->text[i], s->first > 0);
    for (size_t i = 0; i < *n; i++)
        put(&o, s->at[i], i < s->first);
    close_output(&o, n);
    return 0;
}

/* Copies the characters of s->text from *at to `end`; *index counts them. */
static void copy(struct output *o, size_t *at, size_t end, size_t *index)
{
    const uint8_t *p = (const uint8_t *)o->s->text.data;

    for (size_t used; *at < end; *at += used, ++*index)
        put(o, utf8_next(p + *at, end - *at, &used), *index < o->s->first);
}

/* Whether the first character of a text that is replaced is there at all. */
static bool has_first(const struct norm_arg *arg, const struct norm_scratch *s, size_t n)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += s->at[i] == arg->from[0];
    return found > 0;
}

static int replace(const struct norm_arg *arg, struct norm_scratch *s, size_t *n, struct err *e)
{
    size_t at = 0, index = 0, room = *n;
    struct span match;
    struct output o;
    const uint8_t *p;
    uint8_t *to;
    int rc;

    if (arg->is_text && !has_first(arg, s, *n))
        return 0;
    buf_reset(&s->text);
    if (buf_reserve(&s->text, *n * 4 + 1, e))
        return -1;
    to = (uint8_t *)s->text.data;
    for (size_t i = 0; i < *n; i++)
        to += utf8_put(s->at[i], to);
    s->text.len = (size_t)(to - (uint8_t *)s->text.data);
    p = (const uint8_t *)s->text.data;
    rc = pattern_next(arg->pattern, p, s->text.len, 0, &match, &s->pattern, e);
    if (rc <= 0)
        return rc;
    if (open_output(&o, s, room, e))
        return -1;
    for (; rc > 0;
         rc = pattern_next(arg->pattern, p, s->text.len, at, &match, &s->pattern, e)) {
        room += arg->n;
        if (mem_grow(&s->spare, &s->spare_cap, room + 1, sizeof *s->spare, e))
            return -1;
        o.p = s->spare;
        copy(&o, &at, match.at, &index);
        index += utf8_count(p + match.at, match.n);
        for (size_t i = 0; i < arg->n; i++)
            put(&o, arg->text[i], index <= s->first);
        at = match.at + match.n;
    }
    copy(&o, &at, s->text.len, &index);
    close_output(&o, n);
    return rc;
}

/*
 * The charsmap.  The reference counts what it takes in and puts out by marks on the characters
 * put out: how many more were taken in with one.  A rule that removes what it matches adds to
 * the mark of the last one, and is forgotten at the start of a text.
 */
struct mapping {
    struct output o;
    size_t taken;
    uint32_t last; /* put out, waiting for its mark */
    long change;   /* 1: nothing is taken in for it */
    bool waiting;
};

static void settle(struct mapping *m)
{
    const size_t first = m->o.s->first;

    if (!m->waiting)
        return;
    put(&m->o, m->last, m->change > 0 ? m->taken <= first : m->taken < first);
    if (m->change <= 0)
        m->taken += 1 + (size_t)-m->change;
    m->waiting = false;
}

static void map_put(struct mapping *m, uint32_t c, long change)
{
    settle(m);
    m->last = c;
    m->change = change;
    m->waiting = true;
}

/* `taken` characters become the text of a rule. */
static int map_rule(struct mapping *m, size_t taken, const char *text, size_t len, struct err *e)
{
    struct norm_scratch *s = m->o.s;
    const size_t count = utf8_count((const uint8_t *)text, len);
    size_t k = 0;

    if (mem_grow(&s->spare, &s->spare_cap, m->o.n + count + 2, sizeof *s->spare, e))
        return -1;
    m->o.p = s->spare;
    for (size_t i = 0, used; i < len; i += used, k++)
        map_put(m, utf8_next((const uint8_t *)text + i, len - i, &used),
                count > taken && k >= taken ? 1 : 0);
    if (count < taken && m->waiting)
        m->change -= (long)(taken - count);
    return 0;
}

static int map_one(struct mapping *m, const struct charsmap *map, uint32_t c, struct err *e)
{
    struct norm_scratch *s = m->o.s;
    const char *text = NULL;
    uint8_t utf8[4];
    size_t len;

    if (c >= 0x80 || map->has[c])
        text = charsmap_find(map, utf8, utf8_put(c, utf8), &len);
    if (text)
        return map_rule(m, 1, text, len, e);
    if (m->o.n + 2 > s->spare_cap &&
        mem_grow(&s->spare, &s->spare_cap, m->o.n + 2, sizeof *s->spare, e))
        return -1;
    m->o.p = s->spare;
    map_put(m, c, 0);
    return 0;
}

/* The UTF-8 of a cluster when it is shorter than 6 bytes; its length, or 0. */
static size_t short_cluster(const uint32_t *p, size_t n, uint8_t out[8])
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        if (len >= 5)
            return 0;
        len += utf8_put(p[i], out + len);
    }
    return len < 6 ? len : 0;
}

static int map_all(const struct charsmap *map, struct norm_scratch *s, size_t *n, struct err *e)
{
    struct mapping m = {0};

    if (open_output(&m.o, s, *n + 1, e))
        return -1;
    for (size_t at = 0, end; at < *n; at = end) {
        const char *text = NULL;
        uint8_t utf8[12];
        size_t len = 0, bytes_n;

        end = kind_cluster(s->at, *n, at);
        if (end - at > 1 && (bytes_n = short_cluster(s->at + at, end - at, utf8)) > 0)
            text = charsmap_find(map, utf8, bytes_n, &len);
        if (text && map_rule(&m, end - at, text, len, e))
            return -1;
        for (size_t i = at; !text && i < end; i++)
            if (map_one(&m, map, s->at[i], e))
                return -1;
    }
    settle(&m);
    close_output(&m.o, n);
    return 0;
}

int norm_step_more(const struct normalizer *nz, int step, struct norm_scratch *s, size_t *n,
                   struct err *e)
{
    const struct norm_arg *arg = &nz->arg[step];

    if (s->inside && (nz->step[step] == NORM_STRIP_LEFT || nz->step[step] == NORM_PREPEND))
        return 0;
    switch (nz->step[step]) {
    case NORM_NFKD:
    case NORM_NFKC:
        return compat(s, n, nz->step[step] == NORM_NFKC, e);
    case NORM_NMT:
        nmt(s, n);
        return 0;
    case NORM_BYTES:
        return bytes(s, n, e);
    case NORM_STRIP_LEFT:
    case NORM_STRIP_RIGHT:
        strip(s, n, nz->step[step] == NORM_STRIP_LEFT);
        return 0;
    case NORM_PREPEND:
        return prepend(arg, s, n, e);
    case NORM_REPLACE:
        return replace(arg, s, n, e);
    default:
        return map_all(arg->charsmap, s, n, e);
    }
}
