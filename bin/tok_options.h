/* SPDX-License-Identifier: MIT */
/*
 * tok_options: the options of tok, a table for each thing that it does (tool).
 */
#ifndef BERTUTILS_TOK_OPTIONS_H
#define BERTUTILS_TOK_OPTIONS_H

#include "opt.h"

#include <string.h>

struct values {
    struct opt_common common;
    const char *model, *out, *stats;
    /* tok */
    const char *format, *header, *text, *join, *pair, *label, *weight, *key, *member, *specials, *clean, *invalid;
    int64_t max_line, max_members, max_member_bytes, max_ratio, expect, block_records, level;
    bool plain, show;
    /* tok -d */
    bool decode, want_ids, want_tokens, want_text, special;
    const char *columns, *truncate;
    int64_t max_len;
    /* tok --explain */
    bool explain;
};

#define AT(field) offsetof(struct values, field)
#define MODEL(help) {"model", 'm', OPT_TEXT, AT(model), "MODEL", help, 0, 0, 0}
#define OUTPUT {"output", 'o', OPT_TEXT, AT(out), "FILE", \
    "write FILE, which appears when it is whole [standard output]", OPT_SAME, 0, 0}
#define DECODE {"decode", 'd', OPT_FLAG, AT(decode), NULL, \
    "turn token streams back into text; see tok -d --help", 0, 0, 0}

#define EXPLAIN {"explain", 0, OPT_FLAG, AT(explain), NULL, \
    "show how texts become tokens; see tok --explain --help", 0, 0, 0}

/* What records are made of, and what an archive may hold. */
#define COLUMNS \
    {"format", 0, OPT_CHOICE, AT(format), "auto|tsv|csv|jsonl|text", "format of the input [auto]", \
     0, 0, 0}, \
    {"header", 0, OPT_CHOICE, AT(header), "auto|yes|no", "the first record names columns [auto]", \
     0, 0, 0}, \
    {"text", 0, OPT_TEXT, AT(text), "COL[,COL...]", "text: columns by name, or number from 1", 0, \
     0, 0}, \
    {"join", 0, OPT_TEXT, AT(join), "STR", "goes between several text columns [one space]", 0, 0, \
     0}, \
    {"pair", 0, OPT_TEXT, AT(pair), "COL", "second text of a pair", 0, 0, 0}, \
    {"label", 0, OPT_TEXT, AT(label), "COL", "label: a class, a number, or names with commas", 0, \
     0, 0}, \
    {"weight", 0, OPT_TEXT, AT(weight), "COL", "weight of the record in training", 0, 0, 0}, \
    {"key", 0, OPT_TEXT, AT(key), "COL", "name of the record [its number from 1]", 0, 0, 0}, \
    {"member", 0, OPT_TEXT, AT(member), "GLOB", "members of archives to read, * also matches / " \
     "[all]", 0, 0, 0}, \
    {"specials-in-text", 0, OPT_CHOICE, AT(specials), "yes|no", \
     "a special token spelled out in a text is that token [yes]", 0, 0, 0}, \
    {"invalid", 0, OPT_CHOICE, AT(invalid), "replace|error|skip", \
     "NUL and what is not UTF-8: read as U+FFFD, fail, or leave the record out [replace]", 0, 0, \
     0}, \
    {"clean", 0, OPT_TEXT, AT(clean), "STEP[,STEP...]", \
     "clean texts and pairs, in this order; 'help' lists the steps [nothing]", 0, 0, 0}
#define LIMITS \
    {"max-line", 0, OPT_INT, AT(max_line), "BYTES", "longest line or CSV record [16777216]", \
     OPT_SAME, 1, 1 << 30}, \
    {"max-members", 0, OPT_INT, AT(max_members), "N", "most entries in an archive [10000]", \
     OPT_SAME, 1, 1e9}, \
    {"max-member-bytes", 0, OPT_INT, AT(max_member_bytes), "N", \
     "largest member of an archive [1073741824]", OPT_SAME, 1, 9e15}, \
    {"max-ratio", 0, OPT_INT, AT(max_ratio), "N", \
     "most bytes out of one byte of a packed file [200]", OPT_SAME, 1, 1e9}

