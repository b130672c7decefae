/* SPDX-License-Identifier: MIT */
#include "io.h"
#include "tokblock.h"
#include "tokchain.h"
#include "tokheader.h"
#include "tokunit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* Where the reader is within one input. */
enum place { AT_START, IN_SEGMENT, BEHIND_END };

struct toks_reader {
    char **names; /* (n_names + 1) for messages; by path also what is opened */
    int n_names, file;
    struct units *units;
    uint64_t expect_records;
    struct toks_header
        header; /* of the first segment; its columns: of all known inputs */
    bool has_header, done;
    enum place place;
    int columns; /* of the segment at hand */
    uint64_t seed, sequence, records, tokens, blocks, inner_bytes; /* of the segment */
    XXH64_state_t *chain;
    struct tokcontent *content,
        *all; /* of the segment; of all segments from the second on */
    struct toks_block *block;
    struct toks_totals totals;
};

/* Puts where it happened before an error of the data; others stay as they are. */
static int at_record(const struct toks_reader *r, int file, struct err *e)
{
    const char *name = io_name(r->names[file < r->n_names ? file : r->n_names - 1]);

    if (e->code != ERR_DATA)
        return -1;
    return err_prefix(e, "%s: record %llu: ", name,
                      (unsigned long long)(r->totals.records + 1));
}

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DATA, "damaged token stream: %s", what);
}

static int no_end(const struct toks_reader *r, struct err *e)
{
    return err_set(e, ERR_DATA, "token stream ends without END block after %llu records "
                   "(upstream was killed?); nothing of it is to be trusted as complete",
                   (unsigned long long)r->totals.records);
}

/* ---- blocks, in their order ---- */

static int open_header(struct toks_reader *r, struct unit *u, struct err *e)
{
    struct toks_header h;

    if (r->place == IN_SEGMENT)
        return no_end(r, e);
    if (tokheader_decode((char *)u->inner + BLOCK_HEAD, u->head.length, &h, e))
        return -1;
    r->columns = h.columns;
    if (!r->has_header) {
        r->header = h;
        r->has_header = true;
        units_set_format(r->units, tokheader_id_bytes(&h), h.vocab_size);
    } else {
        const int rc = tokheader_agree(&r->header, &h, e);

        toks_header_free(&h);
        if (rc)
            return -1;
    }
    /* With a second segment there is a sum over segments to keep beside the segment's
     * own. */
    if (r->totals.segments == 1)
        tokcontent_copy(r->all, r->content);
    tokcontent_reset(r->content);
    XXH64_reset(r->chain, 0);
    r->records = r->tokens = r->blocks = r->inner_bytes = 0;
    r->place = IN_SEGMENT;
    r->totals.segments++;
    r->seed = u->head.hash;
    return 0;
}

static int take_data(struct toks_reader *r, struct unit *u, struct err *e)
{
    struct toks_block *old = r->block;

    if (!u->decoded)
        return damaged(e, "data before its header");
    if (u->block->columns != r->columns)
        return damaged(e, "a block has other columns than its header names");
    r->block = u->block;
    u->block = old; /* its memory is used again */
    tokcontent_add(r->content, r->block);
    if (r->totals.segments > 1)
        tokcontent_add(r->all, r->block);
    r->records += r->block->n;
    r->tokens += r->block->off[r->block->n];
    r->blocks++;
    r->totals.records += r->block->n;
    r->totals.tokens += r->block->off[r->block->n];
    r->totals.blocks++;
    return 0;
}

static int check_end(struct toks_reader *r, struct unit *u, struct err *e)
{
    uint64_t counts[5];
    char content[33];
    struct tokend end;

    if (u->head.length < sizeof counts)
        return damaged(e, "its END is too short");
    memcpy(counts, u->inner + BLOCK_HEAD, sizeof counts);
    if (tokend_decode((char *)u->inner + BLOCK_HEAD + sizeof counts,
                      u->head.length - sizeof counts, &end, e))
        return -1;
    tokcontent_hex(r->content, content);
    if (counts[0] != r->records || counts[1] != r->tokens ||
        counts[2] != u->head.sequence - 1 || counts[3] != r->inner_bytes ||
        counts[4] != XXH64_digest(r->chain))
        return damaged(e, "the counts of its END are not those of its blocks");
    if (strcmp(content, end.content) != 0)
        return damaged(e, "the hash of its END is not that of its records");
    r->totals.unk += end.unk;
    r->totals.invalid_utf8 += end.invalid_utf8;
    memcpy(r->totals.model_hash, end.model_hash, sizeof end.model_hash);
    r->place = BEHIND_END;
    return 0;
}

