#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# distclean.sh: drops the cache, and says how large it was. Refuses a directory that
# holds anything that these scripts have not put there.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

for f in "$cache"/* "$cache"/.[!.]*; do
	case ${f##*/} in
	apt | build | checkers | disk-*.ext4 | kernel | kvm-* | locks | log | results | \
		source | tmp | '*' | '.[!.]*') ;;
	*) die "'$f' is not of this cache; nothing is removed" ;;
	esac
done
size=$(du -sh "$cache" | cut -f 1)
rm -rf "$cache"
say "removed $cache: $size"
