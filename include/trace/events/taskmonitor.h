/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trace event taskmonitor:task_sample: a sample was taken and stored. Its fields
 * are those of a row, with the units of a row.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM taskmonitor

#if !defined(_TRACE_TASKMONITOR_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_TASKMONITOR_H

#include <linux/sched.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

struct task_monitor;
struct task_sample;

#define TM_TRACE_KIB(pages) ((u64)(pages) << (PAGE_SHIFT - 10))

/* A state is a string of one letter: libtraceevent knows no %c. */
TRACE_EVENT(task_sample,
	    TP_PROTO(const struct task_monitor *monitor,
		     const struct task_sample *sample),
	    TP_ARGS(monitor, sample),
	    TP_STRUCT__entry(__field(u64, usr)
			     __field(u64, sys)
			     __field(u64, total)
			     __field(u64, stack)
			     __field(u64, data)
			     __field(u64, rss)
			     __field(u64, time)
			     __field(u64, peak)
			     __field(int, pid)
			     __field(u32, threads)
			     __field(u32, exit)
			     __array(char, state, 2)
			     __array(char, comm, TASK_COMM_LEN)),
	    TP_fast_assign(bool final = sample->state == TM_STATE_ENDED;

			   __entry->pid = pid_nr(monitor->pid);
			   __entry->usr = sample->usr;
			   __entry->sys = sample->sys;
			   __entry->total = final ? 0 : TM_TRACE_KIB(sample->total);
			   __entry->stack = final ? 0 : TM_TRACE_KIB(sample->stack);
			   __entry->data = TM_TRACE_KIB(sample->data);
			   __entry->rss = final ? 0 : TM_TRACE_KIB(sample->rss);
			   __entry->threads = sample->threads;
			   __entry->state[0] = task_index_to_char(sample->state);
			   __entry->state[1] = '\0';
			   __entry->time = sample->time;
			   __entry->exit = final ? sample->exit : 0;
			   __entry->peak = final ? TM_TRACE_KIB(sample->peak) : 0;
			   memcpy(__entry->comm, monitor->comm, TASK_COMM_LEN);),
	    TP_printk("pid %d usr %llu sys %llu total %llu stack %llu data %llu rss %llu threads %u state %s time %llu exit %u peak %llu comm %s",
		      __entry->pid, __entry->usr, __entry->sys, __entry->total,
		      __entry->stack, __entry->data, __entry->rss,
		      __entry->threads, __entry->state, __entry->time,
		      __entry->exit, __entry->peak, __entry->comm)
);

#endif /* _TRACE_TASKMONITOR_H */

#include <trace/define_trace.h>
