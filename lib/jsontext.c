/* SPDX-License-Identifier: MIT */
#include "jsontext.h"

#include <errno.h>
#include <stdlib.h>

char *jsontext_dump(const json_t *value, size_t flags)
{
    const int before = errno;
    char *text;

    errno = 0;
    text = json_dumps(value, flags);
    if (text && errno == ENOMEM) {
        free(text);
        return NULL;
    }
    if (text)
        errno = before;
    return text;
}
