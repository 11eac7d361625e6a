# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the suites share. A suite runs in the guest, with fd 3 on the verdict
# channel. It sources this file, names its tests with `t`, and ends with
# `run_tests`. The verdict is KTAP.

file=/sys/kernel/debug/taskmonitor
stats=/sys/kernel/debug/taskmonitor_stats
attribute=/sys/kernel/taskmonitor
parameters=/sys/module/taskmonitor/parameters
sample_slab=/sys/kernel/slab/task_sample
started=/tmp/started
list=/tmp/tests
looping=/tmp/looping
loops=
tool_nr=0
# Later fields may be added behind these.
row_pattern='^pid [1-9][0-9]* usr [0-9]+ sys [0-9]+ total [0-9]+ stack [0-9]+ '
row_pattern="${row_pattern}data [0-9]+ rss [0-9]+ threads [1-9][0-9]* "
row_pattern="${row_pattern}state [A-Za-z] time [1-9][0-9]* comm [^ ]+( |\$)"

: >"$list"

# t "what it proves" FUNCTION [MODULE PARAMETERS]: a test, with a fresh load of
# the module. "-" as parameters: the test loads it.
t() {
	printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$list"
}

note() {
	printf '# %s\n' "$*" >&3
}

# With the argument "answers" the tests tell what docs/answers.md shows.
[ "${1:-}" != answers ] || answers=yes

# tell_answer NAME COMMAND...: what the command prints, for that document.
tell_answer() {
	[ "${answers:-}" ] || return 0
	name=$1
	shift
	"$@" | sed "s/^/# answer $name| /" >&3
}

fail() {
	note "$*"
	exit 1
}

skip() {
	printf '%s\n' "$*" >/tmp/skipped
	exit 4
}

# is ACTUAL EXPECTED WHY
is() {
	[ "$1" = "$2" ] || fail "$3: got '$1', expected '$2'"
}

# cmp_int ACTUAL OPERATOR BOUND WHY: as test(1) compares numbers.
cmp_int() {
	test "$1" "$2" "$3" || fail "$4: $1 is not $2 $3"
}

# Nothing is ever written to it. A read of it that gives up is a pause that needs
# no process: on a kernel that looks for mistakes a fork takes 50 ms of CPU.
never=/tmp/never
[ -p $never ] || mkfifo $never
exec 9<>$never

# find_uptime: sets $up, in seconds, without a process.
find_uptime() {
	read -r up _ </proc/uptime
	up=${up%.*}
}

# wait_for SECONDS COMMAND...: polls until the command succeeds, which may itself take
# long, but calls no wait_for.
wait_for() {
	find_uptime
	deadline=$((up + $1 + 1))
	shift
	until "$@"; do
		find_uptime
		[ "$up" -lt $deadline ] || return 1
		# shellcheck disable=SC3045 # busybox has it
		read -r -t 0.02 _ <&9 || :
	done
}

load() {
	insmod /taskmonitor.ko "$@"
}

loaded() {
	while read -r module _; do
		[ "$module" != taskmonitor ] || return 0
	done </proc/modules
	return 1
}

# find_stat NAME: sets $found to that figure of the statistics.
find_stat() {
	while read -r name found; do
		[ "$name" != "$1" ] || return 0
	done <"$stats"
	return 1
}

# stat_of NAME: a figure of the statistics.
stat_of() {
	! find_stat "$1" || echo "$found"
}

add() {
	echo "$1" >"$file"
}

remove() {
	echo "-$1" >"$file"
}

period() {
	echo "$1" >"$parameters/period_ms"
}

stop() {
	echo stop >"$attribute"
}

start() {
	echo start >"$attribute"
}

