/* SPDX-License-Identifier: MIT */
#include "tokspm.h"
#include "jsontext.h"
#include "utf8.h"
#include "vocabmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANK "\xe2\x96\x81" /* U+2581, how a blank is spelled in pieces */

/* A token before or behind the file's own pieces. */
struct extra {
    const char *text;
    double score;
};

static const struct extra xlmr_first[] = {
    {"<s>", 0}, {"<pad>", 0}, {"</s>", 0}, {"<unk>", 0}, {NULL, 0}};
/* The last one is the file's own unknown piece, which must never be chosen. */
static const struct extra camembert_first[] = {{"<s>NOTUSED", 0}, {"<pad>", 0},
                                               {"</s>NOTUSED", 0}, {"<unk>", 0},
                                               {"<unk>NOTUSED", -100}, {NULL, 0}};
static const struct extra none[] = {{NULL, 0}};

/* How a family lays out ids and frames a text. */
static const struct layout {
    const struct extra *first;
    size_t skipped;         /* of the file's pieces */
    int unk;                /* -1: the file's own */
    const char *mask;       /* behind the pieces, or NULL */
    const char *cls, *sep;  /* cls NULL: nothing before a text */
    bool two_seps;
    int second_type;
    bool words; /* cut at white space first, which also drops what is too much of it */
} layouts[] = {
    [SPM_XLMR] = {xlmr_first, 3, 3, "<mask>", "<s>", "</s>", true, 0, true},
    [SPM_CAMEMBERT] = {camembert_first, 1, 3, "<mask>", "<s>", "</s>", true, 0, true},
    [SPM_ALBERT] = {none, 0, -1, NULL, "[CLS]", "[SEP]", false, 1, true},
    [SPM_REMBERT] = {none, 0, -1, NULL, "[CLS]", "[SEP]", false, 1, false},
    [SPM_DEBERTA] = {none, 0, -1, NULL, "[CLS]", "[SEP]", false, 1, false},
    [SPM_BIGBIRD] = {none, 0, -1, NULL, "[CLS]", "[SEP]", false, 1, false},
    [SPM_BARTHEZ] = {none, 0, 3, NULL, "<s>", "</s>", true, 0, false},
    [SPM_T5] = {none, 0, -1, NULL, NULL, "</s>", false, 0, true},
};

struct writer {
    const struct sp_model *m;
    const struct spm_settings *s;
    const struct layout *layout;
    const char *name;
    struct vocabmap ids; /* of what was written */
    uint64_t n;
    struct buf *out;
    struct err *e;
};

static int bad(const struct writer *w, const char *what)
{
    return err_set(w->e, ERR_DATA, "'%s': %s", w->name, what);
}

static int put(struct writer *w, const char *text)
{
    return buf_puts(w->out, text, w->e);
}

static int put_string(struct writer *w, const char *p, size_t n)
{
    return jsontext_string(w->out, p, n, w->e);
}

/* RFC 4648, section 4. */
static int put_base64(struct writer *w, const uint8_t *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to;

    if (buf_reserve(w->out, (n + 2) / 3 * 4 + 1, w->e))
        return -1;
    to = w->out->data + w->out->len;
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t three = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                               (i + 2 < n ? p[i + 2] : 0);

        *to++ = digit[three >> 18];
        *to++ = digit[three >> 12 & 63];
        *to++ = i + 1 < n ? digit[three >> 6 & 63] : '=';
        *to++ = i + 2 < n ? digit[three & 63] : '=';
    }
    *to = '\0';
    w->out->len = (size_t)(to - w->out->data);
    return 0;
}

/* ---- pieces ---- */

