/* SPDX-License-Identifier: MIT */
/*
 * encode: the library's tokenizer behind pipes, for tests/parity/ids.py.
 *
 *     encode DIR             frames of text in, frames of ids and word starts out
 *     encode DIR --plain     the same with special tokens taken as text
 *     encode DIR --decode    frames of ids in, frames of text out (--skip: without specials)
 *     encode DIR --input N   frames of two texts in, frames of the ids and types of the whole
 *                            input of at most N places out (0: no limit; N tail: what is
 *                            too long loses its start); a first segment
 *                            alone is followed by a frame of the one byte 0xff
 *     encode DIR --hash      prints the hash, the size and the template
 *
 * A frame is a 32-bit count in the machine's order and so many bytes or 32-bit numbers.
 */
#include "mem.h"
#include "tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_frame(struct buf *b, size_t unit, struct err *e)
{
    uint32_t n;

    if (fread(&n, sizeof n, 1, stdin) != 1)
        return 0;
    buf_reset(b);
    if (buf_reserve(b, n * unit, e) || fread(b->data, unit, n, stdin) != n)
        return -1;
    b->len = n * unit;
    return 1;
}

static void write_frame(const void *data, size_t unit, size_t n)
{
    const uint32_t count = (uint32_t)n;

    fwrite(&count, sizeof count, 1, stdout);
    fwrite(data, unit, n, stdout);
}

static int encode_all(const struct tokenizer *t, bool plain, struct err *e)
{
    struct encoder *enc = encoder_new(t, e);
    struct tok_ids ids = {0};
    struct buf in = {0};
    int rc = enc ? 1 : -1;

    if (plain && enc)
        encoder_specials_in_text(enc, false);
    while (rc > 0 && (rc = read_frame(&in, 1, e)) > 0) {
        /* An exact copy, so that a sanitizer sees every read beyond the text. */
        char *text = mem_dupn(in.data, in.len, e);
        char *exact = text ? realloc(text, in.len ? in.len : 1) : NULL;

        ids.n = 0;
        rc = exact && encoder_encode(enc, exact, in.len, &ids, e) == 0 ? 1 : -1;
        write_frame(ids.id, sizeof *ids.id, ids.n);
        write_frame(ids.start, 1, ids.n);
        free(exact);
    }
    tok_ids_free(&ids);
    buf_free(&in);
    encoder_free(enc);
    return rc;
}

static int decode_all(const struct tokenizer *t, bool skip, struct err *e)
{
    struct buf in = {0}, out = {0};
    int rc;

    while ((rc = read_frame(&in, 4, e)) > 0) {
        buf_reset(&out);
        if (tokenizer_decode(t, (const uint32_t *)(void *)in.data, in.len / 4, skip, &out, e))
            rc = -1;
        write_frame(out.data, 1, out.len);
    }
    buf_free(&in);
    buf_free(&out);
    return rc;
}

/* One input of one or two texts; returns -1 when out of memory. */
static int write_input(const struct tokenizer *t, struct tok_ids *a, struct tok_ids *b,
                       const struct template_limit *limit, struct err *e)
{
    const struct template *m = tokenizer_template(t);
    static const uint32_t none[1];
    struct template_text first = {.ids = a->id, .n = a->n};
    struct template_text second = {.ids = b && b->id ? b->id : none, .n = b ? b->n : 0};
    const size_t most = first.n + second.n + (size_t)template_specials(m, b != NULL) + 1;
    size_t n;
    int32_t *ids = mem_alloc(most, 2 * sizeof *ids, "input", e);

    if (!ids)
        return -1;
    template_keep(m, limit, &first, b ? &second : NULL);
    n = template_fill(m, &first, b ? &second : NULL, ids, ids + most, NULL);
    write_frame(ids, sizeof *ids, n);
    write_frame(ids + most, sizeof *ids, n);
    free(ids);
    return 0;
}

static int input_all(const struct tokenizer *t, const struct template_limit *limit,
                     struct err *e)
{
    struct encoder *enc = encoder_new(t, e);
    struct tok_ids a = {0}, b = {0};
    struct buf in = {0};
    int rc = enc ? 1 : -1;

    while (rc > 0 && (rc = read_frame(&in, 1, e)) > 0) {
        bool pair;

        a.n = b.n = 0;
        rc = encoder_encode(enc, in.data, in.len, &a, e) || read_frame(&in, 1, e) <= 0 ? -1 : 1;
        pair = rc > 0 && !(in.len == 1 && in.data[0] == (char)0xff);
        if (rc > 0 && ((pair && encoder_encode(enc, in.data, in.len, &b, e)) ||
                       write_input(t, &a, pair ? &b : NULL, limit, e)))
            rc = -1;
    }
    tok_ids_free(&a);
    tok_ids_free(&b);
    buf_free(&in);
    encoder_free(enc);
    return rc;
}

static void print_template(const struct template_piece *piece, int n)
{
    for (int i = 0; i < n; i++)
        printf(" %d/%d", piece[i].id, piece[i].type);
    printf("\n");
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[2] : "";
    struct err e = {0};
    struct tokenizer *t = argc > 1 ? tokenizer_load(argv[1], &e) : NULL;
    int rc = t ? 0 : -1;

    if (t && strcmp(mode, "--hash") == 0) {
        const struct template *m = tokenizer_template(t);

        printf("%s %s %u\n", tokenizer_kind(t), tokenizer_hash(t), tokenizer_size(t));
        print_template(m->single, m->n_single);
        print_template(m->pair, m->n_pair);
        printf("%d %d %d %d %d\n", m->cls, m->sep, m->pad, m->unk, m->mask);
    } else if (t && strcmp(mode, "--decode") == 0) {
        rc = decode_all(t, argc > 3, &e);
    } else if (t && strcmp(mode, "--input") == 0) {
        const struct template_limit limit = {argc > 3 ? strtol(argv[3], NULL, 10) : 0,
                                             argc > 4 ? 0 : -1};

        rc = input_all(t, &limit, &e);
    } else if (t) {
        rc = encode_all(t, strcmp(mode, "--plain") == 0, &e);
    }
    if (rc)
        fprintf(stderr, "encode: %s\n", e.code ? e.text : "bad frame");
    tokenizer_free(t);
    return rc ? 1 : 0;
}
