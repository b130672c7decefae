/* SPDX-License-Identifier: MIT */
/*
 * The task of finetune: an item is a labelled record; records without a label are
 * counted, not trained on, and scored with --predictions.
 */
#include "metrics.h"
#include "order.h"
#include "scores.h"
#include "train_run.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A record of the stream, or of --eval FILE. */
struct place {
    uint32_t index;
    bool heldout; /* of t->heldout */
};

struct classify {
    struct labels labels;
    struct place *item[TRAIN_SETS]; /* (t->n[set]) */
    struct scores judged;           /* of the evaluation at hand */
    float *target;                  /* (classes) */
};

static const struct dataset *set_of(const struct train *t, const struct place *p)
{
    return p->heldout ? &t->heldout : &t->data;
}

static void get(const struct train *t, const struct place *p, struct toks_record *r)
{
    dataset_get(set_of(t, p), p->index, r);
}

/* ---- which records ---- */

static bool usable_weight(const struct train *t, const struct toks_record *r,
                          struct err *e)
{
    if (r->weight >= 0 && isfinite(r->weight))
        return true;
    err_set(e, ERR_DATA, "%s: record %llu: the weight %g is not a number of 0 or more",
            t->data.name, (unsigned long long)r->number, (double)r->weight);
    return false;
}

static int allocate(struct train *t, struct classify *c, struct err *e)
{
    const size_t all = t->data.n + t->heldout.n;

    if (all > UINT32_MAX)
        return err_set(e, ERR_DATA, "%zu records are too many for one run", all);
    for (int set = 0; set < TRAIN_SETS; set++)
        c->item[set] = mem_alloc(all, sizeof *c->item[set], "the list of records", e);
    return c->item[TRAIN_SET] && c->item[EVAL_SET] && c->item[SCORE_SET] ? 0 : -1;
}

/* Which of the labelled records are held out: held[labelled]. */
static uint8_t *draw_heldout(const struct train *t, size_t labelled, struct err *e)
{
    uint8_t *held = mem_alloc(labelled, 1, "the held-out split", e);

    if (held && t->eval_percent >= 0 &&
        order_heldout((uint64_t)t->o->common.seed, t->eval_percent, labelled, held, e)) {
        free(held);
        return NULL;
    }
    return held;
}

/*
 * The stream's records into the training set, the held-out set and the list to be
 * scored.
 */
static int sort_stream(struct train *t, struct classify *c, struct err *e)
{
    uint8_t *held = draw_heldout(t, c->labels.labelled, e);
    size_t labelled = 0;
    struct toks_record r;

    if (!held)
        return -1;
    for (size_t i = 0; i < t->data.n; i++) {
        const struct place p = {(uint32_t)i, false};

        dataset_get(&t->data, i, &r);
        if (!labels_has(c->labels.kind, &r)) {
            c->item[SCORE_SET][t->n[SCORE_SET]++] = p;
            continue;
        }
        if (!usable_weight(t, &r, e)) {
            free(held);
            return -1;
        }
        if (held[labelled++]) {
            c->item[EVAL_SET][t->n[EVAL_SET]++] = p;
            c->item[SCORE_SET][t->n[SCORE_SET]++] = p;
        } else {
            c->item[TRAIN_SET][t->n[TRAIN_SET]++] = p;
        }
    }
    free(held);
    return 0;
}

/* --eval FILE: its labels must be known already. */
static int sort_heldout(struct train *t, struct classify *c, struct err *e)
{
    struct toks_record r;
    int32_t class;

    for (size_t i = 0; i < t->heldout.n; i++) {
        const struct place p = {(uint32_t)i, true};

        dataset_get(&t->heldout, i, &r);
        c->item[SCORE_SET][t->n[SCORE_SET]++] = p;
        if (!labels_has(c->labels.kind, &r))
            continue;
        if (labels_read(&c->labels, &t->heldout, &r, &class, c->target, e))
            return -1;
        c->item[EVAL_SET][t->n[EVAL_SET]++] = p;
    }
    return 0;
}

static void count_cut(const struct train *t, const struct classify *c)
{
    uint64_t cut = 0, all = 0;
    struct toks_record r;

    for (size_t i = 0; i < t->n[TRAIN_SET]; i++) {
        size_t n_a, n_b;

        get(t, &c->item[TRAIN_SET][i], &r);
        n_a = r.n_a;
        n_b = r.n_b;
        template_cut(&t->data.header.template, t->limit.max_len, &n_a, r.b ? &n_b : NULL);
        all += r.n_a + r.n_b;
        cut += r.n_a - n_a + (r.b ? r.n_b - n_b : 0);
    }
    train_warn_cut(t, cut, all);
}

