/* SPDX-License-Identifier: MIT */
#include "charsmap.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

enum { LABEL = (int)0x800000ff };

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

const char *charsmap_find(const struct charsmap *m, const uint8_t *p, size_t n, size_t *len)
{
    size_t at = offset_of(m->unit[0]);

    for (size_t i = 0; i < n && p[i]; i++) {
        uint32_t unit;

        at ^= p[i];
        if (at >= m->units)
            return NULL;
        unit = m->unit[at];
        if ((unit & (uint32_t)LABEL) != p[i])
            return NULL;
        at ^= offset_of(unit);
        if (unit & 0x100) {
            const size_t value = at < m->units ? m->unit[at] & 0x7fffffff : m->n_text;

            if (value > m->n_text)
                return NULL;
            *len = strlen(m->text + value);
            return m->text + value;
        }
    }
    return NULL;
}

int charsmap_load(struct charsmap *m, const void *data, size_t n, struct err *e)
{
    const uint8_t *p = data;
    const size_t size = n >= 4 ? read_u32(p) : 0;

    if (size < 4 || size % 4 || size > n - 4)
        return err_set(e, ERR_DATA, "the charsmap is cut or damaged");
    if (!utf8_valid(p + 4 + size, n - 4 - size))
        return err_set(e, ERR_DATA, "the charsmap's replacements are not UTF-8");
    m->units = size / 4;
    m->n_text = n - 4 - size;
    m->unit = mem_alloc(m->units, sizeof *m->unit, "charsmap", e);
    m->text = mem_dupn((const char *)p + 4 + size, m->n_text, e);
    if (!m->unit || !m->text)
        return -1;
    for (size_t i = 0; i < m->units; i++)
        m->unit[i] = read_u32(p + 4 + 4 * i);
    for (uint8_t c = 1; c < 128; c++) {
        const size_t at = offset_of(m->unit[0]) ^ c;

        m->has[c] = at < m->units && (m->unit[at] & (uint32_t)LABEL) == c;
    }
    return 0;
}

void charsmap_free(struct charsmap *m)
{
    free(m->unit);
    free(m->text);
    *m = (struct charsmap){0};
}
