/* SPDX-License-Identifier: MIT */
/*
 * modelpath: where the model is that `-m NAME` means (L1).
 *
 * Tried in this order:
 *   1. NAME, when it is a directory (a path with a slash at its start, "./" or "../" is
 *      nothing else);
 *   2. DIR/NAME for every DIR of $BERTUTILS_MODELS (separated by colons);
 *   3. the Hugging Face hub cache, read only: $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE,
 *      $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub or ~/.cache/huggingface/hub (the first
 *      that is set); models--ORG--NAME/refs/REV names the commit, snapshots/COMMIT is the
 *      directory.  NAME may be ORG/NAME and may end in @REV, a branch, tag or commit.
 * Steps 2 and 3 are also tried with what NAME is short for: roberta is roberta-base, that
 * is FacebookAI/roberta-base; bert is bert-base-uncased, that is google-bert/bert-base-uncased.
 */
#ifndef BERTUTILS_MODELPATH_H
#define BERTUTILS_MODELPATH_H

#include "err.h"

/*
 * The directory of a model, malloc'd.  NULL and ERR_NOINPUT when it is nowhere, with every
 * place that was tried and the command that would fetch it.  Whether the directory holds a
 * usable model is for its readers to say.
 */
char *model_path(const char *name, struct err *e) MUST_USE;

/* The name that -m has when it is not given: $BERTUTILS_MODEL, else "roberta". */
const char *model_default_name(void);

#endif