/* The entropy of the training labels: a model that has learned something is below it. */
static int measure_guess(struct train *t, const struct classify *c, struct err *e)
{
    const double n = (double)t->n[TRAIN_SET];
    double *count, entropy = 0;
    struct toks_record r;
    int32_t class;

    if (c->labels.kind != LABELS_SINGLE || n == 0)
        return 0;
    count = mem_alloc((size_t)c->labels.n, sizeof *count, "the shares of the classes", e);
    if (!count)
        return -1;
    for (size_t i = 0; i < t->n[TRAIN_SET]; i++) {
        get(t, &c->item[TRAIN_SET][i], &r);
        if (labels_read(&c->labels, &t->data, &r, &class, c->target, e)) {
            free(count);
            return -1;
        }
        count[class]++;
    }
    for (int k = 0; k < c->labels.n; k++)
        if (count[k] > 0)
            entropy -= count[k] / n * log(count[k] / n);
    t->guess = entropy;
    free(count);
    return 0;
}

/* ---- the kind of labels ---- */

static enum labels_kind kind_of(const struct train *t)
{
    static const enum labels_kind of_problem[] = {
        [PROBLEM_SINGLE] = LABELS_SINGLE,
        [PROBLEM_MULTI] = LABELS_MULTI,
        [PROBLEM_REGRESSION] = LABELS_REGRESSION,
    };

    if (t->o->problem)
        return t->o->problem[0] == 's'   ? LABELS_SINGLE
               : t->o->problem[0] == 'm' ? LABELS_MULTI
                                         : LABELS_REGRESSION;
    return of_problem[t->config.problem];
}

static enum scores_kind scores_kind(const struct train *t)
{
    const struct classify *c = t->own;

    return c->labels.kind == LABELS_SINGLE  ? SCORES_SINGLE
           : c->labels.kind == LABELS_MULTI ? SCORES_MULTI
                                            : SCORES_REGRESSION;
}

static int prepare(struct train *t, struct err *e)
{
    struct classify *c = mem_alloc(1, sizeof *c, "the run", e);

    t->own = c;
    if (!c || labels_learn(&c->labels, kind_of(t), &t->data, e))
        return -1;
    if (!t->config.labels_generic)
        labels_adopt_order(&c->labels, t->config.labels, t->config.n_labels);
    c->target = mem_alloc((size_t)c->labels.n, sizeof *c->target, "targets", e);
    if (!c->target || allocate(t, c, e) || sort_stream(t, c, e) || sort_heldout(t, c, e))
        return -1;
    if (c->labels.unlabelled)
        msg_note(t->msg, "%zu of %zu records have no label: they are not trained on%s",
                 c->labels.unlabelled, t->data.n,
                 t->o->predictions ? ", but scored" : "");
    if (t->o->eval && t->n[EVAL_SET] == 0)
        return err_set(e, t->eval_percent >= 0 ? ERR_USAGE : ERR_DATA,
                       "--eval %s: that is none of the labelled records", t->o->eval);
    if (t->o->predictions && t->n[SCORE_SET] == 0)
        return err_set(e, ERR_USAGE,
                       "--predictions: there is nothing to score without --eval "
                       "and without records that lack a label");
    count_cut(t, c);
    return measure_guess(t, c, e);
}

static void choose_model(const struct train *t, struct model_options *o)
{
    static const enum problem problem_of[] = {
        [LABELS_SINGLE] = PROBLEM_SINGLE,
        [LABELS_MULTI] = PROBLEM_MULTI,
        [LABELS_REGRESSION] = PROBLEM_REGRESSION,
    };
    const struct classify *c = t->own;

    o->problem = problem_of[c->labels.kind];
    o->labels = c->labels.name;
    o->n_labels = c->labels.n;
    o->truncate = t->truncate;
}

/* ---- items ---- */

static size_t tokens(const struct train *t, enum train_set set, size_t item)
{
    const struct classify *c = t->own;
    struct toks_record r;
    size_t n_a, n_b;

    get(t, &c->item[set][item], &r);
    n_a = r.n_a;
    n_b = r.b ? r.n_b : 0;
    template_cut(&t->data.header.template, t->limit.max_len, &n_a, r.b ? &n_b : NULL);
    return n_a + n_b + (size_t)template_specials(&t->data.header.template, r.b != NULL);
}

