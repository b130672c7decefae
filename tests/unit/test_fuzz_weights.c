/* SPDX-License-Identifier: MIT */
/*
 * The fuzz targets of weights, without a fuzzer: on the inputs that a fuzzer found worth
 * keeping (tests/fuzz/X.tar.zst), on the golden files, and on some thousand mutations of
 * each (bytes changed, cut, put in, doubled), always the same ones.
 */
#include "../fuzz/fuzz_pickle.c"
#include "../fuzz/fuzz_safetensors.c"
#include "fuzz_kept.h"
#include "io.h"
#include "mem.h"
#include "torch_fixture.h"

enum { ROUNDS = 4000 };

static void kept_safetensors(void)
{
    fuzz_kept("tests/fuzz/safetensors.tar.zst", fuzz_safetensors);
}

static void kept_pickles(void)
{
    fuzz_kept("tests/fuzz/pickle.tar.zst", fuzz_pickle);
}

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* One to eight changes; bytes that matter in these formats come more often than others. */
static void mutate(struct buf *b, const char *from, size_t n, uint64_t *state)
{
    static const char likely[] = "\x00\xff\x7f\x80" "()}].tRqhXKcus\"{[,:0129eF";
    struct err e = {0};

    buf_reset(b);
    if (buf_add(b, from, n, &e))
        return;
    for (uint64_t times = 1 + next(state) % 8; times > 0 && b->len > 1; times--) {
        const size_t at = next(state) % b->len, len = next(state) % (b->len - at) % 64;
        char *p = b->data + at;

        switch (next(state) % 5) {
        case 0:
            *p = likely[next(state) % (sizeof likely - 1)];
            break;
        case 1:
            *p = (char)next(state);
            break;
        case 2: /* takes away */
            memmove(p, p + len, b->len - at - len);
            b->len -= len;
            break;
        case 3: /* doubles */
            if (buf_reserve(b, len, &e))
                return;
            p = b->data + at;
            memmove(p + len, p, b->len - at);
            b->len += len;
            break;
        default:
            if (next(state) % 8 == 0)
                b->len = at;
            break;
        }
    }
}

static void replay(const char *data, size_t n, int (*target)(const uint8_t *, size_t))
{
    uint64_t state = 42 + n;
    struct buf b = {0};

    CHECK(target((const uint8_t *)data, n) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t *copy;

        mutate(&b, data, n, &state);
        /* Of just that size, so that a sanitizer sees every byte too far. */
        copy = malloc(b.len ? b.len : 1);
        CHECK(copy);
        memcpy(copy, b.data, b.len);
        CHECK(target(copy, b.len) == 0);
        free(copy);
    }
    buf_free(&b);
}

static void replay_file(const char *path, int (*target)(const uint8_t *, size_t))
{
    struct err e = {0};
    size_t n = 0;
    char *data = io_slurp(path, 1 << 20, &n, &e);

    CHECK_MSG(data, "%s", e.text);
    replay(data, n, target);
    free(data);
}

static void safetensors_file(void)
{
    replay_file("tests/golden/weights/plain.safetensors", fuzz_safetensors);
}

static void zip_file(void)
{
    replay_file("tests/golden/weights/zip.bin", fuzz_pickle);
}

static void legacy_file(void)
{
    replay_file("tests/golden/weights/legacy.bin", fuzz_pickle);
}

/* A pickle alone: nothing guards its bytes. */
static void bare_pickle(void)
{
    const struct fixture f = fixture_default();
    struct buf b = {0};

    put_dict(&b, "a", &f);
    replay(b.data, b.len, fuzz_pickle);
    buf_free(&b);
}

int main(void)
{
    RUN(kept_safetensors);
    RUN(kept_pickles);
    RUN(safetensors_file);
    RUN(zip_file);
    RUN(legacy_file);
    RUN(bare_pickle);
    return test_end();
}
