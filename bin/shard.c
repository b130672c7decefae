/* SPDX-License-Identifier: MIT */
/* shard: token streams to token streams, and what is in them. */
#include "shard.h"
#include "io.h"
#include "opt.h"
#include "stat.h"
#include "tokchain.h"
#include "tokcheck.h"
#include "zio.h"

#include <stdlib.h>
#include <unistd.h>

struct values {
    struct opt_common common;
    struct shard_options o;
    int64_t expect_records, level;
    bool stat, check, quick, history, json;
};

#define AT(member) offsetof(struct values, member)

static const struct opt options[] = {
    {"number", 'n', OPT_INT, AT(o.n), "N", "write N equal parts, one after the other", 0,
     1, 100000},
    {"split", 0, OPT_TEXT, AT(o.split), "NAME=N%,...",
     "write parts of these shares (or, without %, numbers of records), drawn at random",
     0, 0, 0},
    {"fold", 0, OPT_TEXT, AT(o.fold), "K/N", "write the K-th of N folds drawn at random",
     0, 0, 0},
    {"invert", 0, OPT_FLAG, AT(o.invert), NULL, "with --fold: everything but the fold", 0,
     0, 0},
    {"shuffle", 0, OPT_FLAG, AT(o.shuffle), NULL,
     "put the records in a random order, which depends on --seed and their number alone",
     0, 0, 0},
    {"stratify", 0, OPT_FLAG, AT(o.stratify), NULL,
     "draw so that each part has the same share of each label", 0, 0, 0},
    {"sample", 0, OPT_TEXT, AT(o.sample), "N|X%", "keep so many records, drawn at random",
     0, 0, 0},
    {"dedup", 0, OPT_FLAG, AT(o.dedup), NULL, "drop records whose tokens came before", 0,
     0, 0},
    {"against", 0, OPT_TEXT, AT(o.against), "STREAM",
     "drop records whose tokens are in the other stream (the leak check)", 0, 0, 0},
    {"expect-records", 0, OPT_INT, AT(expect_records), "N",
     "fail (65) unless the input has N records", OPT_SAME, 1, 9e15},
    {"stat", 0, OPT_FLAG, AT(stat), NULL,
     "print counts, labels, lengths and what each limit cuts, duplicates", OPT_SAME, 0,
     0},
    {"check", 0, OPT_FLAG, AT(check), NULL, "verify everything; silent, by exit status",
     OPT_SAME, 0, 0},
    {"quick", 0, OPT_FLAG, AT(quick), NULL, "with --check: only that nothing is cut",
     OPT_SAME, 0, 0},
    {"history", 0, OPT_FLAG, AT(history), NULL,
     "print how the stream was made, as a pipeline that can be run again", OPT_SAME, 0,
     0},
    {"json", 0, OPT_FLAG, AT(json), NULL, "with --stat or --history: one JSON value",
     OPT_SAME, 0, 0},
    {"output", 'o', OPT_TEXT, AT(o.output), "PATTERN",
     "write here; %s is the part's name, %03d its number from 0 [standard output]",
     OPT_SAME, 0, 0},
    {"block-records", 0, OPT_INT, AT(o.block_records), "N",
     "close a block after N records [by size]", 0, 1, 1e9},
    {"level", 0, OPT_INT, AT(level), "N", "zstd level, 1 to 12 [1]", 0, 1, ZIO_LEVEL_MAX},
    {"plain", 'u', OPT_FLAG, AT(o.plain), NULL, "do not compress", 0, 0, 0},
    {"part", 0, OPT_TEXT, AT(o.part), "NAME", "write only this one of the parts", 0, 0,
     0},
    OPT_THREADS,
    OPT_SEED,
};

static const struct opt_tool tool = {
    .name = "shard",
    .does = "split, merge, shuffle, sample and check token streams",
    .synopsis =
        "[options] [-o PATTERN] [STREAM...]\n--stat | --check | --history [STREAM...]",
    .examples =
        "  shard --stat train.toks.zst                       what is in it\n"
        "  shard --split train=90%,dev=10% --stratify -o '%s.toks.zst' all.toks.zst\n"
        "  tok big.tsv | shard -n 64 -o 'x-%03d.toks.zst'    64 files\n"
        "  shard x-*.toks.zst | finetune -m roberta          and one stream again\n"
        "  shard --against test.toks.zst train.toks.zst -o clean.toks.zst",
    .operands =
        "The STREAMs are read one after the other as one stream; none or - is standard\n"
        "input.  Copies are dropped first, then comes the sample, then the parts; the\n"
        "order of the input is kept unless --shuffle is given.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
};

