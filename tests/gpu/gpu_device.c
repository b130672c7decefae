/* SPDX-License-Identifier: MIT */
/*
 * gpu_device: is there a device that the plug-in can use?  0 and the name of the table, or 1
 * and the reason why not.
 */
#include "backend.h"

#include <stdio.h>

int main(void)
{
    struct dev_options o = {.precision = "fp32"};
    struct err e = {0};
    const struct backend *b = backend_choose("cuda", &o.index, NULL, &e);
    struct dev *d = b ? b->open(&o, &e) : NULL;

    printf("%s\n", d ? b->name : e.text);
    if (!d)
        return 1;
    b->close(d);
    return 0;
}
