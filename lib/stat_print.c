/* SPDX-License-Identifier: MIT */
#include "jsontext.h"
#include "stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_SHOWN = 40, WORDS_SHOWN = 20, LABEL_BYTES = 60 };

typedef unsigned long long ull;

/* ---- labels ---- */

struct label_row {
    const char *text;
    size_t len;
    uint64_t count;
};

/* Labels, or the names that are joined in them by commas. */
struct label_rows {
    struct label_row *at;
    size_t n;
    struct intern names;
    uint64_t *count;
};

static void free_rows(struct label_rows *rows)
{
    free(rows->at);
    free(rows->count);
    intern_free(&rows->names);
    *rows = (struct label_rows){0};
}

static int by_bytes(const void *a, const void *b)
{
    const struct label_row *x = a, *y = b;
    const size_t n = x->len < y->len ? x->len : y->len;
    const int c = n ? memcmp(x->text, y->text, n) : 0;

    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static int by_count(const void *a, const void *b)
{
    const struct label_row *x = a, *y = b;

    return x->count != y->count ? (x->count < y->count ? 1 : -1) : by_bytes(a, b);
}

static int list_rows(struct label_rows *rows, const struct intern *names, const uint64_t *count,
                     struct err *e)
{
    rows->n = names->n;
    rows->at = mem_alloc(names->n, sizeof *rows->at, "labels", e);
    for (size_t i = 0; rows->at && i < names->n; i++) {
        rows->at[i].text = intern_get(names, i, &rows->at[i].len);
        rows->at[i].count = count[i];
    }
    return rows->at ? 0 : -1;
}

/* The names of labels that are several joined by commas; none when no label has a comma. */
static int split_names(const struct stream_stat *s, struct label_rows *rows, struct err *e)
{
    size_t cap = 0;

    if (s->labels.text.len == 0 || !memchr(s->labels.text.data, ',', s->labels.text.len))
        return 0;
    for (size_t i = 0; i < s->labels.n; i++) {
        size_t len;
        const char *text = intern_get(&s->labels, i, &len), *end = text + len;

        while (text < end) {
            const char *comma = memchr(text, ',', (size_t)(end - text));
            const size_t n = (size_t)((comma ? comma : end) - text), before = rows->names.n;
            const int64_t at = intern_add(&rows->names, text, n, e);

            if (at < 0 ||
                mem_grow(&rows->count, &cap, rows->names.n, sizeof *rows->count, e))
                return -1;
            if (rows->names.n > before)
                rows->count[at] = 0;
            rows->count[at] += s->label_count[i];
            text += n + 1;
        }
    }
    return list_rows(rows, &rows->names, rows->count, e);
}

/* A label or word on one line of a terminal: control characters become '?'. */
static int put_name(struct buf *out, const char *text, size_t n, struct err *e)
{
    const size_t from = out->len;
    size_t shown = n;

    if (n > LABEL_BYTES)
        for (shown = LABEL_BYTES; shown > 0 && ((uint8_t)text[shown] & 0xc0) == 0x80;)
            shown--;
    if (buf_add(out, text, shown, e) || (shown < n && buf_puts(out, "...", e)))
        return -1;
    for (size_t i = from; i < out->len; i++)
        if ((unsigned char)out->data[i] < 32 || out->data[i] == 127)
            out->data[i] = '?';
    return 0;
}

static int count_line(const struct stream_stat *s, uint64_t count, struct buf *out,
                      struct err *e)
{
    return buf_addf(out, e, "  %10llu  %5.1f %%  ", (ull)count,
                    lengths_percent(count, s->records));
}

/* Few rows by their bytes, of many the most frequent. */
static int put_rows(const struct stream_stat *s, const char *title, struct label_rows *rows,
                    struct buf *out, struct err *e)
{
    const size_t shown = rows->n < LABELS_SHOWN ? rows->n : LABELS_SHOWN;

    if (rows->n)
        qsort(rows->at, rows->n, sizeof *rows->at, rows->n > shown ? by_count : by_bytes);
    if (buf_addf(out, e, "%-11s %zu\n", title, rows->n))
        return -1;
    for (size_t i = 0; i < shown; i++)
        if (count_line(s, rows->at[i].count, out, e) ||
            put_name(out, rows->at[i].text, rows->at[i].len, e) || buf_putc(out, '\n', e))
            return -1;
    return rows->n > shown ? buf_addf(out, e, "  ... and %zu more\n", rows->n - shown) : 0;
}

/* Numbers, as for regression: their range and mean.  False where a label is none. */
static bool all_numbers(const struct label_rows *rows, double *low, double *high, double *mean)
{
    double sum = 0, n = 0;

    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < rows->n; i++) {
        const size_t len = rows->at[i].len;
        char text[64], *end;
        double x;

        if (len == 0 || len >= sizeof text)
            return false;
        memcpy(text, rows->at[i].text, len);
        text[len] = '\0';
        x = strtod(text, &end);
        if (end != text + len || !isfinite(x))
            return false;
        *low = x < *low ? x : *low;
        *high = x > *high ? x : *high;
        sum += x * (double)rows->at[i].count;
        n += (double)rows->at[i].count;
    }
    *mean = n > 0 ? sum / n : 0;
    return rows->n > 0;
}

