/* SPDX-License-Identifier: MIT */
#include "stat.h"
#include "jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

const int stat_limits[STAT_LIMITS] = {32, 64, 128, 256, 384, 512};

enum { LABELS_SHOWN = 40 };

void stat_free(struct stream_stat *s)
{
    intern_free(&s->labels);
    free(s->label_count);
    free(s->by_length);
    seen_free(&s->seen);
    *s = (struct stream_stat){0};
}

static int add_label(struct stream_stat *s, const struct toks_record *r, uint64_t *label,
                     struct err *e)
{
    const size_t before = s->labels.n;
    int64_t i;

    *label = UINT64_MAX;
    if (!r->label) {
        s->unlabelled++;
        return 0;
    }
    i = intern_add(&s->labels, r->label, r->label_len, e);
    if (i < 0 ||
        mem_grow(&s->label_count, &s->label_cap, s->labels.n, sizeof *s->label_count, e))
        return -1;
    if (s->labels.n > before)
        s->label_count[i] = 0;
    s->label_count[i]++;
    *label = (uint64_t)i;
    return 0;
}

static int add_length(struct stream_stat *s, size_t n, int specials, struct err *e)
{
    const size_t whole = n + (size_t)specials;

    if (mem_grow(&s->by_length, &s->length_cap, whole + 1, sizeof *s->by_length, e))
        return -1;
    while (s->n_lengths <= whole)
        s->by_length[s->n_lengths++] = 0;
    s->by_length[whole]++;
    for (int i = 0; i < STAT_LIMITS; i++) {
        const size_t limit = (size_t)stat_limits[i];

        if (whole <= limit)
            continue;
        s->cut_records[i]++;
        s->cut_tokens[i] += whole - limit < n ? whole - limit : n;
    }
    return 0;
}

static uint64_t count_unk(int32_t unk, const uint32_t *ids, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ids[i] == (uint32_t)unk;
    return unk < 0 ? 0 : sum;
}

int stat_add(struct stream_stat *s, const struct toks_header *h,
             const struct toks_block *b, struct err *e)
{
    const int specials[2] = {template_specials(&h->template, 0),
                             template_specials(&h->template, 1)};

    for (size_t i = 0; i < toks_block_records(b); i++) {
        struct toks_record r;
        uint64_t label, first;
        int copy;

        toks_get(b, i, &r);
        if (add_label(s, &r, &label, e) ||
            add_length(s, r.n_a + r.n_b, specials[r.b != NULL], e))
            return -1;
        first = label;
        copy = seen_add(&s->seen, &r, &first, e);
        if (copy < 0)
            return -1;
        s->copies += copy == 1;
        s->contradictions += copy == 1 && first != label;
        s->records++;
        s->tokens += r.n_a + r.n_b;
        s->pairs += r.b != NULL;
        s->weighted += r.weight != 1;
        s->unk += count_unk(h->template.unk, r.a, r.n_a) +
                  count_unk(h->template.unk, r.b, r.n_b);
    }
    return 0;
}

/* The length that a share q of the records does not exceed (nearest rank). */
static size_t quantile(const struct stream_stat *s, double q)
{
    const double want = q * (double)s->records;
    uint64_t sum = 0;

    for (size_t n = 0; n < s->n_lengths; n++) {
        sum += s->by_length[n];
        if (sum > 0 && (double)sum >= want)
            return n;
    }
    return 0;
}

