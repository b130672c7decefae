/* SPDX-License-Identifier: MIT */
#include "opt.h"
#include "mem.h"
#include "par.h"
#include "version.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_OPTIONS 96

/* Options that every tool has; their values are handled in opt_parse itself. */
enum { WANT_NONE, WANT_SHORT_HELP, WANT_HELP, WANT_VERSION };

static const struct opt always[] = {
    {"help", 0, OPT_FLAG, 0, NULL, "print this help", OPT_SAME, 0, 0},
    {NULL, 'h', OPT_FLAG, 0, NULL, "print a short help", OPT_SAME, 0, 0},
    {"version", 'V', OPT_FLAG, 0, NULL, "print the version (-v: and what it is built of)",
     OPT_SAME, 0, 0},
    {"verbose", 'v', OPT_COUNT, offsetof(struct opt_common, verbosity), NULL,
     "say more; may be given twice", OPT_SAME, 0, 0},
    {"quiet", 'q', OPT_LESS, offsetof(struct opt_common, verbosity), NULL,
     "errors only; -qq: not even those", OPT_SAME, 0, 0},
};
enum { N_ALWAYS = sizeof always / sizeof always[0] };

/* All options of a tool: its own, then those that every tool has. */
struct table {
    const struct opt *at[MAX_OPTIONS];
    int n;
    struct option longs[MAX_OPTIONS + 1]; /* for getopt_long; val = 256 + index */
    char letters[2 * MAX_OPTIONS + 3];
};

static void table_make(const struct opt_tool *tool, struct table *t)
{
    int n_long = 0;
    char *l = t->letters;

    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < tool->n_options && t->n < MAX_OPTIONS - N_ALWAYS; i++)
        t->at[t->n++] = &tool->options[i];
    for (int i = 0; i < N_ALWAYS; i++)
        t->at[t->n++] = &always[i];
    *l++ = ':'; /* a missing argument is told apart from an unknown option */
    for (int i = 0; i < t->n; i++) {
        const struct opt *o = t->at[i];

        if (o->name)
            t->longs[n_long++] = (struct option){
                o->name, o->arg ? required_argument : no_argument, NULL, 256 + i};
        if (o->letter) {
            *l++ = o->letter;
            if (o->arg)
                *l++ = ':';
        }
    }
}

static const struct opt *table_find(const struct table *t, int code)
{
    if (code >= 256)
        return code - 256 < t->n ? t->at[code - 256] : NULL;
    for (int i = 0; i < t->n; i++)
        if (t->at[i]->letter == code)
            return t->at[i];
    return NULL;
}

/* "--name", or "-x" where there is only a letter. */
static const char *option_name(const struct opt *o, char text[64])
{
    if (o->name)
        snprintf(text, 64, "--%s", o->name);
    else
        snprintf(text, 64, "-%c", o->letter);
    return text;
}

int opt_real(const char *text, const char *option, double *value, struct err *e)
{
    char *end;

    errno = 0;
    *value = strtod(text, &end);
    if (*text == '\0' || isspace((unsigned char)*text) || *end != '\0' || !isfinite(*value))
        return err_set(e, ERR_USAGE, "%s: '%s' is not a number", option, text);
    return 0;
}

int opt_int(const char *text, const char *option, int64_t *value, struct err *e)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 10);
    if (*text == '\0' || isspace((unsigned char)*text) || *end != '\0' || errno == ERANGE)
        return err_set(e, ERR_USAGE, "%s: '%s' is not a whole number", option, text);
    return 0;
}

int opt_size(const char *text, const char *option, int64_t *bytes, struct err *e)
{
    static const char units[] = "KMGT";
    char *end;
    double value;
    const char *unit;

    errno = 0;
    value = strtod(text, &end);
    unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    for (const char *u = units; unit && u <= unit; u++)
        value *= 1024;
    if (!isdigit((unsigned char)*text) || (*end && (!unit || end[1])) || !(value < 0x1p62))
        return err_set(e, ERR_USAGE,
                       "%s: '%s' is no size: bytes, or a number with K, M, G or T behind it",
                       option, text);
    *bytes = (int64_t)value;
    return 0;
}

