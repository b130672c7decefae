/* SPDX-License-Identifier: MIT */
/* mcc: how good a file of scores is. */
#include "io.h"
#include "metrics.h"
#include "opt.h"
#include "report.h"
#include "scores.h"

#include <string.h>
#include <unistd.h>

enum { DEFAULT_RESAMPLES = 1000 };

struct values {
    struct opt_common common;
    const char *metric, *kind, *against, *output;
    int64_t batch, bootstrap;
    bool json, per_class, calibration, confusion;
};

#define AT(member) offsetof(struct values, member)

static const struct opt options[] = {
    {"metric", 0, OPT_TEXT, AT(metric), "NAME",
     "print this one value at full precision, and nothing else", 0, 0, 0},
    {"batch", 0, OPT_INT, AT(batch), "N", "MCC of every N rows, then the total", 0, 1,
     1e15},
    {"json", 0, OPT_FLAG, AT(json), NULL, "one JSON object", 0, 0, 0},
    {"per-class", 0, OPT_FLAG, AT(per_class), NULL,
     "TSV: precision, recall, F1 and counts of each label", 0, 0, 0},
    {"confusion", 0, OPT_FLAG, AT(confusion), NULL, "TSV: the confusion matrix", 0, 0, 0},
    {"calibration", 0, OPT_FLAG, AT(calibration), NULL,
     "TSV: confidence and accuracy in 15 bins", 0, 0, 0},
    {"against", 0, OPT_TEXT, AT(against), "SCORES2",
     "compare with a second classifier on the same rows", 0, 0, 0},
    {"bootstrap", 0, OPT_INT, AT(bootstrap), "N",
     "95 % intervals of every metric from N resamples; 0: none [1000, of counts alone]",
     0, 0, 1e7},
    {"kind", 0, OPT_CHOICE, AT(kind), "auto|single|multi|regression",
     "what the scores are [auto: from the file]", 0, 0, 0},
    {"output", 'o', OPT_TEXT, AT(output), "FILE", "write here [standard output]",
     OPT_SAME, 0, 0},
    OPT_SEED,
};

static const struct opt_tool tool = {
    .name = "mcc",
    .does = "Matthews' correlation and the other metrics of a file of scores",
    .synopsis = "[options] [SCORES]\n--against SCORES2 [options] SCORES",
    .examples = "  score -m cola dev.toks.zst | mcc                 a table\n"
                "  score -m cola dev.toks.zst | mcc --batch 32      MCC of each 32 rows\n"
                "  mcc --metric mcc scores.tsv                      one number\n"
                "  mcc --against other.tsv scores.tsv               is the other better?",
    .operands = "SCORES is a TSV as score(1) writes it, see scores(5); none or - is "
                "standard\n"
                "input.  Rows without a gold label are skipped and counted.\n"
                "Metrics: accuracy mcc f1_macro f1_micro f1_weighted precision_macro\n"
                "recall_macro kappa auc log_loss ece brier n skipped; multi-label also\n"
                "f1_samples hamming_loss; regression mse rmse mae r2 pearson spearman.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
};

static int kind_of(const char *word)
{
    return strcmp(word, "single") == 0       ? SCORES_SINGLE
           : strcmp(word, "multi") == 0      ? SCORES_MULTI
           : strcmp(word, "regression") == 0 ? SCORES_REGRESSION
                                             : SCORES_ANY;
}

/* One form of output at a time; --batch and --json go together. */
static int check_options(const struct values *v, struct err *e)
{
    const int views = (v->metric != NULL) + (v->batch > 0 || v->json) + v->per_class +
                      v->confusion + v->calibration;

    if (views > 1)
        return err_set(e, ERR_USAGE,
                       "choose one of --metric, --batch, --json, --per-class, "
                       "--confusion and --calibration");
    if (v->against && (views > v->json || v->batch > 0))
        return err_set(e, ERR_USAGE,
                       "--against gives a table, or with --json an object, "
                       "alone");
    if (v->metric && metric_find(v->metric) == METRIC_COUNT &&
        strcmp(v->metric, "n") != 0 && strcmp(v->metric, "skipped") != 0)
        return err_set(e, ERR_USAGE, "--metric: there is no '%s'; try 'mcc --help'",
                       v->metric);
    return 0;
}

static int load(const char *path, const struct values *v, struct scores *s, struct err *e)
{
    if (strcmp(path, "-") == 0 && isatty(STDIN_FILENO))
        return err_set(e, ERR_USAGE,
                       "no scores: name a file, or pipe them in; try 'mcc "
                       "--help'");
    if (scores_read(path, kind_of(v->kind), s, e))
        return -1;
    if (s->n == 0 && s->skipped > 0)
        err_set(e, ERR_DATA,
                "%s: none of its %zu rows has a gold label: nothing can be "
                "measured",
                io_name(path), s->skipped);
    else if (s->n == 0)
        err_set(e, ERR_NOINPUT, "%s has a header and no rows", io_name(path));
    else
        return 0;
    scores_free(s);
    return -1;
}

