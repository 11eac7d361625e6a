// SPDX-License-Identifier: GPL-2.0
/*
 * Random choices, by xorshift64: the same seed, the same choices, with any C
 * library.
 */

#include "tmtool.h"

static unsigned long state;

unsigned int below(unsigned int limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % limit;
}

void seed_random(unsigned long seed)
{
	/* 0 would stay 0, and small seeds are much alike at first. */
	state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	below(1);
}
