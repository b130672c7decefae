/* SPDX-License-Identifier: MIT */
/* train_main: from a command line to a run, with signals taken as requests to stop (L6). */
#include "train.h"

#include <signal.h>
#include <stdlib.h>

int train_main(const struct opt_tool *tool, struct train_options *o, bool mlm, int argc,
               char **argv)
{
    struct train_job job = {.options = o, .tool = tool->name, .mlm = mlm};
    struct stop stop;
    struct msg m;
    struct err e = {0};
    int first;

    signal(SIGPIPE, SIG_IGN); /* a reader that leaves must not cost the model */
    msg_guard();
    if (opt_parse(tool, argc, argv, o, &first, &m, &e) == 0) {
        job.command = opt_command(tool, argc, argv, &e);
        job.full_command = opt_full_command(argc, argv, &e);
        job.inputs = argv + first;
        job.n_inputs = argc - first;
        job.stop = &stop;
        if (job.command && job.full_command && stop_watch(&stop, tool->name, &e) == 0)
            (void)!train_run(&job, &m, &e);
        free(job.command);
        free(job.full_command);
    }
    return msg_finish(&m, &e);
}