static int check_range(const struct opt *o, const char *name, double value, struct err *e)
{
    if (o->min == 0 && o->max == 0)
        return 0;
    if (value < o->min || value > o->max)
        return err_set(e, ERR_USAGE, "%s: %g is not between %g and %g", name, value, o->min,
                       o->max);
    return 0;
}

static bool is_choice(const char *choices, const char *text)
{
    const size_t n = strlen(text);

    for (const char *p = choices; n > 0; p++) {
        const size_t word = strcspn(p, "|");

        if (word == n && memcmp(p, text, n) == 0)
            return true;
        p += word;
        if (*p == '\0')
            break;
    }
    return false;
}

static int store_texts(const struct opt *o, const char *name, const char *arg, char *values,
                       struct err *e)
{
    struct opt_texts *list = (struct opt_texts *)(values + o->offset);

    if (list->n == (int)(sizeof list->at / sizeof list->at[0]))
        return err_set(e, ERR_USAGE, "%s is given more than %d times", name, list->n);
    list->at[list->n++] = arg;
    return 0;
}

static int store(const struct opt *o, const char *arg, char *values, struct err *e)
{
    char name[64];
    void *where = values + o->offset;
    double real;
    int64_t whole;

    option_name(o, name);
    switch (o->type) {
    case OPT_FLAG:
        *(bool *)where = true;
        return 0;
    case OPT_COUNT:
        ++*(int *)where;
        return 0;
    case OPT_LESS:
        --*(int *)where;
        return 0;
    case OPT_INT:
        if (opt_int(arg, name, &whole, e) || check_range(o, name, (double)whole, e))
            return -1;
        *(int64_t *)where = whole;
        return 0;
    case OPT_SIZE:
        if (opt_size(arg, name, &whole, e) || check_range(o, name, (double)whole, e))
            return -1;
        *(int64_t *)where = whole;
        return 0;
    case OPT_REAL:
        if (opt_real(arg, name, &real, e) || check_range(o, name, real, e))
            return -1;
        *(double *)where = real;
        return 0;
    case OPT_CHOICE:
        if (!is_choice(o->arg, arg))
            return err_set(e, ERR_USAGE, "%s: '%s' is none of %s", name, arg, o->arg);
        *(const char **)where = arg;
        return 0;
    case OPT_TEXT:
        *(const char **)where = arg;
        return 0;
    case OPT_TEXTS:
        return store_texts(o, name, arg, values, e);
    }
    return err_set(e, ERR_INTERNAL, "option table of %s is wrong", name);
}

