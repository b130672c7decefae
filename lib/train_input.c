/* SPDX-License-Identifier: MIT */
/*
 * The stream is always read to its END before the model is looked for: mlm-pretrain, in
 * the pipe before us, may publish it only then.
 */
#include "modeldir.h"
#include "modelpath.h"
#include "train_run.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- options ---- */

/* The last part of a model's name, without @REV: what the default for -o is made of. */
static char *short_name(const char *model, struct err *e)
{
    size_t n = strlen(model), from;

    while (n > 1 && model[n - 1] == '/')
        n--;
    for (from = n; from > 0 && model[from - 1] != '/'; from--)
        ;
    for (size_t i = from + 1; i < n && !io_is_dir(model); i++)
        if (model[i] == '@')
            n = i;
    return mem_dupn(model + from, n - from, e);
}

static char *output_name(const struct train *t, struct err *e)
{
    struct buf b = {0};
    char *name;
    size_t n;

    if (t->o->out) {
        name = mem_dup(t->o->out, e);
        for (n = name ? strlen(name) : 0; n > 1 && name[n - 1] == '/'; n--)
            name[n - 1] = '\0';
        return name;
    }
    name = short_name(t->model_name, e);
    if (name && buf_addf(&b, e, "%s-%s", name, t->job->mlm ? "pretrained" : "finetuned"))
        buf_free(&b);
    free(name);
    return b.data;
}

/* "N%" is a share, everything else a file. */
static int read_eval(struct train *t, struct err *e)
{
    const char *text = t->o->eval;
    const size_t n = text ? strlen(text) : 0;
    struct err no = {0};
    char number[32];

    t->eval_percent = -1;
    if (n < 2 || n > sizeof number || text[n - 1] != '%')
        return 0;
    memcpy(number, text, n - 1);
    number[n - 1] = '\0';
    if (opt_real(number, "--eval", &t->eval_percent, &no)) {
        t->eval_percent = -1;
        return 0;
    }
    if (!(t->eval_percent > 0 && t->eval_percent < 100))
        return err_set(e, ERR_USAGE, "--eval %s: must be between 0%% and 100%%", text);
    return 0;
}

int train_check_options(struct train *t, struct err *e)
{
    struct mask mask;
    struct schedule schedule;

    t->model_name = t->o->model ? t->o->model : model_default_name();
    if (!*t->model_name || (t->o->out && !*t->o->out))
        return err_set(e, ERR_USAGE, "an empty name for a model directory");
    t->out = output_name(t, e);
    t->root = NULL;
    if (t->out) {
        struct buf root = {0};

        if (buf_addf(&root, e, "%s.ckpt", t->out) == 0)
            t->root = root.data;
    }
    if (!t->out || !t->root || read_eval(t, e) ||
        schedule_init(&schedule, t->o->schedule, t->o->lr, t->o->warmup, 100, e) ||
        mask_init(&mask, 0, t->o->mlm_prob, t->o->mask, false, e))
        return -1;
    if (!t->o->eval && t->o->best && strcmp(t->o->best, "last") != 0)
        return err_set(e, ERR_USAGE, "--best %s needs --eval FILE or --eval N%%",
                       t->o->best);
    if (t->o->head_lr >= 0 && !(t->o->lr > 0))
        return err_set(e, ERR_USAGE, "--head-lr goes with an --lr over 0");
    if (schedule.kind == SCHEDULE_STLR && strcmp(t->o->warmup, "0") != 0)
        msg_note(t->msg, "--schedule stlr has its own warm-up; --warmup %s is not used",
                 t->o->warmup);
    if (t->job->n_inputs == 0 && isatty(STDIN_FILENO))
        return err_set(e, ERR_USAGE, "no token stream: name a file, or pipe one in "
                       "(tok FILE | %s)", t->job->tool);
    return t->o->log ? train_log_check(t->o->log, e) : 0;
}

/* ---- passing the stream on ---- */

/* Standard output leads to something that may want the stream. */
static bool wants_pass(void)
{
    const int flags = fcntl(STDOUT_FILENO, F_GETFL);

    return flags != -1 && (flags & O_ACCMODE) != O_RDONLY && !isatty(STDOUT_FILENO);
}

/* The reader of our standard output has ended, which is no failure of training. */
static bool reader_is_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

/* After a write failed: 0 when it was because nobody reads any more. */
static int excuse_pass(struct train *t, struct err *e)
{
    if (!reader_is_gone())
        return -1;
    err_clear(e);
    msg_verbose(t->msg, "nobody reads standard output any more; going on without");
    t->reader_gone = true;
    toks_writer_free(t->pass);
    t->pass = NULL;
    return 0;
}

