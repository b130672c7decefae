/* SPDX-License-Identifier: MIT */
/*
 * dump_model: what the model computes, for the outside judge in model.py.
 *
 *     dump_model logits MODEL IN.json        one line of logits a row, then "loss X"
 *     dump_model grads  MODEL IN.json OUT    floats of every gradient in OUT; "NAME N" lines
 *     dump_model train  MODEL IN.json        "LOSS NORM" of every step
 *     dump_model save   MODEL IN.json DIR    trains as above, then writes a model directory
 *     dump_model bytes  MODEL IN.json        what model_bytes says for the first batch
 *
 * IN.json: {"head": "classify"|"mlm", "train": {...}, "labels": [...], "problem": 0..2,
 * "device": "cpu",
 * "init": seed, "dropout": P, -1 for the config's, "batches": [{"ids": [[...]], "types": [[...]], "rows": [[...]], "label": [...],
 * "target": [[...]]}]}.  Each batch is one step.
 */
#include "mem.h"
#include "model.h"
#include "modeldir.h"
#include "philox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double number(const json_t *o, const char *key, double fallback)
{
    const json_t *v = json_object_get(o, key);

    return v ? json_number_value(v) : fallback;
}

static int fail(struct err *e)
{
    fprintf(stderr, "dump_model: %s\n", e->text);
    return e->code ? e->code : 1;
}

/* One sequence behind the others, its picked rows and its gold. */
static void add_sequence(struct batch *b, const json_t *o, size_t i)
{
    const json_t *ids = json_array_get(json_object_get(o, "ids"), i);
    const json_t *types = json_array_get(json_object_get(o, "types"), i);
    const json_t *rows = json_array_get(json_object_get(o, "rows"), i);
    const int32_t n = (int32_t)json_array_size(ids), start = b->n_tok;

    for (int32_t k = 0; k < n; k++) {
        const int32_t at = b->n_tok++;

        b->ids[at] = (int32_t)json_integer_value(json_array_get(ids, (size_t)k));
        b->types[at] = (int32_t)json_integer_value(json_array_get(types, (size_t)k));
        b->positions[at] = k;
        b->row[at].record = (uint32_t)i;
        b->row[at].offset = (uint32_t)k;
    }
    b->cu[++b->n_seq] = b->n_tok;
    if (n > b->max_len)
        b->max_len = n;
    for (size_t k = 0; k < (rows ? json_array_size(rows) : 1); k++)
        b->rows[b->n_rows++] =
            start + (rows ? (int32_t)json_integer_value(json_array_get(rows, k)) : 0);
}

static int make_batch(struct batch *b, const json_t *o, struct err *e)
{
    const json_t *ids = json_object_get(o, "ids"), *label = json_object_get(o, "label");
    const json_t *target = json_object_get(o, "target");
    const size_t n = json_array_size(ids);
    const int targets = target ? (int)json_array_size(json_array_get(target, 0)) : 0;
    size_t tokens = 0;

    for (size_t i = 0; i < n; i++)
        tokens += json_array_size(json_array_get(ids, i));
    if (batch_reserve(b, tokens, n, tokens, targets, e))
        return -1;
    batch_reset(b);
    for (size_t i = 0; i < n; i++)
        add_sequence(b, o, i);
    for (int32_t i = 0; i < b->n_rows; i++) {
        b->label[i] =
            label ? (int32_t)json_integer_value(json_array_get(label, (size_t)i)) : -1;
        b->weight[i] = 1;
        for (int k = 0; k < targets; k++)
            b->target[i * targets + k] = (float)json_number_value(
                json_array_get(json_array_get(target, (size_t)i), (size_t)k));
    }
    return 0;
}

static int open_model(struct model **m, const char *dir, const json_t *in, struct msg *msg,
                      struct err *e)
{
    const char *head = json_string_value(json_object_get(in, "head"));
    const char *device = json_string_value(json_object_get(in, "device"));
    const json_t *labels = json_object_get(in, "labels");
    static char *names[1024];
    struct model_options o = {.dir = dir,
                              .head = head && !strcmp(head, "mlm") ? HEAD_MLM : HEAD_CLASSIFY,
                              .dropout = number(in, "dropout", 0),
                              .device = device ? device : "cpu",
                              .precision = "fp32"};

    o.init = json_object_get(in, "init") != NULL;
    o.seed = (uint64_t)number(in, "init", 0);
    for (size_t i = 0; labels && i < json_array_size(labels) && i < 1024; i++) {
        names[i] = (char *)(uintptr_t)json_string_value(json_array_get(labels, i));
        o.n_labels++;
    }
    o.labels = labels ? names : NULL;
    o.problem = (enum problem)(int)number(in, "problem", 0);
    *m = model_open(&o, msg, e);
    return *m ? 0 : -1;
}

static struct model_limits limits_of(const json_t *batches, struct batch *b, bool train,
                                     struct err *e)
{
    struct model_limits l = {.train = train};

