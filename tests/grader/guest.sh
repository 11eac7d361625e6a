#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the VM: asks a module the lab's questions. Its files, its parameter and the
# words of its rows may have any names. The plan, one file, says what to ask:
#
#   key ...          in front of each line of the verdict, so that nothing else
#                    that may come through the channel passes for one
#   module ...       its name
#   parameters ...   the candidates for that which names the process to monitor
#   questions ...    which, in that order
#   settable ...     PARAMETER=VALUE of those that can be written
#   several ...      yes, if its source says that it monitors several processes
#   pressure ...     the trap that a crash while memory is short points to
#   known ...        what the survey of an earlier boot has found: it needs no other
#
# Each line of the verdict is: KEY QUESTION WORD TRAP TEXT, where WORD is
#   begin, end       of a question
#   step             from here on a crash is this trap
#   ok, part, bad    what was seen: right, a mistake, or no answer at all
#   none             this kernel cannot show it
#   assume           what had to be guessed
#   known            what the survey has found, for the next boot
#   report           the kernel reports a mistake, and goes on
#   reboot           the VM is not what it was; it ends here
# shellcheck source=tests/guest/lib.sh
. /tests/lib.sh
# shellcheck source=tests/guest/inject.sh
. /tests/inject.sh
# shellcheck source=tests/guest/questions.sh
. /tests/questions.sh
# shellcheck source=tests/grader/questions.sh
. /grade/questions.sh

plan=/grade/plan
rows_program=/grade/rows.awk
object=/module.ko
key='' module='' parameters='' questions='' settable='' several='' pressure_trap=2
while read -r word rest; do
	case $word in
	key) key=$rest ;;
	module) module=$rest ;;
	parameters) parameters=$rest ;;
	questions) questions=$rest ;;
	settable) settable=$rest ;;
	several) several=$rest ;;
	pressure) pressure_trap=$rest ;;
	known) echo "$rest" >>/tmp/survey ;;
	esac
done <$plan
rm -f $plan
parameter='' question=survey
reports='WARNING: |BUG: |BUG |INFO: possible|Objects remaining|still has objects'
reports="$reports|refcount_t:|UBSAN|seq_file: buggy|list_(add|del) corruption"
# A kernel that looks for mistakes takes fifty times as long: there only what it can
# tell and others cannot is asked.
quick=yes
[ ! -e /sys/kernel/debug/kmemleak ] || quick=
history='' control='' page='' switch='' map='' cpu=1 memory=1 period=1000

tell() {
	word=$1 trap_=$2
	shift 2
	echo "$key $question $word $trap_ $*" | tr -cd '\n -~' >&3
}

ok() {
	tell ok - "$*"
}

# part TRAP TEXT: a mistake; the question goes on.
part() {
	tell part "$@"
}

# bad TRAP TEXT: no right answer; the question is over.
bad() {
	tell bad "$@"
	exit 0
}

none() {
	tell none - "$*"
	exit 0
}

# step TRAP TEXT: what is done next is what this trap makes a module fail.
step() {
	tell step "$@"
}

# What lib.sh does for the tests' own sake.
fail() {
	bad - "$*"
}

skip() {
	none "$*"
}

loaded() {
	while read -r name _; do
		[ "$name" != "$module" ] || return 0
	done </proc/modules
	return 1
}

# bounded SECONDS COMMAND...: its exit status, or 99 if it does not end.
bounded() {
	limit=$1
	shift
	"$@" &
	bounded_pid=$!
	wait_for "$limit" is_dead "$bounded_pid" || return 99
	wait "$bounded_pid"
}

unload() {
	bounded 30 rmmod "$module"
}

# insert [PID [PARAMETER=VALUE]...]: the module, which monitors that process.
insert() {
	pid=${1:-}
	[ $# -eq 0 ] || shift
	if [ -n "$parameter" ] && [ -n "$pid" ]; then
		bounded 60 insmod $object "$parameter=$pid" "$@"
	else
		bounded 60 insmod $object "$@" || return
		[ -z "$pid" ] || add "$pid"
	fi
}

# fresh PID [...]: the same, or the question is over.
fresh() {
	insert "$@" 2>/tmp/insmod
	status=$?
	case $status in
	0) ;;
	99) bad - "insmod does not return within a minute" ;;
	*) bad - "insmod fails: $(head -c 200 /tmp/insmod)" ;;
	esac
}

clean_up() {
	while read -r pid; do
		kill -9 "$pid"
	done <"$started" 2>/dev/null
	while read -r pid; do
		wait_for 20 is_dead "$pid" || return 1
	done <"$started"
	: >"$started"
	! loaded || unload
	! loaded
}

# canon: rows in the lab's words and units.
canon() {
	awk -v map="$map" -v cpu="$cpu" -v memory="$memory" -v target="${1:-0}" \
		-f $rows_program
}

