/* SPDX-License-Identifier: MIT */
#include "shard_out.h"
#include "mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The directive at p: its length and width, or 0 when it is none. */
static size_t directive(const char *p, int *width, char *kind)
{
    size_t n = 1;

    *width = 0;
    while (isdigit((unsigned char)p[n]) && n < 4)
        *width = *width * 10 + (p[n++] - '0');
    *kind = p[n];
    return (*kind == 's' && n == 1) || *kind == 'd' ? n + 1 : 0;
}

bool shard_pattern(const char *pattern)
{
    for (const char *p = pattern; *p; p++) {
        int width;
        char kind;

        if (*p == '%' && p[1] == '%')
            p++;
        else if (*p == '%' && directive(p, &width, &kind))
            return true;
    }
    return false;
}

char *shard_path(const char *pattern, size_t i, const char *name, struct err *e)
{
    struct buf b = {0};
    int used = 0;

    for (const char *p = pattern; *p;) {
        int width, bad;
        char kind;
        const size_t n = *p == '%' && p[1] != '%' ? directive(p, &width, &kind) : 0;

        if (*p == '%' && p[1] != '%' && (n == 0 || used++)) {
            err_set(e, ERR_USAGE,
                    "-o '%s': one %%s or %%03d, and %%%% for a percent sign", pattern);
            goto fail;
        }
        if (n == 0)
            bad = buf_putc(&b, *p, e);
        else if (kind == 's')
            bad = buf_puts(&b, name, e);
        else
            bad = buf_addf(&b, e, "%0*zu", width, i);
        if (bad)
            goto fail;
        p += n ? n : *p == '%' ? 2 : 1;
    }
    return b.data;
fail:
    buf_free(&b);
    return NULL;
}

/*
 * Each output stays open, without a name, until all are whole.  Where there are more of
 * them than the usual limit of open files, the limit is raised as far as this process
 * may.
 */
static void allow_files(size_t n)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= n + 64)
        return;
    limit.rlim_cur = limit.rlim_max < n + 64 ? limit.rlim_max : n + 64;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* if not, opening the next file says why */
}

int shard_outs_plan(struct shard_outs *o, const char *pattern, const struct split *parts,
                    struct err *e)
{
    o->at = mem_alloc(parts->n, sizeof *o->at, "outputs", e);
    if (!o->at)
        return -1;
    allow_files(parts->n);
    for (; o->n < parts->n; o->n++) {
        struct shard_out *out = &o->at[o->n];

        out->part = &parts->part[o->n];
        out->file.fd = -1;
        if (!pattern || strcmp(pattern, "-") == 0)
            continue;
        out->path = shard_path(pattern, o->n, out->part->name, e);
        if (!out->path)
            return -1;
    }
    if (o->n > 1 && (!pattern || !shard_pattern(pattern)))
        return err_set(e, ERR_USAGE,
                       "%zu streams cannot go into one file: use -o with %%s or "
                       "%%03d, as in -o 'x-%s.toks.zst'",
                       o->n, "%s");
    return 0;
}

static int open_out(struct shard_outs *o, struct shard_out *out, struct err *e)
{
    struct toks_header h;
    struct buf command = {0};
    int bad;

    if (toks_header_copy(&h, o->header, e))
        return -1;
    bad = buf_puts(&command, o->command, e) ||
          (o->name_parts && buf_addf(&command, e, " --part %s", out->part->name)) ||
          toks_add_provenance(&h, "shard", command.data, e);
    if (!bad) {
        out->existed = out->path && io_exists(out->path);
        bad = io_out_open(&out->file, out->path, e);
        out->opened = !bad;
    }
    if (!bad) {
        out->writer = toks_create(out->file.fd, out->file.name, &h, &o->options, e);
        bad = !out->writer;
    }
    buf_free(&command);
    toks_header_free(&h);
    return bad ? -1 : 0;
}

static int finish_out(struct shard_outs *o, struct shard_out *out, struct err *e)
{
    struct toks_end end = o->end;
    int rc;

    end.unk = out->unk;
    rc = toks_finish(out->writer, &end, e);
    toks_writer_free(out->writer);
    out->writer = NULL;
    return rc;
}

static uint64_t count_unk(const struct template *t, const uint32_t *ids, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ids[i] == (uint32_t)t->unk;
    return t->unk < 0 ? 0 : sum;
}

int shard_outs_put(struct shard_outs *o, size_t i, const struct toks_record *r,
                   struct err *e)
{
    struct shard_out *out = &o->at[i];
    const struct template *t = &o->header->template;
    struct toks_record keyed = *r;
    char number[24];

    if (!out->opened && open_out(o, out, e))
        return -1;
    /* Among records with keys, one without has its number for a key. */
    if (o->header->columns & TOKS_KEY && !r->key) {
        keyed.key_len = (size_t)snprintf(number, sizeof number, "%llu",
                                         (unsigned long long)r->number);
        keyed.key = number;
    }
    if (toks_put(out->writer, &keyed, e))
        return -1;
    out->unk += count_unk(t, r->a, r->n_a) + count_unk(t, r->b, r->n_b);
    /* With runs only one writer at a time is alive. */
    return ++out->put == out->part->count ? finish_out(o, out, e) : 0;
}

int shard_outs_publish(struct shard_outs *o, struct err *e)
{
    size_t i;

    for (i = 0; i < o->n; i++) {
        struct shard_out *out = &o->at[i];

        if ((!out->opened && open_out(o, out, e)) ||
            (out->writer && finish_out(o, out, e)))
            return -1;
    }
    /* All are whole; what is slow or can fail for want of room is done before any
     * appears. */
    for (i = 0; i < o->n; i++)
        if (o->at[i].file.path && fsync(o->at[i].file.fd) != 0)
            return err_sys(e, ERR_IO, "cannot sync '%s'", o->at[i].path);
    for (i = 0; i < o->n; i++) {
        if (io_publish(&o->at[i].file, e))
            break;
        o->at[i].published = true;
    }
    if (i == o->n)
        return 0;
    /* None rather than some, except where a file was there before: that is gone already.
     */
    while (i-- > 0)
        if (o->at[i].path && !o->at[i].existed)
            unlink(o->at[i].path);
    return -1;
}

void shard_outs_free(struct shard_outs *o)
{
    for (size_t i = 0; i < o->n; i++) {
        toks_writer_free(o->at[i].writer);
        if (o->at[i].opened && !o->at[i].published)
            io_discard(&o->at[i].file);
        free(o->at[i].path);
    }
    free(o->at);
    o->at = NULL;
    o->n = 0;
}
