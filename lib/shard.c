/* SPDX-License-Identifier: MIT */
#include "shard.h"
#include "dataset.h"
#include "intern.h"
#include "io.h"
#include "order.h"
#include "philox.h"
#include "seen.h"
#include "shard_out.h"
#include "split.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Numbers of the random draws, so that a shuffle and a split have nothing in common. */
enum { DRAW_SHUFFLE, DRAW_PARTS, DRAW_SAMPLE };

/*
 * The input is read twice: once to its END, to count and to look at what decides, and
 * once more to write.  Files are opened again; what came through a pipe is kept,
 * compressed, in a file in memory.  A shuffle keeps the decoded records instead.
 */
struct work {
    const struct shard_options *o;
    char *const *paths;
    int n_paths;
    struct msg *m;
    struct toks_header header;
    struct toks_totals totals;
    size_t n;              /* records read */
    uint32_t *class;       /* (n) number of the label, with --stratify */
    size_t class_cap;
    struct intern labels;
    uint8_t *drop;         /* (n) 1: a copy, or in the other stream */
    size_t drop_cap;
    uint64_t copies, leaks;
    struct seen seen, other;
    struct dataset data;   /* with --shuffle */
    struct toks_writer *spool;
    int spool_fd;          /* -1: the files are read again */
    uint32_t *part;        /* (n) output of each record, SPLIT_NONE */
    uint32_t *order;       /* (n) with --shuffle */
    struct split split;
    struct shard_outs outs;
};

static void work_free(struct work *w)
{
    toks_header_free(&w->header);
    free(w->class);
    free(w->drop);
    free(w->part);
    free(w->order);
    intern_free(&w->labels);
    seen_free(&w->seen);
    seen_free(&w->other);
    dataset_free(&w->data);
    toks_writer_free(w->spool);
    if (w->spool_fd >= 0)
        close(w->spool_fd);
    shard_outs_free(&w->outs);
    split_free(&w->split);
}

/* ---- first pass ---- */

/* What must be known of a record before anything is decided. */
static int survey_record(struct work *w, const struct toks_record *r, struct err *e)
{
    const struct shard_options *o = w->o;
    uint64_t first = w->n;
    int64_t label = 0;

    if (o->dedup || o->against) {
        bool drop = false;

        if (mem_grow(&w->drop, &w->drop_cap, w->n + 1, 1, e))
            return -1;
        if (o->against && seen_has(&w->other, r)) {
            drop = true;
            w->leaks++;
        } else if (o->dedup) {
            const int copy = seen_add(&w->seen, r, &first, e);

            if (copy < 0)
                return -1;
            drop = copy;
            w->copies += drop;
        }
        w->drop[w->n] = drop;
    }
    if (o->stratify) {
        /* 0 are those without a label. */
        if (r->label)
            label = intern_add(&w->labels, r->label, r->label_len, e) + 1;
        if ((r->label && label == 0) ||
            mem_grow(&w->class, &w->class_cap, w->n + 1, sizeof *w->class, e))
            return -1;
        w->class[w->n] = (uint32_t)label;
    }
    w->n++;
    return 0;
}

static int survey_block(void *ctx, const struct toks_block *b, struct err *e)
{
    struct work *w = ctx;

    for (size_t i = 0; i < toks_block_records(b); i++) {
        struct toks_record r;

        toks_get(b, i, &r);
        if (survey_record(w, &r, e) || (w->spool && toks_put(w->spool, &r, e)))
            return -1;
    }
    return 0;
}

/* Can all inputs be read a second time? */
static bool all_files(const struct work *w)
{
    struct stat st;

    for (int i = 0; i < w->n_paths; i++)
        if (strcmp(w->paths[i], "-") == 0 || stat(w->paths[i], &st) != 0 ||
            !S_ISREG(st.st_mode))
            return false;
    return w->n_paths > 0;
}

static int open_spool(struct work *w, struct err *e)
{
    const struct toks_write_options options = {.threads = w->o->threads};

    w->spool_fd = memfd_create("bertutils-shard", MFD_CLOEXEC);
    if (w->spool_fd < 0)
        return err_sys(e, ERR_INTERNAL, "cannot keep the input in memory");
    w->spool = toks_create(w->spool_fd, "memory", &w->header, &options, e);
    return w->spool ? 0 : -1;
}

