/* SPDX-License-Identifier: MIT */
/*
 * model_tensors: the parameters as the named tensors of transformers (L4).
 *
 * Tensors come in the order of their names, which is that of a safetensors file.  An untied
 * decoder brings a second bias, which transformers keeps and never reads: it stands in files
 * with the values of the first, so that nothing is missing there.
 */
#include "mem.h"
#include "model_int.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    char name[PARAM_NAME_MAX];
    const struct param *t;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* All entries in order; *n of them.  `whole`: also what is only there for transformers. */
static struct entry *list_entries(const struct model *m, bool whole, int *n, struct err *e)
{
    const struct params *p = &m->params;
    struct entry *list = mem_alloc((size_t)p->n + 1, sizeof *list, "the list of tensors", e);
    const struct param *decoder_bias = params_find(p, PARAM_DECODER_B, 0);

    if (!list)
        return NULL;
    *n = 0;
    for (int i = 0; i < p->n; i++) {
        list[*n].t = &p->list[i];
        params_name(p, &p->list[i], list[(*n)++].name);
    }
    if (decoder_bias && whole) {
        list[*n].t = decoder_bias;
        snprintf(list[(*n)++].name, PARAM_NAME_MAX, "%s",
                 p->family == FAMILY_ROBERTA ? "lm_head.bias" : "cls.predictions.bias");
    }
    qsort(list, (size_t)*n, sizeof *list, by_name);
    return list;
}

/* flat: host, or device when `device`; then a tensor at a time is copied to the host. */
static int visit_list(struct model *m, const struct entry *list, int n, const float *flat,
                      bool device, model_visit visit, void *ctx, struct err *e)
{
    const struct ops *o = &m->ops;
    float *host = NULL;
    int64_t largest = 0;
    int rc = 0;

    for (int i = 0; i < n; i++)
        largest = list[i].t->n > largest ? list[i].t->n : largest;
    if (device) {
        host = mem_alloc((size_t)largest, sizeof *host, "a tensor", e);
        if (!host)
            return -1;
    }
    for (int i = 0; i < n && rc == 0; i++) {
        const struct param *t = list[i].t;
        const struct model_tensor view = {.name = list[i].name,
                                          .n_dims = t->vector ? 1 : 2,
                                          .dims = {t->rows, t->cols},
                                          .data = device ? host : flat + t->at,
                                          .n = t->n};

        if (device)
            rc = o->be->get(o->dev, host, flat + t->at, (size_t)t->n * sizeof *host, e);
        if (rc == 0)
            rc = visit(ctx, &view, e);
    }
    free(host);
    return rc ? -1 : 0;
}

int model_tensors(struct model *m, const float *params, model_visit visit, void *ctx,
                  struct err *e)
{
    int n, rc;
    struct entry *list;

    if (!params && model_settle(m, e))
        return -1;
    list = list_entries(m, true, &n, e);
    if (!list)
        return -1;
    rc = visit_list(m, list, n, params ? params : m->p, !params, visit, ctx, e);
    free(list);
    return rc;
}

int model_gradients(struct model *m, model_visit visit, void *ctx, struct err *e)
{
    int n, rc;
    struct entry *list;

    if (!m->g)
        return err_set(e, ERR_INTERNAL, "there are no gradients without training");
    if (model_settle(m, e))
        return -1;
    list = list_entries(m, false, &n, e);
    if (!list)
        return -1;
    rc = visit_list(m, list, n, m->g, true, visit, ctx, e);
    free(list);
    return rc;
}
