/* SPDX-License-Identifier: MIT */
/*
 * The tokenizer against what Hugging Face `tokenizers` 0.23.3 gave (tests/golden/tokenizer,
 * made by tests/parity/golden_ids.py), and against files that are damaged or not implemented.
 */
#include "io.h"
#include "mem.h"
#include "normalize.h"
#include "pretoken.h"
#include "test.h"
#include "tokenizer.h"
#include "utf8.h"

#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#define GOLDEN "tests/golden/tokenizer"
#define DATA "../shared/data"

/* One row of cases.tsv. */
struct golden {
    char *name, *text, *ids, *starts, *decoded;
    size_t n_text, n_decoded;
};

static int hex(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Decodes hex digits in place. */
static size_t unhex(char *s)
{
    size_t n = strlen(s) / 2;

    for (size_t i = 0; i < n; i++)
        s[i] = (char)(hex(s[2 * i]) << 4 | hex(s[2 * i + 1]));
    return n;
}

/* Cuts a line into fields at its tabs; the last field may be empty. */
static char *field(char **line)
{
    char *at = *line, *tab = at ? strchr(at, '\t') : NULL;

    *line = tab ? tab + 1 : NULL;
    if (tab)
        *tab = '\0';
    return at;
}

static int next_case(char **rest, struct golden *g)
{
    char *line = *rest, *end = strchr(line, '\n');

    if (!end)
        return 0;
    *end = '\0';
    *rest = end + 1;
    g->name = field(&line);
    g->text = field(&line);
    g->ids = field(&line);
    g->starts = field(&line);
    g->decoded = field(&line);
    g->n_text = unhex(g->text);
    g->n_decoded = unhex(g->decoded);
    return 1;
}

static bool same_ids(const struct tok_ids *ids, const struct golden *g)
{
    const char *p = g->ids;
    size_t n = 0;

    for (char *end; *p; p = end + (*end == ' '), n++)
        if (n >= ids->n || strtoul(p, &end, 10) != ids->id[n] ||
            (g->starts[n] == '1') != ids->start[n])
            return false;
    return n == ids->n;
}

/* Compares a tokenizer with the cases of `name`; each twice, so that the memo is used. */
static bool agrees(const char *dir, const char *name)
{
    struct err e = {0};
    char *path = io_join(GOLDEN, dir, &e), *text, *rest;
    struct tokenizer *t = tokenizer_load(path, &e);
    struct encoder *enc = t ? encoder_new(t, &e) : NULL;
    struct tok_ids ids = {0};
    struct buf decoded = {0};
    struct golden g;
    size_t n, cases = 0;
    bool good = enc != NULL;

    rest = text = io_slurp(GOLDEN "/cases.tsv", 1 << 24, &n, &e);
    while (good && text && next_case(&rest, &g)) {
        if (strcmp(g.name, name) != 0)
            continue;
        for (int round = 0; good && round < 2; round++) {
            /* Exactly as long as it is, so that a sanitizer sees any read beyond it. */
            char *exact = malloc(g.n_text ? g.n_text : 1);

            memcpy(exact, g.text, g.n_text);
            ids.n = 0;
            good = encoder_encode(enc, exact, g.n_text, &ids, &e) == 0 && same_ids(&ids, &g);
            free(exact);
        }
        buf_reset(&decoded);
        good = good && tokenizer_decode(t, ids.id, ids.n, false, &decoded, &e) == 0 &&
               decoded.len == g.n_decoded &&
               (g.n_decoded == 0 || memcmp(decoded.data, g.decoded, g.n_decoded) == 0);
        cases++;
        if (!good)
            printf("# %s: case %zu of %s: '%.*s' %s\n", dir, cases, name, (int)g.n_text, g.text,
                   e.text);
    }
    if (e.code)
        printf("# %s\n", e.text);
    good = good && cases > 100;
    free(path);
    free(text);
    tok_ids_free(&ids);
    buf_free(&decoded);
    encoder_free(enc);
    tokenizer_free(t);
    return good;
}

static void wordpiece_cases(void)
{
    CHECK(agrees("wordpiece", "wordpiece"));
    CHECK(agrees("wordpiece-files", "wordpiece"));
    CHECK(agrees("cased", "cased"));
}

static void bpe_cases(void)
{
    CHECK(agrees("bpe", "bpe"));
    CHECK(agrees("bpe-files", "bpe"));
}

static void added_token_cases(void)
{
    CHECK(agrees("flags", "flags"));
    CHECK(agrees("bytes", "bytes"));
}

static void kinds_cases(void)
{
    static const char *const names[] = {"unigram", "unigram-first", "chars", "suffix", "words"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CHECK(agrees(names[i], names[i]));
}

static bool same_hash(const char *a, const char *b)
{
    struct err e = {0};
    struct tokenizer *x = tokenizer_load(a, &e), *y = tokenizer_load(b, &e);
    const bool same = x && y && strcmp(tokenizer_hash(x), tokenizer_hash(y)) == 0;

    tokenizer_free(x);
    tokenizer_free(y);
    return same;
}

static void hash_is_of_behaviour(void)
{
    CHECK(same_hash(GOLDEN "/wordpiece", GOLDEN "/wordpiece-files"));
    CHECK(same_hash(GOLDEN "/bpe", GOLDEN "/bpe-files"));
    CHECK(!same_hash(GOLDEN "/wordpiece", GOLDEN "/cased"));
    CHECK(!same_hash(GOLDEN "/wordpiece", GOLDEN "/flags"));
    CHECK(!same_hash(GOLDEN "/bpe", GOLDEN "/bytes"));
}

/* ---- every code point ---- */

static uint32_t next_point(uint32_t c)
{
    c++;
    return c == 0xd800 ? 0xe000 : c == 0x323b0 ? 0xe0000 : c == 0xe0200 ? 0x10fff0 : c;
}

static bool golden_hash(const char *name, const char *text, char out[17])
{
    const char *at = strstr(text, name);

    while (at && at[strlen(name)] != '\t')
        at = strstr(at + 1, name);
    if (!at)
        return false;
    memcpy(out, at + strlen(name) + 1, 16);
    out[16] = '\0';
    return true;
}

static bool is_golden(const char *name, uint64_t hash)
{
    struct err e = {0};
    size_t n;
    char *text = io_slurp(GOLDEN "/unicode.tsv", 1 << 20, &n, &e), want[17], got[17];
    const bool known = text && golden_hash(name, text, want);

    snprintf(got, sizeof got, "%016llx", (unsigned long long)hash);
    free(text);
    if (known && strcmp(got, want) == 0)
        return true;
    printf("# %s: %s\n", name, got);
    return false;
}

static uint64_t hash_normalizer(const struct normalizer *nz)
{
    static const uint8_t marks[] = {0xcc, 0xa3, 0xcc, 0x81}; /* U+0323 U+0301 */
    struct err e = {0};
    struct norm_scratch scratch = {0};
    struct buf out = {0};
    XXH3_state_t *h = XXH3_createState();
    uint64_t digest;

    XXH3_64bits_reset(h);
    for (uint32_t c = 0; c < 0x110000; c = next_point(c)) {
        uint8_t text[16] = {'a'};
        size_t n = 1 + utf8_put(c, text + 1);

        memcpy(text + n, marks, sizeof marks);
        n += sizeof marks;
        n += utf8_put(c, text + n);
        text[n++] = 'b';
        if (normalize(nz, text, n, &scratch, &out, &e) || buf_putc(&out, '\n', &e))
            break;
        XXH3_64bits_update(h, out.data, out.len);
    }
    digest = XXH3_64bits_digest(h);
    XXH3_freeState(h);
    norm_scratch_free(&scratch);
    buf_free(&out);
    return digest;
}

static void normalizers_on_every_point(void)
{
    static const struct {
        const char *name;
        struct normalizer nz;
    } tried[] = {
        {"bert", {.step = {NORM_CLEAN, NORM_CJK, NORM_NFD, NORM_STRIP_MN, NORM_LOWER}, .n = 5}},
        {"cased", {.step = {NORM_CLEAN, NORM_CJK}, .n = 2}},
        {"accents", {.step = {NORM_NFD, NORM_STRIP_MN}, .n = 2}},
        {"lower", {.step = {NORM_LOWER}, .n = 1}},
        {"nfd", {.step = {NORM_NFD}, .n = 1}},
        {"nfc", {.step = {NORM_NFC}, .n = 1}},
        {"marks", {.step = {NORM_STRIP_MARK}, .n = 1}},
        {"nfkd", {.step = {NORM_NFKD}, .n = 1}},
        {"nfkc", {.step = {NORM_NFKC}, .n = 1}},
        {"nmt", {.step = {NORM_NMT}, .n = 1}},
        {"spelled", {.step = {NORM_BYTES}, .n = 1}},
    };

    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++)
        CHECK(is_golden(tried[i].name, hash_normalizer(&tried[i].nz)));
}

static uint64_t hash_words(enum pre_step step)
{
    XXH3_state_t *h = XXH3_createState();
    uint64_t digest;

    XXH3_64bits_reset(h);
    for (uint32_t c = 0; c < 0x110000; c = next_point(c)) {
        static const char *const parts[] = {"a", "b1", " !", "", " ", NULL};
        uint8_t text[40];
        size_t n = 0, at = 0;
        struct span word;

        for (int i = 0; parts[i]; i++) {
            memcpy(text + n, parts[i], strlen(parts[i]));
            n += strlen(parts[i]);
            n += utf8_put(c, text + n);
        }
        while (pre_next(step, text, n, &at, &word)) {
            XXH3_64bits_update(h, text + word.at, word.n);
            XXH3_64bits_update(h, "", 1);
        }
        XXH3_64bits_update(h, "\n", 1);
    }
    digest = XXH3_64bits_digest(h);
    XXH3_freeState(h);
    return digest;
}

static void pretokenizers_on_every_point(void)
{
    static const struct {
        const char *name;
        enum pre_step step;
    } tried[] = {
        {"words-bert", PRE_BERT},     {"words-space", PRE_SPACE}, {"words-words", PRE_WORDS},
        {"words-punct", PRE_PUNCT},   {"words-digits", PRE_DIGITS},
        {"words-digit", PRE_DIGIT},   {"words-gpt2", PRE_GPT2},
    };

    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++)
        CHECK(is_golden(tried[i].name, hash_words(tried[i].step)));
}

