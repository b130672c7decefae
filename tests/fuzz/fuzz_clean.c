/* SPDX-License-Identifier: MIT */
/*
 * fuzz_clean: any text through every step of tok --clean, and through some lists of them.
 * What comes out is valid UTF-8 and the same each time; steps that have nothing more to do on
 * their own result do nothing; normal forms of each other's results agree.
 */
#include "clean.h"
#include "encoding.h"
#include "fuzz.h"
#include "utf8.h"
#include "utf8fix.h"

#include <string.h>

/* Cleans a copy of just the text's size, so that a sanitizer sees every byte too far. */
static void run(const char *list, const char *text, size_t n, struct buf *out)
{
    struct err e = {0};
    struct cleaner *c = cleaner_make(list, (size_t)1 << 24, &e);
    struct clean_scratch s = {0};
    char *copy = malloc(n ? n : 1);
    const char *to;
    size_t to_n;

    if (!c || !copy)
        __builtin_trap();
    if (n)
        memcpy(copy, text, n);
    buf_reset(out);
    if (clean_text(c, &s, copy, n, &to, &to_n, &e) || buf_add(out, to, to_n, &e) ||
        !utf8_valid((const uint8_t *)out->data, out->len))
        __builtin_trap();
    free(copy);
    clean_scratch_free(&s);
    cleaner_free(c);
}

static void same(const struct buf *a, const struct buf *b)
{
    if (a->len != b->len || (a->len && memcmp(a->data, b->data, a->len) != 0))
        __builtin_trap();
}

static void every_step(const struct buf *text)
{
    static const char *const settled[] = {"ws", "trim", "lower", "quotes", "backslash", "nfc",
                                          "nfd", "nfkc", "nfkd", "accents", "digits=", "repeat"};
    struct buf once = {0}, twice = {0};

    for (int i = 0; clean_step_name(i); i++) {
        char name[32] = {0};

        memcpy(name, clean_step_name(i), strcspn(clean_step_name(i), "["));
        run(name, text->data, text->len, &once);
        run(name, text->data, text->len, &twice);
        same(&once, &twice);
    }
    for (size_t i = 0; i < sizeof settled / sizeof settled[0]; i++) {
        run(settled[i], text->data, text->len, &once);
        run(settled[i], once.data, once.len, &twice);
        same(&once, &twice);
    }
    run("nfd,nfc", text->data, text->len, &once);
    run("nfc", text->data, text->len, &twice);
    same(&once, &twice);
    run("nfc,nfkd", text->data, text->len, &once);
    run("nfkd", text->data, text->len, &twice);
    same(&once, &twice);
    run("html,url=L,email=M,user=U,emoji=E,digits=0,escapes,lines,ctrl,nfkc,lower,repeat=2,ws",
        text->data, text->len, &once);
    buf_free(&once);
    buf_free(&twice);
}

/* UTF-16 converted at once and in pieces is the same, and fits where it is put. */
static void utf16(const uint8_t *data, size_t n)
{
    const bool big = n && data[0] & 1;
    struct utf16 whole = {.big = big}, parts = {.big = big};
    char *a = malloc(3 * n / 2 + UTF16_ROOM), *b = malloc(3 * n / 2 + UTF16_ROOM * (n / 7 + 2));
    size_t n_a, n_b = 0;

    if (!a || !b)
        __builtin_trap();
    n_a = utf16_convert(&whole, data, n, a);
    n_a += utf16_end(&whole, a + n_a);
    for (size_t at = 0; at < n; at += 7)
        n_b += utf16_convert(&parts, data + at, n - at < 7 ? n - at : 7, b + n_b);
    n_b += utf16_end(&parts, b + n_b);
    if (n_a != n_b || memcmp(a, b, n_a) != 0)
        __builtin_trap();
    free(a);
    free(b);
}

int fuzz_clean(const uint8_t *data, size_t n)
{
    struct buf text = {0};
    struct err e = {0};
    const char *why;

    if (utf8_lossy(data, n, &text, &e))
        __builtin_trap();
    every_step(&text);
    utf16(data, n);
    if ((encoding_of((const char *)data, n, &why) == ENCODING_REFUSED) != (why != NULL))
        __builtin_trap();
    (void)encoding_office((const char *)data, n);
    buf_free(&text);
    return 0;
}

FUZZ_ENTRY(fuzz_clean)
