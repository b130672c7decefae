/* SPDX-License-Identifier: MIT */
#include "vocablist.h"
#include "mem.h"

#include <stdlib.h>

int vocablist_add(struct vocablist *v, const char *token, size_t n, float score, struct err *e)
{
    if (mem_grow(&v->token, &v->cap, v->n + 1, sizeof *v->token, e) ||
        mem_grow(&v->score, &v->score_cap, v->n + 1, sizeof *v->score, e))
        return -1;
    v->token[v->n] = mem_dupn(token, n, e);
    if (!v->token[v->n])
        return -1;
    v->score[v->n++] = score;
    return 0;
}

void vocablist_free(struct vocablist *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->token[i]);
    free(v->token);
    free(v->score);
    free(v->merge);
    *v = (struct vocablist){0};
}
