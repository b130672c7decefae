/* SPDX-License-Identifier: MIT */
#include "zipdir.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    SIG_LOCAL = 0x04034b50,
    SIG_ENTRY = 0x02014b50,
    SIG_END = 0x06054b50,
    SIG_END64 = 0x06064b50,
    SIG_LOCATOR64 = 0x07064b50,
    LOCAL_SIZE = 30,
    ENTRY_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR64_SIZE = 20,
    COMMENT_MAX = 65535,
    ENTRIES_MAX = 2 * STORED_MAX,
    DIRECTORY_MAX = 64 << 20
};

static uint32_t u16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p)
{
    return (uint64_t)u32(p) | (uint64_t)u32(p + 4) << 32;
}

static int bad(const struct zipdir *z, const char *what, struct err *e)
{
    return err_set(e, ERR_DATA, "'%s': damaged zip archive: %s", z->f->name, what);
}

bool zipdir_probe(const struct tensorfile *f)
{
    struct err ignored = {0};
    unsigned char first[4];

    return f->size >= END_SIZE && tensorfile_read(f, 0, first, 4, &ignored) == 0 &&
           u32(first) == SIG_LOCAL;
}

struct directory {
    uint64_t at, size, entries,
        end; /* end: where the records behind the directory start */
};

/*
 * The numbers of the zip64 end record, when there is a locator before the ordinary one.
 */
static int find_end64(struct zipdir *z, uint64_t end_at, struct directory *d,
                      struct err *e)
{
    unsigned char locator[LOCATOR64_SIZE], end[END64_SIZE];
    uint64_t at;

    if (end_at < LOCATOR64_SIZE)
        return 0;
    if (tensorfile_read(z->f, end_at - LOCATOR64_SIZE, locator, sizeof locator, e))
        return -1;
    if (u32(locator) != SIG_LOCATOR64)
        return 0;
    at = u64(locator + 8);
    if (u32(locator + 4) != 0 || u32(locator + 16) > 1 || at > end_at - LOCATOR64_SIZE ||
        end_at - LOCATOR64_SIZE - at < END64_SIZE)
        return bad(z, "wrong zip64 locator", e);
    if (tensorfile_read(z->f, at, end, sizeof end, e))
        return -1;
    if (u32(end) != SIG_END64 || u32(end + 16) != 0 || u32(end + 20) != 0 ||
        u64(end + 24) != u64(end + 32))
        return bad(z, "wrong zip64 end record", e);
    d->entries = u64(end + 32);
    d->size = u64(end + 40);
    d->at = u64(end + 48);
    d->end = at;
    return 0;
}

static int find_end(struct zipdir *z, struct directory *d, struct err *e)
{
    const uint64_t size = z->f->size;
    const size_t n =
        size < END_SIZE + COMMENT_MAX ? (size_t)size : END_SIZE + COMMENT_MAX;
    unsigned char *tail = tensorfile_get(z->f, size - n, n, e);
    size_t at = n < END_SIZE ? 0 : n - END_SIZE + 1;
    int rc = -1;

    if (!tail)
        return -1;
    while (at > 0) {
        at--;
        if (u32(tail + at) == SIG_END && u16(tail + at + 20) == n - at - END_SIZE) {
            rc = 0;
            break;
        }
    }
    if (rc) {
        bad(z, "it has no end: it is cut short", e);
    } else if (u16(tail + at + 4) != 0 || u16(tail + at + 6) != 0 ||
               u16(tail + at + 8) != u16(tail + at + 10)) {
        rc = bad(z, "it lies on several disks", e);
    } else {
        d->entries = u16(tail + at + 10);
        d->size = u32(tail + at + 12);
        d->at = u32(tail + at + 16);
        d->end = size - n + at;
        rc = find_end64(z, d->end, d, e);
    }
    free(tail);
    if (!rc && (d->at > d->end || d->size != d->end - d->at || d->size > DIRECTORY_MAX ||
                d->entries > ENTRIES_MAX))
        rc = bad(z, "its directory is not where it must be, or too large", e);
    z->end = d->at;
    return rc;
}

/* The 64-bit numbers of an entry whose 32-bit ones are all ones. */
static int read_zip64(struct zipdir *z, const unsigned char *extra, size_t n,
                      uint64_t *field[3], struct err *e)
{
    while (n >= 4) {
        const size_t size = u16(extra + 2);
        const unsigned char *p = extra + 4, *end;

        if (size > n - 4)
            break;
        end = p + size;
        for (int i = 0; u16(extra) == 1 && i < 3; i++) {
            if (!field[i])
                continue;
            if (end - p < 8)
                return bad(z, "wrong zip64 numbers", e);
            *field[i] = u64(p);
            field[i] = NULL;
            p += 8;
        }
        extra += 4 + size;
        n -= 4 + size;
    }
    return field[0] || field[1] || field[2] ? bad(z, "zip64 numbers are missing", e) : 0;
}

