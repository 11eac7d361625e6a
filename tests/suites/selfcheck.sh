#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# make leakcheck: scripts/leakcheck and scripts/modmem on our own module, and its own
# statistics against them, to the object. That leakcheck can fail is shown by the suite
# of that name.
#
# Suite:
#   kernels  -
#   by-name  6.1 6.12 *-rt *-debug
#   memory   512M
#   seconds  25
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

said=/tmp/said
# That there are leaks is news to a reader of the log, here it is none.
dmesg -n 1

# A run of the workload: processes come, are sampled, go, are removed or left.
cat >/tmp/work <<'END'
#!/bin/sh
file=/sys/kernel/debug/taskmonitor
for _ in 1 2 3 4 5 6; do
	sleep 1000 &
	pids="$pids $!"
	echo $! >$file
done
usleep 200000
head -c 10000 $file >/dev/null
cat /sys/kernel/taskmonitor >/dev/null
set -- $pids
echo "-$1" >$file
echo stop >/sys/kernel/taskmonitor
echo start >/sys/kernel/taskmonitor
kill $pids
echo "-$2" >$file
echo 2 >/proc/sys/vm/drop_caches
wait
:
END
chmod +x /tmp/work

# with_traces: or nothing can be told to the object.
with_traces() {
	grep -q pid= /sys/kernel/debug/slab/pid/alloc_traces ||
		skip 'a kernel that was not booted with slub_debug=U'
}

tell() {
	while read -r line; do
		note "$line"
	done <$said
}

no_leak() {
	with_traces
	leakcheck /taskmonitor.ko period_ms=20 reserve=100 -- /tmp/work >$said 2>&1
	status=$?
	tell
	is "$status" 0 'status of leakcheck'
	grep -q '^clean: ' $said || fail 'it is not clean'
}
t 'leakcheck: nothing of taskmonitor stays' no_leak -

# objects: those of the cache of samples, by the stacks of all that the module holds.
objects() {
	modmem taskmonitor >$said 2>&1 || fail "modmem: $(cat $said)"
	awk '$5 == "task_sample" && $3 == "slab" { n += $2 } END { print n + 0 }' $said
}

same() {
	is "$(objects)" $(($(stat_of samples) + $(cat $parameters/reserve))) \
		"objects: the samples and the reserve; $1"
}

to_the_object() {
	with_traces
	same 'of an idle module'
	monitored_crowd 20
	produce 2000
	same 'of 2,000 samples'
	tell
	drop_caches
	same 'of those that reclaim has left'
	nth 3 >/tmp/third
	remove "$(cat /tmp/third)"
	same 'of those that are left when one PID is removed'
	note "samples $(stat_of samples), bytes $(stat_of bytes)"
}
t 'modmem and the statistics agree to the object' to_the_object period_ms=3600000

run_tests
