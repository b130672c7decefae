/* SPDX-License-Identifier: MIT */
/* tok: text -> token stream; tok -d: token stream -> text, tokens or ids */
#include "detok.h"
#include "io.h"
#include "modelpath.h"
#include "opt.h"
#include "tokenize.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct values {
    struct opt_common common;
    const char *model, *out;
    /* tok */
    const char *format, *header, *text, *join, *pair, *label, *weight, *key, *member, *specials;
    int64_t max_line, max_members, max_member_bytes, max_ratio, expect, block_records, level;
    bool plain;
    /* tok -d */
    bool decode, want_ids, want_tokens, want_text, special;
    const char *columns;
    int64_t max_len;
};

#define AT(field) offsetof(struct values, field)
#define MODEL(help) {"model", 'm', OPT_TEXT, AT(model), "MODEL", help, 0, 0, 0}
#define OUTPUT {"output", 'o', OPT_TEXT, AT(out), "FILE", \
    "write FILE, which appears when it is whole [standard output]", OPT_SAME, 0, 0}
#define DECODE {"decode", 'd', OPT_FLAG, AT(decode), NULL, \
    "turn token streams back into text; see tok -d --help", 0, 0, 0}

static const struct opt encode_options[] = {
    MODEL("model whose tokenizer to use [$BERTUTILS_MODEL, else roberta]"),
    OUTPUT,
    {"format", 0, OPT_CHOICE, AT(format), "auto|tsv|csv|jsonl|text", "format of the input [auto]",
     0, 0, 0},
    {"header", 0, OPT_CHOICE, AT(header), "auto|yes|no", "the first record names columns [auto]",
     0, 0, 0},
    {"text", 0, OPT_TEXT, AT(text), "COL[,COL...]", "text: columns by name, or number from 1", 0,
     0, 0},
    {"join", 0, OPT_TEXT, AT(join), "STR", "goes between several text columns [one space]", 0, 0,
     0},
    {"pair", 0, OPT_TEXT, AT(pair), "COL", "second text of a pair", 0, 0, 0},
    {"label", 0, OPT_TEXT, AT(label), "COL", "label: a class, a number, or names with commas", 0,
     0, 0},
    {"weight", 0, OPT_TEXT, AT(weight), "COL", "weight of the record in training", 0, 0, 0},
    {"key", 0, OPT_TEXT, AT(key), "COL", "name of the record [its number from 1]", 0, 0, 0},
    {"member", 0, OPT_TEXT, AT(member), "GLOB", "members of archives to read, * also matches / "
     "[all]", 0, 0, 0},
    {"specials-in-text", 0, OPT_CHOICE, AT(specials), "yes|no",
     "a special token spelled out in a text is that token [yes]", 0, 0, 0},
    {"expect-records", 0, OPT_INT, AT(expect), "N", "fail unless there are N records", OPT_SAME, 0,
     9e15},
    {"block-records", 0, OPT_INT, AT(block_records), "N",
     "close a block after N records [by size, 1 MiB]", 0, 0, 1e9},
    {"level", 0, OPT_INT, AT(level), "N", "zstd level, 1 (fast) to 12 (small) [1]", 0, 1, 12},
    {"plain", 'u', OPT_FLAG, AT(plain), NULL, "do not compress", 0, 0, 0},
    {"max-line", 0, OPT_INT, AT(max_line), "BYTES", "longest line or CSV record [16777216]",
     OPT_SAME, 1, 1 << 30},
    {"max-members", 0, OPT_INT, AT(max_members), "N", "most entries in an archive [10000]",
     OPT_SAME, 1, 1e9},
    {"max-member-bytes", 0, OPT_INT, AT(max_member_bytes), "N",
     "largest member of an archive [1073741824]", OPT_SAME, 1, 9e15},
    {"max-ratio", 0, OPT_INT, AT(max_ratio), "N",
     "most bytes out of one byte of a packed file [200]", OPT_SAME, 1, 1e9},
    DECODE,
    OPT_THREADS,
};

static const struct opt decode_options[] = {
    DECODE,
    MODEL("model whose tokenizer to use [the one named in the stream]"),
    OUTPUT,
    {"ids", 0, OPT_FLAG, AT(want_ids), NULL, "print ids", 0, 0, 0},
    {"tokens", 0, OPT_FLAG, AT(want_tokens), NULL, "print tokens", 0, 0, 0},
    {"text", 0, OPT_FLAG, AT(want_text), NULL, "print text (the default)", 0, 0, 0},
    {"columns", 0, OPT_TEXT, AT(columns), "LIST",
     "print these, TAB-separated: key,label,weight,len,ids,tokens,text", 0, 0, 0},
    {"special", 0, OPT_FLAG, AT(special), NULL, "whole inputs with special tokens, as models see "
     "them", 0, 0, 0},
    {"max-len", 0, OPT_INT, AT(max_len), "N", "cut to N tokens, special ones included [no limit]",
     0, 0, 1e9},
    {"expect-records", 0, OPT_INT, AT(expect), "N", "fail unless there are N records", OPT_SAME, 0,
     9e15},
    OPT_THREADS,
};