/* Unigram: [piece, score]; BPE: "piece": id, of which equal ones have the last id. */
static int put_piece(struct writer *w, const char *text, size_t n, double score)
{
    const bool bpe = w->m->kind == SP_BPE;

    if (w->n && put(w, ","))
        return -1;
    if ((!bpe && put(w, "[")) || put_string(w, text, n) ||
        (bpe ? buf_addf(w->out, w->e, ":%llu", (unsigned long long)w->n)
             : buf_addf(w->out, w->e, ",%.17g]", score)))
        return -1;
    return vocabmap_put(&w->ids, text, n, w->n++, w->e);
}

/* "1," and the like, which ALBERT makes all but impossible: cutting numbers in two is better. */
static bool is_number_comma(const struct sp_piece *p)
{
    return p->n >= 2 && p->text[p->n - 1] == ',' && p->text[p->n - 2] >= '0' &&
           p->text[p->n - 2] <= '9';
}

enum { SENTINEL = 40 };

static size_t sentinel(char *text, int64_t i)
{
    return (size_t)snprintf(text, SENTINEL, "<extra_id_%lld>", (long long)i);
}

static int put_sentinels(struct writer *w)
{
    char text[SENTINEL];

    for (int64_t i = w->s->extra_ids; i-- > 0;)
        if (put_piece(w, text, sentinel(text, i), 0))
            return -1;
    return 0;
}

static int put_pieces(struct writer *w)
{
    const bool albert = w->s->family == SPM_ALBERT;

    for (const struct extra *x = w->layout->first; x->text; x++)
        if (put_piece(w, x->text, strlen(x->text), x->score))
            return -1;
    for (size_t i = w->layout->skipped; i < w->m->n; i++) {
        const struct sp_piece *p = &w->m->piece[i];

        if (put_piece(w, p->text, p->n,
                      (double)p->score - (albert && is_number_comma(p) ? 100 : 0)))
            return -1;
    }
    if (w->layout->mask && put_piece(w, w->layout->mask, strlen(w->layout->mask), 0))
        return -1;
    return w->s->family == SPM_T5 ? put_sentinels(w) : 0;
}

/* ---- merges, which the file does not hold ---- */

struct merge {
    float score;
    uint32_t left, right, order; /* bytes of the two parts; order of finding */
    const struct sp_piece *piece;
};

static size_t chars(const char *p, size_t n)
{
    return utf8_count((const uint8_t *)p, n);
}

/* By falling score, then the longer left part, then the longer right part. */
static int by_score(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    const size_t p = chars(x->piece->text, x->left), q = chars(y->piece->text, y->left);
    const size_t r = chars(x->piece->text + x->left, x->right);
    const size_t s = chars(y->piece->text + y->left, y->right);

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    if (p != q)
        return p < q ? 1 : -1;
    if (r != s)
        return r < s ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Every way to make a piece of two others. */
static int find_merges(struct writer *w, struct merge **list, size_t *n)
{
    size_t cap = 0;

    for (size_t i = 0; i < w->m->n; i++) {
        const struct sp_piece *p = &w->m->piece[i];

        for (uint32_t at = 1; at < p->n; at++) {
            if (((uint8_t)p->text[at] & 0xc0) == 0x80 ||
                vocabmap_id(&w->ids, p->text, at) < 0 ||
                vocabmap_id(&w->ids, p->text + at, p->n - at) < 0)
                continue;
            if (mem_grow(list, &cap, *n + 1, sizeof **list, w->e))
                return -1;
            (*list)[*n] = (struct merge){p->score, at, p->n - at, (uint32_t)*n, p};
            (*n)++;
        }
    }
    return 0;
}

static int put_merges(struct writer *w)
{
    struct merge *list = NULL;
    size_t n = 0;
    int rc = find_merges(w, &list, &n) || put(w, ",\"merges\":[") ? -1 : 0;

    if (n)
        qsort(list, n, sizeof *list, by_score);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct merge *x = &list[i];

        rc = put(w, i ? ",[" : "[") || put_string(w, x->piece->text, x->left) || put(w, ",") ||
             put_string(w, x->piece->text + x->left, x->right) || put(w, "]");
    }
    free(list);
    return rc || put(w, "]") ? -1 : 0;
}

