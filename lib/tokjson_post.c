/* SPDX-License-Identifier: MIT */
/*
 * tokjson_post: the post-processor of a tokenizer.json as a template.
 */
#include "tokjson_int.h"

static int piece(const struct json_loader *l, bool pair, int32_t id, int32_t type)
{
    struct template *m = &l->t->template;

    if (tokrules_piece(pair ? m->pair : m->single, pair ? &m->n_pair : &m->n_single, id, type))
        return tokjson_bad(l, "the post-processor's template is too long");
    return 0;
}

/* A segment on its own, or two: what stands where there is no template. */
int tokjson_plain(const struct json_loader *l)
{
    return piece(l, false, SEGMENT_A, 0) || piece(l, true, SEGMENT_A, 0) ||
                   piece(l, true, SEGMENT_B, 1)
               ? -1
               : 0;
}

/* ["[SEP]", 102] */
static int32_t pair_id(const json_t *o, const char *key)
{
    return (int32_t)json_whole(json_array_get(json_object_get(o, key), 1), VOCAB_MAX_ID);
}

/* BertProcessing and RobertaProcessing: fixed shapes. */
static int fixed_template(const struct json_loader *l, const json_t *o, bool roberta)
{
    const int32_t sep = pair_id(o, "sep"), cls = pair_id(o, "cls");
    const int32_t second = roberta ? 0 : 1;

    if (sep < 0 || cls < 0)
        return tokjson_bad(l, "the post-processor has no sep or no cls");
    return piece(l, false, cls, 0) || piece(l, false, SEGMENT_A, 0) || piece(l, false, sep, 0) ||
                   piece(l, true, cls, 0) || piece(l, true, SEGMENT_A, 0) ||
                   piece(l, true, sep, 0) || (roberta && piece(l, true, sep, 0)) ||
                   piece(l, true, SEGMENT_B, second) || piece(l, true, sep, second)
               ? -1
               : 0;
}

/* One place of a TemplateProcessing; a special token may stand for several ids. */
static int template_place(const struct json_loader *l, const json_t *specials, const json_t *o,
                          bool pair)
{
    const json_t *special = json_object_get(o, "SpecialToken");
    const json_t *at = special ? special : json_object_get(o, "Sequence"), *ids;
    const int32_t type_id = (int32_t)json_whole(json_object_get(at, "type_id"), 255);

    if (type_id < 0)
        return tokjson_bad(l, "the post-processor's template is malformed");
    if (!special) {
        const char *id = json_text_of(at, "id");

        if (strcmp(id, "A") != 0 && (strcmp(id, "B") != 0 || !pair))
            return tokjson_bad(l, "the post-processor's template is malformed");
        return piece(l, pair, *id == 'A' ? SEGMENT_A : SEGMENT_B, type_id);
    }
    ids = json_object_get(json_object_get(specials, json_text_of(at, "id")), "ids");
    if (json_array_size(ids) == 0)
        return tokjson_bad(l, "the post-processor's template names an unknown special token");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const int64_t id = json_whole(json_array_get(ids, i), VOCAB_MAX_ID);

        if (id < 0)
            return tokjson_bad(l, "the post-processor's special token has a bad id");
        if (piece(l, pair, (int32_t)id, type_id))
            return -1;
    }
    return 0;
}

static int load_template(const struct json_loader *l, const json_t *o)
{
    const json_t *specials = json_object_get(o, "special_tokens");
    const json_t *single = json_object_get(o, "single"), *pair = json_object_get(o, "pair");

    if (!json_is_array(single) || !json_is_array(pair))
        return tokjson_bad(l, "the post-processor's template is malformed");
    for (size_t i = 0; i < json_array_size(single); i++)
        if (template_place(l, specials, json_array_get(single, i), false))
            return -1;
    for (size_t i = 0; i < json_array_size(pair); i++)
        if (template_place(l, specials, json_array_get(pair, i), true))
            return -1;
    return 0;
}

int tokjson_post(const struct json_loader *l, const json_t *o, int depth)
{
    static const char *const shapes[][6] = {
        {"RobertaProcessing", "sep", "cls", "trim_offsets", "add_prefix_space"},
        {"BertProcessing", "sep", "cls"},
        {"TemplateProcessing", "single", "pair", "special_tokens"},
        {"Sequence", "processors"}};
    const char *type = tokjson_type(o, shapes, sizeof shapes / sizeof shapes[0]);
    const bool roberta = strcmp(type, "RobertaProcessing") == 0;

    if (!o || json_is_null(o) || strcmp(type, "ByteLevel") == 0)
        return 0;
    if (strcmp(type, "Sequence") == 0 && depth < 8) {
        const json_t *list = json_object_get(o, "processors");

        if (!json_is_array(list))
            return tokjson_bad(l, "a Sequence has no processors");
        for (size_t i = 0; i < json_array_size(list); i++)
            if (tokjson_post(l, json_array_get(list, i), depth + 1))
                return -1;
        return 0;
    }
    if (l->t->template.n_single)
        return tokjson_bad(l, "two post-processors with templates are not implemented");
    if (strcmp(type, "TemplateProcessing") == 0)
        return load_template(l, o);
    if (roberta || strcmp(type, "BertProcessing") == 0)
        return fixed_template(l, o, roberta);
    return tokjson_missing(l, "post-processor", type);
}
