/* SPDX-License-Identifier: MIT */
/*
 * tok_options: the options of tok, a table for each thing that it does (tool).
 */
#ifndef BERTUTILS_TOK_OPTIONS_H
#define BERTUTILS_TOK_OPTIONS_H

#include "opt.h"

struct values {
    struct opt_common common;
    const char *model, *out;
    /* tok */
    const char *format, *header, *text, *join, *pair, *label, *weight, *key, *member, *specials, *clean, *invalid;
    int64_t max_line, max_members, max_member_bytes, max_ratio, expect, block_records, level;
    bool plain, show;
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

#endif
