/* SPDX-License-Identifier: MIT */
#include "scoring.h"
#include "batch.h"
#include "dataset.h"
#include "io.h"
#include "mem.h"
#include "model.h"
#include "modelpath.h"
#include "scores.h"
#include "tokenizer.h"
#include "tokstream.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of one batch: short texts must not ask for endless rows. */
enum { SEQUENCES_MAX = 1024 };

/* Records of the block that are under way. */
struct asked {
    size_t first, n;
};

struct run {
    const struct scoring *o;
    struct msg *msg;
    const char *model_name; /* as the user calls it */
    char *dir;              /* where it is */
    struct tokenizer *tokenizer;
    struct par *par;
    struct backend_start start; /* of the GPU */
    struct model *model;
    const struct config *config;
    struct toks_reader *reader;
    const struct template *template;
    struct template_limit limit;
    size_t batch_tokens, batch_sequences;
    struct batch batch;
    struct asked asked[DEV_TICKETS]; /* the oldest first */
    int n_asked;
    size_t width;           /* values of a row: labels, or the model's width */
    float *values;          /* (batch_sequences, width) */
    float *hidden;          /* (batch_tokens, width) --embed mean */
    double *thresholds;     /* (n_labels), or NULL: 0.5 */
    struct io_out out;
    struct scores_writer scores;
    /* For the report at the end. */
    uint64_t records, tokens, cut_records, cut_tokens;
    double started;
};

/* ---- opening ---- */

static int open_tokenizer(struct run *s, struct err *e)
{
    const struct toks_header *h = toks_reader_header(s->reader);

    s->tokenizer = tokenizer_load(s->dir, e);
    if (!s->tokenizer)
        return -1;
    if (strcmp(h->tok_hash, tokenizer_hash(s->tokenizer)) != 0)
        return err_set(
            e, ERR_DATA,
            "the stream was made with the tokenizer of '%s' (%.8s), the "
            "model '%s' has another one (%.8s): make the stream again with tok -m %s",
            h->tok_name ? h->tok_name : "?", h->tok_hash, s->model_name,
            tokenizer_hash(s->tokenizer), s->model_name);
    s->template = &h->template;
    return 0;
}

static int open_model(struct run *s, struct err *e)
{
    const struct model_options o = {
        .dir = s->dir,
        .head = s->o->embed ? HEAD_NONE : HEAD_CLASSIFY,
        .seed = (uint64_t)s->o->common.seed,
        .dropout = -1,
        .need_head = true,
        .device = s->o->common.device,
        .precision = s->o->common.precision,
        .par = s->par,
    };

    backend_warmed(&s->start);
    s->model = model_open(&o, s->msg, e);
    if (!s->model)
        return -1;
    s->config = model_config(s->model);
    s->width = (size_t)(s->o->embed ? s->config->hidden : s->config->n_labels);
    return 0;
}

/* The lengths that this model and these options allow. */
static int set_limits(struct run *s, struct err *e)
{
    const bool pairs = toks_reader_header(s->reader)->columns & TOKS_PAIR;
    const int64_t most = config_max_len(s->config);
    const int least = template_specials(s->template, 0);
    const int specials = pairs ? template_specials(s->template, 1) : least;
    int64_t sequences;

    s->limit.max_len = s->o->max_len ? s->o->max_len : most;
    if (s->limit.max_len > most)
        return err_set(e, ERR_USAGE,
                       "--max-len %lld: the model '%s' takes at most %lld tokens",
                       (long long)s->limit.max_len, s->model_name, (long long)most);
    if (s->limit.max_len <= specials)
        return err_set(e, ERR_USAGE,
                       "--max-len %lld: nothing is left for the text beside %d "
                       "special tokens",
                       (long long)s->limit.max_len, specials);
    if (template_read_cut(s->o->truncate ? s->o->truncate : config_truncate(s->config),
                          &s->limit, e))
        return err_prefix(e, "--truncate: ");
    s->batch_tokens =
        (size_t)(s->o->batch_tokens > s->limit.max_len ? s->o->batch_tokens : s->limit.max_len);
    sequences = (int64_t)s->batch_tokens / (least > 0 ? least : 1);
    s->batch_sequences = (size_t)(sequences < SEQUENCES_MAX ? sequences : SEQUENCES_MAX);
    return 0;
}

