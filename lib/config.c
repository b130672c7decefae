/* SPDX-License-Identifier: MIT */
/*
 * config: config.json of a Hugging Face model directory (L4).
 *
 * Key names, defaults and their meaning are those of transformers' BertConfig, RobertaConfig
 * and PretrainedConfig (configuration_bert.py, configuration_roberta.py,
 * configuration_utils.py).  A feature that changes the numbers and is not implemented is
 * refused, never ignored.
 */
#include "config.h"

#include "jsontext.h"
#include "mem.h"
#include "template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sizes beyond these are damage; below them, products of two fit into 64 bits with room. */
enum { MAX_WIDTH = 1 << 20, MAX_ROWS = 1 << 26, MAX_LAYERS = 4096, MAX_LABELS = 1 << 20 };

/* What is being read, for messages. */
struct reader {
    const json_t *json;
    const char *file;
    struct err *e;
};

static int get_int(const struct reader *r, const char *key, int64_t low, int64_t high,
                   int64_t fallback, int64_t *to)
{
    const json_t *v = json_object_get(r->json, key);

    *to = fallback;
    if (!v || json_is_null(v)) {
        if (fallback < low)
            return err_set(r->e, ERR_DATA, "%s: '%s' is missing", r->file, key);
        return 0;
    }
    if (!json_is_integer(v) || json_integer_value(v) < low || json_integer_value(v) > high)
        return err_set(r->e, ERR_DATA, "%s: '%s' is not a whole number in %lld..%lld", r->file,
                       key, (long long)low, (long long)high);
    *to = json_integer_value(v);
    return 0;
}

static int get_real(const struct reader *r, const char *key, double low, double high,
                    double fallback, double *to)
{
    const json_t *v = json_object_get(r->json, key);

    *to = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_number(v) || !(json_number_value(v) >= low && json_number_value(v) <= high))
        return err_set(r->e, ERR_DATA, "%s: '%s' is not a number in %g..%g", r->file, key, low,
                       high);
    *to = json_number_value(v);
    return 0;
}

static int get_string(const struct reader *r, const char *key, const char *fallback,
                      const char **to)
{
    const json_t *v = json_object_get(r->json, key);

    *to = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_string(v))
        return err_set(r->e, ERR_DATA, "%s: '%s' is not a string", r->file, key);
    *to = json_string_value(v);
    return 0;
}

static int get_flag(const struct reader *r, const char *key, bool fallback, bool *to)
{
    const json_t *v = json_object_get(r->json, key);

    *to = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_boolean(v))
        return err_set(r->e, ERR_DATA, "%s: '%s' is not true or false", r->file, key);
    *to = json_is_true(v);
    return 0;
}

static const struct {
    const char *model_type, *class_prefix;
    enum family family;
} families[] = {
    {"bert", "Bert", FAMILY_BERT},
    {"roberta", "Roberta", FAMILY_ROBERTA},
    {"xlm-roberta", "XLMRoberta", FAMILY_ROBERTA},
    {"camembert", "Camembert", FAMILY_ROBERTA},
};

/* The row of `families` of a config, or -1. */
static int find_family(const json_t *json)
{
    const char *type = json_string_value(json_object_get(json, "model_type"));

    for (size_t i = 0; type && i < sizeof families / sizeof *families; i++)
        if (!strcmp(type, families[i].model_type))
            return (int)i;
    return -1;
}

static int read_activation(struct config *c, const struct reader *r)
{
    static const struct {
        const char *name;
        enum activation act;
    } known[] = {{"gelu", ACT_GELU},
                 {"gelu_python", ACT_GELU},
                 {"gelu_new", ACT_GELU_TANH},
                 {"gelu_pytorch_tanh", ACT_GELU_TANH},
                 {"relu", ACT_RELU},
                 {"tanh", ACT_TANH}};
    const char *name;

    if (get_string(r, "hidden_act", "gelu", &name))
        return -1;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) {
            c->act = known[i].act;
            return 0;
        }
    return err_set(r->e, ERR_DATA, "%s: hidden_act '%s' is not supported", r->file, name);
}