/* Edit distance with swaps of neighbours, for "did you mean"; words are short. */
static int distance(const char *a, const char *b)
{
    int rows[3][64];
    const int n = (int)strlen(a), m = (int)strlen(b);

    if (n > 60 || m > 60)
        return 99;
    for (int j = 0; j <= m; j++)
        rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

        now[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = up[j - 1] + (a[i - 1] != b[j - 1]);

            best = up[j] + 1 < best ? up[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[n % 3][m];
}

static int unknown_option(const struct opt_tool *tool, const struct table *t, char **argv,
                          struct err *e)
{
    const char *given = argv[optind - 1], *best = NULL;
    int best_distance = 4;

    if (strncmp(given, "--", 2) != 0)
        return err_set(e, ERR_USAGE, "unknown option '-%c'; try '%s --help'", optopt,
                       tool->name);
    for (int i = 0; i < t->n; i++) {
        char word[64];
        const int n = (int)strcspn(given + 2, "=");
        int d;

        snprintf(word, sizeof word, "%.*s", n > 60 ? 60 : n, given + 2);
        d = t->at[i]->name ? distance(word, t->at[i]->name) : 99;
        if (d < best_distance) {
            best_distance = d;
            best = t->at[i]->name;
        }
    }
    if (best)
        return err_set(e, ERR_USAGE, "unknown option '%s'; did you mean '--%s'? try '%s --help'",
                       given, best, tool->name);
    return err_set(e, ERR_USAGE, "unknown option '%s'; try '%s --help'", given, tool->name);
}

static void print_option(const struct opt *o)
{
    char left[80];
    int used = 0;

    used += snprintf(left, sizeof left, o->letter ? "  -%c" : "    ", o->letter);
    if (o->name)
        used += snprintf(left + used, sizeof left - (size_t)used, "%s--%s",
                         o->letter ? ", " : "  ", o->name);
    if (o->arg)
        snprintf(left + used, sizeof left - (size_t)used, " %s", o->arg);
    if (strlen(left) > 28)
        printf("%s\n%30s%s\n", left, "", o->help);
    else
        printf("%-29s %s\n", left, o->help);
}

static void print_usage(const struct opt_tool *tool)
{
    const char *p = tool->synopsis;
    const char *lead = "usage:";

    while (*p) {
        const int n = (int)strcspn(p, "\n");

        printf("%s %s %.*s\n", lead, tool->name, n, p);
        lead = "      ";
        p += n + (p[n] == '\n');
    }
}

static void print_help(const struct opt_tool *tool, const struct table *t, bool whole)
{
    if (!whole) {
        printf("%s\n\n", tool->examples);
        print_usage(tool);
        printf("\n%s: %s\n'%s --help' lists the options, 'man %s' explains them.\n", tool->name,
               tool->does, tool->name, tool->name);
        return;
    }
    printf("%s: %s\n\n", tool->name, tool->does);
    print_usage(tool);
    if (tool->operands)
        printf("\n%s\n", tool->operands);
    printf("\noptions:\n");
    for (int i = 0; i < t->n; i++)
        print_option(t->at[i]);
    printf("\nexamples:\n%s\n", tool->examples);
    printf("\nexit status: 0 ok, 1 run-time, 2 usage, 65 bad data, 66 no input or model,\n"
           "70 internal, 73 cannot create, 74 I/O, 75 interrupted but resumable\n");
}

static void print_version(const struct opt_tool *tool, bool more)
{
    printf("%s (bertutils) %s\n", tool->name, BERTUTILS_VERSION);
    if (!more)
        return;
    printf("compiler: %s\n", __VERSION__);
    printf("token stream: reads and writes version 1\n");
}

/*
 * Where a standard stream is closed, the next file that is opened would take its number, and
 * be read or written as if it were that stream.  /dev/null takes it instead, opened the wrong
 * way round, so that using it is an error, as it would have been.
 */
static void hold_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == 1 ? O_RDONLY : O_WRONLY) < 0)
            return;
}

int opt_parse(const struct opt_tool *tool, int argc, char **argv, void *values, int *first,
              struct msg *m, struct err *e)
{
    struct table t;
    const struct opt_common *common = values;
    int want = WANT_NONE, code;

    hold_standard_streams();
    table_make(tool, &t);
    msg_init(m, tool->name, MSG_NOTE);
    opterr = 0;
    optind = 0; /* GNU: start anew */
    while ((code = getopt_long(argc, argv, t.letters, t.longs, NULL)) != -1) {
        const struct opt *o = table_find(&t, code);
        char name[64];

        if (code == ':')
            return err_set(e, ERR_USAGE, "option '%s' needs a value; try '%s --help'",
                           argv[optind - 1], tool->name);
        if (!o)
            return unknown_option(tool, &t, argv, e);
        if (o == &always[0] || o == &always[1])
            want = o == &always[0] ? WANT_HELP : WANT_SHORT_HELP;
        else if (o == &always[2])
            want = WANT_VERSION;
        else if (store(o, optarg, values, e))
            return -1;
        (void)option_name(o, name);
    }
    *first = optind;
    msg_init(m, tool->name, common->verbosity);
    if (want == WANT_VERSION)
        print_version(tool, common->verbosity > 0);
    else if (want != WANT_NONE)
        print_help(tool, &t, want == WANT_HELP);
    return want != WANT_NONE;
}