static size_t rows(const struct train *t, enum train_set set, uint32_t epoch, size_t item)
{
    (void)t, (void)set, (void)epoch, (void)item;
    return 1;
}

static double weight(const struct train *t, enum train_set set, uint32_t epoch,
                     size_t item)
{
    const struct classify *c = t->own;
    struct toks_record r;

    (void)epoch;
    get(t, &c->item[set][item], &r);
    return r.weight;
}

static int add(struct train *t, enum train_set set, uint32_t epoch, size_t item,
               uint32_t place, struct err *e)
{
    const struct classify *c = t->own;
    const struct place *p = &c->item[set][item];
    const bool with_label = set != SCORE_SET;
    struct batch *b = &t->batch;
    struct toks_record r;
    int32_t class = 0;

    (void)epoch;
    get(t, p, &r);
    if (batch_add(b, &t->data.header.template, &r, &t->limit, place, e) < 0)
        return -1;
    if (with_label && labels_read(&c->labels, set_of(t, p), &r, &class, c->target, e))
        return -1;
    b->label[b->n_rows - 1] = class;
    if (b->n_targets)
        for (int k = 0; k < c->labels.n; k++)
            b->target[(size_t)(b->n_rows - 1) * (size_t)c->labels.n + (size_t)k] =
                with_label ? c->target[k] : 0;
    return 0;
}

static void record(const struct train *t, size_t item, struct toks_record *r)
{
    const struct classify *c = t->own;

    get(t, &c->item[TRAIN_SET][item], r);
}

/* ---- evaluation ---- */

static int judge_begin(struct train *t, struct err *e)
{
    struct classify *c = t->own;
    struct scores *s = &c->judged;
    const size_t n = t->n[EVAL_SET], k = (size_t)c->labels.n;

    s->n = 0;
    if (s->labels || s->gold_value)
        return 0;
    s->kind = scores_kind(t);
    if (s->kind == SCORES_REGRESSION) {
        s->gold_value = mem_alloc(n, sizeof *s->gold_value, "held-out scores", e);
        s->pred_value = mem_alloc(n, sizeof *s->pred_value, "held-out scores", e);
        return s->gold_value && s->pred_value ? 0 : -1;
    }
    s->labels = c->labels.name;
    s->n_labels = k;
    s->p = mem_alloc(n, k * sizeof *s->p, "held-out scores", e);
    if (s->kind == SCORES_SINGLE) {
        s->gold = mem_alloc(n, sizeof *s->gold, "held-out scores", e);
        s->pred = mem_alloc(n, sizeof *s->pred, "held-out scores", e);
        return s->p && s->gold && s->pred ? 0 : -1;
    }
    s->gold_set = mem_alloc(n, k, "held-out scores", e);
    s->pred_set = mem_alloc(n, k, "held-out scores", e);
    return s->p && s->gold_set && s->pred_set ? 0 : -1;
}

static void judge_row(struct scores *s, const struct batch *b, int row, const float *z)
{
    const size_t k = s->n_labels, n = s->n++;
    double *p = s->p + n * k;

    if (s->kind == SCORES_REGRESSION) {
        s->gold_value[n] = b->target[row];
        s->pred_value[n] = z[0];
        return;
    }
    if (s->kind == SCORES_SINGLE) {
        s->gold[n] = b->label[row];
        s->pred[n] = 0;
        for (size_t i = 0; i < k; i++) {
            p[i] = z[i];
            if (z[i] > z[s->pred[n]])
                s->pred[n] = (int32_t)i;
        }
        scores_softmax(p, k, p);
        return;
    }
    for (size_t i = 0; i < k; i++) {
        p[i] = scores_sigmoid(z[i]);
        s->gold_set[n * k + i] = b->target[(size_t)row * k + i] > 0.5f;
        s->pred_set[n * k + i] = p[i] > 0.5;
    }
}

static int judge_batch(struct train *t, struct err *e)
{
    struct classify *c = t->own;

    (void)e;
    for (int i = 0; i < t->batch.n_rows; i++)
        judge_row(&c->judged, &t->batch, i, t->logits + (size_t)i * (size_t)c->labels.n);
    return 0;
}

static int judge_end(struct train *t, const struct loss_sum *sum, struct train_result *r,
                     struct err *e)
{
    const struct classify *c = t->own;
    struct metrics m;