/* An absolute name for a directory that need not be there yet: its parent's, resolved. */
static char *absolute(const char *path, struct err *e)
{
    char *copy = mem_dup(path, e), *parent = NULL, *real = NULL, *base, *joined;
    size_t n;

    if (!copy)
        return NULL;
    for (n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    real = realpath(copy, NULL);
    if (real) {
        free(copy);
        return real;
    }
    base = strrchr(copy, '/') ? strrchr(copy, '/') + 1 : copy;
    base = mem_dup(base, e);
    parent = base ? realpath(dirname(copy), NULL) : NULL;
    if (!parent && errno == ENOMEM)
        err_oom(e, "path", n);
    joined = base && !e->code ? io_join(parent ? parent : ".", base, e) : NULL;
    free(parent);
    free(base);
    free(copy);
    return joined;
}

static int begin_pass(struct train *t, const struct toks_reader *r, struct err *e)
{
    const struct toks_write_options o = {.threads = opt_threads(&t->o->common)};
    struct toks_header h;
    int rc = -1;

    if (!t->job->mlm || !wants_pass())
        return 0;
    memset(&h, 0, sizeof h);
    if (toks_header_copy(&h, toks_reader_header(r), e))
        goto done;
    free(h.publishes);
    h.publishes = absolute(t->out, e);
    if (!h.publishes || toks_add_provenance(&h, t->job->tool, t->job->command, e))
        goto done;
    t->pass = toks_create(STDOUT_FILENO, "standard output", &h, &o, e);
    rc = t->pass ? 0 : excuse_pass(t, e);
done:
    toks_header_free(&h);
    return rc;
}

static int pass_block(void *ctx, const struct toks_block *b, struct err *e)
{
    struct train *t = ctx;
    struct toks_record r;
    int rc = 0;

    if (!t->pass)
        return 0;
    for (size_t i = 0; rc == 0 && i < toks_block_records(b); i++) {
        toks_get(b, i, &r);
        rc = toks_put(t->pass, &r, e);
    }
    if (rc == 0)
        rc = toks_flush(t->pass, e);
    return rc ? excuse_pass(t, e) : 0;
}

int train_end_pass(struct train *t, struct err *e)
{
    const struct toks_end end = {
        .unk = t->data.totals.unk,
        .invalid_utf8 = t->data.totals.invalid_utf8,
        .model_hash = t->model_hash,
        .upstream = t->data.totals.content,
    };

    if (!t->pass)
        return 0;
    return toks_finish(t->pass, &end, e) ? excuse_pass(t, e) : 0;
}

/* ---- reading ---- */

static char *input_name(const struct train *t, struct err *e)
{
    struct buf b = {0};

    if (t->job->n_inputs == 0)
        return mem_dup(io_name("-"), e);
    if (buf_addf(&b, e, "%s%s", io_name(t->job->inputs[0]),
                 t->job->n_inputs > 1 ? " and more" : "")) {
        buf_free(&b);
        return NULL;
    }
    return b.data;
}

static int read_stream(struct train *t, struct err *e)
{
    const struct toks_read_options o = {.threads = opt_threads(&t->o->common)};
    struct toks_reader *r = toks_open_files(t->job->inputs, t->job->n_inputs, &o, e);
    char *name = r ? input_name(t, e) : NULL;
    int rc = -1;

    if (name && begin_pass(t, r, e) == 0)
        rc = dataset_read(&t->data, r, name, pass_block, t, e);
    toks_reader_free(r);
    free(name);
    return rc;
}

int train_drain_input(struct train *t, struct err *e)
{
    struct stat st;
    char chunk[4096];
    ssize_t got;

    if (t->job->mlm && wants_pass())
        return read_stream(t, e);
    if (t->job->n_inputs > 0 || fstat(STDIN_FILENO, &st) || !S_ISFIFO(st.st_mode))
        return 0;
    while ((got = io_read_some(STDIN_FILENO, chunk, sizeof chunk, "standard input", e)) >
           0)
        ;
    return got < 0 ? -1 : 0;
}

static int read_heldout(struct train *t, struct err *e)
{
    const struct toks_read_options o = {.threads = opt_threads(&t->o->common)};
    char *paths[1] = {(char *)t->o->eval};
    struct toks_reader *r;
    int rc;

    if (!t->o->eval || t->eval_percent >= 0)
        return 0;
    if (strcmp(t->o->eval, "-") == 0)
        return err_set(e, ERR_USAGE,
                       "--eval -: standard input is the stream to train on");
    r = toks_open_files(paths, 1, &o, e);
    if (!r)
        return -1;
    rc = dataset_read(&t->heldout, r, t->o->eval, NULL, NULL, e);
    toks_reader_free(r);
    if (rc == 0 && strcmp(t->heldout.header.tok_hash, t->data.header.tok_hash) != 0)
        rc = err_set(e, ERR_DATA, "%s was made with the tokenizer '%s' and %s with '%s'; "
                     "make both with tok -m %s", t->o->eval, t->heldout.header.tok_name,
                     t->data.name, t->data.header.tok_name, t->model_name);
    return rc;
}

/* ---- the model ---- */

/* Does the stream announce the very directory that -m names? */
static int check_announced(const struct train *t, struct err *e)
{
    const char *publishes = t->data.header.publishes;
    char hash[33], *mine;
    int rc = 0;

    if (!publishes)
        return 0;
    mine = absolute(t->model_name, e);
    if (!mine)
        return -1;
    if (strcmp(mine, publishes) == 0) {
        if (!t->data.totals.model_hash[0])
            rc = err_set(e, ERR_DATA,
                         "%s announces the model '%s' but ends without it: it was "
                         "not published",
                         t->data.name, t->model_name);
        else if (!io_is_dir(mine))
            rc = err_set(e, ERR_NOINPUT, "the model '%s' that %s announces is not there",
                         t->model_name, t->data.name);
        else
            rc = modeldir_hash(mine, hash, e);
        if (rc == 0 && strcmp(hash, t->data.totals.model_hash) != 0)
            rc = err_set(e, ERR_DATA,
                         "'%s' is not the model that %s announces (it has changed "
                         "since); use the stream of tok itself",
                         t->model_name, t->data.name);
    }
    free(mine);
    return rc;
}

static int check_tokenizer(struct train *t, struct err *e)
{
    const struct toks_header *h = &t->data.header;

    t->tokenizer = tokenizer_load(t->model_dir, e);
    if (!t->tokenizer)
        return -1;
    if (strcmp(h->tok_hash, tokenizer_hash(t->tokenizer)) != 0)
        return err_set(e, ERR_DATA,
                       "%s was made with the tokenizer of '%s' (%.8s), the model "
                       "'%s' has another (%.8s); use tok -m %s",
                       t->data.name, h->tok_name, h->tok_hash, t->model_name,
                       tokenizer_hash(t->tokenizer), t->model_name);
    return 0;
}

/*
 * No id may be beyond the model's embeddings: a tokenizer can have more than the model.
 */
static int check_ids(const struct train *t, const struct dataset *d, struct err *e)
{
    const uint64_t limit = (uint64_t)t->config.vocab_size;
    struct toks_record r;

    if (d->header.vocab_size <= limit)
        return 0;
    for (size_t i = 0; i < d->n; i++) {
        dataset_get(d, i, &r);
        for (size_t k = 0; k < r.n_a + r.n_b; k++) {
            const uint32_t id = k < r.n_a ? r.a[k] : r.b[k - r.n_a];

            if (id >= limit)
                return err_set(e, ERR_DATA,
                               "%s: record %llu has the token %lu, the model '%s' "
                               "knows %llu tokens only",
                               d->name, (unsigned long long)r.number, (unsigned long)id,
                               t->model_name, (unsigned long long)limit);
        }
    }
    return 0;
}

static int check_template(const struct train *t, struct err *e)
{
    const struct template *p = &t->data.header.template;

    for (int i = 0; i < p->n_single + p->n_pair; i++) {
        const int32_t id =
            i < p->n_single ? p->single[i].id : p->pair[i - p->n_single].id;

        if (id >= t->config.vocab_size)
            return err_set(e, ERR_DATA,
                           "the special token %ld of '%s' is beyond the model's "
                           "vocabulary of %lld",
                           (long)id, t->data.header.tok_name,
                           (long long)t->config.vocab_size);
    }
    return 0;
}

/* --max-len or --block against what the model and the template allow. */
static int find_max_len(struct train *t, struct err *e)
{
    const char *option = t->job->mlm && t->o->block >= 0 ? "--block" : "--max-len";
    const int64_t limit = config_max_len(&t->config);
    const int pair = t->data.header.columns & TOKS_PAIR ? 1 : 0;
    const int64_t least =
        template_specials(&t->data.header.template, pair && !t->job->mlm) + 1;
    int64_t given = t->o->max_len;

    if (t->job->mlm && (given < 0 || (t->o->block >= 0 && t->o->block < given)))
        given = t->o->block;
    if (given > limit)
        return err_set(e, ERR_USAGE, "%s %lld: the model '%s' takes %lld tokens at most",
                       option, (long long)given, t->model_name, (long long)limit);
    if (given >= 0 && given < least)
        return err_set(e, ERR_USAGE,
                       "%s %lld: must be %lld at least, special tokens included", option,
                       (long long)given, (long long)least);
    t->limit.max_len = given >= 0 ? given : limit;
    if (given < 0 && t->job->mlm && t->limit.max_len > 256)
        t->limit.max_len = 256;
    t->truncate = t->o->truncate ? t->o->truncate : config_truncate(&t->config);
    if (template_read_cut(t->truncate, &t->limit, e))
        return err_prefix(e, "--truncate: ");
    return 0;
}

int train_read_input(struct train *t, struct err *e)
{
    if (read_stream(t, e) || check_announced(t, e))
        return -1;
    t->model_dir = model_path(t->model_name, e);
    if (!t->model_dir || read_heldout(t, e) || check_tokenizer(t, e) ||
        config_load(&t->config, t->model_dir, e) || check_ids(t, &t->data, e) ||
        check_ids(t, &t->heldout, e) || check_template(t, e))
        return -1;
    return find_max_len(t, e);
}

void train_warn_cut(const struct train *t, uint64_t cut, uint64_t all)
{
    if (cut * 100 > all)
        msg_warn(t->msg, "--max-len %lld cuts %.1f%% of the tokens away",
                 (long long)t->limit.max_len, 100.0 * (double)cut / (double)all);
}
