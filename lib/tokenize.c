/* SPDX-License-Identifier: MIT */
/*
 *     records_next_chunk  ->  encoder of the thread  ->  toks_put    ->  toks_help
 *     (one at a time)         (in parallel)              (in order)      (in parallel)
 *
 * A job is a chunk of whole records with the ids of its texts.  Jobs make blocks of the stream,
 * which are compressed by whichever thread is free first.
 */
#include "tokenize.h"
#include "modelpath.h"
#include "par.h"
#include "tokblock.h"
#include "tokheader.h"
#include "unkwords.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Bytes in flight (chunks, and the ids that they may become) beyond which reading waits; one job
 * may always go on.  A large one is thus alone, and keeps nothing once it has landed.
 */
enum { FLIGHT = 24 << 20, LARGE = 1 << 20, LARGE_IDS = 1 << 18, MOST_THREADS = 16 };
/* Jobs beyond one a thread: so far a thread may be ahead of the one whose turn it is. */
enum { AHEAD = 4 };

/*
 * Bytes for all encoders' memories of words; one encoder has at most half of it.  It starts with
 * a small one, since pages of a large one take longer than the words of a short input.
 */
enum { MEMOS = 32 << 20, FIRST_MEMO = 1 << 20, SHORT_INPUT = 1 << 20 };

/* Of an id and its start; a byte of text becomes one at most. */
enum { ID_BYTES = 5 };

struct job {
    struct record_chunk chunk;
    struct clean_scratch scratch;
    struct clean_counts cleaned;
    struct tok_ids ids; /* of all texts, one after the other */
    uint64_t unk;       /* of these */
    size_t *end;        /* ids up to the end of a record's text and of its pair (2 * n) */
    size_t end_cap, bytes;
    uint32_t *len;      /* (n) instead of those, of texts alone: their ids, their numbers, */
    uint64_t *number;   /* (n) and what they take together */
    size_t len_cap, number_cap, text_bytes;
    struct unkwords unknown; /* for the statistics */
};

/* Of one thread: what it remembers of words stays in its core's cache. */
struct coder {
    struct encoder *encoder;
    size_t bytes; /* of text that were encoded with the first memory */
};

