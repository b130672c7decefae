/* SPDX-License-Identifier: MIT */
#include "vocabtrain.h"
#include "normalize.h"
#include "pairmerge.h"
#include "par.h"
#include "piecetrain.h"
#include "pretoken.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Bytes; longer words are no words.  WordPiece makes [UNK] of words over 100 characters. */
enum { MAX_WORD = 1000, MAX_WHOLE = 100 };

/* What one thread works with: the words that it has counted stay its own until the end. */
struct job {
    struct record_chunk chunk;
    struct wordcount counts;
    struct clean_scratch wash;
    struct norm_scratch scratch;
    struct buf normal, word;
    uint64_t words;
};

struct counting {
    struct records *in;
    const struct vocab_options *o;
    struct normalizer normalizer;
    char ascii[128]; /* what a character alone becomes; 0: nothing */
    uint64_t records;
};

const char *const *vocab_specials(enum vocab_kind kind, int *n)
{
    static const char *const bert[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    static const char *const roberta[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};
    static const char *const albert[] = {"<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"};

    *n = 5;
    return kind == VOCAB_BPE ? roberta : kind == VOCAB_UNIGRAM ? albert : bert;
}

/* ---- counting ---- */

/* U+2581 stands for the blank before a word. */
static int count_marked(struct job *j, const uint8_t *p, size_t n, struct err *e)
{
    if (memchr(p, 0, n))
        return 0;
    buf_reset(&j->word);
    if (buf_puts(&j->word, "\xe2\x96\x81", e) || buf_add(&j->word, p, n, e))
        return -1;
    return wordcount_add(&j->counts, j->word.data, j->word.len, 1, e);
}

/*
 * Normalizes a text of ASCII alone, in which no character changes another (Unigram: no two
 * quotation marks that are one): 1 when it was.
 */
static int normalize_ascii(const struct counting *c, struct job *j, const uint8_t *p, size_t n,
                           struct err *e)
{
    uint8_t all = 0;
    char *to;

    for (size_t i = 0; i < n; i++)
        all |= p[i];
    if (all & 0x80 || (c->o->kind == VOCAB_UNIGRAM &&
                       (memmem(p, n, "``", 2) || memmem(p, n, "''", 2))))
        return 0;
    buf_reset(&j->normal);
    if (buf_reserve(&j->normal, n + 1, e))
        return -1;
    to = j->normal.data;
    for (size_t i = 0; i < n; i++) {
        *to = c->ascii[p[i]];
        to += *to != '\0';
    }
    *to = '\0';
    j->normal.len = (size_t)(to - j->normal.data);
    return 1;
}

static int normalize_text(const struct counting *c, struct job *j, const uint8_t *p, size_t n,
                          struct err *e)
{
    const int done = normalize_ascii(c, j, p, n, e);

    return done ? (done < 0 ? -1 : 0) : normalize(&c->normalizer, p, n, &j->scratch, &j->normal, e);
}

static int count_text(struct counting *c, struct job *j, const char *text, size_t n,
                      struct err *e)
{
    static const enum pre_step steps[] = {PRE_BERT, PRE_GPT2, PRE_SPACE, PRE_BERT};
    const enum vocab_kind kind = c->o->kind;
    const uint8_t *p = (const uint8_t *)text;
    struct span word;
    size_t at = 0;

    if (kind != VOCAB_BPE) {
        if (normalize_text(c, j, p, n, e))
            return -1;
        p = (const uint8_t *)j->normal.data;
        n = j->normal.len;
    }
    while (pre_next(steps[kind], p, n, &at, &word)) {
        if (word.n > MAX_WORD)
            continue;
        j->words++;
        if (kind == VOCAB_UNIGRAM
                ? count_marked(j, p + word.at, word.n, e)
                : wordcount_add(&j->counts, (const char *)p + word.at, word.n, 1, e))
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

static int count_chunk(void *ctx, void *job, int thread, struct err *e)
{
    const struct counting *c = ctx;
    struct clean_counts ignored = {0};
    struct job *j = job;

    (void)thread;
    if (c->o->clean && clean_chunk(c->o->clean, &j->wash, &j->chunk, &ignored, e))
        return -1;
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

static int make_ascii(struct counting *c, struct err *e)
{
    struct norm_scratch scratch = {0};
    struct buf one = {0};
    int rc = 0;

    for (uint8_t b = 0; b < 128 && rc == 0; b++) {
        rc = normalize(&c->normalizer, &b, 1, &scratch, &one, e);
        if (rc == 0)
            c->ascii[b] = one.len ? one.data[0] : '\0';
    }
    norm_scratch_free(&scratch);
    buf_free(&one);
    return rc;
}

/* ALBERT's: `` and '' are quotation marks, and accents and case go unless they are kept. */
static int make_albert(struct normalizer *nz, bool cased, struct err *e)
{
    static const char *const quotes[] = {"``", "''"};

    for (int i = 0; i < 2; i++) {
        const struct norm_replace r = {
            .pattern = quotes[i], .n_pattern = 2, .content = "\"", .n_content = 1};

        if (normalizer_replace(nz, &r, e))
            return -1;
    }
    return !cased && (normalizer_add(nz, NORM_NFKD) || normalizer_add(nz, NORM_STRIP_MARK) ||
                      normalizer_add(nz, NORM_LOWER))
               ? err_set(e, ERR_INTERNAL, "too many normalizer steps")
               : 0;
}

static int make_bert(struct normalizer *nz, bool cased, struct err *e)
{
    static const enum norm_step steps[] = {NORM_CLEAN, NORM_CJK, NORM_NFD, NORM_STRIP_MN,
                                           NORM_LOWER};

    for (int i = 0; i < (cased ? 2 : 5); i++)
        if (normalizer_add(nz, steps[i]))
            return err_set(e, ERR_INTERNAL, "too many normalizer steps");
    return 0;
}

static int make_normalizer(struct counting *c, struct err *e)
{
    const struct vocab_options *o = c->o;

    if (o->kind == VOCAB_BPE)
        return 0;
    if (o->kind == VOCAB_UNIGRAM ? make_albert(&c->normalizer, o->cased, e)
                                 : make_bert(&c->normalizer, o->cased, e))
        return -1;
    return make_ascii(c, e);
}

static int count_words(struct counting *c, struct job *jobs, int n, struct err *e)
{
    static const struct par_stages stages = {read_chunk, count_chunk, nothing_to_write, NULL};
    void **list = mem_alloc((size_t)n, sizeof *list, "threads", e);
    int rc;

    if (!list)
        return -1;
    for (int i = 0; i < n; i++)
        list[i] = &jobs[i];
    rc = par_pipeline(n, list, n, &stages, c, e);
    free(list);
    for (int i = 1; i < n && rc == 0; i++) {
        rc = wordcount_merge(&jobs[0].counts, &jobs[i].counts, e);
        jobs[0].words += jobs[i].words;
    }
    return rc;
}

/* ---- training ---- */

/* The words' bytes as the characters of byte-level vocabularies. */
static int byte_words(const struct wordcount *words, struct wordcount *out, struct err *e)
{
    struct buf text = {0};
    int rc = 0;

    for (size_t i = 0; i < words->n && rc == 0; i++) {
        const struct word *w = &words->word[i];

        buf_reset(&text);
        rc = buf_reserve(&text, 2 * (size_t)w->n, e);
        for (size_t k = 0; k < w->n && rc == 0; k++)
            text.len += utf8_put(pairmerge_byte_char((uint8_t)words->bytes[w->at + k]),
                                 (uint8_t *)text.data + text.len);
        if (rc == 0)
            rc = wordcount_add(out, text.data, text.len, w->count, e);
    }
    buf_free(&text);
    return rc;
}

static int train_pairs(const struct wordcount *words, const struct vocab_options *o,
                       struct vocablist *result, struct err *e)
{
    const bool bytes = o->kind == VOCAB_BPE;
    struct pairmerge_options merge = {
        .size = o->size, .min_count = o->min_count, .prefix = bytes ? "" : "##", .bytes = bytes};
    struct wordcount spelled = {0};
    int rc = 0;

    merge.special = vocab_specials(o->kind, &merge.n_special);
    /* Rare characters must not eat the room for words (each may also get a "##" form). */
    if (!bytes)
        merge.max_alphabet = o->size / 4 > 256 ? o->size / 4 : 256;
    if (bytes)
        rc = byte_words(words, &spelled, e);
    if (rc == 0)
        rc = pairmerge_train(bytes ? &spelled : words, &merge, result, e);
    wordcount_free(&spelled);
    return rc;
}

static int train_pieces(struct wordcount *words, const struct vocab_options *o,
                        struct vocablist *result, struct err *e)
{
    struct piece_options pieces = {.size = o->size,
                                   .min_count = o->min_count,
                                   .max_alphabet = o->size / 4 > 256 ? o->size / 4 : 256,
                                   .threads = o->threads};

    pieces.special = vocab_specials(o->kind, &pieces.n_special);
    wordcount_sort(words);
    return pieces_train(words, &pieces, result, e);
}

/* The most frequent words, as many as there is room for. */
static int train_words(struct wordcount *words, const struct vocab_options *o,
                       struct vocablist *result, struct err *e)
{
    int n;
    const char *const *special = vocab_specials(o->kind, &n);

    for (int i = 0; i < n; i++)
        if (vocablist_add(result, special[i], strlen(special[i]), 0, e))
            return -1;
    wordcount_rank(words);
    for (size_t i = 0; i < words->n && result->n < o->size; i++) {
        const struct word *w = &words->word[i];
        const char *text = words->bytes + w->at;

        if (w->count < o->min_count)
            break;
        if (utf8_count((const uint8_t *)text, w->n) <= MAX_WHOLE &&
            vocablist_add(result, text, w->n, 0, e))
            return -1;
    }
    return 0;
}

static void jobs_free(struct job *jobs, int n)
{
    for (int i = 0; jobs && i < n; i++) {
        record_chunk_free(&jobs[i].chunk);
        wordcount_free(&jobs[i].counts);
        clean_scratch_free(&jobs[i].wash);
        norm_scratch_free(&jobs[i].scratch);
        buf_free(&jobs[i].normal);
        buf_free(&jobs[i].word);
    }
    free(jobs);
}

int vocab_train(struct records *in, const struct vocab_options *o, struct vocablist *result,
                struct vocab_totals *totals, struct err *e)
{
    struct counting c = {.in = in, .o = o};
    const int n = o->threads < 1 ? 1 : o->threads;
    struct job *jobs = mem_alloc((size_t)n, sizeof *jobs, "threads", e);
    struct wordcount *words;
    int rc = -1;

    *result = (struct vocablist){0};
    if (!jobs)
        return -1;
    words = &jobs[0].counts;
    if (make_normalizer(&c, e) || count_words(&c, jobs, n, e))
        goto done;
    *totals = (struct vocab_totals){c.records, jobs[0].words, words->n};
    rc = o->kind == VOCAB_UNIGRAM ? train_pieces(words, o, result, e)
         : o->kind == VOCAB_WORD  ? train_words(words, o, result, e)
                                  : train_pairs(words, o, result, e);
done:
    normalizer_free(&c.normalizer);
    jobs_free(jobs, n);
    if (rc)
        vocablist_free(result);
    return rc;
}
