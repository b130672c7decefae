/* SPDX-License-Identifier: MIT */
#include "modelpath.h"
#include "io.h"
#include "mem.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a name is short for; followed until there is nothing more. */
static const struct {
    const char *name, *means;
} aliases[] = {
    {"albert", "albert-base-v2"},
    {"albert-base-v2", "albert/albert-base-v2"},
    {"all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"},
    {"bert", "bert-base-uncased"},
    {"bert-base", "bert-base-uncased"},
    {"bert-base-cased", "google-bert/bert-base-cased"},
    {"bert-base-chinese", "google-bert/bert-base-chinese"},
    {"bert-base-multilingual-cased", "google-bert/bert-base-multilingual-cased"},
    {"bert-base-multilingual-uncased", "google-bert/bert-base-multilingual-uncased"},
    {"bert-base-uncased", "google-bert/bert-base-uncased"},
    {"bert-large", "bert-large-uncased"},
    {"bert-large-cased", "google-bert/bert-large-cased"},
    {"bert-large-uncased", "google-bert/bert-large-uncased"},
    {"deberta", "microsoft/deberta-base"},
    {"deberta-v3-base", "microsoft/deberta-v3-base"},
    {"distilbert", "distilbert-base-uncased"},
    {"distilbert-base-cased", "distilbert/distilbert-base-cased"},
    {"distilbert-base-uncased", "distilbert/distilbert-base-uncased"},
    {"distilroberta", "distilroberta-base"},
    {"distilroberta-base", "distilbert/distilroberta-base"},
    {"gpt2", "openai-community/gpt2"},
    {"minilm", "all-MiniLM-L6-v2"},
    {"modernbert", "ModernBERT-base"},
    {"ModernBERT-base", "answerdotai/ModernBERT-base"},
    {"roberta", "roberta-base"},
    {"roberta-base", "FacebookAI/roberta-base"},
    {"roberta-large", "FacebookAI/roberta-large"},
    {"xlm-roberta", "xlm-roberta-base"},
    {"xlm-roberta-base", "FacebookAI/xlm-roberta-base"},
    {"xlm-roberta-large", "FacebookAI/xlm-roberta-large"},
};

enum { MAX_NAMES = 8 };

struct search {
    struct buf tried; /* ", "-separated places for the message */
    char *found;
};

const char *model_default_name(void)
{
    const char *name = getenv("BERTUTILS_MODEL");

    return name && *name ? name : "roberta";
}

static const char *alias_of(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (strcmp(aliases[i].name, name) == 0)
            return aliases[i].means;
    return NULL;
}

/* A directory that somebody put a model or a tokenizer into. */
static bool has_model(const char *dir, struct err *e)
{
    static const char *const signs[] = {"config.json",  "tokenizer.json", "vocab.txt",
                                        "vocab.json",   "spiece.model",   "spm.model",
                                        "sentencepiece.bpe.model"};

    for (size_t i = 0; i < sizeof signs / sizeof signs[0] && io_is_dir(dir); i++) {
        char *path = io_join(dir, signs[i], e);
        const bool there = path && io_exists(path);

        free(path);
        if (there)
            return true;
    }
    return false;
}

/* Takes `path` (malloc'd, may be NULL after a failure) if a model is there. */
static int try_dir(struct search *s, char *path, struct err *e)
{
    int rc = 0;

    if (!path)
        return -1;
    if (has_model(path, e)) {
        s->found = path;
        return 0;
    }
    rc = buf_addf(&s->tried, e, "%s%s%s", s->tried.len ? ", " : "", path,
                  io_is_dir(path) ? " (no config.json, no tokenizer)" : "");
    free(path);
    return rc;
}

static int try_models_dirs(struct search *s, const char *name, struct err *e)
{
    const char *list = getenv("BERTUTILS_MODELS");

    while (list && *list && !s->found) {
        const size_t n = strcspn(list, ":");
        char *dir = mem_dupn(list, n, e);

        if (!dir || (n > 0 && try_dir(s, io_join(dir, name, e), e))) {
            free(dir);
            return -1;
        }
        free(dir);
        list += n + (list[n] == ':');
    }
    return 0;
}

/* The hub cache's directory, malloc'd; NULL without an error where there is no home either. */
static char *hub_cache(struct err *e)
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"HF_HUB_CACHE", ""},
                  {"HUGGINGFACE_HUB_CACHE", ""},
                  {"HF_HOME", "/hub"},
                  {"XDG_CACHE_HOME", "/huggingface/hub"},
                  {"HOME", "/.cache/huggingface/hub"}};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *value = getenv(places[i].variable);
        struct buf b = {0};

        if (!value || !*value)
            continue;
        if (buf_addf(&b, e, "%s%s", value, places[i].below))
            buf_free(&b);
        return b.data;
    }
    return NULL;
}

