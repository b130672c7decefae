/* SPDX-License-Identifier: MIT */
/*
 * io: file descriptors, "-", and files that appear only when they are whole (L1).
 *
 * An output file is written to an unnamed file in its directory (O_TMPFILE), synced, and
 * linked under its name by io_publish; a tool that fails or is killed before leaves nothing
 * behind.  Where the file system has no O_TMPFILE, a hidden temporary name is used, removed
 * on failure.
 */
#ifndef BERTUTILS_IO_H
#define BERTUTILS_IO_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens a file for reading; "-" is standard input.  -1 and ERR_NOINPUT (absent), ERR_IO else. */
int io_open_in(const char *path, struct err *e) MUST_USE;

/* "standard input" for "-", else the path: the name for messages. */
const char *io_name(const char *path);

/* Reads up to n bytes, going on after EINTR and short reads; fewer only at the end.  -1 on failure. */
ssize_t io_read_full(int fd, void *data, size_t n, const char *name, struct err *e) MUST_USE;

/* One read(2), going on after EINTR: for inputs that come as a pipe fills.  0 at the end. */
ssize_t io_read_some(int fd, void *data, size_t n, const char *name, struct err *e) MUST_USE;

/* Writes all n bytes.  ENOSPC, EPIPE and so on: -1 and ERR_IO with the bytes that were wanted. */
int io_write_full(int fd, const void *data, size_t n, const char *name, struct err *e) MUST_USE;

/* The whole of a file in memory (malloc, NUL-terminated), at most `max` bytes. */
char *io_slurp(const char *path, size_t max, size_t *n, struct err *e) MUST_USE;

/* An output: standard output ("-" or NULL) or a file that is published when whole. */
struct io_out {
    int fd;
    char *path; /* NULL for standard output */
    char *temp; /* its temporary name, or NULL while it has none */
    const char *name; /* for messages */
};

int io_out_open(struct io_out *o, const char *path, struct err *e) MUST_USE;
/* Syncs the file and gives it its name, atomically over an older one; closes it. */
int io_publish(struct io_out *o, struct err *e) MUST_USE;
/* Forgets the output: closes it, leaves no file.  Fine after io_publish and on {0}-with-fd -1. */
void io_discard(struct io_out *o);

/* Writes a small file as a whole: open, write, publish. */
int io_put_file(const char *path, const void *data, size_t n, struct err *e) MUST_USE;

/* fsync of a directory, so that a rename in it is durable. */
int io_sync_dir(const char *path, struct err *e) MUST_USE;

/* Removes a directory tree (no links followed); absent is fine. */
int io_remove_tree(const char *path, struct err *e) MUST_USE;

/* "DIR/NAME" in memory of its own. */
char *io_join(const char *dir, const char *name, struct err *e) MUST_USE;

bool io_exists(const char *path);
bool io_is_dir(const char *path);

#endif
