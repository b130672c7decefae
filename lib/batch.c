/* SPDX-License-Identifier: MIT */
/*
 * batch: sequences one behind the other, cut and dressed with their special tokens (L3).
 *
 * Arrays only grow.  A batch that was reserved for the largest micro-batch of a run never
 * allocates again.
 */
#include "batch.h"

#include "mem.h"
#include "philox.h"

#include <stdlib.h>
#include <string.h>

/* Room for n objects; unlike mem_grow no doubling, because reserves name the largest batch. */
static int grow(void *array, size_t cap, size_t n, size_t size, struct err *e)
{
    void **p = array;
    void *bigger;

    if (n <= cap && *p)
        return 0;
    if (n > SIZE_MAX / size)
        return err_oom(e, "a batch", SIZE_MAX);
    bigger = realloc(*p, n * size > 0 ? n * size : 1);
    if (!bigger)
        return err_oom(e, "a batch", n * size);
    *p = bigger;
    return 0;
}

static int reserve_tokens(struct batch *b, size_t n, struct err *e)
{
    if (grow(&b->ids, b->cap_tok, n, sizeof *b->ids, e) ||
        grow(&b->types, b->cap_tok, n, sizeof *b->types, e) ||
        grow(&b->positions, b->cap_tok, n, sizeof *b->positions, e) ||
        grow(&b->row, b->cap_tok, n, sizeof *b->row, e))
        return -1;
    if (n > b->cap_tok)
        b->cap_tok = n;
    return 0;
}

static int reserve_sequences(struct batch *b, size_t n, struct err *e)
{
    if (grow(&b->cu, b->cap_seq, n + 1, sizeof *b->cu, e))
        return -1;
    if (n > b->cap_seq)
        b->cap_seq = n;
    if (b->n_seq == 0)
        b->cu[0] = 0;
    return 0;
}

static int reserve_rows(struct batch *b, size_t n, struct err *e)
{
    const size_t targets = (size_t)b->n_targets;

    if (grow(&b->rows, b->cap_rows, n, sizeof *b->rows, e) ||
        grow(&b->label, b->cap_rows, n, sizeof *b->label, e) ||
        grow(&b->weight, b->cap_rows, n, sizeof *b->weight, e))
        return -1;
    if (targets) {
        if (n > SIZE_MAX / targets)
            return err_oom(e, "a batch", SIZE_MAX);
        if (grow(&b->target, b->cap_rows * targets, n * targets, sizeof *b->target, e))
            return -1;
    }
    if (n > b->cap_rows)
        b->cap_rows = n;
    return 0;
}

int batch_reserve(struct batch *b, size_t n_tok, size_t n_seq, size_t n_rows, int n_targets,
                  struct err *e)
{
    if (n_tok > INT32_MAX || n_seq >= INT32_MAX || n_rows > INT32_MAX || n_targets < 0)
        return err_set(e, ERR_DATA, "a batch of %zu tokens is too large", n_tok);
    if (n_targets != b->n_targets) {
        free(b->target);
        b->target = NULL;
        b->n_targets = n_targets;
    }
    return reserve_tokens(b, n_tok > b->cap_tok ? n_tok : b->cap_tok, e) ||
                   reserve_sequences(b, n_seq > b->cap_seq ? n_seq : b->cap_seq, e) ||
                   reserve_rows(b, n_rows > b->cap_rows ? n_rows : b->cap_rows, e)
               ? -1
               : 0;
}

void batch_reset(struct batch *b)
{
    b->n_tok = b->n_seq = b->max_len = b->n_rows = 0;
    if (b->cu)
        b->cu[0] = 0;
}

void batch_free(struct batch *b)
{
    free(b->ids);
    free(b->types);
    free(b->positions);
    free(b->cu);
    free(b->row);
    free(b->rows);
    free(b->label);
    free(b->target);
    free(b->weight);
    memset(b, 0, sizeof *b);
}

/* Room for one more sequence of n tokens and its row, at least doubling what grows. */
static int make_room(struct batch *b, size_t n, struct err *e)
{
    const size_t tokens = (size_t)b->n_tok + n;
    const size_t sequences = (size_t)b->n_seq + 1, rows = (size_t)b->n_rows + 1;

    if (n > INT32_MAX || tokens > INT32_MAX)
        return err_set(e, ERR_DATA, "a batch of %zu tokens is too large", tokens);
    return batch_reserve(b, tokens > b->cap_tok ? 2 * tokens : b->cap_tok,
                         sequences > b->cap_seq ? 2 * sequences : b->cap_seq,
                         rows > b->cap_rows ? 2 * rows : b->cap_rows, b->n_targets, e);
}

int batch_add(struct batch *b, const struct template *t, const struct toks_record *r,
              const struct template_limit *limit, uint32_t record, struct err *e)
{
    const int pair = r->b != NULL;
    struct template_text first = {.ids = r->a, .n = r->n_a};
    struct template_text second = {.ids = r->b, .n = pair ? r->n_b : 0};
    size_t n;

    template_keep(t, limit, &first, pair ? &second : NULL);
    n = first.kept + second.kept + (size_t)template_specials(t, pair);
    if (n == 0)
        return err_set(e, ERR_DATA, "record %llu has no tokens and the template adds none",
                       (unsigned long long)r->number);
    if (make_room(b, n, e))
        return -1;
    n = template_fill(t, &first, pair ? &second : NULL, b->ids + b->n_tok, b->types + b->n_tok,
                      NULL);
    for (size_t i = 0; i < n; i++) {
        b->positions[(size_t)b->n_tok + i] = (int32_t)i;
        b->row[(size_t)b->n_tok + i].record = record;
        b->row[(size_t)b->n_tok + i].offset = (uint32_t)i;
    }
    b->rows[b->n_rows] = b->n_tok;
    b->label[b->n_rows] = -1;
    b->weight[b->n_rows] = r->weight;
    if (b->n_targets)
        memset(b->target + (size_t)b->n_rows * (size_t)b->n_targets, 0,
               (size_t)b->n_targets * sizeof *b->target);
    b->n_rows++;
    b->n_tok += (int32_t)n;
    b->n_seq++;
    b->cu[b->n_seq] = b->n_tok;
    if ((int32_t)n > b->max_len)
        b->max_len = (int32_t)n;
    return (int)n;
}
