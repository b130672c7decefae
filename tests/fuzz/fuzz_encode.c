/* SPDX-License-Identifier: MIT */
/*
 * fuzz_encode: any text through the golden tokenizers (from the repository's top).  The fast
 * paths must agree with the general one, and byte-level ids must give the text back.
 */
#include "fuzz.h"
#include "mem.h"
#include "tokrules.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

static struct tokenizer *load(const char *dir)
{
    struct err e = {0};
    struct tokenizer *t = tokenizer_load(dir, &e);

    if (!t)
        __builtin_trap();
    return t;
}

static int see_nothing(void *ctx, const struct encoder_event *event, struct err *e)
{
    (void)ctx;
    (void)event;
    (void)e;
    return 0;
}

/*
 * Encodes a copy of just the text's size, so that a sanitizer sees every byte too far; step by
 * step, as for one who watches, or by the fast paths.
 */
static void encode(const struct tokenizer *t, const struct buf *text, bool specials,
                   bool by_steps, struct tok_ids *ids)
{
    static const struct encoder_watcher watcher = {see_nothing, NULL};
    struct err e = {0};
    struct encoder *enc = encoder_new(t, &e);
    char *copy = malloc(text->len ? text->len : 1);

    if (!enc || !copy)
        __builtin_trap();
    if (text->len)
        memcpy(copy, text->data, text->len);
    encoder_specials_in_text(enc, specials);
    if (by_steps)
        encoder_watch(enc, &watcher);
    for (int round = 0; round < 2; round++) {
        ids->n = 0;
        if (encoder_encode(enc, copy, text->len, ids, &e))
            __builtin_trap();
    }
    free(copy);
    encoder_free(enc);
}

static void same_by_both_paths(const struct tokenizer *t, const struct buf *text)
{
    struct tok_ids fast = {0}, slow = {0};

    encode(t, text, true, false, &fast);
    encode(t, text, true, true, &slow);
    if (fast.n != slow.n ||
        (fast.n && (memcmp(fast.id, slow.id, fast.n * sizeof *fast.id) != 0 ||
                    memcmp(fast.start, slow.start, fast.n) != 0)))
        __builtin_trap();
    tok_ids_free(&fast);
    tok_ids_free(&slow);
}

static void bytes_come_back(const struct tokenizer *t, const struct buf *text)
{
    struct tok_ids ids = {0};
    struct buf out = {0};
    struct err e = {0};

    encode(t, text, false, false, &ids);
    if (tokenizer_decode(t, ids.id, ids.n, false, &out, &e) || out.len != text->len ||
        (out.len && memcmp(out.data, text->data, out.len) != 0))
        __builtin_trap();
    buf_free(&out);
    tok_ids_free(&ids);
}

int fuzz_encode(const uint8_t *data, size_t n)
{
    static const char *const dir[] = {"wordpiece", "cased", "bpe", "unigram"};
    struct buf text = {0};
    struct err e = {0};

    if (utf8_lossy(data, n, &text, &e))
        __builtin_trap();
    for (size_t i = 0; i < sizeof dir / sizeof dir[0]; i++) {
        struct tokenizer *t;
        char path[64];

        snprintf(path, sizeof path, "tests/golden/tokenizer/%s", dir[i]);
        t = load(path);
        same_by_both_paths(t, &text);
        if (strcmp(dir[i], "bpe") == 0)
            bytes_come_back(t, &text);
        tokenizer_free(t);
    }
    buf_free(&text);
    return 0;
}

FUZZ_ENTRY(fuzz_encode)