/* Things that would change the numbers and that the model does not do. */
static int refuse_unsupported(const struct reader *r)
{
    const char *kind;
    bool flag;
    const json_t *pruned = json_object_get(r->json, "pruned_heads");

    if (get_string(r, "position_embedding_type", "absolute", &kind))
        return -1;
    if (strcmp(kind, "absolute"))
        return err_set(r->e, ERR_DATA, "%s: position_embedding_type '%s' is not supported",
                       r->file, kind);
    if (get_flag(r, "is_decoder", false, &flag))
        return -1;
    if (flag)
        return err_set(r->e, ERR_DATA, "%s: a decoder (is_decoder) is not supported", r->file);
    if (get_flag(r, "add_cross_attention", false, &flag))
        return -1;
    if (flag)
        return err_set(r->e, ERR_DATA, "%s: add_cross_attention is not supported", r->file);
    if (json_object_size(pruned) > 0)
        return err_set(r->e, ERR_DATA, "%s: pruned_heads are not supported", r->file);
    return 0;
}

static int read_sizes(struct config *c, const struct reader *r)
{
    const bool roberta = c->family == FAMILY_ROBERTA;
    int64_t pad;

    if (get_int(r, "vocab_size", 1, MAX_ROWS, 0, &c->vocab_size) ||
        get_int(r, "hidden_size", 1, MAX_WIDTH, 768, &c->hidden) ||
        get_int(r, "num_hidden_layers", 1, MAX_LAYERS, 12, &c->layers) ||
        get_int(r, "num_attention_heads", 1, MAX_WIDTH, 12, &c->heads) ||
        get_int(r, "intermediate_size", 1, MAX_WIDTH, 3072, &c->inner) ||
        get_int(r, "max_position_embeddings", 1, MAX_ROWS, 512, &c->positions) ||
        get_int(r, "type_vocab_size", 1, MAX_ROWS, 2, &c->types) ||
        get_int(r, "pad_token_id", 0, MAX_ROWS, roberta ? 1 : 0, &pad))
        return -1;
    c->pad_id = (int32_t)pad;
    if (c->hidden % c->heads)
        return err_set(r->e, ERR_DATA,
                       "%s: hidden_size %lld is not a multiple of num_attention_heads %lld",
                       r->file, (long long)c->hidden, (long long)c->heads);
    if (config_max_len(c) < 1)
        return err_set(r->e, ERR_DATA, "%s: max_position_embeddings %lld leaves no position",
                       r->file, (long long)c->positions);
    return 0;
}

static int read_rates(struct config *c, const struct reader *r)
{
    if (get_real(r, "layer_norm_eps", 0, 1, 1e-12, &c->eps) ||
        get_real(r, "initializer_range", 0, 1e3, 0.02, &c->init_range) ||
        get_real(r, "hidden_dropout_prob", 0, 0.999, 0.1, &c->hidden_dropout) ||
        get_real(r, "attention_probs_dropout_prob", 0, 0.999, 0.1, &c->attn_dropout))
        return -1;
    return get_real(r, "classifier_dropout", 0, 0.999, c->hidden_dropout,
                    &c->classifier_dropout);
}

static const char truncate_key[] = "bertutils_truncate", truncate_usual[] = "head";

static int check_truncate(const struct config *c, const struct reader *r)
{
    const json_t *given = json_object_get(c->json, truncate_key);
    struct template_limit ignored = {0};
    struct err wrong = {0};

    if (!given || (json_is_string(given) &&
                   template_read_cut(json_string_value(given), &ignored, &wrong) == 0))
        return 0;
    err_clear(&wrong);
    return err_set(r->e, ERR_DATA, "%s: %s is none of head, tail, head+tail, head+tail:N",
                   r->file, truncate_key);
}

static void free_labels(struct config *c)
{
    for (int i = 0; c->labels && i < c->n_labels; i++)
        free(c->labels[i]);
    free(c->labels);
    c->labels = NULL;
    c->n_labels = 0;
}

static int alloc_labels(struct config *c, int64_t n, struct err *e)
{
    c->labels = mem_alloc((size_t)n, sizeof *c->labels, "labels", e);
    if (!c->labels)
        return -1;
    c->n_labels = (int)n;
    return 0;
}

static void set_generic(struct config *c)
{
    char name[32];

    c->labels_generic = true;
    for (int i = 0; i < c->n_labels && c->labels_generic; i++) {
        snprintf(name, sizeof name, "LABEL_%d", i);
        c->labels_generic = !strcmp(c->labels[i], name);
    }
}

/* LABEL_0 ... LABEL_{n-1}, as transformers names them. */
static int generic_labels(struct config *c, int64_t n, struct err *e)
{
    char name[32];

    if (alloc_labels(c, n, e))
        return -1;
    for (int i = 0; i < c->n_labels; i++) {
        snprintf(name, sizeof name, "LABEL_%d", i);
        c->labels[i] = mem_dup(name, e);
        if (!c->labels[i])
            return -1;
    }
    return 0;
}

