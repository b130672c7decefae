/* SPDX-License-Identifier: MIT */
#include "pickle_vm.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The opcodes that are known here, allowed ones or not (Python's Lib/pickletools.py). */
static const struct opcode {
    unsigned char code;
    const char *name;
} opcodes[] = {
    {'(', "MARK"}, {'.', "STOP"}, {'0', "POP"}, {'1', "POP_MARK"}, {'2', "DUP"},
    {'F', "FLOAT"}, {'I', "INT"}, {'J', "BININT"}, {'K', "BININT1"}, {'L', "LONG"},
    {'M', "BININT2"}, {'N', "NONE"}, {'P', "PERSID"}, {'Q', "BINPERSID"}, {'R', "REDUCE"},
    {'S', "STRING"}, {'T', "BINSTRING"}, {'U', "SHORT_BINSTRING"}, {'V', "UNICODE"},
    {'X', "BINUNICODE"}, {'a', "APPEND"}, {'b', "BUILD"}, {'c', "GLOBAL"}, {'d', "DICT"},
    {'}', "EMPTY_DICT"}, {'e', "APPENDS"}, {'g', "GET"}, {'h', "BINGET"}, {'i', "INST"},
    {'j', "LONG_BINGET"}, {'l', "LIST"}, {']', "EMPTY_LIST"}, {'o', "OBJ"}, {'p', "PUT"},
    {'q', "BINPUT"}, {'r', "LONG_BINPUT"}, {'s', "SETITEM"}, {'t', "TUPLE"},
    {')', "EMPTY_TUPLE"}, {'u', "SETITEMS"}, {'G', "BINFLOAT"}, {'B', "BINBYTES"},
    {'C', "SHORT_BINBYTES"}, {0x80, "PROTO"}, {0x81, "NEWOBJ"}, {0x82, "EXT1"},
    {0x83, "EXT2"}, {0x84, "EXT4"}, {0x85, "TUPLE1"}, {0x86, "TUPLE2"}, {0x87, "TUPLE3"},
    {0x88, "NEWTRUE"}, {0x89, "NEWFALSE"}, {0x8a, "LONG1"}, {0x8b, "LONG4"},
    {0x8c, "SHORT_BINUNICODE"}, {0x8d, "BINUNICODE8"}, {0x8e, "BINBYTES8"},
    {0x8f, "EMPTY_SET"}, {0x90, "ADDITEMS"}, {0x91, "FROZENSET"}, {0x92, "NEWOBJ_EX"},
    {0x93, "STACK_GLOBAL"}, {0x94, "MEMOIZE"}, {0x95, "FRAME"}, {0x96, "BYTEARRAY8"},
    {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"},
};

/* The only names that may stand in a pickle.  A storage's class is its type of values. */
enum { CALL_ORDERED_DICT = STORED_TYPES, CALL_TENSOR, CALL_TENSOR_V2, CALL_PARAMETER };
static const struct global {
    const char *module, *name;
    int id;
} globals[] = {
    {"collections", "OrderedDict", CALL_ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor", CALL_TENSOR},
    {"torch._utils", "_rebuild_tensor_v2", CALL_TENSOR_V2},
    {"torch._utils", "_rebuild_parameter", CALL_PARAMETER},
    {"torch", "FloatStorage", STORED_F32},
    {"torch", "HalfStorage", STORED_F16},
    {"torch", "BFloat16Storage", STORED_BF16},
    {"torch", "DoubleStorage", STORED_F64},
    {"torch", "LongStorage", STORED_I64},
    {"torch", "IntStorage", STORED_I32},
    {"torch", "ShortStorage", STORED_I16},
    {"torch", "CharStorage", STORED_I8},
    {"torch", "ByteStorage", STORED_U8},
    {"torch", "BoolStorage", STORED_BOOL},
    {"torch.storage", "UntypedStorage", STORED_U8},
};

static int bad(struct pickle *p, const char *what)
{
    err_set(p->e, ERR_DATA, "'%s': malformed pickle, byte %zu: %s", p->file,
            (size_t)(p->p - p->start), what);
    return -1; /* a constant: compilers see that no value is used after a failure */
}

bool pickle_is(const struct pickle_value *v, const char *text)
{
    return v->kind == PICKLE_TEXT && v->len == strlen(text) &&
           memcmp(v->u.text, text, v->len) == 0;
}

/* n bytes of argument, or NULL. */
static const unsigned char *take(struct pickle *p, size_t n)
{
    const unsigned char *at = p->p;

    if ((size_t)(p->end - p->p) < n) {
        bad(p, "it is cut short");
        return NULL;
    }
    p->p += n;
    return at;
}

static int take_number(struct pickle *p, int bytes, uint64_t *value)
{
    const unsigned char *at = take(p, (size_t)bytes);

    *value = 0;
    for (int i = 0; at && i < bytes; i++)
        *value |= (uint64_t)at[i] << 8 * i;
    return at ? 0 : -1;
}

/* ---- the stack ---- */

static int push(struct pickle *p, struct pickle_value v)
{
    if (p->n_stack >= PICKLE_VALUES)
        return bad(p, "too many values");
    if (mem_grow(&p->stack, &p->cap_stack, p->n_stack + 1, sizeof *p->stack, p->e))
        return -1;
    p->stack[p->n_stack++] = v;
    return 0;
}

static int push_number(struct pickle *p, enum pickle_kind kind, int64_t number)
{
    const struct pickle_value v = {.kind = kind, .u.number = number};

    return push(p, v);
}

/* Values above the last mark: only those may be taken. */
static size_t above_mark(const struct pickle *p)
{
    return p->n_stack - (p->n_marks ? p->marks[p->n_marks - 1] : 0);
}

static int pop(struct pickle *p, struct pickle_value *v)
{
    if (above_mark(p) == 0)
        return bad(p, "a value is missing on the stack");
    *v = p->stack[--p->n_stack];
    return 0;
}

/* The last value, which stays; NULL when there is none or when it has another kind. */
static struct pickle_items *container(struct pickle *p, enum pickle_kind kind,
                                      const char *what)
{
    if (above_mark(p) == 0 || p->stack[p->n_stack - 1].kind != kind) {
        bad(p, what);
        return NULL;
    }
    return &p->items[p->stack[p->n_stack - 1].u.number];
}

static int pop_mark(struct pickle *p, size_t *count)
{
    if (p->n_marks == 0)
        return bad(p, "a mark is missing on the stack");
    *count = above_mark(p);
    p->n_marks--;
    return 0;
}

/* ---- containers ---- */

static int add_items(struct pickle *p, struct pickle_items *to, size_t count)
{
    p->n_values += count;
    if (p->n_values > PICKLE_VALUES)
        return bad(p, "too many values");
    if (count == 0)
        return 0;
    if (mem_grow(&to->at, &to->cap, to->n + count, sizeof *to->at, p->e))
        return -1;
    p->n_stack -= count;
    memcpy(to->at + to->n, p->stack + p->n_stack, count * sizeof *to->at);
    to->n += count;
    return 0;
}

/* A new container of the last `count` values. */
static int make(struct pickle *p, enum pickle_kind kind, size_t count)
{
    if (above_mark(p) < count)
        return bad(p, "a value is missing on the stack");
    if (p->n_items >= PICKLE_VALUES)
        return bad(p, "too many values");
    if (mem_grow(&p->items, &p->cap_items, p->n_items + 1, sizeof *p->items, p->e))
        return -1;
    p->items[p->n_items] = (struct pickle_items){0};
    if (add_items(p, &p->items[p->n_items++], count))
        return -1;
    return push_number(p, kind, (int64_t)p->n_items - 1);
}

/* APPEND(S), SETITEM(S): the container lies below the values. */
static int extend(struct pickle *p, enum pickle_kind kind, size_t count)
{
    struct pickle_items *to;
    const char *what = kind == PICKLE_DICT
                           ? "items are set in something that is no dictionary"
                           : "items are appended to something that is no list";

    if (above_mark(p) < count + 1)
        return bad(p, "a value is missing on the stack");
    if (kind == PICKLE_DICT && count % 2)
        return bad(p, "a key has no value");
    p->n_stack -= count;
    to = container(p, kind, what);
    p->n_stack += count;
    return to ? add_items(p, to, count) : -1;
}

static int op_container(struct pickle *p, int op)
{
    size_t count = 0;

    switch (op) {
    case ')':
        return make(p, PICKLE_TUPLE, 0);
    case ']':
        return make(p, PICKLE_LIST, 0);
    case '}':
        return make(p, PICKLE_DICT, 0);
    case 0x85:
    case 0x86:
    case 0x87:
        return make(p, PICKLE_TUPLE, (size_t)op - 0x84);
    case 'a':
        return extend(p, PICKLE_LIST, 1);
    case 's':
        return extend(p, PICKLE_DICT, 2);
    default: /* 't' 'e' 'u': up to the mark */
        if (pop_mark(p, &count))
            return -1;
        return op == 't' ? make(p, PICKLE_TUPLE, count)
                         : extend(p, op == 'e' ? PICKLE_LIST : PICKLE_DICT, count);
    }
}

/* ---- constants ---- */

static int push_text(struct pickle *p, size_t n)
{
    const unsigned char *at = take(p, n);
    const struct pickle_value v = {
        .kind = PICKLE_TEXT, .len = (uint32_t)n, .u.text = (const char *)at};

    return at ? push(p, v) : -1;
}

/* A long of up to 8 bytes, little-endian, two's complement. */
static int push_long(struct pickle *p)
{
    uint64_t n, value;

    if (take_number(p, 1, &n))
        return -1;
    if (n > 8)
        return bad(p, "a number has more than 64 bits");
    if (take_number(p, (int)n, &value))
        return -1;
    if (n > 0 && n < 8 && value >> (8 * n - 1))
        value |= UINT64_MAX << 8 * n;
    return push_number(p, PICKLE_INT, (int64_t)value);
}

static int op_constant(struct pickle *p, int op)
{
    uint64_t n;

    switch (op) {
    case 'N':
        return push_number(p, PICKLE_NONE, 0);
    case 0x88:
    case 0x89:
        return push_number(p, PICKLE_BOOL, op == 0x88);
    case 0x8a:
        return push_long(p);
    case 'G': /* its value is never used: no tensor is made of Python's floats */
        return take(p, 8) ? push_number(p, PICKLE_FLOAT, 0) : -1;
    case 'J':
        return take_number(p, 4, &n) ? -1
                                     : push_number(p, PICKLE_INT, (int32_t)(uint32_t)n);
    case 'K':
    case 'M':
        return take_number(p, op == 'K' ? 1 : 2, &n)
                   ? -1
                   : push_number(p, PICKLE_INT, (int64_t)n);
    case 'U':
        return take_number(p, 1, &n) ? -1 : push_text(p, (size_t)n);
    default: /* 'T' 'X' */
        return take_number(p, 4, &n) ? -1 : push_text(p, (size_t)n);
    }
}

/* ---- the memo ---- */

static int put_memo(struct pickle *p, uint64_t i)
{
    if (above_mark(p) == 0)
        return bad(p, "a value is missing on the stack");
    /* Writers count up from 0, and each entry takes two bytes at least. */
    if (i >= PICKLE_VALUES || i > (uint64_t)(p->end - p->start))
        return bad(p, "a place of the memo is too far off");
    if (mem_grow(&p->memo, &p->cap_memo, (size_t)i + 1, sizeof *p->memo, p->e))
        return -1;
    for (; p->n_memo <= i; p->n_memo++)
        p->memo[p->n_memo] = (struct pickle_value){.kind = PICKLE_NONE, .len = 1};
    p->memo[i] = p->stack[p->n_stack - 1];
    return 0;
}

static int get_memo(struct pickle *p, uint64_t i)
{
    /* A None with a length was never put there. */
    if (i >= p->n_memo || (p->memo[i].kind == PICKLE_NONE && p->memo[i].len))
        return bad(p, "a place of the memo is empty");
    return push(p, p->memo[i]);
}

static int op_memo(struct pickle *p, int op)
{
    const bool narrow = op == 'q' || op == 'h';
    uint64_t i;

    if (take_number(p, narrow ? 1 : 4, &i))
        return -1;
    return op == 'q' || op == 'r' ? put_memo(p, i) : get_memo(p, i);
}

/* ---- names and calls ---- */

/* A line of text without its end, into to[0..size-1]. */
static int take_line(struct pickle *p, char *to, size_t size)
{
    const unsigned char *end = memchr(p->p, '\n', (size_t)(p->end - p->p));
    const size_t n = end ? (size_t)(end - p->p) : 0;

    if (!end)
        return bad(p, "it is cut short");
    if (n >= size || memchr(p->p, '\0', n))
        return bad(p, "a name is too long or holds a NUL");
    memcpy(to, p->p, n);
    to[n] = '\0';
    p->p = end + 1;
    return 0;
}

static int op_global(struct pickle *p)
{
    char module[256], name[256];

    if (take_line(p, module, sizeof module) || take_line(p, name, sizeof name))
        return -1;
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (strcmp(module, globals[i].module) == 0 && strcmp(name, globals[i].name) == 0)
            return push_number(p, PICKLE_GLOBAL, globals[i].id);
    return err_set(p->e, ERR_DATA,
                   "'%s': its pickle wants '%s.%s', which is not on the list "
                   "of what a model may use; nothing was run",
                   p->file, module, name);
}

static const struct pickle_items *items_of(const struct pickle *p,
                                           const struct pickle_value *v)
{
    return &p->items[v->u.number];
}

/* A tuple of counts, into to[]. */
static int take_counts(struct pickle *p, const struct pickle_value *v, int64_t *to,
                       int *n)
{
    const struct pickle_items *items;

    if (v->kind != PICKLE_TUPLE)
        return bad(p, "the shape of a tensor is no tuple");
    items = items_of(p, v);
    if (items->n > STORED_DIMS)
        return bad(p, "a tensor has more than 8 dimensions");
    *n = (int)items->n;
    for (size_t i = 0; i < items->n; i++) {
        if (items->at[i].kind != PICKLE_INT || items->at[i].u.number < 0)
            return bad(p, "the shape of a tensor is not made of counts");
        to[i] = items->at[i].u.number;
    }
    return 0;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]) */
static int rebuild_tensor(struct pickle *p, const struct pickle_items *args, bool v2)
{
    struct pickle_tensor t = {0};
    int n_strides;

    if (v2 ? args->n != 6 && args->n != 7 : args->n != 4)
        return bad(p, "a tensor is made of the wrong number of parts");
    if (args->at[0].kind != PICKLE_STORAGE)
        return bad(p, "a tensor is made of something that is no storage");
    if (args->at[1].kind != PICKLE_INT || args->at[1].u.number < 0)
        return bad(p, "the offset of a tensor is no count");
    t.storage = (size_t)args->at[0].u.number;
    t.offset = args->at[1].u.number;
    if (take_counts(p, &args->at[2], t.dims, &t.n_dims) ||
        take_counts(p, &args->at[3], t.strides, &n_strides))
        return -1;
    if (n_strides != t.n_dims)
        return bad(p, "a tensor has more or fewer strides than dimensions");
    if (p->n_tensors >= STORED_MAX * 2)
        return bad(p, "too many tensors");
    if (mem_grow(&p->tensors, &p->cap_tensors, p->n_tensors + 1, sizeof t, p->e))
        return -1;
    p->tensors[p->n_tensors++] = t;
    return push_number(p, PICKLE_TENSOR, (int64_t)p->n_tensors - 1);
}

static int op_reduce(struct pickle *p)
{
    struct pickle_value args, callee;
    const struct pickle_items *items;

    if (pop(p, &args) || pop(p, &callee))
        return -1;
    if (callee.kind != PICKLE_GLOBAL || args.kind != PICKLE_TUPLE)
        return bad(p, "something is called that is no function");
    items = items_of(p, &args);
    switch (callee.u.number) {
    case CALL_ORDERED_DICT:
        return items->n == 0 ? make(p, PICKLE_DICT, 0)
                             : bad(p, "an OrderedDict is made of something");
    case CALL_TENSOR:
    case CALL_TENSOR_V2:
        return rebuild_tensor(p, items, callee.u.number == CALL_TENSOR_V2);
    case CALL_PARAMETER: /* (data, requires_grad, hooks): the data itself */
        if (items->n != 3 || items->at[0].kind != PICKLE_TENSOR)
            return bad(p, "a parameter is made of something that is no tensor");
        return push(p, items->at[0]);
    default:
        return bad(p, "a storage is made by a call");
    }
}

/* (view's key, offset, length) of the files before torch 1.6, or None. */
static int take_view(struct pickle *p, const struct pickle_value *v,
                     struct pickle_storage *s)
{
    const struct pickle_items *items;

    if (v->kind == PICKLE_NONE)
        return 0;
    items = v->kind == PICKLE_TUPLE ? items_of(p, v) : NULL;
    if (!items || items->n != 3 || items->at[1].kind != PICKLE_INT ||
        items->at[2].kind != PICKLE_INT)
        return bad(p, "the view of a storage is not (key, offset, length)");
    s->view_at = items->at[1].u.number;
    s->view_n = items->at[2].u.number;
    if (s->view_at < 0 || s->view_n < 0 || s->view_at > s->n ||
        s->view_n > s->n - s->view_at)
        return bad(p, "the view of a storage lies outside of it");
    return 0;
}

/* ("storage", class, key, location, number of values[, view]) */
static int op_storage(struct pickle *p)
{
    struct pickle_storage s = {0};
    const struct pickle_items *items;
    struct pickle_value id;

    if (pop(p, &id))
        return -1;
    if (id.kind != PICKLE_TUPLE)
        return bad(p, "a persistent id is no tuple");
    items = items_of(p, &id);
    if ((items->n != 5 && items->n != 6) || !pickle_is(&items->at[0], "storage") ||
        items->at[1].kind != PICKLE_GLOBAL || items->at[1].u.number >= STORED_TYPES ||
        items->at[2].kind != PICKLE_TEXT || items->at[2].len == 0 ||
        items->at[2].len > 200 || items->at[3].kind != PICKLE_TEXT ||
        items->at[4].kind != PICKLE_INT || items->at[4].u.number < 0)
        return bad(p, "a persistent id is no storage");
    if (memchr(items->at[2].u.text, '\0', items->at[2].len))
        return bad(p, "the key of a storage holds a NUL");
    s.type = (enum stored_type)items->at[1].u.number;
    s.key = items->at[2];
    s.n = s.view_n = items->at[4].u.number;
    if (items->n == 6 && take_view(p, &items->at[5], &s))
        return -1;
    if (p->n_storages >= STORED_MAX * 2)
        return bad(p, "too many storages");
    if (mem_grow(&p->storages, &p->cap_storages, p->n_storages + 1, sizeof s, p->e))
        return -1;
    p->storages[p->n_storages++] = s;
    return push_number(p, PICKLE_STORAGE, (int64_t)p->n_storages - 1);
}

/* The state of an OrderedDict, its _metadata: nothing that is needed. */
static int op_build(struct pickle *p)
{
    struct pickle_value state;

    if (pop(p, &state))
        return -1;
    if (state.kind != PICKLE_DICT)
        return bad(p, "a state is no dictionary");
    return container(p, PICKLE_DICT, "something other than a dictionary gets a state")
               ? 0
               : -1;
}

static int op_mark(struct pickle *p)
{
    if (p->n_marks >= PICKLE_VALUES)
        return bad(p, "too many marks");
    if (mem_grow(&p->marks, &p->cap_marks, p->n_marks + 1, sizeof *p->marks, p->e))
        return -1;
    p->marks[p->n_marks++] = p->n_stack;
    return 0;
}

static int op_proto(struct pickle *p)
{
    uint64_t version;

    if (take_number(p, 1, &version))
        return -1;
    return version >= 2 && version <= 5 ? 0 : bad(p, "unknown protocol");
}

/* ---- running ---- */

static int refuse(struct pickle *p, int op)
{
    const char *name = NULL;

    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++)
        if (opcodes[i].code == op)
            name = opcodes[i].name;
    p->p--;
    if (!name)
        return bad(p, "unknown opcode");
    return err_set(p->e, ERR_DATA,
                   "'%s': its pickle holds the opcode %s (byte %zu), which is "
                   "not on the list of what a model may use; nothing was run",
                   p->file, name, (size_t)(p->p - p->start));
}

