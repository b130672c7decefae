/* SPDX-License-Identifier: MIT */
#include "tokchain.h"
#include "jsontext.h"
#include "tokblock.h"
#include "tokstream.h"
#include "version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_STEPS = 4000,    /* of a chain that is read */
    MAX_JOINED = 200,    /* above it, chains of further inputs are left out */
    MAX_TEXT = 256 << 10 /* bytes of a joined chain; the whole header may have 1 MiB */
};

static const char *field(const json_t *step, const char *key)
{
    const char *s = json_string_value(json_object_get(step, key));

    return s ? s : "";
}

/* The step with that id before index `end`, or NULL. */
static const json_t *find_step(const json_t *pg, size_t end, const char *id)
{
    for (size_t i = 0; i < end; i++)
        if (strcmp(field(json_array_get(pg, i), "id"), id) == 0)
            return json_array_get(pg, i);
    return NULL;
}

static bool is_plain_string(const json_t *j)
{
    return json_is_string(j) && strlen(json_string_value(j)) == json_string_length(j);
}

/* Steps name only steps before them, so that a walk along "pp" ends. */
static bool valid_parents(const json_t *pg, size_t i, const json_t *pp)
{
    const json_t *one;
    size_t k;

    if (!pp || json_is_null(pp))
        return true;
    if (json_is_string(pp))
        return find_step(pg, i, json_string_value(pp)) != NULL;
    if (!json_is_array(pp))
        return false;
    json_array_foreach(pp, k, one)
        if (!json_is_string(one) || !find_step(pg, i, json_string_value(one)))
            return false;
    return true;
}

bool tokchain_valid(const json_t *pg)
{
    const json_t *step;
    size_t i;

    if (!json_is_array(pg) || json_array_size(pg) > MAX_STEPS)
        return false;
    json_array_foreach(pg, i, step)
        if (!is_plain_string(json_object_get(step, "id")) ||
            !is_plain_string(json_object_get(step, "cl")) ||
            find_step(pg, i, field(step, "id")) ||
            !valid_parents(pg, i, json_object_get(step, "pp")))
            return false;
    return true;
}

json_t *tokchain_parse(const char *json, size_t n, json_error_t *why, struct err *e)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *one, *two;
    bool same;

    errno = 0;
    one = json_loadb(json, n, flags, why);
    two = json_loadb(json, n, flags, why);
    same = one && two ? json_equal(one, two) : one == two;
    json_decref(two);
    if (same && errno != ENOMEM) /* which both may have met */
        return one;
    json_decref(one);
    err_oom(e, "JSON", n);
    return NULL;
}

json_t *tokchain_json(const char *provenance, struct err *e)
{
    json_error_t why;
    json_t *pg;

    pg = provenance ? tokchain_parse(provenance, strlen(provenance), &why, e)
                    : json_array();
    if (pg && tokchain_valid(pg))
        return pg;
    json_decref(pg);
    err_set(e, ERR_INTERNAL, "the provenance of the stream is not valid");
    return NULL;
}

/* Is the step with this id a parent of another? */
static bool has_child(const json_t *pg, const char *id)
{
    const json_t *step, *one;
    size_t i, k;

    json_array_foreach(pg, i, step) {
        const json_t *pp = json_object_get(step, "pp");

        if (json_is_string(pp) && strcmp(json_string_value(pp), id) == 0)
            return true;
        json_array_foreach(pp, k, one)
            if (strcmp(json_string_value(one), id) == 0)
                return true;
    }
    return false;
}

/* The ends of the chains: null, one id, or an array of them. */
static json_t *ends_of(const json_t *pg)
{
    json_t *ends = json_array(), *one;
    const json_t *step;
    size_t i;

    json_array_foreach(pg, i, step)
        if (!has_child(pg, field(step, "id")) &&
            json_array_append(ends, json_object_get(step, "id"))) {
            json_decref(ends);
            return NULL;
        }
    if (json_array_size(ends) > 1)
        return ends;
    one = json_array_size(ends) ? json_incref(json_array_get(ends, 0)) : json_null();
    json_decref(ends);
    return one;
}

/* "tok", or "tok.2" when there is a "tok" already, and so on. */
static json_t *new_id(const json_t *pg, const char *name)
{
    json_t *id = json_string(name);

    for (int k = 2; id && find_step(pg, json_array_size(pg), json_string_value(id));
         k++) {
        json_decref(id);
        id = json_sprintf("%s.%d", name, k);
    }
    return id;
}

/* Replaces the text by that of pg, unless it became too long; takes pg. */
static int store(char **provenance, json_t *pg, size_t max, int bad, struct err *e)
{
    char *text = bad ? NULL : jsontext_dump(pg, JSON_SORT_KEYS | JSON_COMPACT);

    json_decref(pg);
    if (!text)
        return e->code ? -1 : err_oom(e, "JSON", 0);
    if (strlen(text) > max) {
        free(text);
        return 0;
    }
    free(*provenance);
    *provenance = text;
    return 0;
}

