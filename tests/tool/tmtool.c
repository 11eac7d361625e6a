// SPDX-License-Identifier: GPL-2.0
/*
 * tmtool: what the guest's tests need and a shell cannot do. This is the table of
 * its commands; tmtool.h says what each does.
 *
 * A process that is to be looked at prints "ready" as soon as it is what it is
 * to be, and stays so until it is killed.
 */

#include "tmtool.h"
#include "tool.h"

static const struct command commands[] = {
	{ "write", "FILE [SIZE]...", 1, cmd_write },
	{ "timed-write", "FILE", 1, cmd_timed_write },
	{ "pwrite", "FILE OFFSET", 2, cmd_pwrite },
	{ "writev", "FILE SIZE...", 2, cmd_writev },
	{ "write-edge", "FILE EXTRA", 2, cmd_write_edge },
	{ "write-from", "FILE ADDRESS SIZE", 3, cmd_write_from },
	{ "insmod", "FILE PARAMETERS", 2, cmd_insmod },
	{ "clock", "", 0, cmd_clock },
	{ "spin", "user|sys [THREADS]", 1, cmd_spin },
	{ "dead-threads", "COUNT MS", 2, cmd_dead_threads },
	{ "storm", "", 0, cmd_storm },
	{ "pulse", "BUSY IDLE", 2, cmd_pulse },
	{ "stall", "MS", 1, cmd_stall },
	{ "map", "none|write|touch|stack|recurse MIB ...", 2, cmd_map },
	{ "crowd", "COUNT", 1, cmd_crowd },
	{ "threads", "COUNT", 1, cmd_threads },
	{ "leader-exit", "", 0, cmd_leader_exit },
	{ "exec-thread", "COMMAND...", 1, cmd_exec_thread },
	{ "exec-loop", "COUNT", 1, cmd_exec_loop },
	{ "zombie", "", 0, cmd_zombie },
	{ "traced", "", 0, cmd_traced },
	{ "vfork", "", 0, cmd_vfork },
	{ "end", "exit|signal|spin|map|family|leader|threads|exec ARG", 2, cmd_end },
	{ "end-stop", "FILE ATTRIBUTE", 2, cmd_end_stop },
	{ "family", "[usr1]", 0, cmd_family },
	{ "deep", "LEVELS COUNT", 2, cmd_deep },
	{ "forks", "COUNT [usr1]", 1, cmd_forks },
	{ "fork-as", "NUMBER COMMAND...", 2, cmd_fork_as },
	{ "churn", "FILE ROUNDS", 2, cmd_churn },
	{ "seek", "set|cur|end OFFSET <FILE", 2, cmd_seek },
	{ "pread", "OFFSET SIZE <FILE", 2, cmd_pread },
	{ "readv", "SIZE <FILE", 1, cmd_readv },
	{ "uring-read", "OFFSET SIZE <FILE", 2, cmd_uring_read },
	{ "opens", "FILE COUNT", 2, cmd_opens },
	{ "pipe-rest", "<FILE", 0, cmd_pipe_rest },
	{ "pipe-calls", "FILE <PIPE", 1, cmd_pipe_calls },
	{ "timed-read", "FILE SIZE", 2, cmd_timed_read },
	{ "hog", "KIB", 1, cmd_hog },
	{ "bound-hog", "NODE KIB", 2, cmd_bound_hog },
	{ "idle", "COMMAND...", 1, cmd_idle },
	{ "urgent", "COMMAND...", 1, cmd_urgent },
	{ "as-nobody", "COMMAND...", 1, cmd_as_nobody },
	{ "leave", "FILE COUNT", 2, cmd_leave },
	{ "put", "FILE", 1, cmd_put },
	{ "fail-nth", "N COMMAND...", 2, cmd_fail_nth },
	{ "load-faults", "FILE NAME PARAMETERS FIRST STEP [PATH]...", 5,
	  cmd_load_faults },
	{ "read", "FILE", 1, cmd_read },
	{ "fuzz", "SEED COUNT", 2, cmd_fuzz },
	{ "stress", "SEED SECONDS MODULE", 3, cmd_stress },
};

int run(int argc, char **argv)
{
	return run_command(commands, ARRAY_SIZE(commands), argc, argv);
}

int main(int argc, char **argv)
{
	return run(argc - 1, argv + 1);
}
