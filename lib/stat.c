/* SPDX-License-Identifier: MIT */
#include "stat.h"

#include <stdio.h>
#include <stdlib.h>

void stat_free(struct stream_stat *s)
{
    intern_free(&s->labels);
    free(s->label_count);
    free(s->longest);
    seen_free(&s->seen);
    topwords_free(s->unknown);
    *s = (struct stream_stat){0};
}

static int add_label(struct stream_stat *s, const struct toks_record *r, uint64_t *label,
                     struct err *e)
{
    const size_t before = s->labels.n;
    int64_t i;

    *label = UINT64_MAX;
    if (!r->label) {
        s->unlabelled++;
        return 0;
    }
    if (s->most_labels && before >= s->most_labels &&
        intern_find(&s->labels, r->label, r->label_len) < 0) {
        s->other_labels++;
        *label = UINT64_MAX - 1;
        return 0;
    }
    i = intern_add(&s->labels, r->label, r->label_len, e);
    if (i < 0 ||
        mem_grow(&s->label_count, &s->label_cap, s->labels.n, sizeof *s->label_count, e))
        return -1;
    if (s->labels.n > before)
        s->label_count[i] = 0;
    s->label_count[i]++;
    *label = (uint64_t)i;
    return 0;
}

static int keep_longest(struct stream_stat *s, const struct toks_record *r, struct err *e)
{
    char number[24];
    const int len = snprintf(number, sizeof number, "%llu", (unsigned long long)r->number);
    char *key = r->key ? mem_dupn(r->key, r->key_len, e) : mem_dupn(number, (size_t)len, e);

    if (!key)
        return -1;
    free(s->longest);
    s->longest = key;
    return 0;
}

static int add_length(struct stream_stat *s, const struct template *t,
                      const struct toks_record *r, struct err *e)
{
    const uint64_t n = r->n_a + r->n_b, longest = s->lengths.longest;

    lengths_add(&s->lengths, n, (uint64_t)template_specials(t, r->b != NULL));
    s->empty += n == 0;
    return s->lengths.longest > longest || !s->longest ? keep_longest(s, r, e) : 0;
}

/* Unknown tokens, and special ones that were in the text itself. */
static void count_ids(struct stream_stat *s, const struct template *t, const uint32_t *ids,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int64_t id = ids[i];

        s->unk += id == t->unk;
        s->specials += id == t->cls || id == t->sep || id == t->pad || id == t->mask;
    }
}

static int add_copy(struct stream_stat *s, const struct toks_record *r, uint64_t label,
                    struct err *e)
{
    const bool full = s->most_texts && s->seen.n >= s->most_texts;
    uint64_t first = label;
    int copy;

    copy = full ? seen_find(&s->seen, r, &first) : seen_add(&s->seen, r, &first, e);
    if (copy < 0)
        return -1;
    s->copies += copy == 1;
    s->contradictions += copy == 1 && first != label;
    return 0;
}

int stat_record(struct stream_stat *s, const struct template *t, const struct toks_record *r,
                struct err *e)
{
    uint64_t label;

    if (add_label(s, r, &label, e) || add_length(s, t, r, e) || add_copy(s, r, label, e))
        return -1;
    count_ids(s, t, r->a, r->n_a);
    count_ids(s, t, r->b, r->n_b);
    s->records++;
    s->tokens += r->n_a + r->n_b;
    s->pairs += r->b != NULL;
    return 0;
}

int stat_add(struct stream_stat *s, const struct toks_header *h, const struct toks_block *b,
             struct err *e)
{
    for (size_t i = 0; i < toks_block_records(b); i++) {
        struct toks_record r;

        toks_get(b, i, &r);
        if (stat_record(s, &h->template, &r, e))
            return -1;
    }
    return 0;
}
