/* SPDX-License-Identifier: MIT */
/*
 * msg: talk on stderr, the only place of the library that prints (L0).
 *
 * stdout is data, stderr is talk.  Every message is one write(2): "tool: text\n".  The
 * library gets a `struct msg *` where it has something to say that is no error; NULL is silence.
 */
#ifndef BERTUTILS_MSG_H
#define BERTUTILS_MSG_H

#include "err.h"

#include <stdbool.h>

enum msg_level {
    MSG_SILENT = -2, /* -qq: not even errors */
    MSG_ERROR = -1,  /* -q: errors only */
    MSG_NOTE = 0,    /* warnings and results worth a line */
    MSG_VERBOSE = 1, /* -v */
    MSG_DEBUG = 2    /* -vv */
};

struct msg {
    const char *tool; /* the name before every message */
    int level;        /* an msg_level */
    bool tty;         /* stderr is a terminal: progress may be drawn */
    bool drawn;       /* a progress line is on the screen */
};

void msg_init(struct msg *m, const char *tool, int level);

/* A line for the user at that level or louder. */
void msg_note(struct msg *m, const char *format, ...) ERR_FORMAT(2, 3);
void msg_warn(struct msg *m, const char *format, ...) ERR_FORMAT(2, 3);
void msg_verbose(struct msg *m, const char *format, ...) ERR_FORMAT(2, 3);

/* A line without the tool's name: tables and progress reports on stderr. */
void msg_plain(struct msg *m, const char *format, ...) ERR_FORMAT(2, 3);

/* Draws over the last progress line; nothing where stderr is no terminal. */
void msg_progress(struct msg *m, const char *format, ...) ERR_FORMAT(2, 3);
void msg_progress_end(struct msg *m);

/*
 * For tools that link a C++ library (oneDNN): where it runs out of memory it throws, which no
 * C code can catch.  After this call that ends the process with a message and
 * ERR_INTERNAL, not with abort().
 */
void msg_guard(void);

/* Ends the process at once with a message, from any thread; nothing is flushed or closed. */
_Noreturn void msg_end(const char *tool, const char *text, int status);

/*
 * The end of every main: closes stdout and checks it, prints the error if there is one, and
 * returns the exit status.  Does not exit.
 */
int msg_finish(struct msg *m, struct err *e);

#endif
