/* SPDX-License-Identifier: MIT */
/* table: the CPU's op table, its memory and its scratch. */
#include "gemm.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef BERTUTILS_BUILD_ID
#define BERTUTILS_BUILD_ID "unset"
#endif

enum { HUGE_PAGE = 2 << 20, COPY_BLOCK = 4 << 20 };

/*
 * Large blocks start on a huge page and ask for huge pages: products walk down columns, and
 * with small pages each of their rows would need a page table entry of its own.
 */
static void *big_alloc(size_t bytes, const char *what, struct err *e)
{
    void *p = NULL;

    if (bytes < HUGE_PAGE)
        return mem_alloc_aligned(bytes, what, e);
    if (bytes > SIZE_MAX - HUGE_PAGE || posix_memalign(&p, HUGE_PAGE, bytes) != 0) {
        err_oom(e, what, bytes);
        return NULL;
    }
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish; without it all works, slower */
    return p;
}

static int scratch_grow(struct scratch *s, size_t bytes, struct err *e)
{
    void *p;

    if (bytes <= s->size)
        return 0;
    p = big_alloc(bytes, "scratch of a kernel", e);
    if (!p)
        return -1;
    mem_free_aligned(s->p);
    *s = (struct scratch){p, bytes};
    return 0;
}

int scratch_own(struct dev *d, size_t bytes, struct err *e)
{
    for (int i = 0; i < d->threads; i++)
        if (scratch_grow(&d->own[i], bytes, e) != 0)
            return -1;
    return 0;
}

int scratch_shared(struct dev *d, size_t bytes, struct err *e)
{
    return scratch_grow(&d->shared, bytes, e);
}

static int cpu_probe(struct err *why)
{
    (void)why;
    return 1;
}

static void cpu_close(struct dev *d)
{
    if (!d)
        return;
    for (int i = 0; d->own && i < d->threads; i++)
        mem_free_aligned(d->own[i].p);
    mem_free_aligned(d->shared.p);
    free(d->own);
    free(d);
}

static struct dev *cpu_open(const struct dev_options *o, struct err *e)
{
    const char *precision = o->precision ? o->precision : "auto";
    struct dev *d;

    if (strcmp(precision, "auto") != 0 && strcmp(precision, "fp32") != 0) {
        err_set(e, ERR_USAGE, "precision '%s' is not available on the CPU yet; use fp32",
                precision);
        return NULL;
    }
    d = mem_alloc(1, sizeof *d, "device", e);
    if (!d)
        return NULL;
    d->par = o->par;
    d->threads = par_threads(o->par);
    d->own = mem_alloc((size_t)d->threads, sizeof *d->own, "device", e);
    if (!d->own) {
        cpu_close(d);
        return NULL;
    }
    gemm_open(d);
    return d;
}

static enum dtype cpu_activations(const struct dev *d)
{
    (void)d;
    return DT_F32;
}

static void *cpu_alloc(struct dev *d, size_t bytes, struct err *e)
{
    (void)d;
    return big_alloc(bytes, "memory of the model", e);
}

static void cpu_release(struct dev *d, void *p)
{
    (void)d;
    mem_free_aligned(p);
}

struct copy {
    char *to;
    const char *from; /* NULL: zeros */
    size_t bytes;
};

static void copy_block(void *ctx, int64_t i, int thread)
{
    const struct copy *c = ctx;
    const size_t at = (size_t)i * COPY_BLOCK;
    const size_t n = c->bytes - at < COPY_BLOCK ? c->bytes - at : COPY_BLOCK;

    (void)thread;
    if (c->from)
        memcpy(c->to + at, c->from + at, n);
    else
        memset(c->to + at, 0, n);
}

static int copy_run(struct dev *d, void *to, const void *from, size_t bytes)
{
    struct copy c = {to, from, bytes};

    par_for(d->par, cut_count((int64_t)bytes, COPY_BLOCK), copy_block, &c);
    return 0;
}

static int cpu_copy(struct dev *d, void *to, const void *from, size_t bytes, struct err *e)
{
    (void)e;
    return bytes ? copy_run(d, to, from, bytes) : 0;
}

static int cpu_zero(struct dev *d, void *p, size_t bytes, struct err *e)
{
    (void)e;
    return copy_run(d, p, NULL, bytes);
}

static int cpu_sync(struct dev *d, struct err *e)
{
    (void)d;
    (void)e;
    return 0;
}

static const struct backend table = {
    .abi = BACKEND_ABI,
    .size = sizeof(struct backend),
    .name = "cpu",
    .build_id = BERTUTILS_BUILD_ID,
    .probe = cpu_probe,
    .open = cpu_open,
    .close = cpu_close,
    .activations = cpu_activations,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .put = cpu_copy,
    .get = cpu_copy,
    .zero = cpu_zero,
    .sync = cpu_sync,
    .embed = cpu_embed,
    .embed_bwd = cpu_embed_bwd,
    .linear = cpu_linear,
    .linear_bwd = cpu_linear_bwd,
    .attn = cpu_attn,
    .attn_bwd = cpu_attn_bwd,
    .ffn = cpu_ffn,
    .ffn_bwd = cpu_ffn_bwd,
    .add_norm = cpu_add_norm,
    .add_norm_bwd = cpu_add_norm_bwd,
    .dropout = cpu_dropout,
    .rows_get = cpu_rows_get,
    .rows_add = cpu_rows_add,
    .loss = cpu_loss,
    .vocab_loss = cpu_vocab_loss,
    .sqnorm = cpu_sqnorm,
    .adamw = cpu_adamw,
};

const struct backend *backend_cpu(void)
{
    return &table;
}