/* ---- special tokens in the text ---- */

static void specials_as_text(void)
{
    struct err e = {0};
    struct tokenizer *t = tokenizer_load(GOLDEN "/wordpiece", &e);
    struct encoder *enc = encoder_new(t, &e);
    struct tok_ids ids = {0};

    CHECK(encoder_encode(enc, "[SEP]", 5, &ids, &e) == 0 && ids.n == 1);
    CHECK(ids.id[0] == (uint32_t)tokenizer_template(t)->sep);
    CHECK(tokenizer_is_special(t, ids.id[0]));
    encoder_specials_in_text(enc, false);
    CHECK(encoder_encode(enc, "[SEP]", 5, &ids, &e) == 0 && ids.n > 3);
    CHECK(ids.id[1] == (uint32_t)tokenizer_id(t, "["));
    CHECK(!tokenizer_is_special(t, ids.id[1]));
    tok_ids_free(&ids);
    encoder_free(enc);
    tokenizer_free(t);
}

/* ---- words of any length, in time ---- */

static void long_words(void)
{
    static const char *const dirs[] = {GOLDEN "/wordpiece", GOLDEN "/bpe"};
    struct err e = {0};
    const size_t n = 1 << 20;
    char *text = malloc(n);

    for (size_t d = 0; d < 2; d++) {
        struct tokenizer *t = tokenizer_load(dirs[d], &e);
        struct encoder *enc = encoder_new(t, &e);
        struct tok_ids ids = {0};
        struct buf back = {0};

        memset(text, 'a', n);
        CHECK(encoder_encode(enc, text, n, &ids, &e) == 0);
        CHECK(d == 0 ? ids.n == 1 : ids.n == n / 4);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)("the \xcc\x81" "12'!"[i % 9]);
        ids.n = 0;
        CHECK(encoder_encode(enc, text, n / 9 * 9, &ids, &e) == 0 && ids.n > n / 9);
        if (d == 1) {
            CHECK(tokenizer_decode(t, ids.id, ids.n, false, &back, &e) == 0);
            CHECK(back.len == n / 9 * 9 && memcmp(back.data, text, back.len) == 0);
        }
        buf_free(&back);
        tok_ids_free(&ids);
        encoder_free(enc);
        tokenizer_free(t);
    }
    free(text);
}

