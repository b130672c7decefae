/* SPDX-License-Identifier: MIT */
/*
 * cleaned: the library's text cleaning behind pipes, for tests/parity/clean.py.
 *
 *     cleaned LIST    frames of text in, frames of what the steps of LIST make of them out
 *
 * A frame is a 32-bit count in the machine's order and so many bytes.
 */
#include "clean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int one(const struct cleaner *c, struct clean_scratch *s, struct buf *in, uint32_t n,
               struct err *e)
{
    const char *to;
    size_t to_n;
    uint32_t count;
    char *exact;

    buf_reset(in);
    if (buf_reserve(in, n, e) || fread(in->data, 1, n, stdin) != n)
        return -1;
    /* An exact copy, so that a sanitizer sees every read beyond the text. */
    exact = malloc(n ? n : 1);
    if (!exact)
        return err_oom(e, "text", n);
    memcpy(exact, in->data, n);
    if (clean_text(c, s, exact, n, &to, &to_n, e) == 0) {
        count = (uint32_t)to_n;
        fwrite(&count, sizeof count, 1, stdout);
        fwrite(to, 1, to_n, stdout);
    }
    free(exact);
    return e->code ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct cleaner *c = cleaner_make(argc > 1 ? argv[1] : "", 0, &e);
    struct clean_scratch s = {0};
    struct buf in = {0};
    uint32_t n;
    int rc = c ? 0 : -1;

    while (!rc && fread(&n, sizeof n, 1, stdin) == 1)
        rc = one(c, &s, &in, n, &e);
    if (rc)
        fprintf(stderr, "cleaned: %s\n", e.code ? e.text : "bad frame");
    buf_free(&in);
    clean_scratch_free(&s);
    cleaner_free(c);
    return rc ? 1 : 0;
}
