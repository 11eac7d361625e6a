#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mutants.sh [-t TABLE] [NAME]...: proves that the tests can fail. Each patch in
# tests/mutants is one mistake that people make in such a module; it is applied
# to a copy of the tree, and the suite that it names must fail there. A suite
# has to pass on the unchanged tree first. Two run at a time.
#
# Exit status: 0 when every mutant was caught. -t writes the table to a file.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/../scripts/lib.sh"

usage='usage: mutants.sh [-t TABLE] [NAME]...'
mutants=$tm_root/tests/mutants

# run_suite DIR KERNEL SUITE LOG: the whole of tests/run.sh, on a tree.
run_suite() {
	TM_SRC=$1 "$1/tests/run.sh" -k "$2" -s "$3" >"$4" 2>&1
}

# Detected by: a report of the kernel's, or the first test that failed.
evidence() {
	grep -hE '^# .*(BUG:|WARNING:|KASAN|Objects remaining|possible |INFO: |buggy )' \
		"$1" | sed 's/^# *//; s/^\[[^]]*\] *\(\[[^]]*\]\)*//; s/ at [^ ]*\// at /' |
		head -n 1 | grep . ||
		grep -h '^not ok' "$1" | sed 's/^not ok [0-9]* *- //' |
		head -n 1 | grep . ||
		echo 'the VM gave no verdict'
}

row() {
	printf '| %s | %s | %s | %s | %s |\n' "$@" | tee "$work/rows/$1"
}

# job NAME: one mutant; or, as "KERNEL/SUITE", the unchanged tree.
job() {
	case $1 in
	*/*)
		base=${1%%/*}-${1#*/}
		if run_suite "$tm_root" "${1%%/*}" "${1#*/}" \
			"$work/$base.log"; then
			say "unchanged, kernel ${1%%/*}, ${1#*/}: passes"
			return
		fi
		cat "$work/$base.log" >&2
		say "unchanged, kernel ${1%%/*}, ${1#*/}: FAILS, so it proves nothing"
		: >"$work/broken"
		return
		;;
	esac
	patch=$mutants/$1.patch
	what=$(head -n 1 "$patch")
	caught=$(sed -n 's/^Caught-by: //p' "$patch")
	kernel=${caught% *} suite=${caught#* }
	tree=$work/tree/$1
	mkdir -p "$tree"
	tar -C "$tm_root" --exclude .git -cf - . | tar -xf - -C "$tree"
	if ! (cd "$tree" && git apply "$patch") 2>"$work/$1.log"; then
		row "$1" "$what" "$kernel" "$suite" 'DOES NOT APPLY'
	elif ! TM_SRC=$tree "$tm_scripts/build.sh" "$kernel" >/dev/null \
		2>"$work/$1.log"; then
		row "$1" "$what" "$kernel" "$suite" 'DOES NOT BUILD'
	elif run_suite "$tree" "$kernel" "$suite" "$work/$1.log"; then
		row "$1" "$what" "$kernel" "$suite" 'SURVIVED'
	else
		row "$1" "$what" "$kernel" "$suite" "$(evidence "$work/$1.log")"
	fi
	rm -rf "$tree"
}

if [ "${1:-}" = --job ]; then
	work=$2
	job "$3"
	exit
fi

table=
while getopts t: opt; do
	case $opt in
	t) table=$OPTARG ;;
	*) die "$usage" ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ]; then
	for patch in "$mutants"/*.patch; do
		name=${patch##*/}
		set -- "$@" "${name%.patch}"
	done
fi

"$tm_scripts/setup.sh" test
work=$(mktemp -d)
mkdir "$work/rows"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for name; do
	[ -e "$mutants/$name.patch" ] || die "no mutant '$name'"
	sed -n 's/^Caught-by: \([^ ]*\) /\1\//p' "$mutants/$name.patch"
done | sort -u >"$work/suites"

say "$(wc -l <"$work/suites") suites on the unchanged tree"
xargs -P 2 -n 1 "$0" --job "$work" <"$work/suites"
[ ! -e "$work/broken" ] || die 'the tests fail without any mutant'

say "$# mutants"
printf '%s\n' "$@" | xargs -P 2 -n 1 "$0" --job "$work"

{
	printf '| mutant | mistake | kernel | suite | detected by |\n'
	printf '|---|---|---|---|---|\n'
	cat "$work"/rows/*
} >"$work/table"
[ -z "$table" ] || cp "$work/table" "$table"
survivors=$(grep -cE '\| (SURVIVED|DOES NOT APPLY|DOES NOT BUILD) \|' \
	"$work/table" || :)
echo "$(($# - survivors)) of $# mutants caught"
[ "$survivors" -eq 0 ]