/* ---- files that cannot be used ---- */

/* A directory of its own with one file in it; removed by drop_dir. */
static char dir_name[64];

static bool make_dir(const char *file, const char *text, size_t n)
{
    struct err e = {0};
    char path[128];

    if (!dir_name[0]) {
        snprintf(dir_name, sizeof dir_name, "/tmp/bertutils-tokenizer.XXXXXX");
        if (!mkdtemp(dir_name))
            return false;
    }
    snprintf(path, sizeof path, "%s/%s", dir_name, file);
    return io_put_file(path, text, n, &e) == 0;
}

static void drop_dir(void)
{
    struct err e = {0};

    if (dir_name[0] && io_remove_tree(dir_name, &e))
        printf("# %s\n", e.text);
    dir_name[0] = '\0';
}

/* Loads the golden tokenizer with one piece of its file replaced, and gives the error back. */
static struct err load_changed(const char *from, const char *old, const char *new)
{
    struct err e = {0};
    struct buf changed = {0};
    char path[128], *text, *at;
    struct tokenizer *t;
    size_t n;

    snprintf(path, sizeof path, GOLDEN "/%s/tokenizer.json", from);
    text = io_slurp(path, 1 << 24, &n, &e);
    at = text ? strstr(text, old) : NULL;
    if (at && buf_add(&changed, text, (size_t)(at - text), &e) == 0 &&
        buf_puts(&changed, new, &e) == 0 && buf_puts(&changed, at + strlen(old), &e) == 0 &&
        make_dir("tokenizer.json", changed.data, changed.len)) {
        t = tokenizer_load(dir_name, &e);
        tokenizer_free(t);
    } else {
        err_set(&e, ERR_INTERNAL, "no '%s' to change", old);
    }
    drop_dir();
    buf_free(&changed);
    free(text);
    return e;
}

