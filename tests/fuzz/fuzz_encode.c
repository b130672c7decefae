/* SPDX-License-Identifier: MIT */
/*
 * fuzz_encode: any text through the golden tokenizers (from the repository's top).  BERT's
 * fast path must agree with the general one, and byte-level ids must give the text back.
 */
#include "fuzz.h"
#include "mem.h"
#include "tokrules.h"
#include "utf8.h"

#include <string.h>

static struct tokenizer *load(const char *dir)
{
    struct err e = {0};
    struct tokenizer *t = tokenizer_load(dir, &e);

    if (!t)
        __builtin_trap();
    return t;
}

/* Encodes a copy of just the text's size, so that a sanitizer sees every byte too far. */
static void encode(const struct tokenizer *t, const struct buf *text, bool specials,
                   struct tok_ids *ids)
{
    struct err e = {0};
    struct encoder *enc = encoder_new(t, &e);
    char *copy = malloc(text->len ? text->len : 1);

    if (!enc || !copy)
        __builtin_trap();
    if (text->len)
        memcpy(copy, text->data, text->len);
    encoder_specials_in_text(enc, specials);
    for (int round = 0; round < 2; round++) {
        ids->n = 0;
        if (encoder_encode(enc, copy, text->len, ids, &e))
            __builtin_trap();
    }
    free(copy);
    encoder_free(enc);
}

static void same_by_both_paths(const struct buf *text, bool cased)
{
    struct tokenizer *t = load(cased ? "tests/golden/tokenizer/cased"
                                     : "tests/golden/tokenizer/wordpiece");
    struct tok_ids fast = {0}, slow = {0};

    encode(t, text, true, &fast);
    t->bert = false;
    encode(t, text, true, &slow);
    if (fast.n != slow.n ||
        (fast.n && (memcmp(fast.id, slow.id, fast.n * sizeof *fast.id) != 0 ||
                    memcmp(fast.start, slow.start, fast.n) != 0)))
        __builtin_trap();
    tok_ids_free(&fast);
    tok_ids_free(&slow);
    tokenizer_free(t);
}

static void bytes_come_back(const struct buf *text)
{
    struct tokenizer *t = load("tests/golden/tokenizer/bpe");
    struct tok_ids ids = {0};
    struct buf out = {0};
    struct err e = {0};

    encode(t, text, false, &ids);
    if (tokenizer_decode(t, ids.id, ids.n, false, &out, &e) || out.len != text->len ||
        (out.len && memcmp(out.data, text->data, out.len) != 0))
        __builtin_trap();
    buf_free(&out);
    tok_ids_free(&ids);
    tokenizer_free(t);
}

int fuzz_encode(const uint8_t *data, size_t n)
{
    struct buf text = {0};
    struct err e = {0};

    if (utf8_lossy(data, n, &text, &e))
        __builtin_trap();
    same_by_both_paths(&text, n & 1);
    bytes_come_back(&text);
    buf_free(&text);
    return 0;
}

FUZZ_ENTRY(fuzz_encode)
