#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The packages in clean roots of Debian 12 and 13: built, installed, built again for
# another kernel, refused for one that is not tested, upgraded, removed. The roots are
# kept in the cache; what is done to one stays in a layer above it. Needs root.
#
# Suite:
#   kernels  -
#   by-name  host
#   seconds  600
set -u

tests=$(cd -- "$(dirname -- "$0")/.." && pwd)
tree=${tests%/tests}
cache=${TASKMONITOR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/taskmonitor}
mirror=http://deb.debian.org

# enter DEBIAN ARGUMENTS...: runs tests/package/inside above the cached root of that name.
enter() {
	lower=$cache/root/$1
	shift
	work=$(mktemp -d "$cache/tmp/root.XXXXXX")
	unshare --mount --pid --fork --kill-child "$0" --mounted "$lower" "$work" "$@"
	status=$?
	rm -rf "$work"
	return $status
}

mounted() {
	lower=$1 work=$2
	shift 2
	mount --make-rprivate /
	mkdir "$work/upper" "$work/work" "$work/root"
	mount -t overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work" \
		overlay "$work/root" || exit 2
	root=$work/root
	mkdir -p "$root/tree"
	tar -C "$tree" --exclude ./.git -cf - . | tar -C "$root/tree" -xf -
	mount -t proc proc "$root/proc"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	for device in null zero full random urandom tty; do
		: >"$root/dev/$device"
		mount --bind "/dev/$device" "$root/dev/$device"
	done
	mkdir "$root/dev/pts" "$root/dev/shm"
	ln -s /proc/self/fd "$root/dev/fd"
	ln -s fd/0 "$root/dev/stdin"
	ln -s fd/1 "$root/dev/stdout"
	ln -s fd/2 "$root/dev/stderr"
	# Packages that were fetched once.
	mkdir -p "$cache/root/archives-${lower##*/}/partial"
	mount --bind "$cache/root/archives-${lower##*/}" "$root/var/cache/apt/archives"
	echo 'Binary::apt-get::APT::Keep-Downloaded-Packages "true";' \
		>"$root/etc/apt/apt.conf.d/keep"
	cp /etc/resolv.conf /etc/hosts "$root/etc"
	# No service is to be started here.
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	exec chroot "$root" env -i /tree/tests/package/inside "$@"
}

make_root() {
	[ ! -d "$cache/root/$1" ] || return 0
	mkdir -p "$cache/root" "$cache/tmp"
	"$tree/scripts/setup.sh" roots >&2
	rm -rf "$cache/root/$1.new"
	mmdebstrap --quiet --variant=minbase --include=ca-certificates "$1" \
		"$cache/root/$1.new" "deb $mirror/debian $1 main" \
		"deb $mirror/debian $1-updates main" \
		"deb $mirror/debian-security $1-security main" >&2 &&
		mv "$cache/root/$1.new" "$cache/root/$1"
}

if [ "${1:-}" = --mounted ]; then
	shift
	mounted "$@"
fi

echo 'KTAP version 1'
echo '1..16'
if [ "$(id -u)" -ne 0 ]; then
	for nr in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
		echo "ok $nr - packages # SKIP needs root"
	done
	exit 0
fi
status=0
mkdir -p "$cache/tmp"
# TM_ROOTS names one of them, for the time between two edits; the plan is for both.
# The kernel that comes second is another kernel of that Debian.
for one in "bookworm 12 0 amd64 6.12-amd64" "trixie 13 8 amd64 rt-amd64"; do
	# shellcheck disable=SC2086 # words are meant
	set -- $one
	case ${TM_ROOTS:-$1} in
	*"$1"*)
		if ! make_root "$1" || ! enter "$@"; then
			status=1
		fi
		;;
	esac
done
exit $status
