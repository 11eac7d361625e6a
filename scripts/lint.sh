#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# lint.sh: checkpatch and kernel-doc on every C file, the compiler's own
# warnings (W=1) and sparse on Debian's kernels, shellcheck on every shell script,
# pyflakes on Python; whether functions take or assert the locks of what they
# touch, whether the map of the tests is true, and whether the mutants still apply.
# Each check that finds nothing prints ok and its name; the others print what
# they found, and the exit status is 1.
#
# TM_SRC: the tree to check (default: this one)
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

src=$(cd -- "${TM_SRC:-$tm_root}" && pwd)
TM_SRC=$src
export TM_SRC
checks=0
failures=0

"$tm_scripts/setup.sh" lint

# check NAME COMMAND...: it must succeed and say nothing on stdout.
check() {
	checks=$((checks + 1))
	check_name=$1
	shift
	if found=$("$@" 2>&1) && [ -z "$found" ]; then
		printf 'ok %s\n' "$check_name"
	else
		printf '%s\nFAILED %s\n' "$found" "$check_name"
		failures=$((failures + 1))
	fi
}

c_files() {
	(cd -- "$src" && find . -name .git -prune -o -name '*.[ch]' -print |
		sed 's,^\./,,' | sort)
}

# By its name or by its first line.
shell_scripts() {
	(cd -- "$src" && find . -name .git -prune -o -type f -print | sort |
		while read -r f; do
			case $f in
			*.sh)
				printf '%s\n' "$f"
				continue
				;;
			esac
			line=$(head -c 64 -- "$f" | tr -d '\0' | head -n 1)
			case $line in
			'#!'*[/\ ]sh | '#!'*[/\ ]sh\ *) printf '%s\n' "$f" ;;
			esac
		done)
}

# A module outside the tree serves several versions and must ask for theirs;
# checkpatch takes that very comparison for a constant on the wrong side.
run_checkpatch() {
	cd -- "$src" && "$checkers/checkpatch.pl" --no-tree --strict --terse \
		--show-types --no-summary --quiet \
		--ignore LINUX_VERSION_CODE,CONSTANT_COMPARISON -f "$@"
}

run_kernel_doc() {
	cd -- "$src" && perl "$checkers/kernel-doc" -none "$@"
}

# SC2187 says that busybox's sh is taken for dash, as it should be.
run_shellcheck() {
	cd -- "$src" && shellcheck -x -P SCRIPTDIR:. -e SC2187 "$@"
}

# Only what the compiler and sparse say is of interest.
run_build() {
	log=$("$tm_scripts/build.sh" "$@" 2>&1 >/dev/null) || {
		printf '%s\n' "$log"
		return 1
	}
}

run_locks() {
	cd -- "$src" && "$tm_scripts/lint-locks.py" taskmonitor.h taskmonitor.c \
		sample_cache.c shrinker.c debugfs_seq.c
}

python_files() {
	(cd -- "$src" && find . -name .git -prune -o -name '*.py' -print)
}

run_pyflakes() {
	cd -- "$src" && pyflakes3 "$@"
}

run_mypy() {
	(cd -- "$src/tests" && mypy --disallow-untyped-defs --follow-imports=silent \
		--no-error-summary --cache-dir=/dev/null "$@")
}

run_answers() {
	"$src/scripts/answers.py" check
}

run_leaktable() {
	"$src/scripts/leaktable.py" check
}

run_tests_map() {
	"$src/scripts/lint-tests.py"
}

# A mutant that no longer applies proves nothing.
run_apply() {
	cd -- "$src" && for patch in tests/mutants/*.patch; do
		git apply --check "$patch" 2>&1 ||
			printf '%s does not apply\n' "$patch"
	done
}

checkers=$(kernel_checkers)/scripts
# No file name here has a blank: kbuild would not take it.
# shellcheck disable=SC2046 # one word per file is meant
check checkpatch run_checkpatch $(c_files)
# shellcheck disable=SC2046 # one word per file is meant
check kernel-doc run_kernel_doc $(c_files)
# shellcheck disable=SC2046 # one word per file is meant
check shellcheck run_shellcheck $(shell_scripts)
# shellcheck disable=SC2046 # one word per file is meant
check pyflakes run_pyflakes $(python_files)
# shellcheck disable=SC2046 # one word per file is meant
check 'types of the grader' run_mypy grade.py $(cd -- "$src/tests" && ls grader/*.py)
check 'docs/answers.md' run_answers
check 'tables of docs/memory.md' run_leaktable
check locks run_locks
check 'map of the tests' run_tests_map
check mutants run_apply
kernels=$("$tm_scripts/kernel.sh" -l)
for kernel in $kernels; do
	case $kernel in
	*-rt) continue ;;
	esac
	check "compiler (W=1) and sparse, kernel $kernel" \
		run_build "$kernel" W=1 C=2 CF=-D__CHECK_ENDIAN__
done

[ "$failures" -eq 0 ] || die "$failures of $checks checks failed"
