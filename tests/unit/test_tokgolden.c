/* SPDX-License-Identifier: MIT */
/*
 * Streams that a released version wrote are read for ever: tests/golden/stream, relative
 * to the top of the tree.  Their records are those of toks_fixture.h.
 *
 *     test_tokgolden --write      makes them; only for a new version of the format, whose
 *                                 files get new names: those that are there stay as they
 * are
 */
#include "toks_fixture.h"

#define DIR "tests/golden/stream/"

struct golden {
    const char *path;
    struct plan plan;
    const char *content; /* what the hash of the data is defined to be */
};

static const struct golden golden[] = {
    {DIR "v1.toks.zst",
     {.vocab = 30522, .columns = ALL_COLUMNS, .to = 40, .o = {.block_records = 16}},
     "2485fa0a36f49227c7ae9183ee293384"},
    {DIR "v1-wide.toks.zst",
     {.vocab = 250002, .columns = TOKS_LABEL, .to = 40},
     "7c3e93c2b4bff17ae9630e5407670519"},
    {DIR "v1-bare.toks",
     {.vocab = 50265, .to = 12, .o = {.plain = true, .block_records = 5}},
     "4585d770529b76198649d139787cd459"},
    {DIR "v1-small.toks.zst",
     {.vocab = 30522, .columns = TOKS_PAIR | TOKS_KEY, .to = 40, .o = {.level = 12}},
     "47603bb38f09656c16ec3d14ed337a5d"},
    {DIR "v1-empty.toks.zst",
     {.vocab = 30522, .columns = TOKS_WEIGHT},
     "886aa2170c0c1f38dd18fcb7edce35ba"},
};
enum { N_GOLDEN = sizeof golden / sizeof *golden };

static void golden_streams_are_read(void)
{
    for (int i = 0; i < N_GOLDEN; i++) {
        const struct golden *g = &golden[i];
        struct err e = {0};
        struct toks_totals t;
        const int fd = io_open_in(g->path, &e);

        CHECK_MSG(fd >= 0, "%s", e.text);
        CHECK_MSG(read_fd(fd, &g->plan, 1, &t, &e) == (int64_t)g->plan.to, "%s: %s",
                  g->path, e.text);
        CHECK_MSG(strcmp(t.content, g->content) == 0, "%s: %s", g->path, t.content);
        close(fd);
    }
}

/* What is written today has the same identity. */
static void written_streams_have_the_same_content(void)
{
    for (int i = 0; i < N_GOLDEN; i++) {
        const struct golden *g = &golden[i];
        struct err e = {0};
        struct toks_totals t;
        struct buf b = make_stream(&g->plan);

        CHECK_MSG(read_bytes(b.data, b.len, &g->plan, 1, &t, &e) == (int64_t)g->plan.to,
                  "%s", e.text);
        CHECK(strcmp(t.content, g->content) == 0);
        buf_free(&b);
    }
}

static int write_golden(void)
{
    for (int i = 0; i < N_GOLDEN; i++) {
        struct buf b = make_stream(&golden[i].plan);
        struct err e = {0};

        if (io_exists(golden[i].path))
            printf("# %s stays\n", golden[i].path);
        else if (io_put_file(golden[i].path, b.data, b.len, &e))
            printf("# %s\n", e.text);
        buf_free(&b);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--write") == 0)
        return write_golden();
    RUN(golden_streams_are_read);
    RUN(written_streams_have_the_same_content);
    return test_end();
}
