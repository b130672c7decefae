/* SPDX-License-Identifier: MIT */
/*
 * model_load: a checkpoint's tensors, or random numbers, into the parameters (L4).
 *
 * Accepted spellings of a tensor's name, in this order: as transformers writes it; without the
 * base model's prefix; and, under LayerNorm, gamma and beta instead of weight and bias.  The
 * base model must be there whole.  A head is kept whole or made anew:
 *
 *     BERT      pooler; classifier, each for itself
 *     RoBERTa   dense and out_proj together
 *     MLM       transform, bias and an untied decoder together
 */
#include "init.h"
#include "mem.h"
#include "model_int.h"
#include "weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything that loading needs at hand. */
struct loader {
    struct model *m;
    const struct model_options *o;
    struct weights *w;
    const struct weight **from; /* (params.n) where each tensor comes from; NULL: made anew */
    float *values;              /* room for the largest tensor */
    const int32_t *label_map;   /* (C) row of the checkpoint for a label; NULL: no such labels */
};

/* ---- labels ---- */

int32_t *model_labels(struct model *m, const struct model_options *o, struct err *e)
{
    const struct config *c = &m->config;
    const int n = o->labels ? o->n_labels : c->n_labels;
    const bool regression = o->labels && o->problem == PROBLEM_REGRESSION &&
                            c->problem == PROBLEM_REGRESSION && n == 1;
    int32_t *map;

    if (n < 1) {
        err_set(e, ERR_DATA, "there are no labels to train on");
        return NULL;
    }
    map = mem_alloc((size_t)n, sizeof *map, "labels", e);
    if (!map)
        return NULL;
    for (int i = 0; i < n; i++) {
        map[i] = !o->labels || c->labels_generic || regression ? i : -1;
        if (n != c->n_labels)
            map[i] = -1;
        for (int j = 0; map[i] < 0 && n == c->n_labels && j < n; j++)
            if (!strcmp(o->labels[i], c->labels[j]))
                map[i] = j;
    }
    if (o->labels && config_set_labels(&m->config, o->problem, o->labels, n, e)) {
        free(map);
        return NULL;
    }
    return map;
}

/* The same size and the same labels: each row of the checkpoint is used. */
static bool labels_match(const struct loader *l)
{
    for (int i = 0; i < l->m->config.n_labels; i++)
        if (l->label_map[i] < 0)
            return false;
    return true;
}

/* ---- finding tensors by name ---- */

static const struct weight *find_spelling(const struct weights *w, const char *name)
{
    const struct weight *found = weights_find(w, name);
    const char *dot = strrchr(name, '.');
    char old[PARAM_NAME_MAX];

    if (found || !dot || dot - name < 9 || strncmp(dot - 9, "LayerNorm", 9))
        return found;
    snprintf(old, sizeof old, "%.*s.%s", (int)(dot - name), name,
             strcmp(dot, ".weight") ? "beta" : "gamma");
    return weights_find(w, old);
}

static const struct weight *find_tensor(const struct loader *l, const struct param *t)
{
    const struct params *p = &l->m->params;
    const size_t prefix = strlen(params_prefix(p));
    const struct weight *found;
    char name[PARAM_NAME_MAX];

    params_name(p, t, name);
    found = find_spelling(l->w, name);
    if (!found && !strncmp(name, params_prefix(p), prefix))
        found = find_spelling(l->w, name + prefix);
    if (!found && t->id == PARAM_VOCAB_B) /* the same under its other name */
        found = weights_find(l->w, p->family == FAMILY_ROBERTA ? "lm_head.decoder.bias"
                                                               : "cls.predictions.decoder.bias");
    if (!found && t->id == PARAM_DECODER_B)
        found = weights_find(l->w, p->family == FAMILY_ROBERTA ? "lm_head.bias"
                                                               : "cls.predictions.bias");
    return found;
}

static bool same_shape(const struct param *t, const struct weight *w)
{
    if (t->vector)
        return w->n_dims == 1 && w->dims[0] == t->rows;
    return w->n_dims == 2 && w->dims[0] == t->rows && w->dims[1] == t->cols;
}

static int wrong_shape(const struct loader *l, const struct param *t, const struct weight *w,
                       struct err *e)
{
    char has[128] = "";
    size_t at = 0;

    for (int i = 0; i < w->n_dims && at < sizeof has - 24; i++)
        at += (size_t)snprintf(has + at, sizeof has - at, "%s%lld", i ? " x " : "",
                               (long long)w->dims[i]);
    if (t->vector)
        return err_set(e, ERR_DATA, "'%s': tensor '%s' has shape %s where config.json says %lld",
                       l->o->dir, w->name, has, (long long)t->rows);
    return err_set(e, ERR_DATA,
                   "'%s': tensor '%s' has shape %s where config.json says %lld x %lld",
                   l->o->dir, w->name, has, (long long)t->rows, (long long)t->cols);
}

