/* SPDX-License-Identifier: MIT */
#include "jsontext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

int jsontext_string(struct buf *out, const char *text, size_t n, struct err *e)
{
    static const char digit[] = "0123456789abcdef";
    char *to;

    /* "\u0001" is the longest that a byte becomes. */
    if (n > SIZE_MAX / 8 || buf_reserve(out, 6 * n + 3, e))
        return n > SIZE_MAX / 8 ? err_oom(e, "JSON", n) : -1;
    to = out->data + out->len;
    *to++ = '"';
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = (uint8_t)text[i];

        if (c == '"' || c == '\\')
            *to++ = '\\';
        if (c >= ' ') {
            *to++ = (char)c;
            continue;
        }
        memcpy(to, "\\u00", 4);
        to[4] = digit[c >> 4];
        to[5] = digit[c & 15];
        to += 6;
    }
    *to++ = '"';
    *to = '\0';
    out->len = (size_t)(to - out->data);
    return 0;
}
