/* SPDX-License-Identifier: MIT */
#include "pickle.h"

int pickle_list(const struct tensorfile *f, struct stored_list *l, struct err *e)
{
    (void)l;
    return err_set(e, ERR_DATA, "'%s': this format is not read yet", f->name);
}