reversed() {
	awk '{ line[NR] = $0 } END { for (i = NR; i; i--) print line[i] }'
}

# rows [PID]: the longest history that can be had, oldest first. cat reads large
# pieces: a module that loses a row at the end of each loses few.
rows() {
	if [ -n "$history" ]; then
		# shellcheck disable=SC2002 # awk itself reads small pieces
		cat "$history" | canon "$watched" >/tmp/rows.now
		[ "$order" = oldest ] || reversed </tmp/rows.now >/tmp/rows.turned
		[ "$order" = oldest ] || mv /tmp/rows.turned /tmp/rows.now
	else
		canon "$watched" <"$page" | reversed >/tmp/rows.now
	fi
	if [ $# -gt 0 ]; then
		awk -v pid="$1" '$2 == pid' /tmp/rows.now
	else
		cat /tmp/rows.now
	fi
}

# sums: of the CPU times of each row.
sums() {
	awk '{ printf "%.0f\n", $4 + $6 }'
}

# With one write(2): echo would send what a short count leaves, and fail.
add() {
	[ -n "$control" ] || return 1
	case $(echo "$1" | tmtool write "$control" 2>&1) in
	E*) return 1 ;;
	esac
}

# Without a file that takes them there is no stopping.
stop() {
	[ -n "$switch" ] && echo stop >"$switch"
}

start() {
	[ -n "$switch" ] && echo start >"$switch"
}

# periods N: passes N of the module's periods.
periods() {
	pause_ms $((period * $1))
}

# pulse: a process whose CPU time grows between any two samples, in ticks, too.
pulse() {
	tmtool pulse 6 "$((period * 2 / 3))" &
	kill_at_end $!
	watched=$pid
}

# grown N [PID]: that many rows more than $had; for wait_for.
grown() {
	[ "$(nr_rows ${2:+"$2"})" -ge $((had + $1)) ]
}

# wait_rows N: until there are that many.
wait_rows() {
	had=0
	wait_for $((period * $1 * 2 / 1000 + 20)) grown "$1"
}

# long_history N: a loaded module with that many rows, or as many as its page has.
long_history() {
	pulse
	fresh "$watched"
	wait_for 20 grown_from_nothing || bad - 'no sample within 20 seconds'
	periods "$1"
	wait_rows "$1" || :
}

grown_from_nothing() {
	[ "$(nr_rows)" -ge 1 ]
}

# The first question, of the first boot: what is where?

# files: that may be the module's.
files() {
	find /sys/kernel /proc -maxdepth 1 -type f 2>/dev/null
	for dir in /sys/kernel/*; do
		case ${dir##*/} in
		debug | tracing | slab | security | btf | config | irq | mm | iommu*) ;;
		*) [ ! -d "$dir" ] || find "$dir" -type f 2>/dev/null ;;
		esac
	done
	for entry in /sys/kernel/debug/*; do
		case ${entry##*/} in
		slab | shrinker | tracing | kmemleak | bdi | block | clk | dri | \
			pinctrl | regmap | sched | x86 | iommu | usb | fail*) ;;
		*) find "$entry" -type f -maxdepth 2 2>/dev/null ;;
		esac
	done
	find /dev -maxdepth 1 -type c
}

caches() {
	awk 'NR > 2 { print $1 }' /proc/slabinfo | sort -u
}

# has_rows_of FILE: it can be read, and shows what looks like rows.
has_rows_of() {
	timeout 5 head -c 1000000 "$1" >/tmp/candidate 2>/dev/null || return 1
	guess_map /tmp/candidate >/dev/null
}

# guess_map FILE
guess_map() {
	cputime=$(awk '{ sub(/.*\) /, ""); printf "%.0f", ($12 + $13) * 10000000 }' \
		"/proc/$watched/stat")
	awk -v survey=1 -v target="$watched" -v cputime="$cputime" \
		-v vmsize="$(awk '/^VmSize/ { print $2 }' "/proc/$watched/status")" \
		-f $rows_program "$1"
}

