/* SPDX-License-Identifier: MIT */
/*
 * fuzz_encode: any text through every golden tokenizer (from the repository's top).
 *
 * Three encoders of each live from text to text: one with a large memo of words, one with
 * hardly any, and one that is watched, which takes every step really; all give the same ids.
 * So do BERT's and the units' fast paths and the general one.  Byte-level ids give the text
 * back.
 */
#include "fuzz.h"
#include "mem.h"
#include "tokrules.h"
#include "utf8.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 32, WAYS = 4 };

struct golden {
    char name[64];
    struct tokenizer *t, *slow; /* slow: without its fast paths */
    struct encoder *way[WAYS];  /* large, small, watched, slow */
};

static int unseen(void *ctx, const struct encoder_event *event, struct err *e)
{
    (void)ctx;
    (void)event;
    (void)e;
    return 0;
}

static void load(struct golden *g, const char *path)
{
    static const struct encoder_watcher watcher = {unseen, NULL};
    struct err e = {0};

    g->t = tokenizer_load(path, &e);
    g->slow = tokenizer_load(path, &e);
    if (!g->t || !g->slow)
        __builtin_trap();
    g->slow->bert = g->slow->units = false;
    for (int k = 0; k < WAYS; k++) {
        g->way[k] = encoder_new(k == 3 ? g->slow : g->t, &e);
        if (!g->way[k])
            __builtin_trap();
    }
    if (encoder_memory(g->way[1], 1 << 10, &e))
        __builtin_trap();
    encoder_watch(g->way[2], &watcher);
}

/* The golden tokenizers; loaded once. */
static int golden(struct golden **list)
{
    static struct golden loaded[MOST];
    static int n;
    static const char top[] = "tests/golden/tokenizer";
    DIR *dir = n ? NULL : opendir(top);

    if (!n && !dir)
        __builtin_trap();
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL && n < MOST;) {
        char path[300];

        if (d->d_name[0] == '.' || strchr(d->d_name, '.'))
            continue;
        snprintf(path, sizeof path, "%s/%s", top, d->d_name);
        snprintf(loaded[n].name, sizeof loaded[n].name, "%.60s", d->d_name);
        load(&loaded[n++], path);
    }
    if (dir)
        closedir(dir);
    *list = loaded;
    return n;
}

/* Encodes a copy of just the text's size, so that a sanitizer sees every byte too far. */
static void encode(struct encoder *enc, const struct buf *text, bool specials,
                   struct tok_ids *ids)
{
    struct err e = {0};
    char *copy = malloc(text->len ? text->len : 1);

    if (!copy)
        __builtin_trap();
    if (text->len)
        memcpy(copy, text->data, text->len);
    encoder_specials_in_text(enc, specials);
    ids->n = 0;
    if (encoder_encode(enc, copy, text->len, ids, &e))
        __builtin_trap();
    free(copy);
}

static void same(const struct golden *g, int way, const struct tok_ids *a,
                 const struct tok_ids *b)
{
    if (a->n == b->n && (a->n == 0 || (memcmp(a->id, b->id, a->n * sizeof *a->id) == 0 &&
                                       memcmp(a->start, b->start, a->n) == 0)))
        return;
    fprintf(stderr, "%s: way %d gives %zu ids, not %zu\n", g->name, way, b->n, a->n);
    __builtin_trap();
}

static void every_way(struct golden *g, const struct buf *text, bool specials)
{
    struct tok_ids first = {0}, ids = {0};

    encode(g->way[0], text, specials, &first);
    for (size_t i = 0; i < first.n; i++)
        if (first.id[i] >= tokenizer_size(g->t) || first.start[i] > 1)
            __builtin_trap();
    for (int k = 0; k < WAYS; k++) { /* the first again: with its memo as it now is */
        encode(g->way[k], text, specials, &ids);
        same(g, k, &first, &ids);
    }
    tok_ids_free(&first);
    tok_ids_free(&ids);
}

static void bytes_come_back(const struct golden *g, const struct buf *text)
{
    struct tok_ids ids = {0};
    struct buf out = {0};
    struct err e = {0};

    encode(g->way[0], text, false, &ids);
    if (tokenizer_decode(g->t, ids.id, ids.n, false, &out, &e) || out.len != text->len ||
        (out.len && memcmp(out.data, text->data, out.len) != 0))
        __builtin_trap();
    buf_free(&out);
    tok_ids_free(&ids);
}

int fuzz_encode(const uint8_t *data, size_t n)
{
    struct golden *list;
    const int tokenizers = golden(&list);
    struct buf text = {0};
    struct err e = {0};

    if (utf8_lossy(data, n, &text, &e))
        __builtin_trap();
    for (int i = 0; i < tokenizers; i++) {
        every_way(&list[i], &text, n & 1);
        if (strcmp(list[i].name, "bpe") == 0)
            bytes_come_back(&list[i], &text);
    }
    buf_free(&text);
    return 0;
}

FUZZ_ENTRY(fuzz_encode)
