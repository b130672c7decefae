/* SPDX-License-Identifier: MIT */
#include "align.h"
#include "mem.h"
#include "unidata.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

enum { IMAGE = 24, CACHE = 1024, WINDOW = 64 };

/* A code point of the images of all characters, and the bytes of raw text it came from. */
struct point {
    uint32_t c, from, to;
};

struct points {
    struct point *at;
    size_t n, cap;
};

/* What a character alone becomes; n is 0xff where that is not known yet. */
struct image {
    uint32_t c, to[IMAGE];
    uint8_t n;
};

struct aligner {
    struct encoder *encoder;
    struct tok_ids ids;
    struct image *cache; /* (CACHE) by the lowest bits of the code point */
    struct image *at;    /* of the call at hand */
    struct points raw, normal;
    uint32_t prefix; /* what the normalizer puts before every text; 0: nothing */
};

void aligner_free(struct aligner *a)
{
    if (!a)
        return;
    encoder_free(a->encoder);
    tok_ids_free(&a->ids);
    free(a->cache);
    free(a->raw.at);
    free(a->normal.at);
    free(a);
}

static int add(struct points *p, uint32_t c, size_t from, size_t to, struct err *e)
{
    if (mem_grow(&p->at, &p->cap, p->n + 1, sizeof *p->at, e))
        return -1;
    p->at[p->n++] = (struct point){c, (uint32_t)from, (uint32_t)to};
    return 0;
}

static int see(void *ctx, const struct encoder_event *event, struct err *e)
{
    struct image *image = ((struct aligner *)ctx)->at;

    (void)e;
    if (event->kind != ENCODER_NORMALIZED)
        return 0;
    image->n = 0;
    for (size_t i = 0, used; i < event->n && image->n < IMAGE; i += used)
        image->to[image->n++] = utf8_next(event->p + i, event->n - i, &used);
    return 0;
}

/* What raw text p[0..n-1], a character, becomes by itself. */
static int find_image(struct aligner *a, const uint8_t *p, size_t n, struct image *image,
                      struct err *e)
{
    const struct encoder_watcher watcher = {see, a};

    a->at = image;
    a->ids.n = 0;
    /* One that is an added token is not normalized. */
    image->n = 0;
    for (size_t i = 0, used; i < n && image->n < IMAGE; i += used)
        image->to[image->n++] = utf8_next(p + i, n - i, &used);
    encoder_watch(a->encoder, &watcher);
    if (encoder_encode(a->encoder, (const char *)p, n, &a->ids, e))
        return -1;
    if (a->prefix && image->n && image->to[0] == a->prefix)
        memmove(image->to, image->to + 1, --image->n * sizeof *image->to);
    return 0;
}

struct aligner *aligner_new(const struct tokenizer *t, struct err *e)
{
    struct aligner *a = mem_alloc(1, sizeof *a, "alignment", e);
    struct image letter;

    if (a) {
        a->encoder = encoder_new(t, e);
        a->cache = mem_alloc(CACHE, sizeof *a->cache, "alignment", e);
    }
    if (a && a->encoder && a->cache) {
        for (size_t i = 0; i < CACHE; i++)
            a->cache[i].n = 0xff;
        if (find_image(a, (const uint8_t *)"a", 1, &letter, e) == 0) {
            a->prefix = letter.n == 2 && letter.to[1] == 'a' ? letter.to[0] : 0;
            return a;
        }
    }
    aligner_free(a);
    return NULL;
}

/* The images of the code points of p[at..end-1], each by itself. */
static int add_singles(struct aligner *a, const uint8_t *p, size_t at, size_t end,
                       struct err *e)
{
    size_t used;

    for (; at < end; at += used) {
        const uint32_t c = utf8_next(p + at, end - at, &used);
        struct image *image = &a->cache[c % CACHE];

        if (image->n == 0xff || image->c != c) {
            if (find_image(a, p + at, used, image, e))
                return -1;
            image->c = c;
        }
        for (int i = 0; i < image->n; i++)
            if (add(&a->raw, image->to[i], at, at + used, e))
                return -1;
    }
    return 0;
}

