/* SPDX-License-Identifier: MIT */
/*
 * tokjson_parts: the normalizer, the pre-tokenizer and the decoder of a tokenizer.json.
 */
#include "tokjson_int.h"
#include "utf8.h"

#include <stdlib.h>

int64_t tokjson_point(const json_t *v)
{
    const uint8_t *p = (const uint8_t *)json_string_value(v);
    const size_t n = json_string_length(v);
    size_t used = 0;
    uint32_t c = 0;

    if (p && n)
        c = utf8_next(p, n, &used);
    return n && used == n ? (int64_t)c : -1;
}

struct pattern *tokjson_pattern(const struct json_loader *l, const json_t *o, char **source)
{
    const json_t *text = json_object_get(o, "String"), *regex = json_object_get(o, "Regex");
    const json_t *v = text ? text : regex;
    const char *p = json_string_value(v);
    const size_t n = json_string_length(v);
    struct pattern *pt = NULL;

    *source = NULL;
    if (!p || n == 0)
        tokjson_bad(l, p ? "a pattern without text is not implemented"
                         : "a pattern is neither String nor Regex");
    else
        pt = text ? pattern_literal(p, n, l->e) : pattern_compile(p, n, l->e);
    if (!pt && l->e->text[0] != '\'')
        err_prefix(l->e, "'%s': ", l->path);
    if (pt) {
        *source = mem_alloc(n + 3, 1, "pattern", l->e);
        if (*source) {
            memcpy(*source, text ? "s:" : "r:", 2);
            memcpy(*source + 2, p, n);
            return pt;
        }
    }
    pattern_free(pt);
    return NULL;
}

/* ---- normalizer ---- */

static int add_step(const struct json_loader *l, enum norm_step step)
{
    l->t->bert = false;
    return normalizer_add(&l->t->normalizer, step) ? tokjson_bad(l, "too many normalizers") : 0;
}

/* An error of a step names the file. */
static int made(const struct json_loader *l, int rc)
{
    l->t->bert = false;
    return rc && l->e->code == ERR_DATA ? err_prefix(l->e, "'%s': ", l->path) : rc;
}

