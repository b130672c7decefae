/* SPDX-License-Identifier: MIT */
/* Which record goes where: sizes, strata, and that draws stay what they are. */
#include "seen.h"
#include "split.h"
#include "test.h"

#include <stdlib.h>

enum { MOST = 2000 };

/* Deals m records of n_classes classes and checks sizes and the shares of each class. */
static bool deals_well(const char *text, size_t m, uint32_t n_classes, uint64_t seed)
{
    static uint32_t class[MOST], part[MOST];
    static double got[64][64];
    uint64_t in_class[64] = {0}, in_part[64] = {0};
    struct split s = {0};
    struct err e = {0};
    bool good;

    memset(got, 0, sizeof got);
    for (size_t i = 0; i < m; i++) {
        class[i] = (uint32_t)(i * i % 1009 % n_classes);
        in_class[class[i]]++;
    }
    good = split_parse(&s, text, &e) == 0 && split_sizes(&s, m, &e) == 0 &&
           split_deal(&s, seed, 1, m, n_classes > 1 ? class : NULL, part, &e) == 0;
    for (size_t i = 0; good && i < m; i++)
        if (part[i] != SPLIT_NONE) {
            good = part[i] < s.n;
            in_part[part[i]]++;
            got[part[i]][class[i]]++;
        }
    for (size_t p = 0; good && p < s.n; p++) {
        good = in_part[p] == s.part[p].count;
        for (uint32_t c = 0; good && n_classes > 1 && c < n_classes; c++) {
            const double want = (double)s.part[p].count * (double)in_class[c] / (double)m;

            good = got[p][c] > want - 2 && got[p][c] < want + 2;
        }
    }
    split_free(&s);
    return good;
}

static void parts_have_their_sizes_and_classes(void)
{
    static const char *const texts[] = {
        "a=90%,b=10%", "a=80%,b=10%,c=10%", "a=33.3%,b=33.3%,c=33.4%", "a=1%",
        "a=5,b=20%,c=1", "a=100%", "a=0%,b=50%", "a=12.5%,b=12.5%,c=12.5%,d=12.5%,e=50%"};

    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
        for (size_t m = 30; m <= MOST; m = m * 5 / 3 + 1)
            for (uint32_t classes = 1; classes <= 11; classes += 2)
                CHECK_MSG(deals_well(texts[t], m, classes, m), "%s of %zu, %u classes",
                          texts[t], m, classes);
}

static void whole_shares_leave_nothing_out(void)
{
    for (size_t m = 0; m < 300; m++)
        for (size_t n = 1; n <= 12; n++) {
            struct split s = {0};
            struct err e = {0};
            uint64_t sum = 0, least = UINT64_MAX, most = 0;

            CHECK(split_equal(&s, n, 0, &e) == 0 && split_sizes(&s, m, &e) == 0);
            for (size_t p = 0; p < n; p++) {
                sum += s.part[p].count;
                least = s.part[p].count < least ? s.part[p].count : least;
                most = s.part[p].count > most ? s.part[p].count : most;
            }
            CHECK_MSG(sum == m && most - least <= 1, "%zu into %zu", m, n);
            split_free(&s);
        }
}

/* A split that was published must come out the same from every later version. */
static void draws_stay_what_they_are(void)
{
    static const uint32_t want[] = {2, 0, 0, 0, 1, 2, 1, 0, 0, 1,
                                    2, 1, 0, 0, 2, 0, 0, 0, 0, 0};
    uint32_t part[20];
    struct split s = {0};
    struct err e = {0};

    CHECK(split_parse(&s, "train=60%,dev=20%,test=20%", &e) == 0);
    CHECK(split_sizes(&s, 20, &e) == 0 && split_deal(&s, 42, 1, 20, NULL, part, &e) == 0);
    for (int i = 0; i < 20; i++)
        CHECK_MSG(part[i] == want[i], "record %d is in %u", i, part[i]);
    split_free(&s);
}

static void wrong_texts_are_refused(void)
{
    static const char *const texts[] = {"", "a", "a=", "=5%", "a=5%,", "a=x%", "a=-1%",
                                        "a=101%", "a=60%,b=60%", "a=5%,a=5%", "a/b=5%",
                                        ".a=5%", "a b=5%", "a=1.5", "a=-3", "a=5%%"};

    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        struct split s = {0};
        struct err e = {0};

        CHECK_MSG(split_parse(&s, texts[t], &e) == -1 && e.code == ERR_USAGE, "'%s'",
                  texts[t]);
        split_free(&s);
    }
}

static void copies_are_found(void)
{
    struct seen seen = {0};
    struct err e = {0};

    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 5000; i++) {
            const uint32_t ids[4] = {i, i + 1, i % 7, 9};
            /* The same ids, cut between the segments in three ways. */
            for (size_t cut = 2; cut <= 4; cut++) {
                const struct toks_record r = {.a = ids, .n_a = cut == 4 ? 4 : cut,
                                              .b = cut == 4 ? NULL : ids + cut,
                                              .n_b = 4 - cut};
                uint64_t value = 3 * i + cut;

                CHECK(seen_has(&seen, &r) == (round == 1));
                CHECK(seen_add(&seen, &r, &value, &e) == round);
                CHECK(value == 3 * i + cut);
            }
        }
    CHECK(seen.n == 15000);
    seen_free(&seen);
}

int main(void)
{
    RUN(parts_have_their_sizes_and_classes);
    RUN(whole_shares_leave_nothing_out);
    RUN(draws_stay_what_they_are);
    RUN(wrong_texts_are_refused);
    RUN(copies_are_found);
    return test_end();
}
