/* SPDX-License-Identifier: MIT */
/*
 * model_pad: micro-batches of few different sizes, for devices that record their work (L4).
 *
 * A batch gets tokens, sequences and rows until its sizes are multiples of a step that is
 * some part of them.  No kernel knows of them: the rows have the weight 0 (the label -1), so
 * their gradients are zeros, and so is everything that the backward pass makes of them.
 * Their tokens are copies of the batch's first one, so that no row of the word embedding is
 * touched that would not be touched anyway.  What is added to sums is exactly 0; only the
 * order of a sum may change where it is cut by the number of its terms.
 */
#include "model_int.h"

/*
 * Steps: tokens by 64, from 4096 on by 1/32 to 1/64 of them; rows and sequences by 8, from
 * 128 on by 1/8 to 1/16: rows are few beside tokens, and the numbers of masked tokens in
 * batches of one size differ by about that much.
 */
enum { TOKEN_STEP = 64, TOKEN_SHARE = 32, ROW_STEP = 8, ROW_SHARE = 8 };
/*
 * Attention of short sequences goes by 16 places, that of long ones by 64.
 */
enum { LEN_STEP = 16, LEN_TILE = 64 };

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

/* The step at size n; it grows with n, and only where n is a multiple of the next one. */
static int64_t step_at(int64_t n, int64_t least, int64_t share)
{
    int64_t step = least;

    while (2 * step * share <= n)
        step *= 2;
    return step;
}

static int64_t pad_tokens(int64_t n)
{
    return round_up(n, step_at(n, TOKEN_STEP, TOKEN_SHARE));
}

static int64_t pad_rows(int64_t n)
{
    return round_up(n, step_at(n, ROW_STEP, ROW_SHARE));
}

static int64_t pad_len(int64_t n)
{
    return round_up(n, n <= LEN_TILE ? LEN_STEP : LEN_TILE);
}

/* Sequences that the tokens which padding may bring need, a bound that sizes alone give. */
static int64_t more_sequences(int64_t tokens, int64_t rows, int64_t len)
{
    const int64_t most = step_at(tokens, TOKEN_STEP, TOKEN_SHARE) +
                         step_at(rows, ROW_STEP, ROW_SHARE);

    return (most + len - 1) / len;
}

struct model_limits pad_limits(const struct model_limits *l)
{
    struct model_limits p = *l;

    /* Every row that is added needs a token of its own: rows_add wants them distinct. */
    p.rows = pad_rows(l->rows);
    p.tokens = pad_tokens(l->tokens + step_at(p.rows, ROW_STEP, ROW_SHARE));
    p.max_len = pad_len(l->max_len);
    p.sequences = pad_rows(l->sequences) + more_sequences(p.tokens, p.rows, LEN_STEP);
    return p;
}

static void add_tokens(struct slot *s, const struct pass *old, const struct pass *new)
{
    const int32_t t = old->seqs.n_tok, all = new->seqs.n_tok, len = new->seqs.max_len;

    for (int32_t i = t; i < all; i++) {
        s->in.ids[i] = s->in.ids[0];
        s->in.positions[i] = s->in.positions[0];
        s->in.types[i] = s->in.types[0];
        s->in.row[i] = (struct row_id){UINT32_MAX, (uint32_t)((i - t) % len)};
    }
    for (int32_t i = old->seqs.n_seq; i < new->seqs.n_seq; i++) {
        const int32_t at = s->in.cu[i];

        s->in.cu[i + 1] = all - at < len ? all : at + len;
    }
}

static void add_rows(const struct model *m, struct slot *s, const struct pass *old,
                     const struct pass *new)
{
    const int classes = m->config.n_labels;

    for (int32_t i = old->n_rows; i < new->n_rows; i++) {
        const int32_t at = old->seqs.n_tok + i - old->n_rows;

        s->in.rows[i] = at;
        s->in.head_row[i] = s->in.row[at];
        s->in.label[i] = -1;
        s->in.weight[i] = 0;
        for (int k = 0; s->in.target && k < classes; k++)
            s->in.target[(int64_t)i * classes + k] = 0;
    }
}

bool pad_batch(const struct model *m, struct slot *s, struct pass *pass)
{
    const struct pass old = *pass;
    const struct model_limits *most = &m->limits;
    const int64_t rows = pad_rows(old.n_rows);
    const int64_t tokens = pad_tokens(old.seqs.n_tok + rows - old.n_rows);
    const int64_t len = pad_len(old.seqs.max_len);
    const int64_t sequences =
        pad_rows(old.seqs.n_seq) + more_sequences(tokens, rows, len);

    if (rows > most->rows || tokens > most->tokens || sequences > most->sequences)
        return false;
    pass->n_rows = (int32_t)rows;
    pass->seqs.n_tok = (int32_t)tokens;
    pass->seqs.n_seq = (int32_t)sequences;
    pass->seqs.max_len = (int32_t)len;
    add_tokens(s, &old, pass);
    add_rows(m, s, &old, pass);
    return true;
}
