/* SPDX-License-Identifier: MIT */
#include "mask.h"

#include "opt.h"
#include "philox.h"

#include <math.h>
#include <string.h>

#define ONE 4294967296.0

static int read_shares(struct mask *m, const char *text, struct err *e)
{
    double share[3], sum = 0;
    const char *p = text;
    char number[32];

    for (int i = 0; i < 3; i++) {
        const size_t n = strcspn(p, ",");
        struct err bad = {0};

        if (n == 0 || n >= sizeof number || (p[n] == ',') != (i < 2))
            return err_set(e, ERR_USAGE, "--mask '%s': must be three shares, as 80,10,10",
                           text);
        memcpy(number, p, n);
        number[n] = '\0';
        if (opt_real(number, "mask", &share[i], &bad) ||
            !(share[i] >= 0 && share[i] <= 100))
            return err_set(e, ERR_USAGE, "--mask '%s': shares are between 0 and 100",
                           text);
        sum += share[i];
        p += n + 1;
    }
    if (fabs(sum - 100.0) > 1e-9)
        return err_set(e, ERR_USAGE, "--mask '%s': the shares sum to %g, not 100", text,
                       sum);
    m->masked = (uint64_t)llround(share[0] / 100.0 * ONE);
    m->replaced = m->masked + (uint64_t)llround(share[1] / 100.0 * ONE);
    if (share[2] <= 0)
        m->replaced = (uint64_t)ONE;
    return 0;
}

int mask_init(struct mask *m, uint64_t seed, double prob, const char *shares,
              bool whole_word, struct err *e)
{
    memset(m, 0, sizeof *m);
    m->seed = seed;
    m->prob = (uint64_t)llround(prob * ONE);
    m->whole_word = whole_word;
    return read_shares(m, shares, e);
}

/*
 * The four words of one place of a text: chosen?, what becomes of it, which random
 * token.
 */
static void draw(const uint32_t key[2], const struct mask_text *t, size_t at,
                 uint32_t word[4])
{
    const uint32_t counter[4] = {(uint32_t)t->record, (uint32_t)(t->record >> 32),
                                 (uint32_t)at, (uint32_t)t->segment};

    philox4x32(word, counter, key);
}

/* Where the word that holds place `at` starts. */
static size_t word_start(const struct mask_text *t, size_t at)
{
    while (at > 0 && !t->start[at])
        at--;
    return at;
}

static uint32_t become(const struct mask *m, uint32_t id, const uint32_t word[4])
{
    if (word[1] < m->masked)
        return (uint32_t)m->mask_id;
    if (word[1] < m->replaced && m->n_ordinary)
        return m->ordinary[philox_below(word[2], word[3], m->n_ordinary)];
    return id;
}

size_t mask_piece(const struct mask *m, uint32_t epoch, const struct mask_text *t,
                  size_t from, size_t n, uint32_t *out, int32_t *target)
{
    uint32_t key[2], word[4], first[4];
    size_t targets = 0;
    bool chosen = false;

    philox_key(key, m->seed, epoch, PHILOX_SITE_MASK);
    for (size_t i = 0; i < n; i++) {
        const size_t at = from + i;
        const uint32_t id = t->ids[at];
        bool target_here;

        draw(key, t, at, word);
        if (!m->whole_word) {
            chosen = word[0] < m->prob;
        } else if (i == 0 || t->start[at]) {
            draw(key, t, word_start(t, at), first);
            chosen = first[0] < m->prob;
        }
        target_here = chosen && (id >= m->vocab || !m->special[id]);
        targets += target_here;
        if (out)
            out[i] = target_here ? become(m, id, word) : id;
        if (target)
            target[i] = target_here ? (int32_t)id : -1;
    }
    return targets;
}
