/* SPDX-License-Identifier: MIT */
#include "vocabtrain.h"
#include "normalize.h"
#include "par.h"
#include "pretoken.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Words longer than this are no words; WordPiece makes [UNK] of them anyway. */
enum { MAX_WORD = 1000 };

/* What one thread works with: the words that it has counted stay its own until the end. */
struct job {
    struct record_chunk chunk;
    struct wordcount counts;
    struct norm_scratch scratch;
    struct buf normal, word;
    uint64_t words;
};

struct counting {
    struct records *in;
    const struct vocab_options *o;
    struct normalizer normalizer;
    uint64_t records;
};

const char *const *vocab_specials(enum vocab_kind kind, int *n)
{
    static const char *const bert[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    static const char *const roberta[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};

    *n = 5;
    return kind == VOCAB_WORDPIECE ? bert : roberta;
}

static int count_bpe_word(struct job *j, const uint8_t *p, size_t n, struct err *e)
{
    buf_reset(&j->word);
    if (buf_reserve(&j->word, 2 * n, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        j->word.len += utf8_put(pairmerge_byte_char(p[i]), (uint8_t *)j->word.data + j->word.len);
    return wordcount_add(&j->counts, j->word.data, j->word.len, 1, e);
}

static int count_text(struct counting *c, struct job *j, const char *text, size_t n,
                      struct err *e)
{
    const bool bert = c->o->kind == VOCAB_WORDPIECE;
    const uint8_t *p = (const uint8_t *)text;
    struct span word;
    size_t at = 0;

    if (bert) {
        if (normalize(&c->normalizer, p, n, &j->scratch, &j->normal, e))
            return -1;
        p = (const uint8_t *)j->normal.data;
        n = j->normal.len;
    }
    while (pre_next(bert ? PRE_BERT : PRE_GPT2, p, n, &at, &word)) {
        if (word.n > MAX_WORD)
            continue;
        j->words++;
        if (bert ? wordcount_add(&j->counts, (const char *)p + word.at, word.n, 1, e)
                 : count_bpe_word(j, p + word.at, word.n, e))
            return -1;
    }
    return 0;
}

static int read_chunk(void *ctx, void *job, struct err *e)
{
    struct counting *c = ctx;
    struct job *j = job;
    const int got = records_next_chunk(c->in, &j->chunk, e);

    if (got > 0)
        c->records += j->chunk.n;
    return got;
}

static int count_chunk(void *ctx, void *job, struct err *e)
{
    struct job *j = job;

    for (size_t i = 0; i < j->chunk.n; i++) {
        const struct record *r = &j->chunk.at[i];

        if (count_text(ctx, j, r->text, r->text_len, e) ||
            (r->pair && count_text(ctx, j, r->pair, r->pair_len, e)))
            return -1;
    }
    return 0;
}

static int nothing_to_write(void *ctx, void *job, struct err *e)
{
    (void)ctx;
    (void)job;
    (void)e;
    return 0;
}

static int make_normalizer(struct counting *c, struct err *e)
{
    static const enum norm_step steps[] = {NORM_CLEAN, NORM_CJK, NORM_NFD, NORM_STRIP_MN,
                                           NORM_LOWER};
    const int n = c->o->cased ? 2 : 5;

    for (int i = 0; i < n; i++)
        if (normalizer_add(&c->normalizer, steps[i]))
            return err_set(e, ERR_INTERNAL, "too many normalizer steps");
    return 0;
}

static int count_words(struct counting *c, struct job *jobs, int n, struct err *e)
{
    static const struct par_stages stages = {read_chunk, count_chunk, nothing_to_write};
    void **list = mem_alloc((size_t)n, sizeof *list, "threads", e);
    int rc;

    if (!list)
        return -1;
    for (int i = 0; i < n; i++)
        list[i] = &jobs[i];
    rc = par_pipeline(n, list, &stages, c, e);
    free(list);
    for (int i = 1; i < n && rc == 0; i++) {
        rc = wordcount_merge(&jobs[0].counts, &jobs[i].counts, e);
        jobs[0].words += jobs[i].words;
    }
    wordcount_sort(&jobs[0].counts);
    return rc;
}

static void jobs_free(struct job *jobs, int n)
{
    for (int i = 0; jobs && i < n; i++) {
        record_chunk_free(&jobs[i].chunk);
        wordcount_free(&jobs[i].counts);
        norm_scratch_free(&jobs[i].scratch);
        buf_free(&jobs[i].normal);
        buf_free(&jobs[i].word);
    }
    free(jobs);
}

int vocab_train(struct records *in, const struct vocab_options *o, struct pairmerge *result,
                struct vocab_totals *totals, struct err *e)
{
    struct counting c = {.in = in, .o = o};
    struct pairmerge_options merge = {.size = o->size, .min_count = o->min_count};
    const int n = o->threads < 1 ? 1 : o->threads;
    struct job *jobs = mem_alloc((size_t)n, sizeof *jobs, "threads", e);
    int rc = -1;

    merge.special = vocab_specials(o->kind, &merge.n_special);
    merge.prefix = o->kind == VOCAB_WORDPIECE ? "##" : "";
    merge.bytes = o->kind == VOCAB_BPE;
    /* Rare characters must not eat the room for words (each may also get a "##" form). */
    if (o->kind == VOCAB_WORDPIECE)
        merge.max_alphabet = o->size / 4 > 256 ? o->size / 4 : 256;
    if (!jobs)
        return -1;
    if (make_normalizer(&c, e) || count_words(&c, jobs, n, e))
        goto done;
    *totals = (struct vocab_totals){c.records, jobs[0].words, jobs[0].counts.n};
    rc = pairmerge_train(&jobs[0].counts, &merge, result, e);
done:
    jobs_free(jobs, n);
    return rc;
}