/* One block: 1 when records came of it, 0, or -1 and *e. */
static int take_block(struct toks_reader *r, struct unit *u, struct err *e)
{
    const bool is_header = memcmp(u->head.type, "TKSH", 4) == 0;
    const bool is_data = memcmp(u->head.type, "TKSD", 4) == 0;
    const bool is_end = memcmp(u->head.type, "TKSE", 4) == 0;

    if (!is_header && r->place == BEHIND_END)
        return damaged(e, "there are blocks behind its END");
    if (!is_header && r->place == AT_START)
        return damaged(e, "it does not start with a header");
    if (tokblock_hash(u->inner, u->n, is_header ? 0 : r->seed) != u->head.hash)
        return damaged(e, "the hash of a block is wrong (changed, or of another stream)");
    if (u->head.sequence != (is_header ? 0 : r->sequence))
        return damaged(e, "blocks are missing, doubled or in another order");
    if (!is_data && u->head.records != 0)
        return damaged(e, "records outside of a data block");
    if (is_header && open_header(r, u, e))
        return -1;
    if (is_data && take_data(r, u, e))
        return -1;
    if (is_end && check_end(r, u, e))
        return -1;
    /* Lower case marks what an older reader may pass over. */
    if (!is_header && !is_data && !is_end &&
        !(u->head.type[3] >= 'a' && u->head.type[3] <= 'z'))
        return err_set(e, ERR_DATA,
                       "block of unknown type; a newer version of these tools "
                       "wrote it");
    XXH64_update(r->chain, &u->head.hash, sizeof u->head.hash);
    r->inner_bytes += u->n;
    r->sequence = u->head.sequence + 1;
    return is_data;
}

static int empty_input(const char *name, struct err *e)
{
    return err_set(e, ERR_NOINPUT,
                   "'%s' is empty; expected a token stream (did the tool before "
                   "it fail?)",
                   name);
}

static int end_of_file(struct toks_reader *r, int file, struct err *e)
{
    const char *name = io_name(r->names[file]);

    if (r->place == AT_START)
        return empty_input(name, e);
    if (r->place == IN_SEGMENT)
        return no_end(r, e);
    r->place = AT_START;
    return 0;
}

static int the_end(struct toks_reader *r, struct err *e)
{
    const unsigned long long n = r->totals.records, expected = r->expect_records;

    r->done = true;
    tokcontent_hex(r->totals.segments > 1 ? r->all : r->content, r->totals.content);
    if (expected && n != expected)
        return err_set(e, ERR_DATA, "%s: record %llu: expected %llu records, found %llu",
                       io_name(r->names[0]), n, expected, n);
    return 0;
}

/* Takes units until a header (with want_header) or records came: 1; 0 at the end. */
static int advance(struct toks_reader *r, bool want_header, struct err *e)
{
    while (!r->done) {
        struct unit *u = units_next(r->units);
        int got = 0;

        if (!u)
            return the_end(r, e);
        r->file = u->file;
        if (u->error.code) {
            err_set(e, u->error.code, "%s", u->error.text);
            return at_record(r, u->file, e);
        }
        if (u->kind == UNIT_BLOCK)
            got = take_block(r, u, e);
        else if (u->kind == UNIT_FILE_END)
            got = end_of_file(r, u->file, e);
        else if (r->place != BEHIND_END)
            got = damaged(e, "a skippable frame before its END");
        if (got < 0)
            return at_record(r, u->file, e);
        if (got > 0 || (want_header && r->has_header))
            return 1;
    }
    return 0;
}

/* ---- opening ---- */

