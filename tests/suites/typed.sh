#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# scripts/taskmonitor as a user types it, against the module, with busybox alone.
#
# Suite:
#   kernels  6.1 6.12
#   by-name  *-rt *-debug *-kcsan
#   seconds  25
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

# typed STATUS ARGUMENT...: what it says is in /tmp/said and /tmp/complained.
typed() {
	expected=$1
	shift
	status=0
	taskmonitor "$@" >/tmp/said 2>/tmp/complained || status=$?
	[ "$status" -eq "$expected" ] ||
		fail "taskmonitor $* ends with $status: $(tail -n 5 /tmp/complained | tr '\n' '|')"
}

# complains TEXT: that is its one line.
complains() {
	is "$(cat /tmp/complained)" "taskmonitor: $1" 'what it says'
}

# column N PID: of a summary.
column() {
	awk -v n="$1" -v pid="$2" '$1 == pid { print $n }' /tmp/complained
}

untouched() {
	is "$(cat $parameters/follow)" 0 'follow'
	is "$(cat $parameters/period_ms)" 1000 'period_ms'
}

runs() {
	# shellcheck disable=SC2016 # the inner shell expands
	typed 3 run -p 20 -o /tmp/kept -- sh -c '
		i=0
		while [ $i -lt 100000 ]; do i=$((i + 1)); done
		sh -c "kill -9 \$\$"
		for i in 1 2 3 4 5; do cat /dev/null; done
		echo $$
		exit 3'
	loaded || fail 'it has not loaded the module'
	grep -q 'has loaded the module' /tmp/complained || fail 'nor says so'
	untouched
	main=$(cat /tmp/said)
	is "$(awk '$1 == "all" { print $6, $7 }' /tmp/complained)" '7 processes' 'the last line'
	is "$(column 6 "$main")" 3 'the exit status of the command'
	is "$(grep -c SIGKILL /tmp/complained)" 1 'killed children'
	[ "$(column 3 "$main")" != 0.000 ] || fail 'it used no CPU'
	awk -v pid="$main" '$1 == pid { exit !($2 > 0 && $4 > 10 && $5 > 0.1) }' \
		/tmp/complained || fail "no figures: $(cat /tmp/complained)"
	is "$(grep -c ' state X ' /tmp/kept)" 7 'last rows that were kept'
	cmp_int "$(grep -c "^pid $main " /tmp/kept)" -gt 3 'rows of the command'
	whole_rows </tmp/kept | grep -v ' threads 0 ' >/tmp/torn
	[ ! -s /tmp/torn ] || fail "no rows: $(cat /tmp/torn)"
	cat $file | cmp - /tmp/kept || fail 'the rows kept are not those of the module'
	typed 0 run -- true
	is "$(awk '$1 == "all" { print $6, $7 }' /tmp/complained)" '1 process' 'the second run'
}
t 'run loads the module, records the command and its children, ends as it does' runs -

# What README.md and docs/metrics.md show.
picture() {
	n=20000
	[ -z "${answers:-}" ] || n=500000
	cd /tmp || fail 'no /tmp'
	# shellcheck disable=SC2016 # the inner shell expands
	typed 0 run -p 100 -o rows -- sh -c "seq $n >n; sort -r n >r & gzip -k n & "'
		awk "{ a[NR] = \$1 }" n; wait'
	for name in seq sort gzip awk; do
		is "$(grep -c " $name\$" /tmp/complained)" 1 "$name in the summary"
	done
	tell_answer run_summary cat /tmp/complained
	tell_answer run_rows cat rows
	sleeper
	add "$pid"
	typed 0 metrics
	tell_answer metrics cat /tmp/said
}
t 'a run of five processes: who is in its summary' picture

stopped() {
	stop
	typed 0 run -- true
	is "$(awk '$1 == "all" { print $6, $7 }' /tmp/complained)" '1 process' 'the last line'
	sleeper
	add "$pid"
	typed 0 run -- true
	grep -q '1 others were recorded as well' /tmp/complained ||
		fail "of the other: $(cat /tmp/complained)"
}
t 'run starts sampling that was stopped, and says who else is recorded' stopped

begun() {
	[ -s /tmp/begun ]
}

terminated() {
	rm -f /tmp/begun
	taskmonitor run -- sh -c 'echo $$ >/tmp/begun; exec sleep 1000' 2>/tmp/complained &
	runner=$!
	wait_for 20 begun || fail 'it does not begin'
	kill_at_end "$(cat /tmp/begun)"
	kill -TERM $runner
	status=0
	wait $runner || status=$?
	is "$status" 143 'the exit status'
	grep -q 'SIGTERM  sleep$' /tmp/complained || fail "$(cat /tmp/complained)"
	untouched
}
t 'run hands a signal on, and still sums up' terminated

