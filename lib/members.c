/* SPDX-License-Identifier: MIT */
#include "members.h"
#include "libarchive.h"
#include "mem.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough for the end record of a zip (22 bytes) with the longest comment. */
enum { TAIL = 22 + 65535, BLOCK = 65536, WARNINGS = 5, TAR_END = 1024 };

struct members {
    struct feed *from, *file;
    enum feed_kind kind;
    struct members_options limits;
    struct msg *msg;
    struct libarchive la;
    struct archive *archive;
    struct archive_entry *entry; /* ours: libarchive does not check that it got its own */
    char *path;             /* of the member at hand */
    uint64_t file_size;     /* of a zip that can be searched; 0: unknown */
    uint64_t entries, files, found;
    uint64_t member_bytes, all_bytes; /* given so far of this member, of all */
    int warned;
    struct buf seen;        /* the first paths, for the message when nothing matches */
    struct err below_error; /* why `from` could not be read */
    struct buf tail;        /* the last bytes that `from` gave */
    char in[BLOCK];
};

/* Keeps the last TAIL bytes of what was read, to look at the archive's end later. */
static int keep_tail(struct members *m, const char *data, size_t n, struct err *e)
{
    if (n > TAIL) {
        data += n - TAIL;
        n = TAIL;
    }
    if (m->tail.len + n > 4 * TAIL) {
        memmove(m->tail.data, m->tail.data + m->tail.len - TAIL, TAIL);
        m->tail.len = TAIL;
    }
    return buf_add(&m->tail, data, n, e);
}

static la_ssize_t pull(struct archive *a, void *ctx, const void **data)
{
    struct members *m = ctx;
    const ssize_t got = feed_read(m->from, m->in, sizeof m->in, &m->below_error);

    *data = m->in;
    if (got < 0 || (!m->file_size && keep_tail(m, m->in, (size_t)got, &m->below_error))) {
        m->la.archive_set_error(a, EIO, "read error");
        return -1;
    }
    return got;
}

static la_int64_t seek(struct archive *a, void *ctx, la_int64_t offset, int whence)
{
    struct members *m = ctx;
    const off_t at = lseek(feed_fd(m->file), offset, whence);

    m->file->head_at = m->file->head_len;
    if (at < 0) {
        err_sys(&m->below_error, ERR_IO, "cannot seek in '%s'", m->file->name);
        m->la.archive_set_error(a, EIO, "seek error");
    }
    return at;
}

static int failed(struct members *m, struct err *e)
{
    const char *why = m->la.archive_error_string(m->archive);
    const char *kind = m->kind == FEED_ZIP ? "zip" : "tar";

    if (m->below_error.code)
        return err_set(e, m->below_error.code, "%s", m->below_error.text);
    /* libarchive is silent where it could not even keep its message. */
    if (m->la.archive_errno(m->archive) == ENOMEM || !why)
        return err_set(e, ERR_INTERNAL, "%s: out of memory in libarchive", m->file->name);
    if (m->path)
        return err_set(e, ERR_DATA, "%s(%s): the %s archive is damaged or cut (%s)",
                       m->file->name, m->path, kind, why);
    return err_set(e, ERR_DATA, "%s: the %s archive is damaged or cut (%s)", m->file->name,
                   kind, why);
}

