/* SPDX-License-Identifier: MIT */
#include "stop.h"
#include "msg.h"

#include <errno.h>
#include <string.h>

static void *watch(void *arg)
{
    struct stop *s = arg;
    sigset_t none;
    int signal;

    if (sigwait(&s->signals, &signal))
        return NULL;
    if (!atomic_load(&s->saving))
        msg_end(s->tool, "stopped before the first step; nothing to save", ERR_AGAIN);
    atomic_store(&s->asked, signal);
    /*
     * With the default action restored (it never was anything else) a second signal,
     * taken by this thread alone, ends the process at once.
     */
    pthread_sigmask(SIG_UNBLOCK, &s->signals, NULL);
    sigemptyset(&none);
    for (;;)
        sigsuspend(&none);
    return NULL;
}

int stop_watch(struct stop *s, const char *tool, struct err *e)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    const struct sigaction plain = {.sa_handler = SIG_DFL};

    memset(s, 0, sizeof *s);
    s->tool = tool;
    sigemptyset(&s->signals);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaddset(&s->signals, signals[i]);
        sigaction(signals[i], &plain, NULL);
    }
    errno = pthread_sigmask(SIG_BLOCK, &s->signals, NULL);
    if (!errno)
        errno = pthread_create(&s->thread, NULL, watch, s);
    if (errno)
        return err_sys(e, ERR_INTERNAL, "cannot watch for signals");
    pthread_detach(s->thread);
    return 0;
}

void stop_saving(struct stop *s, bool saving)
{
    if (s)
        atomic_store(&s->saving, saving);
}

bool stop_asked(const struct stop *s)
{
    return s && atomic_load(&((struct stop *)s)->asked) != 0;
}