static const struct opt_tool encode_tool = {
    .name = "tok",
    .does = "turn text into a token stream, and back (-d)",
    .synopsis = "[-m MODEL] [--text COL[,COL...]] [--label COL] [options] [FILE...]\n"
                "-d [-m MODEL] [--ids | --tokens | --text | --columns LIST] [STREAM...]",
    .examples = "  tok -m bert-base-uncased train.tsv | finetune -m bert-base-uncased -o cls\n"
                "  tok --text 4 --label 2 cola_public.zip --member '*/raw/in_domain_train.tsv'\n"
                "  tok --text title,abstract --join . --label field papers.jsonl -o p.toks.zst\n"
                "  tok -d --columns key,label,len,text p.toks.zst",
    .operands = "FILE is text, TSV, CSV or JSON lines, also compressed or in a zip or tar archive;\n"
                "- and none at all is standard input.  COL is a name, a JSON key or a number.",
    .options = encode_options,
    .n_options = sizeof encode_options / sizeof encode_options[0],
};

static const struct opt_tool decode_tool = {
    .name = "tok",
    .does = "print token streams (-d), one line a record",
    .synopsis = "-d [-m MODEL] [--ids | --tokens | --text | --columns LIST] [options] [STREAM...]",
    .examples = "  tok -d --ids p.toks.zst\n"
                "  tok -d --special --tokens --max-len 64 p.toks.zst | head\n"
                "  tok -d --columns key,label,len,text p.toks.zst",
    .operands = "STREAM is a token stream; - and no STREAM at all is standard input.",
    .options = decode_options,
    .n_options = sizeof decode_options / sizeof decode_options[0],
};

static bool takes_value(const char *word)
{
    for (size_t i = 0; i < encode_tool.n_options; i++) {
        const struct opt *o = &encode_options[i];

        if (o->arg && ((word[0] == '-' && word[1] == '-' && strcmp(word + 2, o->name) == 0) ||
                       (o->letter && word[0] == '-' && word[1] == o->letter && !word[2])))
            return true;
    }
    return false;
}

/* -d is looked for first, since --text means another thing with it. */
static bool wants_decode(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *word = argv[i];

        if (strcmp(word, "--decode") == 0)
            return true;
        if (word[0] == '-' && word[1] != '-' && strchr(word, 'd') &&
            strspn(word + 1, "dhvqV") == strlen(word + 1))
            return true;
        if (takes_value(word) && strcmp(word, "--text") != 0)
            i++;
    }
    return false;
}

static int word_of(const char *word, const char *const *words)
{
    int i = 0;

    while (words[i + 1] && strcmp(words[i], word) != 0)
        i++;
    return i;
}

static int encode(const struct values *v, char **paths, int n, const char *command, struct msg *m,
                  struct err *e)
{
    static const char *const formats[] = {"auto", "tsv", "csv", "jsonl", "text", NULL};
    static const char *const headers[] = {"auto", "yes", "no", NULL};
    const struct records_options ro = {
        .format = (enum records_format)word_of(v->format, formats),
        .header = (enum records_header)word_of(v->header, headers),
        .text = v->text, .join = v->join, .pair = v->pair, .label = v->label,
        .weight = v->weight, .key = v->key, .member = v->member, .max_line = (size_t)v->max_line,
        .max_members = (uint64_t)v->max_members, .max_ratio = (uint64_t)v->max_ratio,
        .max_member_bytes = (uint64_t)v->max_member_bytes};
    const struct tokenize_options to = {
        .threads = opt_threads(&v->common), .no_specials_in_text = strcmp(v->specials, "no") == 0,
        .expect_records = (uint64_t)v->expect,
        .write = {.level = (int)v->level, .block_records = (size_t)v->block_records,
                  .plain = v->plain}};
    const char *model = v->model ? v->model : model_default_name();
    struct tokenize_report r;
    struct io_out out = {.fd = -1};
    struct toks_header h = {0};
    struct records *in = NULL;
    struct tokenizer *t = NULL;
    int rc = io_out_open(&out, v->out, e);

    if (!rc && isatty(out.fd))
        rc = err_set(e, ERR_USAGE, "a token stream is binary and is not written to a terminal; "
                     "pipe it into a tool ('| finetune') or use -o FILE");
    if (!rc && (!(t = tokenizer_find(model, e)) || tokenize_header(&h, t, model, e) ||
                toks_add_provenance(&h, "tok", command, e) ||
                !(in = records_open(paths, n, &ro, m, e)) ||
                tokenize(in, t, &h, out.fd, out.name, &to, &r, m, e) || io_publish(&out, e)))
        rc = -1;
    if (!rc)
        tokenize_say(&r, m);
    io_discard(&out);
    records_free(in);
    tokenizer_free(t);
    toks_header_free(&h);
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
    struct detok_options o = {.special = v->special, .max_len = v->max_len};
    struct io_out out = {.fd = -1};
    struct toks_reader *in = NULL;
    struct tokenizer *t = NULL;
    int rc = choose_columns(v, &o, e);

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
                       .specials = "yes", .level = 1};
    const bool back = wants_decode(argc, argv);
    const struct opt_tool *tool = back ? &decode_tool : &encode_tool;
    struct msg m;
    struct err e = {0};
    char *command = NULL;
    int first, rc = opt_parse(tool, argc, argv, &v, &first, &m, &e);

    mallopt(M_MMAP_THRESHOLD, 1 << 20); /* large buffers go back to the system at once */
    if (rc == 0 && first == argc && isatty(STDIN_FILENO))
        rc = err_set(&e, ERR_USAGE, "nothing to read: give a FILE or pipe text into tok; see "
                     "'tok -h'");
    if (rc == 0 && back)
        decode(&v, argv + first, argc - first, &e);
    else if (rc == 0 && (command = opt_command(tool, argc, argv, &e)) != NULL)
        encode(&v, argv + first, argc - first, command, &m, &e);
    free(command);
    return msg_finish(&m, &e);
}