static int put_labels(const struct stream_stat *s, struct label_rows *rows,
                      struct label_rows *names, struct buf *out, struct err *e)
{
    double low, high, mean;

    if (rows->n > LABELS_SHOWN && all_numbers(rows, &low, &high, &mean)) {
        if (buf_addf(out, e, "labels      %zu different numbers from %g to %g, mean %g\n",
                     rows->n, low, high, mean))
            return -1;
    } else if (put_rows(s, "labels", rows, out, e)) {
        return -1;
    }
    if (s->other_labels && (count_line(s, s->other_labels, out, e) ||
                            buf_addf(out, e, "(labels after the first %zu)\n", rows->n)))
        return -1;
    if (s->unlabelled &&
        (count_line(s, s->unlabelled, out, e) || buf_puts(out, "(no label)\n", e)))
        return -1;
    return names->n ? put_rows(s, "names", names, out, e) : 0;
}

static int label_table(const struct stream_stat *s, struct buf *out, struct err *e)
{
    struct label_rows rows = {0}, names = {0};
    const int rc = list_rows(&rows, &s->labels, s->label_count, e) ||
                           split_names(s, &names, e) || put_labels(s, &rows, &names, out, e)
                       ? -1
                       : 0;

    free_rows(&rows);
    free_rows(&names);
    return rc;
}

/* ---- the table ---- */

static int put_words(const struct stream_stat *s, struct buf *out, struct err *e)
{
    struct topword top[WORDS_SHOWN];
    const size_t n = s->unknown ? topwords_get(s->unknown, top, WORDS_SHOWN) : 0;

    for (size_t i = 0; i < n; i++)
        if (buf_addf(out, e, "  %s%9llu  ", top[i].error ? "~" : " ", (ull)top[i].count) ||
            put_name(out, top[i].text, strlen(top[i].text), e) || buf_putc(out, '\n', e))
            return -1;
    return 0;
}

/* Whether copies of later texts may have been missed. */
static bool is_full(const struct stream_stat *s)
{
    return s->most_texts && s->seen.n >= s->most_texts;
}

static int put_doubts(const struct stream_stat *s, struct buf *out, struct err *e)
{
    if (buf_addf(out, e, "duplicates  %llu (%llu of them with another label)%s\n",
                 (ull)s->copies, (ull)s->contradictions,
                 is_full(s) ? ", at least" : "") ||
        buf_addf(out, e, "unknown     %llu tokens, %.3f %%\n", (ull)s->unk,
                 lengths_percent(s->unk, s->tokens)) ||
        put_words(s, out, e) ||
        (s->specials && buf_addf(out, e, "specials    %llu tokens of texts are special ones\n",
                                 (ull)s->specials)))
        return -1;
    return buf_addf(out, e, "replaced    %llu sequences of invalid UTF-8\n",
                    (ull)s->invalid_utf8);
}

static int put_stream(const struct toks_totals *t, struct buf *out, struct err *e)
{
    return buf_addf(out, e, "content     %s\nblocks      %llu in %llu segment%s\n", t->content,
                    (ull)t->blocks, (ull)t->segments, t->segments == 1 ? "" : "s");
}

int stat_table(const struct stream_stat *s, const struct toks_header *h,
               const struct toks_totals *t, const struct screen *screen, struct buf *out,
               struct err *e)
{
    if (buf_addf(out, e, "records     %llu\ntokens      %llu\n", (ull)s->records,
                 (ull)s->tokens) ||
        (t && put_stream(t, out, e)) ||
        buf_addf(out, e, "tokenizer   %s %s (%s), %u tokens\n",
                 h->tok_kind ? h->tok_kind : "?", h->tok_name ? h->tok_name : "?",
                 h->tok_hash, h->vocab_size) ||
        (s->pairs && buf_addf(out, e, "pairs       %llu\n", (ull)s->pairs)) ||
        (s->empty && buf_addf(out, e, "empty       %llu records without a token\n",
                              (ull)s->empty)) ||
        label_table(s, out, e) || lengths_print(&s->lengths, out, e))
        return -1;
    if (s->longest && (buf_puts(out, "longest     record ", e) ||
                       put_name(out, s->longest, strlen(s->longest), e) ||
                       buf_putc(out, '\n', e)))
        return -1;
    return lengths_bars(&s->lengths, screen, out, e) || put_doubts(s, out, e) ? -1 : 0;
}

/* ---- JSON ---- */

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
    struct label_rows rows = {0};
    json_t *o = json_object();
    int bad = !o || list_rows(&rows, &s->labels, s->label_count, e);

    if (!bad && rows.n)
        qsort(rows.at, rows.n, sizeof *rows.at, by_bytes);
    for (size_t i = 0; !bad && i < rows.n; i++)
        bad = set_label(o, &rows.at[i], e);
    free_rows(&rows);
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