/* ---- what is kept ---- */

/* All tensors of the base model; the missing ones are named. */
static int find_base(struct loader *l, struct err *e)
{
    const struct params *p = &l->m->params;
    char names[600] = "", name[PARAM_NAME_MAX];
    int missing = 0;

    for (int i = 0; i < p->n; i++) {
        const struct param *t = &p->list[i];
        const enum param_group group = param_group(t->id);

        if (group != GROUP_BASE && group != GROUP_LAYER)
            continue;
        l->from[i] = find_tensor(l, t);
        if (!l->from[i]) {
            params_name(p, t, name);
            if (missing++ < 4)
                snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                         missing > 1 ? ", " : "", name);
        } else if (!same_shape(t, l->from[i])) {
            return wrong_shape(l, t, l->from[i], e);
        }
    }
    if (missing)
        return err_set(e, ERR_DATA, "'%s' lacks %d tensor%s of the model: %s%s", l->o->dir,
                       missing, missing == 1 ? "" : "s", names, missing > 4 ? ", ..." : "");
    return 0;
}

enum found { ABSENT, UNFIT, WHOLE };

/* The tensors first..last of the head: used when all are there in the right shape. */
static enum found find_head(struct loader *l, enum param_id first, enum param_id last)
{
    const struct params *p = &l->m->params;
    bool whole = true, any = false;

    for (int id = first; id <= (int)last; id++) {
        const struct param *t = params_find(p, (enum param_id)id, 0);
        const struct weight *w = t ? find_tensor(l, t) : NULL;

        whole = whole && (!t || (w && same_shape(t, w)));
        any = any || w;
        if (t && w)
            l->from[t - p->list] = w;
    }
    for (int id = first; id <= (int)last && !whole; id++) {
        const struct param *t = params_find(p, (enum param_id)id, 0);

        if (t)
            l->from[t - p->list] = NULL;
    }
    return whole ? WHOLE : any ? UNFIT : ABSENT;
}

static void drop_head(struct loader *l, enum param_id first, enum param_id last)
{
    for (int id = first; id <= (int)last; id++)
        l->from[params_find(&l->m->params, (enum param_id)id, 0) - l->m->params.list] = NULL;
}

/* One line about what is new of dense and classifier. */
static void tell_new_head(const struct loader *l, bool dense, enum found found, bool kept,
                          struct msg *msg)
{
    const int n = l->m->config.n_labels;
    const char *s = n == 1 ? "" : "s";
    const char *why = found == WHOLE   ? "has one for other labels"
                      : found == UNFIT ? "has one of another size"
                                       : "has none";

    if (dense || l->m->config.family == FAMILY_ROBERTA)
        msg_note(msg, "the classification head is new (%d label%s): '%s' %s", n, s, l->o->dir,
                 why);
    else if (kept)
        msg_note(msg, "the pooler is new: '%s' has none", l->o->dir);
    else
        msg_note(msg, "the pooler and the classification head are new (%d label%s): '%s' %s", n,
                 s, l->o->dir, found == ABSENT ? "has neither" : why);
}

static int find_classifier(struct loader *l, struct msg *msg, struct err *e)
{
    const struct config *c = &l->m->config;
    const bool dense = find_head(l, PARAM_DENSE_W, PARAM_DENSE_B) == WHOLE;
    const enum found found = find_head(l, PARAM_CLASS_W, PARAM_CLASS_B);
    bool kept = found == WHOLE && labels_match(l);

    if (c->family == FAMILY_ROBERTA && !(kept && dense)) {
        kept = false;
        drop_head(l, PARAM_DENSE_W, PARAM_DENSE_B);
    }
    if (!kept)
        drop_head(l, PARAM_CLASS_W, PARAM_CLASS_B);
    if (kept && dense)
        return 0;
    if (l->o->need_head)
        return err_set(e, ERR_DATA,
                       "'%s' has no classification head for %d label%s; finetune makes one",
                       l->o->dir, c->n_labels, c->n_labels == 1 ? "" : "s");
    tell_new_head(l, dense, found, kept, msg);
    return 0;
}

static int find_heads(struct loader *l, struct msg *msg, struct err *e)
{
    if (l->m->head == HEAD_CLASSIFY)
        return find_classifier(l, msg, e);
    if (l->m->head == HEAD_MLM && find_head(l, PARAM_MLM_W, PARAM_DECODER_W) != WHOLE)
        msg_note(msg, "the masked-LM head is new: '%s' has none", l->o->dir);
    return 0;
}