static int close_spool(struct work *w, struct err *e)
{
    if (!w->spool)
        return 0;
    if (toks_finish(w->spool, NULL, e))
        return -1;
    toks_writer_free(w->spool);
    w->spool = NULL;
    return 0;
}

static int read_blocks(struct work *w, struct toks_reader *r, struct err *e)
{
    const struct toks_block *b;
    int got;

    while ((got = toks_next_block(r, &b, e)) > 0)
        if (survey_block(w, b, e))
            return -1;
    return got;
}

/* The ids that may not appear, from another stream of the same tokenizer. */
static int read_against(struct work *w, struct err *e)
{
    const struct toks_read_options options = {.threads = w->o->threads};
    char *const path[1] = {(char *)w->o->against};
    struct toks_reader *r = toks_open_files(path, 1, &options, e);
    const struct toks_block *b;
    int got = -1;

    if (r && strcmp(toks_reader_header(r)->tok_hash, w->header.tok_hash) != 0)
        err_set(e, ERR_DATA,
                "%s: record 1: made by another tokenizer than the input, so its "
                "ids cannot be compared",
                w->o->against);
    else if (r)
        while ((got = toks_next_block(r, &b, e)) > 0)
            for (size_t i = 0; got > 0 && i < toks_block_records(b); i++) {
                struct toks_record rec;
                uint64_t value = 0;

                toks_get(b, i, &rec);
                if (seen_add(&w->other, &rec, &value, e) < 0) {
                    toks_reader_free(r);
                    return -1;
                }
            }
    toks_reader_free(r);
    return got;
}

static int survey(struct work *w, struct err *e)
{
    const struct toks_read_options options = {.threads = w->o->threads,
                                              .expect_records = w->o->expect_records};
    struct toks_reader *r = toks_open_files(w->paths, w->n_paths, &options, e);
    int rc = -1;

    if (!r || toks_header_copy(&w->header, toks_reader_header(r), e))
        goto done;
    if (w->o->stratify && !(w->header.columns & TOKS_LABEL)) {
        err_set(e, ERR_USAGE, "--stratify: the input has no labels");
        goto done;
    }
    if (w->o->against && read_against(w, e))
        goto done;
    if (w->o->shuffle)
        rc = dataset_read(&w->data, r, "input", survey_block, w, e);
    else if (!all_files(w) && open_spool(w, e))
        goto done;
    else
        rc = read_blocks(w, r, e) || close_spool(w, e) ? -1 : 0;
    w->totals = *toks_reader_totals(r);
done:
    toks_reader_free(r);
    return rc;
}

/* ---- what goes where ---- */

/* K and N of "K/N", 1 <= K <= N. */
static int parse_fold(const char *text, uint64_t *k, uint64_t *n, struct err *e)
{
    char *end;
    const unsigned long long a = strtoull(text, &end, 10);
    const char *second = *end == '/' ? end + 1 : "";
    const unsigned long long b = strtoull(second, &end, 10);

    if (*second < '0' || *second > '9' || *end || *text < '0' || *text > '9' || a < 1 ||
        a > b || b > 100000)
        return err_set(e, ERR_USAGE, "--fold: '%s' is not K/N with K from 1 to N", text);
    *k = a;
    *n = b;
    return 0;
}

/* A draw over the m records at[], numbers of records; part (m). */
static int draw(const struct work *w, const struct split *s, uint32_t number,
                const uint32_t *at, size_t m, uint32_t *part, struct err *e)
{
    uint32_t *class = NULL;
    int rc;

    if (w->o->stratify) {
        class = mem_alloc(m, sizeof *class, "classes", e);
        if (!class)
            return -1;
        for (size_t i = 0; i < m; i++)
            class[i] = w->class[at[i]];
    }
    rc = split_deal(s, w->o->seed, number, m, class, part, e);
    free(class);
    return rc;
}

