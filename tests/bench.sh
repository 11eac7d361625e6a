#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh [-k KERNEL]... [-f GROUP,...] [-j VMS] [-o RESULTS] [-b BUDGET] [-u]:
# measures what the module costs, and what others take for the same, in VMs where
# a nanosecond is an instruction (QEMU -icount): the figures repeat, whatever else
# the host does. Prints a table. Fails when a figure of ours is more than 2 % worse
# than in the budget, which holds for one kernel package and one QEMU only; for
# others it says so.
#
# -k  6.1 and 6.12 if not given
# -f  groups of figures only: see the second column of tests/bench/table
# -j  how many VMs at a time (2)
# -o  keeps the figures in that file
# -b  the budget (tests/bench/budget); what -o kept will do
# -u  everything is measured, and becomes the budget, whatever it is; the tables
#     in docs/benchmarks.md and README.md are written
#
# bench.sh -c RESULTS [-b BUDGET]: measures nothing and judges what -o kept.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/../scripts/lib.sh"

tests=$tm_root/tests
table=$tests/bench/table
budget=$tests/bench/budget
tolerance=2
usage='usage: bench.sh [-k KERNEL]... [-f GROUP,...] [-j VMS] [-o RESULTS] [-b BUDGET] [-u] | -c RESULTS [-b BUDGET]'

groups() {
	awk -F '|' '!/^#/ && $2 != "-" && !seen[$2]++ { print $2 }' "$table"
}

# vm_options GROUP
vm_options() {
	case $1 in
	scale) echo '-m 2G' ;;
	*) echo '-m 512M' ;;
	esac
}

# Into $work: the static tools, and where the shared ones' libraries are.
build_tools() {
	make -s -j "$(nproc)" -C "$tests/tool" O="$work" tmtool tmbench taskiter
	pidstat=$(command -v pidstat)
	ldd "$pidstat" | grep -o '/[^ ]*' >"$work/libraries"
}

# pack KERNEL: the initramfs with everything that a group needs.
pack() {
	set -- "$1" -o "$work/$1.cpio" -k "$1" \
		-m "$("$tm_scripts/build.sh" "$1")/taskmonitor.ko" \
		-f "$tests/bench/guest.sh:/tests/bench.sh" \
		-f "$tests/guest/lib.sh:/tests/lib.sh" \
		-f "$pidstat:/bin/pidstat"
	for tool in tmtool tmbench taskiter; do
		set -- "$@" -f "$work/$tool:/bin/$tool"
	done
	while read -r library; do
		set -- "$@" -f "$library:$library"
	done <"$work/libraries"
	kernel=$1
	shift
	"$tm_scripts/initramfs.sh" "$@" || die "cannot pack a guest for $kernel"
}

# job KERNEL GROUP: one VM, whose figures are in $work/KERNEL-GROUP/figures.
job() {
	dir=$work/$1-$2
	mkdir -p "$dir"
	began=$(date +%s)
	# The console takes instructions; every address decides where things lie;
	# and 6.12 tests its ciphers for a second, in the background.
	cmdline='loglevel=3 nokaslr norandmaps cryptomgr.notests=1'
	# shellcheck disable=SC2046 # the options are words
	if ! "$tm_scripts/vm.sh" -k "$1" -i "$work/$1.cpio" -l "$dir" -I \
		$(vm_options "$2") -t 900 \
		-a "$cmdline tm.run=/tests/bench.sh tm.args=$2" \
		>"$dir/out" 2>"$dir/err"; then
		cat "$dir/out" "$dir/err" >&2
		say "no figures of kernel $1, $2"
		return 1
	fi
	version=$(sed -n 's/^kernel //p' "$dir/out")
	awk -v version="$version" -v qemu="$qemu" -v kernel="$1" -v group="$2" \
		-F '|' '
		part == "out" {
			split($0, word, " ")
			if (word[2] ~ /^-?[0-9]+([.][0-9]+)?$/)
				figure[word[1]] = word[2]
			next
		}
		!/^#/ && $2 == group {
			if ($1 in figure)
				print version, qemu, $1, figure[$1]
			else {
				print "kernel " kernel ": no figure " $1 >"/dev/stderr"
				failed = 1
			}
		}
		END { exit failed }' part=out "$dir/out" part=table "$table" \
		>"$dir/figures" || {
		cat "$dir/out" >&2
		return 1
	}
	grep '^#' "$dir/out" >&2 || :
	say "kernel $1, $2: $(($(date +%s) - began)) s"
}

# derive RESULTS: the same and what follows from them.
derive() {
	awk '
		function ratio(key, name, a, b) {
			if (a && b)
				printf "%s %s %.1f\n", key, name, a / b
		}
		{
			print
			key = $1 " " $2
			keys[key]
			v[key, $3] = $4
		}
		END {
			for (key in keys) {
				sample = v[key, "sample_500"]
				both = v[key, "giveback_100000"]
				both = sample && both ? sample + both : 0
				text = v[key, "row_1000"]
				text = sample && text ? sample + text : 0
				ratio(key, "ratio_proc", v[key, "proc_statm"], both)
				ratio(key, "ratio_status", v[key, "proc_status"], both)
				ratio(key, "ratio_pidstat", v[key, "pidstat"], both)
				ratio(key, "ratio_bpf", v[key, "bpf"], text)
			}
		}' "$1"
}

