/* SPDX-License-Identifier: MIT */
/*
 * fuzz_explain: any text explained by each of the golden tokenizers (from the repository's
 * top).  Places are in the text, in order and within their words, and both ways of printing work.
 */
#include "explain.h"
#include "fuzz.h"
#include "utf8.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 32 };

/* The golden tokenizers; loaded once. */
static int golden(struct tokenizer **list)
{
    static struct tokenizer *loaded[MOST];
    static int n = -1;
    static const char top[] = "tests/golden/tokenizer";
    DIR *dir = n < 0 ? opendir(top) : NULL;

    if (n < 0 && !dir)
        __builtin_trap();
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL && n < MOST - 1;) {
        char path[300];
        struct err e = {0};
        struct tokenizer *t;

        if (d->d_name[0] == '.' || d->d_type == DT_REG)
            continue;
        snprintf(path, sizeof path, "%s/%s", top, d->d_name);
        t = tokenizer_load(path, &e);
        n = n < 0 ? 0 : n;
        if (t)
            loaded[n++] = t;
    }
    if (dir)
        closedir(dir);
    memcpy(list, loaded, sizeof loaded);
    return n;
}

static void check_range(struct explain_range r, size_t end)
{
    if (r.known && (r.from > r.to || r.to > end))
        __builtin_trap();
}

/* What does not depend on the kind of tokenizer. */
static void check(const struct explanation *x)
{
    size_t tokens = 0, at = 0;

    for (size_t w = 0; w < x->n_words; w++) {
        const struct explain_word *word = &x->word[w];

        check_range(word->normal, x->normal.len);
        check_range(word->raw, x->n);
        if (word->first != tokens || word->text + word->text_len > x->words.len ||
            (word->normal.known && word->normal.from < at))
            __builtin_trap();
        at = word->normal.known ? word->normal.to : at;
        tokens += word->n;
        for (size_t i = word->first; i < tokens; i++) {
            const struct explain_token *t = &x->token[i];

            check_range(t->normal, x->normal.len);
            check_range(t->raw, x->n);
            if (t->word != w || (t->normal.known && (t->normal.from < word->normal.from ||
                                                     t->normal.to > word->normal.to)))
                __builtin_trap();
        }
    }
    if (tokens != x->n_tokens)
        __builtin_trap();
}

static void print_both(const struct tokenizer *t, const struct explanation *x, bool pair)
{
    struct explain_print print = {.t = t, .screen = {.width = 80}, .max_len = 7};
    struct err e = {0};

    for (int tty = 0; tty < 2; tty++) {
        struct buf out = {0};

        print.screen.tty = print.screen.colour = tty;
        if (explain_print(&print, "1", 1, x, pair ? x : NULL, &out, &e) ||
            !utf8_valid((const uint8_t *)out.data, out.len))
            __builtin_trap();
        buf_free(&out);
    }
}

int fuzz_explain(const uint8_t *data, size_t n)
{
    struct tokenizer *list[MOST];
    const int tokenizers = golden(list);
    struct buf text = {0};
    struct err e = {0};

    if (buf_puts(&text, "", &e) || utf8_lossy(data, n, &text, &e))
        __builtin_trap();
    for (int i = 0; i < tokenizers; i++) {
        struct explainer *x = explainer_new(list[i], &e);
        struct explanation out = {0};

        if (!x)
            __builtin_trap();
        for (int specials = 0; specials < 2; specials++) {
            explainer_specials_in_text(x, specials);
            if (explain(x, text.data, text.len, &out, &e))
                __builtin_trap();
            check(&out);
            print_both(list[i], &out, specials);
        }
        explanation_free(&out);
        explainer_free(x);
    }
    buf_free(&text);
    return 0;
}

FUZZ_ENTRY(fuzz_explain)