/* The index that a key of id2label spells, or -1. */
static int64_t label_index(const char *key, int64_t n)
{
    int64_t i = 0;

    if (!*key || (key[0] == '0' && key[1]))
        return -1;
    for (; *key; key++) {
        if (*key < '0' || *key > '9')
            return -1;
        i = i * 10 + (*key - '0');
        if (i >= n)
            return -1;
    }
    return i;
}

static int read_id2label(struct config *c, const struct reader *r, const json_t *map)
{
    const int64_t n = (int64_t)json_object_size(map);
    const char *key;
    json_t *v;

    if (n < 1 || n > MAX_LABELS)
        return err_set(r->e, ERR_DATA, "%s: id2label has %lld entries", r->file, (long long)n);
    if (alloc_labels(c, n, r->e))
        return -1;
    json_object_foreach((json_t *)map, key, v) {
        const int64_t i = label_index(key, n);

        if (i < 0 || c->labels[i])
            return err_set(r->e, ERR_DATA, "%s: id2label has the key '%.40s', not 0 to %lld",
                           r->file, key, (long long)n - 1);
        if (!json_is_string(v) || json_string_length(v) != strlen(json_string_value(v)))
            return err_set(r->e, ERR_DATA, "%s: label %lld of id2label is not a string",
                           r->file, (long long)i);
        c->labels[i] = mem_dup(json_string_value(v), r->e);
        if (!c->labels[i])
            return -1;
    }
    return 0;
}

static const char *const problems[] = {[PROBLEM_SINGLE] = "single_label_classification",
                                       [PROBLEM_MULTI] = "multi_label_classification",
                                       [PROBLEM_REGRESSION] = "regression"};

static int read_labels(struct config *c, const struct reader *r)
{
    const json_t *map = json_object_get(r->json, "id2label");
    const char *problem;
    int64_t n;

    if (map && json_is_object(map)) {
        if (read_id2label(c, r, map))
            return -1;
    } else if (map && !json_is_null(map)) {
        return err_set(r->e, ERR_DATA, "%s: 'id2label' is not an object", r->file);
    } else if (get_int(r, "num_labels", 1, MAX_LABELS, 2, &n) ||
               generic_labels(c, n, r->e)) {
        return -1;
    }
    set_generic(c);
    c->problem = c->n_labels == 1 ? PROBLEM_REGRESSION : PROBLEM_SINGLE;
    if (get_string(r, "problem_type", NULL, &problem))
        return -1;
    if (!problem)
        return 0;
    c->problem_given = true;
    for (int i = 0; i < 3; i++)
        if (!strcmp(problem, problems[i])) {
            c->problem = (enum problem)i;
            return 0;
        }
    return err_set(r->e, ERR_DATA, "%s: problem_type '%s' is not known", r->file, problem);
}

static json_t *parse(const char *dir, const char *file, struct err *e)
{
    json_error_t why;
    FILE *f = fopen(file, "rb");
    json_t *json;

    if (!f) {
        const bool absent = errno == ENOENT || errno == ENOTDIR;

        if (absent)
            err_set(e, ERR_NOINPUT, "'%s' is no model directory: it has no config.json", dir);
        else
            err_sys(e, ERR_NOINPUT, "cannot open '%s'", file);
        return NULL;
    }
    errno = 0;
    json = json_loadf(f, JSON_REJECT_DUPLICATES, &why);
    if (errno == ENOMEM) { /* which the parser calls a syntax error, or does not notice */
        json_decref(json);
        json = NULL;
        err_oom(e, "config.json", 0);
    }
    fclose(f);
    if (!json)
        err_set(e, ERR_DATA, "%s:%d: %s", file, why.line, why.text);
    else if (!json_is_object(json)) {
        err_set(e, ERR_DATA, "%s: not a JSON object", file);
        json_decref(json);
        json = NULL;
    }
    return json;
}

static int interpret(struct config *c, const char *file, struct err *e)
{
    const struct reader r = {c->json, file, e};
    const int row = find_family(c->json);
    const char *type;

    if (row < 0) {
        if (get_string(&r, "model_type", "(none)", &type))
            return -1;
        return err_set(e, ERR_DATA, "%s: model_type '%s' is not supported (bert, roberta, "
                       "xlm-roberta and camembert are)", file, type);
    }
    c->family = families[row].family;
    if (read_sizes(c, &r) || read_rates(c, &r) || read_activation(c, &r) ||
        get_flag(&r, "tie_word_embeddings", true, &c->tied) || refuse_unsupported(&r))
        return -1;
    return check_truncate(c, &r) || read_labels(c, &r) ? -1 : 0;
}

