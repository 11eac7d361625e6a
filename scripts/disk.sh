#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# disk.sh: prints the path of a small disk image, made when it is not there
# yet: 20 files of 8 MB, for a VM to read through its page cache.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

image=$cache/disk-160M.ext4
lock disk
if ! [ -e "$image" ]; then
	say 'making a disk of 160 MB for the VM to read'
	tmp=$(scratch disk)
	mkdir "$tmp/files"
	i=0
	# Holes: to the page cache they are pages like any other.
	while [ "$i" -lt 20 ]; do
		i=$((i + 1))
		truncate -s 8M "$tmp/files/file$i"
	done
	mke2fs -q -t ext4 -d "$tmp/files" "$tmp/image" 192M >&2
	mv "$tmp/image" "$image"
	rm -rf "$tmp"
fi
unlock
printf '%s\n' "$image"
