/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pickle: any bytes as a pytorch_model.bin in either layout.  Bytes that are neither
 * are run as a pickle alone, so that mutations need not get past a checksum.
 */
#include "fuzz.h"
#include "pickle.h"
#include "pickle_vm.h"

int fuzz_pickle(const uint8_t *data, size_t n)
{
    struct stored_list l = {0};
    struct tensorfile f;
    struct pickle p;
    struct err e = {0};
    size_t used = 0;

    if (tensorfile_memory(&f, "fuzz", data, n, &e) == 0 && pickle_list(&f, &l, &e) == 0 &&
        stored_sort(&l, &e) == 0)
        fuzz_read_all(&l);
    stored_list_free(&l);
    tensorfile_close(&f);
    err_clear(&e);
    if (pickle_run(&p, "fuzz", data, n, &used, &e) == 0 && used > n)
        __builtin_trap();
    pickle_free(&p);
    return 0;
}

FUZZ_ENTRY(fuzz_pickle)