/* --embed mean looks at all tokens, everything else at the first of each input. */
static bool wants_all(const struct run *s)
{
    return s->o->embed && strcmp(s->o->embed, "mean") == 0;
}

/* A GPU without room is refused before anything is taken, with what would help. */
static int check_gpu(const struct run *s, const struct model_limits *l, struct err *e)
{
    const double bytes = (double)model_gpu_bytes(s->model, l) / 1e6;
    const double room = (double)model_gpu_room(s->model) / 1e6;

    if (room <= 0 || bytes <= room)
        return 0;
    return err_set(e, ERR_INTERNAL,
                   "out of memory on the GPU: %.0f MB are wanted, %.0f MB can be had; a smaller "
                   "--batch-tokens (now %zu) takes less",
                   bytes, room, s->batch_tokens);
}

static int reserve(struct run *s, struct err *e)
{
    const size_t rows = wants_all(s) ? s->batch_tokens : s->batch_sequences;
    const struct model_limits limits = {
        .tokens = (int64_t)s->batch_tokens,
        .sequences = (int64_t)s->batch_sequences,
        .rows = (int64_t)rows,
        .max_len = s->limit.max_len,
        .train = false,
    };

    msg_verbose(s->msg,
                "%lld parameters, %d labels, inputs of up to %lld tokens, %.0f MiB",
                (long long)model_parameters(s->model), s->config->n_labels,
                (long long)s->limit.max_len,
                (double)model_bytes(s->model, &limits) / (1 << 20));
    if (check_gpu(s, &limits, e) || model_reserve(s->model, &limits, e) ||
        batch_reserve(&s->batch, s->batch_tokens, s->batch_sequences, rows, 0, e))
        return -1;
    s->values = mem_alloc(s->batch_sequences * s->width, sizeof *s->values, "values", e);
    if (wants_all(s))
        s->hidden = mem_alloc(rows * s->width, sizeof *s->hidden, "hidden states", e);
    return s->values && (s->hidden || !wants_all(s)) ? 0 : -1;
}

/* config.json may hold "thresholds": one number, or one for each label. */
static int read_thresholds(struct run *s, struct err *e)
{
    const json_t *given = json_object_get(s->config->json, "thresholds");
    const size_t n = (size_t)s->config->n_labels;

    if (s->config->problem != PROBLEM_MULTI || !given || json_is_null(given))
        return 0;
    if (!json_is_number(given) && !(json_is_array(given) && json_array_size(given) == n))
        return err_set(e, ERR_DATA,
                       "'%s/config.json': thresholds must be a number, or one for "
                       "each of the %zu labels",
                       s->dir, n);
    s->thresholds = mem_alloc(n, sizeof *s->thresholds, "thresholds", e);
    for (size_t i = 0; s->thresholds && i < n; i++) {
        const json_t *at = json_is_array(given) ? json_array_get(given, i) : given;
        const double x = json_is_number(at) ? json_number_value(at) : -1;

        if (!(x >= 0 && x <= 1))
            return err_set(e, ERR_DATA,
                           "'%s/config.json': a threshold is no number from 0 to 1",
                           s->dir);
        s->thresholds[i] = x;
    }
    return s->thresholds ? 0 : -1;
}

static int begin_scores(struct run *s, struct err *e)
{
    static const enum scores_kind kinds[] = {
        [PROBLEM_SINGLE] = SCORES_SINGLE,
        [PROBLEM_MULTI] = SCORES_MULTI,
        [PROBLEM_REGRESSION] = SCORES_REGRESSION,
    };
    const struct scores_format f = {
        .kind = s->o->embed ? SCORES_VECTOR : kinds[s->config->problem],
        .logits = s->o->logits,
        .labels = (const char *const *)s->config->labels,
        .n_labels = s->width,
        .thresholds = s->thresholds,
        .top = (size_t)s->o->top,
    };

    if (f.kind == SCORES_REGRESSION && f.n_labels != 1)
        return err_set(e, ERR_DATA,
                       "the model '%s' is a regression with %zu values; only one "
                       "can be written",
                       s->model_name, f.n_labels);
    return scores_begin(&s->scores, s->out.fd, s->out.name, &f, e);
}

