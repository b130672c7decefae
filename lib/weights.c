/* SPDX-License-Identifier: MIT */
#include "weights.h"
#include "io.h"
#include "mem.h"
#include "pickle.h"
#include "safetensors.h"
#include "tensorfile.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS_MAX = 256, INDEX_MAX = 64 << 20 };

struct weights {
    struct tensorfile files[SHARDS_MAX];
    const char *shard[SHARDS_MAX]; /* their names, in the index */
    size_t n_files;
    struct stored_list list; /* by name */
    json_t *index;
};

/* The places where weights are looked for, the best first. */
static const struct place {
    const char *name;
    bool index, pickle;
} places[] = {
    {"model.safetensors", false, false},
    {"model.safetensors.index.json", true, false},
    {"pytorch_model.bin", false, true},
    {"pytorch_model.bin.index.json", true, true},
};

/* Opens one more file and lists its tensors. */
static int add_file(struct weights *w, const char *dir, const char *name, bool pickle,
                    struct err *e)
{
    struct tensorfile *f = &w->files[w->n_files];
    char *path = io_join(dir, name, e);
    int rc;

    if (!path)
        return -1;
    rc = tensorfile_open(f, path, e);
    free(path);
    if (rc)
        return -1;
    w->shard[w->n_files++] = name;
    return pickle ? pickle_list(f, &w->list, e) : safetensors_list(f, &w->list, e);
}

/* A shard lies in the directory itself: an index must not lead elsewhere. */
static bool is_plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/');
}

static bool have_shard(const struct weights *w, const char *name)
{
    for (size_t i = 0; i < w->n_files; i++)
        if (strcmp(w->shard[i], name) == 0)
            return true;
    return false;
}

/* Every tensor of the index must be in the shard that the index names. */
static int check_index(const struct weights *w, json_t *map, const char *path,
                       struct err *e)
{
    const char *tensor;
    json_t *shard;

    json_object_foreach(map, tensor, shard) {
        const struct weight *t = weights_find(w, tensor);
        const struct tensorfile *f = t ? ((const struct stored *)t)->file : NULL;

        if (!f || strcmp(w->shard[f - w->files], json_string_value(shard)) != 0)
            return err_set(e, ERR_DATA, "'%s': tensor '%s' is not in '%s'", path, tensor,
                           json_string_value(shard));
    }
    return 0;
}

static int open_shards(struct weights *w, const char *dir, const char *path, bool pickle,
                       json_t *map, struct err *e)
{
    const char *tensor;
    json_t *shard;

    if (!json_is_object(map) || json_object_size(map) == 0)
        return err_set(e, ERR_DATA, "'%s': no weight_map in it", path);
    json_object_foreach(map, tensor, shard) {
        const char *name = json_string_value(shard);

        if (!name || !is_plain_name(name))
            return err_set(e, ERR_DATA,
                           "'%s': the file of tensor '%s' is no plain file name", path,
                           tensor);
        if (have_shard(w, name))
            continue;
        if (w->n_files == SHARDS_MAX)
            return err_set(e, ERR_DATA, "'%s': more than %d shards", path, SHARDS_MAX);
        if (add_file(w, dir, name, pickle, e))
            return err_prefix(e, "'%s' names a shard: ", path);
    }
    if (stored_sort(&w->list, e))
        return -1;
    return check_index(w, map, path, e);
}

static int open_index(struct weights *w, const char *dir, const struct place *place,
                      struct err *e)
{
    char *path = io_join(dir, place->name, e), *text = NULL;
    json_error_t why;
    size_t n;
    int rc = -1;

    if (path)
        text = io_slurp(path, INDEX_MAX, &n, e);
    if (!text)
        goto done;
    errno = 0;
    w->index = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!w->index && errno == ENOMEM) /* the parser itself would call it a syntax error */
        err_oom(e, path, n);
    else if (!w->index)
        err_set(e, ERR_DATA, "'%s': line %d: %s", path, why.line, why.text);
    else
        rc = open_shards(w, dir, path, place->pickle,
                         json_object_get(w->index, "weight_map"), e);
done:
    free(text);
    free(path);
    return rc;
}

static const struct place *find_place(const char *dir, struct err *e)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *path = io_join(dir, places[i].name, e);
        bool there;

        if (!path)
            return NULL;
        there = io_exists(path);
        free(path);
        if (there)
            return &places[i];
    }
    if (!io_is_dir(dir))
        err_set(e, ERR_NOINPUT, "no model directory '%s'", dir);
    else
        err_set(e, ERR_NOINPUT, "no weights in '%s': neither model.safetensors nor "
                "pytorch_model.bin, nor an index of shards of either", dir);
    return NULL;
}

struct weights *weights_open(const char *dir, struct err *e)
{
    const struct place *place = find_place(dir, e);
    struct weights *w = place ? mem_alloc(1, sizeof *w, "weights", e) : NULL;
    int rc;

    if (!w)
        return NULL;
    if (place->index)
        rc = open_index(w, dir, place, e);
    else
        rc = add_file(w, dir, place->name, place->pickle, e) ? -1
                                                             : stored_sort(&w->list, e);
    if (rc == 0)
        return w;
    weights_close(w);
    return NULL;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_files; i++)
        tensorfile_close(&w->files[i]);
    stored_list_free(&w->list);
    json_decref(w->index);
    free(w);
}

size_t weights_count(const struct weights *w)
{
    return w->list.n;
}

/* A struct weight is the first member of a struct stored. */
const struct weight *weights_at(const struct weights *w, size_t i)
{
    return &w->list.at[i].w;
}

static int compare_to_name(const void *name, const void *t)
{
    return strcmp(name, ((const struct stored *)t)->w.name);
}

const struct weight *weights_find(const struct weights *w, const char *name)
{
    if (w->list.n == 0)
        return NULL;
    return bsearch(name, w->list.at, w->list.n, sizeof *w->list.at, compare_to_name);
}

int weights_read(const struct weights *w, const struct weight *t, float *to,
                 struct err *e)
{
    (void)w;
    return stored_read((const struct stored *)t, to, e);
}
