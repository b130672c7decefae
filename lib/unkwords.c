/* SPDX-License-Identifier: MIT */
#include "unkwords.h"

#include <stdlib.h>
#include <string.h>

void unkwords_free(struct unkwords *u)
{
    buf_free(&u->text);
    free(u->end);
    tok_ids_free(&u->ids);
    *u = (struct unkwords){0};
}

static bool has(const uint32_t *ids, size_t n, int64_t unk)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == unk)
            return true;
    return false;
}

static int see(void *ctx, const struct encoder_event *event, struct err *e)
{
    struct unkwords *u = ctx;
    const uint8_t *p = event->p;
    size_t n = event->n;

    if (event->kind != ENCODER_WORD ||
        !has(u->ids.id + event->first, u->ids.n - event->first, u->unk))
        return 0;
    /* The blank, or what stands for it (U+2581), that some models want before a word. */
    if (n > 1 && p[0] == ' ') {
        p++;
        n--;
    } else if (n > 3 && memcmp(p, "\xe2\x96\x81", 3) == 0) {
        p += 3;
        n -= 3;
    }
    if (mem_grow(&u->end, &u->cap, u->n + 1, sizeof *u->end, e) || buf_add(&u->text, p, n, e))
        return -1;
    u->end[u->n++] = u->text.len;
    return 0;
}

int unkwords_find(struct unkwords *u, struct encoder *enc, const char *text, size_t n,
                  const uint32_t *ids, size_t n_ids, struct err *e)
{
    const struct encoder_watcher watcher = {see, u};
    int rc;

    if (u->unk < 0 || !has(ids, n_ids, u->unk))
        return 0;
    u->ids.n = 0;
    encoder_watch(enc, &watcher);
    rc = encoder_encode(enc, text, n, &u->ids, e);
    encoder_watch(enc, NULL);
    return rc;
}

void unkwords_count(struct unkwords *u, struct topwords *top)
{
    size_t from = 0;

    for (size_t i = 0; i < u->n; i++) {
        topwords_add(top, u->text.data + from, u->end[i] - from);
        from = u->end[i];
    }
    u->n = 0;
    buf_reset(&u->text);
}