static int one_metric(const struct report *r, const char *name, struct buf *out,
                      struct err *e)
{
    static const char *const kinds[] = {"single-label", "multi-label", "regression"};
    const enum metric m = metric_find(name);

    if (m == METRIC_COUNT)
        return buf_addf(out, e, "%zu\n", *name == 'n' ? r->m->n : r->m->skipped);
    if (!metric_has(m, r->s->kind))
        return err_set(e, ERR_USAGE, "%s scores have no '%s'; try 'mcc --help'",
                       kinds[r->s->kind], name);
    return report_number(r->m->value[m], out, e) || buf_putc(out, '\n', e) ? -1 : 0;
}

static int view(const struct report *r, const struct values *v, struct buf *out,
                struct err *e)
{
    if (v->metric)
        return one_metric(r, v->metric, out, e);
    if (r->s->kind == SCORES_REGRESSION && v->per_class)
        return err_set(e, ERR_USAGE, "regression scores have no classes");
    if (r->s->kind != SCORES_SINGLE && (v->batch || v->confusion || v->calibration))
        return err_set(e, ERR_USAGE, "only single-label scores have %s",
                       v->batch       ? "an MCC"
                       : v->confusion ? "a confusion matrix"
                                      : "a calibration table");
    return v->json          ? report_json(r, out, e)
           : v->batch       ? report_batches(r, out, e)
           : v->per_class   ? report_per_class(r, out, e)
           : v->confusion   ? report_confusion(r, out, e)
           : v->calibration ? report_calibration(r, out, e)
                            : report_table(r, out, e);
}

/* Everything about one file.  Only the table has intervals that nobody asked for. */
static int evaluate(const struct scores *s, const struct values *v, struct buf *out,
                    struct err *e)
{
    const bool table = !v->metric && !v->json && !v->batch && !v->per_class &&
                       !v->confusion && !v->calibration;
    const bool asked = v->bootstrap >= 0 && (table || v->json);
    size_t times = asked ? (size_t)v->bootstrap : table ? DEFAULT_RESAMPLES : 0;
    struct metrics_interval interval[METRIC_COUNT];
    struct metrics m;
    struct report r = {.s = s, .m = &m, .interval = interval, .batch = (size_t)v->batch};
    int rc;

    if (!asked && s->kind != SCORES_SINGLE)
        times = 0;
    if (metrics_compute(s, &m, e))
        return -1;
    r.times = times;
    rc = metrics_bootstrap(s, times, (uint64_t)v->common.seed, !asked, interval, e);
    if (!rc)
        rc = view(&r, v, out, e);
    metrics_free(&m);
    return rc;
}

static int compare(const struct scores *a, const char *path, const struct values *v,
                   struct buf *out, struct err *e)
{
    const size_t times = v->bootstrap >= 0 ? (size_t)v->bootstrap : DEFAULT_RESAMPLES;
    struct metrics_paired p;
    struct scores b;
    int rc;

    if (strcmp(path, "-") == 0 && strcmp(v->against, "-") == 0)
        return err_set(e, ERR_USAGE, "only one of the two files can be standard input");
    if (load(v->against, v, &b, e))
        return -1;
    rc = metrics_compare(a, &b, times, (uint64_t)v->common.seed, &p, e);
    if (!rc)
        rc = v->json
                 ? report_paired_json(&p, a->n, out, e)
                 : report_paired(&p, a->n, io_name(path), io_name(v->against), out, e);
    scores_free(&b);
    return rc;
}

static int run(const char *path, const struct values *v, struct err *e)
{
    struct io_out o = {.fd = -1};
    struct buf out = {0};
    struct scores s;
    int rc;

    if (load(path, v, &s, e))
        return -1;
    rc = v->against ? compare(&s, path, v, &out, e) : evaluate(&s, v, &out, e);
    scores_free(&s);
    if (!rc)
        rc = io_out_open(&o, v->output, e);
    if (!rc)
        rc = io_write_full(o.fd, out.data, out.len, o.name, e);
    if (!rc)
        rc = io_publish(&o, e);
    else
        io_discard(&o);
    buf_free(&out);
    return rc;
}

int main(int argc, char **argv)
{
    struct values v = {.common = OPT_COMMON_DEFAULTS, .kind = "auto", .bootstrap = -1};
    struct msg m;
    struct err e = {0};
    int first;
    const int rc = opt_parse(&tool, argc, argv, &v, &first, &m, &e);

    if (rc == 0 && argc - first > 1)
        err_set(&e, ERR_USAGE, "one file of scores at a time; try 'mcc --help'");
    else if (rc == 0 && check_options(&v, &e) == 0)
        (void)!run(first < argc ? argv[first] : "-", &v, &e);
    return msg_finish(&m, &e);
}
