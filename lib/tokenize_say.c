/* SPDX-License-Identifier: MIT */
/*
 * tokenize_say: what tok says when it is done.
 */
#include "tokenize.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Of the statistics: labels that are told apart, and texts that copies are looked for of. */
enum { MOST_LABELS = 1 << 16, MOST_TEXTS = 1 << 20 };

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + 1e-6 * (double)t->tv_usec;
}

int tokenize_stat(struct stream_stat *s, struct err *e)
{
    s->most_labels = MOST_LABELS;
    s->most_texts = MOST_TEXTS;
    s->unknown = topwords_new(e);
    return s->unknown ? 0 : -1;
}

/* Line by line: a message has a bound. */
static void say_table(const struct stream_stat *s, const struct toks_header *h, struct msg *m)
{
    const struct screen screen = screen_of(STDERR_FILENO);
    struct buf table = {0};
    struct err ignored = {0};

    if (stat_table(s, h, NULL, &screen, &table, &ignored) == 0)
        for (char *at = table.data, *end; (end = strchr(at, '\n')) != NULL; at = end + 1)
            msg_plain(m, "%.*s", (int)(end - at), at);
    buf_free(&table);
}

void tokenize_say(const struct tokenize_report *r, const struct stream_stat *s,
                  const struct toks_header *h, struct msg *m)
{
    const double n = r->tokens ? (double)r->tokens : 1, mb = 1e-6 * (double)r->text_bytes;
    const double real = r->seconds > 0 ? r->seconds : 1e-9;
    struct rusage use;

    if (r->invalid_utf8)
        msg_warn(m, "%llu sequences that are not UTF-8 (or NUL) were read as U+FFFD; --invalid "
                 "error says where the first is",
                 (unsigned long long)r->invalid_utf8);
    if (r->unk > r->tokens / 10)
        msg_warn(m, "%.0f %% of the tokens are unknown to the tokenizer: is it the right one?",
                 100 * (double)r->unk / n);
    if (r->skipped)
        msg_warn(m, "%llu records with what is not UTF-8 (or NUL) were left out",
                 (unsigned long long)r->skipped);
    if (r->clean.emptied)
        msg_warn(m, "%llu of the texts have nothing left after --clean",
                 (unsigned long long)r->clean.emptied);
    if (m->level < MSG_VERBOSE)
        return;
    if (r->clean.changed)
        msg_verbose(m, "--clean changed %llu of the texts", (unsigned long long)r->clean.changed);
    getrusage(RUSAGE_SELF, &use);
    msg_verbose(m, "%llu records, %llu tokens, %.4f %% unknown, %llu invalid UTF-8",
                (unsigned long long)r->records, (unsigned long long)r->tokens,
                100 * (double)r->unk / n, (unsigned long long)r->invalid_utf8);
    if (s)
        say_table(s, h, m);
    msg_verbose(m, "real %.2f s, CPU %.2f s, peak memory %.0f MB; %.1f MB of text, %.1f MB/s, "
                "%.2f million tokens/s", real, seconds(&use.ru_utime) + seconds(&use.ru_stime),
                (double)use.ru_maxrss / 1024, mb, mb / real, 1e-6 * (double)r->tokens / real);
}
