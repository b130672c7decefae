/* SPDX-License-Identifier: MIT */
/* SentencePiece models: what is written is read again, what is damaged is told. */
#include "../fuzz/fuzz_sentencepiece.c"
#include "fuzz_kept.h"
#include "mem.h"
#include "spmwrite.h"

enum { ROUNDS = 1500 };

static const struct {
    const char *text;
    float score;
} pieces[] = {{"<pad>", 0},         {"<unk>", 0},      {"[CLS]", 0},          {"[SEP]", 0},
              {"\xe2\x96\x81", -1}, {"\xe2\x96\x81the", -2.5f}, {"e", -3}, {"\xc3\xa9", -4},
              {"1,", -5},           {"\"\\", -6},      {"t", -7},             {"he", -8}};
enum { N = sizeof pieces / sizeof *pieces };

static int model_file(struct buf *out)
{
    struct vocablist v = {0};
    struct err e = {0};
    int rc = 0;

    for (size_t i = 0; i < N && rc == 0; i++)
        rc = vocablist_add(&v, pieces[i].text, strlen(pieces[i].text), pieces[i].score, &e);
    if (rc == 0)
        rc = spm_write(&v, 4, out, &e);
    vocablist_free(&v);
    return rc;
}

static void what_is_written_is_read(void)
{
    struct buf file = {0};
    struct sp_model m;
    struct err e = {0};

    CHECK(model_file(&file) == 0);
    CHECK_MSG(sp_read(&m, "x", file.data, file.len, &e) == 0, "%s", e.text);
    CHECK(m.n == N && m.unk == 1 && m.kind == SP_UNIGRAM && !m.charsmap);
    CHECK(m.dummy_prefix && m.escape && !m.suffix);
    for (size_t i = 0; i < N; i++) {
        const size_t n = strlen(pieces[i].text);

        CHECK(m.piece[i].n == n && memcmp(m.piece[i].text, pieces[i].text, n) == 0);
        CHECK(m.piece[i].score == pieces[i].score);
        CHECK(m.piece[i].type == (i == 1 ? SP_UNKNOWN : i < 4 ? SP_CONTROL : SP_NORMAL));
    }
    sp_free(&m);
    buf_free(&file);
}

/* A model cut off anywhere is an error, or ends between two fields. */
static void cut_everywhere(void)
{
    struct buf file = {0};
    size_t whole = 0;

    CHECK(model_file(&file) == 0);
    for (size_t n = 0; n < file.len; n++) {
        struct sp_model m;
        struct err e = {0};
        char *copy = malloc(n ? n : 1);

        CHECK(copy);
        memcpy(copy, file.data, n);
        if (sp_read(&m, "x", copy, n, &e) == 0)
            whole++;
        else
            CHECK(e.code == ERR_DATA && strstr(e.text, "'x'"));
        sp_free(&m);
        free(copy);
    }
    /* Behind each piece, and before the last part, the normalizer's. */
    CHECK_MSG(whole == N + 1, "%zu", whole);
    buf_free(&file);
}

static int reads(const char *bytes, size_t n, struct err *e)
{
    struct sp_model m;
    const int rc = sp_read(&m, "x", bytes, n, e);

    sp_free(&m);
    return rc;
}

#define BYTES(text) text, sizeof text - 1

static void damage_is_told(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } cases[] = {
        {BYTES(""), "no pieces"},
        {BYTES("\x0a\x04\x0a\x01" "a"), "behind the end"},
        {BYTES("\x0a\x03\x0a\x02" "a"), "behind the end"},
        {BYTES("\x0a\x03\x0a\x01\xff"), "not UTF-8"},
        {BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "behind the end"},
        {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "too long"},
        {BYTES("\x0a\x05\x15\x00\x00\x80\x7f"), "no number"}, /* infinite */
        {BYTES("\x0a\x02\x18\x07"), "unknown type"},
        {BYTES("\x0a\x03\x0a\x01" "a\x12\x03\xc0\x02\x01"), "unknown piece"},
        {BYTES("\x02\x00"), "number 0"},
        {BYTES("\x0b"), "unknown type"},
        {BYTES("\x0d\x01\x02"), "cut off"},
    };
    struct err e = {0};

    CHECK(reads("\x0a\x03\x0a\x01" "a", 5, &e) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err_clear(&e);
        CHECK(reads(cases[i].bytes, cases[i].n, &e) < 0 && e.code == ERR_DATA);
        CHECK_MSG(strstr(e.text, cases[i].why), "%zu: %s", i, e.text);
    }
}