static int sextet(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Base64 with its padding (RFC 4648, section 4). */
static int from_base64(const struct json_loader *l, const char *p, size_t n, struct buf *out)
{
    size_t pad = 0;

    if (buf_reserve(out, n / 4 * 3 + 3, l->e))
        return -1;
    while (pad < 2 && pad < n && p[n - 1 - pad] == '=')
        pad++;
    if (n % 4 || n == 0)
        return tokjson_bad(l, "the charsmap is no base64");
    for (size_t i = 0; i < n; i += 4) {
        uint32_t v = 0;

        for (size_t k = 0; k < 4; k++) {
            const int six = i + k < n - pad ? sextet(p[i + k]) : 0;

            if (six < 0)
                return tokjson_bad(l, "the charsmap is no base64");
            v = v << 6 | (uint32_t)six;
        }
        out->data[out->len++] = (char)(v >> 16);
        out->data[out->len++] = (char)(v >> 8);
        out->data[out->len++] = (char)v;
    }
    out->len -= pad;
    return 0;
}

static int load_charsmap(const struct json_loader *l, const json_t *o)
{
    const json_t *map = json_object_get(o, "precompiled_charsmap");
    struct buf bytes = {0};
    int rc;

    if (!json_is_string(map))
        return tokjson_bad(l, "Precompiled has no precompiled_charsmap");
    rc = from_base64(l, json_string_value(map), json_string_length(map), &bytes) ||
                 made(l, normalizer_charsmap(&l->t->normalizer, bytes.data, bytes.len, l->e))
             ? -1
             : 0;
    buf_free(&bytes);
    return rc;
}

static int load_replace(const struct json_loader *l, const json_t *o)
{
    const json_t *of = json_object_get(o, "pattern"), *content = json_object_get(o, "content");
    const json_t *text = json_object_get(of, "String"), *regex = json_object_get(of, "Regex");
    const json_t *v = text ? text : regex;
    const struct norm_replace r = {json_string_value(v), json_string_value(content),
                                   json_string_length(v), json_string_length(content), !text};

    if (!r.pattern || !r.content)
        return tokjson_bad(l, "Replace has no pattern or no content");
    return made(l, normalizer_replace(&l->t->normalizer, &r, l->e));
}

static int load_prepend(const struct json_loader *l, const json_t *o)
{
    const json_t *text = json_object_get(o, "prepend");

    if (!json_is_string(text))
        return tokjson_bad(l, "Prepend has no text");
    return made(l, normalizer_prepend(&l->t->normalizer, json_string_value(text),
                                      json_string_length(text), l->e));
}

static int load_strip(const struct json_loader *l, const json_t *o)
{
    return (json_flag(o, "strip_left", false) && add_step(l, NORM_STRIP_LEFT)) ||
                   (json_flag(o, "strip_right", false) && add_step(l, NORM_STRIP_RIGHT))
               ? -1
               : 0;
}

static int load_bert(const struct json_loader *l, const json_t *o)
{
    const json_t *strip = json_object_get(o, "strip_accents");

    return tokrules_bert(l->t, json_flag(o, "clean_text", true),
                         json_flag(o, "handle_chinese_chars", true),
                         json_is_boolean(strip) ? json_is_true(strip) : -1,
                         json_flag(o, "lowercase", true))
               ? tokjson_bad(l, "too many normalizers")
               : 0;
}

static const struct {
    const char *type;
    enum norm_step step; /* 0: see load */
    int (*load)(const struct json_loader *l, const json_t *o);
} normalizers[] = {
    {"Lowercase", NORM_LOWER, NULL},
    {"StripAccents", NORM_STRIP_MARK, NULL},
    {"NFD", NORM_NFD, NULL},
    {"NFC", NORM_NFC, NULL},
    {"NFKD", NORM_NFKD, NULL},
    {"NFKC", NORM_NFKC, NULL},
    {"Nmt", NORM_NMT, NULL},
    {"ByteLevel", NORM_BYTES, NULL},
    {"BertNormalizer", 0, load_bert},
    {"Strip", 0, load_strip},
    {"Prepend", 0, load_prepend},
    {"Replace", 0, load_replace},
    {"Precompiled", 0, load_charsmap},
};

int tokjson_normalizer(const struct json_loader *l, const json_t *o, int depth)
{
    static const char *const shapes[][6] = {
        {"BertNormalizer", "clean_text", "handle_chinese_chars", "lowercase"},
        {"Strip", "strip_left", "strip_right"},
        {"Sequence", "normalizers"},
        {"Precompiled", "precompiled_charsmap"},
        {"Replace", "pattern", "content"},
        {"Prepend", "prepend"}};
    const char *type = tokjson_type(o, shapes, sizeof shapes / sizeof shapes[0]);

    if (!o || json_is_null(o))
        return 0;
    if (strcmp(type, "Sequence") == 0 && depth < 8) {
        const json_t *list = json_object_get(o, "normalizers");

        if (!json_is_array(list))
            return tokjson_bad(l, "a Sequence has no normalizers");
        for (size_t i = 0; i < json_array_size(list); i++)
            if (tokjson_normalizer(l, json_array_get(list, i), depth + 1))
                return -1;
        return 0;
    }
    for (size_t i = 0; i < sizeof normalizers / sizeof normalizers[0]; i++)
        if (strcmp(type, normalizers[i].type) == 0)
            return normalizers[i].load ? normalizers[i].load(l, o)
                                       : add_step(l, normalizers[i].step);
    return tokjson_missing(l, "normalizer", type);
}

/* ---- pre-tokenizer ---- */

static int behavior(const struct json_loader *l, const json_t *o, const char *otherwise,
                    enum pre_behavior *out)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const json_t *v = json_object_get(o, "behavior");
    const char *name = v ? json_text_of(o, "behavior") : otherwise;

    for (int i = 0; i < 5; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum pre_behavior)i;
            return 0;
        }
    }
    return tokjson_missing(l, "behavior", name);
}

static int put_mark(const struct json_loader *l, const json_t *v, struct pre_rule *r)
{
    const int64_t c = tokjson_point(v);

    if (c < 0)
        return tokjson_bad(l, "Metaspace's replacement is not one character");
    r->n_mark = utf8_put((uint32_t)c, r->mark);
    return 0;
}

static int scheme(const struct json_loader *l, const json_t *o, enum pre_scheme *out)
{
    static const char *const names[] = {"never", "always", "first"};
    const json_t *v = json_object_get(o, "prepend_scheme");
    const char *name = v ? json_text_of(o, "prepend_scheme") : "always";
    int k = 0;

    while (k < 3 && strcmp(names[k], name) != 0)
        k++;
    if (k == 3)
        return tokjson_missing(l, "prepend_scheme", name);
    *out = (enum pre_scheme)k;
    if (!json_flag(o, "add_prefix_space", true)) {
        if (v && *out != PRE_NEVER)
            return tokjson_bad(l, "Metaspace's add_prefix_space and prepend_scheme disagree");
        *out = PRE_NEVER;
    }
    return 0;
}

