/* SPDX-License-Identifier: MIT */
#include "statfile.h"

#include <string.h>
#include <unistd.h>

static bool is_stdout(const char *path)
{
    return !path || strcmp(path, "-") == 0;
}

int statfile_open(struct io_out *file, const char *path, const char *stream, struct err *e)
{
    if (path && is_stdout(path) && is_stdout(stream))
        return err_set(e, ERR_USAGE, "--stats - and the stream cannot both go to standard "
                       "output; use -o FILE");
    return path ? io_out_open(file, path, e) : 0;
}

/* All that can fail for want of room, before anything gets its name. */
static int write_all(const struct io_out *file, const struct stream_stat *s,
                     const struct toks_header *h, struct err *e)
{
    struct buf json = {0};
    int rc = stat_json(s, h, NULL, &json, e) ||
                     io_write_full(file->fd, json.data, json.len, file->name, e)
                 ? -1
                 : 0;

    if (rc == 0 && file->path && fsync(file->fd) != 0)
        rc = err_sys(e, ERR_IO, "cannot sync '%s'", file->path);
    buf_free(&json);
    return rc;
}

int statfile_publish(struct io_out *file, const struct stream_stat *s,
                     const struct toks_header *h, struct io_out *stream, const char *path,
                     struct err *e)
{
    const bool existed = is_stdout(path) || io_exists(path);

    if (file->fd < 0)
        return io_publish(stream, e);
    if (write_all(file, s, h, e) || io_publish(stream, e))
        return -1;
    if (io_publish(file, e) == 0)
        return 0;
    if (!existed)
        unlink(path);
    return -1;
}
