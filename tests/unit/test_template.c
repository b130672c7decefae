/* SPDX-License-Identifier: MIT */
#include "template.h"

#include <stdbool.h>
#include "test.h"

/* [CLS] A [SEP] and [CLS] A [SEP] B [SEP], as BERT has it. */
static const struct template bert = {
    .single = {{101, 0}, {SEGMENT_A, 0}, {102, 0}},
    .pair = {{101, 0}, {SEGMENT_A, 0}, {102, 0}, {SEGMENT_B, 1}, {102, 1}},
    .n_single = 3,
    .n_pair = 5,
};

/* <s> A </s></s> B </s>, as RoBERTa has it. */
static const struct template roberta = {
    .single = {{0, 0}, {SEGMENT_A, 0}, {2, 0}},
    .pair = {{0, 0}, {SEGMENT_A, 0}, {2, 0}, {2, 0}, {SEGMENT_B, 0}, {2, 0}},
    .n_single = 3,
    .n_pair = 6,
};

static void counts_specials(void)
{
    CHECK(template_specials(&bert, 0) == 2 && template_specials(&bert, 1) == 3);
    CHECK(template_specials(&roberta, 0) == 2 && template_specials(&roberta, 1) == 4);
}

/* What tokenizers 0.23.3 gives with enable_truncation(max_length) and "longest_first". */
static void cuts_as_the_reference(void)
{
    static const struct {
        int max;
        size_t a, b, cut_a, cut_b;
    } want[] = {
        {0, 9, 9, 9, 9},     {12, 4, 5, 4, 5},    {12, 5, 5, 4, 5},    {12, 6, 5, 5, 4},
        {12, 9, 9, 4, 5},    {12, 10, 9, 5, 4},   {12, 3, 20, 3, 6},   {12, 20, 3, 6, 3},
        {12, 0, 20, 0, 9},   {12, 20, 0, 9, 0},   {12, 4, 20, 4, 5},   {12, 5, 20, 4, 5},
        {13, 9, 9, 5, 5},    {13, 5, 20, 5, 5},   {13, 6, 20, 5, 5},   {3, 4, 4, 0, 0},
        {4, 4, 4, 0, 1},     {4, 5, 4, 1, 0},     {4, 0, 7, 0, 1},     {5, 1, 9, 1, 1},
        {512, 300, 300, 254, 255}, {512, 600, 600, 254, 255}, {512, 601, 600, 255, 254},
        {512, 100, 600, 100, 409}, {2, 4, 4, 0, 0},
    };

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        size_t a = want[i].a, b = want[i].b;

        template_cut(&bert, want[i].max, &a, &b);
        CHECK_MSG(a == want[i].cut_a && b == want[i].cut_b,
                  "%zu and %zu under %d are cut to %zu and %zu", want[i].a, want[i].b,
                  want[i].max, a, b);
    }
}

static void cuts_one_segment(void)
{
    size_t n = 50;

    template_cut(&bert, 0, &n, NULL);
    CHECK(n == 50);
    template_cut(&bert, 52, &n, NULL);
    CHECK(n == 50);
    template_cut(&bert, 51, &n, NULL);
    CHECK(n == 49);
    template_cut(&bert, 2, &n, NULL);
    CHECK(n == 0);
    n = 5;
    template_cut(&bert, 1, &n, NULL);
    CHECK(n == 0);
}

/* For every pair of lengths: nothing is left over, nothing is too long. */
static void cuts_use_the_whole_budget(void)
{
    for (int max = 4; max < 30; max++) {
        for (size_t a = 0; a < 30; a++) {
            for (size_t b = 0; b < 30; b++) {
                const size_t budget = (size_t)max - 4;
                size_t x = a, y = b;

                template_cut(&roberta, max, &x, &y);
                CHECK_MSG(x <= a && y <= b && x + y == (a + b < budget ? a + b : budget),
                          "%zu and %zu under %d: %zu and %zu", a, b, max, x, y);
            }
        }
    }
}

static void fills_one(void)
{
    const uint32_t a[] = {7, 8, 9};
    int32_t ids[8], types[8];
    uint8_t ordinary[8];

    CHECK(template_fill(&bert, &(struct template_text){a, 3, 3, 3}, NULL, ids, types, ordinary) == 5);
    CHECK(ids[0] == 101 && ids[1] == 7 && ids[3] == 9 && ids[4] == 102);
    CHECK(ordinary[0] == 0 && ordinary[1] == 1 && ordinary[3] == 1 && ordinary[4] == 0);
    CHECK(types[0] == 0 && types[4] == 0);
    CHECK(template_fill(&bert, &(struct template_text){a, 0, 0, 0}, NULL, ids, types, NULL) == 2);
    CHECK(ids[0] == 101 && ids[1] == 102);
}

