/* SPDX-License-Identifier: MIT */
/* tok: text -> token stream; tok -d: token stream -> text, tokens or ids */
#include "clean_show.h"
#include "detok.h"
#include "explain.h"
#include "io.h"
#include "modelpath.h"
#include "statfile.h"
#include "tok_options.h"
#include "tokenize.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int word_of(const char *word, const char *const *words)
{
    int i = 0;

    while (words[i + 1] && strcmp(words[i], word) != 0)
        i++;
    return i;
}

/* How the records are to be read.  A few threads take larger turns at the input, so that they
 * seldom meet there; many would take too much memory. */
static struct records_options reading(const struct values *v)
{
    static const char *const formats[] = {"auto", "tsv", "csv", "jsonl", "text", NULL};
    static const char *const headers[] = {"auto", "yes", "no", NULL};
    static const char *const invalid[] = {"replace", "error", "skip", NULL};
    const int threads = opt_threads(&v->common);

    return (struct records_options){
        .format = (enum records_format)word_of(v->format, formats),
        .header = (enum records_header)word_of(v->header, headers),
        .invalid = (enum records_invalid)word_of(v->invalid, invalid),
        .text = v->text, .join = v->join, .pair = v->pair, .label = v->label,
        .weight = v->weight, .key = v->key, .member = v->member, .max_line = (size_t)v->max_line,
        .chunk_bytes = threads > 1 && threads <= 4 ? 256 << 10 : 0,
        .max_members = (uint64_t)v->max_members, .max_ratio = (uint64_t)v->max_ratio,
        .max_member_bytes = (uint64_t)v->max_member_bytes};
}

/* The steps of --clean; *c stays NULL without it. */
static int make_cleaner(const struct values *v, struct cleaner **c, struct err *e)
{
    *c = v->clean ? cleaner_make(v->clean, (size_t)v->max_line, e) : NULL;
    return v->clean && !*c ? -1 : 0;
}

static void print_steps(void)
{
    for (int i = 0; clean_step_name(i); i++)
        printf("%-14s %s\n", clean_step_name(i), clean_step_does(i));
}

enum { TABLES = 8 << 20, MOST = 128 << 20, LARGE = 1 << 20 }; /* a tokenizer's, which are soon needed */

static void prepare_heap(void)
{
    mallopt(M_TRIM_THRESHOLD, MOST); /* what is freed would soon be fetched again */
    mallopt(M_TOP_PAD, LARGE);
    mallopt(M_MMAP_THRESHOLD, 2 * TABLES);
    mem_heap_ahead(TABLES);
    mallopt(M_MMAP_THRESHOLD, LARGE); /* large buffers go back to the system at once */
}

static struct tokenizer *find_tokenizer(const char *model, struct err *e)
{
    mallopt(M_MMAP_THRESHOLD, MOST);
    struct tokenizer *t = tokenizer_find(model, e);

    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, 2 * TABLES);
    return t;
}

static int show(const struct values *v, char **paths, int n, struct msg *m, struct err *e)
{
    const struct records_options ro = reading(v);
    struct clean_counts counts = {0};
    struct io_out out = {.fd = -1};
    struct records *in = NULL;
    struct cleaner *c;
    int rc = v->clean ? 0 : err_set(e, ERR_USAGE, "--show goes with --clean");

    if (rc || make_cleaner(v, &c, e))
        return -1;
    rc = io_out_open(&out, v->out, e);
    if (!rc && (!(in = records_open(paths, n, &ro, m, e)) ||
                clean_show(in, c, &out, &counts, e) || io_publish(&out, e)))
        rc = -1;
    if (!rc)
        msg_note(m, "texts that --clean changes: %llu; of which nothing is left: %llu",
                 (unsigned long long)counts.changed, (unsigned long long)counts.emptied);
    io_discard(&out);
    records_free(in);
    cleaner_free(c);
    return rc;
}

static int encode(const struct values *v, char **paths, int n, const char *command, struct msg *m,
                  struct err *e)
{
    const struct records_options ro = reading(v);
    struct stream_stat stat = {0};
    struct tokenize_options to = {
        .threads = opt_threads(&v->common), .no_specials_in_text = strcmp(v->specials, "no") == 0,
        .expect_records = (uint64_t)v->expect,
        .write = {.level = (int)v->level, .block_records = (size_t)v->block_records,
                  .plain = v->plain}};
    const char *model = v->model ? v->model : model_default_name();
    struct tokenize_report r;
    struct io_out out = {.fd = -1}, stats = {.fd = -1};
    struct toks_header h = {0};
    struct records *in = NULL;
    struct tokenizer *t = NULL;
    struct cleaner *clean = NULL;
    int rc = make_cleaner(v, &clean, e) || io_out_open(&out, v->out, e) ||
                     statfile_open(&stats, v->stats, v->out, e)
                 ? -1
                 : 0;

