/* SPDX-License-Identifier: MIT */
#include "source.h"
#include "mem.h"
#include "utf8fix.h"

#include <stdlib.h>
#include <string.h>

struct source {
    struct feed *file; /* the file; below `text` or `members` when it is packed */
    struct feed *text; /* what source_read reads, unless `members` */
    struct members *members;
    uint64_t max_ratio;
    bool begun;       /* the one text of a plain source was handed out */
    char *path;       /* see source_path */
    struct buf name;  /* see source_name */
};

/* "x.tsv" of "x.tsv.gz"; the path itself where there is no such ending.  malloc'd. */
static char *without_packing(const char *path, struct err *e)
{
    static const char *const endings[] = {".gz", ".zst", ".xz", ".bz2"};
    const size_t n = strlen(path);

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const size_t k = strlen(endings[i]);

        if (n > k && strcmp(path + n - k, endings[i]) == 0)
            return mem_dupn(path, n - k, e);
    }
    return mem_dup(path, e);
}

static bool is_packed(int kind)
{
    return kind == FEED_GZIP || kind == FEED_ZSTD || kind == FEED_XZ || kind == FEED_BZIP2;
}

/*
 * A file that is packed by its name, plain by its first bytes, and no text: it is cut or
 * damaged.  A text that somebody unpacked and left under its old name is fine.
 */
static bool only_named_packed(const char *path, const struct feed *f)
{
    static const struct {
        const char *ending;
        size_t shortest; /* that such a file can be */
    } packed[] = {{".gz", 18}, {".tgz", 18}, {".zst", 9}, {".xz", 32},
                  {".bz2", 14}, {".zip", 22}, {".tar", 512}};
    const size_t n = strlen(path), head = f->head_len;

    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        const size_t k = strlen(packed[i].ending);

        if (n <= k || strcmp(path + n - k, packed[i].ending) != 0)
            continue;
        /* The head may end within a character of up to four bytes. */
        return head < packed[i].shortest || utf8_first_bad(f->head, head) + 3 < head;
    }
    return false;
}

/* What can never be text, with the way out. */
static int refuse(const struct source *s, int kind, struct err *e)
{
    if (kind == FEED_PLAIN && s->text == s->file && only_named_packed(s->file->name, s->file))
        return err_set(e, ERR_DATA, "%s: the file is damaged or cut: it is not what its name "
                       "says, nor text", s->file->name);
    if (kind == FEED_TOKENS)
        return err_set(e, ERR_DATA, "%s: this is a token stream, not text; 'tok -d' turns it "
                       "back into text", s->file->name);
    return 0;
}

/* Puts the right reader over the file; `text` or `members` is set. */
static int set_up(struct source *s, const struct members_options *o, struct msg *msg,
                  struct err *e)
{
    int kind = feed_peek(s->file, e);
    bool packed = false;

    s->text = s->file;
    if (kind >= 0 && is_packed(kind)) {
        packed = true;
        s->text = kind == FEED_GZIP ? feed_gunzip(s->file, e)
                                    : feed_unpack(s->file, (enum feed_kind)kind, e);
        if (!s->text) {
            s->file = NULL; /* it went with its reader */
            return -1;
        }
        kind = feed_peek(s->text, e);
    }
    if (kind < 0 || refuse(s, kind, e))
        return -1;
    if (packed && (is_packed(kind) || kind == FEED_ZIP))
        return err_set(e, ERR_DATA, "%s: an archive within an archive is not read; undo the "
                       "outer one first", s->file->name);
    if (kind == FEED_TAR || kind == FEED_ZIP) {
        struct feed *from = s->text;

        s->text = NULL;
        s->members = members_open(from, s->file, (enum feed_kind)kind, o, msg, e);
        if (!s->members)
            s->file = NULL;
        return s->members ? 0 : -1;
    }
    if (o->glob)
        return err_set(e, ERR_DATA, "%s: this is neither a zip nor a tar archive, but --member "
                       "is given", s->file->name);
    return 0;
}

struct source *source_open(const char *path, const struct members_options *o, struct msg *msg,
                           struct err *e)
{
    struct source *s = mem_alloc(1, sizeof *s, "input", e);

    if (!s)
        return NULL;
    s->max_ratio = o->max_ratio ? o->max_ratio : 200;
    s->path = without_packing(path, e);
    s->file = s->path ? feed_open(path, e) : NULL;
    if (!s->file || buf_puts(&s->name, s->file->name, e) || set_up(s, o, msg, e)) {
        source_close(s);
        return NULL;
    }
    return s;
}

int source_next(struct source *s, struct err *e)
{
    int got;

    if (!s->members) {
        got = !s->begun;
        s->begun = true;
        return got;
    }
    got = members_next(s->members, e);
    if (got <= 0)
        return got;
    free(s->path);
    s->path = without_packing(members_path(s->members), e);
    buf_reset(&s->name);
    if (!s->path || buf_addf(&s->name, e, "%s(%s)", s->file->name, members_path(s->members)))
        return -1;
    return 1;
}

ssize_t source_read(struct source *s, void *data, size_t n, struct err *e)
{
    ssize_t got;

    if (s->members)
        return members_read(s->members, data, n, e);
    got = feed_read(s->text, data, n, e);
    if (got > 0 && s->text != s->file &&
        members_check_ratio(s->file->name, s->text->given, s->file->given, s->max_ratio, e))
        return -1;
    return got;
}

const char *source_name(const struct source *s)
{
    return s->name.data;
}

const char *source_path(const struct source *s)
{
    return s->path;
}

bool source_is_archive(const struct source *s)
{
    return s->members != NULL;
}

uint64_t source_bytes(const struct source *s)
{
    return s->file->given;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    if (s->members)
        members_close(s->members);
    else if (s->text)
        feed_close(s->text);
    else
        feed_close(s->file);
    buf_free(&s->name);
    free(s->path);
    free(s);
}
