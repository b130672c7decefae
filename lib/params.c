/* SPDX-License-Identifier: MIT */
/*
 * params: the layout of the flat buffers, from the table in params.def (L4).
 */
#include "params.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16 }; /* floats: 64 bytes */

struct shape_row {
    enum param_group group;
    char rows, cols; /* letters of params.def */
    bool joined;
    const char *name[2]; /* by family; NULL: the same as BERT's */
};

#define SAME NULL
static const struct shape_row table[PARAM_COUNT] = {
#define PARAM(id, group, rows, cols, joined, bert, roberta) \
    [PARAM_##id] = {group, #rows[0], #cols[0], joined, {bert, roberta}},
#include "params.def"
#undef PARAM
};

static int64_t extent(const struct config *c, char letter)
{
    switch (letter) {
    case 'H': return c->hidden;
    case 'I': return c->inner;
    case 'V': return c->vocab_size;
    case 'P': return c->positions;
    case 'Y': return c->types;
    case 'C': return c->n_labels;
    default: return 1;
    }
}

static bool in_model(enum param_group group, const struct config *c, enum model_head head)
{
    const bool mlm = head == HEAD_MLM;

    switch (group) {
    case GROUP_CLASSIFY: return head == HEAD_CLASSIFY;
    case GROUP_MLM: return mlm;
    case GROUP_TIED: return mlm && c->tied;
    case GROUP_UNTIED: return mlm && !c->tied;
    default: return true;
    }
}

/* Appends one tensor behind what is there. */
static void place(struct params *p, const struct config *c, enum param_id id, int layer)
{
    const struct shape_row *row = &table[id];
    struct param *t = &p->list[p->n];

    if (!row->joined)
        p->size = (p->size + ALIGN - 1) / ALIGN * ALIGN;
    t->id = id;
    t->layer = layer;
    t->rows = extent(c, row->rows);
    t->cols = extent(c, row->cols);
    t->vector = row->cols == '1';
    t->n = t->rows * t->cols;
    t->at = p->size;
    p->size += t->n;
    p->trained += t->n;
    p->index[(int64_t)id * p->layers + layer] = p->n++;
}

/* All matrices, or all vectors: the base, the layers in order, the head. */
static void place_all(struct params *p, const struct config *c, enum model_head head,
                      bool vectors)
{
    for (int stage = 0; stage < 3; stage++) {
        const int layers = stage == 1 ? (int)p->layers : 1;

        for (int layer = 0; layer < layers; layer++)
            for (int id = 0; id < PARAM_COUNT; id++) {
                const enum param_group group = table[id].group;
                const int of_stage = group == GROUP_BASE ? 0 : group == GROUP_LAYER ? 1 : 2;

                if (of_stage == stage && (table[id].cols == '1') == vectors &&
                    in_model(group, c, head))
                    place(p, c, (enum param_id)id, layer);
            }
    }
}

/* An untied decoder is the last matrix. */
static int64_t decoder_at(const struct params *p)
{
    const struct param *decoder = params_find(p, PARAM_DECODER_W, 0);

    return decoder ? decoder->at : p->matrices;
}

int params_plan(struct params *p, const struct config *c, enum model_head head, struct err *e)
{
    const size_t slots = (size_t)PARAM_COUNT * (size_t)c->layers;

    memset(p, 0, sizeof *p);
    p->family = c->family;
    p->layers = c->layers;
    p->list = mem_alloc(slots, sizeof *p->list, "the table of tensors", e);
    p->index = mem_alloc(slots, sizeof *p->index, "the table of tensors", e);
    if (!p->list || !p->index) {
        params_free(p);
        return -1;
    }
    for (size_t i = 0; i < slots; i++)
        p->index[i] = -1;
    place_all(p, c, head, false);
    p->size = (p->size + ALIGN - 1) / ALIGN * ALIGN;
    p->matrices = p->size;
    p->linear = params_find(p, PARAM_Q_W, 0)->at;
    p->linear_end = decoder_at(p);
    place_all(p, c, head, true);
    p->size = (p->size + ALIGN - 1) / ALIGN * ALIGN;
    return 0;
}

void params_free(struct params *p)
{
    free(p->list);
    free(p->index);
    memset(p, 0, sizeof *p);
}

const struct param *params_find(const struct params *p, enum param_id id, int layer)
{
    const int32_t i = p->index[(int64_t)id * p->layers + layer];

    return i < 0 ? NULL : &p->list[i];
}

enum param_group param_group(enum param_id id)
{
    return table[id].group;
}

const char *params_prefix(const struct params *p)
{
    return p->family == FAMILY_ROBERTA ? "roberta." : "bert.";
}

void params_name(const struct params *p, const struct param *t, char name[PARAM_NAME_MAX])
{
    const struct shape_row *row = &table[t->id];
    const char *pattern = row->name[p->family == FAMILY_ROBERTA && row->name[1] ? 1 : 0];
    const char *number = strstr(pattern, "%d");

    if (row->group != GROUP_BASE && row->group != GROUP_LAYER)
        snprintf(name, PARAM_NAME_MAX, "%s", pattern);
    else if (!number)
        snprintf(name, PARAM_NAME_MAX, "%s%s", params_prefix(p), pattern);
    else
        snprintf(name, PARAM_NAME_MAX, "%s%.*s%d%s", params_prefix(p), (int)(number - pattern),
                 pattern, t->layer, number + 2);
}

uint32_t param_number(const struct param *t)
{
    return (uint32_t)t->layer * 64 + (uint32_t)t->id;
}

struct mat params_mat(const struct params *p, float *flat, enum param_id id, int layer)
{
    const struct param *t = params_find(p, id, layer);
    const struct mat none = {NULL, 0, 0, 0, DT_F32};

    if (!t || !flat)
        return none;
    return t->vector ? mat_f32(flat + t->at, 1, t->n) : mat_f32(flat + t->at, t->rows, t->cols);
}

float *params_at(const struct params *p, float *flat, enum param_id id, int layer)
{
    const struct param *t = params_find(p, id, layer);

    return t && flat ? flat + t->at : NULL;
}