# rows [PID]: the history, or one PID's part of it.
rows() {
	if [ $# -gt 0 ]; then
		awk -v pid="$1" '$2 == pid' "$file"
	else
		cat "$file"
	fi
}

nr_rows() {
	rows "$@" | wc -l
}

# has_rows N [PID]: for wait_for.
has_rows() {
	least=$1
	shift
	[ "$(nr_rows "$@")" -ge "$least" ]
}

# has_final PID: likewise.
has_final() {
	rows "$1" | grep -q ' state X '
}

# whole_rows: prints what of stdin is not a row, or not one to its end.
whole_rows() {
	{
		cat
		echo .
	} | grep -vE "$row_pattern|^\.\$" || :
}

# field NAME: that figure of every row on stdin.
field() {
	awk -v name="$1" '{ for (i = 1; i < NF; i += 2) if ($i == name) print $(i + 1) }'
}

# cpu_ns: the CPU time of every row on stdin.
cpu_ns() {
	awk '{ printf "%.0f\n", $4 + $6 }'
}

# Started processes are killed when the test is over. Sets $pid.
kill_at_end() {
	pid=$1
	echo "$pid" >>"$started"
}

sleeper() {
	sleep 100000 &
	kill_at_end $!
}

spinner() {
	(while :; do :; done) &
	kill_at_end $!
}

# ctrl_c SCRIPT [ARGUMENT...]: runs a script that comes to a sleep, and then gets what a
# terminal sends for Ctrl-C: SIGINT for it and the sleep. In the background it would be
# deaf to that. Sets $status; what it says is in /tmp/said.
ctrl_c() {
	(
		wait_for 60 pidof sleep >/dev/null
		# shellcheck disable=SC2046 # one word per process is meant
		kill -INT $(pidof "$1") $(pidof sleep)
	) &
	status=0
	"$@" >/tmp/said 2>&1 || status=$?
	wait $!
}

# scaled N: that many, or a twentieth on a kernel that looks for mistakes, where
# a sample costs a hundred times as much.
scaled() {
	if [ -e /sys/kernel/debug/kmemleak ] || [ -e /sys/kernel/debug/kcsan ]; then
		echo "$(($1 / 20))"
	else
		echo "$1"
	fi
}

# nth N: the PID of that one of the crowd.
nth() {
	sed -n "$1p" /tmp/crowd
}

# crowd N: starts N sleeping processes; their numbers are in /tmp/crowd.
crowd() {
	: >/tmp/crowd.all
	tmtool crowd "$1" >/tmp/crowd.all &
	kill_at_end $!
	wait_for 60 grep -q '^ready' /tmp/crowd.all || fail "no $1 processes in a minute"
	sed '$d' /tmp/crowd.all >/tmp/crowd
}

# monitored_crowd N: the same, all monitored.
monitored_crowd() {
	crowd "$1"
	while read -r pid; do
		add "$pid"
	done </tmp/crowd
}

# stat_is NAME OPERATOR BOUND: for wait_for.
stat_is() {
	find_stat "$1" && test "$found" "$2" "$3"
}

# produce N: samples as fast as can be until there are N, then stops.
produce() {
	period 1
	start
	wait_for 300 stat_is samples -ge "$1" ||
		fail "$(stat_of samples) of $1 samples in 300 seconds"
	stop
}

# one_round: of all that are monitored, at least one living; then sampling stops.
one_round() {
	taken=$(stat_of taken)
	period 3600000
	start
	wait_for 20 stat_is taken -gt "$taken" || fail 'no round'
	stop
}

# add_ended N: N more processes that have ended, each with a sample.
add_ended() {
	period 3600000
	start
	tmtool leave "$file" "$1" || fail "$1 processes cannot come and go"
	stop
}

drop_caches() {
	echo 2 >/proc/sys/vm/drop_caches
}

# few_samples N: for wait_for.
few_samples() {
	drop_caches
	stat_is samples -lt "$1"
}

# balanced: all that was taken is there or accounted for.
balanced() {
	awk '{ n[$1] = $2 } END {
		exit n["taken"] != n["samples"] + n["reclaimed"] + \
			n["recycled"] + n["capped"] + n["removed"]
	}' "$stats" || fail "the statistics do not add up: $(cat "$stats")"
}

# loop COMMAND...: repeats it in the background until end_loops, or the end of
# the test.
loop() {
	: >"$looping"
	trap end_loops EXIT
	(
		trap - EXIT
		while [ -e "$looping" ]; do
			"$@"
		done
	) &
	loops="$loops $!"
}

end_loops() {
	rm -f "$looping"
	# shellcheck disable=SC2086 # one word per process is meant
	[ -z "$loops" ] || wait $loops || :
	loops=
}

# tool COMMAND...: tmtool in the background, by now ready. Sets $pid and, where
# the process that is meant is a child of it, $child.
tool() {
	tool_nr=$((tool_nr + 1))
	tool_out=/tmp/tool.$tool_nr
	: >"$tool_out"
	tmtool "$@" >"$tool_out" &
	kill_at_end $!
	tool_ready 1
	# shellcheck disable=SC2034 # for the suites
	child=$(sed -n 's/^ready //p' "$tool_out")
}

# tool_ready N: waits until the last tool has said so N times.
tool_ready() {
	wait_for 60 tool_said "$1" || fail "a tool is not ready within a minute"
}

tool_said() {
	[ "$(grep -c '^ready' "$tool_out")" -ge "$1" ]
}

# other_threads PID: the TIDs of all threads but the first.
other_threads() {
	for dir in "/proc/$1/task/"*; do
		[ "${dir##*/}" = "$1" ] || echo "${dir##*/}"
	done
}

# fork_with_pid PID COMMAND...: COMMAND as a process of that number.
fork_with_pid() {
	tool fork-as "$@"
	kill_at_end "$1"
}

