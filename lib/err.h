/* SPDX-License-Identifier: MIT */
/*
 * err: how every function of the library reports failure (L0).
 *
 * The library never prints and never exits.  A function that can fail takes a
 * `struct err *` as its last argument, fills it and returns -1 (or NULL); the tool's
 * main turns it into one message and an exit status with msg_finish().
 *
 * Wording: lower case, no full stop, what went wrong first, the subject in single quotes,
 * and, where there is one, the fix:  cannot open 'x.tsv': No such file or directory
 */
#ifndef BERTUTILS_ERR_H
#define BERTUTILS_ERR_H

#include <stddef.h>

#if defined(__GNUC__)
#define ERR_FORMAT(f, a) __attribute__((format(printf, f, a)))
#define MUST_USE __attribute__((warn_unused_result))
#else
#define ERR_FORMAT(f, a)
#define MUST_USE
#endif

/* Exit statuses of every tool; also the `code` of an error. */
enum err_code {
    ERR_NONE = 0,
    ERR_RUN = 1,      /* failed while running */
    ERR_USAGE = 2,    /* wrong options or operands */
    ERR_DATA = 65,    /* input bad, damaged or truncated */
    ERR_NOINPUT = 66, /* an input or a model is not there */
    ERR_INTERNAL = 70, /* our fault, or out of memory */
    ERR_CREATE = 73,  /* an output cannot be created */
    ERR_IO = 74,      /* reading or writing failed */
    ERR_AGAIN = 75    /* interrupted; --resume goes on from here */
};

struct err {
    int code;        /* an err_code, or 0: nothing went wrong */
    char text[2000]; /* one line, without the tool's name */
};

/* Fills *e (the first error wins: a filled one is left alone).  Always returns -1. */
int err_set(struct err *e, int code, const char *format, ...) ERR_FORMAT(3, 4);

/* As err_set, with ": " and the text of errno appended.  ENOMEM makes the code ERR_INTERNAL. */
int err_sys(struct err *e, int code, const char *format, ...) ERR_FORMAT(3, 4);

/* Out of memory while making `what` of `bytes` bytes.  Always returns -1. */
int err_oom(struct err *e, const char *what, size_t bytes);

/* Puts a prefix before the text of an error that is already set ("file: line N: ...").  Always returns -1. */
int err_prefix(struct err *e, const char *format, ...) ERR_FORMAT(2, 3);

/* Empties *e, so that it can be used again. */
void err_clear(struct err *e);

#endif
