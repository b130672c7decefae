/* SPDX-License-Identifier: MIT */
#include "checkpoint.h"

#include "io.h"
#include "jsontext.h"
#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define MANIFEST "manifest.json"
#define HIDDEN ".part-" /* of a checkpoint that is being written or taken away */
#define TEXT_MAX ((size_t)256 << 20)

enum { READ_CHUNK = 1 << 20 };

static void hex128(XXH128_hash_t h, char hex[33])
{
    snprintf(hex, 33, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
}

/* ---- the checkpoints of a root ---- */

struct steps {
    int64_t *at; /* (n) newest first */
    size_t n, cap;
};

static int newest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x > y ? -1 : x < y;
}

/* The number that a directory entry names, or -1. */
static int64_t entry_step(const char *name)
{
    const size_t n = strlen(name);

    if (n == 0 || n > 18 || name[strspn(name, "0123456789")] || (name[0] == '0' && n > 1))
        return -1;
    return strtoll(name, NULL, 10);
}

/* Lists the checkpoints; with sweep, removes what a killed run left half-written. */
static int list_steps(const char *root, bool sweep, struct steps *s, struct err *e)
{
    DIR *d = opendir(root);
    struct dirent *entry;
    int rc = 0;

    memset(s, 0, sizeof *s);
    if (!d)
        return errno == ENOENT ? 0 : err_sys(e, ERR_IO, "cannot read '%s'", root);
    while (rc == 0 && (entry = readdir(d)) != NULL) {
        const int64_t step = entry_step(entry->d_name);

        if (step >= 0) {
            rc = mem_grow(&s->at, &s->cap, s->n + 1, sizeof *s->at, e);
            if (rc == 0)
                s->at[s->n++] = step;
        } else if (sweep && strncmp(entry->d_name, HIDDEN, sizeof HIDDEN - 1) == 0) {
            char *path = io_join(root, entry->d_name, e);

            rc = path ? io_remove_tree(path, e) : -1;
            free(path);
        }
    }
    closedir(d);
    if (s->n)
        qsort(s->at, s->n, sizeof *s->at, newest_first);
    return rc;
}

static char *step_path(const char *root, const char *prefix, int64_t step, struct err *e)
{
    char name[64];

    snprintf(name, sizeof name, "%s%lld", prefix, (long long)step);
    return io_join(root, name, e);
}

/*
 * Removes the checkpoint of a step, under a hidden name first so that no half of it
 * counts.
 */
static int remove_step(const char *root, int64_t step, struct err *e)
{
    char *path = step_path(root, "", step, e),
         *aside = step_path(root, HIDDEN "old-", step, e);
    int rc = -1;

    if (path && aside) {
        if (rename(path, aside) && errno != ENOENT)
            err_sys(e, ERR_IO, "cannot rename '%s'", path);
        else
            rc = io_remove_tree(aside, e);
    }
    free(path);
    free(aside);
    return rc;
}

int checkpoint_trim(const char *root, int64_t keep, struct err *e)
{
    struct steps s;
    int rc = 0;

    if (keep == 0)
        return io_remove_tree(root, e);
    rc = list_steps(root, true, &s, e);
    for (size_t i = (size_t)keep; rc == 0 && i < s.n; i++)
        rc = remove_step(root, s.at[i], e);
    free(s.at);
    return rc;
}

/* ---- writing ---- */

int checkpoint_begin(struct checkpoint *c, const char *root, int64_t step, struct err *e)
{
    memset(c, 0, sizeof *c);
    c->step = step;
    c->files = json_object();
    c->root = mem_dup(root, e);
    if (!c->files || !c->root)
        return err_oom(e, "a checkpoint", 0);
    if (mkdir(root, 0777) && errno != EEXIST) {
        err_sys(e, ERR_CREATE, "cannot create '%s'", root);
        checkpoint_abort(c);
        return -1;
    }
    c->path = step_path(root, "", step, e);
    c->temp = step_path(root, HIDDEN, step, e);
    if (!c->path || !c->temp || io_remove_tree(c->temp, e)) {
        checkpoint_abort(c);
        return -1;
    }
    if (mkdir(c->temp, 0777)) {
        err_sys(e, ERR_CREATE, "cannot create '%s'", c->temp);
        checkpoint_abort(c);
        return -1;
    }
    return 0;
}

