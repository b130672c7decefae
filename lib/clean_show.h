/* SPDX-License-Identifier: MIT */
/*
 * clean_show: what cleaning does to records, for people (L2).
 */
#ifndef BERTUTILS_CLEAN_SHOW_H
#define BERTUTILS_CLEAN_SHOW_H

#include "clean.h"
#include "io.h"

/*
 * Writes for each record a line "record N" (and its key), then each text: in a line of its
 * own behind two blanks when cleaning leaves it alone, else behind "- " as it was and behind
 * "+ " as it becomes.  What cannot be seen is spelled (a control as its Unicode picture, a
 * zero-width space as <U+200B> in angle quotes), so that a text is one line and harmless
 * to a terminal.  On a screen with colours what differs is red and green.
 */
int clean_show(struct records *in, const struct cleaner *c, const struct io_out *to,
               struct clean_counts *counts, struct err *e) MUST_USE;

#endif