static int load_metaspace(const struct json_loader *l, const json_t *o)
{
    struct pre_rule r = {.split = json_flag(o, "split", true)};

    return put_mark(l, json_object_get(o, "replacement"), &r) || scheme(l, o, &r.scheme)
               ? -1
               : pretokenizer_rule(&l->t->pre, PRE_METASPACE, &r, "", l->e);
}

static int load_split(const struct json_loader *l, const json_t *o)
{
    struct pre_rule r = {.invert = json_flag(o, "invert", false)};
    char *source;
    int rc;

    if (behavior(l, o, "", &r.behavior))
        return -1;
    r.pattern = tokjson_pattern(l, json_object_get(o, "pattern"), &source);
    if (!r.pattern)
        return -1;
    rc = pretokenizer_rule(&l->t->pre, PRE_SPLIT, &r, source, l->e);
    free(source);
    return rc;
}

static int load_delimiter(const struct json_loader *l, const json_t *o)
{
    const json_t *v = json_object_get(o, "delimiter");
    struct pre_rule r = {.behavior = PRE_REMOVED};

    if (tokjson_point(v) < 0)
        return tokjson_bad(l, "a delimiter is not one character");
    r.pattern = pattern_literal(json_string_value(v), json_string_length(v), l->e);
    return r.pattern
               ? pretokenizer_rule(&l->t->pre, PRE_SPLIT, &r, json_string_value(v), l->e)
               : -1;
}

static int load_punctuation(const struct json_loader *l, const json_t *o)
{
    struct pre_rule r = {0};

    if (behavior(l, o, "Isolated", &r.behavior))
        return -1;
    if (r.behavior != PRE_ISOLATED)
        return pretokenizer_rule(&l->t->pre, PRE_MARKS, &r, "", l->e);
    return pretokenizer_add(&l->t->pre, PRE_PUNCT) ? tokjson_bad(l, "too many pre-tokenizers") : 0;
}

static int load_byte_level(const struct json_loader *l, const json_t *o)
{
    const struct pre_rule r = {.prefix = json_flag(o, "add_prefix_space", true),
                               .words = json_flag(o, "use_regex", true)};

    return pretokenizer_rule(&l->t->pre, PRE_BYTES, &r, "", l->e);
}

static const struct {
    const char *type;
    enum pre_step step; /* 0: see load */
    int (*load)(const struct json_loader *l, const json_t *o);
} pretokenizers[] = {
    {"BertPreTokenizer", PRE_BERT, NULL},
    {"Whitespace", PRE_WORDS, NULL},
    {"WhitespaceSplit", PRE_SPACE, NULL},
    {"ByteLevel", 0, load_byte_level},
    {"Metaspace", 0, load_metaspace},
    {"Split", 0, load_split},
    {"Punctuation", 0, load_punctuation},
    {"CharDelimiterSplit", 0, load_delimiter},
};

int tokjson_pre(const struct json_loader *l, const json_t *o, int depth)
{
    const char *type = tokjson_type(o, NULL, 0);
    enum pre_step step = 0;

    if (!o || json_is_null(o))
        return 0;
    if (strcmp(type, "Sequence") == 0 && depth < 8) {
        const json_t *list = json_object_get(o, "pretokenizers");

        if (!json_is_array(list))
            return tokjson_bad(l, "a Sequence has no pretokenizers");
        for (size_t i = 0; i < json_array_size(list); i++)
            if (tokjson_pre(l, json_array_get(list, i), depth + 1))
                return -1;
        return 0;
    }
    for (size_t i = 0; i < sizeof pretokenizers / sizeof pretokenizers[0]; i++) {
        if (strcmp(type, pretokenizers[i].type) != 0)
            continue;
        if (pretokenizers[i].load)
            return pretokenizers[i].load(l, o);
        step = pretokenizers[i].step;
    }
    if (strcmp(type, "Digits") == 0)
        step = json_flag(o, "individual_digits", false) ? PRE_DIGIT : PRE_DIGITS;
    if (step == 0)
        return tokjson_missing(l, "pre-tokenizer", type);
    return pretokenizer_add(&l->t->pre, step) ? tokjson_bad(l, "too many pre-tokenizers") : 0;
}

