/* SPDX-License-Identifier: MIT */
/*
 *   DIR absent               .DIR.PID.0.tmp/ --rename--> DIR
 *   DIR a model, with force  .DIR.PID.0.tmp/ <-exchange-> DIR; what was no part of the
 *                            old model moves over, the rest is removed
 *   DIR empty, other files   DIR/.DIR.PID.0.tmp/, file by file into DIR, weights
 *                            last: DIR may be a mount point or the current directory
 *
 * In each case a directory has a model.safetensors only when all of it is there.
 */
#include "modeldir.h"
#include "io.h"
#include "mem.h"
#include "safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static const char weights_name[] = "model.safetensors";

/* Every file that a tokenizer may be made of, in any family. */
static const char *const tokenizer_files[] = {
    "added_tokens.json", "bpe.codes", "merges.txt", "sentencepiece.bpe.model",
    "special_tokens_map.json", "spiece.model", "spm.model", "tokenizer.json",
    "tokenizer_config.json", "vocab.json", "vocab.txt",
};
enum { N_TOKENIZER_FILES = sizeof tokenizer_files / sizeof *tokenizer_files };

static bool is_tokenizer_file(const char *name)
{
    for (size_t i = 0; i < N_TOKENIZER_FILES; i++)
        if (strcmp(name, tokenizer_files[i]) == 0)
            return true;
    return false;
}

/* Files that belong to a model, and that a new one replaces. */
static bool is_model_file(const char *name)
{
    static const char *const patterns[] = {
        "config.json", "model.safetensors", "model.safetensors.index.json",
        "model-*-of-*.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json",
        "pytorch_model-*-of-*.bin", "provenance.json",
    };

    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (fnmatch(patterns[i], name, 0) == 0)
            return true;
    return is_tokenizer_file(name);
}

static bool has_file(const char *dir, const char *name)
{
    struct stat st;
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool there;

    if (fd < 0)
        return false;
    there = fstatat(fd, name, &st, 0) == 0;
    close(fd);
    return there;
}

static bool is_finished(const char *dir)
{
    return has_file(dir, weights_name) ||
           (has_file(dir, "config.json") &&
            (has_file(dir, "model.safetensors.index.json") ||
             has_file(dir, "pytorch_model.bin") ||
             has_file(dir, "pytorch_model.bin.index.json")));
}

/* ---- names ---- */

