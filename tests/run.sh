#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [-k KERNEL]... [-s SUITE]... [-a ARGUMENTS] [-t SECONDS]: runs the test
# suites in VMs, two at a time, and ends with "N passed, N failed, N skipped". A
# VM that was lost, hung or whose kernel reported a bug is a failure of its own,
# and so is every test that was planned there and gave no result.
#
# -a: what the suites take, with commas: -s stress -a SEED,SECONDS
# -t: the time limit of a VM (500)
#
# Without arguments: all that suites_of names for these kernels: 6.1-debug,
# 6.12-debug, 6.1, 6.12, 6.1-rt and 6.12-rt. With -k also 6.12-kcsan.
#
# The logs of a VM in which something failed are kept in the cache directory.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/../scripts/lib.sh"

tests=$tm_root/tests
usage='usage: run.sh [-k KERNEL]... [-s SUITE]... [-a ARGUMENTS] [-t SECONDS]'

# The suites that are run when no kernel is named, the longest first. The
# checkers of a debug kernel see in these what they would see in the others, and
# real-time locks differ where everything happens at once.
suites_of() {
	case $kernels/$1 in
	/6.12-debug) echo leak stress fault lab fuzz unit ;;
	/6.1-debug) echo leak stress fault unit ;;
	/6.12-rt) echo lifecycle lab starved ;;
	/6.1-rt) echo lab starved ;;
	/6.12) all_suites_of "$1" | sed 's/^holds //' ;;
	*) all_suites_of "$1" ;;
	esac
}

all_suites_of() {
	case $1 in
	*-debug) echo leak stress fault lifecycle reader figures input lab fuzz unit ;;
	*-kcsan) echo stress lifecycle reader ;;
	*-rt) echo lifecycle reader lab input starved ;;
	*) echo holds pressure lifecycle linear reader episode figures nodes input lab fuzz starved suspend jiffies ;;
	esac
}

# What vm.sh is told for a suite, beside its own defaults.
vm_options() {
	case $1 in
	pressure) echo "-m 128M -d $disk" ;;
	episode) echo '-m 192M' ;;
	linear | holds) echo '-m 512M -I' ;;
	starved) echo '-I' ;;
	nodes) echo '-m 512M -n' ;;
	esac
}

# command_line KERNEL SUITE: what the guest's kernel is told. Before 6.12 that is
# the only way to have a cache fail on demand.
command_line() {
	printf 'tm.run=/tests/%s.sh tm.args=%s' "$2" "$arguments"
	case $1 in
	*-debug) printf ' slub_debug=A,task_sample' ;;
	esac
	# What warns is looked at all the same when it is over: see known_report.
	case $2 in
	stress) printf ' panic_on_warn=0' ;;
	starved) printf ' preempt=full' ;;
	jiffies) printf ' clocksource=jiffies highres=off nohz=off' ;;
	esac
}

# pack KERNEL: the initramfs with everything that a suite needs.
pack() {
	set -- "$1" -o "$work/$1.cpio" -k "$1" -f "$work/tmtool:/bin/tmtool" \
		-m "$("$tm_scripts/build.sh" "$1")/taskmonitor.ko"
	kernel=$1
	shift
	for f in "$tests"/guest/*.sh "$tests"/suites/*.sh; do
		set -- "$@" -f "$f:/tests/${f##*/}"
	done
	case $kernel in
	*-debug)
		unit=$("$tm_scripts/build.sh" "$kernel" TASKMONITOR_KUNIT=y)
		set -- "$@" -f "$unit/taskmonitor.ko:/taskmonitor-kunit.ko"
		;;
	esac
	"$tm_scripts/initramfs.sh" "$@" || die "cannot pack a guest for $kernel"
}

# judge VERDICT STATUS: KTAP in, what failed and the three counts out. A test
# that was planned and gave no result has failed, and so has a run with no plan.
judge() {
	awk -v status="$2" '
		/^1\.\.[0-9]+/ { planned = substr($1, 4); have_plan = 1 }
		/^ok [0-9]+ .*# SKIP/ { skipped++; next }
		/^ok [0-9]+/ { passed++ }
		/^not ok [0-9]+/ { failed++; print }
		END {
			seen = passed + skipped + failed
			if (!have_plan || seen != planned)
				print "not ok - " seen + 0 " results, " planned + 0 " planned"
			if (have_plan && seen < planned)
				failed += planned - seen
			else if (!have_plan || seen != planned)
				failed++
			if (status != 0 && !failed)
				print "not ok - the VM ended with status " status
			if (status != 0 && !failed)
				failed++
			print "counts " passed + 0, failed + 0, skipped + 0
		}' "$1"
}