static void names_what_is_not_implemented(void)
{
    static const struct {
        const char *from, *old, *new, *named;
    } tried[] = {
        {"wordpiece", "\"BertNormalizer\"", "\"NFKX\"", "'NFKX'"},
        {"wordpiece", "\"BertPreTokenizer\"", "\"UnicodeScripts\"", "'UnicodeScripts'"},
        {"wordpiece", "\"BertPreTokenizer\"", "\"Metaspace\"", "replacement"},
        {"wordpiece", "\"WordPiece\",\"unk", "\"Trigram\",\"unk", "'Trigram'"},
        {"wordpiece", "\"WordPiece\",\"unk", "\"Unigram\",\"unk", "'['"},
        {"wordpiece", "\"TemplateProcessing\"", "\"Other\"", "'Other'"},
        {"wordpiece", "\"unk_token\":\"[UNK]\"", "\"unk_token\":7", "unk_token"},
        {"wordpiece", "\"vocab\":{", "\"vocab\":{\"x\":-1,", "no id"},
        {"wordpiece", "\"vocab\":{", "\"vocab\":{\"x\":0,", "two tokens"},
        {"wordpiece", "\"vocab\":{", "\"vocab\":{\"x\":4000000000,", "limit"},
        {"wordpiece", "\"vocab\":{", "\"vocab\":{\"\\ud800\":900,", "escape"},
        {"wordpiece", "\"vocab\":{", "\"vocab\":{\"\xff\":900,", "UTF-8"},
        {"bpe", "\"merges\":[", "\"merges\":[[\"a\",\"zz\"],", "vocabulary"},
        {"bpe", "\"merges\":[", "\"merges\":[7,", "merge 1"},
        {"bpe", "\"merges\":[", "\"merges\":[\"a b c\",", "merge 1"},
        {"bpe", "\"dropout\":null", "\"dropout\":0.1", "'dropout'"},
    };

    for (size_t i = 0; i < sizeof tried / sizeof tried[0]; i++) {
        const struct err e = load_changed(tried[i].from, tried[i].old, tried[i].new);

        CHECK_MSG(e.code == ERR_DATA && strstr(e.text, tried[i].named) &&
                      strstr(e.text, "tokenizer.json"),
                  "%s: %d %s", tried[i].new, e.code, e.text);
    }
}

