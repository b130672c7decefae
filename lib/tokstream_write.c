/* SPDX-License-Identifier: MIT */
#include "tokblock.h"
#include "tokheader.h"
#include "zio.h"
#include "zio_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

struct toks_writer {
    char *name;
    struct zio_out *out;
    struct buf inner; /* the block that is being laid out */
    int columns, id_bytes;
    uint32_t vocab_size;
    size_t block_records;
    uint64_t seed, sequence;
    XXH64_state_t *chain;
    struct toks_block *block;
    uint64_t records, tokens, inner_bytes;
    struct tokcontent *content;
    struct intern labels; /* of the whole stream, up to END_LABELS_MAX */
    uint64_t *label_count;
    size_t label_cap;
    bool many_labels;
    struct tokend end; /* lengths and the longest */
    bool failed, finished;
};

/* Pads, seals and sends the block whose payload lies in inner. */
static int send_block(struct toks_writer *w, const char *type, size_t records,
                      struct err *e)
{
    static const char zeros[8];
    const size_t payload = w->inner.len - BLOCK_HEAD;
    struct tokblock_head h = {.records = (uint32_t)records, .sequence = w->sequence};

    memcpy(h.type, type, 4);
    if (payload > BLOCK_MAX - BLOCK_HEAD)
        return err_set(e, ERR_INTERNAL, "a block of %zu bytes is too large", payload);
    h.length = (uint32_t)payload;
    if (buf_add(&w->inner, zeros, tokblock_size(payload) - w->inner.len, e))
        return -1;
    tokblock_seal((uint8_t *)w->inner.data, &h, w->seed);
    if (w->sequence++ == 0)
        w->seed = h.hash;
    XXH64_update(w->chain, &h.hash, sizeof h.hash);
    w->inner_bytes += w->inner.len;
    return zio_out_put(w->out, &w->inner, e);
}

/* Empties inner and leaves room for a block's head. */
static int begin(struct toks_writer *w, struct err *e)
{
    static const char head[BLOCK_HEAD];

    buf_reset(&w->inner);
    return buf_add(&w->inner, head, sizeof head, e);
}

struct toks_writer *toks_create(int fd, const char *name, const struct toks_header *h,
                                const struct toks_write_options *o, struct err *e)
{
    static const struct toks_write_options defaults;
    struct toks_writer *w;

    if (!o)
        o = &defaults;
    if (isatty(fd)) {
        err_set(e, ERR_USAGE,
                "a token stream is binary and is not written to a terminal; pipe "
                "it into a tool or use -o FILE");
        return NULL;
    }
    w = mem_alloc(1, sizeof *w, "stream writer", e);
    if (!w)
        return NULL;
    w->columns = h->columns;
    w->id_bytes = tokheader_id_bytes(h);
    w->vocab_size = h->vocab_size;
    w->block_records = o->block_records;
    w->name = mem_dup(name, e);
    w->block = mem_alloc(1, sizeof *w->block, "block", e);
    w->content = tokcontent_new(e);
    w->chain = XXH64_createState();
    if (!w->chain)
        err_oom(e, "hash", 0);
    if (!w->name || !w->block || !w->content || !w->chain)
        goto fail;
    XXH64_reset(w->chain, 0);
    w->out = zio_out_new(fd, w->name, o->plain ? ZIO_PLAIN : o->level > 0 ? o->level : 1,
                         o->threads, o->helped, e);
    if (!w->out || begin(w, e) || tokheader_encode(h, &w->inner, e) ||
        send_block(w, "TKSH", 0, e) || tokblock_start(w->block, w->columns, e))
        goto fail;
    return w;
fail:
    toks_writer_free(w);
    return NULL;
}

void toks_writer_free(struct toks_writer *w)
{
    if (!w)
        return;
    zio_out_free(w->out);
    buf_free(&w->inner);
    XXH64_freeState(w->chain);
    toks_block_free(w->block);
    tokcontent_free(w->content);
    intern_free(&w->labels);
    free(w->label_count);
    free(w->name);
    free(w);
}