/* --sample: keeps some of at[0..*m-1]. */
static int sample(const struct work *w, uint32_t *at, size_t *m, uint32_t *part,
                  struct err *e)
{
    struct split one = {0};
    size_t kept = 0;
    int rc = split_sample(&one, w->o->sample, e) || split_sizes(&one, *m, e) ||
             draw(w, &one, DRAW_SAMPLE, at, *m, part, e) ? -1 : 0;

    for (size_t i = 0; !rc && i < *m; i++)
        if (part[i] == 0)
            at[kept++] = at[i];
    *m = rc ? *m : kept;
    split_free(&one);
    return rc;
}

/* --fold: the records of the fold are part 0 of one, or all the others are. */
static int take_fold(struct work *w, const uint32_t *at, size_t m, uint32_t *part,
                     struct err *e)
{
    struct split folds = {0};
    uint64_t k = 0, n = 0;
    int rc = parse_fold(w->o->fold, &k, &n, e) || split_equal(&folds, n, 1, e) ||
                     split_sizes(&folds, m, e) ||
                     draw(w, &folds, DRAW_PARTS, at, m, part, e)
                 ? -1
                 : 0;

    for (size_t i = 0; !rc && i < m; i++)
        part[i] = (part[i] == k - 1) != w->o->invert ? 0 : SPLIT_NONE;
    split_free(&folds);
    return rc || split_equal(&w->split, 1, 0, e) ? -1 : 0;
}

/* Equal runs of what comes out, so that a `cat` of the parts is the whole again. */
static int take_runs(struct work *w, const uint32_t *at, size_t m, uint32_t *part,
                     struct err *e)
{
    uint32_t *place = mem_alloc(w->n, sizeof *place, "parts", e);
    size_t k = 0;

    if (!place)
        return -1;
    split_runs(&w->split, m, part);
    if (w->order) {
        for (size_t i = 0; i < w->n; i++)
            place[i] = SPLIT_NONE;
        for (size_t i = 0; i < m; i++)
            place[at[i]] = 0;
        for (size_t i = 0; i < w->n; i++)
            if (place[w->order[i]] == 0)
                place[w->order[i]] = part[k++];
        for (size_t i = 0; i < m; i++)
            part[i] = place[at[i]];
    }
    free(place);
    return 0;
}

/* The parts, their sizes, and the part of each of the m records at[]. */
static int take_parts(struct work *w, const uint32_t *at, size_t m, uint32_t *part,
                      struct err *e)
{
    const struct shard_options *o = w->o;

    if (o->fold)
        return take_fold(w, at, m, part, e);
    if (o->split ? split_parse(&w->split, o->split, e)
                 : split_equal(&w->split, o->n ? (size_t)o->n : 1, 0, e))
        return -1;
    if (split_sizes(&w->split, m, e))
        return -1;
    if (o->split || (o->n && o->stratify))
        return draw(w, &w->split, DRAW_PARTS, at, m, part, e);
    return take_runs(w, at, m, part, e);
}

/* With --part the others are left out and their outputs dropped. */
static int only_part(struct work *w, struct err *e)
{
    size_t keep = 0;
    struct split_part kept;

    while (keep < w->split.n && strcmp(w->split.part[keep].name, w->o->part) != 0)
        keep++;
    if (keep == w->split.n)
        return err_set(e, ERR_USAGE, "--part: there is no part '%s'", w->o->part);
    for (size_t i = 0; i < w->n; i++)
        w->part[i] = w->part[i] == keep ? 0 : SPLIT_NONE;
    kept = w->split.part[keep];
    w->split.part[keep] = w->split.part[0];
    w->split.part[0] = kept;
    while (w->split.n > 1)
        free(w->split.part[--w->split.n].name);
    return 0;
}

