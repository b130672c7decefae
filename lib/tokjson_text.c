/* SPDX-License-Identifier: MIT */
/*
 * tokjson_text: takes the vocabulary and the merges out of the text of a tokenizer.json.
 */
#include "jsonscan.h"
#include "tokjson_int.h"

/* Notes where the vocabulary and the merges are in the model at *s, and what is left. */
static int cut_model(struct jsonscan *s, struct json_large *large, struct buf *rest, struct err *e)
{
    const char *from = s->p, *key;
    bool first = true;
    size_t n;
    int more = jsonscan_take(s, '{', e);

    while (more == 0 && (more = jsonscan_more(s, '}', &first, e)) > 0) {
        bool vocab;
        char open;

        more = jsonscan_string(s, &key, &n, e) || jsonscan_take(s, ':', e) ? -1 : 0;
        if (more)
            break;
        open = jsonscan_peek(s);
        vocab = (open == '{' || open == '[') && n == 5 && memcmp(key, "vocab", 5) == 0;
        if (vocab || (open == '[' && n == 6 && memcmp(key, "merges", 6) == 0)) {
            const char *const value = s->p;

            if (jsonscan_skip(s, e) || buf_add(rest, from, (size_t)(value - from), e) ||
                buf_puts(rest, open == '{' ? "{}" : "[]", e))
                return -1;
            *(vocab ? &large->vocab : &large->merges) = value;
            *(vocab ? &large->n_vocab : &large->n_merges) = (size_t)(s->p - value);
            from = s->p;
        } else if (jsonscan_skip(s, e)) {
            return -1;
        }
        more = 0;
    }
    return more < 0 || buf_add(rest, from, (size_t)(s->p - from), e) ? -1 : 0;
}

int tokjson_cut(struct jsonscan *s, struct json_large *large, struct buf *rest, struct err *e)
{
    const char *from = s->p, *key;
    bool first = true;
    size_t n;
    int more = jsonscan_take(s, '{', e);

    while (more == 0 && (more = jsonscan_more(s, '}', &first, e)) > 0) {
        more = jsonscan_string(s, &key, &n, e) || jsonscan_take(s, ':', e) ? -1 : 0;
        if (more)
            break;
        if (jsonscan_peek(s) == '{' && n == 5 && memcmp(key, "model", 5) == 0) {
            if (buf_add(rest, from, (size_t)(s->p - from), e) || cut_model(s, large, rest, e))
                return -1;
            from = s->p;
        } else if (jsonscan_skip(s, e)) {
            return -1;
        }
    }
    return more < 0 || buf_add(rest, from, (size_t)(s->end - from), e) ? -1 : 0;
}
