/* SPDX-License-Identifier: MIT */
/* fuzz_safetensors: any bytes as a model.safetensors; all values that are listed are read. */
#include "fuzz.h"
#include "safetensors.h"

int fuzz_safetensors(const uint8_t *data, size_t n)
{
    struct stored_list l = {0};
    struct tensorfile f;
    struct err e = {0};

    if (tensorfile_memory(&f, "fuzz", data, n, &e) == 0 && safetensors_list(&f, &l, &e) == 0 &&
        stored_sort(&l, &e) == 0)
        fuzz_read_all(&l);
    stored_list_free(&l);
    tensorfile_close(&f);
    return 0;
}

FUZZ_ENTRY(fuzz_safetensors)