/* Adds a word, quoted where a shell would not take it as it is. */
static int add_word(struct buf *b, const char *word, struct err *e)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-./,:=+@%^";

    if (b->len && buf_putc(b, ' ', e))
        return -1;
    if (*word && strspn(word, plain) == strlen(word))
        return buf_puts(b, word, e);
    if (buf_putc(b, '\'', e))
        return -1;
    for (; *word; word++)
        if (*word == '\'' ? buf_puts(b, "'\\''", e) : buf_putc(b, *word, e))
            return -1;
    return buf_putc(b, '\'', e);
}

char *opt_full_command(int argc, char **argv, struct err *e)
{
    struct buf b = {0};

    for (int i = 0; i < argc; i++)
        if (add_word(&b, argv[i], e)) {
            buf_free(&b);
            return NULL;
        }
    return b.data;
}

/* Whether the value is the default that the help shows in brackets: it changes nothing. */
static bool is_default(const struct opt *o, const char *value)
{
    const char *open = strrchr(o->help, '['), *close = open ? strchr(open, ']') : NULL;
    const size_t n = close ? (size_t)(close - open - 1) : 0;
    char shown[32];
    double a, b;
    struct err ignored = {0};

    if (!value || !close || close[1] || n >= sizeof shown)
        return false;
    memcpy(shown, open + 1, n);
    shown[n] = '\0';
    if (strcmp(shown, value) == 0)
        return true;
    return (o->type == OPT_INT || o->type == OPT_REAL) &&
           opt_real(shown, o->name, &a, &ignored) == 0 &&
           opt_real(value, o->name, &b, &ignored) == 0 && a >= b && a <= b;
}

/* The options of one command line that can change output, in the order of the table. */
static int add_options(const struct table *t, int argc, char **argv, struct buf *b,
                       struct err *e)
{
    const char *value[MAX_OPTIONS] = {0};
    bool given[MAX_OPTIONS] = {0};
    struct buf lists[MAX_OPTIONS] = {0};
    int code, rc = 0;

    optind = 0;
    while ((code = getopt_long(argc, argv, t->letters, t->longs, NULL)) != -1)
        for (int i = 0; i < t->n; i++) {
            if (t->at[i] != table_find(t, code))
                continue;
            given[i] = true;
            value[i] = optarg;
            if (t->at[i]->type == OPT_TEXTS && !rc) {
                char name[64];

                rc = add_word(&lists[i], option_name(t->at[i], name), e) ||
                     add_word(&lists[i], optarg, e);
            }
        }
    for (int i = 0; i < t->n && !rc; i++) {
        char name[64];

        if (!given[i] || (t->at[i]->flags & OPT_SAME) || is_default(t->at[i], value[i]))
            continue;
        if (t->at[i]->type == OPT_TEXTS)
            rc = buf_putc(b, ' ', e) || buf_puts(b, lists[i].data, e);
        else
            rc = add_word(b, option_name(t->at[i], name), e) ||
                 (value[i] && add_word(b, value[i], e));
    }
    for (int i = 0; i < t->n; i++)
        buf_free(&lists[i]);
    return rc ? -1 : 0;
}

char *opt_command(const struct opt_tool *tool, int argc, char **argv, struct err *e)
{
    struct table t;
    struct buf b = {0};

    table_make(tool, &t);
    opterr = 0;
    if (add_word(&b, tool->name, e) || add_options(&t, argc, argv, &b, e))
        goto fail;
    if (argc - optind == 1 && strcmp(argv[optind], "-") == 0)
        return b.data; /* the same as no operand */
    for (int i = optind; i < argc; i++)
        if (add_word(&b, argv[i], e))
            goto fail;
    return b.data;
fail:
    buf_free(&b);
    return NULL;
}

int opt_threads(const struct opt_common *c)
{
    const char *env = getenv("BERTUTILS_THREADS");
    const long n = env ? strtol(env, NULL, 10) : 0;

    if (c->threads > 0)
        return (int)c->threads;
    return n > 0 && n <= 1024 ? (int)n : par_available();
}
