/* SPDX-License-Identifier: MIT */
/*
 * What a run says: JSON lines for --log, the documents' lines and table for people.
 */
#include "train_run.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_MAX ((size_t)4 << 30)

double train_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

const char *train_time(double seconds, char text[32])
{
    const long long s = llround(seconds);

    snprintf(text, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    return text;
}

double train_value(const struct train_result *r, const char *name)
{
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->at[i].name, name) == 0)
            return r->at[i].value;
    return NAN;
}

/* ---- the log file ---- */

int train_log_check(const char *path, struct err *e)
{
    char *copy, *parent;
    int rc = 0;

    if (strcmp(path, "-") == 0)
        return err_set(e, ERR_USAGE,
                       "--log -: the log must be a file; /dev/stderr is one");
    if (io_is_dir(path))
        return err_set(e, ERR_CREATE, "cannot create '%s': it is a directory", path);
    copy = mem_dup(path, e);
    if (!copy)
        return -1;
    parent = dirname(copy);
    if (access(io_exists(path) ? path : parent, W_OK))
        rc = err_sys(e, ERR_CREATE, "cannot create '%s'", path);
    free(copy);
    return rc;
}

/* Is this line of an earlier run something that the checkpoint has behind it? */
static bool is_past(const struct train *t, const char *line, size_t n)
{
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    const char *event = json_string_value(json_object_get(o, "event"));
    const int64_t step = json_integer_value(json_object_get(o, "step"));
    bool past = false;

    if (event && strcmp(event, "step") == 0)
        past = step <= t->state.step;
    else if (event && strcmp(event, "eval") == 0)
        past = step <= t->state.evaluated;
    json_decref(o);
    return past;
}

/*
 * Takes back what was logged after the checkpoint, so that each step stands there once.
 */
static int cut_log(const struct train *t, struct err *e)
{
    struct stat st;
    size_t n, keep = 0;
    char *text;
    int rc = 0;

    if (stat(t->o->log, &st) || !S_ISREG(st.st_mode))
        return 0;
    text = io_slurp(t->o->log, LOG_MAX, &n, e);
    if (!text)
        return -1;
    while (keep < n) {
        const char *end = memchr(text + keep, '\n', n - keep);

        if (!end || !is_past(t, text + keep, (size_t)(end - text) - keep))
            break;
        keep = (size_t)(end - text) + 1;
    }
    if (keep < n && truncate(t->o->log, (off_t)keep))
        rc = err_sys(e, ERR_IO, "cannot cut '%s'", t->o->log);
    free(text);
    return rc;
}

int train_log_open(struct train *t, struct err *e)
{
    struct train_log *l = &t->log;

    if (!t->o->log)
        return 0;
    if (t->resumed && cut_log(t, e))
        return -1;
    l->path = t->o->log;
    l->created = !io_exists(l->path);
    l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
                              (t->resumed ? 0 : O_TRUNC), 0666);
    return l->fd >= 0 ? 0 : err_sys(e, ERR_CREATE, "cannot create '%s'", l->path);
}

/* Adds ,"name":value to the line; what is no number is null. */
static int put_number(struct buf *b, const char *name, double value, struct err *e)
{
    if (!isfinite(value))
        return buf_addf(b, e, ",\"%s\":null", name);
    return buf_addf(b, e, ",\"%s\":%.9g", name, value);
}

static int write_line(struct train *t, struct err *e)
{
    struct train_log *l = &t->log;
    const int rc = buf_puts(&l->line, "}\n", e) ||
                   io_write_full(l->fd, l->line.data, l->line.len, l->path, e);

    buf_reset(&l->line);
    return rc ? -1 : 0;
}

int train_log_step(struct train *t, const struct loss_sum *sum, double lr, double norm,
                   int64_t tokens, double seconds, struct err *e)
{
    const long long step = t->state.step;
    struct buf *b = &t->log.line;

    if (t->log.fd < 0)
        return 0;
    if (buf_addf(b, e, "{\"event\":\"step\",\"step\":%lld,\"epoch\":%lld", step,
                 (step - 1) / (long long)t->steps_per_epoch) ||
        put_number(b, "loss", sum->weight > 0 ? sum->loss / sum->weight : 0, e) ||
        put_number(b, "lr", lr, e) || put_number(b, "grad_norm", norm, e) ||
        buf_addf(b, e, ",\"tokens\":%lld,\"ms\":%.3f", (long long)tokens, seconds * 1e3))
        return -1;
    return write_line(t, e);
}

