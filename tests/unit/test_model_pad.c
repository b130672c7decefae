/* SPDX-License-Identifier: MIT */
/* Padded micro-batches: well formed, within what was planned, of few sizes, not much larger. */
#include "test.h"

#include "model_int.h"

#include <stdlib.h>

enum { TRIALS = 3000 };

static uint32_t state = 3;

static int64_t next(int64_t n)
{
    state = state * 1664525u + 1013904223u;
    return (int64_t)(state >> 4) % n;
}

static void *room(int64_t n, size_t size)
{
    void *p = malloc((size_t)n * size + 1); /* to the byte, for the address sanitizer */

    if (!p)
        abort();
    return p;
}

/* A slot with room for the limits and not for a token more. */
static struct slot make_slot(const struct model_limits *l)
{
    struct slot s = {0};

    s.in.ids = room(l->tokens, sizeof *s.in.ids);
    s.in.positions = room(l->tokens, sizeof *s.in.positions);
    s.in.types = room(l->tokens, sizeof *s.in.types);
    s.in.row = room(l->tokens, sizeof *s.in.row);
    s.in.cu = room(l->sequences + 1, sizeof *s.in.cu);
    s.in.rows = room(l->rows, sizeof *s.in.rows);
    s.in.head_row = room(l->rows, sizeof *s.in.head_row);
    s.in.label = room(l->rows, sizeof *s.in.label);
    s.in.weight = room(l->rows, sizeof *s.in.weight);
    s.in.target = room(2 * l->rows, sizeof *s.in.target);
    return s;
}

static void free_slot(struct slot *s)
{
    free(s->in.ids);
    free(s->in.positions);
    free(s->in.types);
    free(s->in.row);
    free(s->in.cu);
    free(s->in.rows);
    free(s->in.head_row);
    free(s->in.label);
    free(s->in.weight);
    free(s->in.target);
}

/* A batch of sequences within the limits; every row is the first tokens of a sequence. */
static struct pass make_batch(struct slot *s, const struct model_limits *l)
{
    struct pass pass = {.train = true};
    const int64_t sequences = 1 + next(l->sequences);

    s->in.cu[0] = 0;
    while (pass.seqs.n_seq < sequences) {
        int64_t n = 1 + next(l->max_len);

        n = pass.seqs.n_tok + n > l->tokens ? l->tokens - pass.seqs.n_tok : n;
        if (n == 0)
            break;
        for (int64_t k = 0; k < n; k++)
            s->in.ids[pass.seqs.n_tok + k] = (int32_t)(7 + k);
        if (pass.n_rows < l->rows)
            s->in.rows[pass.n_rows++] = pass.seqs.n_tok;
        pass.seqs.n_tok += (int32_t)n;
        s->in.cu[++pass.seqs.n_seq] = pass.seqs.n_tok;
        pass.seqs.max_len = (int32_t)n > pass.seqs.max_len ? (int32_t)n : pass.seqs.max_len;
    }
    s->in.positions[0] = 2;
    s->in.types[0] = 1;
    return pass;
}

/* What was there stays, and what is new is as it should be. */
static bool is_padded(const struct slot *s, const struct pass *old, const struct pass *new)
{
    bool good = s->in.cu[0] == 0 && s->in.cu[new->seqs.n_seq] == new->seqs.n_tok &&
                s->in.cu[old->seqs.n_seq] == old->seqs.n_tok &&
                new->seqs.max_len >= old->seqs.max_len;

    for (int32_t i = 0; i < new->seqs.n_seq; i++) {
        const int32_t n = s->in.cu[i + 1] - s->in.cu[i];

        good = good && n >= 0 && n <= new->seqs.max_len;
    }
    for (int32_t i = old->seqs.n_tok; i < new->seqs.n_tok; i++)
        good = good && s->in.ids[i] == 7 && s->in.positions[i] == 2 && s->in.types[i] == 1;
    for (int32_t i = old->n_rows; i < new->n_rows; i++) {
        good = good && s->in.label[i] == -1 && s->in.weight[i] == 0 &&
               s->in.target[2 * i] == 0 && s->in.target[2 * i + 1] == 0;
        /* places of their own, all of them in the padding */
        good = good && s->in.rows[i] >= old->seqs.n_tok && s->in.rows[i] < new->seqs.n_tok &&
               (i == old->n_rows || s->in.rows[i] > s->in.rows[i - 1]);
    }
    return good;
}

static void every_batch_fits(void)
{
    struct model m = {.config.n_labels = 2};

    for (int i = 0; i < TRIALS; i++) {
        const struct model_limits l = {.tokens = 1 + next(i % 3 ? 300 : 20000),
                                       .sequences = 1 + next(i % 2 ? 40 : 300),
                                       .rows = 1 + next(300),
                                       .max_len = 1 + next(i % 5 ? 70 : 512),
                                       .train = true};
        struct pass pass, old;
        struct slot s;

        m.limits = pad_limits(&l);
        s = make_slot(&m.limits);
        pass = old = make_batch(&s, &l);
        CHECK_MSG(pad_batch(&m, &s, &pass), "%ld tokens, %ld sequences, %ld rows of %ld",
                  (long)l.tokens, (long)l.sequences, (long)l.rows, (long)l.max_len);
        CHECK_MSG(is_padded(&s, &old, &pass), "%d tokens, %d sequences, %d rows",
                  old.seqs.n_tok, old.seqs.n_seq, old.n_rows);
        free_slot(&s);
    }
}

/* Of batches with as many rows as sequences. */
static void not_much_is_added(void)
{
    const struct model_limits l = {.tokens = 40000, .sequences = 64, .rows = 64,
                                   .max_len = 600, .train = true};
    struct model m = {.config.n_labels = 2};
    struct slot s;
    int sizes = 0, last = 0;

    m.limits = pad_limits(&l);
    s = make_slot(&m.limits);
    for (int32_t n = 64; n <= 40000; n++) {
        struct pass pass = {.seqs = {.n_tok = n, .n_seq = 64, .max_len = n / 64 + 1},
                            .n_rows = 64};

        s.in.ids[0] = s.in.positions[0] = s.in.types[0] = 0;
        s.in.cu[64] = n;
        CHECK(pad_batch(&m, &s, &pass));
        CHECK_MSG(pass.seqs.n_tok >= n && (n < 1024 || pass.seqs.n_tok - n < 0.0625 * n),
                  "%d tokens become %d", n, pass.seqs.n_tok);
        CHECK(pass.seqs.n_tok >= last && pass.seqs.n_tok - n < 64 + n / 32);
        sizes += pass.seqs.n_tok != last;
        last = pass.seqs.n_tok;
    }
    CHECK_MSG(sizes < 180, "%d sizes", sizes);
    free_slot(&s);
}

int main(void)
{
    RUN(every_batch_fits);
    RUN(not_much_is_added);
    return test_end();
}
