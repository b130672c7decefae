/* SPDX-License-Identifier: MIT */
/*
 * test: the few lines that every C unit test shares.
 *
 *     int main(void) { RUN(roundtrip); RUN(cut_everywhere); return test_end(); }
 *
 * Output is TAP, so that tests/run can count it.  A CHECK that fails ends its test function.
 */
#ifndef BERTUTILS_TEST_H
#define BERTUTILS_TEST_H

#include <stdio.h>
#include <string.h>

static int test_count, test_failed, test_bad;

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            printf("# %s:%d: %s is false\n", __FILE__, __LINE__, #condition);              \
            test_bad = 1;                                                                  \
            return;                                                                        \
        }                                                                                  \
    } while (0)

/* A CHECK that says more: CHECK_MSG(a == b, "a is %d", a). */
#define CHECK_MSG(condition, ...)                                                          \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            printf("# %s:%d: %s is false: ", __FILE__, __LINE__, #condition);              \
            printf(__VA_ARGS__);                                                           \
            printf("\n");                                                                  \
            test_bad = 1;                                                                  \
            return;                                                                        \
        }                                                                                  \
    } while (0)

#define RUN(name)                                                                          \
    do {                                                                                   \
        test_bad = 0;                                                                      \
        name();                                                                            \
        test_count++;                                                                      \
        test_failed += test_bad;                                                           \
        printf("%s %d - %s\n", test_bad ? "not ok" : "ok", test_count, #name);             \
        fflush(stdout);                                                                    \
    } while (0)

#define SKIP(name, why) printf("ok %d - %s # skip %s\n", ++test_count, #name, why)

static inline int test_end(void)
{
    printf("1..%d\n", test_count);
    return test_failed ? 1 : 0;
}

#endif