int toks_flush(struct toks_writer *w, struct err *e)
{
    if (w->block->n == 0)
        return 0;
    tokcontent_add(w->content, w->block);
    w->records += w->block->n;
    w->tokens += w->block->off[w->block->n];
    if (begin(w, e) || tokblock_encode(w->block, w->id_bytes, &w->inner, e) ||
        send_block(w, "TKSD", w->block->n, e) ||
        tokblock_start(w->block, w->columns, e)) {
        w->failed = true;
        return -1;
    }
    return 0;
}

bool toks_help(struct toks_writer *w)
{
    return zio_out_help(w->out);
}

static int check_ids(const struct toks_writer *w, const uint32_t *ids, size_t n,
                     uint64_t record, struct err *e)
{
    uint32_t bad = 0;
    size_t i = 0;

    /* The highest bit of one that is too large, or of how far it is below; without a branch. */
    for (; i < n; i++)
        bad |= ids[i] | (w->vocab_size - 1 - ids[i]);
    if (n == 0 || (!(bad >> 31) && w->vocab_size > 0))
        return 0;
    for (i = 0; i < n; i++)
        if (ids[i] >= w->vocab_size)
            return err_set(e, ERR_INTERNAL, "record %llu: id %u is not below %u",
                           (unsigned long long)record, ids[i], w->vocab_size);
    return 0;
}

/* What the stream cannot hold is refused, not dropped. */
static int check_record(const struct toks_writer *w, const struct toks_record *r,
                        struct err *e)
{
    const unsigned long long number = r->number;
    const char *what = r->b && !(w->columns & TOKS_PAIR)       ? "a second text"
                       : r->label && !(w->columns & TOKS_LABEL) ? "a label"
                       : r->key && !(w->columns & TOKS_KEY)     ? "a key"
                                                                : NULL;

    if (what)
        return err_set(e, ERR_DATA,
                       "%s: record %llu has %s, but the stream was begun without; "
                       "give the input that has them first",
                       w->name, number, what);
    if (!r->key && w->columns & TOKS_KEY)
        return err_set(e, ERR_DATA, "%s: record %llu has no key, but others have",
                       w->name, number);
    if (!isfinite(r->weight) || (r->weight != 1 && !(w->columns & TOKS_WEIGHT)))
        return err_set(e, ERR_DATA, "%s: record %llu: its weight cannot be stored",
                       w->name, number);
    if ((r->label && !toks_utf8_valid(r->label, r->label_len)) ||
        (r->key && !toks_utf8_valid(r->key, r->key_len)))
        return err_set(e, ERR_DATA, "%s: record %llu: label or key is not UTF-8", w->name,
                       number);
    return check_ids(w, r->a, r->n_a, number, e) || check_ids(w, r->b, r->n_b, number, e) ? -1
                                                                                          : 0;
}

static int count_label(struct toks_writer *w, const struct toks_record *r, struct err *e)
{
    const size_t before = w->labels.n;
    int64_t i;

    if (!r->label || w->many_labels)
        return 0;
    i = intern_add(&w->labels, r->label, r->label_len, e);
    if (i < 0)
        return -1;
    if (w->labels.n > END_LABELS_MAX || w->labels.text.len > HEADER_JSON_MAX / 16) {
        w->many_labels = true;
        return 0;
    }
    if (mem_grow(&w->label_count, &w->label_cap, w->labels.n, sizeof *w->label_count, e))
        return -1;
    if (w->labels.n > before)
        w->label_count[i] = 0;
    w->label_count[i]++;
    return 0;
}

static void count_length(struct toks_writer *w, uint64_t n)
{
    if (n > w->end.longest)
        w->end.longest = n;
    w->end.lengths[n ? 64 - __builtin_clzll(n) : 0]++;
}

