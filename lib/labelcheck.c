/* SPDX-License-Identifier: MIT */
#include "labelcheck.h"

#include <string.h>

void label_check_start(struct label_check *c)
{
    memset(c, 0, sizeof *c);
}

/* FNV-1a, 64 bits; never 0. */
static uint64_t hash(const char *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3;
    return h ? h : 1;
}

int label_check_add(struct label_check *c, const char *label, size_t n, const char *name,
                    struct err *e)
{
    const uint64_t h = hash(label, n);
    size_t at = (size_t)(h >> 32) % LABEL_CHECK_SLOTS;

    if (c->records == LABEL_CHECK_RECORDS)
        return 0;
    while (c->seen[at] && c->seen[at] != h)
        at = (at + 1) % LABEL_CHECK_SLOTS;
    c->values += c->seen[at] == 0;
    c->seen[at] = h;
    return ++c->records == LABEL_CHECK_RECORDS ? label_check_end(c, name, e) : 0;
}

int label_check_end(const struct label_check *c, const char *name, struct err *e)
{
    if (c->records < LABEL_CHECK_FEWEST || c->values * 10 < c->records * 9)
        return 0;
    return err_set(e, ERR_USAGE,
                   "%s: of its two columns one was taken for the label, but it has %llu values "
                   "in %llu records; say what they are, for example with --label 1 --text 2, "
                   "--key 1 --text 2, or --text 1 --pair 2",
                   name, (unsigned long long)c->values, (unsigned long long)c->records);
}