    for (size_t i = 0; i < json_array_size(batches); i++) {
        if (make_batch(b, json_array_get(batches, i), e))
            break;
        l.tokens = b->n_tok > l.tokens ? b->n_tok : l.tokens;
        l.sequences = b->n_seq > l.sequences ? b->n_seq : l.sequences;
        l.rows = b->n_rows > l.rows ? b->n_rows : l.rows;
        l.max_len = b->max_len > l.max_len ? b->max_len : l.max_len;
    }
    return l;
}

static int logits(struct model *m, const json_t *batches, struct batch *b, struct err *e)
{
    for (size_t i = 0; i < json_array_size(batches); i++) {
        const int classes = model_config(m)->n_labels;
        const bool mlm = json_object_get(json_array_get(batches, i), "rows") != NULL;
        struct loss_sum sum = {0};
        float *z;

        if (make_batch(b, json_array_get(batches, i), e))
            return -1;
        z = mem_alloc((size_t)b->n_rows * (size_t)classes, sizeof *z, "logits", e);
        if (!z)
            return -1;
        if (model_evaluate(m, b, mlm ? NULL : z, &sum, e)) {
            free(z);
            return -1;
        }
        for (int k = 0; k < b->n_rows * classes && !mlm; k++)
            printf("%.9g%c", z[k], (k + 1) % classes ? ' ' : '\n');
        printf("loss %.9g\n", sum.loss / sum.weight);
        free(z);
    }
    return 0;
}

static int write_gradient(void *ctx, const struct model_tensor *t, struct err *e)
{
    (void)e;
    if (t->tied)
        return 0;
    printf("%s %lld\n", t->name, (long long)t->n);
    return fwrite(t->data, sizeof *t->data, (size_t)t->n, ctx) == (size_t)t->n ? 0 : -1;
}

static int gradients(struct model *m, const json_t *batches, struct batch *b, const char *out,
                     struct err *e)
{
    struct loss_sum sum = {0};
    FILE *f;
    int rc;

    if (make_batch(b, json_array_get(batches, 0), e) ||
        model_gradient(m, b, 1.0 / b->n_rows, 1, &sum, e))
        return -1;
    f = fopen(out, "wb");
    if (!f)
        return err_sys(e, ERR_CREATE, "cannot create '%s'", out);
    rc = model_gradients(m, write_gradient, f, e);
    return fclose(f) || rc ? -1 : 0;
}

static int train(struct model *m, const json_t *in, struct batch *b, struct err *e)
{
    const json_t *batches = json_object_get(in, "batches"), *o = json_object_get(in, "train");
    const json_t *rates = json_object_get(o, "lr");

    for (size_t i = 0; i < json_array_size(batches); i++) {
        struct model_update u = {.layer_decay = number(o, "layer_decay", 1),
                                 .head_lr = number(o, "head_lr", 1),
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = number(o, "eps", 1e-8),
                                 .clip = number(o, "clip", 1),
                                 .weight_decay = number(o, "decay", 0),
                                 .t = (int64_t)i + 1};
        struct loss_sum sum = {0};
        double norm;

        u.lr = json_number_value(json_array_get(rates, i));
        if (make_batch(b, json_array_get(batches, i), e) ||
            model_gradient(m, b, 1.0 / b->n_rows, (uint32_t)i + 1, &sum, e) ||
            model_update(m, &u, &norm, e))
            return -1;
        printf("%.9g %.9g\n", sum.loss / sum.weight, norm);
    }
    return 0;
}

static int save(struct model *m, bool mlm, const char *path, struct err *e)
{
    struct modeldir d;
    int rc;

    if (modeldir_begin(&d, path, true, e))
        return -1;
    rc = modeldir_put_model(&d, m, NULL, mlm, e) || modeldir_publish(&d, NULL, e) ? -1 : 0;
    modeldir_discard(&d);
    return rc;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct msg msg;
    struct batch b = {0};
    struct model *m = NULL;
    json_error_t why;
    json_t *in = argc > 3 ? json_load_file(argv[3], 0, &why) : NULL;
    const json_t *batches = json_object_get(in, "batches");
    const char *command = argc > 1 ? argv[1] : "", *out = argc > 4 ? argv[4] : NULL;
    const bool training = strcmp(command, "logits") != 0;
    struct model_limits l;
    int rc = -1;

    msg_init(&msg, "dump_model", MSG_VERBOSE);
    if (!in || open_model(&m, argv[2], in, &msg, &e))
        goto out;
    l = limits_of(batches, &b, training, &e);
    if (e.code || model_reserve(m, &l, &e))
        goto out;
    if (!strcmp(command, "logits"))
        rc = logits(m, batches, &b, &e);
    else if (!strcmp(command, "grads") && out)
        rc = gradients(m, batches, &b, out, &e);
    else if (!strcmp(command, "train"))
        rc = train(m, in, &b, &e);
    else if (!strcmp(command, "save") && out)
        rc = train(m, in, &b, &e) ||
                     save(m, !strcmp(json_string_value(json_object_get(in, "head")), "mlm"),
                          out, &e)
                 ? -1
                 : 0;
    else if (!strcmp(command, "bytes"))
        rc = printf("%zu %lld\n", model_bytes(m, &l), (long long)model_parameters(m)) < 0;
out:
    batch_free(&b);
    model_close(m);
    json_decref(in);
    return rc ? fail(&e) : 0;
}
