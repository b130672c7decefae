/* SPDX-License-Identifier: MIT */
#include "libarchive.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

/* The name of its interface since version 3.0; pipelines/bundle.sh has it, too. */
#define LIBRARY "libarchive.so.13"

static int not_there(struct err *e)
{
    const char *why = dlerror();

    if (errno == ENOMEM)
        return err_oom(e, LIBRARY, 0);
    return err_set(e, ERR_RUN, "archives need " LIBRARY ", which cannot be used: %s; install "
                   "libarchive (Debian: apt-get install libarchive13)", why ? why : "unknown");
}

int libarchive_load(struct libarchive *la, struct err *e)
{
    static const char *const name[] = {
#define LIBARCHIVE_NAME(name) #name,
        LIBARCHIVE_FUNCTIONS(LIBARCHIVE_NAME)
#undef LIBARCHIVE_NAME
    };
    const size_t size = sizeof(void *);
    void *library;

    errno = 0;
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return not_there(e);
    /* POSIX has the pointer to a function in the same bytes as one to an object. */
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        void *function = dlsym(library, name[i]);

        if (!function)
            return not_there(e);
        memcpy((char *)la + i * size, &function, size);
    }
    return 0;
}
