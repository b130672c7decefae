/* SPDX-License-Identifier: MIT */
#include "marks.h"

#include <string.h>

/* Stable sort of a run of marks by combining class; counting, so that no text is slow. */
static void sort_marks(const struct mark_rules *r, uint32_t *mark, size_t n, uint32_t *spare)
{
    size_t at[257] = {0};

    if (n <= 16) {
        for (size_t i = 1; i < n; i++) {
            const uint32_t c = mark[i];
            const uint8_t k = r->class(c);
            size_t j = i;

            for (; j > 0 && r->class(mark[j - 1]) > k; j--)
                mark[j] = mark[j - 1];
            mark[j] = c;
        }
        return;
    }
    for (size_t i = 0; i < n; i++)
        at[r->class(mark[i]) + 1]++;
    for (int k = 0; k < 256; k++)
        at[k + 1] += at[k];
    for (size_t i = 0; i < n; i++)
        spare[at[r->class(mark[i])]++] = mark[i];
    memcpy(mark, spare, n * sizeof *mark);
}

void marks_order(const struct mark_rules *r, uint32_t *p, size_t n, uint32_t *spare)
{
    for (size_t i = 0; i < n;) {
        size_t end = i;

        while (end < n && r->class(p[end]) != 0)
            end++;
        if (end - i > 1)
            sort_marks(r, p + i, end - i, spare);
        i = end + 1;
    }
}

size_t marks_compose(const struct mark_rules *r, uint32_t *p, size_t n)
{
    size_t out = 0, starter = SIZE_MAX;
    uint8_t last = 0; /* class of the last mark kept since the starter; 0: none */

    for (size_t i = 0; i < n; i++) {
        const uint32_t c = p[i];
        const uint8_t k = r->class(c);

        if (starter != SIZE_MAX && (out == starter + 1 || (last < k && last != 0))) {
            const uint32_t both = r->composed(p[starter], c);

            if (both) {
                p[starter] = both;
                continue;
            }
        }
        if (k == 0)
            starter = out;
        last = k;
        p[out++] = c;
    }
    return out;
}