static struct err json_error(struct sp_model *m, enum spm_family family, struct buf *out)
{
    const struct spm_settings s = {.family = family, .extra_ids = 2};
    struct err e = {0};

    buf_reset(out);
    (void)!spm_json(m, "x", &s, out, &e);
    return e;
}

static void families_lay_out_ids(void)
{
    struct buf file = {0}, out = {0};
    struct sp_model m;
    struct err e = {0};

    CHECK(model_file(&file) == 0 && sp_read(&m, "x", file.data, file.len, &e) == 0);
    CHECK(json_error(&m, SPM_ALBERT, &out).code == 0);
    CHECK(strstr(out.data, "[\"<pad>\",0],[\"<unk>\",0],[\"[CLS]\",0]"));
    CHECK(strstr(out.data, "[\"1,\",-105]") && strstr(out.data, "[\"\\\"\\\\\",-6]"));
    CHECK(strstr(out.data, "\"unk_id\":1"));
    CHECK(json_error(&m, SPM_XLMR, &out).code == 0);
    CHECK(strstr(out.data, "[[\"<s>\",0],[\"<pad>\",0],[\"</s>\",0],[\"<unk>\",0],[\"[SEP]\",0]"));
    CHECK(strstr(out.data, ",[\"<mask>\",0]],\"unk_id\":3"));
    CHECK(json_error(&m, SPM_CAMEMBERT, &out).code == ERR_DATA); /* its <s> is in the file */
    CHECK(json_error(&m, SPM_T5, &out).code == ERR_DATA);        /* and its </s> */
    CHECK(json_error(&m, SPM_DEBERTA, &out).code == 0 && strstr(out.data, "[\"1,\",-5]"));
    m.kind = SP_BPE;
    CHECK(json_error(&m, SPM_BIGBIRD, &out).code == 0);
    CHECK(strstr(out.data, "\"merges\":[[\"\xe2\x96\x81t\"") == NULL);
    CHECK(strstr(out.data, "\"the\"") == NULL && strstr(out.data, "\"vocab\":{\"<pad>\":0,"));
    m.kind = SP_WORD;
    CHECK(json_error(&m, SPM_ALBERT, &out).code == ERR_DATA);
    m.kind = SP_UNIGRAM;
    m.suffix = true;
    CHECK(json_error(&m, SPM_ALBERT, &out).code == ERR_DATA);
    sp_free(&m);
    buf_free(&file);
    buf_free(&out);
}

/* xorshift64*: George Marsaglia, 2003. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void mutations(void)
{
    struct buf file = {0};
    uint64_t state = 42;

    CHECK(model_file(&file) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t *copy = malloc(file.len);
        size_t n = file.len;

        CHECK(copy);
        memcpy(copy, file.data, n);
        for (uint64_t k = 1 + next(&state) % 6; k > 0; k--)
            copy[next(&state) % n] = (uint8_t)(next(&state) % 3 ? next(&state) : 0x0a);
        if (next(&state) % 4 == 0)
            n = next(&state) % n;
        CHECK(fuzz_sentencepiece(copy, n) == 0);
        free(copy);
    }
    buf_free(&file);
}

static void kept_inputs(void)
{
    fuzz_kept("tests/fuzz/sentencepiece.tar.zst", fuzz_sentencepiece);
}

int main(void)
{
    RUN(what_is_written_is_read);
    RUN(cut_everywhere);
    RUN(damage_is_told);
    RUN(families_lay_out_ids);
    RUN(mutations);
    RUN(kept_inputs);
    return test_end();
}
