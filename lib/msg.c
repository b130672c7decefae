/* SPDX-License-Identifier: MIT */
#include "msg.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void msg_init(struct msg *m, const char *tool, int level)
{
    *m = (struct msg){.tool = tool, .level = level, .tty = isatty(STDERR_FILENO) == 1};
}

/* One write, so that lines of several processes on one stderr do not mix. */
static void msg_write(const char *text, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(STDERR_FILENO, text, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

static void msg_line(struct msg *m, const char *lead, const char *format, va_list args)
{
    char line[4096];
    size_t used = 0;

    if (m->drawn) {
        memcpy(line, "\r\033[K", 4);
        used = 4;
        m->drawn = false;
    }
    if (lead)
        used += (size_t)snprintf(line + used, 200, "%s: %s", m->tool, lead);
    vsnprintf(line + used, sizeof line - used - 1, format, args);
    used = strlen(line);
    line[used++] = '\n';
    msg_write(line, used);
}

void msg_note(struct msg *m, const char *format, ...)
{
    va_list args;

    if (!m || m->level < MSG_NOTE)
        return;
    va_start(args, format);
    msg_line(m, "", format, args);
    va_end(args);
}

void msg_warn(struct msg *m, const char *format, ...)
{
    va_list args;

    if (!m || m->level < MSG_NOTE)
        return;
    va_start(args, format);
    msg_line(m, "warning: ", format, args);
    va_end(args);
}

void msg_verbose(struct msg *m, const char *format, ...)
{
    va_list args;

    if (!m || m->level < MSG_VERBOSE)
        return;
    va_start(args, format);
    msg_line(m, "", format, args);
    va_end(args);
}

void msg_plain(struct msg *m, const char *format, ...)
{
    va_list args;

    if (!m || m->level < MSG_NOTE)
        return;
    va_start(args, format);
    msg_line(m, NULL, format, args);
    va_end(args);
}

void msg_progress(struct msg *m, const char *format, ...)
{
    char line[1024];
    va_list args;
    size_t used = 4;

    if (!m || !m->tty || m->level < MSG_NOTE)
        return;
    memcpy(line, "\r\033[K", 4);
    va_start(args, format);
    vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    used = strlen(line);
    msg_write(line, used);
    m->drawn = true;
}

void msg_progress_end(struct msg *m)
{
    if (m && m->drawn) {
        msg_write("\r\033[K", 4);
        m->drawn = false;
    }
}

static void msg_error(struct msg *m, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    msg_line(m, "", format, args);
    va_end(args);
}

_Noreturn void msg_end(const char *tool, const char *text, int status)
{
    struct msg m = {.tool = tool};

    msg_note(&m, "%s", text);
    _exit(status);
}

/* std::set_terminate; NULL in a tool without C++ libraries. */
extern void *set_terminate(void (*handler)(void)) __asm__("_ZSt13set_terminatePFvvE")
    __attribute__((weak));

static void terminated(void)
{
    msg_end(program_invocation_short_name, "out of memory (oneDNN could not go on)",
            ERR_INTERNAL);
}

void msg_guard(void)
{
    if (set_terminate)
        set_terminate(terminated);
}

int msg_finish(struct msg *m, struct err *e)
{
    msg_progress_end(m);
    if (fclose(stdout) != 0)
        err_sys(e, ERR_IO, "cannot write standard output");
    if (e->code != ERR_NONE && m->level > MSG_SILENT)
        msg_error(m, "%s", e->text);
    return e->code;
}