/* The commit that REV means: what refs/REV says, else REV itself.  malloc'd. */
static char *commit_of(const char *repo, const char *rev, struct err *e)
{
    struct buf path = {0};
    struct err none = {0};
    char *text = NULL;
    size_t n = 0;

    if (buf_addf(&path, e, "%s/refs/%s", repo, rev))
        return NULL;
    if (io_exists(path.data) && !io_is_dir(path.data))
        text = io_slurp(path.data, 4096, &n, &none);
    buf_free(&path);
    if (!text)
        return mem_dup(rev, e);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    if (n == 0 || strchr(text, '/') || text[0] == '.') {
        free(text);
        return mem_dup(rev, e);
    }
    return text;
}

/* CACHE/models--ORG--NAME/snapshots/COMMIT. */
static int try_hub(struct search *s, const char *cache, const char *name, const char *rev,
                   struct err *e)
{
    struct buf repo = {0}, dir = {0};
    char *commit = NULL;
    int rc = -1;

    if (strstr(name, "..") || strstr(rev, "..") || strchr(rev, '\n'))
        return 0; /* never outside the cache */
    if (buf_addf(&repo, e, "%s/models--", cache))
        goto out;
    for (const char *p = name; *p; p++)
        if (*p == '/' ? buf_puts(&repo, "--", e) : buf_putc(&repo, *p, e))
            goto out;
    commit = commit_of(repo.data, rev, e);
    if (!commit)
        goto out;
    if (io_is_dir(repo.data) ? buf_addf(&dir, e, "%s/snapshots/%s", repo.data, commit)
                             : buf_puts(&dir, repo.data, e))
        goto out;
    rc = try_dir(s, dir.data, e);
    dir = (struct buf){0}; /* try_dir took it */
out:
    free(commit);
    buf_free(&repo);
    buf_free(&dir);
    return rc;
}

static bool is_path(const char *name)
{
    return name[0] == '/' || strncmp(name, "./", 2) == 0 || strncmp(name, "../", 3) == 0 ||
           strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
           (*name && name[strlen(name) - 1] == '/');
}

/* name and what it is short for, shortest first; `base` is name without @REV. */
static int spellings(const char *base, const char *names[MAX_NAMES])
{
    int n = 0;

    for (const char *p = base; p && n < MAX_NAMES; p = alias_of(p))
        names[n++] = p;
    return n;
}

static int not_found(const char *name, const struct search *s, const char *longest,
                     const char *rev, struct err *e)
{
    const bool on_hub = strchr(longest, '/') != NULL && !is_path(name);

    if (!on_hub)
        return err_set(e, ERR_NOINPUT,
                       "no model '%s'; tried %s; give a directory with -m, or name the folder "
                       "that holds it in BERTUTILS_MODELS",
                       name, s->tried.len ? s->tried.data : "nothing");
    return err_set(e, ERR_NOINPUT, "no model '%s'; tried %s; to fetch it: hf download %s%s%s",
                   name, s->tried.data, longest, strcmp(rev, "main") ? " --revision " : "",
                   strcmp(rev, "main") ? rev : "");
}

/* Steps 2 and 3 of the header. */
static int search_names(struct search *s, const char *name, const char *base, const char *rev,
                        struct err *e)
{
    const char *names[MAX_NAMES];
    const int n = spellings(base, names);
    char *cache;
    int rc = 0;

    if (strcmp(name, base) != 0)
        rc = try_models_dirs(s, name, e);
    else
        for (int i = 0; i < n && !rc && !s->found; i++)
            rc = try_models_dirs(s, names[i], e);
    if (rc || s->found)
        return rc;
    cache = hub_cache(e);
    for (int i = 0; i < n && cache && !rc && !s->found; i++)
        rc = try_hub(s, cache, names[i], rev, e);
    free(cache);
    if (rc || s->found || e->code)
        return e->code ? -1 : rc;
    return not_found(name, s, names[n - 1], rev, e);
}

char *model_path(const char *name, struct err *e)
{
    struct search s = {0};
    const char *at = strrchr(name, '@');
    char *base = NULL;
    int rc;

    if (*name == '\0') {
        err_set(e, ERR_USAGE, "the name of the model (-m) is empty");
        return NULL;
    }
    rc = try_dir(&s, mem_dup(name, e), e);
    if (!rc && !s.found && is_path(name) && io_is_dir(name))
        s.found = mem_dup(name, e); /* its reader says what is missing */
    else if (!rc && !s.found && is_path(name))
        rc = not_found(name, &s, name, "main", e);
    if (!rc && !s.found && !e->code) {
        base = mem_dupn(name, at && at != name ? (size_t)(at - name) : strlen(name), e);
        if (base)
            search_names(&s, name, base, at && at != name && at[1] ? at + 1 : "main", e);
    }
    free(base);
    buf_free(&s.tried);
    return s.found;
}