/* ---- running ---- */

/* A tokenizer can have more tokens than the model knows; the reader checked the rest. */
static int check_ids(const struct run *s, const struct toks_record *r, struct err *e)
{
    const uint64_t limit = (uint64_t)s->config->vocab_size;

    if (toks_reader_header(s->reader)->vocab_size <= limit)
        return 0;
    for (size_t i = 0; i < r->n_a + r->n_b; i++) {
        const uint32_t id = i < r->n_a ? r->a[i] : r->b[i - r->n_a];

        if (id >= limit)
            return err_set(e, ERR_DATA,
                           "record %llu has the token %lu, but the model '%s' knows "
                           "only %llu",
                           (unsigned long long)r->number, (unsigned long)id,
                           s->model_name, (unsigned long long)limit);
    }
    return 0;
}

/* Tokens that a record will take, specials included. */
static size_t input_length(struct run *s, const struct toks_record *r)
{
    const int specials = template_specials(s->template, r->b != NULL);
    size_t n_a = r->n_a, n_b = r->b ? r->n_b : 0;
    const size_t all = n_a + n_b;

    template_cut(s->template, s->limit.max_len, &n_a, r->b ? &n_b : NULL);
    s->records++;
    s->tokens += all;
    s->cut_tokens += all - n_a - n_b;
    s->cut_records += all > n_a + n_b;
    return n_a + n_b + (size_t)specials;
}

/* The mean of the hidden states of each input, special tokens included, added up in order. */
static void pool_mean(struct run *s)
{
    const struct batch *b = &s->batch;

    for (int32_t i = 0; i < b->n_seq; i++) {
        const double n = b->cu[i + 1] - b->cu[i];

        for (size_t k = 0; k < s->width; k++) {
            double sum = 0;

            for (int32_t t = b->cu[i]; t < b->cu[i + 1]; t++)
                sum += s->hidden[(size_t)t * s->width + k];
            s->values[(size_t)i * s->width + k] = (float)(sum / n);
        }
    }
}

/* Every token becomes a row. */
static void take_all(struct batch *b)
{
    b->n_rows = b->n_tok;
    for (int32_t i = 0; i < b->n_tok; i++) {
        b->rows[i] = i;
        b->label[i] = -1;
        b->weight[i] = 1;
    }
}

/* The vectors of the batch's records. */
static int embed(struct run *s, struct err *e)
{
    if (!wants_all(s))
        return model_embed(s->model, &s->batch, s->values, e);
    take_all(&s->batch);
    if (model_embed(s->model, &s->batch, s->hidden, e))
        return -1;
    pool_mean(s);
    return 0;
}

/* The rows of n records of the block, whose values are at hand. */
static int write_rows(struct run *s, const struct toks_block *block, size_t first, size_t n,
                      struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct toks_record r;
        char room[24];
        const char *key;
        size_t len;

        toks_get(block, first + i, &r);
        key = dataset_key(&r, room, &len);
        if (scores_row(&s->scores, key, len, r.label, r.label ? r.label_len : 0,
                       s->values + i * s->width, e))
            return e->code == ERR_IO ? -1
                                     : err_prefix(e, "record %llu: ",
                                                  (unsigned long long)r.number);
    }
    return 0;
}

/* Waits for the oldest batch under way and writes its rows. */
static int write_batch(struct run *s, const struct toks_block *block, struct err *e)
{
    const struct asked oldest = s->asked[0];

    s->n_asked--;
    memmove(s->asked, s->asked + 1, (size_t)s->n_asked * sizeof *s->asked);
    return model_answer(s->model, s->values, NULL, e) ||
                   write_rows(s, block, oldest.first, oldest.n, e)
               ? -1
               : 0;
}

/*
 * Runs the batch, which holds the records first.. of the block.  A GPU is at work on it while
 * the rows of the one before are written and the next one is made.
 */
static int run_batch(struct run *s, const struct toks_block *block, size_t first,
                     struct err *e)
{
    const size_t n = (size_t)s->batch.n_seq;