int toks_put(struct toks_writer *w, const struct toks_record *r, struct err *e)
{
    struct toks_block *b = w->block;
    const uint64_t limit = w->block_records ? BLOCK_MAX : BLOCK_TARGET;
    uint64_t size;
    bool alone;

    if (w->failed || w->finished)
        return err_set(e, ERR_INTERNAL, "record put into a stream that has ended");
    if (check_record(w, r, e))
        return -1;
    size = tokblock_size_with(b, r, w->id_bytes);
    if (b->n > 0 && (size > limit || b->labels.n >= BLOCK_LABELS_MAX)) {
        if (toks_flush(w, e))
            return -1;
        size = tokblock_size_with(b, r, w->id_bytes);
    }
    if (size > BLOCK_MAX)
        return err_set(e, ERR_DATA,
                       "%s: record %llu is too large for the stream: %zu tokens; a "
                       "record and its key and label may take %d MiB",
                       w->name, (unsigned long long)r->number, r->n_a + r->n_b,
                       BLOCK_MAX >> 20);
    /* No other record would fit: a large one is written from where it is. */
    alone = b->n == 0 && !w->block_records && size > limit && tokblock_lends(r);
    if ((alone ? tokblock_lend(b, r, e) : tokblock_put(b, r, e)) || count_label(w, r, e)) {
        w->failed = true;
        return -1;
    }
    count_length(w, (uint64_t)r->n_a + r->n_b);
    return alone || (w->block_records && b->n >= w->block_records) ? toks_flush(w, e) : 0;
}

/* Text i of the list by itself. */
static int put_one(struct toks_writer *w, const struct toks_texts *t, size_t i, size_t from,
                   struct err *e)
{
    static const uint32_t none[1];
    static const uint8_t no_start[1];
    const bool some = t->len[i] > 0;
    const struct toks_record r = {.a = some ? t->ids + from : none, .n_a = t->len[i],
                                  .start_a = some ? t->start + from : no_start,
                                  .number = t->number[i], .weight = 1};

    return toks_put(w, &r, e);
}

/* Adds texts that fit into the block at hand; *from is where their tokens start, and end. */
static int put_run(struct toks_writer *w, struct toks_texts *run, const struct toks_texts *t,
                   size_t *from, struct err *e)
{
    size_t tokens = 0;

    for (size_t i = 0; i < run->n; i++) {
        tokens += run->len[i];
        count_length(w, run->len[i]);
    }
    run->ids = t->ids + *from;
    run->start = t->start + *from;
    *from += tokens;
    if (check_ids(w, run->ids, tokens, run->number[0], e))
        return -1;
    w->failed = tokblock_put_texts(w->block, run, tokens, e) != 0;
    return w->failed ? -1 : 0;
}

int toks_put_texts(struct toks_writer *w, const struct toks_texts *t, struct err *e)
{
    size_t from = 0;

    if (w->failed || w->finished || w->columns)
        return err_set(e, ERR_INTERNAL, "texts put into a stream that has ended, or has columns");
    for (size_t i = 0; i < t->n;) {
        struct toks_texts run = {.len = t->len + i, .number = t->number + i, .n = t->n - i};

        run.n = w->block_records ? 0 : tokblock_fit(w->block, &run, w->id_bytes, BLOCK_TARGET);
        if (run.n > 0) {
            if (put_run(w, &run, t, &from, e))
                return -1;
            i += run.n;
            continue;
        }
        /* It begins a block; one too large for that is dealt with there, too. */
        if (put_one(w, t, i, from, e))
            return -1;
        from += t->len[i++];
    }
    return 0;
}

int toks_finish(struct toks_writer *w, const struct toks_end *end, struct err *e)
{
    struct tokend *t = &w->end;
    uint64_t counts[5];

    if (w->failed || w->finished)
        return err_set(e, ERR_INTERNAL, "a stream that failed cannot be finished");
    if (toks_flush(w, e))
        return -1;
    w->finished = true;
    tokcontent_hex(w->content, t->content);
    if (end) {
        t->unk = end->unk;
        t->invalid_utf8 = end->invalid_utf8;
        if (end->model_hash)
            memcpy(t->model_hash, end->model_hash, strnlen(end->model_hash, 32));
        if (end->upstream)
            memcpy(t->upstream, end->upstream, strnlen(end->upstream, 32));
    }
    t->labels = w->many_labels ? NULL : &w->labels;
    t->label_count = w->label_count;
    counts[0] = w->records;
    counts[1] = w->tokens;
    counts[2] = w->sequence - 1;
    counts[3] = w->inner_bytes;
    counts[4] = XXH64_digest(w->chain);
    if (begin(w, e) || buf_add(&w->inner, counts, sizeof counts, e) ||
        tokend_encode(t, &w->inner, e) || send_block(w, "TKSE", 0, e))
        return -1;
    return zio_out_finish(w->out, e);
}