/* The size of a zip file in which can be searched from its start; 0 for a pipe. */
static uint64_t searchable(const struct members *m)
{
    struct stat st;
    const int fd = m->from == m->file ? feed_fd(m->file) : -1;

    if (m->kind != FEED_ZIP || fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    return lseek(fd, 0, SEEK_CUR) == (off_t)m->file->head_len ? (uint64_t)st.st_size : 0;
}

static int open_archive(struct members *m, struct err *e)
{
    struct archive *a;
    int rc;

    if (libarchive_load(&m->la, e))
        return -1;
    a = m->archive = m->la.archive_read_new();
    m->entry = a ? m->la.archive_entry_new() : NULL;
    if (!m->entry)
        return err_oom(e, "archive reader", sizeof *m);
    m->file_size = searchable(m);
    /* A zip that can be searched is read by its central directory alone: one that was cut
       has none, and is not read by guessing. */
    if (m->kind == FEED_TAR)
        rc = m->la.archive_read_support_format_tar(a);
    else if (m->file_size)
        rc = m->la.archive_read_support_format_zip_seekable(a);
    else
        rc = m->la.archive_read_support_format_zip_streamable(a);
    if (rc == ARCHIVE_OK)
        rc = m->la.archive_read_set_read_callback(a, pull);
    if (rc == ARCHIVE_OK && m->file_size)
        rc = m->la.archive_read_set_seek_callback(a, seek);
    if (rc == ARCHIVE_OK)
        rc = m->la.archive_read_set_callback_data(a, m);
    if (rc == ARCHIVE_OK)
        rc = m->la.archive_read_open1(a);
    return rc == ARCHIVE_OK ? 0 : failed(m, e);
}

struct members *members_open(struct feed *from, struct feed *file, enum feed_kind kind,
                             const struct members_options *o, struct msg *msg, struct err *e)
{
    struct members *m = mem_alloc(1, sizeof *m, "archive reader", e);

    if (!m) {
        feed_close(from);
        return NULL;
    }
    m->from = from;
    m->file = file;
    m->kind = kind;
    m->limits = *o;
    m->limits.max_members = o->max_members ? o->max_members : 10000;
    m->limits.max_bytes = o->max_bytes ? o->max_bytes : (uint64_t)1 << 30;
    m->limits.max_ratio = o->max_ratio ? o->max_ratio : 200;
    m->msg = msg;
    if (open_archive(m, e) == 0)
        return m;
    members_close(m);
    return NULL;
}

int members_check_ratio(const char *name, uint64_t out, uint64_t in, uint64_t max_ratio,
                        struct err *e)
{
    if (out <= (uint64_t)16 << 20 || out / (in ? in : 1) < max_ratio)
        return 0;
    return err_set(e, ERR_DATA,
                   "%s: more than %llu bytes out of every byte of the file: it looks made to "
                   "explode; --max-ratio N raises the limit",
                   name, (unsigned long long)max_ratio);
}

/* A tar ends with two blocks of zeros; a file that was cut between members does not. */
static int check_tar_end(const struct members *m, struct err *e)
{
    static const char zeros[TAR_END];

    if (m->tail.len >= TAR_END && m->from->given % 512 == 0 &&
        memcmp(m->tail.data + m->tail.len - TAR_END, zeros, TAR_END) == 0)
        return 0;
    return err_set(e, ERR_DATA, "%s: the tar archive is cut: it has no end mark",
                   m->file->name);
}

static uint32_t le(const char *p, int bytes)
{
    uint32_t value = 0;

    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | (unsigned char)p[i];
    return value;
}

/*
 * A zip from a pipe ends with its central directory and the end record ("PK\5\6", APPNOTE
 * 4.3.16), which must be whole, close the file and count the entries that were seen.
 */
static int check_zip_end(const struct members *m, struct err *e)
{
    const uint64_t total = m->from->given;

    for (size_t back = 22; back <= m->tail.len && back <= TAIL; back++) {
        const char *p = m->tail.data + m->tail.len - back;
        const uint32_t entries = le(p + 10, 2), size = le(p + 12, 4), at = le(p + 16, 4);

        if (memcmp(p, "PK\5\6", 4) != 0 || le(p + 20, 2) != back - 22)
            continue;
        if (entries == 0xffff || size == 0xffffffff || at == 0xffffffff)
            return 0; /* zip64: the counts are elsewhere */
        if ((uint64_t)size + at == total - back && entries == (m->entries & 0xffff))
            return 0;
    }
    return err_set(e, ERR_DATA, "%s: the zip archive is cut: its directory is not whole",
                   m->file->name);
}

static int finish(struct members *m, struct err *e)
{
    for (;;) {
        const ssize_t got = m->file_size ? 0 : feed_read(m->from, m->in, sizeof m->in, e);

        if (got < 0)
            return -1;
        if (got == 0)
            break;
        if (keep_tail(m, m->in, (size_t)got, e))
            return -1;
    }
    if (m->kind == FEED_TAR ? check_tar_end(m, e) : !m->file_size && check_zip_end(m, e))
        return -1;
    if (m->found > 0)
        return 0;
    if (m->limits.glob)
        return err_set(e, ERR_NOINPUT, "%s: no file in the archive matches --member '%s'%s%s",
                       m->file->name, m->limits.glob, m->seen.len ? "; it has " : "",
                       m->seen.len ? m->seen.data : "");
    return err_set(e, ERR_NOINPUT, "%s: there is no file in the archive", m->file->name);
}

/* Whether the entry is one to be read; 1, 0, or -1 and *e.  m->path is its path. */
static int wanted(struct members *m, struct archive_entry *entry, struct err *e)
{
    const __LA_MODE_T type = m->la.archive_entry_filetype(entry);
    const bool link = m->la.archive_entry_hardlink(entry) || type == AE_IFLNK;
    const bool match = !m->limits.glob || fnmatch(m->limits.glob, m->path, 0) == 0;

    if (type == AE_IFDIR && !link)
        return 0;
    if (link || (type != AE_IFREG && type != 0)) {
        if (match && m->warned++ < WARNINGS)
            msg_warn(m->msg, "%s(%s): %s, which is ignored", m->file->name, m->path,
                     link ? "a link" : "a device or pipe");
        return 0;
    }
    if (m->files++ < 6 && buf_addf(&m->seen, e, "%s%s", m->seen.len ? ", " : "",
                                   m->files == 6 ? "..." : m->path))
        return -1;
    if (!match)
        return 0;
    if (m->la.archive_entry_is_encrypted(entry) > 0)
        return err_set(e, ERR_DATA, "%s(%s): it is encrypted; decrypt the archive first",
                       m->file->name, m->path);
    if (m->la.archive_entry_size_is_set(entry) &&
        (uint64_t)m->la.archive_entry_size(entry) > m->limits.max_bytes)
        return err_set(e, ERR_DATA,
                       "%s(%s): larger than %llu bytes; --max-member-bytes N raises the limit",
                       m->file->name, m->path, (unsigned long long)m->limits.max_bytes);
    return 1;
}

static int set_path(struct members *m, struct archive_entry *entry, struct err *e)
{
    const char *path = m->la.archive_entry_pathname(entry);

    /* In the C locale libarchive has some names only as UTF-8. */
    if (!path)
        path = m->la.archive_entry_pathname_utf8(entry);
    free(m->path);
    m->path = mem_dup(path ? path : "?", e);
    return m->path ? 0 : -1;
}

int members_next(struct members *m, struct err *e)
{
    for (;;) {
        struct archive_entry *entry = m->entry;
        const int rc = m->la.archive_read_next_header2(m->archive, entry);
        int use;

        if (rc == ARCHIVE_EOF)
            return finish(m, e);
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return failed(m, e);
        m->entries++;
        if (m->entries > m->limits.max_members)
            return err_set(e, ERR_DATA,
                           "%s: more than %llu entries; --max-members N raises the limit",
                           m->file->name, (unsigned long long)m->limits.max_members);
        if (set_path(m, entry, e))
            return -1;
        use = wanted(m, entry, e);
        if (use < 0)
            return -1;
        if (use) {
            m->found++;
            m->member_bytes = 0;
            return 1;
        }
    }
}

const char *members_path(const struct members *m)
{
    return m->path;
}

ssize_t members_read(struct members *m, void *data, size_t n, struct err *e)
{
    const la_ssize_t got = m->la.archive_read_data(m->archive, data, n);

    if (got < 0)
        return failed(m, e);
    m->member_bytes += (uint64_t)got;
    m->all_bytes += (uint64_t)got;
    if (m->member_bytes > m->limits.max_bytes)
        return err_set(e, ERR_DATA,
                       "%s(%s): larger than %llu bytes; --max-member-bytes N raises the limit",
                       m->file->name, m->path, (unsigned long long)m->limits.max_bytes);
    if (members_check_ratio(m->file->name, m->all_bytes,
                            m->file_size ? m->file_size : m->file->given, m->limits.max_ratio,
                            e))
        return -1;
    return (ssize_t)got;
}

void members_close(struct members *m)
{
    if (!m)
        return;
    if (m->archive)
        m->la.archive_read_free(m->archive);
    if (m->entry)
        m->la.archive_entry_free(m->entry);
    feed_close(m->from);
    buf_free(&m->seen);
    buf_free(&m->tail);
    free(m->path);
    free(m);
}