/* The directory itself, where links lead, without slashes at its end. */
static char *resolve(const char *path, struct err *e)
{
    char *real = realpath(path, NULL), *copy;
    size_t n;

    if (real)
        return real;
    copy = mem_dup(path, e);
    if (!copy)
        return NULL;
    for (n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    return copy;
}

/* The directory that holds path, in memory of its own. */
static char *parent_of(const char *path, struct err *e)
{
    char *copy = mem_dup(path, e), *parent;

    if (!copy)
        return NULL;
    parent = mem_dup(dirname(copy), e);
    free(copy);
    return parent;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The shell that called us would stay in a directory that has another name, or none. */
static bool is_current(const char *dir)
{
    struct stat a, b;

    return stat(dir, &a) == 0 && stat(".", &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* An unfinished directory that is there is filled, else a new one comes beside it. */
static bool is_filled(const char *dir)
{
    return io_is_dir(dir) && !is_finished(dir);
}

int modeldir_check(const char *path, bool force, struct err *e)
{
    char *real = resolve(path, e), *parent = real ? parent_of(real, e) : NULL;
    const char *name = real ? last_name(real) : "";
    struct stat st;

    if (e->code)
        goto done;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        err_set(e, ERR_CREATE, "cannot create a model directory called '%s'", path);
    else if (stat(real, &st) == 0 && !S_ISDIR(st.st_mode))
        err_set(e, ERR_CREATE, "cannot create '%s': it is there, and no directory", path);
    else if (is_finished(real) && !force)
        err_set(e, ERR_CREATE, "'%s' holds a finished model; -f replaces it", path);
    else if (is_finished(real) && is_current(real))
        err_set(e, ERR_CREATE, "cannot replace '%s': it is the current directory", path);
    else if (access(is_filled(real) ? real : parent, W_OK | X_OK) != 0)
        err_sys(e, ERR_CREATE, "cannot create '%s'", path);
done:
    free(parent);
    free(real);
    return e->code ? -1 : 0;
}

/* ---- building ---- */

/* Whether a directory holds nothing but files of a model. */
static bool only_model_files(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *at;
    bool only = dir != NULL;

    while (only && (at = readdir(dir)) != NULL)
        only = is_model_file(at->d_name) || strcmp(at->d_name, ".") == 0 ||
               strcmp(at->d_name, "..") == 0 || fnmatch(".*.tmp", at->d_name, 0) == 0;
    if (dir)
        closedir(dir);
    return only;
}

/* Whether `name` is a temporary directory of ours, made by a process that is no more. */
static bool is_stale(const char *name, const char *model)
{
    const size_t n = strlen(model);
    int end = 0;
    unsigned attempt;
    long pid;

    if (name[0] != '.' || strncmp(name + 1, model, n) != 0 ||
        sscanf(name + 1 + n, ".%ld.%u.tmp%n", &pid, &attempt, &end) != 2 || end == 0 ||
        name[1 + n + (size_t)end] != '\0' || pid <= 0)
        return false;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/*
 * A process that was killed with SIGKILL while it published has left its temporary
 * directory.  That is cleaned up here, unless it may hold files that are not ours.
 * Failing is no error.
 */
static void remove_stale(const char *parent, const char *model)
{
    DIR *dir = opendir(parent);
    const struct dirent *at;

    while (dir && (at = readdir(dir)) != NULL) {
        struct err ignored = {0};
        char *path =
            is_stale(at->d_name, model) ? io_join(parent, at->d_name, &ignored) : NULL;

        if (path && only_model_files(path) && io_remove_tree(path, &ignored) != 0)
            err_clear(&ignored);
        free(path);
    }
    if (dir)
        closedir(dir);
}

static int make_temp(struct modeldir *d, struct err *e)
{
    char *parent = d->filled ? mem_dup(d->path, e) : parent_of(d->path, e);
    struct buf name = {0};
    int rc = -1;

    if (parent)
        remove_stale(parent, last_name(d->path));
    for (unsigned attempt = 0; parent && rc && attempt < 100; attempt++) {
        buf_reset(&name);
        if (buf_addf(&name, e, "%s/.%s.%ld.%u.tmp", parent, last_name(d->path),
                     (long)getpid(), attempt))
            break;
        rc = mkdir(name.data, 0777);
        if (rc && errno != EEXIST)
            break;
    }
    if (rc) {
        err_sys(e, ERR_CREATE, "cannot create '%s'", d->path);
        buf_free(&name);
    }
    free(parent);
    d->temp = name.data;
    return rc;
}

int modeldir_begin(struct modeldir *d, const char *path, bool force, struct err *e)
{
    *d = (struct modeldir){.force = force};
    if (modeldir_check(path, force, e))
        return -1;
    d->path = resolve(path, e);
    d->filled = d->path && is_filled(d->path);
    if (d->path && make_temp(d, e) == 0)
        return 0;
    modeldir_discard(d);
    return -1;
}

void modeldir_discard(struct modeldir *d)
{
    struct err ignored = {0};

    /*
     * There is an error on its way already, or the caller has given up: nothing to add.
     */
    if (d->temp && io_remove_tree(d->temp, &ignored) != 0)
        err_clear(&ignored);
    free(d->temp);
    free(d->path);
    *d = (struct modeldir){0};
}

int modeldir_put(struct modeldir *d, const char *name, const void *data, size_t n,
                 struct err *e)
{
    char *path = io_join(d->temp, name, e);
    int rc;

    if (!path)
        return -1;
    rc = io_put_file(path, data, n, e);
    free(path);
    return rc;
}

int modeldir_copy_tokenizer(struct modeldir *d, const char *from, struct err *e)
{
    for (size_t i = 0; i < N_TOKENIZER_FILES; i++) {
        char *path = io_join(from, tokenizer_files[i], e), *data = NULL;
        size_t n;
        int rc = -1;

        if (!path)
            return -1;
        if (!io_exists(path)) {
            free(path);
            continue;
        }
        data = io_slurp(path, (size_t)1 << 30, &n, e);
        if (data)
            rc = modeldir_put(d, tokenizer_files[i], data, n, e);
        free(data);
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}

/* ---- the model's own files ---- */

/* The tensors are visited twice: for their shapes, then for their values. */
struct tensors {
    struct safetensor *at;
    size_t n, cap;
    uint64_t *places; /* (n) */
    size_t next;      /* second visit */
    int fd;
    const char *file;
    uint64_t values_at;
};

static int note_tensor(void *ctx, const struct model_tensor *t, struct err *e)
{
    struct tensors *s = ctx;
    struct safetensor *to;
    char *name;

    if (t->tied)
        return 0;
    if (mem_grow(&s->at, &s->cap, s->n + 1, sizeof *s->at, e))
        return -1;
    name = mem_dup(t->name, e);
    if (!name)
        return -1;
    to = &s->at[s->n++];
    *to = (struct safetensor){.name = name, .n_dims = t->n_dims, .n = t->n};
    for (int i = 0; i < t->n_dims && i < 2; i++)
        to->dims[i] = t->dims[i];
    return 0;
}

static int write_tensor(void *ctx, const struct model_tensor *t, struct err *e)
{
    struct tensors *s = ctx;

    if (t->tied)
        return 0;
    if (s->next >= s->n || strcmp(s->at[s->next].name, t->name) != 0 ||
        s->at[s->next].n != t->n)
        return err_set(e, ERR_INTERNAL, "tensor '%s' changed while '%s' was written",
                       t->name, s->file);
    if (lseek(s->fd, (off_t)(s->values_at + s->places[s->next]), SEEK_SET) < 0)
        return err_sys(e, ERR_IO, "cannot write '%s'", s->file);
    s->next++;
    return io_write_full(s->fd, t->data, (size_t)t->n * sizeof *t->data, s->file, e);
}

static int write_weights(struct tensors *s, struct model *m, const float *params,
                         struct err *e)
{
    struct safetensors_file file;
    struct buf header = {0};
    size_t *order;
    int rc = -1;

    if (model_tensors(m, params, note_tensor, s, e))
        return -1;
    file = (struct safetensors_file){s->file, s->at, s->n};
    order = mem_alloc(s->n, sizeof *order, "tensor order", e);
    s->places = mem_alloc(s->n, sizeof *s->places, "tensor places", e);
    if (!order || !s->places ||
        safetensors_layout(&file, &header, order, s->places, e) ||
        io_write_full(s->fd, header.data, header.len, s->file, e))
        goto done;
    s->values_at = header.len;
    rc = model_tensors(m, params, write_tensor, s, e);
    if (!rc && s->next != s->n)
        rc = err_set(e, ERR_INTERNAL, "tensors were missing while '%s' was written",
                     s->file);
done:
    buf_free(&header);
    free(order);
    return rc;
}

static int put_weights(struct modeldir *d, struct model *m, const float *params,
                       struct err *e)
{
    char *path = io_join(d->temp, weights_name, e);
    struct tensors s = {.file = path};
    struct io_out out;
    int rc = -1;

    if (path && io_out_open(&out, path, e) == 0) {
        s.fd = out.fd;
        rc = write_weights(&s, m, params, e);
        if (rc)
            io_discard(&out);
        else
            rc = io_publish(&out, e);
    }
    for (size_t i = 0; i < s.n; i++)
        free((char *)s.at[i].name);
    free(s.at);
    free(s.places);
    free(path);
    return rc;
}

int modeldir_put_model(struct modeldir *d, struct model *m, const float *params, bool mlm,
                       struct err *e)
{
    char *text = config_text(model_config(m), mlm, e);
    int rc;

    if (!text)
        return -1;
    rc = modeldir_put(d, "config.json", text, strlen(text), e);
    free(text);
    return rc ? rc : put_weights(d, m, params, e);
}

/* ---- publishing ---- */

/* model.safetensors is the last to be stamped: make(1) may depend on it. */
static int stamp_weights(const char *dir, struct err *e)
{
    char *path = io_join(dir, weights_name, e);
    int rc;

    if (!path)
        return -1;
    rc = utimensat(AT_FDCWD, path, NULL, 0);
    if (rc != 0 && errno != ENOENT)
        err_sys(e, ERR_IO, "cannot stamp '%s'", path);
    free(path);
    return e->code ? -1 : 0;
}

/* Renames one entry of a directory into another, unless something has that name there. */
static int move_entry(const char *from, const char *to, const char *name, bool replace,
                      struct err *e)
{
    char *a = io_join(from, name, e), *b = io_join(to, name, e);
    int rc = a && b ? 0 : -1;

    if (!rc && (replace || !io_exists(b)) && rename(a, b) != 0)
        rc = err_sys(e, ERR_CREATE, "cannot move '%s' to '%s'", a, b);
    free(a);
    free(b);
    return rc;
}

/* Calls move_entry for what `which` picks. */
static int move_entries(const char *from, const char *to, bool (*which)(const char *name),
                        bool replace, struct err *e)
{
    DIR *dir = opendir(from);
    struct dirent *at;
    int rc = 0;

    if (!dir)
        return err_sys(e, ERR_IO, "cannot read directory '%s'", from);
    while (!rc && (at = readdir(dir)) != NULL)
        if (strcmp(at->d_name, ".") != 0 && strcmp(at->d_name, "..") != 0 &&
            which(at->d_name))
            rc = move_entry(from, to, at->d_name, replace, e);
    closedir(dir);
    return rc;
}

static bool is_foreign(const char *name)
{
    return !is_model_file(name);
}

static bool is_not_weights(const char *name)
{
    return strcmp(name, weights_name) != 0;
}

/* A finished model goes away and the new one comes in one step where the system can. */
static int exchange(struct modeldir *d, struct err *e)
{
    struct buf old = {0};
    int rc;

    if (renameat2(AT_FDCWD, d->temp, AT_FDCWD, d->path, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return err_sys(e, ERR_CREATE, "cannot replace '%s'", d->path);
    /* File systems without it: the old one steps aside, and back when something fails. */
    if (buf_addf(&old, e, "%s.old", d->temp))
        return -1;
    rc = rename(d->path, old.data);
    if (rc == 0 && rename(d->temp, d->path) != 0) {
        err_sys(e, ERR_CREATE, "cannot replace '%s'", d->path);
        if (rename(old.data, d->path) != 0)
            err_prefix(e, "the old model is now '%s': ", old.data);
    } else if (rc != 0) {
        err_sys(e, ERR_CREATE, "cannot replace '%s'", d->path);
    } else if (rename(old.data, d->temp) != 0) {
        err_sys(e, ERR_IO, "cannot remove '%s'", old.data);
    }
    buf_free(&old);
    return e->code ? -1 : 0;
}

static int replace_model(struct modeldir *d, struct err *e)
{
    char *old;
    int rc;

    if (exchange(d, e))
        return -1;
    /*
     * The new model is in its place.  The old one must not be discarded with its guests.
     */
    old = d->temp;
    d->temp = NULL;
    rc = move_entries(old, d->path, is_foreign, false, e);
    if (!rc)
        rc = io_sync_dir(d->path, e);
    if (!rc)
        rc = io_remove_tree(old, e);
    if (rc)
        err_prefix(e, "the new model is written, but the old one is left in '%s': ", old);
    free(old);
    return rc;
}

static int fill_directory(struct modeldir *d, struct err *e)
{
    char *weights = io_join(d->path, weights_name, e);
    int rc = weights ? 0 : -1;

    /* A stale one would make the half-filled directory look finished. */
    if (!rc && unlink(weights) != 0 && errno != ENOENT)
        rc = err_sys(e, ERR_CREATE, "cannot replace '%s'", weights);
    free(weights);
    if (rc || move_entries(d->temp, d->path, is_not_weights, true, e) ||
        io_sync_dir(d->path, e) || move_entry(d->temp, d->path, weights_name, true, e) ||
        io_sync_dir(d->path, e))
        return -1;
    return io_remove_tree(d->temp, e);
}

int modeldir_publish(struct modeldir *d, char *hash, struct err *e)
{
    char *parent = parent_of(d->path, e);
    bool appeared = false;
    int rc = -1;

    if (!parent || (hash && modeldir_hash(d->temp, hash, e)) ||
        stamp_weights(d->temp, e) || io_sync_dir(d->temp, e))
        goto done;
    /* Again: a model may have been finished there since modeldir_begin. */
    if (is_finished(d->path) && !d->force)
        err_set(e, ERR_CREATE, "'%s' holds a finished model by now; -f replaces it",
                d->path);
    else if (d->filled)
        rc = fill_directory(d, e);
    else if (is_finished(d->path))
        rc = replace_model(d, e);
    else if ((appeared = rename(d->temp, d->path) == 0))
        rc = 0;
    else
        err_sys(e, ERR_CREATE, "cannot create '%s'", d->path);
    if (!rc)
        rc = io_sync_dir(parent, e);
    /* Who is told of a failure finds no model: modeldir_discard takes it. */
    if (rc && appeared && rename(d->path, d->temp) != 0)
        err_prefix(e, "'%s' is there, but: ", d->path);
done:
    free(parent);
    modeldir_discard(d);
    return rc;
}

/* ---- identity ---- */

static int hash_file(XXH3_state_t *state, const char *dir, const char *name,
                     struct err *e)
{
    enum { PIECE = 1 << 20 };
    char *path = io_join(dir, name, e), *piece = malloc(PIECE);
    uint64_t size = 0;
    ssize_t got = -1;
    int fd = -1;

    if (!path || !piece) {
        err_oom(e, "model hash", PIECE);
        goto done;
    }
    if (!io_exists(path)) {
        got = 0;
        goto done;
    }
    fd = io_open_in(path, e);
    if (fd < 0)
        goto done;
    XXH3_128bits_update(state, name, strlen(name) + 1);
    while ((got = io_read_full(fd, piece, PIECE, path, e)) > 0) {
        XXH3_128bits_update(state, piece, (size_t)got);
        size += (uint64_t)got;
    }
    XXH3_128bits_update(state, &size, sizeof size);
    close(fd);
done:
    free(piece);
    free(path);
    return got < 0 ? -1 : 0;
}

int modeldir_hash(const char *path, char hash[33], struct err *e)
{
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t value;
    int rc;

    if (!state)
        return err_oom(e, "model hash", 1024);
    if (!has_file(path, weights_name))
        err_set(e, ERR_NOINPUT, "no model in '%s'", path);
    XXH3_128bits_reset(state);
    /* In a fixed order; provenance.json is no part of it: it names paths and threads. */
    rc = e->code ? -1 : hash_file(state, path, "config.json", e);
    if (!rc)
        rc = hash_file(state, path, weights_name, e);
    for (size_t i = 0; !rc && i < N_TOKENIZER_FILES; i++)
        rc = hash_file(state, path, tokenizer_files[i], e);
    value = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    if (!rc)
        snprintf(hash, 33, "%016llx%016llx", (unsigned long long)value.high64,
                 (unsigned long long)value.low64);
    return rc;
}