/* Tensors that other programs leave in checkpoints and that nobody misses. */
static bool is_expected(const char *name)
{
    static const char *const parts[] = {"position_ids", "token_type_ids", "pooler.",
                                        "cls.seq_relationship.", "cls.predictions.", "lm_head."};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

static void report_unexpected(const struct loader *l, struct msg *msg)
{
    const char *first = NULL;
    int n = 0;

    for (size_t i = 0; i < weights_count(l->w); i++) {
        const struct weight *w = weights_at(l->w, i);
        bool used = is_expected(w->name);

        for (int j = 0; j < l->m->params.n && !used; j++)
            used = l->from[j] == w;
        if (used)
            continue;
        if (!first)
            first = w->name;
        n++;
    }
    if (n)
        msg_verbose(msg, "%d tensor%s of '%s' not used: %s%s", n, n == 1 ? "" : "s", l->o->dir,
                    first, n > 1 ? ", ..." : "");
}

/* ---- values ---- */

static int put(struct loader *l, const struct param *t, struct err *e)
{
    const struct ops *o = &l->m->ops;

    return o->be->put(o->dev, l->m->p + t->at, l->values, (size_t)t->n * sizeof *l->values, e);
}

/* normal(0, init_range) matrices, norms (1, 0), biases 0; padding rows 0 as in PyTorch. */
static int put_new(struct loader *l, const struct param *t, struct err *e)
{
    const struct config *c = &l->m->config;
    const bool ones = t->id == PARAM_EMB_G || t->id == PARAM_LN1_G || t->id == PARAM_LN2_G ||
                      t->id == PARAM_MLM_G;
    const bool padded =
        t->id == PARAM_WORD || (t->id == PARAM_POS && c->family == FAMILY_ROBERTA);

    if (!t->vector)
        init_normal(l->values, t->n, l->o->seed, param_number(t), c->init_range);
    else
        for (int64_t i = 0; i < t->n; i++)
            l->values[i] = ones ? 1.0f : 0.0f;
    if (padded && c->pad_id < t->rows)
        memset(l->values + c->pad_id * t->cols, 0, (size_t)t->cols * sizeof *l->values);
    return put(l, t, e);
}

/* Rows of the classifier go where the data has their labels. */
static int put_rows(struct loader *l, const struct param *t, struct err *e)
{
    const struct ops *o = &l->m->ops;
    const size_t bytes = (size_t)t->cols * sizeof *l->values;

    for (int64_t i = 0; i < t->rows; i++)
        if (o->be->put(o->dev, l->m->p + t->at + i * t->cols,
                       l->values + l->label_map[i] * t->cols, bytes, e))
            return -1;
    return 0;
}

static int put_tensor(struct loader *l, int i, struct err *e)
{
    const struct param *t = &l->m->params.list[i];
    float worst = 0;

    if (!l->from || !l->from[i])
        return put_new(l, t, e);
    if (weights_read(l->w, l->from[i], l->values, e))
        return -1;
    for (int64_t k = 0; k < t->n; k++)
        worst += l->values[k] * 0.0f; /* 0, or NaN once a value is no number */
    if (!(worst == 0))
        return err_set(e, ERR_DATA, "'%s': tensor '%s' holds values that are no finite numbers",
                       l->o->dir, l->from[i]->name);
    if (t->id == PARAM_CLASS_W || t->id == PARAM_CLASS_B)
        return put_rows(l, t, e);
    return put(l, t, e);
}

/* Device memory is taken only now that the file has what config.json promises. */
static int alloc_params(struct model *m, struct err *e)
{
    const size_t bytes = (size_t)m->params.size * sizeof *m->p;

    m->p = m->ops.be->alloc(m->ops.dev, bytes, e);
    if (!m->p)
        return -1;
    return m->ops.be->zero(m->ops.dev, m->p, bytes, e); /* the gaps stay 0 */
}

static int put_all(struct loader *l, struct err *e)
{
    const struct params *p = &l->m->params;
    int64_t largest = 0;
    int rc = 0;

    if (alloc_params(l->m, e))
        return -1;

    for (int i = 0; i < p->n; i++)
        largest = p->list[i].n > largest ? p->list[i].n : largest;
    l->values = mem_alloc((size_t)largest, sizeof *l->values, "a tensor", e);
    if (!l->values)
        return -1;
    for (int i = 0; i < p->n && rc == 0; i++)
        rc = put_tensor(l, i, e);
    free(l->values);
    return rc;
}

int model_load(struct model *m, const struct model_options *o, struct weights *w,
               const int32_t *label_map, struct msg *msg, struct err *e)
{
    struct loader l = {.m = m, .o = o, .w = w, .label_map = label_map};
    int rc = -1;

    if (!w)
        return put_all(&l, e);
    l.from = mem_alloc((size_t)m->params.n, sizeof *l.from, "the table of tensors", e);
    if (!l.from)
        return -1;
    if (find_base(&l, e) || find_heads(&l, msg, e))
        goto out;
    report_unexpected(&l, msg);
    rc = put_all(&l, e);
out:
    free(l.from);
    return rc;
}
