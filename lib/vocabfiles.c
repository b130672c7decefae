/* SPDX-License-Identifier: MIT */
/*
 * The files of a tokenizer as Hugging Face spells them.  tokenizer.json is written last: a
 * directory that has it is complete.
 */
#include "io.h"
#include "jsontext.h"
#include "spmwrite.h"
#include "vocabjson.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 8 };

struct files {
    const char *dir;
    char *made[MAX_FILES]; /* paths of the files that are there already */
    int n;
    bool made_dir;
};

static int put_file(struct files *f, const char *name, const char *text, size_t n,
                    struct err *e)
{
    char *path = io_join(f->dir, name, e);

    if (!path || io_put_file(path, text, n, e)) {
        free(path);
        return -1;
    }
    f->made[f->n++] = path;
    return 0;
}

static int put_json(struct files *f, const char *name, json_t *json, size_t flags,
                    struct err *e)
{
    char *text = json ? jsontext_dump(json, flags) : NULL;
    int rc = -1;

    if (!text || errno == ENOMEM) /* without memory, members are left out */
        err_oom(e, name, 0);
    else
        rc = put_file(f, name, text, strlen(text), e);
    free(text);
    json_decref(json);
    return rc;
}

static void undo(struct files *f, bool failed)
{
    for (int i = 0; i < f->n; i++) {
        if (failed)
            unlink(f->made[i]);
        free(f->made[i]);
    }
    if (failed && f->made_dir)
        rmdir(f->dir);
}

static int put_vocab_txt(struct files *f, const struct vocablist *v, struct err *e)
{
    struct buf text = {0};
    int rc = 0;

    for (size_t i = 0; i < v->n && rc == 0; i++)
        rc = buf_puts(&text, v->token[i], e) || buf_putc(&text, '\n', e) ? -1 : 0;
    if (rc == 0)
        rc = put_file(f, "vocab.txt", text.data, text.len, e);
    buf_free(&text);
    return rc;
}

static int put_merges_txt(struct files *f, const struct vocablist *v, struct err *e)
{
    struct buf text = {0};
    int rc = buf_puts(&text, "#version: 0.2\n", e);

    for (size_t i = 0; i < v->n_merges && rc == 0; i++)
        rc = buf_addf(&text, e, "%s %s\n", v->token[v->merge[i].a], v->token[v->merge[i].b]);
    if (rc == 0)
        rc = put_file(f, "merges.txt", text.data, text.len, e);
    buf_free(&text);
    return rc;
}

static int put_spiece(struct files *f, const struct vocablist *v, struct err *e)
{
    struct buf bytes = {0};
    int n, rc;

    (void)vocab_specials(VOCAB_UNIGRAM, &n);
    rc = spm_write(v, n, &bytes, e);
    if (rc == 0)
        rc = put_file(f, "spiece.model", bytes.data, bytes.len, e);
    buf_free(&bytes);
    return rc;
}

int vocab_writable(const char *dir, bool force, struct err *e)
{
    char *path = io_join(dir, "tokenizer.json", e);
    const bool there = path && io_exists(path);

    if (!path)
        return -1;
    free(path);
    if (there && !force)
        return err_set(e, ERR_CREATE, "'%s' has a tokenizer already; give -f to replace it, or "
                       "another -o", dir);
    if (io_exists(dir) && !io_is_dir(dir))
        return err_set(e, ERR_CREATE, "'%s' is there and is no directory", dir);
    return 0;
}

static int put_vocab(struct files *f, const struct vocab_options *o, const struct vocablist *v,
                     struct err *e)
{
    struct buf text = {0};
    int rc;

    if (o->kind == VOCAB_UNIGRAM)
        return put_spiece(f, v, e);
    if (o->kind != VOCAB_BPE)
        return put_vocab_txt(f, v, e);
    rc = vocabjson_ids(v, &text, e);
    if (rc == 0)
        rc = put_file(f, "vocab.json", text.data, text.len, e);
    buf_free(&text);
    return rc ? rc : put_merges_txt(f, v, e);
}

static int put_all(struct files *f, const struct vocab_options *o, const struct vocablist *v,
                   struct err *e)
{
    const size_t pretty = JSON_INDENT(2) | JSON_SORT_KEYS;
    struct buf text = {0};
    int rc;

    errno = 0; /* for put_json */
    if (put_vocab(f, o, v, e) ||
        put_json(f, "special_tokens_map.json", vocabjson_specials(o->kind), pretty, e) ||
        put_json(f, "tokenizer_config.json", vocabjson_config(o), pretty, e))
        return -1;
    rc = vocabjson_tokenizer(o, v, &text, e);
    if (rc == 0)
        rc = put_file(f, "tokenizer.json", text.data, text.len, e);
    buf_free(&text);
    return rc;
}

int vocab_write(const char *dir, const struct vocab_options *o, const struct vocablist *v,
                bool force, struct err *e)
{
    struct files f = {.dir = dir};
    int rc;

    if (vocab_writable(dir, force, e))
        return -1;
    f.made_dir = mkdir(dir, 0777) == 0;
    if (!f.made_dir && errno != EEXIST)
        return err_sys(e, ERR_CREATE, "cannot create directory '%s'", dir);
    rc = put_all(&f, o, v, e);
    undo(&f, rc != 0);
    return rc;
}