/* The end of the character at p[at]: a code point and those that belong to it. */
static size_t character_end(const uint8_t *p, size_t n, size_t at)
{
    size_t used;

    utf8_next(p + at, n - at, &used);
    for (at += used; at < n && p[at] >= 0x80; at += used)
        if (!(uni_of(utf8_next(p + at, n - at, &used)) &
              (UNI_CCC | UNI_MARK | UNI_COMPOSES)))
            break;
    return at;
}

/* The image of a character of several code points, where it is not those of its parts. */
static int add_character(struct aligner *a, const uint8_t *p, size_t at, size_t end,
                         struct err *e)
{
    const size_t before = a->raw.n;
    struct image whole;
    bool same;

    if (add_singles(a, p, at, end, e))
        return -1;
    if (end - at > 4 * IMAGE || utf8_count(p + at, end - at) == 1)
        return 0;
    if (find_image(a, p + at, end - at, &whole, e))
        return -1;
    same = a->raw.n - before == whole.n;
    for (size_t i = 0; same && i < whole.n; i++)
        same = a->raw.at[before + i].c == whole.to[i];
    if (same || whole.n == IMAGE)
        return 0;
    a->raw.n = before;
    for (int i = 0; i < whole.n; i++)
        if (add(&a->raw, whole.to[i], at, end, e))
            return -1;
    return 0;
}

/* Whether both go on alike at i and j, for two code points where there are two. */
static bool alike(const struct points *x, size_t i, const struct points *y, size_t j)
{
    if (i == x->n || j == y->n)
        return i == x->n && j == y->n;
    if (x->at[i].c != y->at[j].c)
        return false;
    return i + 1 == x->n || j + 1 == y->n || x->at[i + 1].c == y->at[j + 1].c;
}

/* Moves i and j on to the nearest places from which both are alike. */
static void resume(const struct points *x, size_t *i, const struct points *y, size_t *j)
{
    for (size_t d = 1; d <= WINDOW; d++)
        for (size_t more = 0; more <= d; more++)
            if (*i + d - more <= x->n && *j + more <= y->n &&
                alike(x, *i + d - more, y, *j + more)) {
                *i += d - more;
                *j += more;
                return;
            }
    *i += *i < x->n;
    *j += *j < y->n;
}

/* Gives each normalized code point its range of the raw text; n is the raw text's end. */
static void match(struct points *raw, struct points *normal, uint32_t n)
{
    size_t i = 0, j = 0, open = 0; /* from `open` on there is no range yet */
    uint32_t end = 0;

    while (j < normal->n) {
        if (i < raw->n && raw->at[i].c == normal->at[j].c) {
            for (; open < j; open++) {
                normal->at[open].from = end < raw->at[i].from ? end : raw->at[i].from;
                normal->at[open].to = raw->at[i].from;
            }
            normal->at[j].from = raw->at[i].from;
            normal->at[j].to = end = raw->at[i].to;
            open = ++j;
            i++;
        } else {
            resume(raw, &i, normal, &j);
        }
    }
    for (; open < normal->n; open++) {
        normal->at[open].from = end;
        normal->at[open].to = n;
    }
}

int align(struct aligner *a, const uint8_t *raw, size_t n, const uint8_t *normal, size_t m,
          uint32_t *from, uint32_t *to, struct err *e)
{
    size_t used, point = 0;

    a->raw.n = a->normal.n = 0;
    for (size_t at = 0, end; at < n; at = end) {
        end = character_end(raw, n, at);
        if (add_character(a, raw, at, end, e))
            return -1;
    }
    for (size_t at = 0; at < m; at += used)
        if (add(&a->normal, utf8_next(normal + at, m - at, &used), 0, 0, e))
            return -1;
    match(&a->raw, &a->normal, (uint32_t)n);
    for (size_t at = 0; at < m; at += used, point++) {
        utf8_next(normal + at, m - at, &used);
        for (size_t i = 0; i < used; i++) {
            from[at + i] = a->normal.at[point].from;
            to[at + i] = a->normal.at[point].to;
        }
    }
    return 0;
}