# has_state PID LETTER: for wait_for.
has_state() {
	[ "$(awk '$1 == "State:" { print $2 }' "/proc/$1/status")" = "$2" ]
}

# tasks: the task structs of the machine.
tasks() {
	shrink=/sys/kernel/slab/task_struct/shrink
	[ ! -e $shrink ] || echo 1 >$shrink
	awk '$1 == "task_struct" { print $2 }' /proc/slabinfo
}

# few_tasks N: for wait_for.
few_tasks() {
	drop_caches
	[ "$(tasks)" -le "$1" ]
}

gone() {
	! [ -d "/proc/$1" ]
}

# A pause of the test's own, for the time that something is given to happen in.
pause_ms() {
	usleep "$(($1 * 1000))"
}

uptime_s() {
	find_uptime
	echo "$up"
}

# uptime_cs: in hundredths of a second.
uptime_cs() {
	sed 's/^\([0-9]*\)\.\([0-9]*\).*/\1\2/' /proc/uptime
}

kernel_thread() {
	pidof taskmonitor
}

# count_kthreads: sets $nr_kthreads. One that kthread_stop() has waited for can
# still be seen for a moment: PF_EXITING, 4, in the flags of its stat tells.
count_kthreads() {
	nr_kthreads=0
	for tid in $(pidof taskmonitor); do
		flags=$(cut -d ' ' -f 9 "/proc/$tid/stat" 2>/dev/null) || :
		[ $((${flags:-4} & 4)) -ne 0 ] || nr_kthreads=$((nr_kthreads + 1))
	done
}

kthreads() {
	count_kthreads
	echo "$nr_kthreads"
}

# nothing_left: no trace of the module in the running system.
nothing_left() {
	! loaded || fail 'the module is still there'
	! grep -q '^task_sample ' /proc/slabinfo || fail 'the slab cache is still there'
	for f in "$file" "$stats" "$attribute" "$sample_slab" \
		/sys/kernel/debug/shrinker/taskmonitor*; do
		[ ! -e "$f" ] || fail "$f is still there"
	done
	count_kthreads
	is "$nr_kthreads" 0 'kthreads left'
	# A shrinker that is left would be called now, and is not there any more.
	drop_caches
}

# load_fails ERROR "PARAMETERS": and leaves nothing.
load_fails() {
	is "$(tmtool insmod /taskmonitor.ko "$2")" "$1" "insmod $2"
	nothing_left
}

# is_dead PID: it has ended, if not been reaped, and holds no file open.
is_dead() {
	while read -r name state _; do
		[ "$name" != State: ] || break
	done 2>/dev/null <"/proc/$1/status" || return 0
	[ "$state" = Z ] || ! [ -d "/proc/$1" ]
}

clean_up() {
	while read -r pid; do
		kill -9 "$pid"
	done <"$started" 2>/dev/null
	while read -r pid; do
		wait_for 20 is_dead "$pid" || note "process $pid does not end"
	done <"$started"
	: >"$started"
	! loaded || rmmod taskmonitor || note 'rmmod failed'
	! loaded
}

# kib NAME: a figure of /proc/meminfo.
kib() {
	awk -v name="$1:" '$1 == name { print $2 }' /proc/meminfo
}

oom_kills() {
	awk '$1 == "oom_kill" { print $2 }' /proc/vmstat
}

# Pages of files, so that only the history is left to give.
drop_page_cache() {
	echo 1 >/proc/sys/vm/drop_caches
}

no_oom_kill() {
	is "$(oom_kills)" 0 'processes killed because memory was short'
}

run_test() {
	: >"$started"
	rm -f /tmp/skipped
	(
		# shellcheck disable=SC2086 # the parameters are words
		[ "$2" = - ] || load $2 || fail "insmod $2 failed"
		"$1"
	) </dev/null >/tmp/out 2>&1
	status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 4 ] || sed 's/^/# /' /tmp/out >&3
	if ! clean_up; then
		note 'the module cannot be unloaded'
		return 1
	fi
	if grep -q '^task_sample ' /proc/slabinfo; then
		note 'the slab cache is still there'
		return 1
	fi
	return "$status"
}

run_tests() {
	echo 'KTAP version 1' >&3
	echo "1..$(wc -l <"$list")" >&3
	nr=0 bad=0
	while IFS="$(printf '\t')" read -r what function parameters_ <&4; do
		nr=$((nr + 1))
		run_test "$function" "$parameters_" 4<&-
		case $? in
		0) echo "ok $nr - $what" >&3 ;;
		4) echo "ok $nr - $what # SKIP $(cat /tmp/skipped)" >&3 ;;
		*)
			echo "not ok $nr - $what" >&3
			bad=$((bad + 1))
			;;
		esac
	done 4<"$list"
	[ "$bad" -eq 0 ]
}
