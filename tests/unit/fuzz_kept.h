/* SPDX-License-Identifier: MIT */
/* fuzz_kept: a fuzz target on the inputs that a fuzzer found worth keeping, without a fuzzer. */
#ifndef BERTUTILS_FUZZ_KEPT_H
#define BERTUTILS_FUZZ_KEPT_H

#include "test.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdint.h>
#include <stdlib.h>

enum { KEPT_MAX = 1 << 16 }; /* bytes of one */

/* Each of tests/fuzz/X.tar.zst, in memory of just its size; there must be more than a hundred. */
static void fuzz_kept(const char *path, int (*target)(const uint8_t *, size_t))
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    uint8_t *data = malloc(KEPT_MAX);
    int count = 0;

    archive_read_support_filter_zstd(a);
    archive_read_support_format_tar(a);
    CHECK_MSG(data && archive_read_open_filename(a, path, 65536) == ARCHIVE_OK, "%s", path);
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        const la_ssize_t n = archive_read_data(a, data, KEPT_MAX);
        uint8_t *copy = malloc(n > 0 ? (size_t)n : 1);

        CHECK(n >= 0 && copy);
        memcpy(copy, data, (size_t)n);
        CHECK(target(copy, (size_t)n) == 0);
        free(copy);
        count++;
    }
    archive_read_free(a);
    free(data);
    CHECK_MSG(count > 100, "%d inputs in %s", count, path);
}

#endif
