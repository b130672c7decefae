/* SPDX-License-Identifier: MIT */
/*
 * marks: order and composition of combining marks, under any version's tables (L2).
 *
 * Source: Unicode Standard, section 3.11; Unicode Standard Annex 15.
 */
#ifndef BERTUTILS_MARKS_H
#define BERTUTILS_MARKS_H

#include <stddef.h>
#include <stdint.h>

struct mark_rules {
    uint8_t (*class)(uint32_t c); /* canonical combining class */
    uint32_t (*composed)(uint32_t first, uint32_t second); /* primary composite, or 0 */
};

/*
 * Canonical order in place: marks between two starters are sorted by class, those of one class
 * stay in order.  `spare` has room for n code points.  Linear.
 */
void marks_order(const struct mark_rules *r, uint32_t *p, size_t n, uint32_t *spare);

/* Composes a canonically ordered text in place (UAX 15, D117); returns its length. */
size_t marks_compose(const struct mark_rules *r, uint32_t *p, size_t n);

#endif
