/* SPDX-License-Identifier: MIT */
#include "wordpiece.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

int wordpiece_build(struct wordpiece *wp, const struct vocabmap *v, const char *prefix,
                    struct err *e)
{
    struct trie_entry *entry = mem_alloc(v->size, sizeof *entry, "vocabulary", e);
    size_t n = 0;
    int rc;

    if (!entry)
        return -1;
    for (size_t id = 0; id < v->size; id++) {
        size_t len;
        const char *token = vocabmap_token(v, (uint32_t)id, &len);

        if (token)
            entry[n++] = (struct trie_entry){token, len, (int32_t)id};
    }
    rc = trie_build(&wp->trie, entry, n, e);
    free(entry);
    if (rc)
        return -1;
    wp->inside = trie_walk(&wp->trie, (const uint8_t *)prefix, strlen(prefix));
    return 0;
}

void wordpiece_free(struct wordpiece *wp)
{
    trie_free(&wp->trie);
}

size_t wordpiece_word(const struct wordpiece *wp, const uint8_t *word, size_t n, uint32_t *ids)
{
    size_t count = 0, at = 0;
    uint32_t node = TRIE_ROOT;

    if (n > wp->max_chars && utf8_count(word, n) > wp->max_chars)
        goto unknown;
    while (at < n) {
        int32_t id = 0;
        const size_t len =
            node == TRIE_NONE ? 0 : trie_longest(&wp->trie, node, word + at, n - at, &id);

        if (len == 0)
            goto unknown;
        ids[count++] = (uint32_t)id;
        at += len;
        node = wp->inside;
    }
    return count;
unknown:
    ids[0] = (uint32_t)wp->unk;
    return 1;
}
