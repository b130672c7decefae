/* SPDX-License-Identifier: MIT */
/*
 * params: where every tensor of the model lies in the flat buffers p, g, m and v (L4).
 *
 * One offset serves the parameters, their gradients and their moments.  Matrices come first
 * and vectors after them, so that what weight decay treats alike lies together; the word
 * embedding is the very first.  Query, key and value of a layer follow each other without a
 * gap and make one (3H, H) matrix.  Tensors start at multiples of 64 bytes; the gaps hold 0.
 */
#ifndef BERTUTILS_PARAMS_H
#define BERTUTILS_PARAMS_H

#include "backend.h"
#include "config.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum param_id {
#define PARAM(id, group, rows, cols, joined, bert, roberta) PARAM_##id,
#include "params.def"
#undef PARAM
    PARAM_COUNT
};

enum param_group { GROUP_BASE, GROUP_LAYER, GROUP_CLASSIFY, GROUP_MLM, GROUP_TIED,
                   GROUP_UNTIED };

struct param {
    enum param_id id;
    int layer;          /* 0 outside the layers */
    bool vector;
    int64_t rows, cols; /* cols is 1 for a vector */
    int64_t at, n;      /* in the flat buffers, in floats */
};

enum { PARAM_NAME_MAX = 96 };

struct params {
    enum family family;
    int64_t layers;
    struct param *list; /* (n) in the order of memory */
    int n;
    int32_t *index;     /* (PARAM_COUNT, layers) place in the list, -1: not in this model */
    int64_t size;       /* floats of a flat buffer, gaps included */
    int64_t trained;    /* floats without the gaps */
    int64_t matrices;   /* floats before the first vector */
    /* From linear to linear_end are the weights of all linear layers but a decoder, the
       gradient of each of which one product writes whole. */
    int64_t linear, linear_end;
};

/* Lays out the tensors of a model with a classification head, a masked-LM head or none. */
int params_plan(struct params *p, const struct config *c, enum model_head head,
                struct err *e) MUST_USE;
void params_free(struct params *p);

/* A tensor, or NULL when this model has none such. */
const struct param *params_find(const struct params *p, enum param_id id, int layer);
enum param_group param_group(enum param_id id);

/* The name that transformers gives it. */
void params_name(const struct params *p, const struct param *t, char name[PARAM_NAME_MAX]);
/* How many leading characters of the names of the base model may be absent ("bert."). */
const char *params_prefix(const struct params *p);
/* A number for the random weights of a tensor: the same in every model. */
uint32_t param_number(const struct param *t);

/* The tensor in a flat buffer as a matrix, a vector as (1, n). */
struct mat params_mat(const struct params *p, float *flat, enum param_id id, int layer);
float *params_at(const struct params *p, float *flat, enum param_id id, int layer);

#endif
