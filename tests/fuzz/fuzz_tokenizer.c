/* SPDX-License-Identifier: MIT */
/*
 * fuzz_tokenizer: any bytes as a tokenizer.json and, behind the first NUL, a text for it.
 * A tokenizer that loads must give ids below its size, and give text back for them.
 */
#include "fuzz.h"
#include "mem.h"
#include "tokrules.h"
#include "utf8.h"

#include <string.h>

static void use(const struct tokenizer *t, const char *text, size_t n)
{
    struct err e = {0};
    struct encoder *enc = encoder_new(t, &e);
    struct tok_ids ids = {0};
    struct buf out = {0};

    if (!enc || (encoder_encode(enc, text, n, &ids, &e) && !encoder_met_unknown(enc)))
        __builtin_trap();
    if (encoder_met_unknown(enc))
        ids.n = 0;
    for (size_t i = 0; i < ids.n; i++)
        if (ids.id[i] >= tokenizer_size(t) || ids.start[i] > 1)
            __builtin_trap();
    if (tokenizer_decode(t, ids.id, ids.n, true, &out, &e) && e.code != ERR_DATA)
        __builtin_trap();
    buf_free(&out);
    tok_ids_free(&ids);
    encoder_free(enc);
}

int fuzz_tokenizer(const uint8_t *data, size_t n)
{
    static const char usual[] = "The [SEP] <mask>  na\xc3\xafve 12's\n\xe4\xb8\xad\xe6\x96\x87!";
    const uint8_t *end = n ? memchr(data, 0, n) : NULL;
    const size_t json = end ? (size_t)(end - data) : n;
    struct err e = {0};
    struct tokenizer *t = tokrules_from_json("fuzz", (const char *)data, json, &e);
    struct buf text = {0};

    if (!t && e.code != ERR_DATA)
        __builtin_trap();
    if (t && end && utf8_lossy(end + 1, n - json - 1, &text, &e))
        __builtin_trap();
    if (t) {
        use(t, usual, sizeof usual - 1);
        use(t, text.data ? text.data : "", text.len);
    }
    buf_free(&text);
    tokenizer_free(t);
    return 0;
}

FUZZ_ENTRY(fuzz_tokenizer)