int train_log_eval(struct train *t, const struct train_result *r, struct err *e)
{
    struct buf *b = &t->log.line;

    if (t->log.fd < 0)
        return 0;
    if (buf_addf(b, e, "{\"event\":\"eval\",\"step\":%lld", (long long)r->step))
        return -1;
    for (int i = 0; i < r->n; i++)
        if (put_number(b, r->at[i].name, r->at[i].value, e))
            return -1;
    if (buf_addf(b, e, ",\"ms\":%.3f", r->seconds * 1e3))
        return -1;
    return write_line(t, e);
}

int train_log_end(struct train *t, struct err *e)
{
    const struct train_state *s = &t->state;
    struct buf *b = &t->log.line;
    double seconds = 0;

    if (t->log.fd < 0)
        return 0;
    for (size_t i = 0; i < s->n_epochs; i++)
        seconds += s->epochs[i].seconds;
    if (buf_addf(b, e, "{\"event\":\"end\",\"step\":%lld,\"best_step\":%lld",
                 (long long)s->step,
                 (long long)(s->best_step < 0 ? s->step : s->best_step)) ||
        (s->best_step >= 0 && (buf_addf(b, e, ",\"best\":\"%s\"", t->best) ||
                               put_number(b, "best_value", s->best_value, e))) ||
        buf_addf(b, e, ",\"training_seconds\":%.3f", seconds) || write_line(t, e))
        return -1;
    return train_log_sync(t, e);
}

int train_log_sync(struct train *t, struct err *e)
{
    if (t->log.fd < 0 || fsync(t->log.fd) == 0 || errno == EINVAL || errno == EROFS)
        return 0;
    return err_sys(e, ERR_IO, "cannot sync '%s'", t->log.path);
}

void train_log_close(struct train *t, bool remove)
{
    struct train_log *l = &t->log;

    if (l->fd < 0)
        return;
    close(l->fd);
    l->fd = -1;
    if (remove && l->created)
        unlink(l->path);
}

/* ---- for people ---- */

void train_show_plan(struct train *t)
{
    if (t->total == 0)
        return;
    msg_note(t->msg, "%zu %s to train on, %zu held out; %lld steps, %lld an epoch",
             t->n[TRAIN_SET], t->task->items, t->n[EVAL_SET], (long long)t->total,
             (long long)t->steps_per_epoch);
}

void train_show_progress(struct train *t, int64_t batch, int64_t batches)
{
    const struct loss_sum *sum = &t->state.sum;
    const int64_t done = t->state.step - t->start_step;
    char left[32] = "?";

    if (!t->msg || !t->msg->tty)
        return;
    if (done > 0)
        train_time((train_clock() - t->start_clock) / (double)done *
                       (double)(t->total - t->state.step), left);
    msg_progress(t->msg, "step %lld of %lld, batch %lld of %lld, loss %.4f, %s left",
                 (long long)t->state.step + 1, (long long)t->total, (long long)batch,
                 (long long)batches, sum->weight > 0 ? sum->loss / sum->weight : 0.0,
                 left);
}

void train_show_batch(struct train *t, int64_t batch, int64_t batches)
{
    const struct loss_sum *sum = &t->state.sum;
    char time[32];

    msg_progress_end(t->msg);
    msg_plain(t->msg, "  batch %5lld of %5lld   elapsed %s   loss %.4f", (long long)batch,
              (long long)batches, train_time(t->state.seconds, time),
              sum->weight > 0 ? sum->loss / sum->weight : 0.0);
}

void train_show_epoch(struct train *t)
{
    const struct train_state *s = &t->state;
    const struct train_epoch *last = &s->epochs[s->n_epochs - 1];
    char time[32];

    msg_progress_end(t->msg);
    msg_plain(t->msg, "epoch %lld: mean training loss %.2f, took %s",
              (long long)((last->step - 1) / t->steps_per_epoch + 1), last->loss,
              train_time(last->seconds, time));
}