static void truncation_and_padding_are_left_out(void)
{
    const struct err e = load_changed(
        "wordpiece", "\"truncation\":null",
        "\"truncation\":{\"max_length\":3,\"strategy\":\"LongestFirst\",\"stride\":0}");

    CHECK_MSG(e.code == 0, "%s", e.text);
}

/* transformers writes 1e30 for "no limit", as an integer. */
static void numbers_beyond_integers(void)
{
    static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\nAb\n";
    static const char config[] = "{\"model_max_length\": 1000000000000000019884624838656, "
                                 "\"do_lower_case\": false, \"tokenizer_class\": "
                                 "\"BertTokenizer\"}";
    struct err e = {0};
    struct tok_ids ids = {0};
    struct tokenizer *t;
    struct encoder *enc;

    CHECK(make_dir("vocab.txt", vocab, sizeof vocab - 1));
    CHECK(make_dir("tokenizer_config.json", config, sizeof config - 1));
    t = tokenizer_load(dir_name, &e);
    CHECK_MSG(t, "%s", e.text);
    enc = encoder_new(t, &e);
    CHECK(encoder_encode(enc, "Ab ab AB", 8, &ids, &e) == 0 && ids.n == 3);
    CHECK(ids.id[0] == 6 && ids.id[1] == 5 && ids.id[2] == 1);
    tok_ids_free(&ids);
    encoder_free(enc);
    tokenizer_free(t);
    drop_dir();
    e = load_changed("wordpiece", "\"truncation\":null",
                     "\"truncation\":{\"max_length\":18446744073709551615}");
    CHECK_MSG(e.code == 0, "%s", e.text);
}

/* No beginning of the file is a tokenizer, and none is the end of us. */
static void cut_files(void)
{
    static const char *const dirs[] = {"wordpiece", "bpe"};

    for (size_t d = 0; d < 2; d++) {
        struct err e = {0};
        char path[128], *text;
        size_t n;

        snprintf(path, sizeof path, GOLDEN "/%s/tokenizer.json", dirs[d]);
        text = io_slurp(path, 1 << 24, &n, &e);
        CHECK(text != NULL);
        for (size_t cut = 0; cut < n; cut += cut < n - 200 ? 13 : 1) {
            struct tokenizer *t;

            err_clear(&e);
            CHECK(make_dir("tokenizer.json", text, cut));
            t = tokenizer_load(dir_name, &e);
            CHECK_MSG(!t && e.code == ERR_DATA, "cut at %zu: %d %s", cut, e.code, e.text);
        }
        free(text);
        drop_dir();
    }
}