# print_table RESULTS [aims]: one column for each kernel, in Markdown; of all
# figures, or of those that have a target.
print_table() {
	awk -F '|' -v aims="${2:-}" '
		function met(value, target) {
			if (target ~ /^<=/)
				return value + 0 <= substr(target, 3) + 0
			if (target ~ /^>=/)
				return value + 0 >= substr(target, 3) + 0
			return 1
		}
		part == "results" {
			split($0, w, " ")
			if (!(w[1] in known)) {
				known[w[1]]
				kernel[++nr] = w[1]
			}
			value[w[1], w[3]] = w[4]
			have[w[3]]
			next
		}
		FNR == 1 {
			printf "| instructions, if nothing else is said | target |"
			for (i = 1; i <= nr; i++)
				printf " %s |", kernel[i]
			printf "\n|---|---|"
			for (i = 1; i <= nr; i++)
				printf "---:|"
			printf "\n"
		}
		!/^#/ && $1 in have && ($4 != "-" || !aims) {
			target = $4 == "-" ? "" : " " $4
			sub(/<=/, "≤ ", target)
			sub(/>=/, "≥ ", target)
			printf "| %s |%s |", $5, target
			for (i = 1; i <= nr; i++) {
				v = value[kernel[i], $1]
				printf " %s%s |", v, met(v, $4) ? "" : " (missed)"
			}
			printf "\n"
		}' part=results "$1" part=table "$table"
}

# check RESULTS BUDGET: says what is worse than it may be, and fails then.
check() {
	if ! [ -e "$2" ]; then
		say "no budget: '$2'"
		set -- "$1" /dev/null
	fi
	awk -F '|' -v tolerance="$tolerance" '
		part == "table" {
			if (!/^#/ && $3 == "ours")
				ours[$1] = $4 ~ /^>=/ ? -1 : 1
			next
		}
		{ split($0, w, " ") }
		/^#/ || w[4] == "" { next }
		part == "budget" {
			keys[w[1], w[2]]
			limit[w[1], w[2], w[3]] = w[4]
			next
		}
		!(w[3] in ours) { next }
		!((w[1], w[2]) in keys) {
			if (!said[w[1], w[2]]++)
				print "no budget for kernel " w[1] " on QEMU " w[2] \
					": measured anew, compared with nothing"
			next
		}
		!((w[1], w[2], w[3]) in limit) {
			print "no budget for the figure " w[3] " of kernel " w[1]
			next
		}
		{
			was = limit[w[1], w[2], w[3]]
			by = (w[4] - was) * ours[w[3]]
			allowed = was * tolerance / 100 + 1e-9
			if (by > allowed)
				failed = 1
			if (by > allowed || -by > allowed)
				print (by > 0 ? "WORSE" : "better") ": kernel " w[1] \
					", " w[3] ": " w[4] ", and the budget is " was
		}
		END { exit failed }' part=table "$table" part=budget "$2" \
		part=results "$1"
}

# fill FILE TABLE: its table is that one from now on.
fill() {
	awk -v table="$2" '
		/^<!-- figures -->/ {
			print
			print ""
			while ((getline line <table) > 0)
				print line
			print ""
			skip = 1
		}
		/^<!-- end -->/ { skip = 0 }
		!skip' "$1" >"$work/filled"
	cat "$work/filled" >"$1"
}

# update RESULTS: the budget, and the tables in the documentation.
update() {
	{
		echo '# What tests/bench.sh -u measured: kernel package, QEMU, figure, value.'
		awk -F '|' '
			part == "table" && $3 == "ours" { ours[$1] }
			part == "results" && split($0, w, " ") && w[3] in ours' \
			part=table "$table" part=results "$1"
	} >"$work/budget"
	cat "$work/budget" >"$budget"
	fill "$tm_root/docs/benchmarks.md" "$work/table"
	print_table "$1" aims >"$work/aims"
	fill "$tm_root/README.md" "$work/aims"
	say 'written: the budget, and the tables in docs/benchmarks.md and README.md'
}

if [ "${1:-}" = --job ]; then
	work=$2 qemu=$3
	job "$4" "$5"
	exit
fi

kernels='' only='' vms=2 update='' results='' keep=''
while getopts k:f:j:o:uc:b: opt; do
	case $opt in
	k) kernels="$kernels $OPTARG" ;;
	f) only=$(printf '%s' "$OPTARG" | tr ',' ' ') ;;
	j) vms=$OPTARG ;;
	o) keep=$OPTARG ;;
	u) update=yes ;;
	c) results=$OPTARG ;;
	b) budget=$OPTARG ;;
	*) die "$usage" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || die "$usage"
[ -z "$update" ] || [ -z "$only$kernels" ] || die '-u takes all figures and both kernels'
for group in $only; do
	groups | grep -qx "$group" || die "no group '$group'; there are: $(groups | xargs)"
done
if [ -n "$results" ]; then
	check "$results" "$budget"
	exit
fi

"$tm_scripts/setup.sh" bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build_tools
qemu=$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([^ ]*\).*/\1/p')
kernels=${kernels:-6.1 6.12}
for kernel in $kernels; do
	pack "$kernel"
	for group in ${only:-$(groups)}; do
		printf '%s %s\n' "$kernel" "$group"
	done >>"$work/jobs"
done
say "running $(wc -l <"$work/jobs") VMs, $vms at a time"
xargs -P "$vms" -L 1 "$0" --job "$work" "$qemu" <"$work/jobs" ||
	die 'there are figures that could not be measured'

for kernel in $kernels; do
	cat "$work/$kernel"-*/figures
done >"$work/measured"
derive "$work/measured" >"$work/results"
[ -z "$keep" ] || cp "$work/results" "$keep"
print_table "$work/results" >"$work/table"
cat "$work/table"
status=0
check "$work/results" "$budget" || status=1
if [ -n "$update" ]; then
	update "$work/results"
	status=0
fi
exit "$status"
