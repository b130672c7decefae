/* SPDX-License-Identifier: MIT */
/*
 * The explanation of texts by every golden tokenizer: its ids, and what fuzz_explain checks,
 * over the golden texts and over mixtures of them.
 */
#include "../fuzz/fuzz_explain.c"
#include "test.h"

#include <stdlib.h>

#define GOLDEN "tests/golden/tokenizer"

static int hex(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Calls use() for the text of each row of cases.tsv: hex digits between its first two TABs. */
static int each_text(void (*use)(const uint8_t *p, size_t n))
{
    struct err e = {0};
    size_t size;
    char *all = io_slurp(GOLDEN "/cases.tsv", (size_t)1 << 26, &size, &e);
    int rows = 0;

    for (char *line = all, *next; line && (next = strchr(line, '\n')) != NULL; line = next + 1) {
        char *from = memchr(line, '\t', (size_t)(next - line));
        size_t n = 0;

        for (char *p = from ? from + 1 : next; p + 1 < next && *p != '\t'; p += 2)
            line[n++] = (char)(hex(p[0]) << 4 | hex(p[1]));
        if (n <= 2000) {
            use((const uint8_t *)line, n);
            rows++;
        }
    }
    free(all);
    return rows;
}

static void explain_one(const uint8_t *p, size_t n)
{
    fuzz_explain(p, n); /* traps where something is wrong */
}

static void golden_texts(void)
{
    CHECK(each_text(explain_one) > 50);
}

static uint8_t mixture[4000];
static size_t mixed;

static void mix(const uint8_t *p, size_t n)
{
    static uint64_t state = 5;
    const size_t from = n ? (size_t)(state % n) : 0;

    state = state * 6364136223846793005u + 1442695040888963407u;
    if (mixed + n - from > sizeof mixture) {
        fuzz_explain(mixture, mixed);
        mixed = 0;
    }
    if (n - from <= sizeof mixture) {
        memcpy(mixture + mixed, p + from, n - from);
        mixed += n - from;
    }
}

/* Texts cut anywhere, within characters too, one behind the other. */
static void mixtures(void)
{
    CHECK(each_text(mix) > 50);
    fuzz_explain(mixture, mixed);
}

/* Parts of a text are those of the text: places are found for nearly all tokens. */
static void places_are_known(void)
{
    static const char text[] = "The cats' caf\xc3\xa9s, 42 na\xc3\xafve don'ts \xe4\xb8\xad\xe6\x96\x87 end.";
    struct tokenizer *list[MOST];
    const int n = golden(list);

    for (int i = 0; i < n; i++) {
        struct err e = {0};
        struct explainer *x = explainer_new(list[i], &e);
        struct explanation out = {0};
        size_t known = 0;

        CHECK(x && explain(x, text, sizeof text - 1, &out, &e) == 0);
        for (size_t k = 0; k < out.n_tokens; k++)
            known += out.token[k].raw.known;
        CHECK_MSG(known + 1 >= out.n_tokens, "tokenizer %d (%s): %zu of %zu places", i,
                  tokenizer_kind(list[i]), known, out.n_tokens);
        explanation_free(&out);
        explainer_free(x);
    }
}

int main(void)
{
    RUN(golden_texts);
    RUN(mixtures);
    RUN(places_are_known);
    return test_end();
}
