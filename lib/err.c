/* SPDX-License-Identifier: MIT */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Control characters of hostile input must not reach a terminal through a message. */
static void err_clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void err_fill(struct err *e, int code, const char *format, va_list args)
{
    e->code = code;
    vsnprintf(e->text, sizeof e->text, format, args);
    err_clean(e->text);
}

int err_set(struct err *e, int code, const char *format, ...)
{
    va_list args;

    if (e->code != ERR_NONE)
        return -1;
    va_start(args, format);
    err_fill(e, code, format, args);
    va_end(args);
    return -1;
}

int err_sys(struct err *e, int code, const char *format, ...)
{
    const int saved = errno;
    va_list args;
    size_t used;

    if (e->code != ERR_NONE)
        return -1;
    va_start(args, format);
    err_fill(e, saved == ENOMEM ? ERR_INTERNAL : code, format, args);
    va_end(args);
    used = strlen(e->text);
    snprintf(e->text + used, sizeof e->text - used, ": %s", strerror(saved));
    return -1;
}

int err_oom(struct err *e, const char *what, size_t bytes)
{
    return err_set(e, ERR_INTERNAL, "out of memory: %s needs %zu bytes", what, bytes);
}

int err_prefix(struct err *e, const char *format, ...)
{
    char old[sizeof e->text];
    va_list args;
    size_t used;

    memcpy(old, e->text, sizeof old);
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    err_clean(e->text);
    used = strlen(e->text);
    snprintf(e->text + used, sizeof e->text - used, "%.*s",
             (int)(sizeof e->text - used - 1), old);
    return -1;
}

void err_clear(struct err *e)
{
    e->code = ERR_NONE;
    e->text[0] = '\0';
}
