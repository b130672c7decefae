/* SPDX-License-Identifier: MIT */
/*
 * decode: text from ids, as Tokenizer.decode makes it.
 * Source: tokenizers/src/decoders/wordpiece.rs, pre_tokenizers/byte_level.rs.
 */
#include "tokrules.h"
#include "utf8.h"

#include <string.h>

/* What the WordPiece decoder tidies up in each token, in this order. */
static const struct {
    const char *from, *to;
} tidy[] = {
    {" .", "."},      {" ?", "?"},         {" !", "!"},   {" ,", ","},
    {" ' ", "'"},     {" n't", "n't"},     {" 'm", "'m"}, {" do not", " don't"},
    {" 's", "'s"},    {" 've", "'ve"},     {" 're", "'re"},
};

/* Replaces every `from` in *b, in one pass, through *spare. */
static int replace_all(struct buf *b, const char *from, const char *to, struct buf *spare,
                       struct err *e)
{
    const size_t len = strlen(from);
    size_t at = 0;
    struct buf swap;

    if (b->len < len || !memmem(b->data, b->len, from, len))
        return 0;
    buf_reset(spare);
    while (at < b->len) {
        const char *found = memmem(b->data + at, b->len - at, from, len);
        const size_t end = found ? (size_t)(found - b->data) : b->len;

        if (buf_add(spare, b->data + at, end - at, e) || (found && buf_puts(spare, to, e)))
            return -1;
        at = end + (found ? len : 0);
    }
    swap = *b;
    *b = *spare;
    *spare = swap;
    return 0;
}

static int add_wordpiece(const struct tokenizer *t, const char *token, size_t len, bool first,
                         struct buf *one, struct buf *spare, struct buf *out, struct err *e)
{
    const size_t prefix = strlen(t->decode_prefix);
    const bool inner = len >= prefix && memcmp(token, t->decode_prefix, prefix) == 0;

    buf_reset(one);
    if (!first && !inner && buf_putc(one, ' ', e))
        return -1;
    if (!first && inner) {
        token += prefix;
        len -= prefix;
    }
    if (buf_add(one, token, len, e))
        return -1;
    for (size_t i = 0; t->decode_cleanup && i < sizeof tidy / sizeof tidy[0]; i++)
        if (replace_all(one, tidy[i].from, tidy[i].to, spare, e))
            return -1;
    return buf_add(out, one->data, one->len, e);
}

/* The bytes that a token spells; one with a letter that stands for no byte is itself. */
static int add_bytes(const char *token, size_t len, struct buf *out, struct err *e)
{
    const size_t from = out->len;

    for (size_t i = 0, used; i < len; i += used) {
        const int byte = bpe_byte(utf8_next((const uint8_t *)token + i, len - i, &used));

        if (byte < 0) {
            out->len = from;
            return buf_add(out, token, len, e);
        }
        if (buf_putc(out, (char)byte, e))
            return -1;
    }
    return 0;
}

/* Spelling and length of an id; NULL when it has none. */
static const char *token_of(const struct tokenizer *t, uint32_t id, size_t *len)
{
    const struct added_token *added = added_by_id(&t->added, id);

    if (!added)
        return vocabmap_token(&t->vocab, id, len);
    *len = added->shown_len;
    return added->shown;
}

int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
                     bool skip_specials, struct buf *out, struct err *e)
{
    struct buf one = {0}, spare = {0}, bytes = {0};
    bool first = true;
    int rc = 0;

    if (t->decoder == DECODE_UNKNOWN)
        return err_set(e, ERR_DATA, "the tokenizer's decoder is not implemented");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t len = 0;
        const char *token = token_of(t, ids[i], &len);

        if (!token || (skip_specials && tokenizer_is_special(t, ids[i])))
            continue;
        if (t->decoder == DECODE_WORDPIECE)
            rc = add_wordpiece(t, token, len, first, &one, &spare, out, e);
        else if (t->decoder == DECODE_BYTES)
            rc = add_bytes(token, len, &bytes, e);
        else
            rc = (!first && buf_putc(out, ' ', e)) || buf_add(out, token, len, e) ? -1 : 0;
        first = false;
    }
    if (rc == 0 && bytes.len)
        rc = utf8_lossy((const uint8_t *)bytes.data, bytes.len, out, e);
    buf_free(&one);
    buf_free(&spare);
    buf_free(&bytes);
    return rc;
}
