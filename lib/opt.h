/* SPDX-License-Identifier: MIT */
/*
 * opt: one table a tool, from which parsing, -h, --help, provenance and the tests that
 * compare help with the man page all come (L0).
 *
 * A tool declares a struct of values whose first member is `struct opt_common`, a const
 * table of `struct opt` with offsets into it, and a `struct opt_tool`; then
 *
 *     rc = opt_parse(&tool, argc, argv, &values, &first, &msg, &e);
 *     rc > 0: help or version was printed, the tool ends with status 0
 *     rc < 0: *e is filled (ERR_USAGE)
 *     rc = 0: argv[first..argc-1] are the operands
 */
#ifndef BERTUTILS_OPT_H
#define BERTUTILS_OPT_H

#include "err.h"
#include "msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_type {
    OPT_FLAG,   /* bool: set to true */
    OPT_COUNT,  /* int: one more each time */
    OPT_LESS,   /* int: one less each time */
    OPT_INT,    /* int64_t within min..max */
    OPT_REAL,   /* double within min..max */
    OPT_SIZE,   /* int64_t: bytes, with K, M, G or T behind it in powers of 1024 */
    OPT_TEXT,   /* const char * into argv */
    OPT_CHOICE, /* const char *: one of the words of `arg`, "a|b|c" */
    OPT_TEXTS   /* struct opt_texts: may be given several times */
};

struct opt_texts {
    const char *at[64];
    int n;
};

/* Bits of opt.flags. */
enum {
    OPT_SAME = 1,  /* never changes output bytes: left out of the provenance */
    OPT_HIDDEN = 2 /* not in -h, only in --help */
};

struct opt {
    const char *name; /* long name, without dashes */
    char letter;      /* short name, or 0 */
    enum opt_type type;
    size_t offset;    /* of the value in the tool's struct */
    const char *arg;  /* what the value is called in the help: "N", "FILE"; NULL for flags */
    const char *help; /* one sentence, with the default in brackets where there is one */
    int flags;
    double min, max; /* OPT_INT, OPT_REAL, OPT_SIZE: accepted range; both 0: any */
};

/* What every tool has.  The first member of a tool's struct of values. */
struct opt_common {
    int verbosity;     /* -v adds, -q takes away */
    int64_t threads;   /* -@; 0: all that the process may use */
    int64_t seed;      /* --seed, 42 */
    const char *device;    /* auto | cpu | cuda[:N] */
    const char *precision; /* auto | fp32 | bf16 */
};
#define OPT_COMMON_DEFAULTS {0, 0, 42, "auto", "auto"}

#define OPT_THREADS {"threads", '@', OPT_INT, offsetof(struct opt_common, threads), "N", \
    "use N threads in all; 0: all there are; never changes the output [0]", OPT_SAME, 0, 1024}
#define OPT_SEED {"seed", 0, OPT_INT, offsetof(struct opt_common, seed), "N", \
    "seed of every random choice [42]", 0, 0, 9e15}
#define OPT_DEVICE {"device", 0, OPT_TEXT, offsetof(struct opt_common, device), "DEVICE", \
    "auto, cpu or cuda[:N] [auto]", OPT_SAME, 0, 0}
#define OPT_PRECISION {"precision", 0, OPT_CHOICE, offsetof(struct opt_common, precision), \
    "auto|fp32|bf16", "number format of the matrix products [auto]", 0, 0, 0}

struct opt_tool {
    const char *name;      /* "tok" */
    const char *does;      /* one line: what it does */
    const char *synopsis;  /* lines after the tool's name, each "usage: NAME LINE" */
    const char *examples;  /* ready to be copied; printed first by -h */
    const char *operands;  /* a paragraph for --help, or NULL */
    const struct opt *options;
    size_t n_options;
};

/* -h --help -V -q -v are handled for every tool.  See the top of this file. */
int opt_parse(const struct opt_tool *tool, int argc, char **argv, void *values, int *first,
              struct msg *m, struct err *e) MUST_USE;

/*
 * The command as it goes into provenance: the options given that can change output, in long
 * form and table order, without those that repeat the default that their help shows, and the
 * operands (a lone "-" is none), quoted for a shell.  malloc'd.
 */
char *opt_command(const struct opt_tool *tool, int argc, char **argv, struct err *e) MUST_USE;

/* Every argument as given, quoted for a shell.  malloc'd. */
char *opt_full_command(int argc, char **argv, struct err *e) MUST_USE;

/* Threads to use: common->threads, or $BERTUTILS_THREADS, or all that the process may use. */
int opt_threads(const struct opt_common *c);

/* A number of the C locale, whole text used.  0, or -1 and ERR_USAGE naming the option. */
int opt_real(const char *text, const char *option, double *value, struct err *e) MUST_USE;
int opt_int(const char *text, const char *option, int64_t *value, struct err *e) MUST_USE;
/* "1500000", "512M", "1.5G": powers of 1024. */
int opt_size(const char *text, const char *option, int64_t *bytes, struct err *e) MUST_USE;

#endif