static double mean_length(const struct stream_stat *s)
{
    double sum = 0;

    for (size_t n = 0; n < s->n_lengths; n++)
        sum += (double)n * (double)s->by_length[n];
    return s->records ? sum / (double)s->records : 0;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

struct label_row {
    const char *text;
    size_t len;
    uint64_t count;
};

static int by_bytes(const void *a, const void *b)
{
    const struct label_row *x = a, *y = b;
    const int c = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* The labels in the order of their bytes; malloc'd. */
static struct label_row *sorted_labels(const struct stream_stat *s, struct err *e)
{
    struct label_row *rows = mem_alloc(s->labels.n, sizeof *rows, "labels", e);

    for (size_t i = 0; rows && i < s->labels.n; i++) {
        rows[i].text = intern_get(&s->labels, i, &rows[i].len);
        rows[i].count = s->label_count[i];
    }
    if (rows && s->labels.n)
        qsort(rows, s->labels.n, sizeof *rows, by_bytes);
    return rows;
}

/* A label on one line of a terminal: control characters become '?'. */
static int put_label(struct buf *out, const char *text, size_t n, struct err *e)
{
    const size_t from = out->len, shown = n > 60 ? 60 : n;

    if (buf_add(out, text, shown, e) || (shown < n && buf_puts(out, "...", e)))
        return -1;
    for (size_t i = from; i < out->len; i++)
        if ((unsigned char)out->data[i] < 32 || out->data[i] == 127)
            out->data[i] = '?';
    return 0;
}

static int label_table(const struct stream_stat *s, struct buf *out, struct err *e)
{
    struct label_row *rows = sorted_labels(s, e);
    int bad = !rows || buf_addf(out, e, "labels      %zu\n", s->labels.n);

    for (size_t i = 0; !bad && i < s->labels.n && i < LABELS_SHOWN; i++)
        bad = buf_addf(out, e, "  %10llu  %5.1f %%  ", (unsigned long long)rows[i].count,
                       percent(rows[i].count, s->records)) ||
              put_label(out, rows[i].text, rows[i].len, e) || buf_putc(out, '\n', e);
    if (!bad && s->labels.n > LABELS_SHOWN)
        bad = buf_addf(out, e, "  ... and %zu more\n", s->labels.n - LABELS_SHOWN);
    if (!bad && s->unlabelled)
        bad = buf_addf(out, e, "  %10llu  %5.1f %%  (no label)\n",
                       (unsigned long long)s->unlabelled,
                       percent(s->unlabelled, s->records));
    free(rows);
    return bad ? -1 : 0;
}

static int limit_table(const struct stream_stat *s, struct buf *out, struct err *e)
{
    if (buf_puts(out, "limit       records cut          tokens cut\n", e))
        return -1;
    for (int i = 0; i < STAT_LIMITS; i++)
        if (buf_addf(out, e, "  %4d  %10llu %6.2f %%  %10llu %6.2f %%\n", stat_limits[i],
                     (unsigned long long)s->cut_records[i],
                     percent(s->cut_records[i], s->records),
                     (unsigned long long)s->cut_tokens[i],
                     percent(s->cut_tokens[i], s->tokens)))
            return -1;
    return 0;
}

int stat_table(const struct stream_stat *s, const struct toks_header *h,
               const struct toks_totals *t, struct buf *out, struct err *e)
{
    if (buf_addf(out, e, "records     %llu\ntokens      %llu\n",
                 (unsigned long long)s->records, (unsigned long long)s->tokens) ||
        buf_addf(out, e, "content     %s\n", t->content) ||
        buf_addf(out, e, "blocks      %llu in %llu segment%s\n",
                 (unsigned long long)t->blocks, (unsigned long long)t->segments,
                 t->segments == 1 ? "" : "s") ||
        buf_addf(out, e, "tokenizer   %s %s (%s), %u tokens\n",
                 h->tok_kind ? h->tok_kind : "?", h->tok_name ? h->tok_name : "?",
                 h->tok_hash, h->vocab_size) ||
        (s->pairs &&
         buf_addf(out, e, "pairs       %llu\n", (unsigned long long)s->pairs)) ||
        label_table(s, out, e) ||
        buf_addf(out, e,
                 "length      mean %.1f, median %zu, 90 %% %zu, 99 %% %zu, longest %zu "
                 "(special tokens included)\n",
                 mean_length(s), quantile(s, 0.5), quantile(s, 0.9), quantile(s, 0.99),
                 quantile(s, 1)) ||
        limit_table(s, out, e) ||
        buf_addf(out, e, "duplicates  %llu (%llu of them with another label)\n",
                 (unsigned long long)s->copies, (unsigned long long)s->contradictions) ||
        buf_addf(out, e, "unknown     %llu tokens, %.3f %%\n", (unsigned long long)s->unk,
                 percent(s->unk, s->tokens)) ||
        buf_addf(out, e, "replaced    %llu sequences of invalid UTF-8\n",
                 (unsigned long long)t->invalid_utf8))
        return -1;
    return 0;
}

/* A JSON key cannot hold NUL in every version of the library; U+FFFD stands for it. */
static int set_label(json_t *o, const struct label_row *row, struct err *e)
{
    struct buf key = {0};
    int bad = buf_puts(&key, "", e);

    for (size_t i = 0; !bad && i < row->len; i++)
        bad = row->text[i] ? buf_putc(&key, row->text[i], e)
                           : buf_puts(&key, "\xEF\xBF\xBD", e);
    bad = bad || json_object_set_new(o, key.data, json_integer((json_int_t)row->count));
    buf_free(&key);
    return bad ? -1 : 0;
}

static json_t *labels_object(const struct stream_stat *s, struct err *e)
{
    struct label_row *rows = sorted_labels(s, e);
    json_t *o = json_object();
    int bad = !rows;

    for (size_t i = 0; !bad && i < s->labels.n; i++)
        bad = set_label(o, &rows[i], e);
    free(rows);
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *limits_array(const struct stream_stat *s)
{
    json_t *list = json_array();

    for (int i = 0; i < STAT_LIMITS; i++)
        if (json_array_append_new(list,
                                  json_pack("{s:i,s:I,s:I}", "limit", stat_limits[i],
                                            "records", (json_int_t)s->cut_records[i],
                                            "tokens", (json_int_t)s->cut_tokens[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

int stat_json(const struct stream_stat *s, const struct toks_header *h,
              const struct toks_totals *t, struct buf *out, struct err *e)
{
    json_t *labels = labels_object(s, e), *o = NULL;
    char *text = NULL;
    int rc = -1;

    if (labels)
        o = json_pack(
            "{s:I,s:I,s:I,s:I,s:s,s:{s:s?,s:s?,s:s,s:I},s:o,s:I,s:I,"
            "s:{s:f,s:I,s:I,s:I,s:I},s:o,s:I,s:I,s:I,s:I}",
            "records", (json_int_t)s->records, "tokens", (json_int_t)s->tokens, "blocks",
            (json_int_t)t->blocks, "segments", (json_int_t)t->segments, "content",
            t->content, "tokenizer", "kind", h->tok_kind, "name", h->tok_name, "xxh128",
            h->tok_hash, "vocab_size", (json_int_t)h->vocab_size, "labels", labels,
            "unlabelled", (json_int_t)s->unlabelled, "pairs", (json_int_t)s->pairs,
            "length", "mean", mean_length(s), "median", (json_int_t)quantile(s, 0.5),
            "p90", (json_int_t)quantile(s, 0.9), "p99", (json_int_t)quantile(s, 0.99),
            "max", (json_int_t)quantile(s, 1), "limits", limits_array(s), "duplicates",
            (json_int_t)s->copies, "contradictions", (json_int_t)s->contradictions, "unk",
            (json_int_t)s->unk, "invalid_utf8", (json_int_t)t->invalid_utf8);
    if (o)
        text = jsontext_dump(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text)
        rc = buf_puts(out, text, e) || buf_putc(out, '\n', e) ? -1 : 0;
    else
        err_oom(e, "JSON", 0);
    free(text);
    json_decref(o);
    return rc;
}
