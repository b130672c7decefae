/* SPDX-License-Identifier: MIT */
/*
 * bench_tok: how fast the tokenizer is on one thread, without reading and compression.
 *
 *     bench_tok DIR FILE [SECONDS [easy]]
 *
 * Prints the time to load DIR, and MB/s over the lines of FILE, cold and the best, and over texts
 * that are hard for it, unless only the easy one is wanted.
 */
#include "mem.h"
#include "tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Time of the processor, so that a busy neighbour does not count. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int encode_lines(struct encoder *enc, const char *text, size_t n, struct tok_ids *ids,
                        size_t *tokens, struct err *e)
{
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t len = end ? (size_t)(end - text) - at : n - at;

        ids->n = 0;
        if (encoder_encode(enc, text + at, len, ids, e))
            return -1;
        *tokens += ids->n;
        at += len + 1;
    }
    return 0;
}

static int measure(const char *what, const struct tokenizer *t, const char *text, size_t n,
                   double seconds, struct err *e)
{
    struct encoder *enc = encoder_new(t, e);
    struct tok_ids ids = {0};
    size_t tokens = 0;
    double start, cold, warm;
    int rc = enc ? 0 : -1;

    start = now();
    if (rc == 0)
        rc = encode_lines(enc, text, n, &ids, &tokens, e);
    cold = warm = now() - start;
    for (double end = now() + seconds; rc == 0 && now() < end;) {
        size_t ignored = 0;

        start = now();
        rc = encode_lines(enc, text, n, &ids, &ignored, e);
        warm = now() - start < warm ? now() - start : warm;
    }
    if (rc == 0)
        printf("%-24s %8.3f MB %9zu tokens  cold %7.1f MB/s  best %7.1f MB/s\n", what,
               (double)n / 1e6, tokens, (double)n / cold / 1e6, (double)n / warm / 1e6);
    tok_ids_free(&ids);
    encoder_free(enc);
    return rc;
}

/* Words that are all different: base 26 numbers, one line of 200 words. */
static void different_words(struct buf *b, struct err *e)
{
    uint64_t x = 1;

    for (int i = 0; i < 200000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        for (uint64_t v = x >> 24; v > 0xffff; v /= 26)
            if (buf_putc(b, (char)('a' + v % 26), e))
                return;
        if (buf_putc(b, i % 200 ? ' ' : '\n', e))
            return;
    }
}

static void repeated(struct buf *b, const char *part, size_t bytes, struct err *e)
{
    while (b->len < bytes)
        if (buf_puts(b, part, e))
            return;
}

static int hard_texts(const struct tokenizer *t, double seconds, struct err *e)
{
    static const struct {
        const char *what, *part;
    } repeat[] = {
        {"one word of a", "a"},
        {"one word, mixed", "thequickbrownfox"},
        {"marks on one letter", "\xcc\xa3\xcc\x81"},
        {"Chinese", "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97\xe7\xac\xa6\xef\xbc\x8c"},
        {"Chinese without marks", "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97\xe7\xac\xa6"},
        {"an accent a word", "na\xc3\xafve r\xc3\xa9sum\xc3\xa9 "},
        {"contractions", "'s'll"},
        {"Russian", "\xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0 \xd1\x81\xd0\xbb\xd0\xb5 "},
        {"blanks", "                "},
        {"brackets", "[[[[[[[[<<<<<<<<"},
        {"special tokens", "[SEP] <mask> "},
    };
    struct buf b = {0};
    int rc;

    different_words(&b, e);
    rc = measure("different words", t, b.data, b.len, seconds, e);
    for (size_t i = 0; rc == 0 && i < sizeof repeat / sizeof repeat[0]; i++) {
        buf_reset(&b);
        repeated(&b, repeat[i].part, 1000000, e);
        rc = measure(repeat[i].what, t, b.data, b.len, seconds, e);
    }
    buf_free(&b);
    return rc;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 3 ? strtod(argv[3], NULL) : 1;
    struct err e = {0};
    struct tokenizer *t;
    struct buf text = {0};
    char chunk[65536];
    double start;
    size_t n;
    FILE *f = argc > 2 ? fopen(argv[2], "rb") : NULL;
    int rc = -1;

    if (!f) {
        fprintf(stderr, "usage: bench_tok DIR FILE [SECONDS [easy]]\n");
        return 2;
    }
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        if (buf_add(&text, chunk, n, &e))
            break;
    fclose(f);
    start = now();
    t = tokenizer_load(argv[1], &e);
    printf("%-24s %8.1f ms\n", "load", (now() - start) * 1e3);
    if (t && text.len)
        rc = measure("the file", t, text.data, text.len, seconds, &e);
    if (rc == 0 && argc < 5)
        rc = hard_texts(t, seconds / 4, &e);
    if (rc)
        fprintf(stderr, "bench_tok: %s\n", e.text);
    tokenizer_free(t);
    buf_free(&text);
    return rc ? 1 : 0;
}