# keep_logs KERNEL SUITE: all that its VM has left, until it fails again.
keep_logs() {
	logs=$cache/log/test-$1-$2
	lock "log-$1-$2"
	mkdir -p "$cache/log"
	rm -rf "$logs"
	cp -r "$work/$1-$2" "$logs"
	unlock
	echo "logs: $logs"
}

# What this job's processes have used: other than the time that they took, it
# says the same on a busy machine.
cpu_seconds() {
	awk -F '[ms ]' 'NR == 2 { printf "%d", 60 * ($1 + $4) + $2 + $5 }' "$dir/times"
}

# job KERNEL SUITE: one VM, or on the host the harness's own tests. Its output
# appears whole, when it is over.
job() {
	dir=$work/$1-$2
	mkdir -p "$dir"
	status=0
	began=$(date +%s)
	if [ "$1" = host ]; then
		"$tests/suites/harness.sh" >"$dir/ktap" 2>"$dir/err" || status=$?
	else
		# shellcheck disable=SC2046 # the options are words
		"$tm_scripts/vm.sh" -k "$1" -i "$work/$1.cpio" -l "$dir" \
			-t "$limit" $(vm_options "$2") -a "$(command_line "$1" "$2")" \
			>"$dir/ktap" 2>"$dir/err" || status=$?
	fi
	# No pipe: a subshell has used nothing yet.
	times >"$dir/times"
	judge "$dir/ktap" "$status" >"$dir/judgement"
	! grep -q '^not ok' "$dir/judgement" ||
		keep_logs "$1" "$2" >>"$dir/judgement"
	{
		echo "# kernel $1, $2 ($(($(date +%s) - began)) s, $(cpu_seconds) s of CPU)"
		grep -v '^TM-EXIT' "$dir/ktap" || :
		if [ "$status" -eq 0 ]; then
			grep '^debugfs warned' "$dir/err" | sed 's/^/# /'
		else
			sed 's/^/# /' "$dir/err"
		fi
	} >"$dir/report"
	flock "$work/lock" cat "$dir/report"
}

if [ "${1:-}" = --job ]; then
	work=$2 disk=$3 limit=$4 arguments=$5
	job "$6" "$7"
	exit
fi

kernels='' only='' arguments='' limit=500
while getopts k:s:a:t: opt; do
	case $opt in
	k) kernels="$kernels $OPTARG" ;;
	s) only="$only $OPTARG" ;;
	a) arguments=$OPTARG ;;
	t) limit=$OPTARG ;;
	*) die "$usage" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || die "$usage"

"$tm_scripts/setup.sh" test
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

disk=$("$tm_scripts/disk.sh")
make -s -j "$(nproc)" -C "$tests/tool" O="$work" tmtool
[ -n "$kernels$only" ] || echo host harness >"$work/jobs"
for kernel in ${kernels:-6.12-debug 6.1-debug 6.1 6.12 6.1-rt 6.12-rt}; do
	pack "$kernel"
	for suite in ${only:-$(suites_of "$kernel")}; do
		[ -e "$tests/suites/$suite.sh" ] || die "no suite '$suite'"
		printf '%s %s\n' "$kernel" "$suite"
	done >>"$work/jobs"
done

say "running $(wc -l <"$work/jobs") VMs, two at a time"
xargs -P 2 -L 1 "$0" --job "$work" "$disk" "$limit" "$arguments" <"$work/jobs" ||
	die 'a job ended without a judgement'

echo
cat "$work"/*/judgement | grep -E '^(not ok|logs:)' || :
counts=$(cat "$work"/*/judgement | awk '
	$1 == "counts" { p += $2; f += $3; s += $4 }
	END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped" }')
echo "$counts"
case $counts in
*' 0 failed,'*) ;;
*) exit 1 ;;
esac
