/* SPDX-License-Identifier: MIT */
/*
 *   zip      PREFIX/data.pkl, PREFIX/data/KEY for each storage, PREFIX/byteorder
 *   before   magic | protocol | system | object | keys (five pickles), then for each key
 *            the number of values (8 bytes) and the values
 *
 * Either way the object is a dictionary of tensors, and a tensor a window on a storage.
 */
#include "pickle.h"
#include "mem.h"
#include "pickle_vm.h"
#include "zipdir.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* PROTO 2, LONG1 of 10 bytes: torch's magic number, STOP. */
static const unsigned char legacy_magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c,
                                             0xfc, 0x9c, 0x46, 0xf9, 0x20,
                                             0x6a, 0xa8, 0x50, 0x19, 0x2e};
enum { LEGACY_PROTOCOL = 1001, LEGACY_KEYS = STORED_MAX };

/* Where the values of a storage are. */
struct place {
    uint64_t at, bytes;
    bool checked;
    uint32_t crc;
};

/* ---- from the pickle to the list of tensors ---- */

static bool is_contiguous(const struct pickle_tensor *t)
{
    int64_t step = 1;

    for (int d = t->n_dims - 1; d >= 0; d--) {
        if (t->dims[d] != 1 && t->strides[d] != step)
            return false;
        step *= t->dims[d];
    }
    return true;
}

