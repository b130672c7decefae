/* SPDX-License-Identifier: MIT */
/*
 * stop: SIGTERM, SIGINT and SIGUSR1 as a request to end soon (L0).
 *
 * A thread of its own waits for the signals, which all other threads block, so that no
 * system call is interrupted and nothing needs a global variable.  The first signal is
 * noted for the loop that polls stop_asked(), or, while there is nothing to save, ends
 * the process with a message and ERR_AGAIN.  The second ends the process by the signal's
 * default action.
 */
#ifndef BERTUTILS_STOP_H
#define BERTUTILS_STOP_H

#include "err.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct stop {
    pthread_t thread;
    sigset_t signals;
    const char *tool;
    atomic_bool saving;  /* there is something to save: the signal is noted */
    atomic_int asked;    /* the signal, or 0 */
};

/*
 * Starts watching.  Must come before any other thread is started.  A signal that the
 * parent had set to be ignored (a shell's background jobs) is taken all the same.  *s
 * stays in place until the process ends.  tool: the name in the message.
 */
int stop_watch(struct stop *s, const char *tool, struct err *e) MUST_USE;

/* From now on the loop saves; s may be NULL. */
void stop_saving(struct stop *s, bool saving);
bool stop_asked(const struct stop *s);

#endif