int checkpoint_put(struct checkpoint *c, const char *name, const void *data, size_t n,
                   struct err *e)
{
    char hex[33], *path = io_join(c->temp, name, e);
    json_t *entry;
    int rc;

    if (!path)
        return -1;
    hex128(XXH3_128bits(data, n), hex);
    rc = io_put_file(path, data, n, e);
    free(path);
    if (rc)
        return -1;
    entry = json_pack("{s:I,s:s}", "bytes", (json_int_t)n, "xxh3_128", hex);
    if (!entry || json_object_set_new(c->files, name, entry))
        return err_oom(e, "a checkpoint's manifest", 0);
    return 0;
}

static int put_manifest(struct checkpoint *c, struct err *e)
{
    json_t *manifest =
        json_pack("{s:s,s:i,s:I,s:O}", "format", "bertutils checkpoint", "version", 1,
                  "step", (json_int_t)c->step, "files", c->files);
    char *text =
        manifest ? jsontext_dump(manifest, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
    char *path = io_join(c->temp, MANIFEST, e);
    int rc = -1;

    if (text && path)
        rc = io_put_file(path, text, strlen(text), e);
    else
        err_oom(e, "a checkpoint's manifest", 0);
    json_decref(manifest);
    free(text);
    free(path);
    return rc;
}

/* Only the new one stays: the others are an earlier run's. */
static int remove_others(const struct checkpoint *c, struct err *e)
{
    struct steps s;
    int rc = list_steps(c->root, true, &s, e);

    for (size_t i = 0; rc == 0 && i < s.n; i++)
        if (s.at[i] != c->step)
            rc = remove_step(c->root, s.at[i], e);
    free(s.at);
    return rc;
}

int checkpoint_commit(struct checkpoint *c, int keep, struct err *e)
{
    int rc = -1;

    if (put_manifest(c, e) || io_sync_dir(c->temp, e) || remove_step(c->root, c->step, e))
        return -1;
    if (rename(c->temp, c->path))
        return err_sys(e, ERR_CREATE, "cannot create '%s'", c->path);
    if (io_sync_dir(c->root, e) == 0)
        rc = keep ? checkpoint_trim(c->root, keep, e) : remove_others(c, e);
    free(c->temp);
    c->temp = NULL;
    checkpoint_abort(c);
    return rc;
}

void checkpoint_abort(struct checkpoint *c)
{
    struct err ignored = {0};

    if (c->temp && io_remove_tree(c->temp, &ignored))
        err_clear(&ignored);
    /* Goes only when nothing else is in it. */
    if (c->root)
        (void)rmdir(c->root);
    json_decref(c->files);
    free(c->root);
    free(c->temp);
    free(c->path);
    memset(c, 0, sizeof *c);
}

/* ---- reading ---- */

static int hash_file(const char *path, uint64_t *bytes, char hex[33], struct err *e)
{
    XXH3_state_t *state = XXH3_createState();
    char *chunk = mem_alloc(READ_CHUNK, 1, "a buffer", e);
    const int fd = chunk && state ? io_open_in(path, e) : -1;
    ssize_t got = -1;

    *bytes = 0;
    if (fd >= 0) {
        XXH3_128bits_reset(state);
        while ((got = io_read_full(fd, chunk, READ_CHUNK, path, e)) > 0) {
            XXH3_128bits_update(state, chunk, (size_t)got);
            *bytes += (uint64_t)got;
        }
        close(fd);
        hex128(XXH3_128bits_digest(state), hex);
    }
    XXH3_freeState(state);
    free(chunk);
    return got < 0 ? -1 : 0;
}

/* One file against its entry. */
static int check_file(const char *dir, const char *name, const json_t *entry,
                      struct err *e)
{
    const char *want = json_string_value(json_object_get(entry, "xxh3_128"));
    const json_t *size = json_object_get(entry, "bytes");
    uint64_t bytes;
    char hex[33] = "", *path;
    int rc = -1;

    if (!want || !json_is_integer(size) || strchr(name, '/'))
        return err_set(e, ERR_DATA, "the manifest is damaged");
    path = io_join(dir, name, e);
    if (path && hash_file(path, &bytes, hex, e) == 0)
        rc = strcmp(hex, want) == 0 && bytes == (uint64_t)json_integer_value(size)
                 ? 0
                 : err_set(e, ERR_DATA, "'%s' is not what was written", name);
    free(path);
    return rc;
}

static int check_manifest(struct checkpoint_found *f, struct err *e)
{
    char *path = io_join(f->path, MANIFEST, e), *text = NULL;
    json_t *manifest = NULL, *files;
    const char *name;
    json_t *entry;
    size_t n;
    int rc = -1;

    if (path)
        text = io_slurp(path, TEXT_MAX, &n, e);
    free(path);
    if (!text)
        return -1;
    manifest = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    files = json_object_get(manifest, "files");
    if (!json_is_object(files) ||
        json_integer_value(json_object_get(manifest, "version")) != 1 ||
        json_integer_value(json_object_get(manifest, "step")) != f->step) {
        err_set(e, ERR_DATA, "the manifest is damaged");
    } else {
        rc = 0;
        json_object_foreach(files, name, entry)
            if (rc == 0)
                rc = check_file(f->path, name, entry, e);
        f->files = json_incref(files);
    }
    json_decref(manifest);
    return rc;
}

int checkpoint_find(struct checkpoint_found *f, const char *root, struct msg *m,
                    struct err *e)
{
    struct steps s;
    int found = 0;

    memset(f, 0, sizeof *f);
    if (list_steps(root, true, &s, e)) {
        free(s.at);
        return -1;
    }
    for (size_t i = 0; found == 0 && i < s.n; i++) {
        struct err why = {0};

        f->step = s.at[i];
        f->path = step_path(root, "", s.at[i], e);
        if (!f->path) {
            found = -1;
        } else if (check_manifest(f, &why) == 0) {
            found = 1;
        } else if (why.code == ERR_INTERNAL) {
            found = err_set(e, why.code, "%s", why.text);
        } else {
            msg_warn(m,
                     "the checkpoint '%s' is damaged (%s); looking for the one before it",
                     f->path, why.text);
            checkpoint_found_free(f);
        }
    }
    if (found == 0 && s.n)
        found = err_set(e, ERR_DATA,
                        "no checkpoint in '%s' is whole; without --resume the run "
                        "starts afresh",
                        root);
    if (found < 1)
        checkpoint_found_free(f);
    free(s.at);
    return found;
}

bool checkpoint_has(const struct checkpoint_found *f, const char *name)
{
    return json_object_get(f->files, name) != NULL;
}

int checkpoint_get(const struct checkpoint_found *f, const char *name, void *data,
                   size_t n, struct err *e)
{
    const json_t *entry = json_object_get(f->files, name);
    char *path;
    int fd, rc = -1;

    if (!entry || (size_t)json_integer_value(json_object_get(entry, "bytes")) != n)
        return err_set(e, ERR_DATA, "the checkpoint '%s' has no '%s' of %zu bytes: it is "
                       "another model's", f->path, name, n);
    path = io_join(f->path, name, e);
    if (!path)
        return -1;
    fd = io_open_in(path, e);
    if (fd >= 0) {
        const ssize_t got = io_read_full(fd, data, n, path, e);

        rc = got < 0            ? -1
             : (size_t)got == n ? 0
                                : err_set(e, ERR_DATA, "'%s' is cut", path);
        close(fd);
    }
    free(path);
    return rc;
}

char *checkpoint_text(const struct checkpoint_found *f, const char *name, struct err *e)
{
    char *path = io_join(f->path, name, e), *text = NULL;
    size_t n;

    if (path)
        text = io_slurp(path, TEXT_MAX, &n, e);
    free(path);
    return text;
}

void checkpoint_found_free(struct checkpoint_found *f)
{
    json_decref(f->files);
    free(f->path);
    memset(f, 0, sizeof *f);
}