/* To -o, which appears when it is whole, or to standard output. */
static int print(const struct values *v, const struct buf *b, struct err *e)
{
    struct io_out o;
    int rc;

    if (io_out_open(&o, v->o.output, e))
        return -1;
    rc = io_write_full(o.fd, b->data, b->len, o.name, e) || io_publish(&o, e) ? -1 : 0;
    io_discard(&o);
    return rc;
}

static int run_stat(const struct values *v, char *const *paths, int n, struct err *e)
{
    const struct toks_read_options o = {.threads = opt_threads(&v->common),
                                        .expect_records = (uint64_t)v->expect_records};
    struct toks_reader *r = toks_open_files(paths, n, &o, e);
    const struct toks_block *b;
    struct stream_stat s = {0};
    struct buf out = {0};
    int got = -1;

    while (r && (got = toks_next_block(r, &b, e)) > 0)
        if (stat_add(&s, toks_reader_header(r), b, e)) {
            got = -1;
            break;
        }
    if (got == 0) {
        const struct screen screen = screen_of(v->o.output ? -1 : STDOUT_FILENO);
        const struct toks_totals *t = toks_reader_totals(r);

        s.invalid_utf8 = t->invalid_utf8;
        got = (v->json ? stat_json(&s, toks_reader_header(r), t, &out, e)
                       : stat_table(&s, toks_reader_header(r), t, &screen, &out, e)) ||
                      print(v, &out, e)
                  ? -1 : 0;
    }
    buf_free(&out);
    stat_free(&s);
    toks_reader_free(r);
    return got;
}

static int run_history(const struct values *v, char *const *paths, int n, struct err *e)
{
    struct toks_reader *r = toks_open_files(paths, n, NULL, e);
    struct buf out = {0};
    int rc = -1;

    if (r) {
        const char *chain = toks_reader_header(r)->provenance;

        rc = (v->json ? buf_puts(&out, chain, e) : tokchain_line(chain, &out, e)) ||
                     buf_putc(&out, '\n', e) || print(v, &out, e)
                 ? -1 : 0;
    }
    buf_free(&out);
    toks_reader_free(r);
    return rc;
}

static int run_check(const struct values *v, char *const *paths, int n, struct err *e)
{
    if (v->quick)
        return tokcheck_quick(paths, n, e);
    return tokcheck_whole(paths, n, opt_threads(&v->common), (uint64_t)v->expect_records,
                          e);
}

static int run(struct values *v, char **argv, int first, int argc, struct msg *m,
               struct err *e)
{
    char *const *paths = argv + first;
    const int n = argc - first;
    char *command;
    int rc;

    if (v->stat + v->check + v->history > 1)
        return err_set(e, ERR_USAGE, "choose one of --stat, --check and --history");
    if (v->quick && !v->check)
        return err_set(e, ERR_USAGE, "--quick goes with --check");
    if (v->json && !v->stat && !v->history)
        return err_set(e, ERR_USAGE, "--json goes with --stat or --history");
    if (v->stat)
        return run_stat(v, paths, n, e);
    if (v->check)
        return run_check(v, paths, n, e);
    if (v->history)
        return run_history(v, paths, n, e);
    /* The operands are left out: where they came from is in the chain that they carry. */
    command = opt_command(&tool, first, argv, e);
    if (!command)
        return -1;
    v->o.command = command;
    v->o.threads = opt_threads(&v->common);
    v->o.seed = (uint64_t)v->common.seed;
    v->o.expect_records = (uint64_t)v->expect_records;
    v->o.level = (int)v->level;
    rc = shard_run(&v->o, paths, n, m, e);
    free(command);
    return rc;
}

int main(int argc, char **argv)
{
    struct values v = {.common = OPT_COMMON_DEFAULTS};
    struct msg m;
    struct err e = {0};
    int first = 0;
    const int rc = opt_parse(&tool, argc, argv, &v, &first, &m, &e);

    if (rc == 0)
        (void)!run(&v, argv, first, argc, &m, &e); /* a failure is in e */
    return msg_finish(&m, &e);
}
