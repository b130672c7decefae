/* SPDX-License-Identifier: MIT */
#include "clean.h"
#include "chunk.h"
#include "clean_int.h"
#include "utf8fix.h"

#include <stdlib.h>

enum { MAX_STEPS = 32, LONGEST = 16 << 20, LONGEST_WORD = 64 };

enum value { NO_VALUE, WORD, COUNT };

/* A step of `html` is a step of its own, too. */
struct kind {
    const char *name, *shown, *does;
    clean_fn *run;
    enum value value;
    char trigger; /* a text without this byte has nothing to be done; '\0': any may */
    bool beyond_ascii; /* a text of ASCII alone has nothing to be done */
};

static const struct kind kinds[] = {
    {"html", "html", "tags, then entities", NULL, NO_VALUE, 0, false},
    {"tags", "tags", "HTML tags and comments, script and style with what is in them; a blank where a "
     "tag parts words", clean_tags, NO_VALUE, '<', false},
    {"entities", "entities", "HTML entities become the characters that they stand for",
     clean_entities, NO_VALUE, '&', false},
    {"lost-amp", "lost-amp", "likewise entities whose & became a blank or was lost: #39; quot;",
     clean_lost_amp, NO_VALUE, ';', false},
    {"url", "url[=WORD]", "web addresses are removed, or become WORD", clean_url, WORD, 0, false},
    {"email", "email[=WORD]", "mail addresses are removed, or become WORD", clean_email, WORD, '@',
     false},
    {"user", "user[=WORD]", "@names are removed, or become WORD", clean_user, WORD, '@', false},
    {"emoji", "emoji[=WORD]", "emoji are removed, or each becomes WORD", clean_emoji, WORD, 0, false},
    {"digits", "digits[=WORD]", "runs of digits are removed, or become WORD", clean_digits, WORD, 0,
     false},
    {"repeat", "repeat[=N]", "a character but digits and blanks stands N times in a row at most [3]",
     clean_repeat, COUNT, 0, false},
    {"escapes", "escapes", "\\n \\t \\r \\\" \\' \\/ \\\\ and \\uXXXX become the characters that they "
     "stand for", clean_escapes, NO_VALUE, '\\', false},
    {"backslash", "backslash", "backslashes become blanks", clean_backslash, NO_VALUE, '\\', false},
    {"lines", "lines", "words cut by a hyphen at a line's end are joined, other line ends become "
     "blanks", clean_lines, NO_VALUE, 0, false},
    {"ctrl", "ctrl", "control characters and what is invisible: zero width, direction marks, soft "
     "hyphens, byte order marks", clean_ctrl, NO_VALUE, 0, false},
    {"quotes", "quotes", "typographic quotes, dashes and ellipses become those of ASCII",
     clean_quotes, NO_VALUE, 0, true},
    {"nfc", "nfc", "Unicode normal form C: composed", clean_nfc, NO_VALUE, 0, true},
    {"nfd", "nfd", "Unicode normal form D: decomposed", clean_nfd, NO_VALUE, 0, true},
    {"nfkc", "nfkc", "Unicode normal form KC: compatibility characters replaced, composed",
     clean_nfkc, NO_VALUE, 0, true},
    {"nfkd", "nfkd", "Unicode normal form KD: likewise, decomposed", clean_nfkd, NO_VALUE, 0, true},
    {"accents", "accents", "non-spacing marks are removed, those of composed letters too",
     clean_accents, NO_VALUE, 0, true},
    {"lower", "lower", "lower case", clean_lower, NO_VALUE, 0, false},
    {"ws", "ws", "runs of white space become one blank, none stays at the ends", clean_ws, NO_VALUE, 0,
     false},
    {"trim", "trim", "white space at the ends is removed", clean_trim, NO_VALUE, 0, false},
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

struct step {
    const struct kind *kind;
    char word[LONGEST_WORD + 1];
    size_t word_n;
    int count;
};

struct cleaner {
    struct step step[MAX_STEPS];
    int n;
    size_t longest;
};

const char *clean_step_name(int i)
{
    return i >= 0 && i < N_KINDS ? kinds[i].shown : NULL;
}

const char *clean_step_does(int i)
{
    return i >= 0 && i < N_KINDS ? kinds[i].does : NULL;
}

/* ---- the list ---- */

static int unknown(const char *name, size_t n, struct err *e)
{
    struct buf names = {0};
    int rc = 0;

    for (int i = 0; i < N_KINDS && !rc; i++)
        rc = buf_puts(&names, i ? " " : "", e) || buf_puts(&names, kinds[i].name, e) ? -1 : 0;
    if (!rc)
        rc = err_set(e, ERR_USAGE, "--clean: '%.*s' is none of the steps: %s; 'tok --clean help' says what "
                     "they do", n > 40 ? 40 : (int)n, name, names.data);
    buf_free(&names);
    return rc;
}

static int set_value(struct step *s, const char *value, size_t n, struct err *e)
{
    const char *name = s->kind->name;

    if (s->kind->value == NO_VALUE)
        return err_set(e, ERR_USAGE, "--clean: '%s' takes no value", name);
    if (s->kind->value == COUNT) {
        if (n != 1 || *value < '1' || *value > '9')
            return err_set(e, ERR_USAGE, "--clean: %s=N takes a number from 1 to 9", name);
        s->count = *value - '0';
        return 0;
    }
    if (n > LONGEST_WORD || !utf8_valid((const uint8_t *)value, n))
        return err_set(e, ERR_USAGE, "--clean: %s=WORD takes a word in UTF-8 of at most %d bytes",
                       name, LONGEST_WORD);
    memcpy(s->word, value, n);
    s->word_n = n;
    return 0;
}

static int add_step(struct cleaner *c, const struct kind *kind, const char *value, size_t n,
                    struct err *e)
{
    struct step *s;

    if (c->n == MAX_STEPS)
        return err_set(e, ERR_USAGE, "--clean: more than %d steps", MAX_STEPS);
    s = &c->step[c->n++];
    s->kind = kind;
    s->count = 3;
    return value ? set_value(s, value, n, e) : 0;
}

/* NAME[=VALUE], n bytes. */
static int add_named(struct cleaner *c, const char *text, size_t n, struct err *e)
{
    const char *equals = memchr(text, '=', n);
    const size_t name_n = equals ? (size_t)(equals - text) : n;

    for (int i = 0; i < N_KINDS; i++) {
        if (strlen(kinds[i].name) != name_n || memcmp(kinds[i].name, text, name_n) != 0)
            continue;
        if (kinds[i].run)
            return add_step(c, &kinds[i], equals ? equals + 1 : NULL,
                            equals ? n - name_n - 1 : 0, e);
        if (equals)
            return err_set(e, ERR_USAGE, "--clean: '%s' takes no value", kinds[i].name);
        return add_step(c, &kinds[i + 1], NULL, 0, e) || add_step(c, &kinds[i + 2], NULL, 0, e)
                   ? -1 : 0;
    }
    return unknown(text, name_n, e);
}

struct cleaner *cleaner_make(const char *list, size_t longest, struct err *e)
{
    struct cleaner *c = mem_alloc(1, sizeof *c, "cleaner", e);

    if (!c)
        return NULL;
    c->longest = longest ? longest : LONGEST;
    for (;;) {
        const size_t n = strcspn(list, ",");

        if (add_named(c, list, n, e)) {
            cleaner_free(c);
            return NULL;
        }
        if (list[n] == '\0')
            return c;
        list += n + 1;
    }
}

void cleaner_free(struct cleaner *c)
{
    free(c);
}

/* ---- the steps ---- */

void clean_scratch_free(struct clean_scratch *s)
{
    buf_free(&s->text[0]);
    buf_free(&s->text[1]);
    norm_scratch_free(&s->points);
}

int clean_room(struct clean_pass *c, size_t n)
{
    if (n > c->longest - c->out->len)
        return err_set(c->e, ERR_DATA, "cleaning makes its text longer than %zu bytes; --max-line "
                       "N raises the limit", c->longest);
    return buf_reserve(c->out, n, c->e);
}

static bool idle(const struct kind *k, const char *text, size_t n)
{
    if (n == 0)
        return true;
    if (k->trigger)
        return !memchr(text, k->trigger, n);
    return k->beyond_ascii && utf8_is_plain(text, n);
}

int clean_text(const struct cleaner *c, struct clean_scratch *s, const char *text, size_t n,
               const char **to, size_t *to_n, struct err *e)
{
    const size_t longest = n > c->longest ? n : c->longest;
    int into = 0;

    for (int i = 0; i < c->n; i++) {
        const struct step *step = &c->step[i];
        struct clean_pass pass = {
            .p = (const uint8_t *)text, .n = n, .word = step->word, .word_n = step->word_n,
            .count = step->count, .out = &s->text[into], .longest = longest,
            .points = &s->points, .e = e};

        if (idle(step->kind, text, n))
            continue;
        buf_reset(pass.out);
        /* There is always memory to point to, also for a text of which nothing is left. */
        if (buf_reserve(pass.out, n, e) || step->kind->run(&pass))
            return -1;
        text = pass.out->data;
        n = pass.out->len;
        into = !into;
    }
    *to = text;
    *to_n = n;
    return 0;
}

/* ---- the records of a chunk ---- */

struct washing {
    const struct cleaner *cleaner;
    struct clean_scratch *scratch;
    struct record_chunk *chunk;
    struct clean_counts *counts;
};

/* One text or pair.  What changed moves into the chunk: the scratch is the next one's. */
static int clean_one(const struct washing *w, const char **text, size_t *n, struct err *e)
{
    const char *clean;
    size_t clean_n;
    char *room;

    if (!*text || *n == 0)
        return 0;
    if (clean_text(w->cleaner, w->scratch, *text, *n, &clean, &clean_n, e))
        return -1;
    if (clean_n == *n && memcmp(clean, *text, *n) == 0)
        return 0;
    room = chunk_room(w->chunk, clean_n, e);
    if (!room)
        return -1;
    memcpy(room, clean, clean_n);
    chunk_keep(w->chunk, clean_n);
    *text = room;
    *n = clean_n;
    w->counts->changed++;
    w->counts->emptied += clean_n == 0;
    return 0;
}

int clean_chunk(const struct cleaner *c, struct clean_scratch *s, struct record_chunk *chunk,
                struct clean_counts *counts, struct err *e)
{
    enum { LARGE = 1 << 20 };
    const struct washing w = {c, s, chunk, counts};

    for (size_t i = 0; i < chunk->n; i++) {
        struct record *r = &chunk->at[i];

        if (clean_one(&w, &r->text, &r->text_len, e) || clean_one(&w, &r->pair, &r->pair_len, e))
            return e->code != ERR_DATA ? -1 : err_prefix(e, "record %llu (line %llu): ",
                                                         (unsigned long long)r->number,
                                                         (unsigned long long)r->line);
    }
    if (s->text[0].cap > LARGE || s->text[1].cap > LARGE || s->points.cap > LARGE)
        clean_scratch_free(s);
    return 0;
}