/* Fills w->part, w->order and the counts of w->split. */
static int plan(struct work *w, struct err *e)
{
    uint32_t *at = mem_alloc(w->n, sizeof *at, "records", e);
    uint32_t *part = mem_alloc(w->n, sizeof *part, "parts", e);
    size_t m = 0;
    int rc = -1;

    w->part = mem_alloc(w->n, sizeof *w->part, "parts", e);
    if (w->o->shuffle)
        w->order = mem_alloc(w->n, sizeof *w->order, "order", e);
    if (!at || !part || !w->part || (w->o->shuffle && !w->order))
        goto done;
    if (w->o->shuffle && order_permute(w->o->seed, DRAW_SHUFFLE, PHILOX_SITE_SHARD, w->n,
                                       w->order, e))
        goto done;
    for (size_t i = 0; i < w->n; i++)
        if (!w->drop || !w->drop[i])
            at[m++] = (uint32_t)i;
    if ((w->o->sample && sample(w, at, &m, part, e)) || take_parts(w, at, m, part, e))
        goto done;
    for (size_t i = 0; i < w->n; i++)
        w->part[i] = SPLIT_NONE;
    for (size_t i = 0; i < w->split.n; i++)
        w->split.part[i].count = 0;
    for (size_t i = 0; i < m; i++)
        if (part[i] != SPLIT_NONE) {
            w->part[at[i]] = part[i];
            w->split.part[part[i]].count++;
        }
    rc = w->o->part ? only_part(w, e) : 0;
done:
    free(at);
    free(part);
    return rc;
}

/* ---- second pass ---- */

static int emit(struct work *w, size_t i, const struct toks_record *r, struct err *e)
{
    return w->part[i] == SPLIT_NONE ? 0 : shard_outs_put(&w->outs, w->part[i], r, e);
}

static int emit_shuffled(struct work *w, struct err *e)
{
    for (size_t k = 0; k < w->n; k++) {
        struct toks_record r;

        if (w->part[w->order[k]] == SPLIT_NONE)
            continue;
        dataset_get(&w->data, w->order[k], &r);
        if (emit(w, w->order[k], &r, e))
            return -1;
    }
    return 0;
}

/* The input once more, in its order. */
static int emit_in_order(struct work *w, struct err *e)
{
    const struct toks_read_options options = {.threads = w->o->threads};
    struct toks_reader *r;
    const struct toks_block *b;
    size_t n = 0;
    int got = -1;

    if (w->spool_fd >= 0 && lseek(w->spool_fd, 0, SEEK_SET) != 0)
        return err_sys(e, ERR_INTERNAL, "cannot read what was kept in memory");
    r = w->spool_fd >= 0 ? toks_open(w->spool_fd, "memory", &options, e)
                         : toks_open_files(w->paths, w->n_paths, &options, e);
    while (r && (got = toks_next_block(r, &b, e)) > 0)
        for (size_t i = 0; i < toks_block_records(b); i++, n++) {
            struct toks_record rec;

            toks_get(b, i, &rec);
            if (n < w->n && emit(w, n, &rec, e)) {
                toks_reader_free(r);
                return -1;
            }
        }
    if (got == 0 && strcmp(toks_reader_totals(r)->content, w->totals.content) != 0)
        got = err_set(e, ERR_IO, "the input changed while it was read");
    toks_reader_free(r);
    return got;
}

static void tell(const struct work *w)
{
    if (w->o->against)
        msg_note(w->m, "%llu of %zu records are in '%s' and were dropped",
                 (unsigned long long)w->leaks, w->n, w->o->against);
    if (w->o->dedup)
        msg_note(w->m, "%llu of %zu records are copies of earlier ones and were dropped",
                 (unsigned long long)w->copies, w->n);
    for (size_t i = 0; i < w->outs.n; i++) {
        const struct shard_out *out = &w->outs.at[i];

        if (out->put == 0 && w->n > 0 && w->outs.n > 1)
            msg_warn(w->m, "part '%s' is empty", out->part->name);
        msg_verbose(w->m, "%s: %llu records", io_name(out->path),
                    (unsigned long long)out->put);
    }
}

static bool is_merge(const struct shard_options *o)
{
    return o->n <= 1 && !o->split && !o->fold && !o->sample && !o->shuffle && !o->dedup &&
           !o->against && !o->part;
}

/* Many writers at once do without threads of their own. */
static struct toks_write_options write_options(const struct work *w)
{
    const bool many = w->split.n > 1 && (w->o->split || w->o->stratify);

    return (struct toks_write_options){.level = w->o->level,
                                       .threads = many ? 1 : w->o->threads,
                                       .block_records = (size_t)w->o->block_records,
                                       .plain = w->o->plain};
}

