/* SPDX-License-Identifier: MIT */
#include "source.h"
#include "encoding.h"
#include "mem.h"
#include "utf8fix.h"

#include <stdlib.h>
#include <string.h>

enum { WIDE = 8192 }; /* bytes of UTF-16 that are converted at a time */

/* The text at hand behind its decompression: its first bytes, and UTF-16 on its way to UTF-8. */
struct opening {
    bool done; /* the head was looked at */
    char head[ENCODING_HEAD];
    size_t head_len, head_at;
    bool is_utf16, ended;
    struct utf16 utf16;
    char out[3 * WIDE / 2 + UTF16_ROOM];
    size_t out_len, out_at;
};

struct source {
    struct feed *file; /* the file; below `text` or `members` when it is packed */
    struct feed *text; /* what source_read reads, unless `members` */
    struct members *members;
    uint64_t max_ratio;
    bool begun;       /* the one text of a plain source was handed out */
    char *path;       /* see source_path */
    struct buf name;  /* see source_name */
    struct opening opening;
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
    if (kind == FEED_ZIP && !o->glob && encoding_office(s->text->head, s->text->head_len))
        return err_set(e, ERR_DATA, "%s: %s", s->file->name,
                       encoding_office(s->text->head, s->text->head_len));
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

    s->opening.done = s->opening.is_utf16 = false;
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

/* Bytes of the text as they are. */
static ssize_t read_raw(struct source *s, void *data, size_t n, struct err *e)
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

/* Looks at the first bytes of the text at hand, and refuses what is none. */
static int open_text(struct source *s, struct err *e)
{
    struct opening *o = &s->opening;
    enum encoding encoding;
    const char *why;

    for (o->head_len = 0; o->head_len < sizeof o->head;) {
        const ssize_t got = read_raw(s, o->head + o->head_len, sizeof o->head - o->head_len, e);

        if (got < 0)
            return -1;
        if (got == 0)
            break;
        o->head_len += (size_t)got;
    }
    o->done = true;
    if (s->members && feed_kind_of(o->head, o->head_len) != FEED_PLAIN)
        return err_set(e, ERR_DATA, "%s: an archive or a compressed file within an archive is not "
                       "read; undo the outer one first", s->name.data);
    o->head_at = 0;
    encoding = encoding_of(o->head, o->head_len, &why);
    if (encoding == ENCODING_REFUSED)
        return err_set(e, ERR_DATA, "%s:1: %s", s->name.data, why);
    /* The mark becomes that of UTF-8, which records pass over. */
    o->is_utf16 = encoding != ENCODING_BYTES;
    o->ended = false;
    o->utf16 = (struct utf16){.big = encoding == ENCODING_UTF16BE};
    o->out_len = o->out_at = 0;
    return 0;
}

/* The text behind what open_text has read of it. */
static ssize_t read_on(struct source *s, void *data, size_t n, struct err *e)
{
    struct opening *o = &s->opening;
    const size_t left = o->head_len - o->head_at;

    if (left == 0)
        return read_raw(s, data, n, e);
    if (n > left)
        n = left;
    memcpy(data, o->head + o->head_at, n);
    o->head_at += n;
    return (ssize_t)n;
}

static ssize_t read_utf16(struct source *s, void *data, size_t n, struct err *e)
{
    struct opening *o = &s->opening;
    uint8_t in[WIDE];

    while (o->out_at == o->out_len && !o->ended) {
        const ssize_t got = read_on(s, in, sizeof in, e);

        if (got < 0)
            return -1;
        o->ended = got == 0;
        o->out_at = 0;
        o->out_len = got ? utf16_convert(&o->utf16, in, (size_t)got, o->out)
                         : utf16_end(&o->utf16, o->out);
    }
    if (n > o->out_len - o->out_at)
        n = o->out_len - o->out_at;
    memcpy(data, o->out + o->out_at, n);
    o->out_at += n;
    return (ssize_t)n;
}

ssize_t source_read(struct source *s, void *data, size_t n, struct err *e)
{
    if (!s->opening.done && open_text(s, e))
        return -1;
    return s->opening.is_utf16 ? read_utf16(s, data, n, e) : read_on(s, data, n, e);
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
