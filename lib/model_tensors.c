/* SPDX-License-Identifier: MIT */
/*
 * model_tensors: the parameters as the named tensors of transformers (L4).
 *
 * Tensors come in the order of their names, which is that of a safetensors file.  An untied
 * decoder's bias stands there twice, as transformers has it.
 */
#include "mem.h"
#include "model_int.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    char name[PARAM_NAME_MAX];
    const struct param *t;
    bool tied;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* All entries in order; *n of them. */
static struct entry *list_entries(const struct model *m, int *n, struct err *e)
{
    const struct params *p = &m->params;
    struct entry *list = mem_alloc((size_t)p->n + 1, sizeof *list, "the list of tensors", e);
    const bool untied = params_find(p, PARAM_VOCAB_W, 0) != NULL;

    if (!list)
        return NULL;
    *n = 0;
    for (int i = 0; i < p->n; i++) {
        struct entry *entry = &list[(*n)++];

        entry->t = &p->list[i];
        params_name(p, entry->t, entry->name);
        if (entry->t->id == PARAM_VOCAB_B && untied) {
            struct entry *twin = &list[(*n)++];

            twin->t = entry->t;
            twin->tied = true;
            snprintf(twin->name, sizeof twin->name, "%s",
                     p->family == FAMILY_ROBERTA ? "lm_head.decoder.bias"
                                                 : "cls.predictions.decoder.bias");
        }
    }
    qsort(list, (size_t)*n, sizeof *list, by_name);
    return list;
}

/* flat: host, or device when `device`; a tensor at a time is copied to the host. */
static int visit_all(struct model *m, const float *flat, bool device, model_visit visit,
                     void *ctx, struct err *e)
{
    const struct ops *o = &m->ops;
    int n = 0, rc = 0;
    struct entry *list = list_entries(m, &n, e);
    int64_t largest = 0;
    float *host = NULL;

    if (!list)
        return -1;
    for (int i = 0; i < n; i++)
        largest = list[i].t->n > largest ? list[i].t->n : largest;
    if (device) {
        host = mem_alloc((size_t)largest, sizeof *host, "a tensor", e);
        rc = host ? 0 : -1;
    }
    for (int i = 0; i < n && rc == 0; i++) {
        const struct param *t = list[i].t;
        struct model_tensor view = {.name = list[i].name,
                                    .n_dims = t->vector ? 1 : 2,
                                    .dims = {t->rows, t->cols},
                                    .data = flat + t->at,
                                    .n = t->n,
                                    .tied = list[i].tied};

        if (device) {
            const size_t bytes = (size_t)t->n * sizeof *host;

            view.data = host;
            rc = o->be->get(o->dev, host, flat + t->at, bytes, e);
        }
        if (rc == 0)
            rc = visit(ctx, &view, e);
    }
    free(host);
    free(list);
    return rc ? -1 : 0;
}

int model_tensors(struct model *m, const float *params, model_visit visit, void *ctx,
                  struct err *e)
{
    return visit_all(m, params ? params : m->p, !params, visit, ctx, e);
}

int model_gradients(struct model *m, model_visit visit, void *ctx, struct err *e)
{
    if (!m->g)
        return err_set(e, ERR_INTERNAL, "there are no gradients without training");
    return visit_all(m, m->g, true, visit, ctx, e);
}