static const struct opt encode_options[] = {
    MODEL("model whose tokenizer to use [$BERTUTILS_MODEL, else roberta]"),
    OUTPUT,
    COLUMNS,
    {"show", 0, OPT_FLAG, AT(show), NULL, "write no stream: print what --clean does, before and "
     "after", 0, 0, 0},
    {"expect-records", 0, OPT_INT, AT(expect), "N", "fail unless there are N records", OPT_SAME, 0,
     9e15},
    {"block-records", 0, OPT_INT, AT(block_records), "N",
     "close a block after N records [by size, 1 MiB]", 0, 0, 1e9},
    {"level", 0, OPT_INT, AT(level), "N", "zstd level, 1 (fast) to 12 (small) [1]", 0, 1, 12},
    {"plain", 'u', OPT_FLAG, AT(plain), NULL, "do not compress", 0, 0, 0},
    LIMITS,
    {"stats", 0, OPT_TEXT, AT(stats), "FILE", "write what -v counts as JSON, too", OPT_SAME, 0, 0},
    DECODE,
    EXPLAIN,
    OPT_THREADS,
};

static const struct opt explain_options[] = {
    EXPLAIN,
    MODEL("model whose tokenizer to use [$BERTUTILS_MODEL, else roberta]"),
    OUTPUT,
    {"max-len", 0, OPT_INT, AT(max_len), "N", "show where N tokens, special ones included, end "
     "[no limit]", 0, 0, 1e9},
    COLUMNS,
    LIMITS,
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
    {"truncate", 0, OPT_TEXT, AT(truncate), "PART",
     "what stays of a longer text: head, tail, head+tail[:N] [head]", 0, 0, 0},
    {"expect-records", 0, OPT_INT, AT(expect), "N", "fail unless there are N records", OPT_SAME, 0,
     9e15},
    OPT_THREADS,
};

static const struct opt_tool encode_tool = {
    .name = "tok",
    .does = "turn text into a token stream, and back (-d)",
    .synopsis = "[-m MODEL] [--text COL[,COL...]] [--label COL] [options] [FILE...]\n"
                "-d [-m MODEL] [--ids | --tokens | --text | --columns LIST] [STREAM...]\n"
                "--explain [-m MODEL] [--max-len N] [TEXT...]",
    .examples = "  tok -m bert-base-uncased train.tsv | finetune -m bert-base-uncased -o cls\n"
                "  tok --text 4 --label 2 cola_public.zip --member '*/raw/in_domain_train.tsv'\n"
                "  tok --text title,abstract --join . --label field papers.jsonl -o p.toks.zst\n"
                "  tok -d --columns key,label,len,text p.toks.zst",
    .operands = "FILE is text, TSV, CSV or JSON lines, also compressed or in a zip or tar archive;\n"
                "- and none at all is standard input.  COL is a name, a JSON key or a number.",
    .options = encode_options,
    .n_options = sizeof encode_options / sizeof encode_options[0],
};

static const struct opt_tool explain_tool = {
    .name = "tok",
    .does = "show how texts become tokens (--explain)",
    .synopsis = "--explain [-m MODEL] [--max-len N] [options] [TEXT...]",
    .examples = "  tok --explain -m bert-base-uncased 'PyTorch is a great framework for NLP'\n"
                "  tok --explain -m bert-base-uncased --text 4 --max-len 16 <train.tsv | less\n"
                "  tok --explain --text 2 <train.tsv | grep 'unknown$' | cut -f 8 | sort | uniq -c",
    .operands = "TEXT is a text; none at all: the records of standard input.",
    .options = explain_options,
    .n_options = sizeof explain_options / sizeof explain_options[0],
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

enum mode { ENCODE, EXPLAIN_TEXTS, PRINT_STREAMS };

/* -d is looked for first, since --text means another thing with it. */
static enum mode find_mode(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *word = argv[i];

        if (strcmp(word, "--decode") == 0)
            return PRINT_STREAMS;
        if (strcmp(word, "--explain") == 0)
            return EXPLAIN_TEXTS;
        if (word[0] == '-' && word[1] != '-' && strchr(word, 'd') &&
            strspn(word + 1, "dhvqV") == strlen(word + 1))
            return PRINT_STREAMS;
        if (takes_value(word) && strcmp(word, "--text") != 0)
            i++;
    }
    return ENCODE;
}

#endif