static int run_op(struct pickle *p, int op)
{
    switch (op) {
    case 0x80:
        return op_proto(p);
    case '(':
        return op_mark(p);
    case 'c':
        return op_global(p);
    case 'R':
        return op_reduce(p);
    case 'Q':
        return op_storage(p);
    case 'b':
        return op_build(p);
    case 'q':
    case 'r':
    case 'h':
    case 'j':
        return op_memo(p, op);
    case 'N':
    case 0x88:
    case 0x89:
    case 0x8a:
    case 'G':
    case 'J':
    case 'K':
    case 'M':
    case 'U':
    case 'T':
    case 'X':
        return op_constant(p, op);
    case ')':
    case ']':
    case '}':
    case 0x85:
    case 0x86:
    case 0x87:
    case 'a':
    case 's':
    case 't':
    case 'e':
    case 'u':
        return op_container(p, op);
    default:
        return refuse(p, op);
    }
}

int pickle_run(struct pickle *p, const char *file, const unsigned char *data, size_t n,
               size_t *used, struct err *e)
{
    *p = (struct pickle){.file = file, .start = data, .p = data, .e = e};
    p->end = data + (n < PICKLE_BYTES ? n : PICKLE_BYTES);
    while (p->p < p->end) {
        const int op = *p->p++;

        if (op == '.') {
            if (p->n_marks || p->n_stack != 1)
                return bad(p, "it does not leave one value");
            p->top = p->stack[0];
            *used = (size_t)(p->p - p->start);
            return 0;
        }
        if (run_op(p, op))
            return -1;
    }
    return bad(p, n > PICKLE_BYTES ? "it is longer than 32 MiB" : "it is cut short");
}

void pickle_free(struct pickle *p)
{
    for (size_t i = 0; i < p->n_items; i++)
        free(p->items[i].at);
    free(p->items);
    free(p->stack);
    free(p->memo);
    free(p->marks);
    free(p->storages);
    free(p->tensors);
    *p = (struct pickle){0};
}
