/* SPDX-License-Identifier: MIT */
#include "backend.h"
#include "msg.h"

#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The plug-in: $BERTUTILS_CUDA, else ../lib/bertutils/cuda.so beside the directory of the
 * executable, which is right in the source tree and where it is installed.
 */
static int plugin_path(char *path, size_t size)
{
    const char *given = getenv("BERTUTILS_CUDA");
    char exe[PATH_MAX];
    ssize_t n;
    char *slash;

    if (given && *given)
        return snprintf(path, size, "%s", given) < (int)size ? 0 : -1;
    n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return -1;
    exe[n] = '\0';
    slash = strrchr(exe, '/');
    if (!slash)
        return -1;
    *slash = '\0';
    n = snprintf(path, size, "%s/../lib/bertutils/cuda.so", exe);
    return n < (ssize_t)size ? 0 : -1;
}

/* Opens and checks the plug-in, which is never closed.  NULL and the reason. */
static const struct backend *plugin_open(struct err *e)
{
    const struct backend *(*entry)(void), *b;
    char path[PATH_MAX + 64];
    void *library, *symbol;

    if (plugin_path(path, sizeof path) != 0) {
        err_set(e, ERR_RUN, "cannot tell where the CUDA plug-in is; set BERTUTILS_CUDA");
        return NULL;
    }
    if (access(path, R_OK) != 0) {
        err_sys(e, ERR_RUN, "no CUDA plug-in '%s' (run 'make cuda')", path);
        return NULL;
    }
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    symbol = library ? dlsym(library, "backend_entry") : NULL;
    if (!symbol) {
        const char *why = dlerror();
        const bool cublas = why && strstr(why, "libcublasLt");

        err_set(e, ERR_RUN, "cannot load the CUDA plug-in: %s%s", why ? why : path,
                cublas ? " (pipelines/cublas.sh looks for it and links it there)" : "");
        return NULL;
    }
    memcpy(&entry, &symbol, sizeof entry);
    b = entry();
    /* Nothing behind abi and size may be read before they are right. */
    if (!b || b->abi != BACKEND_ABI || b->size != sizeof *b ||
        strcmp(b->build_id, backend_cpu()->build_id) != 0) {
        err_set(e, ERR_RUN, "'%s' belongs to another build of bertutils; run 'make cuda' again",
                path);
        return NULL;
    }
    return b;
}

/* The N of "cuda" or "cuda:N", or -1. */
static int cuda_index(const char *device)
{
    char *end;
    long n;

    if (strcmp(device, "cuda") == 0)
        return 0;
    if (strncmp(device, "cuda:", 5) != 0 || device[5] < '0' || device[5] > '9')
        return -1;
    n = strtol(device + 5, &end, 10);
    return *end || n > 1023 ? -1 : (int)n;
}

static const struct backend *cuda_choose(int index, struct err *e)
{
    const struct backend *b = plugin_open(e);
    struct err why = {0};
    int n;

    if (!b)
        return NULL;
    n = b->probe(&why);
    if (n <= 0) {
        err_set(e, ERR_RUN, "no usable CUDA device: %s; see nvidia-smi, or use --device cpu",
                why.text);
        return NULL;
    }
    if (index >= n) {
        err_set(e, ERR_RUN, "no device cuda:%d, the last one is cuda:%d", index, n - 1);
        return NULL;
    }
    return b;
}

/* A GPU and a plug-in are there: when they do not work together, that is worth a warning. */
static bool cuda_expected(void)
{
    char path[PATH_MAX + 64];

    return plugin_path(path, sizeof path) == 0 && access(path, R_OK) == 0 &&
           access("/dev/nvidiactl", F_OK) == 0;
}

/* ---- starting ahead of time ---- */

static void *warm(void *index)
{
    struct err ignored = {0};
    const struct backend *b = cuda_choose((int)(intptr_t)index, &ignored);

    if (b)
        b->warm((int)(intptr_t)index);
    return NULL;
}

void backend_warm(struct backend_start *s, const char *device)
{
    const bool any = !device || strcmp(device, "auto") == 0;
    const int index = any ? 0 : cuda_index(device);
    char path[PATH_MAX + 64];
    sigset_t all, before;

    if (index < 0 || plugin_path(path, sizeof path) != 0 || access(path, R_OK) != 0)
        return;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    s->running = pthread_create(&s->thread, NULL, warm, (void *)(intptr_t)index) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void backend_warmed(struct backend_start *s)
{
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
}

const struct backend *backend_choose(const char *device, int *index, struct msg *m,
                                     struct err *e)
{
    const bool any = !device || strcmp(device, "auto") == 0;
    const struct backend *b;
    struct err why = {0};

    *index = 0;
    if (!any && strcmp(device, "cpu") == 0)
        return backend_cpu();
    if (!any) {
        *index = cuda_index(device);
        if (*index < 0) {
            err_set(e, ERR_USAGE, "unknown device '%s'; it is auto, cpu, cuda or cuda:N",
                    device);
            return NULL;
        }
        return cuda_choose(*index, e);
    }
    b = cuda_choose(0, &why);
    if (b)
        return b;
    if (m && cuda_expected())
        msg_warn(m, "the GPU is not used: %s", why.text);
    else if (m)
        msg_verbose(m, "device: cpu (%s)", why.text);
    return backend_cpu();
}

void step_set_rates(struct dev_step *s, float lr, float beta1, float beta2, int64_t t)
{
    s->lr = (double)lr;
    s->rest1 = 1 - pow((double)beta1, (double)t);
    s->root2 = (float)(1 / sqrt(1 - pow((double)beta2, (double)t)));
}