/* Appends a value to a list and takes it over; NULL when there is no memory. */
static json_t *append(json_t *list, json_t *value)
{
    if (list && json_array_append_new(list, value) == 0)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *limits_array(const struct lengths *l)
{
    json_t *list = json_array();

    for (int i = 0; list && i < LENGTH_LIMITS; i++) {
        const struct lengths_cut cut = lengths_cut(l, length_limits[i]);

        list = append(list, json_pack("{s:i,s:I,s:I}", "limit", (int)length_limits[i],
                                      "records", (json_int_t)cut.inputs, "tokens",
                                      (json_int_t)cut.tokens));
    }
    return list;
}

/* [lowest length, records] of each bin that is not empty. */
static json_t *histogram_array(const struct lengths *l)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < LENGTH_BINS; i++)
        if (l->bin[i])
            list = append(list, json_pack("[I,I]", (json_int_t)lengths_from(i),
                                          (json_int_t)l->bin[i]));
    return list;
}

static json_t *words_array(const struct topwords *words)
{
    struct topword top[WORDS_SHOWN];
    const size_t n = topwords_get(words, top, WORDS_SHOWN);
    json_t *list = json_array();

    for (size_t i = 0; list && i < n; i++)
        list = append(list, json_pack("{s:s,s:I,s:I}", "word", top[i].text, "count",
                                      (json_int_t)top[i].count, "error",
                                      (json_int_t)top[i].error));
    return list;
}

static json_t *length_object(const struct stream_stat *s)
{
    const struct lengths *l = &s->lengths;

    return json_pack("{s:f,s:I,s:I,s:I,s:I,s:I,s:s?}", "mean", lengths_mean(l), "median",
                     (json_int_t)lengths_quantile(l, 0.5), "p90",
                     (json_int_t)lengths_quantile(l, 0.9), "p95",
                     (json_int_t)lengths_quantile(l, 0.95), "p99",
                     (json_int_t)lengths_quantile(l, 0.99), "max", (json_int_t)l->longest,
                     "longest", s->longest);
}

static json_t *tokenizer_object(const struct toks_header *h)
{
    return json_pack("{s:s?,s:s?,s:s,s:I}", "kind", h->tok_kind, "name", h->tok_name, "xxh128",
                     h->tok_hash, "vocab_size", (json_int_t)h->vocab_size);
}

/* Adds a member; `value` is taken over.  -1 when there is no memory for it. */
static int set(json_t *o, const char *name, json_t *value)
{
    return json_object_set_new(o, name, value);
}

static int set_counts(json_t *o, const struct stream_stat *s, struct err *e)
{
    uint64_t all;
    const uint32_t limit = lengths_advice(&s->lengths, &all);

    return set(o, "labels", labels_object(s, e)) ||
                   (s->other_labels &&
                    set(o, "other_labels", json_integer((json_int_t)s->other_labels))) ||
                   set(o, "unlabelled", json_integer((json_int_t)s->unlabelled)) ||
                   set(o, "pairs", json_integer((json_int_t)s->pairs)) ||
                   set(o, "empty", json_integer((json_int_t)s->empty)) ||
                   set(o, "length", length_object(s)) ||
                   set(o, "limits", limits_array(&s->lengths)) ||
                   set(o, "advice", json_pack("{s:I,s:I}", "max_len", (json_int_t)limit,
                                              "cuts_nothing", (json_int_t)all)) ||
                   set(o, "histogram", histogram_array(&s->lengths)) ||
                   set(o, "duplicates", json_integer((json_int_t)s->copies)) ||
                   set(o, "contradictions", json_integer((json_int_t)s->contradictions)) ||
                   (is_full(s) && set(o, "texts_compared", json_integer((json_int_t)s->seen.n))) ||
                   set(o, "unk", json_integer((json_int_t)s->unk)) ||
                   (s->unknown && set(o, "unknown_words", words_array(s->unknown))) ||
                   set(o, "specials", json_integer((json_int_t)s->specials)) ||
                   set(o, "invalid_utf8", json_integer((json_int_t)s->invalid_utf8))
               ? -1
               : 0;
}

int stat_json(const struct stream_stat *s, const struct toks_header *h,
              const struct toks_totals *t, struct buf *out, struct err *e)
{
    json_t *o = json_pack("{s:I,s:I}", "records", (json_int_t)s->records, "tokens",
                          (json_int_t)s->tokens);
    char *text = NULL;
    int rc = -1;

    if (o && !(t && (set(o, "blocks", json_integer((json_int_t)t->blocks)) ||
                     set(o, "segments", json_integer((json_int_t)t->segments)) ||
                     set(o, "content", json_string(t->content)))) &&
        !set(o, "tokenizer", tokenizer_object(h)) && !set_counts(o, s, e))
        text = jsontext_dump(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text)
        rc = buf_puts(out, text, e) || buf_putc(out, '\n', e) ? -1 : 0;
    else
        err_oom(e, "JSON", 0);
    free(text);
    json_decref(o);
    return rc;
}
