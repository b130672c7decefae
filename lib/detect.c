/* SPDX-License-Identifier: MIT */
#include "detect.h"
#include "delim.h"

#include <string.h>
#include <strings.h>

enum { LOOK_FIELDS = 256, NAME_LONGEST = 40 };

static bool ends_with(const char *path, const char *ending)
{
    const size_t n = strlen(path), k = strlen(ending);

    return n >= k && strcasecmp(path + n - k, ending) == 0;
}

/* { and behind it a key or the closing brace. */
static bool is_object(const char *p, size_t n)
{
    const char *end = p + n;

    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (p == end || *p++ != '{')
        return false;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p < end && (*p == '"' || *p == '}');
}

/* A field as headers have them: short, and no sentence. */
static bool is_name_like(const struct field *f)
{
    if (f->n == 0 || f->n > NAME_LONGEST)
        return false;
    for (size_t i = 0; i < f->n; i++)
        if (strchr(".!?;", f->at[i]) || f->at[i] == '\0')
            return false;
    return true;
}

static bool looks_like_csv(const char *line, size_t n, const struct wants *w)
{
    struct field fields[LOOK_FIELDS];
    struct csv_record r;
    bool usual = false, names = true;

    if (csv_split(line, n, true, fields, LOOK_FIELDS, &r) != CSV_OK || r.n < 2)
        return n > 0 && *line == '"' && memmem(line, n, "\",", 2) != NULL;
    if (*line == '"')
        return true;
    if (r.n > LOOK_FIELDS)
        r.n = LOOK_FIELDS;
    if (w->any_name)
        return wants_names_in(w, fields, r.n);
    for (size_t i = 0; i < r.n; i++) {
        usual |= is_usual_name(&fields[i]);
        names &= is_name_like(&fields[i]);
    }
    return usual && names;
}

enum records_format detect_format(const char *path, const char *data, size_t n,
                                  const struct wants *w)
{
    const char *newline = memchr(data, '\n', n);
    struct field line = {data, newline ? (size_t)(newline - data) : n, false};
    bool tab;

    if (line.n > 0 && line.at[line.n - 1] == '\r')
        line.n--;
    tab = memchr(line.at, '\t', line.n) != NULL;
    if (ends_with(path, ".tsv") || ends_with(path, ".tab"))
        return RECORDS_TSV;
    if (ends_with(path, ".csv"))
        return tab && !memchr(line.at, ',', line.n) ? RECORDS_TSV : RECORDS_CSV;
    if (ends_with(path, ".jsonl") || ends_with(path, ".ndjson") || ends_with(path, ".json") ||
        is_object(line.at, line.n))
        return RECORDS_JSONL;
    if (tab)
        return RECORDS_TSV;
    if (looks_like_csv(line.at, line.n, w))
        return RECORDS_CSV;
    return w->n > 0 || is_usual_name(&line) ? RECORDS_TSV : RECORDS_TEXT;
}
