/* SPDX-License-Identifier: MIT */
/*
 * crc32: the checksum of zip archives (L4: for the checkpoints that are zip files).
 *
 * Polynomial 0xedb88320, reflected, as in zip and gzip.
 */
#ifndef BERTUTILS_CRC32_H
#define BERTUTILS_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of what `crc` (0 at the start) stands for, with n bytes more. */
uint32_t crc32_add(uint32_t crc, const void *data, size_t n);

#endif
