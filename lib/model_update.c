/* SPDX-License-Identifier: MIT */
/*
 * model_update: the norm of the gradient and the update of the parameters (L4).
 *
 * A device that runs behind its caller makes the update of a step in the next part of the
 * training, in a branch beside the forward pass: clipping needs the norm of all gradients, so
 * that it cannot begin earlier, but each layer needs its own parameters alone.  Until then the
 * model owes it; who looks at the parameters, the moments or the gradients in another way
 * settles it first.
 */
#include "model_int.h"

#include <math.h>

/*
 * What the learning rate of a tensor is multiplied with: 1 for the top layer, and by
 * layer_decay less for each layer further down; the embeddings are below the first (Sun et
 * al. 2019, section 5.3.3).  The head has a factor of its own.
 */
static double rate_of(const struct model *m, const struct param *t,
                      const struct model_update *u)
{
    const enum param_group group = param_group(t->id);
    const int layers = (int)m->config.layers;
    const int below = group == GROUP_BASE ? layers : layers - 1 - t->layer;

    if (group != GROUP_BASE && group != GROUP_LAYER)
        return u->head_lr;
    return below ? pow(u->layer_decay, below) : 1;
}

/*
 * The group of a tensor in an update beside a forward pass: 0 for all that is not a linear
 * layer's weight, which is little but the embeddings, of which few words change; then one or
 * more layers each, and the head with the last ones.
 */
static int groups(const struct model *m)
{
    const int most = DEV_MARKS - 2;

    return m->config.layers < most ? (int)m->config.layers : most;
}

static int layer_group(const struct model *m, int layer)
{
    const int layers = (int)m->config.layers;

    return layer < 0 ? 0 : 1 + layer * groups(m) / layers; /* the last layer's: groups(m) */
}

static int group_of(const struct model *m, const struct param *t)
{
    if (t->at < m->params.linear || t->at >= m->params.linear_end)
        return 0;
    return param_group(t->id) == GROUP_LAYER ? layer_group(m, t->layer) : groups(m);
}

static bool alike(const struct param_run *a, const struct param_run *b)
{
    return a->decay == b->decay && a->lr_scale == b->lr_scale && a->keep_g == b->keep_g &&
           a->touched == b->touched && a->at + a->n <= b->at;
}

/*
 * Tensors that follow each other and are treated alike, as one run; of one group, or of all
 * (-1).  With one rate for all these are: the word embedding; position and type; the linear
 * layers, whose gradients are written over and not added up from zero; an untied decoder; all
 * vectors.
 */
static int make_runs(const struct model *m, const struct model_update *u, int group,
                     struct param_run *run)
{
    const struct params *p = &m->params;
    bool joins = false;
    int n = 0;

    for (int i = 0; i < p->n; i++) {
        const struct param *t = &p->list[i];
        const bool word = t->id == PARAM_WORD;
        const struct param_run r = {
            .at = t->at,
            .n = t->n,
            .decay = t->vector ? 0 : (float)u->weight_decay,
            .lr_scale = (float)rate_of(m, t, u),
            .touched = word ? m->touched : NULL,
            .cols = word && m->touched ? t->cols : 0,
            .keep_g = t->at >= p->linear && t->at < p->linear_end,
        };

        if (group >= 0 && group_of(m, t) != group) {
            joins = false;
            continue;
        }
        if (joins && alike(&run[n - 1], &r))
            run[n - 1].n = t->at + t->n - run[n - 1].at;
        else
            run[n++] = r;
        joins = true;
    }
    return n;
}

int update_norm(struct model *m, bool stale, struct err *e)
{
    const struct ops *o = &m->ops;
    const struct params *p = &m->params;
    const struct model_update one_rate = {.layer_decay = 1, .head_lr = 1};

    if (stale && o->be->zero(o->dev, m->g + p->linear,
                             (size_t)(p->linear_end - p->linear) * sizeof *m->g, e))
        return -1;
    return o->be->sqnorm(o->dev, m->g, m->run, make_runs(m, &one_rate, -1, m->run),
                         m->out.sumsq, e);
}

static int apply_group(struct model *m, const struct model_update *u, int group,
                       struct err *e)
{
    const struct ops *o = &m->ops;
    const struct adamw adamw = {.p = m->p,
                                .g = m->g,
                                .m = m->m,
                                .v = m->v,
                                .run = m->run,
                                .n_run = make_runs(m, u, group, m->run),
                                .beta1 = (float)u->beta1,
                                .beta2 = (float)u->beta2,
                                .eps = (float)u->eps,
                                .clip = (float)u->clip,
                                .step = m->in.step,
                                .sumsq = m->out.sumsq};

    return o->be->adamw(o->dev, &adamw, e);
}

int update_apply(struct model *m, const struct model_update *u, struct err *e)
{
    return apply_group(m, u, -1, e);
}

int update_beside(struct model *m, const struct model_update *u, struct err *e)
{
    const struct dev_behind *behind = m->ops.be->behind;
    struct dev *d = m->ops.dev;
    int rc = 0;

    if (behind->branch(d, e))
        return -1;
    for (int g = 0; g <= groups(m) && rc == 0; g++)
        rc = apply_group(m, u, g, e) || behind->mark(d, g, e) ? -1 : 0;
    behind->trunk(d);
    m->beside = true;
    m->reached = -1;
    return rc;
}

int update_reach(struct model *m, int layer, struct err *e)
{
    const int group = layer_group(m, layer);

    if (!m->beside || group <= m->reached)
        return 0;
    m->reached = group;
    if (group == groups(m))
        m->beside = false;
    return m->ops.be->behind->reach(m->ops.dev, group, e);
}