static struct toks_reader *open_reader(int fd, char *const *names, int n,
                                       const struct toks_read_options *o, struct err *e)
{
    struct toks_reader *r = mem_alloc(1, sizeof *r, "stream reader", e);

    if (!r)
        return NULL;
    r->names = mem_alloc((size_t)n + 1, sizeof *r->names, "stream reader", e);
    r->content = tokcontent_new(e);
    r->all = tokcontent_new(e);
    r->chain = XXH64_createState();
    if (!r->chain)
        err_oom(e, "hash", 0);
    if (!r->names || !r->content || !r->all || !r->chain)
        goto fail;
    for (; r->n_names < n; r->n_names++) {
        r->names[r->n_names] = mem_dup(names[r->n_names], e);
        if (!r->names[r->n_names])
            goto fail;
    }
    r->expect_records = o ? o->expect_records : 0;
    r->units = units_new(fd, r->names, n, o ? o->threads : 1, e);
    if (r->units && advance(r, true, e) == 1)
        return r;
fail:
    toks_reader_free(r);
    return NULL;
}

static int refuse_terminal(int fd, struct err *e)
{
    if (!isatty(fd))
        return 0;
    return err_set(e, ERR_USAGE,
                   "standard input is a terminal; expected a token stream from a "
                   "file or a pipe");
}

struct toks_reader *toks_open(int fd, const char *name, const struct toks_read_options *o,
                              struct err *e)
{
    char *names[1] = {(char *)name};

    if (refuse_terminal(fd, e))
        return NULL;
    return open_reader(fd, names, 1, o, e);
}

/* What the header of a later input adds to what is known. */
static int add_header(struct toks_reader *r, int file, struct unit *t, struct err *e)
{
    struct toks_header h = {0};
    const int got = units_peek(r->units, file, t, e);
    int rc;

    if (got == 0)
        return empty_input(io_name(r->names[file]), e);
    if (got > 0 && (t->kind != UNIT_BLOCK || memcmp(t->head.type, "TKSH", 4) != 0))
        damaged(e, "it does not start with a header");
    rc = e->code ? -1
                 : tokheader_decode((char *)t->inner + BLOCK_HEAD, t->head.length, &h, e);
    if (!rc)
        rc = tokheader_agree(&r->header, &h, e) ||
             tokchain_join(&r->header.provenance, h.provenance, e) ? -1 : 0;
    r->header.columns |= h.columns;
    toks_header_free(&h);
    return rc ? at_record(r, file, e) : 0;
}

/* All headers first: a wrong file is found before hours of work, and the columns are
 * known. */
static int add_headers(struct toks_reader *r, struct err *e)
{
    struct unit t = {0};
    int rc = 0;

    for (int i = 1; i < r->n_names && !rc; i++)
        rc = add_header(r, i, &t, e);
    unit_free(&t);
    return rc;
}

struct toks_reader *toks_open_files(char *const *paths, int n,
                                    const struct toks_read_options *o, struct err *e)
{
    static char *const standard_input[] = {(char *)"-"};
    struct toks_reader *r;
    int dashes = 0;

    if (n < 1) {
        paths = standard_input;
        n = 1;
    }
    for (int i = 0; i < n; i++) {
        dashes += strcmp(paths[i], "-") == 0;
        if (strcmp(paths[i], "-") == 0 && refuse_terminal(STDIN_FILENO, e))
            return NULL;
    }
    if (dashes > 1) {
        err_set(e, ERR_USAGE,
                "standard input can be read only once; '-' is given %d times", dashes);
        return NULL;
    }
    r = open_reader(-1, paths, n, o, e);
    if (r && add_headers(r, e)) {
        toks_reader_free(r);
        return NULL;
    }
    return r;
}

void toks_reader_free(struct toks_reader *r)
{
    if (!r)
        return;
    units_free(r->units);
    for (int i = 0; r->names && i < r->n_names; i++)
        free(r->names[i]);
    free(r->names);
    XXH64_freeState(r->chain);
    tokcontent_free(r->content);
    tokcontent_free(r->all);
    toks_block_free(r->block);
    toks_header_free(&r->header);
    free(r);
}

/* ---- using ---- */

const struct toks_header *toks_reader_header(const struct toks_reader *r)
{
    return &r->header;
}

int toks_next_block(struct toks_reader *r, const struct toks_block **block, struct err *e)
{
    const int got = advance(r, false, e);

    *block = got > 0 ? r->block : NULL;
    return got;
}

struct toks_block *toks_block_keep(struct toks_reader *r)
{
    struct toks_block *b = r->block;

    r->block = NULL;
    return b;
}

const struct toks_totals *toks_reader_totals(const struct toks_reader *r)
{
    return &r->totals;
}