/* One entry of the directory at p[0..n-1]; *used is its length. */
static int add_entry(struct zipdir *z, const unsigned char *p, size_t n, size_t *used,
                     struct err *e)
{
    struct zip_entry *entry;
    uint64_t packed, size, at, *wide[3] = {NULL, NULL, NULL};
    size_t name, extra;

    if (n < ENTRY_SIZE || u32(p) != SIG_ENTRY)
        return bad(z, "its directory is cut short", e);
    name = u16(p + 28);
    extra = u16(p + 30);
    *used = ENTRY_SIZE + name + extra + u16(p + 32);
    if (*used > n)
        return bad(z, "its directory is cut short", e);
    packed = u32(p + 20);
    size = u32(p + 24);
    at = u32(p + 42);
    if (size == UINT32_MAX)
        wide[0] = &size;
    if (packed == UINT32_MAX)
        wide[1] = &packed;
    if (at == UINT32_MAX)
        wide[2] = &at;
    if (read_zip64(z, p + ENTRY_SIZE + name, extra, wide, e))
        return -1;
    if (u16(p + 8) & 1)
        return err_set(e, ERR_DATA, "'%s': encrypted entries cannot be read", z->f->name);
    if (u16(p + 10) != 0 || packed != size)
        return err_set(e, ERR_DATA, "'%s': compressed entries: no file of torch.save",
                       z->f->name);
    if (at > z->end || size > z->end - at)
        return bad(z, "an entry lies outside of it", e);
    if (memchr(p + ENTRY_SIZE, '\0', name))
        return bad(z, "a name holds a NUL", e);
    if (mem_grow(&z->entry, &z->cap, z->n + 1, sizeof *z->entry, e))
        return -1;
    entry = &z->entry[z->n];
    *entry = (struct zip_entry){.header_at = at, .size = size, .crc = u32(p + 16)};
    entry->name = mem_dupn((const char *)p + ENTRY_SIZE, name, e);
    if (!entry->name)
        return -1;
    z->n++;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct zip_entry *)a)->name,
                  ((const struct zip_entry *)b)->name);
}

int zipdir_open(struct zipdir *z, const struct tensorfile *f, struct err *e)
{
    struct directory d = {0};
    unsigned char *data;
    size_t at = 0;
    int rc = 0;

    *z = (struct zipdir){.f = f};
    if (find_end(z, &d, e))
        return -1;
    data = tensorfile_get(f, d.at, (size_t)d.size, e);
    if (!data)
        return -1;
    for (uint64_t i = 0; !rc && i < d.entries; i++) {
        size_t used = 0;

        rc = add_entry(z, data + at, (size_t)d.size - at, &used, e);
        at += used;
    }
    free(data);
    if (!rc && at != d.size)
        rc = bad(z, "its directory is longer than its entries", e);
    if (!rc && z->n)
        qsort(z->entry, z->n, sizeof *z->entry, compare_entries);
    for (size_t i = 1; !rc && i < z->n; i++)
        if (compare_entries(&z->entry[i - 1], &z->entry[i]) == 0)
            rc = err_set(e, ERR_DATA, "'%s': two entries are called '%s'", f->name,
                         z->entry[i].name);
    if (rc)
        zipdir_close(z);
    return rc;
}

void zipdir_close(struct zipdir *z)
{
    for (size_t i = 0; i < z->n; i++)
        free(z->entry[i].name);
    free(z->entry);
    *z = (struct zipdir){0};
}

static int compare_to_entry(const void *name, const void *entry)
{
    return strcmp(name, ((const struct zip_entry *)entry)->name);
}

int zipdir_find(const struct zipdir *z, const char *name, struct zip_entry *found,
                struct err *e)
{
    const struct zip_entry *entry = NULL;
    const size_t n = strlen(name);
    unsigned char *local;
    uint64_t at;
    bool fits;

    if (z->n)
        entry = bsearch(name, z->entry, z->n, sizeof *z->entry, compare_to_entry);
    if (!entry)
        return 0;
    local = tensorfile_get(z->f, entry->header_at, LOCAL_SIZE + n, e);
    if (!local)
        return -1;
    /* What the directory says must agree with what stands before the bytes. */
    fits = u32(local) == SIG_LOCAL && u16(local + 8) == 0 && u16(local + 26) == n &&
           memcmp(local + LOCAL_SIZE, name, n) == 0;
    at = entry->header_at + LOCAL_SIZE + n + u16(local + 28);
    free(local);
    if (!fits || at > z->end || entry->size > z->end - at)
        return err_set(e, ERR_DATA, "'%s': damaged zip archive: entry '%s'", z->f->name,
                       name);
    *found = *entry;
    found->at = at;
    return 1;
}