int toks_add_provenance(struct toks_header *h, const char *name, const char *command,
                        struct err *e)
{
    json_t *pg = tokchain_json(h->provenance, e), *step = json_object();
    char *valid = toks_utf8_repair(command, e);
    int bad = !pg || !valid;

    if (!bad) {
        bad |= json_object_set_new(step, "id", new_id(pg, name));
        bad |= json_object_set_new(step, "pn", json_string(name));
        bad |= json_object_set_new(step, "vn", json_string(BERTUTILS_VERSION));
        bad |= json_object_set_new(step, "cl", json_string(valid));
        bad |= json_object_set_new(step, "pp", ends_of(pg));
        bad |= json_array_append(pg, step);
    }
    free(valid);
    json_decref(step);
    return store(&h->provenance, pg, SIZE_MAX, bad, e);
}

/* The new name of one parent, or of each in an array. */
static json_t *renamed(const json_t *names, const json_t *pp)
{
    json_t *list, *one;
    size_t k;

    if (json_is_string(pp))
        return json_incref(json_object_get(names, json_string_value(pp)));
    if (!json_is_array(pp))
        return json_null();
    list = json_array();
    json_array_foreach((json_t *)pp, k, one)
        if (json_array_append(list, json_object_get(names, json_string_value(one)))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* The id of a step of pg that does the same to the same input, or NULL. */
static json_t *same_step(const json_t *pg, const json_t *step, const json_t *pp)
{
    const json_t *mine;
    size_t i;

    json_array_foreach(pg, i, mine)
        if (strcmp(field(mine, "cl"), field(step, "cl")) == 0 &&
            strcmp(field(mine, "vn"), field(step, "vn")) == 0 &&
            json_equal(json_object_get(mine, "pp"), pp))
            return json_incref(json_object_get(mine, "id"));
    return NULL;
}

int tokchain_join(char **provenance, const char *other, struct err *e)
{
    json_t *pg = tokchain_json(*provenance, e), *add = tokchain_json(other, e);
    json_t *names = json_object(); /* ids of `other` to ids of pg */
    const json_t *step;
    int bad = !pg || !add || !names;
    size_t i;

    /* Hundreds of inputs with histories of their own: those of the first are kept. */
    if (!bad && json_array_size(pg) + json_array_size(add) <= MAX_JOINED)
        json_array_foreach(add, i, step) {
            json_t *pp = renamed(names, json_object_get(step, "pp"));
            json_t *id = pp ? same_step(pg, step, pp) : NULL, *copy;

            if (!id) {
                id = new_id(pg, field(step, *field(step, "pn") ? "pn" : "id"));
                copy = json_copy((json_t *)step);
                bad |= json_object_set(copy, "id", id);
                bad |= json_object_set(copy, "pp", pp);
                bad |= json_array_append_new(pg, copy);
            }
            bad |= json_object_set_new(names, field(step, "id"), id);
            json_decref(pp);
        }
    json_decref(add);
    json_decref(names);
    return store(provenance, pg, MAX_TEXT, bad, e);
}

static int add_line(const json_t *pg, const char *id, int depth, struct buf *out,
                    struct err *e);

/* "<(a) <(b)" for a step that joined several streams. */
static int add_joined(const json_t *pg, const json_t *ids, int depth, struct buf *out,
                      struct err *e)
{
    const json_t *one;
    size_t k;

    json_array_foreach(ids, k,
                       one) if (buf_puts(out, " <(", e) ||
                                add_line(pg, json_string_value(one), depth, out, e) ||
                                buf_putc(out, ')', e)) return -1;
    return 0;
}

/* The commands that lead to a step, and its own.  Steps can share parents, hence the
 * limit. */
static int add_line(const json_t *pg, const char *id, int depth, struct buf *out,
                    struct err *e)
{
    const json_t *step = find_step(pg, json_array_size(pg), id);
    const json_t *pp = json_object_get(step, "pp");

    if (depth > 100 || out->len > 1 << 20)
        return err_set(e, ERR_DATA, "the provenance of the stream is too long to print");
    if (json_is_string(pp) && (add_line(pg, json_string_value(pp), depth + 1, out, e) ||
                               buf_puts(out, " | ", e)))
        return -1;
    if (buf_puts(out, field(step, "cl"), e))
        return -1;
    return json_is_array(pp) ? add_joined(pg, pp, depth + 1, out, e) : 0;
}

int tokchain_line(const char *provenance, struct buf *out, struct err *e)
{
    json_t *pg = tokchain_json(provenance, e), *ends = pg ? ends_of(pg) : NULL;
    int rc = ends ? 0 : err_set(e, ERR_INTERNAL, "out of memory");

    if (!rc && buf_puts(out, "", e))
        rc = -1;
    if (!rc && json_is_string(ends))
        rc = add_line(pg, json_string_value(ends), 0, out, e);
    else if (!rc && json_is_array(ends))
        rc = buf_puts(out, "cat", e) || add_joined(pg, ends, 0, out, e) ? -1 : 0;
    json_decref(ends);
    json_decref(pg);
    return rc;
}