static int put_model(struct writer *w)
{
    const struct sp_piece *unk = &w->m->piece[w->m->unk];

    if (w->m->kind != SP_BPE) {
        const uint64_t id = w->layout->unk < 0 ? w->m->unk : (uint64_t)w->layout->unk;

        return put(w, "\"model\":{\"type\":\"Unigram\",\"byte_fallback\":false,\"vocab\":[") ||
                       put_pieces(w) ||
                       buf_addf(w->out, w->e, "],\"unk_id\":%llu}", (unsigned long long)id)
                   ? -1
                   : 0;
    }
    return put(w, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"fuse_unk\":true,"
                  "\"byte_fallback\":false,\"continuing_subword_prefix\":null,"
                  "\"end_of_word_suffix\":null,\"unk_token\":") ||
                   put_string(w, unk->text, unk->n) || put(w, ",\"vocab\":{") || put_pieces(w) ||
                   put(w, "}") || put_merges(w) || put(w, "}")
               ? -1
               : 0;
}

/* ---- around the model ---- */

/* The one behind the last member of a list. */
static void drop_comma(struct writer *w)
{
    if (w->out->data[w->out->len - 1] == ',')
        w->out->len--;
}

static int put_added_one(struct writer *w, const char *text, size_t n, bool special)
{
    int64_t id = vocabmap_id(&w->ids, text, n);

    if (id < 0) /* skipped by the family: the next one that is free */
        id = (int64_t)w->n++;
    return put(w, "{\"content\":") || put_string(w, text, n) ||
                   buf_addf(w->out, w->e,
                            ",\"id\":%lld,\"special\":%s,\"normalized\":false,"
                            "\"lstrip\":false,\"rstrip\":false,\"single_word\":false},",
                            (long long)id, special ? "true" : "false")
               ? -1
               : 0;
}

static int put_added(struct writer *w)
{
    char text[SENTINEL];

    if (put(w, ",\"added_tokens\":["))
        return -1;
    for (size_t i = 0; i < w->m->n; i++) {
        const struct sp_piece *p = &w->m->piece[i];

        if ((p->type == SP_CONTROL || p->type == SP_USER) &&
            put_added_one(w, p->text, p->n, p->type == SP_CONTROL))
            return -1;
    }
    for (int64_t i = 0; w->s->family == SPM_T5 && i < w->s->extra_ids; i++)
        if (put_added_one(w, text, sentinel(text, i), true))
            return -1;
    drop_comma(w);
    return put(w, "]");
}

static int put_charsmap(struct writer *w)
{
    if (!w->m->charsmap)
        return 0;
    return put(w, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"") ||
                   put_base64(w, (const uint8_t *)w->m->charsmap, w->m->n_charsmap) ||
                   put(w, "\"},")
               ? -1
               : 0;
}

static const char quotes[] =
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"``\"},\"content\":\"\\\"\"},"
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"''\"},\"content\":\"\\\"\"},";
static const char unaccent[] = "{\"type\":\"NFKD\"},{\"type\":\"StripAccents\"},";
static const char lowercase[] = "{\"type\":\"Lowercase\"},";
static const char one_blank[] =
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"},";
static const char strip_both[] =
    "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},";
static const char usual[] =
    "{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true},"
    "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\"" BLANK "\"},";

