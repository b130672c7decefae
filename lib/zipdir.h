/* SPDX-License-Identifier: MIT */
/*
 * zipdir: where the entries of a zip archive lie, for checkpoints that are zip files
 * (L4).
 *
 * Only stored entries, as torch.save writes them: their bytes are read in place and never
 * unpacked.  Compressed or encrypted entries, several disks, two entries of one name and
 * anything that does not lie inside the file are ERR_DATA.  (Format:  PKWARE's
 * APPNOTE.TXT.) Archives of data go through libarchive; it does not tell where an entry's
 * bytes are.
 */
#ifndef BERTUTILS_ZIPDIR_H
#define BERTUTILS_ZIPDIR_H

#include "tensorfile.h"

struct zip_entry {
    char *name;
    uint64_t header_at; /* local header */
    uint64_t at, size;  /* bytes; `at` after zipdir_find */
    uint32_t crc;
};

struct zipdir {
    const struct tensorfile *f;
    struct zip_entry *entry; /* (n) by name */
    size_t n, cap;
    uint64_t end; /* where the directory starts: entries lie before it */
};

/* Whether the file starts like a zip archive. */
bool zipdir_probe(const struct tensorfile *f);
int zipdir_open(struct zipdir *z, const struct tensorfile *f, struct err *e) MUST_USE;
void zipdir_close(struct zipdir *z);
/* 1 and *found with its place, 0: no such entry, -1 and *e: it is damaged. */
int zipdir_find(const struct zipdir *z, const char *name, struct zip_entry *found,
                struct err *e) MUST_USE;

#endif