static void no_tokenizer(void)
{
    struct err e = {0};

    CHECK(tokenizer_load("/nonexistent", &e) == NULL && e.code == ERR_NOINPUT);
    err_clear(&e);
    CHECK(make_dir("vocab.txt", "a\nb\n", 4));
    CHECK(tokenizer_load(dir_name, &e) == NULL && e.code == ERR_DATA);
    CHECK_MSG(strstr(e.text, "[UNK]") != NULL, "%s", e.text);
    drop_dir();
}

/* The last of two entries wins, and its first place has no token. */
static void duplicates_in_vocab_txt(void)
{
    static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\n\ncd\nab  \n";
    struct err e = {0};
    struct tok_ids ids = {0};
    struct tokenizer *t;
    struct encoder *enc;

    CHECK(make_dir("vocab.txt", vocab, sizeof vocab - 1));
    t = tokenizer_load(dir_name, &e);
    CHECK_MSG(t != NULL, "%s", e.text);
    enc = encoder_new(t, &e);
    CHECK(encoder_encode(enc, "AB cd ef", 8, &ids, &e) == 0 && ids.n == 3);
    CHECK(ids.id[0] == 8 && ids.id[1] == 7 && ids.id[2] == 1);
    CHECK(tokenizer_token(t, 5) == NULL && strcmp(tokenizer_token(t, 8), "ab") == 0);
    CHECK(tokenizer_size(t) == 9 && tokenizer_token(t, 9) == NULL);
    tok_ids_free(&ids);
    encoder_free(enc);
    tokenizer_free(t);
    drop_dir();
}

/* ---- the documents' vectors, where the vocabulary is at hand ---- */

static void documents_vectors(void)
{
    static const char *const text[] = {
        "Our friends won't buy this analysis, let alone the next one we propose.",
        "PyTorch is a great framework for NLP"};
    static const uint32_t want[][20] = {
        {2256, 2814, 2180, 1005, 1056, 4965, 2023, 4106, 1010, 2292, 2894, 1996, 2279, 2028, 2057,
         16599, 1012},
        {1052, 22123, 2953, 2818, 2003, 1037, 2307, 7705, 2005, 17953, 2361}};
    static const size_t n[] = {17, 11};
    struct err e = {0};
    struct tokenizer *t = tokenizer_load(DATA "/models/minilm-l6", &e);
    struct encoder *enc = encoder_new(t, &e);
    struct tok_ids ids = {0};

    for (size_t i = 0; i < 2; i++) {
        ids.n = 0;
        CHECK(encoder_encode(enc, text[i], strlen(text[i]), &ids, &e) == 0);
        CHECK(ids.n == n[i] && memcmp(ids.id, want[i], n[i] * sizeof want[i][0]) == 0);
    }
    tok_ids_free(&ids);
    encoder_free(enc);
    tokenizer_free(t);
}

int main(void)
{
    RUN(wordpiece_cases);
    RUN(bpe_cases);
    RUN(added_token_cases);
    RUN(kinds_cases);
    RUN(hash_is_of_behaviour);
    RUN(normalizers_on_every_point);
    RUN(pretokenizers_on_every_point);
    RUN(specials_as_text);
    RUN(long_words);
    RUN(names_what_is_not_implemented);
    RUN(truncation_and_padding_are_left_out);
    RUN(numbers_beyond_integers);
    RUN(cut_files);
    RUN(no_tokenizer);
    RUN(duplicates_in_vocab_txt);
    if (io_exists(DATA "/models/minilm-l6/tokenizer.json"))
        RUN(documents_vectors);
    else
        SKIP(documents_vectors, "no " DATA "/models/minilm-l6");
    drop_dir();
    return test_end();
}