    if (metrics_compute(&c->judged, &m, e))
        return -1;
    r->at[r->n++] =
        (struct train_value){"loss", sum->weight > 0 ? sum->loss / sum->weight : NAN};
    for (int i = 0; i < METRIC_COUNT && r->n < TRAIN_VALUES; i++)
        if (metric_has((enum metric)i, c->judged.kind))
            r->at[r->n++] = (struct train_value){metric_name((enum metric)i), m.value[i]};
    metrics_free(&m);
    return 0;
}

static bool knows(const struct train *t, const char *name, bool *lower)
{
    static const enum metric falling[] = {METRIC_HAMMING, METRIC_LOG_LOSS, METRIC_ECE,
                                          METRIC_BRIER,   METRIC_MSE,      METRIC_RMSE,
                                          METRIC_MAE};
    const enum metric m = metric_find(name);

    *lower = strcmp(name, "loss") == 0;
    for (size_t i = 0; i < sizeof falling / sizeof *falling; i++)
        *lower = *lower || m == falling[i];
    return strcmp(name, "loss") == 0 ||
           (m != METRIC_COUNT && metric_has(m, scores_kind(t)));
}

static const char *default_best(const struct train *t)
{
    static const char *const names[] = {[LABELS_SINGLE] = "mcc",
                                        [LABELS_MULTI] = "f1_micro",
                                        [LABELS_REGRESSION] = "loss"};
    const struct classify *c = t->own;

    return names[c->labels.kind];
}

/* ---- predictions ---- */

static int write_rows(struct train *t, struct scores_writer *w, size_t from, size_t n,
                      struct err *e)
{
    const struct classify *c = t->own;
    struct toks_record r;
    char room[24];
    size_t len;

    for (size_t i = 0; i < n; i++) {
        const char *key;

        get(t, &c->item[SCORE_SET][from + i], &r);
        key = dataset_key(&r, room, &len);
        if (scores_row(w, key, len, r.label, r.label ? r.label_len : 0,
                       t->logits + i * (size_t)c->labels.n, e))
            return -1;
    }
    return 0;
}

static int write_scores(struct train *t, struct scores_writer *w, struct err *e)
{
    const size_t all = t->n[SCORE_SET], micro = (size_t)t->micro;

    for (size_t from = 0; from < all; from += micro) {
        const size_t n = all - from < micro ? all - from : micro;

        batch_reset(&t->batch);
        for (size_t i = 0; i < n; i++)
            if (add(t, SCORE_SET, 0, from + i, (uint32_t)i, e))
                return -1;
        if (train_score_batch(t, NULL, e) || write_rows(t, w, from, n, e))
            return -1;
    }
    return 0;
}

/*
 * The reader of standard output has ended early, as head(1) does: no failure of
 * training.
 */
static int excuse_reader(const struct train *t, struct err *e)
{
    struct pollfd p = {.fd = t->predictions.fd, .events = POLLOUT};

    if (t->predictions.path || poll(&p, 1, 0) <= 0 || !(p.revents & POLLERR))
        return -1;
    err_clear(e);
    return 0;
}

static int predict(struct train *t, struct err *e)
{
    const struct classify *c = t->own;
    const struct scores_format f = {
        .kind = scores_kind(t),
        .labels = (const char *const *)c->labels.name,
        .n_labels = (size_t)c->labels.n,
    };
    struct scores_writer w;

    if (scores_begin(&w, t->predictions.fd, t->predictions.name, &f, e))
        return excuse_reader(t, e);
    if (write_scores(t, &w, e)) {
        scores_abort(&w);
        return excuse_reader(t, e);
    }
    return scores_end(&w, e) ? excuse_reader(t, e) : 0;
}

static void release(struct train *t)
{
    struct classify *c = t->own;

    if (!c)
        return;
    labels_free(&c->labels);
    for (int set = 0; set < TRAIN_SETS; set++)
        free(c->item[set]);
    free(c->target);
    free(c->judged.p);
    free(c->judged.gold);
    free(c->judged.pred);
    free(c->judged.gold_set);
    free(c->judged.pred_set);
    free(c->judged.gold_value);
    free(c->judged.pred_value);
    free(c);
}

const struct train_task train_classify = {
    .items = "records",
    .prepare = prepare,
    .model_options = choose_model,
    .tokens = tokens,
    .rows = rows,
    .weight = weight,
    .add = add,
    .record = record,
    .judge_begin = judge_begin,
    .judge_batch = judge_batch,
    .judge_end = judge_end,
    .knows = knows,
    .default_best = default_best,
    .predict = predict,
    .release = release,
};
