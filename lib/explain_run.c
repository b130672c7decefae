/* SPDX-License-Identifier: MIT */
#include "explain.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

/* What every text of a job is explained with. */
struct run {
    struct explain_print print;
    const struct io_out *to;
    const struct cleaner *clean;
    struct clean_scratch scratch;
    struct explainer *explainer;
    struct explanation a, b;
    struct buf out;
};

static int run_begin(struct run *r, const struct tokenizer *t, const struct explain_options *o,
                     const struct io_out *out, struct err *e)
{
    *r = (struct run){.print = {t, screen_of(out->fd), o->max_len}, .to = out, .clean = o->clean,
                      .explainer = explainer_new(t, e)};
    if (!r->explainer)
        return -1;
    explainer_specials_in_text(r->explainer, !o->no_specials_in_text);
    return 0;
}

static void run_end(struct run *r)
{
    clean_scratch_free(&r->scratch);
    explainer_free(r->explainer);
    explanation_free(&r->a);
    explanation_free(&r->b);
    buf_free(&r->out);
}

/* One record is one write, so that who watches sees it at once. */
static int run_record(struct run *r, const struct record *in, struct err *e)
{
    char number[24];
    const int len = snprintf(number, sizeof number, "%llu", (unsigned long long)in->number);

    buf_reset(&r->out);
    if (explain(r->explainer, in->text, in->text_len, &r->a, e) ||
        (in->pair && explain(r->explainer, in->pair, in->pair_len, &r->b, e)) ||
        explain_print(&r->print, in->key ? in->key : number,
                      in->key ? in->key_len : (size_t)len, &r->a, in->pair ? &r->b : NULL,
                      &r->out, e))
        return -1;
    return io_write_full(r->to->fd, r->out.data, r->out.len, r->to->name, e);
}

int explain_texts(char *const *texts, int n, const struct tokenizer *t,
                  const struct explain_options *o, const struct io_out *out, struct err *e)
{
    struct buf text = {0};
    struct run r;
    int rc = run_begin(&r, t, o, out, e);

    for (int i = 0; rc == 0 && i < n; i++) {
        struct record one = {.number = (uint64_t)i + 1};

        buf_reset(&text);
        rc = buf_puts(&text, "", e) ||
                     utf8_lossy((const uint8_t *)texts[i], strlen(texts[i]), &text, e)
                 ? -1
                 : 0;
        one.text = text.data;
        one.text_len = text.len;
        if (rc == 0 && r.clean)
            rc = clean_text(r.clean, &r.scratch, text.data, text.len, &one.text, &one.text_len, e);
        rc = rc || run_record(&r, &one, e) ? -1 : 0;
    }
    run_end(&r);
    buf_free(&text);
    return rc;
}

int explain_records(struct records *in, const struct tokenizer *t,
                    const struct explain_options *o, const struct io_out *out, struct err *e)
{
    struct record_chunk chunk = {0};
    struct clean_counts counts = {0};
    struct run r;
    int got = run_begin(&r, t, o, out, e) ? -1 : 1;

    while (got > 0 && (got = records_next_chunk(in, &chunk, e)) > 0) {
        if (r.clean && clean_chunk(r.clean, &r.scratch, &chunk, &counts, e))
            got = -1;
        for (size_t i = 0; i < chunk.n && got > 0; i++)
            if (run_record(&r, &chunk.at[i], e))
                got = -1;
    }
    run_end(&r);
    record_chunk_free(&chunk);
    return got;
}
