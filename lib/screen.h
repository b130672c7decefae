/* SPDX-License-Identifier: MIT */
/*
 * screen: what a reader's screen can show: width, letters beyond ASCII, colours (L0).
 *
 * What is no terminal gets 80 columns of plain ASCII, so that a file does not depend on where
 * it was made.
 */
#ifndef BERTUTILS_SCREEN_H
#define BERTUTILS_SCREEN_H

#include "mem.h"

#include <stdbool.h>

struct screen {
    int width;   /* columns */
    bool tty;
    bool utf8;   /* the locale's names ($LC_ALL, $LC_CTYPE, $LANG) say UTF-8 */
    bool colour; /* unless $NO_COLOR (no-color.org) or TERM=dumb */
};

/* What fd leads to; -1: no terminal. */
struct screen screen_of(int fd);

/* A bar of share * width columns, 0 <= share <= 1; what is not 0 is seen. */
int screen_bar(const struct screen *s, double share, int width, struct buf *out,
               struct err *e) MUST_USE;

/* Columns that a code point takes: 0 for marks and the like, 2 for wide ones (UAX 11). */
int screen_columns(uint32_t c);

#endif
