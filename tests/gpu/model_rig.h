/* SPDX-License-Identifier: MIT */
/*
 * model_rig: what tests of whole models on a GPU share: a folder for a config.json, and a main
 * that skips where there is no device.
 */
#ifndef BERTUTILS_TESTS_MODEL_RIG_H
#define BERTUTILS_TESTS_MODEL_RIG_H

#include "../unit/test.h"
#include "model.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64]; /* the model directory */

/* Writes DIR/config.json; 0 or not. */
__attribute__((format(printf, 1, 2))) static inline int put_config(const char *format, ...)
{
    char path[128];
    va_list args;
    FILE *f;

    snprintf(path, sizeof path, "%s/config.json", dir);
    f = fopen(path, "w");
    if (!f)
        return -1;
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    return fclose(f);
}

static inline int model_main(void (*suite)(void))
{
    struct err e = {0};
    char path[128];
    int index;

    if (!backend_choose("cuda", &index, NULL, &e)) {
        SKIP(all, e.text);
        return test_end();
    }
    snprintf(dir, sizeof dir, "/tmp/test-gpu-model-%ld", (long)getpid());
    if (mkdir(dir, 0700))
        return 1;
    suite();
    snprintf(path, sizeof path, "%s/config.json", dir);
    unlink(path);
    rmdir(dir);
    return test_end();
}

#endif