/* ---- decoder ---- */

static int put_text(const struct json_loader *l, struct decode_step *step, const char *text)
{
    step->text = mem_dup(text, l->e);
    return step->text ? 0 : -1;
}

static int word_decoder(const struct json_loader *l, const json_t *o, struct decode_step *step)
{
    const json_t *prefix = json_object_get(o, "prefix");

    step->cleanup = json_flag(o, "cleanup", true);
    return put_text(l, step, json_is_string(prefix) ? json_string_value(prefix) : "##");
}

static int metaspace_decoder(const struct json_loader *l, const json_t *o,
                             struct decode_step *step)
{
    struct pre_rule r = {0};
    size_t used;

    if (put_mark(l, json_object_get(o, "replacement"), &r) || scheme(l, o, &r.scheme))
        return -1;
    step->c = utf8_next(r.mark, r.n_mark, &used);
    step->strip = r.scheme != PRE_NEVER;
    return 0;
}

static int replace_decoder(const struct json_loader *l, const json_t *o, struct decode_step *step)
{
    char *source;

    step->pattern = tokjson_pattern(l, json_object_get(o, "pattern"), &source);
    free(source);
    return !step->pattern || put_text(l, step, json_text_of(o, "content")) ? -1 : 0;
}

static int strip_decoder(const struct json_loader *l, const json_t *o, struct decode_step *step)
{
    const int64_t c = tokjson_point(json_object_get(o, "content"));
    const int64_t start = json_whole(json_object_get(o, "start"), INT32_MAX);
    const int64_t stop = json_whole(json_object_get(o, "stop"), INT32_MAX);

    if (c < 0 || start < 0 || stop < 0)
        return tokjson_bad(l, "the decoder Strip is malformed");
    step->c = (uint32_t)c;
    step->start = (size_t)start;
    step->stop = (size_t)stop;
    return 0;
}

static int bpe_decoder(const struct json_loader *l, const json_t *o, struct decode_step *step)
{
    const json_t *suffix = json_object_get(o, "suffix");

    return put_text(l, step, json_is_string(suffix) && json_string_length(suffix)
                                 ? json_string_value(suffix)
                                 : "</w>");
}

static const struct {
    const char *type;
    enum tok_decode kind;
    int (*load)(const struct json_loader *l, const json_t *o, struct decode_step *step);
} decoders[] = {
    {"ByteLevel", DECODE_BYTES, NULL},
    {"ByteFallback", DECODE_FALLBACK, NULL},
    {"Fuse", DECODE_FUSE, NULL},
    {"WordPiece", DECODE_WORDPIECE, word_decoder},
    {"Metaspace", DECODE_METASPACE, metaspace_decoder},
    {"Replace", DECODE_REPLACE, replace_decoder},
    {"Strip", DECODE_STRIP, strip_decoder},
    {"BPEDecoder", DECODE_BPE, bpe_decoder},
};

/* A decoder that is not implemented stops only those who want text. */
int tokjson_decoder(const struct json_loader *l, const json_t *o, int depth)
{
    const char *type = tokjson_type(o, NULL, 0);
    struct decode_step *step;
    size_t k = 0;

    if (!o || json_is_null(o))
        return 0;
    if (strcmp(type, "Sequence") == 0 && depth < 8) {
        const json_t *list = json_object_get(o, "decoders");

        if (!json_is_array(list))
            return tokjson_bad(l, "a Sequence has no decoders");
        for (size_t i = 0; i < json_array_size(list); i++)
            if (tokjson_decoder(l, json_array_get(list, i), depth + 1))
                return -1;
        /* An empty one joins all, which Fuse does, too. */
        return l->t->decodes || tokrules_decode(l->t, DECODE_FUSE) ? 0 : -1;
    }
    while (k < sizeof decoders / sizeof decoders[0] && strcmp(type, decoders[k].type) != 0)
        k++;
    if (k == sizeof decoders / sizeof decoders[0]) {
        step = tokrules_decode(l->t, DECODE_UNKNOWN);
        return step ? put_text(l, step, type)
                    : tokjson_bad(l, "too many decoders");
    }
    step = tokrules_decode(l->t, decoders[k].kind);
    if (!step)
        return tokjson_bad(l, "too many decoders");
    return decoders[k].load ? decoders[k].load(l, o, step) : 0;
}
