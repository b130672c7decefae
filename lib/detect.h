/* SPDX-License-Identifier: MIT */
/*
 * detect: the format of a text by its name and its first line (L1).
 */
#ifndef BERTUTILS_DETECT_H
#define BERTUTILS_DETECT_H

#include "columns.h"

/*
 * path: whose ending tells (.tsv .tab: TSV; .csv: CSV, but TSV where the first line has TABs
 * and no comma; .jsonl .ndjson .json: JSON lines).  Otherwise by the first line, of which
 * data[0..n-1] is the start: an object: JSON lines; a TAB: TSV; fields in quotes, or the
 * asked-for or usual names, between commas: CSV; columns were asked for, or it is one usual
 * name: TSV of one column; else plain text.
 */
enum records_format detect_format(const char *path, const char *data, size_t n,
                                  const struct wants *w);

#endif
