/* SPDX-License-Identifier: MIT */
/*
 * clean: what tok --clean does to texts, as a list of steps (L2).
 *
 *     c = cleaner_make("html,nfc,url=LINK,ws", 0, &e);
 *     clean_text(c, &scratch, text, n, &clean, &clean_n, &e);
 *
 * The steps run in the order of the list, each over the result of the one before.  Every
 * step is linear in the text, and gives valid UTF-8 for valid UTF-8.  A cleaner is never
 * changed after it was made: threads share it, each with a scratch of its own.
 */
#ifndef BERTUTILS_CLEAN_H
#define BERTUTILS_CLEAN_H

#include "normalize.h"
#include "records.h"

#include <stddef.h>
#include <stdint.h>

struct cleaner;

/* Two buffers that the steps write into in turn, and one for normal forms.  {0} is empty. */
struct clean_scratch {
    struct buf text[2];
    struct norm_scratch points;
};
void clean_scratch_free(struct clean_scratch *s);

/*
 * list: NAME[=VALUE][,NAME[=VALUE]...].  longest: bytes that a text may grow to, 0: 16 MiB; a
 * text that is longer from the start may stay so.  NULL and ERR_USAGE, with the names
 * that there are, for what is no list of steps.
 */
struct cleaner *cleaner_make(const char *list, size_t longest, struct err *e) MUST_USE;
void cleaner_free(struct cleaner *c);

/*
 * Cleans text[0..n-1].  *to is the text itself where nothing was to be done, else it stands
 * in the scratch and is valid until its next use.  ERR_DATA when the text grew too long.
 */
int clean_text(const struct cleaner *c, struct clean_scratch *s, const char *text, size_t n,
               const char **to, size_t *to_n, struct err *e) MUST_USE;

struct clean_counts {
    uint64_t changed; /* texts and pairs that cleaning changed */
    uint64_t emptied; /* of them, those of which nothing is left */
};

/*
 * Cleans the texts and pairs of a chunk's records, in the chunk's own memory; *counts grows.
 * Keys, labels and weights stay.  ERR_DATA names the record.
 */
int clean_chunk(const struct cleaner *c, struct clean_scratch *s, struct record_chunk *chunk,
                struct clean_counts *counts, struct err *e) MUST_USE;

/* The i-th step there is: its name, as the help shows it, and a sentence; NULL behind the last. */
const char *clean_step_name(int i);
const char *clean_step_does(int i);

#endif