static void fills_two(void)
{
    const uint32_t a[] = {7, 8}, b[] = {9};
    const struct template_text first = {a, 2, 2, 2}, second = {b, 1, 1, 1};
    const struct template_text empty = {b, 0, 0, 0};
    int32_t ids[8], types[8];
    uint8_t ordinary[8];

    CHECK(template_fill(&bert, &first, &second, ids, types, ordinary) == 6);
    CHECK(ids[3] == 102 && ids[4] == 9 && ids[5] == 102);
    CHECK(types[3] == 0 && types[4] == 1 && types[5] == 1);
    CHECK(ordinary[3] == 0 && ordinary[4] == 1);
    /* An empty second segment is not the same as none. */
    CHECK(template_fill(&roberta, &first, &empty, ids, types, ordinary) == 6);
    CHECK(ids[0] == 0 && ids[3] == 2 && ids[4] == 2 && ids[5] == 2);
}

static void reads_which_part_stays(void)
{
    static const struct {
        const char *text;
        int64_t max_len, head; /* -2: refused */
    } want[] = {
        {"head", 512, -1},       {"tail", 512, 0},           {"head+tail", 512, 128},
        {"head+tail", 64, 16},   {"head+tail:0", 64, 0},     {"head+tail:382", 512, 382},
        {"head+tail:", 64, -2},  {"head+tail:-1", 64, -2},   {"head+tail:1x", 64, -2},
        {"head+tail: 1", 64, -2}, {"middle", 64, -2},        {"", 64, -2},
        {"head+tail:99999999999999999999", 64, -2},
    };

    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct template_limit limit = {.max_len = want[i].max_len};
        struct err e = {0};
        const int rc = template_read_cut(want[i].text, &limit, &e);

        CHECK_MSG(want[i].head == -2 ? rc && e.code == ERR_USAGE
                                     : rc == 0 && limit.head == want[i].head,
                  "%s: %d, %lld", want[i].text, rc, (long long)limit.head);
        err_clear(&e);
    }
}

/* What stays of 0, 1, ..., n - 1 under every limit: the start, the end, nothing between. */
static void keeps_start_and_end(void)
{
    uint32_t a[20];
    int32_t ids[32], types[32];

    for (uint32_t i = 0; i < 20; i++)
        a[i] = i;
    for (size_t n = 0; n <= 20; n++)
        for (int64_t max = 2; max <= 24; max++)
            for (int64_t head = -1; head <= 22; head++) {
                const struct template_limit limit = {max, head};
                struct template_text text = {.ids = a, .n = n};
                const size_t room = (size_t)max - 2, kept = n < room ? n : room;
                const size_t start =
                    kept == n || head < 0 || (size_t)head > kept ? kept : (size_t)head;
                bool right;

                template_keep(&bert, &limit, &text, NULL);
                right = template_fill(&bert, &text, NULL, ids, types, NULL) == kept + 2;
                for (size_t i = 0; i < kept; i++)
                    right = right && (size_t)ids[i + 1] == (i < start ? i : n - kept + i);
                CHECK_MSG(right && ids[kept + 1] == 102, "%zu under %lld, head %lld", n,
                          (long long)max, (long long)head);
            }
}

/* Of a pair each text keeps its own start and end. */
static void keeps_both_ends_of_a_pair(void)
{
    const uint32_t a[] = {1, 2, 3, 4, 5, 6}, b[] = {11, 12, 13, 14, 15};
    static const int32_t want[] = {101, 1, 5, 6, 102, 11, 14, 15, 102};
    const struct template_limit limit = {9, 1};
    struct template_text first = {.ids = a, .n = 6}, second = {.ids = b, .n = 5};
    int32_t ids[16], types[16];

    template_keep(&bert, &limit, &first, &second);
    CHECK(template_fill(&bert, &first, &second, ids, types, NULL) == 9);
    CHECK(memcmp(ids, want, sizeof want) == 0);
    CHECK(types[4] == 0 && types[5] == 1 && types[8] == 1);
}

int main(void)
{
    RUN(counts_specials);
    RUN(cuts_as_the_reference);
    RUN(cuts_one_segment);
    RUN(cuts_use_the_whole_budget);
    RUN(fills_one);
    RUN(fills_two);
    RUN(reads_which_part_stays);
    RUN(keeps_start_and_end);
    RUN(keeps_both_ends_of_a_pair);
    return test_end();
}
