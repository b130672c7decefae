/* SPDX-License-Identifier: MIT */
/*
 * config: config.json of a Hugging Face model directory (L4).
 */
#ifndef BERTUTILS_CONFIG_H
#define BERTUTILS_CONFIG_H

#include "backend.h"
#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum family { FAMILY_BERT, FAMILY_ROBERTA };
enum model_head { HEAD_CLASSIFY, HEAD_MLM, HEAD_NONE };
enum problem { PROBLEM_SINGLE, PROBLEM_MULTI, PROBLEM_REGRESSION };

struct config {
    enum family family;
    int64_t vocab_size, hidden, layers, heads, inner, positions, types;
    int32_t pad_id;
    double eps, init_range;
    enum activation act;
    bool tied;                 /* the masked-LM decoder is the word embedding */
    double hidden_dropout, attn_dropout;
    double classifier_dropout; /* as used: classifier_dropout of the file, else hidden_dropout */
    enum problem problem;
    bool problem_given;        /* the file has problem_type */
    int n_labels;
    char **labels;             /* (n_labels) id2label, in order */
    bool labels_generic;       /* they are LABEL_0, LABEL_1, ...: k-th means k-th of the data */
    json_t *json;              /* the whole file: unknown keys are kept when it is written */
};

/* Reads DIR/config.json.  Absent: ERR_NOINPUT; malformed, or a family that is not supported: ERR_DATA. */
int config_load(struct config *c, const char *dir, struct err *e) MUST_USE;
void config_free(struct config *c); /* frees what it points to */

/* Longest input, specials included: positions, less pad_id + 1 for RoBERTa. */
int64_t config_max_len(const struct config *c);

/*
 * Which part of a long text the model was trained on, as template_read_cut reads it: the
 * member bertutils_truncate, which `transformers` carries along unread; else "head".
 */
const char *config_truncate(const struct config *c);
int config_set_truncate(struct config *c, const char *how, struct err *e) MUST_USE;

/* Replaces the labels and the problem type, in the struct and in its JSON. */
int config_set_labels(struct config *c, enum problem problem, char *const *labels, int n,
                      struct err *e) MUST_USE;

/* config.json's text for the model as it is saved: architectures, labels, problem type, dtype. */
char *config_text(const struct config *c, bool mlm, struct err *e) MUST_USE;

#endif