static int put_normalizer(struct writer *w)
{
    const struct spm_settings *s = w->s;
    int rc = put(w, ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");

    if (rc == 0 && (s->family == SPM_ALBERT || s->family == SPM_REMBERT))
        rc = put(w, quotes) || (s->family == SPM_REMBERT && put(w, one_blank)) ||
             (!s->keep_accents && put(w, unaccent)) || (s->lower && put(w, lowercase)) ||
             put_charsmap(w);
    else if (rc == 0 && s->family == SPM_DEBERTA)
        rc = (s->lower && put(w, lowercase)) || put(w, strip_both) || put_charsmap(w) ||
             put(w, one_blank);
    else if (rc == 0)
        rc = put_charsmap(w) || (!w->layout->words && put(w, usual));
    if (rc)
        return -1;
    drop_comma(w);
    return put(w, "]}");
}

static const char metaspace[] = "{\"type\":\"Metaspace\",\"replacement\":\"" BLANK
                                "\",\"prepend_scheme\":\"always\",\"split\":true}";

static int put_cutting(struct writer *w)
{
    const bool punct = w->s->family == SPM_DEBERTA && w->s->split_punct;

    return put(w, ",\"decoder\":") || put(w, metaspace) ||
                   put(w, ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[") ||
                   (w->layout->words && put(w, "{\"type\":\"WhitespaceSplit\"},")) ||
                   (punct && put(w, "{\"type\":\"Punctuation\",\"behavior\":\"Isolated\"},")) ||
                   put(w, metaspace) || put(w, "]}")
               ? -1
               : 0;
}

static int put_special(struct writer *w, const char *token, int type)
{
    return token ? buf_addf(w->out, w->e, "{\"SpecialToken\":{\"id\":\"%s\",\"type_id\":%d}},",
                            token, type)
                 : 0;
}

static int put_segment(struct writer *w, char segment, int type)
{
    return buf_addf(w->out, w->e, "{\"Sequence\":{\"id\":\"%c\",\"type_id\":%d}},", segment,
                    type);
}

static int put_ids(struct writer *w, const char *token, const char *behind)
{
    const int64_t id = vocabmap_id(&w->ids, token, strlen(token));

    if (id < 0)
        return err_set(w->e, ERR_DATA, "'%s' has no piece '%s'", w->name, token);
    return buf_addf(w->out, w->e, "\"%s\":{\"id\":\"%s\",\"ids\":[%lld],\"tokens\":[\"%s\"]}%s",
                    token, token, (long long)id, token, behind);
}

static int put_template(struct writer *w)
{
    const struct layout *l = w->layout;
    const int second = l->second_type;

    if (put(w, ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[") ||
        put_special(w, l->cls, 0) || put_segment(w, 'A', 0) || put_special(w, l->sep, 0))
        return -1;
    drop_comma(w);
    if (put(w, "],\"pair\":[") || put_special(w, l->cls, 0) || put_segment(w, 'A', 0) ||
        put_special(w, l->sep, 0) || (l->two_seps && put_special(w, l->sep, 0)) ||
        put_segment(w, 'B', second) || put_special(w, l->sep, second))
        return -1;
    drop_comma(w);
    return put(w, "],\"special_tokens\":{") || (l->cls && put_ids(w, l->cls, ",")) ||
                   put_ids(w, l->sep, "}}")
               ? -1
               : 0;
}

static int check(const struct writer *w)
{
    if (w->m->kind != SP_UNIGRAM && w->m->kind != SP_BPE)
        return bad(w, "a SentencePiece model that is neither Unigram nor BPE is not implemented");
    if (!w->m->dummy_prefix || !w->m->escape || w->m->suffix)
        return bad(w, "a SentencePiece model with other blanks than '" BLANK
                      "' before every word is not implemented");
    if (w->m->n < w->layout->skipped)
        return bad(w, "the SentencePiece model has too few pieces");
    return 0;
}

int spm_json(const struct sp_model *m, const char *name, const struct spm_settings *s,
             struct buf *out, struct err *e)
{
    struct writer w = {.m = m, .s = s, .layout = &layouts[s->family], .name = name, .out = out,
                       .e = e};
    const int rc = check(&w) || vocabmap_reserve(&w.ids, m->n, e) ||
                   put(&w, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,") ||
                   put_model(&w) || put_normalizer(&w) || put_cutting(&w) || put_template(&w) ||
                   put_added(&w) || put(&w, "}");

    vocabmap_free(&w.ids);
    return rc ? -1 : 0;
}
