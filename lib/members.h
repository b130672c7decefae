/* SPDX-License-Identifier: MIT */
/*
 * members: the files in a zip or tar archive, one after the other, in memory (L1).
 *
 * Nothing is ever extracted, so a member's path cannot do harm.  Directories are passed over;
 * links and devices too, with a warning.  The whole archive is read, also behind the last
 * member that matches: a cut one or a wrong checksum is ERR_DATA.  Entries, bytes a member
 * and the ratio of bytes out to bytes in are limited, against archives made to explode.
 */
#ifndef BERTUTILS_MEMBERS_H
#define BERTUTILS_MEMBERS_H

#include "feed.h"
#include "msg.h"

struct members_options {
    const char *glob;     /* over the whole path, '*' also matches '/'; NULL: every file */
    uint64_t max_members; /* entries in an archive; 0: 10,000 */
    uint64_t max_bytes;   /* of one member; 0: 1 GiB */
    uint64_t max_ratio;   /* bytes out for one byte of the file; 0: 200 */
};

struct members;

/*
 * `from` gives the bytes of the zip or tar and is closed with it, also on failure; `file` is
 * the feed of the file itself (the same one, or one below `from`).
 */
struct members *members_open(struct feed *from, struct feed *file, enum feed_kind kind,
                             const struct members_options *o, struct msg *msg,
                             struct err *e) MUST_USE;
/* Goes to the next member: 1, 0 at the end (ERR_NOINPUT when there was none), -1 and *e. */
int members_next(struct members *m, struct err *e) MUST_USE;
const char *members_path(const struct members *m);
ssize_t members_read(struct members *m, void *data, size_t n, struct err *e) MUST_USE;
void members_close(struct members *m); /* NULL is fine */

/*
 * ERR_DATA when `out` bytes out of `in` bytes of the file `name` are more than the ratio
 * allows; the first 16 MiB are free.
 */
int members_check_ratio(const char *name, uint64_t out, uint64_t in, uint64_t max_ratio,
                        struct err *e) MUST_USE;

#endif
