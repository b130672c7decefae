/* SPDX-License-Identifier: MIT */
/*
 * encoding: what the first bytes of a text say about it, and UTF-16 to UTF-8 (L1).
 *
 * Text is read as UTF-8.  UTF-16 is told by its byte order mark and read, too; other encodings
 * that can be told, and files that are no text at all, are refused with the way out.
 */
#ifndef BERTUTILS_ENCODING_H
#define BERTUTILS_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum encoding { ENCODING_BYTES, ENCODING_UTF16LE, ENCODING_UTF16BE, ENCODING_REFUSED };

enum { ENCODING_HEAD = 1024 };

/*
 * What a text that starts with head[0..n-1] is; n is ENCODING_HEAD unless the text is shorter.
 * For what is refused *why says what it is and what to do; it is a string that stays.
 */
enum encoding encoding_of(const char *head, size_t n, const char **why);

/* What a file whose zip archive starts with head is, or NULL when it is an archive of files. */
const char *encoding_office(const char *head, size_t n);

/* State of a conversion.  {.big = ...} is its start. */
struct utf16 {
    bool big;      /* the high byte comes first */
    bool have_odd; /* a byte waits for its second */
    uint8_t odd;
    uint16_t high; /* a surrogate that waits for its second, or 0 */
};

enum { UTF16_ROOM = 4 }; /* bytes of output that may come from input before */

/*
 * Appends what in[0..n-1] says in UTF-8 to out, which has room for 3 * n / 2 + UTF16_ROOM
 * bytes; returns how many were written.  A surrogate without its other half becomes a byte
 * 0xff, so that it counts and is treated as every other invalid sequence.
 */
size_t utf16_convert(struct utf16 *u, const uint8_t *in, size_t n, char *out);
/* The same at the end of the text, for what is left waiting: at most 2 bytes. */
size_t utf16_end(struct utf16 *u, char *out);

#endif
