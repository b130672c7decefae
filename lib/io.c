/* SPDX-License-Identifier: MIT */
#include "io.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int io_open_in(const char *path, struct err *e)
{
    struct stat st;
    int fd;

    if (strcmp(path, "-") == 0)
        return STDIN_FILENO;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOINPUT : ERR_IO,
                       "cannot open '%s'", path);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return err_set(e, ERR_NOINPUT, "'%s' is a directory, not a file", path);
    }
    return fd;
}

const char *io_name(const char *path)
{
    return path && strcmp(path, "-") != 0 ? path : "standard input";
}

ssize_t io_read_some(int fd, void *data, size_t n, const char *name, struct err *e)
{
    ssize_t got;

    do
        got = read(fd, data, n);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(e, ERR_IO, "cannot read '%s'", name);
    return got;
}

ssize_t io_read_full(int fd, void *data, size_t n, const char *name, struct err *e)
{
    size_t have = 0;

    while (have < n) {
        const ssize_t got = io_read_some(fd, (char *)data + have, n - have, name, e);

        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

int io_write_full(int fd, const void *data, size_t n, const char *name, struct err *e)
{
    const char *p = data;
    size_t left = n;

    while (left > 0) {
        const ssize_t done = write(fd, p, left);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_sys(e, ERR_IO, "cannot write '%s' (%zu bytes more were to come)",
                           name, left);
        p += done;
        left -= (size_t)done;
    }
    return 0;
}

char *io_slurp(const char *path, size_t max, size_t *n, struct err *e)
{
    struct buf b = {0};
    const char *name = io_name(path);
    const int fd = io_open_in(path, e);
    size_t room = 65536;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= max)
        room = (size_t)st.st_size + 1;
    for (;;) {
        ssize_t got;

        if (b.cap < b.len + 2 && buf_reserve(&b, room > b.len ? room : b.len + 65536, e))
            goto fail;
        got = io_read_some(fd, b.data + b.len, b.cap - b.len - 1, name, e);
        if (got < 0)
            goto fail;
        if (got == 0)
            break;
        b.len += (size_t)got;
        if (b.len > max) {
            err_set(e, ERR_DATA, "'%s' is larger than the limit of %zu bytes", name, max);
            goto fail;
        }
    }
    if (fd != STDIN_FILENO)
        close(fd);
    b.data[b.len] = '\0';
    *n = b.len;
    return b.data;
fail:
    if (fd != STDIN_FILENO)
        close(fd);
    buf_free(&b);
    return NULL;
}

char *io_join(const char *dir, const char *name, struct err *e)
{
    struct buf b = {0};

    if (buf_addf(&b, e, "%s%s%s", dir, *dir && dir[strlen(dir) - 1] == '/' ? "" : "/",
                 name)) {
        buf_free(&b);
        return NULL;
    }
    return b.data;
}

bool io_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

bool io_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The directory part of a path, in memory of its own. */
static char *dir_of(const char *path, struct err *e)
{
    char *copy = mem_dup(path, e), *dir;

    if (!copy)
        return NULL;
    dir = mem_dup(dirname(copy), e);
    free(copy);
    return dir;
}

/* A name beside `path` that nobody else has: process id and a counter, tried until free.
 */
static char *temp_name(const char *path, unsigned attempt, struct err *e)
{
    struct buf b = {0};
    char *dir = dir_of(path, e);
    const char *base = strrchr(path, '/');

    if (!dir)
        return NULL;
    if (buf_addf(&b, e, "%s/.%s.%ld.%u.tmp", dir, base ? base + 1 : path, (long)getpid(),
                 attempt))
        buf_free(&b);
    free(dir);
    return b.data;
}

static int open_named_temp(struct io_out *o, struct err *e)
{
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        o->temp = temp_name(o->path, attempt, e);
        if (!o->temp)
            return -1;
        o->fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (o->fd >= 0 || errno != EEXIST)
            break;
        free(o->temp);
        o->temp = NULL;
    }
    if (o->fd >= 0)
        return 0;
    err_sys(e, ERR_CREATE, "cannot create '%s'", o->path);
    free(o->temp);
    o->temp = NULL;
    return -1;
}

/* Devices and pipes named by -o (such as /dev/full) are written in place: they have no
 * "whole". */