    to.clean = clean;
    to.fd = out.fd;
    to.name = out.name;
    to.msg = m;
    if (m->level >= MSG_VERBOSE || v->stats)
        to.stat = &stat;
    if (!rc && isatty(out.fd))
        rc = err_set(e, ERR_USAGE, "a token stream is binary and is not written to a terminal; "
                     "pipe it into a tool ('| finetune') or use -o FILE");
    if (!rc && (!(t = find_tokenizer(model, e)) || tokenize_header(&h, t, model, e) ||
                toks_add_provenance(&h, "tok", command, e) ||
                (to.stat && tokenize_stat(&stat, e)) ||
                !(in = records_open(paths, n, &ro, m, e)) ||
                tokenize(in, t, &h, &to, &r, e) ||
                statfile_publish(&stats, &stat, &h, &out, v->out, e)))
        rc = -1;
    if (!rc)
        tokenize_say(&r, to.stat, &h, m);
    io_discard(&out);
    io_discard(&stats);
    records_free(in);
    tokenizer_free(t);
    stat_free(&stat);
    cleaner_free(clean);
    toks_header_free(&h);
    return rc;
}

static int explain_all(const struct values *v, char **texts, int n, struct msg *m, struct err *e)
{
    const struct records_options ro = reading(v);
    struct explain_options eo = {.no_specials_in_text = strcmp(v->specials, "no") == 0,
                                 .max_len = v->max_len};
    struct io_out out = {.fd = -1};
    struct records *in = NULL;
    struct tokenizer *t = NULL;
    struct cleaner *clean;
    int rc = make_cleaner(v, &clean, e);

    eo.clean = clean;
    for (int i = 0; i < n; i++)
        if (io_exists(texts[i]))
            msg_note(m, "'%s' is explained as a text; for its records: tok --explain <%s",
                     texts[i], texts[i]);
    if (!rc && (!(t = find_tokenizer(v->model ? v->model : model_default_name(), e)) ||
                io_out_open(&out, v->out, e) ||
                (n ? explain_texts(texts, n, t, &eo, &out, e)
                   : !(in = records_open(NULL, 0, &ro, m, e)) ||
                         explain_records(in, t, &eo, &out, e)) ||
                io_publish(&out, e)))
        rc = -1;
    io_discard(&out);
    records_free(in);
    tokenizer_free(t);
    cleaner_free(clean);
    return rc;
}

static int choose_columns(const struct values *v, struct detok_options *o, struct err *e)
{
    if (v->want_ids + v->want_tokens + v->want_text + (v->columns != NULL) > 1)
        return err_set(e, ERR_USAGE, "give one of --ids, --tokens, --text and --columns");
    if (v->columns)
        return detok_columns(o, v->columns, e);
    o->column[0] = v->want_ids ? DETOK_IDS : v->want_tokens ? DETOK_TOKENS : DETOK_TEXT;
    o->n = 1;
    return 0;
}

static int decode(const struct values *v, char **paths, int n, struct err *e)
{
    const struct toks_read_options ro = {.threads = opt_threads(&v->common),
                                         .expect_records = (uint64_t)v->expect};
    struct detok_options o = {.special = v->special, .limit = {v->max_len, -1}};
    struct io_out out = {.fd = -1};
    struct toks_reader *in = NULL;
    struct tokenizer *t = NULL;
    int rc = choose_columns(v, &o, e);

    if (!rc && v->truncate && template_read_cut(v->truncate, &o.limit, e))
        rc = err_prefix(e, "--truncate: ");
    if (!rc && (io_out_open(&out, v->out, e) || !(in = toks_open_files(paths, n, &ro, e)) ||
                (detok_needs_tokenizer(&o) &&
                 !(t = detok_tokenizer(toks_reader_header(in), v->model, e))) ||
                detok(in, t, &o, out.fd, out.name, e) || io_publish(&out, e)))
        rc = -1;
    io_discard(&out);
    toks_reader_free(in);
    tokenizer_free(t);
    return rc;
}

int main(int argc, char **argv)
{
    struct values v = {.common = OPT_COMMON_DEFAULTS, .format = "auto", .header = "auto",
                       .specials = "yes", .invalid = "replace", .level = 1};
    const enum mode mode = find_mode(argc, argv);
    const struct opt_tool *tool = mode == PRINT_STREAMS  ? &decode_tool
                                  : mode == EXPLAIN_TEXTS ? &explain_tool
                                                          : &encode_tool;
    struct msg m;
    struct err e = {0};
    char *command = NULL;
    int first, rc = opt_parse(tool, argc, argv, &v, &first, &m, &e);

    if (rc == 0 && v.clean && strcmp(v.clean, "help") == 0) {
        print_steps();
        return msg_finish(&m, &e);
    }
    prepare_heap();
    if (rc == 0 && first == argc && isatty(STDIN_FILENO))
        rc = err_set(&e, ERR_USAGE, "nothing to read: give a FILE or pipe text into tok; see "
                     "'tok -h'");
    if (rc == 0 && mode == PRINT_STREAMS)
        decode(&v, argv + first, argc - first, &e);
    else if (rc == 0 && mode == EXPLAIN_TEXTS)
        explain_all(&v, argv + first, argc - first, &m, &e);
    else if (rc == 0 && v.show)
        show(&v, argv + first, argc - first, &m, &e);
    else if (rc == 0 && (command = opt_command(tool, argc, argv, &e)) != NULL)
        encode(&v, argv + first, argc - first, command, &m, &e);
    free(command);
    return msg_finish(&m, &e);
}