shows_rows() {
	history='' page=''
	while read -r f; do
		case $f in
		/sys/kernel/debug/*stat* | /dev/*) continue ;;
		esac
		has_rows_of "$f" || continue
		case $f in
		/sys/kernel/debug/*) history=${history:-$f} ;;
		*) page=${page:-$f} ;;
		esac
	done </tmp/new_files
	[ -n "$history$page" ]
}

try_parameter() {
	parameter=$1
	insert "$watched" 2>/tmp/insmod
	status=$?
	[ "$status" -ne 99 ] || bad - "insmod $parameter=$watched does not return"
	[ "$status" -eq 0 ]
}

load_for_survey() {
	for p in $parameters; do
		! try_parameter "$p" || return 0
	done
	parameter=
	insert "" 2>/tmp/insmod ||
		bad - "insmod fails: $(head -c 200 /tmp/insmod)"
}

# round_period STEP GRAIN: $period was measured to 10 ms. If it is a multiple of STEP, or
# what a timeout in jiffies makes of one, a larger multiple of GRAIN, then that is meant;
# else nobody knows what is, or whether it drifts.
round_period() {
	meant=$(((period + 10) / $1 * $1))
	late=$(((meant / $2 + 1) * $2))
	if [ "$period" -le $((meant + 10)) ] ||
		{ [ "$period" -ge $((late - 10)) ] && [ "$period" -le $((late + 10)) ]; }; then
		period=$meant
		phase=yes
	fi
}

# How long from one row to the next, over three of them.
measure_period() {
	first='' period=1000 phase=''
	for rounds in 0 1 2 3; do
		had=$(nr_rows)
		wait_for 40 grown 1 || break
		at=$(uptime_cs)
		[ -n "$first" ] || first=$at
		[ "$rounds" -eq 0 ] || period=$(((at - first) * 10 / rounds))
	done
	[ "$period" -ge 10 ] || period=10
	# What is shorter cannot be told from its error. At 250 Hz, as Debian has it, a
	# timeout is late by up to 32 ms, and from 512 jiffies on by up to 256.
	if [ "$period" -ge 2040 ]; then
		round_period 500 256
	elif [ "$period" -ge 285 ]; then
		round_period 50 32
	fi
}

survey() {
	files | sort >/tmp/files
	caches >/tmp/caches
	tmtool pulse 20 150 &
	kill_at_end $!
	watched=$pid
	pause_ms 3000
	step - 'insmod'
	load_for_survey
	tell assume - "parameter: ${parameter:-none}"
	# A name that the shell could read as more than a name is none of ours to try.
	files | sort | grep -vxFf /tmp/files | grep -v '[^A-Za-z0-9_./:-]' >/tmp/new_files
	# Where nothing is monitored yet, a file may take PIDs.
	while read -r f; do
		case $f in
		/sys/kernel/debug/*) control=${control:-$f} ;;
		*) switch=${switch:-$f} ;;
		esac
	done <<-END
	$(grep -v '^/dev/' /tmp/new_files | while read -r f; do
		[ "$(stat -c %a "$f" | tr -d 0145)" = '' ] || echo "$f"
	done)
	END
	[ -n "$parameter" ] || add "$watched"
	wait_for 25 shows_rows ||
		bad - "no file shows rows of figures; new files: $(tr '\n' ' ' </tmp/new_files)"
	pause_ms 2500
	cat "${history:-$page}" >/tmp/candidate
	eval "$(guess_map /tmp/candidate)"
	order=oldest
	if [ -n "$history" ]; then
		rows | sums >/tmp/sums
		[ "$(head -n 1 /tmp/sums)" -le "$(tail -n 1 /tmp/sums)" ] || order=newest
	fi
	new_cache=$(caches | grep -vxFf /tmp/caches | head -n 1)
	measure_period
	tell assume - "history: ${history:-none} page: ${page:-none}" \
		"control: ${control:-none} switch: ${switch:-none}"
	tell assume - "a row's numbers: $map; CPU time in units of $cpu ns, memory" \
		"in units of $memory KiB; a period of $period ms;" \
		"slab cache: ${new_cache:-none}"
	for name in parameter history control page switch map cpu memory order \
		new_cache period phase; do
		eval "echo \"$name='\$$name'\""
	done >/tmp/survey
	while read -r line; do
		tell known - "$line"
	done </tmp/survey
	ok 'it loads, and shows figures'
}

reboot() {
	tell reboot - -
	exit 0
}

run_question() {
	question=$1
	tell begin - -
	: >"$started"
	dmesg -c >/dev/null
	(
		case $question in
		survey) survey ;;
		*) "ask_$(echo "$question" | tr '[:upper:]' '[:lower:]')" ;;
		esac
	) </dev/null >/tmp/out 2>&1
	step 19 'rmmod, as the question ends'
	if ! clean_up; then
		tell part 28 'the module cannot be unloaded when it was used'
		return 1
	fi
	# A report that no panic followed: of lockdep, which is silent after it.
	report=$(dmesg | grep -m 1 -E "$reports")
	if [ -n "$report" ]; then
		tell report - "$report"
		# What the first look meets the next boot would meet again, so this one goes
		# on. But a cache that has stayed has the name that the next load wants.
		[ "$question" = survey ] || return 1
		! dmesg | grep -qE 'Objects remaining|still has objects' || return 1
	fi
	tell end - -
}

if [ ! -e /tmp/survey ]; then
	run_question survey || reboot
	[ -e /tmp/survey ] || exit 0
fi
# shellcheck source=/dev/null
. /tmp/survey
for each in $questions; do
	run_question "$each" || reboot
done
question=all
tell over - -
