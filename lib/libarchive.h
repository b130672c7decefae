/* SPDX-License-Identifier: MIT */
/*
 * libarchive: the functions of that library, fetched when the first archive is met (L1).
 *
 * With the libraries that it needs in turn (libxml2, ICU, libstdc++) it takes most of the time in
 * which a tool starts, and plain texts have no need of it.
 */
#ifndef BERTUTILS_LIBARCHIVE_H
#define BERTUTILS_LIBARCHIVE_H

#include "err.h"

#include <archive.h>
#include <archive_entry.h>

#define LIBARCHIVE_FUNCTIONS(F)            \
    F(archive_entry_filetype)              \
    F(archive_entry_free)                  \
    F(archive_entry_hardlink)              \
    F(archive_entry_is_encrypted)          \
    F(archive_entry_new)                   \
    F(archive_entry_pathname)              \
    F(archive_entry_pathname_utf8)         \
    F(archive_entry_size)                  \
    F(archive_entry_size_is_set)           \
    F(archive_errno)                       \
    F(archive_error_string)                \
    F(archive_filter_bytes)                \
    F(archive_read_data)                   \
    F(archive_read_free)                   \
    F(archive_read_new)                    \
    F(archive_read_next_header2)           \
    F(archive_read_open)                   \
    F(archive_read_open1)                  \
    F(archive_read_set_callback_data)      \
    F(archive_read_set_read_callback)      \
    F(archive_read_set_seek_callback)      \
    F(archive_read_support_filter_bzip2)   \
    F(archive_read_support_filter_xz)      \
    F(archive_read_support_filter_zstd)    \
    F(archive_read_support_format_empty)   \
    F(archive_read_support_format_raw)     \
    F(archive_read_support_format_tar)     \
    F(archive_read_support_format_zip_seekable) \
    F(archive_read_support_format_zip_streamable) \
    F(archive_set_error)

/* Under their own names: la->archive_read_new(), and so on. */
struct libarchive {
#define LIBARCHIVE_MEMBER(name) __typeof__(name) *name;
    LIBARCHIVE_FUNCTIONS(LIBARCHIVE_MEMBER)
#undef LIBARCHIVE_MEMBER
};

/* Fills *la; once loaded, the library stays.  ERR_RUN where it is not installed. */
int libarchive_load(struct libarchive *la, struct err *e) MUST_USE;

#endif