struct line {
    struct records *in;
    struct toks_writer *out;
    struct tokenize_report *report;
    const struct template *template;
    const struct tokenize_options *o;
    struct coder *coder;       /* (threads) */
    size_t memo;               /* bytes of each encoder's memory of words */
    struct record_chunk first; /* read before the stream could be begun */
    bool have_first;
    bool texts;        /* no record has more than a text, and nobody counts */
    pthread_mutex_t lock;
    pthread_cond_t landed;
    size_t most;      /* tokens of a record that can be in it */
    size_t flight; /* bytes of the chunks between read and write */
    bool waiting_ends; /* a job failed: nothing more is read, and nobody may wait */
    struct timespec drawn;
};

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Waits until there is room for another chunk.  The writers need no lock of the reader. */
static bool wait_for_room(struct line *l)
{
    bool go_on;

    pthread_mutex_lock(&l->lock);
    while (l->flight > FLIGHT && !l->waiting_ends)
        pthread_cond_wait(&l->landed, &l->lock);
    go_on = !l->waiting_ends;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void change_flight(struct line *l, size_t more, size_t less)
{
    pthread_mutex_lock(&l->lock);
    l->flight = l->flight + more - less;
    pthread_cond_signal(&l->landed);
    pthread_mutex_unlock(&l->lock);
}

static int read_job(void *ctx, void *job, struct err *e)
{
    struct line *l = ctx;
    struct job *j = job;
    int got = 1;

    if (!wait_for_room(l))
        return 0;
    if (l->have_first) {
        struct record_chunk empty = j->chunk;

        j->chunk = l->first;
        l->first = empty;
        l->have_first = false;
    } else {
        got = records_next_chunk(l->in, &j->chunk, e);
    }
    if (got <= 0)
        return got;
    j->bytes = record_chunk_memory(&j->chunk) + ID_BYTES * j->chunk.bytes.len;
    change_flight(l, j->bytes, 0);
    return 1;
}

/* After an error the chunks of other jobs may never land. */
static int give_up(struct line *l)
{
    pthread_mutex_lock(&l->lock);
    l->waiting_ends = true;
    pthread_cond_broadcast(&l->landed);
    pthread_mutex_unlock(&l->lock);
    return -1;
}

/* The unknown words of a job's texts. */
static int find_unknown(const struct line *l, struct job *j, struct encoder *enc,
                        struct err *e)
{
    size_t from = 0;

    j->unknown.unk = l->template->unk;
    for (size_t i = 0; i < j->chunk.n; i++) {
        const struct record *r = &j->chunk.at[i];
        const size_t a = j->end[2 * i], b = j->end[2 * i + 1];

        if (unkwords_find(&j->unknown, enc, r->text, r->text_len, j->ids.id + from,
                          a - from, e) ||
            (r->pair && unkwords_find(&j->unknown, enc, r->pair, r->pair_len,
                                      j->ids.id + a, b - a, e)))
            return -1;
        from = b;
    }
    return 0;
}

/* What an encoder says of a record's text. */
static int bad_text(const struct line *l, const struct encoder *enc, const struct record *r,
                    const struct err *why, struct err *e)
{
    if (why->code != ERR_DATA)
        return err_set(e, why->code, "%s", why->text);
    if (encoder_met_unknown(enc))
        return err_set(e, ERR_DATA, "record %llu: %s", (unsigned long long)r->number, why->text);
    return err_set(e, ERR_DATA, "%s: record %llu is too large for the stream: more than %zu "
                   "tokens; a record and its key and label may take %d MiB", l->o->name,
                   (unsigned long long)r->number, l->most, BLOCK_MAX >> 20);
}

static int encode_texts(const struct line *l, struct job *j, struct encoder *enc,
                        struct err *e)
{
    struct err why = {0};

    j->ids.n = 0;
    for (size_t i = 0; i < j->chunk.n; i++) {
        const struct record *r = &j->chunk.at[i];

        if (encoder_encode(enc, r->text, r->text_len, &j->ids, &why))
            return bad_text(l, enc, r, &why, e);
        j->end[2 * i] = j->ids.n;
        if (r->pair && encoder_encode(enc, r->pair, r->pair_len, &j->ids, &why))
            return bad_text(l, enc, r, &why, e);
        j->end[2 * i + 1] = j->ids.n;
    }
    return 0;
}

/* The same where there are texts alone. */
static int encode_only_texts(const struct line *l, struct job *j, struct encoder *enc,
                             struct err *e)
{
    const size_t n = j->chunk.n;
    struct err why = {0};

    j->ids.n = 0;
    j->text_bytes = 0;
    if (mem_grow(&j->len, &j->len_cap, n, sizeof *j->len, e) ||
        mem_grow(&j->number, &j->number_cap, n, sizeof *j->number, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        const struct record *r = &j->chunk.at[i];
        const size_t from = j->ids.n;

        if (encoder_encode(enc, r->text, r->text_len, &j->ids, &why))
            return bad_text(l, enc, r, &why, e);
        j->len[i] = (uint32_t)(j->ids.n - from);
        j->number[i] = r->number;
        j->text_bytes += r->text_len;
    }
    return 0;
}

static int encode_chunk(const struct line *l, struct job *j, struct encoder *enc,
                        struct err *e)
{
    if (l->texts)
        return encode_only_texts(l, j, enc, e);
    if (mem_grow(&j->end, &j->end_cap, 2 * j->chunk.n, sizeof *j->end, e) ||
        encode_texts(l, j, enc, e))
        return -1;
    return l->o->stat ? find_unknown(l, j, enc, e) : 0;
}

static uint64_t count_ids(const struct tok_ids *ids, uint32_t id)
{
    uint32_t n = 0; /* enough: so many ids are in no job */

    for (size_t i = 0; i < ids->n; i++)
        n += ids->id[i] == id;
    return n;
}

static int encode_job(void *ctx, void *job, int thread, struct err *e)
{
    const struct line *l = ctx;
    struct coder *coder = &l->coder[thread];
    struct encoder *enc = coder->encoder;
    struct job *j = job;

    if (coder->bytes <= SHORT_INPUT && (coder->bytes += j->chunk.bytes.len) > SHORT_INPUT &&
        encoder_memory(enc, l->memo, e))
        return give_up(ctx);
    j->cleaned = (struct clean_counts){0};
    if ((l->o->clean && clean_chunk(l->o->clean, &j->scratch, &j->chunk, &j->cleaned, e)) ||
        encode_chunk(l, j, enc, e))
        return give_up(ctx);
    j->unk = l->template->unk < 0 ? 0 : count_ids(&j->ids, (uint32_t)l->template->unk);
    encoder_slim(enc);
    return 0;
}

static bool help(void *ctx)
{
    const struct line *l = ctx;

    return toks_help(l->out);
}

static int count(struct line *l, const struct toks_record *r, const struct record *from,
                 struct err *e)
{
    struct tokenize_report *to = l->report;

    to->records++;
    to->tokens += r->n_a + r->n_b;
    to->text_bytes += from->text_len + from->pair_len;
    return l->o->stat ? stat_record(l->o->stat, l->template, r, e) : 0;
}

/* A line on a terminal, five times a second. */
static void progress(struct line *l)
{
    struct timespec now;

    if (!l->o->msg || !l->o->msg->tty)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((double)(now.tv_sec - l->drawn.tv_sec) + 1e-9 * (double)(now.tv_nsec - l->drawn.tv_nsec) <
        0.2)
        return;
    l->drawn = now;
    msg_progress(l->o->msg, "%llu records, %llu tokens", (unsigned long long)l->report->records,
                 (unsigned long long)l->report->tokens);
}

static int write_texts(struct line *l, const struct job *j, struct err *e)
{
    const struct toks_texts t = {j->ids.id, j->ids.start, j->len, j->number, j->chunk.n};

    l->report->records += t.n;
    l->report->tokens += j->ids.n;
    l->report->text_bytes += j->text_bytes;
    return toks_put_texts(l->out, &t, e);
}

static int write_records(struct line *l, const struct job *j, struct err *e)
{
    size_t from = 0;

    for (size_t i = 0; i < j->chunk.n; i++) {
        const struct record *in = &j->chunk.at[i];
        const size_t a = j->end[2 * i], b = j->end[2 * i + 1];
        struct toks_record r = {
            .a = j->ids.id + from, .start_a = j->ids.start + from, .n_a = a - from,
            .key = in->key, .key_len = in->key_len, .number = in->number,
            .label = in->label, .label_len = in->label_len, .weight = in->weight};
        static const uint32_t none[1];
        static const uint8_t no_start[1];

        if (r.n_a == 0) { /* empty is not NULL */
            r.a = none;
            r.start_a = no_start;
        }
        if (in->pair) {
            r.b = b > a ? j->ids.id + a : none;
            r.start_b = b > a ? j->ids.start + a : no_start;
            r.n_b = b - a;
        }
        if (toks_put(l->out, &r, e) || count(l, &r, in, e))
            return -1;
        from = b;
    }
    return 0;
}

static int write_job(void *ctx, void *job, struct err *e)
{
    struct line *l = ctx;
    struct job *j = job;

    if (l->texts ? write_texts(l, j, e) : write_records(l, j, e))
        return give_up(l);
    if (l->o->stat)
        unkwords_count(&j->unknown, l->o->stat->unknown);
    l->report->unk += j->unk;
    l->report->invalid_utf8 += j->chunk.invalid_utf8;
    l->report->clean.changed += j->cleaned.changed;
    l->report->clean.emptied += j->cleaned.emptied;
    /* What is large must be free again before another large one may be read. */
    if (j->ids.cap > LARGE_IDS) {
        tok_ids_free(&j->ids);
        j->ids = (struct tok_ids){0};
    }
    if (j->bytes > LARGE * ID_BYTES)
        record_chunk_free(&j->chunk);
    change_flight(l, 0, j->bytes);
    progress(l);
    return 0;
}

/* ---- set-up ---- */

static void free_jobs(struct job *jobs, int n)
{
    for (int i = 0; jobs && i < n; i++) {
        record_chunk_free(&jobs[i].chunk);
        clean_scratch_free(&jobs[i].scratch);
        tok_ids_free(&jobs[i].ids);
        unkwords_free(&jobs[i].unknown);
        free(jobs[i].end);
        free(jobs[i].len);
        free(jobs[i].number);
    }
    free(jobs);
}

static int make_coders(struct line *l, const struct tokenizer *t, int n, struct err *e)
{
    l->memo = n > 2 ? MEMOS / (size_t)n : MEMOS / 2;
    l->coder = mem_alloc((size_t)n, sizeof *l->coder, "encoders", e);
    for (int i = 0; i < n; i++) {
        struct encoder *enc = l->coder ? encoder_new(t, e) : NULL;

        if (!enc)
            return -1;
        l->coder[i].encoder = enc;
        if (encoder_memory(enc, FIRST_MEMO, e))
            return -1;
        encoder_slack_behind(enc);
        encoder_limit(enc, l->most);
        encoder_specials_in_text(enc, !l->o->no_specials_in_text);
    }
    return 0;
}

static int run(struct line *l, const struct tokenizer *t, int n, struct err *e)
{
    static const struct par_stages stages = {read_job, encode_job, write_job, help};
    const int n_jobs = n > 1 ? n + AHEAD : 1;
    struct job *jobs = mem_alloc((size_t)n_jobs, sizeof *jobs, "jobs", e);
    void **list = jobs ? mem_alloc((size_t)n_jobs, sizeof *list, "jobs", e) : NULL;
    int rc = list && make_coders(l, t, n, e) == 0 ? 0 : -1;

    for (int i = 0; list && i < n_jobs; i++)
        list[i] = &jobs[i];
    if (!rc)
        rc = par_pipeline(n, list, n_jobs, &stages, l, e);
    for (int i = 0; l->coder && i < n; i++)
        encoder_free(l->coder[i].encoder);
    free(l->coder);
    free_jobs(jobs, n_jobs);
    free(list);
    return rc;
}

static int finish(struct line *l, struct err *e)
{
    const struct toks_end end = {.unk = l->report->unk, .invalid_utf8 = l->report->invalid_utf8};

    if (l->o->stat)
        l->o->stat->invalid_utf8 = l->report->invalid_utf8;
    if (l->o->expect_records && l->report->records != l->o->expect_records)
        return err_set(e, ERR_DATA, "%llu records where --expect-records says %llu: the stream "
                       "is left without its end", (unsigned long long)l->report->records,
                       (unsigned long long)l->o->expect_records);
    return toks_finish(l->out, &end, e);
}

/* What a stream of this input has is known with its first chunk. */
static int begin(struct line *l, struct toks_header *h, int threads, struct err *e)
{
    const struct tokenize_options *o = l->o;
    struct toks_write_options write = o->write;
    const int got = records_next_chunk(l->in, &l->first, e);

    if (got < 0)
        return -1;
    l->have_first = got > 0;
    h->columns = (records_has_label(l->in) ? TOKS_LABEL : 0) |
                 (records_has_pair(l->in) ? TOKS_PAIR : 0) |
                 (records_has_key(l->in) ? TOKS_KEY : 0) |
                 (records_has_weight(l->in) ? TOKS_WEIGHT : 0);
    l->texts = h->columns == 0 && !o->stat;
    write.threads = threads;
    write.helped = true;
    l->out = toks_create(o->fd, o->name, h, &write, e);
    return l->out ? 0 : -1;
}

int tokenize(struct records *in, const struct tokenizer *t, struct toks_header *h,
             const struct tokenize_options *o, struct tokenize_report *report, struct err *e)
{
    struct line l = {.in = in, .report = report, .template = tokenizer_template(t), .o = o,
                     .most = BLOCK_MAX / (size_t)tokheader_id_bytes(h)};
    /* Reading and laying out blocks are serial; more threads than this only take memory. */
    const int threads = o->threads < MOST_THREADS ? o->threads : MOST_THREADS;
    const double start = seconds(CLOCK_MONOTONIC);
    int rc;

    *report = (struct tokenize_report){0};
    rc = begin(&l, h, threads, e);
    if (!rc) {
        pthread_mutex_init(&l.lock, NULL);
        pthread_cond_init(&l.landed, NULL);
        rc = run(&l, t, threads, e);
        pthread_cond_destroy(&l.landed);
        pthread_mutex_destroy(&l.lock);
        msg_progress_end(o->msg);
    }
    if (!rc)
        rc = finish(&l, e);
    report->file_bytes = records_bytes(in);
    report->skipped = records_skipped(in);
    report->seconds = seconds(CLOCK_MONOTONIC) - start;
    toks_writer_free(l.out);
    record_chunk_free(&l.first);
    return rc;
}

struct tokenizer *tokenizer_find(const char *name, struct err *e)
{
    char *dir = model_path(name, e);
    struct tokenizer *t = dir ? tokenizer_load(dir, e) : NULL;

    free(dir);
    return t;
}

int tokenize_header(struct toks_header *h, const struct tokenizer *t, const char *model,
                    struct err *e)
{
    size_t n = strlen(model);
    const char *last;

    while (n > 1 && model[n - 1] == '/')
        n--;
    last = memrchr(model, '/', n);
    last = last && n > 1 ? last + 1 : model;
    *h = (struct toks_header){.vocab_size = tokenizer_size(t), .template = *tokenizer_template(t)};
    h->tok_kind = mem_dup(tokenizer_kind(t), e);
    h->tok_hash = mem_dup(tokenizer_hash(t), e);
    h->tok_path = mem_dup(model, e);
    h->tok_name = mem_dupn(last, n - (size_t)(last - model), e);
    return h->tok_kind && h->tok_hash && h->tok_path && h->tok_name ? 0 : -1;
}
