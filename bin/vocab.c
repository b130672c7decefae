/* SPDX-License-Identifier: MIT */
/* vocab: text -> a trained tokenizer's directory */
#include "clean.h"
#include "msg.h"
#include "opt.h"
#include "records.h"
#include "vocabtrain.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct values {
    struct opt_common common;
    const char *kind, *format, *header, *text, *join, *member, *clean, *out;
    int64_t size, min_count;
    bool cased, force;
};

#define AT(field) offsetof(struct values, field)

static const struct opt options[] = {
    {"output", 'o', OPT_TEXT, AT(out), "DIR", "directory that gets the tokenizer's files", OPT_SAME,
     0, 0},
    {"kind", 0, OPT_CHOICE, AT(kind), "wordpiece|bpe|unigram|word",
     "WordPiece (BERT), byte-level BPE (RoBERTa), Unigram (ALBERT) or whole words [wordpiece]", 0,
     0, 0},
    {"size", 0, OPT_INT, AT(size), "N", "tokens in all, special ones included [30000]", 0, 10,
     1 << 24},
    {"cased", 0, OPT_FLAG, AT(cased), NULL, "keep case and accents (BPE: always)", 0, 0, 0},
    {"min-count", 0, OPT_INT, AT(min_count), "N", "make no token of what is rarer [2]", 0, 1, 1e15},
    {"text", 0, OPT_TEXT, AT(text), "COL[,COL...]", "columns of text, by name or number", 0, 0,
     0},
    {"join", 0, OPT_TEXT, AT(join), "STR", "goes between several text columns [one space]", 0, 0,
     0},
    {"format", 0, OPT_CHOICE, AT(format), "auto|tsv|csv|jsonl|text", "format of the input [auto]",
     0, 0, 0},
    {"header", 0, OPT_CHOICE, AT(header), "auto|yes|no", "the first record names columns [auto]",
     0, 0, 0},
    {"member", 0, OPT_TEXT, AT(member), "GLOB", "members of archives to read [all]", 0, 0, 0},
    {"clean", 0, OPT_TEXT, AT(clean), "STEP[,STEP...]",
     "clean texts, as tok does; 'tok --clean help' lists the steps [nothing]", 0, 0, 0},
    {"force", 'f', OPT_FLAG, AT(force), NULL, "replace a tokenizer that is in DIR", OPT_SAME, 0,
     0},
    OPT_THREADS,
};

static const struct opt_tool tool = {
    .name = "vocab",
    .does = "train a tokenizer on a corpus that has none",
    .synopsis = "[--kind wordpiece|bpe|unigram|word] [--size N] [--cased] [options] -o DIR [FILE...]",
    .examples = "  vocab --size 8000 -o mymodel corpus.txt\n"
                "  zcat news.tsv.gz | vocab --kind bpe --text title,body -o mymodel",
    .operands = "FILE is text, TSV, CSV or JSON lines, or an archive of them; - and no FILE at "
                "all is standard input.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
};

static int choice(const char *word, const char *const *words)
{
    int i = 0;

    while (words[i + 1] && strcmp(words[i], word) != 0)
        i++;
    return i;
}

static struct records *open_input(const struct values *v, char **paths, int n, struct msg *m,
                                  struct err *e)
{
    static const char *const formats[] = {"auto", "tsv", "csv", "jsonl", "text", NULL};
    static const char *const headers[] = {"auto", "yes", "no", NULL};
    const struct records_options o = {
        .format = (enum records_format)choice(v->format, formats),
        .header = (enum records_header)choice(v->header, headers),
        .text = v->text,
        .join = v->join,
        .member = v->member,
    };
    char dash[] = "-";
    char *const standard_input[] = {dash};

    if (n == 0 && isatty(STDIN_FILENO)) {
        err_set(e, ERR_USAGE, "no FILE, and standard input is a terminal; try 'vocab --help'");
        return NULL;
    }
    return records_open(n ? paths : standard_input, n ? n : 1, &o, m, e);
}

static int run(const struct values *v, char **paths, int n, struct msg *m, struct err *e)
{
    static const char *const kinds[] = {"wordpiece", "bpe", "unigram", "word", NULL};
    struct vocab_options o = {
        .kind = (enum vocab_kind)choice(v->kind, kinds),
        .size = (size_t)v->size,
        .cased = v->cased,
        .min_count = (uint64_t)v->min_count,
        .threads = opt_threads(&v->common),
    };
    struct vocab_totals totals;
    struct vocablist result = {0};
    struct cleaner *clean = NULL;
    struct records *in;
    int rc;

    if (!v->out)
        return err_set(e, ERR_USAGE, "-o DIR is missing; try 'vocab --help'");
    if (v->clean && !(clean = cleaner_make(v->clean, 0, e)))
        return -1;
    in = vocab_writable(v->out, v->force, e) ? NULL : open_input(v, paths, n, m, e);
    o.clean = clean;
    rc = in ? vocab_train(in, &o, &result, &totals, e) : -1;
    records_free(in);
    cleaner_free(clean);
    if (rc == 0 && totals.words == 0)
        rc = err_set(e, ERR_DATA, "the input has no words to learn from");
    if (rc == 0)
        rc = vocab_write(v->out, &o, &result, v->force, e);
    if (rc == 0)
        msg_note(m, "%s: %zu tokens from %llu records, %llu words, %llu different", v->out,
                 result.n, (unsigned long long)totals.records, (unsigned long long)totals.words,
                 (unsigned long long)totals.distinct);
    if (rc == 0 && result.n < o.size)
        msg_note(m, "the corpus gives no more than %zu of the %zu tokens asked for", result.n,
                 o.size);
    vocablist_free(&result);
    return rc;
}

int main(int argc, char **argv)
{
    struct values v = {.common = OPT_COMMON_DEFAULTS,
                       .kind = "wordpiece",
                       .format = "auto",
                       .header = "auto",
                       .size = 30000,
                       .min_count = 2};
    struct err e = {0};
    struct msg m;
    int first;

    if (opt_parse(&tool, argc, argv, &v, &first, &m, &e) == 0)
        (void)run(&v, argv + first, argc - first, &m, &e);
    return msg_finish(&m, &e);
}