int config_load(struct config *c, const char *dir, struct err *e)
{
    struct buf file = {0};
    int rc = -1;

    memset(c, 0, sizeof *c);
    if (buf_addf(&file, e, "%s/config.json", dir))
        goto out;
    c->json = parse(dir, file.data, e);
    if (c->json)
        rc = interpret(c, file.data, e);
out:
    buf_free(&file);
    if (rc)
        config_free(c);
    return rc;
}

void config_free(struct config *c)
{
    free_labels(c);
    if (c->json)
        json_decref(c->json);
    c->json = NULL;
}

int64_t config_max_len(const struct config *c)
{
    return c->family == FAMILY_ROBERTA ? c->positions - c->pad_id - 1 : c->positions;
}

const char *config_truncate(const struct config *c)
{
    const char *how = json_string_value(json_object_get(c->json, truncate_key));

    return how ? how : truncate_usual;
}

int config_set_truncate(struct config *c, const char *how, struct err *e)
{
    if (strcmp(how, truncate_usual) == 0) {
        json_object_del(c->json, truncate_key); /* absent most often, which is no error */
        return 0;
    }
    if (json_object_set_new(c->json, truncate_key, json_string(how)))
        return err_oom(e, "config.json", 0);
    return 0;
}

/* id2label, label2id and problem_type of the struct into its JSON. */
static int labels_to_json(struct config *c, struct err *e)
{
    json_t *by_id = json_object(), *by_label = json_object();
    char key[32];
    int bad = !by_id || !by_label;

    for (int i = 0; i < c->n_labels && !bad; i++) {
        json_t *name;

        errno = 0;
        name = json_string(c->labels[i]);
        if (!name) {
            json_decref(by_id);
            json_decref(by_label);
            return errno == ENOMEM
                       ? err_oom(e, "labels", 0)
                       : err_set(e, ERR_DATA, "label %d is not valid UTF-8", i + 1);
        }
        snprintf(key, sizeof key, "%d", i);
        bad = json_object_set_new(by_id, key, name) ||
              json_object_set_new(by_label, c->labels[i], json_integer(i));
    }
    bad = bad || json_object_set(c->json, "id2label", by_id) ||
          json_object_set(c->json, "label2id", by_label) ||
          json_object_set_new(c->json, "problem_type", json_string(problems[c->problem]));
    json_object_del(c->json, "num_labels");
    json_decref(by_id);
    json_decref(by_label);
    return bad ? err_oom(e, "config.json", 0) : 0;
}

int config_set_labels(struct config *c, enum problem problem, char *const *labels, int n,
                      struct err *e)
{
    if (n < 1 || n > MAX_LABELS)
        return err_set(e, ERR_DATA, "a model cannot have %d labels", n);
    if (labels != c->labels) {
        free_labels(c);
        if (alloc_labels(c, n, e))
            return -1;
        for (int i = 0; i < n; i++) {
            c->labels[i] = mem_dup(labels[i], e);
            if (!c->labels[i])
                return -1;
        }
    }
    c->problem = problem;
    c->problem_given = true;
    set_generic(c);
    return labels_to_json(c, e);
}

char *config_text(const struct config *c, bool mlm, struct err *e)
{
    const int row = find_family(c->json);
    json_t *out;
    char class_name[64], *text = NULL;
    struct buf with_newline = {0};

    errno = 0; /* without memory the copy lacks members, and nothing else tells */
    out = json_copy(c->json);
    snprintf(class_name, sizeof class_name, "%s%s", families[row < 0 ? 0 : row].class_prefix,
             mlm ? "ForMaskedLM" : "ForSequenceClassification");
    if (!out || json_object_set_new(out, "architectures", json_pack("[s]", class_name)) ||
        json_object_set_new(out, "dtype", json_string("float32")) || errno == ENOMEM) {
        err_oom(e, "config.json", 0);
        json_decref(out);
        return NULL;
    }
    json_object_del(out, "torch_dtype"); /* the older name of dtype */
    text = jsontext_dump(out, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    json_decref(out);
    if (!text || buf_puts(&with_newline, text, e) || buf_putc(&with_newline, '\n', e)) {
        err_oom(e, "config.json", 0);
        free(text);
        buf_free(&with_newline);
        return NULL;
    }
    free(text);
    return with_newline.data;
}