static int start_outs(struct work *w, struct err *e)
{
    struct shard_outs *outs = &w->outs;

    outs->header = &w->header;
    outs->command = w->o->command;
    outs->name_parts = w->split.n > 1;
    outs->options = write_options(w);
    return shard_outs_plan(outs, w->o->output, &w->split, e);
}

/* Streams to one stream, on the fly: END is written when all inputs have ended well. */
static int merge(struct work *w, struct err *e)
{
    const struct toks_read_options options = {.threads = w->o->threads,
                                              .expect_records = w->o->expect_records};
    struct toks_reader *r = toks_open_files(w->paths, w->n_paths, &options, e);
    const struct toks_block *b;
    int got = -1;

    if (r && toks_header_copy(&w->header, toks_reader_header(r), e) == 0 &&
        split_equal(&w->split, 1, 0, e) == 0) {
        w->split.part[0].count = UINT64_MAX;
        got = start_outs(w, e) ? -1 : 1;
    }
    while (got > 0 && (got = toks_next_block(r, &b, e)) > 0)
        for (size_t i = 0; got > 0 && i < toks_block_records(b); i++) {
            struct toks_record rec;

            toks_get(b, i, &rec);
            if (shard_outs_put(&w->outs, 0, &rec, e))
                got = -1;
        }
    if (got == 0) {
        w->outs.end.invalid_utf8 = toks_reader_totals(r)->invalid_utf8;
        w->outs.end.upstream = toks_reader_totals(r)->content;
        got = shard_outs_publish(&w->outs, e);
    }
    toks_reader_free(r);
    return got;
}

/* Everything else: read, decide, write. */
static int rearrange(struct work *w, struct err *e)
{
    if (survey(w, e) || plan(w, e) || start_outs(w, e))
        return -1;
    w->outs.end.upstream = w->totals.content;
    if ((w->o->shuffle ? emit_shuffled(w, e) : emit_in_order(w, e)) ||
        shard_outs_publish(&w->outs, e))
        return -1;
    tell(w);
    return 0;
}

static int check_options(const struct shard_options *o, struct err *e)
{
    struct split s = {0};
    uint64_t k, n;
    int rc = 0;
    size_t parts;

    if ((o->n > 0) + (o->split != NULL) + (o->fold != NULL) > 1)
        return err_set(e, ERR_USAGE, "choose one of -n, --split and --fold");
    if (o->invert && !o->fold)
        return err_set(e, ERR_USAGE, "--invert goes with --fold");
    if (o->part && !o->n && !o->split)
        return err_set(e, ERR_USAGE, "--part goes with -n or --split");
    if (o->stratify && !o->n && !o->split && !o->fold && !o->sample)
        return err_set(e, ERR_USAGE,
                       "--stratify goes with -n, --split, --fold or --sample");
    if ((o->fold && parse_fold(o->fold, &k, &n, e)) ||
        (o->split && split_parse(&s, o->split, e)))
        rc = -1;
    parts = o->part ? 1 : o->split ? s.n : o->n ? (size_t)o->n : 1;
    split_free(&s);
    if (!rc && o->sample)
        rc = split_sample(&s, o->sample, e);
    split_free(&s);
    if (rc)
        return -1;
    if (parts > 1 && (!o->output || !shard_pattern(o->output)))
        return err_set(e, ERR_USAGE,
                       "%zu streams cannot go into one file: give -o a name with "
                       "%%s or %%03d in it",
                       parts);
    if (o->output && strcmp(o->output, "-") != 0) {
        char *path = shard_path(o->output, 0, "x", e);

        if (!path)
            return -1;
        free(path);
    }
    return 0;
}

int shard_run(const struct shard_options *o, char *const *paths, int n, struct msg *m,
              struct err *e)
{
    struct work w = {.o = o, .paths = paths, .n_paths = n, .m = m, .spool_fd = -1};
    int rc = check_options(o, e);

    if (!rc)
        rc = is_merge(o) ? merge(&w, e) : rearrange(&w, e);
    work_free(&w);
    return rc;
}