static bool written_in_place(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

int io_out_open(struct io_out *o, const char *path, struct err *e)
{
    char *dir;

    *o = (struct io_out){.fd = STDOUT_FILENO, .name = "standard output"};
    if (!path || strcmp(path, "-") == 0)
        return 0;
    o->fd = -1;
    o->name = path;
    if (written_in_place(path)) {
        o->fd = open(path, O_WRONLY | O_CLOEXEC);
        return o->fd >= 0 ? 0
                          : err_sys(e, ERR_CREATE, "cannot open '%s' for writing", path);
    }
    if (io_is_dir(path))
        return err_set(e, ERR_CREATE, "cannot create '%s': it is a directory", path);
    o->path = mem_dup(path, e);
    dir = dir_of(path, e);
    if (!o->path || !dir) {
        free(dir);
        return -1;
    }
    o->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    free(dir);
    if (o->fd >= 0)
        return 0;
    if (open_named_temp(o, e) == 0)
        return 0;
    free(o->path);
    o->path = NULL;
    return -1;
}

static int link_as(int fd, const char *name)
{
    char proc[64];

    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, proc, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

/* Gives an O_TMPFILE file a temporary name, so that rename can put it over an older file.
 */
static int link_temp(struct io_out *o, struct err *e)
{
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        o->temp = temp_name(o->path, attempt, e);
        if (!o->temp)
            return -1;
        if (link_as(o->fd, o->temp) == 0)
            return 0;
        if (errno != EEXIST)
            break;
        free(o->temp);
        o->temp = NULL;
    }
    err_sys(e, ERR_CREATE, "cannot create '%s'", o->path);
    free(o->temp);
    o->temp = NULL;
    return -1;
}

int io_sync_dir(const char *path, struct err *e)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return err_sys(e, ERR_IO, "cannot open directory '%s'", path);
    rc = fsync(fd);
    /* Some file systems cannot sync a directory, and say so; there is nothing more to do.
     */
    if (rc != 0 && errno != EINVAL && errno != EROFS) {
        err_sys(e, ERR_IO, "cannot sync directory '%s'", path);
        close(fd);
        return -1;
    }
    close(fd);
    return 0;
}

/* Gives the synced file its name; *is_new: no other file had it. */
static int give_name(struct io_out *o, bool *is_new, struct err *e)
{
    sigset_t all, before;
    int rc = 0;

    *is_new = true;
    if (!o->temp && link_as(o->fd, o->path) == 0)
        return 0; /* at once: a kill finds no temporary name that it could leave */
    *is_new = !io_exists(o->path);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    if (!o->temp)
        rc = link_temp(o, e);
    if (rc == 0 && rename(o->temp, o->path) != 0) {
        rc = err_sys(e, ERR_CREATE, "cannot create '%s'", o->path);
        unlink(o->temp);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    free(o->temp);
    o->temp = NULL;
    return rc;
}

int io_publish(struct io_out *o, struct err *e)
{
    char *dir = NULL;
    bool is_new;
    int rc;

    if (!o->path) {
        if (o->fd > STDERR_FILENO && close(o->fd) != 0)
            err_sys(e, ERR_IO, "cannot write '%s'", o->name);
        o->fd = -1;
        return e->code ? -1 : 0;
    }
    /* What can fail for want of memory comes before the file appears. */
    dir = dir_of(o->path, e);
    if (!dir)
        goto fail;
    if (fsync(o->fd) != 0) {
        err_sys(e, ERR_IO, "cannot sync '%s'", o->path);
        goto fail;
    }
    if (give_name(o, &is_new, e))
        goto fail;
    rc = close(o->fd);
    o->fd = -1;
    if (rc != 0)
        err_sys(e, ERR_IO, "cannot close '%s'", o->path);
    else
        rc = io_sync_dir(dir, e);
    /* Who is told of a failure finds no file, except where it took the place of another. */
    if (rc != 0 && is_new)
        unlink(o->path);
    free(dir);
    free(o->path);
    o->path = NULL;
    return rc;
fail:
    free(dir);
    io_discard(o);
    return -1;
}

void io_discard(struct io_out *o)
{
    if (o->fd > STDERR_FILENO)
        close(o->fd);
    o->fd = -1;
    if (o->temp)
        unlink(o->temp);
    free(o->temp);
    free(o->path);
    o->temp = o->path = NULL;
}

int io_put_file(const char *path, const void *data, size_t n, struct err *e)
{
    struct io_out o;

    if (io_out_open(&o, path, e))
        return -1;
    if (io_write_full(o.fd, data, n, o.name, e)) {
        io_discard(&o);
        return -1;
    }
    return io_publish(&o, e);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

int io_remove_tree(const char *path, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0 && errno == ENOENT)
        return 0;
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return err_sys(e, ERR_IO, "cannot remove '%s'", path);
    return 0;
}