    if (n == 0)
        return 0;
    if (s->o->embed) {
        if (embed(s, e) || write_rows(s, block, first, n, e))
            return -1;
        batch_reset(&s->batch);
        return 0;
    }
    if (model_ask(s->model, &s->batch, false, e))
        return -1;
    s->asked[s->n_asked++] = (struct asked){first, n};
    batch_reset(&s->batch);
    while (s->n_asked >= model_slots(s->model))
        if (write_batch(s, block, e))
            return -1;
    return 0;
}

static int score_block(struct run *s, const struct toks_block *block, struct err *e)
{
    const size_t n = toks_block_records(block);
    size_t first = 0;

    for (size_t i = 0; i < n; i++) {
        struct toks_record r;
        size_t len;

        toks_get(block, i, &r);
        if (check_ids(s, &r, e))
            return -1;
        len = input_length(s, &r);
        if ((size_t)s->batch.n_tok + len > s->batch_tokens ||
            i - first == s->batch_sequences) {
            if (run_batch(s, block, first, e))
                return -1;
            first = i;
        }
        if (batch_add(&s->batch, s->template, &r, &s->limit, (uint32_t)(i - first), e) < 0)
            return -1;
    }
    if (run_batch(s, block, first, e))
        return -1;
    while (s->n_asked > 0)
        if (write_batch(s, block, e))
            return -1;
    msg_progress(s->msg, "%llu records", (unsigned long long)s->records);
    return scores_flush(&s->scores, e);
}

static int score_stream(struct run *s, struct err *e)
{
    const struct toks_block *block;
    int got;

    while ((got = toks_next_block(s->reader, &block, e)) > 0)
        if (score_block(s, block, e))
            return -1;
    msg_progress_end(s->msg);
    return got;
}

static double seconds_now(void)
{
    struct timespec t = {0};

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void report(const struct run *s)
{
    const double share =
        s->tokens ? 100.0 * (double)s->cut_tokens / (double)s->tokens : 0;
    const double seconds = seconds_now() - s->started;

    if (share > 1)
        msg_warn(s->msg,
                 "the limit of %lld tokens cut off %.1f %% of the tokens (%llu of %llu "
                 "records)",
                 (long long)s->limit.max_len, share, (unsigned long long)s->cut_records,
                 (unsigned long long)s->records);
    else
        msg_verbose(s->msg,
                    "%llu records; the limit of %lld tokens cut off %.2f %% of the "
                    "tokens (%llu records)",
                    (unsigned long long)s->records, (long long)s->limit.max_len, share,
                    (unsigned long long)s->cut_records);
    msg_verbose(s->msg, "%.1f s, %.0f tokens a second", seconds,
                seconds > 0 ? (double)(s->tokens - s->cut_tokens) / seconds : 0);
}

static int open_all(struct run *s, char *const *paths, int n, struct err *e)
{
    const struct toks_read_options read = {.threads = 1};

    s->model_name = s->o->model ? s->o->model : model_default_name();
    s->dir = model_path(s->model_name, e);
    if (!s->dir)
        return -1;
    s->reader = toks_open_files(paths, n, &read, e);
    if (!s->reader || open_tokenizer(s, e))
        return -1;
    s->par = par_open(opt_threads(&s->o->common), e);
    if (!s->par || open_model(s, e) || set_limits(s, e) || reserve(s, e) ||
        read_thresholds(s, e))
        return -1;
    return io_out_open(&s->out, s->o->out, e);
}

int scoring_run(const struct scoring *o, char *const *paths, int n, struct msg *m,
                struct err *e)
{
    struct run s = {.o = o, .msg = m, .out.fd = -1};
    int rc;

    backend_warm(&s.start, o->common.device);
    rc = open_all(&s, paths, n, e);
    s.started = seconds_now();
    if (!rc)
        rc = begin_scores(&s, e);
    if (!rc)
        rc = score_stream(&s, e);
    if (!rc)
        rc = scores_end(&s.scores, e);
    if (!rc)
        rc = io_publish(&s.out, e);
    if (!rc)
        report(&s);
    scores_abort(&s.scores); /* nothing is left of it after scores_end */
    io_discard(&s.out);
    free(s.thresholds);
    free(s.values);
    free(s.hidden);
    batch_free(&s.batch);
    backend_warmed(&s.start);
    model_close(s.model);
    par_close(s.par);
    tokenizer_free(s.tokenizer);
    toks_reader_free(s.reader);
    free(s.dir);
    return rc;
}