refused() {
	typed 127 run -- /no/such
	typed 2 run -p 0 -- true
	sleeper
	echo 1 >$parameters/max_monitors
	add "$pid"
	typed 125 run -- touch /tmp/ran
	[ ! -e /tmp/ran ] || fail 'what could not be recorded was run'
	untouched
}
t 'run refuses what cannot be recorded, and leaves no trace' refused

by_number() {
	sleeper
	one=$pid
	sleeper
	typed 0 add "$one" "$pid"
	typed 1 add "$one"
	complains "$one is recorded already"
	is "$(rows | field pid | sort -n | uniq | tr '\n' ' ')" "$one $pid " 'who is recorded'
	typed 1 add 4194304
	complains '4194304: no such process'
	typed 0 remove "$one"
	typed 1 remove "$one"
	complains "$one is not recorded"
	typed 1 show "$one"
	complains "$one is not recorded"
	typed 0 show "$pid"
	rows "$pid" | cmp - /tmp/said || fail 'show has other rows'
}
t 'add and remove by number, and each refusal in words' by_number

by_name() {
	cp /bin/busybox /tmp/sleep
	/tmp/sleep 10000 &
	kill_at_end $!
	/tmp/sleep 10001 &
	kill_at_end $!
	typed 0 add --name 'sle?p'
	is "$(cat /tmp/said)" '2 added, 0 recorded already' 'what it says'
	typed 0 add --name 'sleep'
	is "$(cat /tmp/said)" '0 added, 2 recorded already' 'what it says'
	is "$(stat_of monitors)" 2 'monitors'
	typed 0 remove --name 'sl*'
	is "$(cat /tmp/said)" '2 removed' 'what it says'
	is "$(stat_of monitors)" 0 'monitors'
	typed 1 add --name nginx
	complains 'there is no process for --name nginx'
}
t 'add and remove by name' by_name

by_cgroup() {
	[ -e /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup ||
		skip 'no cgroups'
	mkdir -p /sys/fs/cgroup/web/sub
	for group in web web/sub; do
		sleeper
		echo "$pid" >/sys/fs/cgroup/$group/cgroup.procs
	done
	sleeper
	typed 0 add --cgroup web
	is "$(stat_of monitors)" 2 'monitors'
	typed 0 remove --cgroup /sys/fs/cgroup/web/sub
	is "$(cat /tmp/said)" '1 removed' 'what it says'
	is "$(stat_of monitors)" 1 'monitors'
}
t 'add and remove by cgroup, with those below it' by_cgroup

tables() {
	spinner
	add "$pid"
	wait_for 20 has_rows 3 "$pid" || fail 'no rows'
	stop
	typed 0 show
	cat $file | cmp - /tmp/said || fail 'show has other rows'
	typed 0 show --last 2
	tail -n 2 $file | cmp - /tmp/said || fail 'not the last two rows'
	typed 0 show --csv
	is "$(wc -l </tmp/said)" $(($(nr_rows) + 1)) 'lines of CSV'
	typed 0 show --top
	awk -v pid="$pid" '$1 == pid { exit !($3 > 20 && $NF == "typed.sh") }' /tmp/said ||
		fail "the table: $(cat /tmp/said)"
	typed 1 plot
	complains 'there is no gnuplot here: install it (gnuplot-nox), or take show --csv elsewhere'
	typed 0 metrics -o /tmp/taskmonitor.prom
	for name in taken samples; do
		grep -q "^taskmonitor_samples.* $(stat_of $name)\$" /tmp/taskmonitor.prom ||
			fail "$name: $(grep ^taskmonitor_samples /tmp/taskmonitor.prom)"
	done
	is "$(grep -c "^taskmonitor_process_.*{pid=\"$pid\",comm=\"typed.sh\"" /tmp/taskmonitor.prom)" \
		7 'figures of the process'
}
t 'show, --csv, --top, metrics: the figures are those of the module' tables period_ms=100

unloaded() {
	trap 'mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null' EXIT
	typed 1 show
	complains 'the module is not loaded; try: modprobe taskmonitor'
	load
	umount /sys/kernel/debug
	if [ -e /dev/taskmonitor ]; then
		typed 0 add $$
		typed 0 show $$
		return
	fi
	typed 1 show
	complains 'debugfs is not mounted, and there is no /dev/taskmonitor; try: mount -t debugfs debugfs /sys/kernel/debug'
}
t 'no module, no debugfs: it says what to do' unloaded -

run_tests