/* Every value of the tensor must lie in the part of the storage that it is a view of. */
static bool lies_inside(const struct pickle_tensor *t, const struct pickle_storage *s,
                        int64_t n)
{
    int64_t last = t->offset, step;

    if (n == 0)
        return t->offset <= s->view_n;
    for (int d = 0; d < t->n_dims; d++)
        if (__builtin_mul_overflow(t->dims[d] - 1, t->strides[d], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    return last < s->view_n;
}

static int add_tensor(struct stored_list *l, const struct tensorfile *f,
                      const struct pickle *p, const struct pickle_value *name,
                      const struct pickle_tensor *t, const struct place *places,
                      struct err *e)
{
    const struct pickle_storage *s = &p->storages[t->storage];
    const struct place *place = &places[t->storage];
    const uint64_t size = (uint64_t)stored_type_bits(s->type) / 8;
    struct stored *to =
        stored_add(l, f, name->u.text, name->len, t->dims, t->n_dims, s->type, e);

    if (!to)
        return -1;
    if (!lies_inside(t, s, to->w.n))
        return err_set(e, ERR_DATA, "'%s': tensor '%s' does not lie inside its storage",
                       f->name, to->w.name);
    if (to->w.n > s->view_n)
        return err_set(e, ERR_DATA, "'%s': tensor '%s' repeats the values of its storage",
                       f->name, to->w.name);
    /* Below: storages were checked against the file, so that nothing overflows. */
    to->at = place->at + (uint64_t)(s->view_at + t->offset) * size;
    to->strided = to->w.n > 0 && !is_contiguous(t);
    memcpy(to->strides, t->strides, sizeof to->strides);
    to->checked = place->checked;
    to->entry_at = place->at;
    to->entry_size = place->bytes;
    to->crc = place->crc;
    return 0;
}

static int add_tensors(struct stored_list *l, const struct tensorfile *f,
                       const struct pickle *p, const struct place *places, struct err *e)
{
    const struct pickle_items *dict;

    if (p->top.kind != PICKLE_DICT)
        return err_set(e, ERR_DATA, "'%s': it holds no dictionary of tensors", f->name);
    dict = &p->items[p->top.u.number];
    for (size_t i = 0; i + 1 < dict->n; i += 2) {
        const struct pickle_value *key = &dict->at[i], *value = &dict->at[i + 1];

        if (key->kind != PICKLE_TEXT)
            return err_set(e, ERR_DATA, "'%s': a key is no text", f->name);
        if (value->kind != PICKLE_TENSOR)
            return err_set(e, ERR_DATA, "'%s': '%.*s' is no tensor", f->name,
                           (int)(key->len < 500 ? key->len : 500), key->u.text);
        if (add_tensor(l, f, p, key, &p->tensors[value->u.number], places, e))
            return -1;
    }
    return 0;
}

/* ---- the zip layout ---- */

/* The name of an entry: PREFIX has its slash already. */
static char *in_archive(const char *prefix, const char *name, struct err *e)
{
    struct buf b = {0};

    if (buf_addf(&b, e, "%s%s", prefix, name))
        buf_free(&b);
    return b.data;
}

/* An entry as a whole, its checksum verified; NULL without *e when it is not there. */
static unsigned char *get_entry(const struct zipdir *z, const char *name, size_t max,
                                size_t *size, struct err *e)
{
    struct zip_entry entry;
    unsigned char *data;
    const int got = zipdir_find(z, name, &entry, e);

    if (got <= 0)
        return NULL;
    if (entry.size > max) {
        err_set(e, ERR_DATA, "'%s': entry '%s' is larger than %zu bytes", z->f->name,
                name, max);
        return NULL;
    }
    *size = (size_t)entry.size;
    data = tensorfile_get(z->f, entry.at, *size, e);
    if (data && crc32_z(0, data, *size) != entry.crc) {
        err_set(e, ERR_DATA, "'%s': the checksum of entry '%s' is wrong", z->f->name,
                name);
        free(data);
        data = NULL;
    }
    return data;
}

/* The one folder that holds data.pkl, with its slash. */
static char *find_prefix(const struct zipdir *z, struct err *e)
{
    static const char tail[] = "/data.pkl";
    const char *found = NULL;
    size_t found_len = 0;

    for (size_t i = 0; i < z->n; i++) {
        const char *slash = strchr(z->entry[i].name, '/');

        if (!slash || strcmp(slash, tail) != 0)
            continue;
        if (found) {
            err_set(e, ERR_DATA, "'%s': more than one data.pkl", z->f->name);
            return NULL;
        }
        found = z->entry[i].name;
        found_len = (size_t)(slash - found) + 1;
    }
    if (!found) {
        err_set(e, ERR_DATA,
                "'%s': a zip archive without data.pkl, not made by torch.save",
                z->f->name);
        return NULL;
    }
    return mem_dupn(found, found_len, e);
}

static int find_storage(const struct zipdir *z, const char *prefix,
                        const struct pickle_storage *s, struct place *place,
                        struct err *e)
{
    const uint64_t size = (uint64_t)stored_type_bits(s->type) / 8;
    struct zip_entry entry;
    struct buf name = {0};
    uint64_t bytes;
    int rc = -1, got;

    if (buf_addf(&name, e, "%sdata/%.*s", prefix, (int)s->key.len, s->key.u.text))
        goto done;
    got = zipdir_find(z, name.data, &entry, e);
    if (got < 0)
        goto done;
    if (got == 0)
        err_set(e, ERR_DATA, "'%s': storage '%s' is not there", z->f->name, name.data);
    else if (!fits_mul((uint64_t)s->n, size, &bytes) || bytes != entry.size)
        err_set(e, ERR_DATA, "'%s': storage '%s' has %llu bytes, not %lld values of %d",
                z->f->name, name.data, (unsigned long long)entry.size, (long long)s->n,
                (int)size);
    else
        rc = 0;
    if (!rc)
        *place = (struct place){entry.at, entry.size, true, entry.crc};
done:
    buf_free(&name);
    return rc;
}

/* Values of a machine with another byte order, and programs, are not read. */
static int check_kind(const struct zipdir *z, const char *prefix, struct err *e)
{
    char *order = in_archive(prefix, "byteorder", e), *code = NULL;
    unsigned char *text = NULL;
    struct zip_entry entry;
    size_t n = 0;

    code = order ? in_archive(prefix, "constants.pkl", e) : NULL;
    if (!code)
        goto done;
    if (zipdir_find(z, code, &entry, e) == 1)
        err_set(e, ERR_DATA,
                "'%s': it is a TorchScript program, not a dictionary of tensors",
                z->f->name);
    text = get_entry(z, order, 64, &n, e);
    if (text && !(n == 6 && memcmp(text, "little", 6) == 0))
        err_set(e, ERR_DATA, "'%s': its values are not little-endian", z->f->name);
done:
    free(text);
    free(code);
    free(order);
    return e->code ? -1 : 0;
}

static int list_zip(const struct zipdir *z, const char *prefix, struct stored_list *l,
                    struct err *e)
{
    char *name = in_archive(prefix, "data.pkl", e);
    unsigned char *data = NULL;
    struct place *places = NULL;
    struct pickle p = {0};
    size_t n = 0, used;
    int rc = -1;

    if (name && check_kind(z, prefix, e) == 0)
        data = get_entry(z, name, PICKLE_BYTES, &n, e);
    if (!data || pickle_run(&p, z->f->name, data, n, &used, e))
        goto done;
    if (used != n) {
        err_set(e, ERR_DATA, "'%s': something stands behind the pickle", z->f->name);
        goto done;
    }
    places = mem_alloc(p.n_storages, sizeof *places, "storages", e);
    rc = places ? 0 : -1;
    for (size_t i = 0; !rc && i < p.n_storages; i++)
        rc = find_storage(z, prefix, &p.storages[i], &places[i], e);
    if (!rc)
        rc = add_tensors(l, z->f, &p, places, e);
done:
    free(places);
    pickle_free(&p);
    free(data);
    free(name);
    return rc;
}

/* ---- the layout before torch 1.6 ---- */

/* A piece of the file's start that is being read pickle by pickle. */
struct window {
    const struct tensorfile *f;
    unsigned char *data;
    size_t n, at;
};

static int next_pickle(struct window *w, struct pickle *p, struct err *e)
{
    size_t used = 0;

    if (pickle_run(p, w->f->name, w->data + w->at, w->n - w->at, &used, e))
        return -1;
    w->at += used;
    return 0;
}

static int check_protocol(struct window *w, struct err *e)
{
    struct pickle p;
    int rc = next_pickle(w, &p, e);

    if (!rc && (p.top.kind != PICKLE_INT || p.top.u.number != LEGACY_PROTOCOL))
        rc = err_set(e, ERR_DATA, "'%s': unknown version of torch.save's format",
                     w->f->name);
    pickle_free(&p);
    return rc;
}

static int check_system(struct window *w, struct err *e)
{
    const struct pickle_items *dict;
    struct pickle p;
    int rc = next_pickle(w, &p, e);

    if (!rc && p.top.kind != PICKLE_DICT)
        rc = err_set(e, ERR_DATA, "'%s': its system is no dictionary", w->f->name);
    dict = rc ? NULL : &p.items[p.top.u.number];
    for (size_t i = 0; !rc && i + 1 < dict->n; i += 2)
        if (pickle_is(&dict->at[i], "little_endian") &&
            (dict->at[i + 1].kind != PICKLE_BOOL || dict->at[i + 1].u.number != 1))
            rc = err_set(e, ERR_DATA, "'%s': its values are not little-endian",
                         w->f->name);
    pickle_free(&p);
    return rc;
}

static int compare_texts(const struct pickle_value *a, const struct pickle_value *b)
{
    const size_t n = a->len < b->len ? a->len : b->len;
    const int c = memcmp(a->u.text, b->u.text, n);

    return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* A key of the file, with the type and number of values that the tensors say it has. */
struct legacy_key {
    struct pickle_value key;
    size_t order; /* its number in the file */
    const struct pickle_storage *storage;
    struct place place;
};

static int compare_keys(const void *a, const void *b)
{
    return compare_texts(&((const struct legacy_key *)a)->key,
                         &((const struct legacy_key *)b)->key);
}

static int compare_order(const void *a, const void *b)
{
    const size_t x = ((const struct legacy_key *)a)->order;
    const size_t y = ((const struct legacy_key *)b)->order;

    return (x > y) - (x < y);
}

static struct legacy_key *find_key(struct legacy_key *keys, size_t n,
                                   const struct pickle_storage *s)
{
    const struct legacy_key wanted = {.key = s->key};

    return n ? bsearch(&wanted, keys, n, sizeof *keys, compare_keys) : NULL;
}

/* Ties the storages of the object to the keys, which become sorted. */
static int match_keys(struct legacy_key *keys, size_t n, const struct pickle *object,
                      const char *file, struct err *e)
{
    if (n)
        qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (compare_keys(&keys[i - 1], &keys[i]) == 0)
            return err_set(e, ERR_DATA, "'%s': a storage is there twice", file);
    for (size_t i = 0; i < object->n_storages; i++) {
        const struct pickle_storage *s = &object->storages[i];
        struct legacy_key *key = find_key(keys, n, s);

        if (!key)
            return err_set(e, ERR_DATA, "'%s': storage '%.*s' is not there", file,
                           (int)s->key.len, s->key.u.text);
        if (key->storage && (key->storage->type != s->type || key->storage->n != s->n))
            return err_set(e, ERR_DATA, "'%s': storage '%.*s' has two types or sizes",
                           file, (int)s->key.len, s->key.u.text);
        key->storage = s;
    }
    return 0;
}

/* Goes through the values behind the pickles, in the order of the keys. */
static int place_keys(struct legacy_key *keys, size_t n, const struct tensorfile *f,
                      uint64_t at, struct err *e)
{
    if (n)
        qsort(keys, n, sizeof *keys, compare_order);
    for (size_t i = 0; i < n; i++) {
        const struct pickle_storage *s = keys[i].storage;
        uint64_t count, bytes;

        if (!s)
            return err_set(e, ERR_DATA, "'%s': a storage belongs to no tensor", f->name);
        if (tensorfile_read(f, at, &count, 8, e))
            return -1;
        at += 8;
        if (count != (uint64_t)s->n ||
            !fits_mul(count, (uint64_t)stored_type_bits(s->type) / 8, &bytes) ||
            bytes > f->size - at)
            return err_set(e, ERR_DATA,
                           "'%s': storage '%.*s' does not have the %lld values "
                           "that its tensors need",
                           f->name, (int)s->key.len, s->key.u.text, (long long)s->n);
        keys[i].place = (struct place){.at = at, .bytes = bytes};
        at += bytes;
    }
    return at == f->size ? 0
                         : err_set(e, ERR_DATA,
                                   "'%s': something stands behind its values", f->name);
}

static struct legacy_key *make_keys(const struct pickle *list, size_t *n,
                                    const char *file, struct err *e)
{
    const struct pickle_items *items;
    struct legacy_key *keys;

    if (list->top.kind != PICKLE_LIST) {
        err_set(e, ERR_DATA, "'%s': its storages are no list", file);
        return NULL;
    }
    items = &list->items[list->top.u.number];
    if (items->n > LEGACY_KEYS) {
        err_set(e, ERR_DATA, "'%s': more than %d storages", file, LEGACY_KEYS);
        return NULL;
    }
    keys = mem_alloc(items->n, sizeof *keys, "storages", e);
    *n = items->n;
    for (size_t i = 0; keys && i < items->n; i++) {
        keys[i] = (struct legacy_key){.key = items->at[i], .order = i};
        if (items->at[i].kind != PICKLE_TEXT) {
            err_set(e, ERR_DATA, "'%s': the key of a storage is no text", file);
            free(keys);
            return NULL;
        }
    }
    return keys;
}

static int list_legacy(const struct tensorfile *f, struct stored_list *l, struct err *e)
{
    struct window w = {.f = f,
                       .n = f->size < PICKLE_BYTES ? (size_t)f->size : PICKLE_BYTES};
    struct pickle object = {0}, list = {0};
    struct legacy_key *keys = NULL;
    struct place *places = NULL;
    size_t n = 0;
    int rc = -1;

    w.data = tensorfile_get(f, 0, w.n, e);
    w.at = sizeof legacy_magic;
    if (!w.data || check_protocol(&w, e) || check_system(&w, e) ||
        next_pickle(&w, &object, e) || next_pickle(&w, &list, e))
        goto done;
    keys = make_keys(&list, &n, f->name, e);
    places = keys ? mem_alloc(object.n_storages, sizeof *places, "storages", e) : NULL;
    if (!places || match_keys(keys, n, &object, f->name, e) ||
        place_keys(keys, n, f, w.at, e))
        goto done;
    if (n)
        qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < object.n_storages; i++)
        places[i] = find_key(keys, n, &object.storages[i])->place;
    rc = add_tensors(l, f, &object, places, e);
done:
    free(places);
    free(keys);
    pickle_free(&list);
    pickle_free(&object);
    free(w.data);
    return rc;
}

int pickle_list(const struct tensorfile *f, struct stored_list *l, struct err *e)
{
    unsigned char first[sizeof legacy_magic];
    struct zipdir z;
    char *prefix;
    int rc = -1;

    if (f->size >= sizeof first) {
        if (tensorfile_read(f, 0, first, sizeof first, e))
            return -1;
        if (memcmp(first, legacy_magic, sizeof first) == 0)
            return list_legacy(f, l, e);
    }
    if (!zipdir_probe(f))
        return err_set(e, ERR_DATA, "'%s': not a file of torch.save, or cut short",
                       f->name);
    if (zipdir_open(&z, f, e))
        return -1;
    prefix = find_prefix(&z, e);
    if (prefix)
        rc = list_zip(&z, prefix, l, e);
    free(prefix);
    zipdir_close(&z);
    return rc;
}