/* The values worth a column, in this order; the table's titles are the documents'. */
static const struct {
    const char *name, *title, *spoken;
} columns[] = {
    {"loss", "Valid. Loss", "loss"},       {"perplexity", "Perplexity", "perplexity"},
    {"accuracy", "Valid. Accur.", "accuracy"}, {"mcc", "MCC", "MCC"},
    {"f1_micro", "F1 micro", "F1 micro"},  {"pearson", "Pearson", "Pearson"},
    {"spearman", "Spearman", "Spearman"},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static bool has_column(const struct train_result *r, int i)
{
    /* Micro-averaged F1 of single labels is the accuracy once more. */
    if (strcmp(columns[i].name, "f1_micro") == 0 && !isnan(train_value(r, "mcc")))
        return false;
    for (int k = 0; k < r->n; k++)
        if (strcmp(r->at[k].name, columns[i].name) == 0)
            return true;
    return false;
}

void train_show_eval(struct train *t, const struct train_result *r)
{
    struct buf line = {0};
    struct err ignored = {0};
    char time[32];
    int rc = 0;

    for (int i = 0; i < COLUMNS && !rc; i++)
        if (has_column(r, i))
            rc = buf_addf(&line, &ignored, "%s %.*f, ", columns[i].spoken, i == 0 ? 4 : 3,
                          train_value(r, columns[i].name));
    msg_progress_end(t->msg);
    if (!rc)
        msg_plain(t->msg, "validation at step %lld: %stook %s", (long long)r->step,
                  line.data ? line.data : "", train_time(r->seconds, time));
    buf_free(&line);
}

/* The last evaluation up to an epoch's end and after the one before it, or NULL. */
static const struct train_result *result_of(const struct train *t, size_t epoch)
{
    const struct train_state *s = &t->state;
    const int64_t after = epoch ? s->epochs[epoch - 1].step : 0;
    const struct train_result *found = NULL;

    for (size_t i = 0; i < s->n_results; i++)
        if (s->results[i].step > after && s->results[i].step <= s->epochs[epoch].step)
            found = &s->results[i];
    return found;
}

/* Two blanks, then the title, or the room that a value with two decimals needs. */
static int column_width(int i)
{
    const int title = (int)strlen(columns[i].title);

    return 2 + (title > 6 ? title : 6);
}

static int add_row(const struct train *t, size_t epoch, struct buf *b, struct err *e)
{
    const struct train_epoch *row = &t->state.epochs[epoch];
    const struct train_result *any = t->state.n_results ? &t->state.results[0] : NULL;
    const struct train_result *r = result_of(t, epoch);
    char time[32];

    if (buf_addf(b, e, "%5lld  %13.2f",
                 (long long)((row->step - 1) / t->steps_per_epoch + 1), row->loss))
        return -1;
    for (int i = 0; any && i < COLUMNS; i++) {
        const int width = column_width(i);

        if (!has_column(any, i))
            continue;
        if (r ? buf_addf(b, e, "%*.2f", width, train_value(r, columns[i].name))
              : buf_addf(b, e, "%*s", width, "-"))
            return -1;
    }
    if (buf_addf(b, e, "  %13s", train_time(row->seconds, time)))
        return -1;
    if (!any)
        return 0;
    return buf_addf(b, e, "  %15s", r ? train_time(r->seconds, time) : "-");
}

void train_show_table(struct train *t)
{
    const struct train_state *s = &t->state;
    const struct train_result *any = s->n_results ? &s->results[0] : NULL;
    struct buf b = {0};
    struct err ignored = {0};
    int rc = buf_puts(&b, "epoch  Training Loss", &ignored);

    for (int i = 0; any && i < COLUMNS && !rc; i++)
        if (has_column(any, i))
            rc = buf_addf(&b, &ignored, "%*s", column_width(i), columns[i].title);
    rc = rc || buf_puts(&b, "  Training Time", &ignored) ||
         (any && buf_puts(&b, "  Validation Time", &ignored));
    for (size_t i = 0; i < s->n_epochs && !rc; i++)
        rc = buf_putc(&b, '\n', &ignored) || add_row(t, i, &b, &ignored);
    msg_progress_end(t->msg);
    if (!rc && s->n_epochs)
        msg_plain(t->msg, "%s", b.data);
    buf_free(&b);
    /* The documents' commonest cause: too high a rate, at which nothing is learned. */
    if (s->n_epochs && s->epochs[s->n_epochs - 1].loss > t->guess)
        msg_warn(t->msg,
                 "nothing was learned: the training loss is still %.2f, and guessing by "
                 "the shares of the classes gives %.2f; try another --lr (now %g) or "
                 "more steps",
                 s->epochs[s->n_epochs - 1].loss, t->guess, t->o->lr);
    if (s->best_step >= 0)
        msg_note(t->msg, "the weights of step %lld are kept: %s %.6g",
                 (long long)s->best_step, t->best, s->best_value);
}
