// SPDX-License-Identifier: GPL-2.0
/*
 * tmtool fuzz: generated inputs for all that can be written to, each with an
 * answer foretold by a model of what the module promises.
 *
 * The module was loaded with a period of an hour, so that nothing happens but
 * what is written. After every input the counters must be the model's: a refused
 * one changes nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tmtool.h"
#include "tool.h"

#define FUZZ_ACTORS	24
#define FUZZ_INPUT_MAX	70000
#define FUZZ_ANSWERS	6
#define PID_LIMIT	4194304
#define SHOWN_MAX	60
#define HOUR		"3600000"

/* The model */

enum actor_kind {
	FIXED,		/* lives on: we ourselves, our thread, init, a kthread */
	CHILD,		/* can be killed */
	ZOMBIE,		/* stays one */
	DEAD,
};

struct actor {
	pid_t pid;
	enum actor_kind kind;
	bool monitored;
	unsigned long samples;
};

static struct model {
	struct actor actors[FUZZ_ACTORS];
	unsigned int nr_actors;
	bool sampling;
	unsigned long monitors, samples, taken, removed;
} model;

/* What may come of an input. */
struct answers {
	long any[FUZZ_ANSWERS];
	unsigned int nr;
};

struct input {
	char data[FUZZ_INPUT_MAX + 1];
	size_t size;
};

static void allow(struct answers *answers, long answer)
{
	answers->any[answers->nr++] = answer;
}

static bool allowed(const struct answers *answers, long answer)
{
	unsigned int i;

	for (i = 0; i < answers->nr; i++)
		if (answers->any[i] == answer)
			return true;
	return false;
}

static struct actor *find_actor(unsigned long pid)
{
	unsigned int i;

	for (i = 0; i < model.nr_actors; i++)
		if (model.actors[i].pid > 0 &&
		    (unsigned long)model.actors[i].pid == pid)
			return &model.actors[i];
	return NULL;
}

static void model_sample(struct actor *actor)
{
	actor->samples++;
	model.samples++;
	model.taken++;
}

static void model_add(struct actor *actor)
{
	actor->monitored = true;
	model.monitors++;
	if (model.sampling)
		model_sample(actor);
}

static void model_remove(struct actor *actor)
{
	model.monitors--;
	model.samples -= actor->samples;
	model.removed += actor->samples;
	actor->samples = 0;
	actor->monitored = false;
}

static bool is_sampled(const struct actor *actor)
{
	return actor->monitored && actor->kind != DEAD && actor->kind != ZOMBIE;
}

static bool anyone_sampled(void)
{
	unsigned int i;

	for (i = 0; i < model.nr_actors; i++)
		if (is_sampled(&model.actors[i]))
			return true;
	return false;
}

/* A zombie that was added while sampling was stopped has no final sample: it goes. */
static void model_round(void)
{
	struct actor *actor;
	unsigned int i;

	for (i = 0; i < model.nr_actors; i++) {
		actor = &model.actors[i];
		if (is_sampled(actor))
			model_sample(actor);
		else if (actor->kind == ZOMBIE && actor->monitored &&
			 !actor->samples)
			model_remove(actor);
	}
}

/* Numbers as text */

struct text_number {
	bool negative;
	bool digits;	/* nothing else, but a sign and one newline */
	bool plain;	/* no plus sign, no leading zero */
	bool overflow;	/* the digits are too many for @value */
	unsigned long value;
};

static struct text_number parse_text(const char *text, size_t size)
{
	struct text_number number = { .plain = true };
	size_t i = 0, first;

	if (size && text[size - 1] == '\n')
		size--;
	if (size && (*text == '-' || *text == '+')) {
		number.negative = *text == '-';
		number.plain = number.negative;
		i++;
	}
	first = i;
	for (; i < size && text[i] >= '0' && text[i] <= '9'; i++) {
		number.overflow |= __builtin_mul_overflow(number.value, 10UL,
							  &number.value);
		number.overflow |= __builtin_add_overflow(number.value,
							  text[i] - '0' + 0UL,
							  &number.value);
	}
	number.digits = i > first && i == size;
	number.plain &= !(i - first > 1 && text[first] == '0');
	return number;
}

/* The file of PIDs */

static long answer_for_pid(bool negative, unsigned long pid, size_t size)
{
	struct actor *actor = find_actor(pid);

	if (negative)
		return actor && actor->monitored ? (long)size : -ENOENT;
	if (!actor || actor->kind == DEAD)
		return -ESRCH;
	return actor->monitored ? -EEXIST : (long)size;
}

/*
 * Leading zeros are promised nothing: 007 is 7, or invalid. Nor is it promised
 * which of its faults decides about 99999999999x. Returns false if the number
 * may be that of a process about which we know nothing.
 */
static bool foretell_pid(const struct input *input, struct answers *answers,
			 struct actor **actor)
{
	struct text_number number = parse_text(input->data, input->size);
	bool large = number.overflow || number.value > INT_MAX;

	*actor = NULL;
	if (!number.digits || !number.value || *input->data == '+' || large) {
		allow(answers, -EINVAL);
		if (large)
			allow(answers, -ERANGE);
		return true;
	}
	*actor = find_actor(number.value);
	if (!*actor && !number.negative && number.value <= PID_LIMIT)
		return false;
	if (!number.plain)
		allow(answers, -EINVAL);
	allow(answers, answer_for_pid(number.negative, number.value,
				      input->size));
	return true;
}

/* What is written */

static void append(struct input *input, const char *data, size_t size)
{
	if (size > FUZZ_INPUT_MAX - input->size)
		size = FUZZ_INPUT_MAX - input->size;
	memcpy(input->data + input->size, data, size);
	input->size += size;
	input->data[input->size] = 0;
}

static void append_text(struct input *input, const char *text)
{
	append(input, text, strlen(text));
}

static char some_byte(void)
{
	static const char alphabet[] = "01234567890123456789--++ \x20\n\n\t\0xa\xff";

	return alphabet[below(sizeof(alphabet) - 1)];
}

static void append_garbage(struct input *input, size_t size)
{
	char byte;

	while (size--) {
		byte = some_byte();
		append(input, &byte, 1);
	}
}

/* Numbers at which something might happen: ours, and those around a limit. */
static unsigned long some_number(void)
{
	static const unsigned long limits[] = {
		0, PID_LIMIT + 1, INT_MAX - 1UL, INT_MAX, INT_MAX + 1UL,
		INT_MAX + 2UL, UINT_MAX, UINT_MAX + 1UL, LONG_MAX, ULONG_MAX,
		99999999999UL,
	};
	unsigned long pid = model.actors[below(model.nr_actors)].pid;

	switch (below(12)) {
	case 0:
	case 1:
		return pick(limits);
	case 2:
		return pid + UINT_MAX + 1UL;
	case 3:
		return PID_LIMIT + below(INT_MAX - PID_LIMIT);
	default:
		return pid;
	}
}

static void append_number(struct input *input, unsigned long number)
{
	static const char * const before[] = {
		"", "", "", "", "", "", "-", "-", "-", "-", "+", "--", "0", "-0",
		"00000", " ", "\n", "\t",
	};
	static const char * const behind[] = {
		"", "", "", "", "\n", "\n", "\n", "\n\n", " ", "x", ".0", "-",
		"\r\n",
	};
	char text[32];

	snprintf(text, sizeof(text), "%lu", number);
	append_text(input, pick(before));
	append_text(input, text);
	if (below(30))
		append_text(input, pick(behind));
	else
		append(input, "\0", 1 + below(2));
}

static void append_valid(struct input *input)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%d%s", below(2) ? "-" : "",
		 model.actors[below(model.nr_actors)].pid,
		 below(2) ? "\n" : "");
	append_text(input, text);
}

/* A byte changed, put in or left out. */
static void mutate(struct input *input)
{
	size_t at = below(input->size + 1);
	char byte = some_byte();

	switch (below(3)) {
	case 0:
		if (at < input->size)
			input->data[at] = byte;
		break;
	case 1:
		append(input, &byte, 1);
		memmove(input->data + at + 1, input->data + at,
			input->size - at - 1);
		input->data[at] = byte;
		break;
	default:
		if (at == input->size)
			break;
		memmove(input->data + at, input->data + at + 1,
			input->size - at);
		input->size--;
	}
}

static void append_long(struct input *input)
{
	static const size_t sizes[] = {
		13, 31, 32, 33, 63, 64, 65, 300, 4095, 4096, 4097, 65536, 70000,
	};
	static const char fillers[] = { '1', '0', '\n', ' ', '\0' };
	size_t size = pick(sizes);
	char filler = pick(fillers);

	append_number(input, some_number());
	while (input->size < size)
		append(input, &filler, 1);
}

static void some_input(struct input *input)
{
	unsigned int dice = below(100);

	input->size = 0;
	*input->data = 0;
	if (dice < 30) {
		append_valid(input);
	} else if (dice < 60) {
		append_number(input, some_number());
	} else if (dice < 75) {
		append_number(input, some_number());
		mutate(input);
	} else if (dice < 80) {
		append_number(input, some_number());
		append_text(input, below(2) ? " " : "\n");
		append_number(input, some_number());
	} else if (dice < 95) {
		append_garbage(input, below(41));
	} else {
		append_long(input);
	}
}

/* Telling what went wrong */

static unsigned long fuzz_seed, fuzz_nr;

static void show_input(const struct input *input)
{
	size_t i;

	putchar('"');
	for (i = 0; i < input->size && i < SHOWN_MAX; i++) {
		unsigned char c = input->data[i];

		if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
			putchar(c);
		else
			printf("\\x%02x", c);
	}
	printf("\"%s (%zu bytes)", i < input->size ? "..." : "", input->size);
}

static void show_answer(long answer)
{
	if (answer < 0)
		printf(" %s", strerrorname_np(-answer));
	else
		printf(" %ld", answer);
}

static void show_case(const char *path, const struct input *input)
{
	printf("seed %lu, input %lu: ", fuzz_seed, fuzz_nr);
	show_input(input);
	printf(" to %s:", path);
}

static void wrong_answer(const char *path, const struct input *input, long got,
			 const struct answers *answers)
{
	unsigned int i;

	show_case(path, input);
	show_answer(got);
	printf("; expected");
	for (i = 0; i < answers->nr; i++)
		show_answer(answers->any[i]);
	putchar('\n');
	exit(1);
}

/* The counters */

static const struct {
	const char *name;
	unsigned long *expected;
} fuzz_counters[] = {
	{ "monitors", &model.monitors },
	{ "samples", &model.samples },
	{ "taken", &model.taken },
	{ "removed", &model.removed },
};

static void check_counters(const char *path, const struct input *input)
{
	char stats[4096];
	unsigned long got;
	size_t i;

	read_file(STATS_FILE, stats, sizeof(stats));
	for (i = 0; i < ARRAY_SIZE(fuzz_counters); i++) {
		got = counter(stats, fuzz_counters[i].name);
		if (got == *fuzz_counters[i].expected)
			continue;
		show_case(path, input);
		printf(" then %s is %lu; expected %lu\n", fuzz_counters[i].name,
		       got, *fuzz_counters[i].expected);
		exit(1);
	}
}

/* A round takes as long as it takes. */
static void wait_for_round(void)
{
	unsigned long end = now(CLOCK_MONOTONIC) + 60 * NSEC_PER_SEC;
	char stats[4096];

	do {
		usleep(1000);
		read_file(STATS_FILE, stats, sizeof(stats));
	} while ((counter(stats, "taken") < model.taken ||
		  counter(stats, "monitors") > model.monitors) &&
		 now(CLOCK_MONOTONIC) < end);
}

/* The history: every actor has as many rows as the model says, no one else. */
static void check_rows(void)
{
	unsigned long rows[FUZZ_ACTORS] = { }, pid;
	FILE *file = fopen_or_die(DEBUGFS_FILE);
	struct actor *actor;
	char line[512];
	unsigned int i;

	while (fgets(line, sizeof(line), file)) {
		pid = number_before(line + strlen("pid "), ' ');
		actor = find_actor(pid);
		if (actor)
			rows[actor - model.actors]++;
		if (actor && actor->monitored)
			continue;
		printf("seed %lu, input %lu: a row of %lu\n", fuzz_seed, fuzz_nr,
		       pid);
		exit(1);
	}
	fclose(file);
	for (i = 0; i < model.nr_actors; i++) {
		if (rows[i] == model.actors[i].samples)
			continue;
		printf("seed %lu, input %lu: %lu rows of %d; expected %lu\n",
		       fuzz_seed, fuzz_nr, rows[i], model.actors[i].pid,
		       model.actors[i].samples);
		exit(1);
	}
}

/* Writing */

static struct {
	unsigned long accepted, refused[134];
} fuzz_seen;

static void count_answer(long answer)
{
	if (answer >= 0)
		fuzz_seen.accepted++;
	else if ((size_t)-answer < ARRAY_SIZE(fuzz_seen.refused))
		fuzz_seen.refused[-answer]++;
}

static void put_or_die(const char *path, const char *text)
{
	errno = 0;
	if (put(path, text, strlen(text)) < 0)
		die(path);
}

static long try_input(const char *path, const struct input *input,
		      const struct answers *answers)
{
	long got = put(path, input->data, input->size);

	count_answer(got);
	if (!allowed(answers, got))
		wrong_answer(path, input, got, answers);
	return got;
}

static void fuzz_pid(struct input *input)
{
	struct answers answers = { };
	struct actor *actor;

	some_input(input);
	if (!foretell_pid(input, &answers, &actor))
		return;
	if (try_input(DEBUGFS_FILE, input, &answers) >= 0) {
		if (*input->data == '-')
			model_remove(actor);
		else
			model_add(actor);
	}
	check_counters(DEBUGFS_FILE, input);
}

/* An address that cannot be read, of any size. */
static void fuzz_address(struct input *input)
{
	static const unsigned long addresses[] = {
		0, 1, 4095, 1UL << 46, 1UL << 47, 1UL << 63, -4096UL, -1UL,
	};
	static const char * const paths[] = { DEBUGFS_FILE, SYSFS_FILE };
	const char *path = pick(paths);
	struct answers answers = { };
	int fd = open_or_die(path, O_WRONLY);
	long got;

	input->size = 1 + below(below(4) ? 12 : 5000);
	memset(input->data, '?', input->size);
	allow(&answers, -EFAULT);
	if (path == paths[0] && input->size > 12)
		allow(&answers, -EINVAL);
	got = syscall(SYS_write, fd, pick(addresses), input->size);
	if (got < 0)
		got = -errno;
	close(fd);
	count_answer(got);
	if (!allowed(&answers, got))
		wrong_answer(path, input, got, &answers);
	check_counters(path, input);
}

static bool is_word(const struct input *input, const char *word)
{
	size_t size = strlen(word);

	return (input->size == size ||
		(input->size == size + 1 && input->data[size] == '\n')) &&
	       !memcmp(input->data, word, size);
}

/* "start" and "stop", and what is nearly that */
static void fuzz_attribute(struct input *input)
{
	static const char * const words[] = {
		"start", "stop", "start\n", "stop\n", "Start", "STOP", "stopx",
		"star", " stop", "stop ", "stop\n\n", "start stop", "", "\n",
	};
	struct answers answers = { };
	bool start, stop;

	input->size = 0;
	*input->data = 0;
	append_text(input, pick(words));
	if (!below(4))
		mutate(input);
	if (!below(20))
		append(input, "\0", 1);
	start = is_word(input, "start");
	stop = is_word(input, "stop");
	/* A round of no process cannot be seen to end. */
	if (start && !anyone_sampled())
		return;

	/* An empty write does not get as far as the module. */
	allow(&answers, start || stop || !input->size ? (long)input->size :
							-EINVAL);
	try_input(SYSFS_FILE, input, &answers);
	if (start && !model.sampling) {
		model_round();
		wait_for_round();
	}
	if (start || stop)
		model.sampling = start;
	check_counters(SYSFS_FILE, input);
}

struct parameter {
	const char *path, *reset;
	unsigned long min, max, type_max;
};

/*
 * What the kernel passes on to a parameter ends at a NUL, and 4096 bytes at
 * most are taken. It reads +5, 0x10 and 010 as C does: nothing is promised
 * there, but a value that is taken must be in range.
 */
static void foretell_parameter(const struct input *input,
			       const struct parameter *parameter,
			       struct answers *answers)
{
	size_t taken = input->size < 4096 ? input->size : 4096;
	size_t size = strnlen(input->data, taken);
	struct text_number number = parse_text(input->data, size);
	unsigned long value = strtoul(input->data, NULL, 0);
	bool odd = !number.plain || (*input->data == '0' && !number.digits);

	if (!taken) {
		allow(answers, 0);
		return;
	}
	if ((number.digits && !number.negative && !number.overflow) || odd) {
		if (value >= parameter->min && value <= parameter->max)
			allow(answers, taken);
		if (answers->nr && !odd)
			return;
	}
	allow(answers, -EINVAL);
	if (number.overflow || number.value > parameter->type_max)
		allow(answers, -ERANGE);
}

static void fuzz_parameter(struct input *input)
{
	static const struct parameter parameters[] = {
		{ PARAMETER("period_ms"), HOUR, 1, 3600000, UINT_MAX },
		{ PARAMETER("max_samples"), "0", 0, ULONG_MAX, ULONG_MAX },
	};
	static const unsigned long limits[] = {
		0, 1, 2, 1000, 3599999, 3600000, 3600001, UINT_MAX, ULONG_MAX,
	};
	const struct parameter *parameter = &pick(parameters);
	const char *path = parameter->path;
	struct answers answers = { };
	char before[64], after[64];
	long got;

	/* A short period is a lot of samples. */
	if (parameter == parameters && model.sampling)
		return;
	some_input(input);
	if (below(2)) {
		input->size = 0;
		append_number(input, pick(limits));
	}
	foretell_parameter(input, parameter, &answers);
	read_file(path, before, sizeof(before));
	got = try_input(path, input, &answers);
	read_file(path, after, sizeof(after));
	if (got <= 0 ? strcmp(before, after) :
		       number_before(after, '\n') != strtoul(input->data, NULL, 0)) {
		show_case(path, input);
		show_answer(got);
		printf(" and then it is %s", after);
		exit(1);
	}
	put_or_die(path, parameter->reset);
	check_counters(path, input);
}

/* Who lives and who dies */

static struct actor *new_actor(pid_t pid, enum actor_kind kind)
{
	struct actor *actor = &model.actors[model.nr_actors++];

	*actor = (struct actor){ .pid = pid, .kind = kind };
	return actor;
}

static void *tell_tid(void *tid)
{
	__atomic_store_n((pid_t *)tid, gettid(), __ATOMIC_RELEASE);
	stay();
}

static pid_t new_thread(void)
{
	static pid_t tid;
	pthread_t thread;

	start_thread(&thread, tell_tid, &tid);
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(1000);
	return tid;
}

/*
 * One that is monitored with no sample is left alone: whether its entry stays
 * when it is gone is promised nowhere. Who is dead and forgotten comes back as
 * another.
 */
static void live_and_die(void)
{
	struct actor *actor = &model.actors[below(model.nr_actors)];

	if (actor->kind == CHILD && (!actor->monitored || actor->samples)) {
		end_child(actor->pid, 0);
		if (actor->monitored && model.sampling) {
			/* Its final one. */
			model_sample(actor);
			wait_for_round();
		}
		actor->kind = DEAD;
	} else if (actor->kind == DEAD && !actor->monitored) {
		actor->pid = new_child();
		actor->kind = CHILD;
	}
}

static void gather(void)
{
	new_actor(getpid(), FIXED);
	new_actor(1, FIXED);
	new_actor(2, FIXED);
	new_actor(new_thread(), FIXED);
	new_actor(new_child(), ZOMBIE);
	end_child(model.actors[model.nr_actors - 1].pid, WNOWAIT);
	while (model.nr_actors < FUZZ_ACTORS)
		new_actor(new_child(), CHILD);
	put_or_die(SYSFS_FILE, "stop");
}

static void fuzz_once(struct input *input)
{
	unsigned int dice = below(100);

	if (dice < 70)
		fuzz_pid(input);
	else if (dice < 80)
		fuzz_parameter(input);
	else if (dice < 90)
		fuzz_attribute(input);
	else if (dice < 95)
		fuzz_address(input);
	else
		live_and_die();
}

int cmd_fuzz(int argc, char **argv)
{
	unsigned long count = number(argv[1]);
	static struct input input;
	size_t i;

	(void)argc;
	fuzz_seed = number(argv[0]);
	seed_random(fuzz_seed);
	gather();
	for (fuzz_nr = 1; fuzz_nr <= count; fuzz_nr++) {
		fuzz_once(&input);
		if (!(fuzz_nr % 500))
			check_rows();
	}
	check_rows();
	printf("accepted %lu\n", fuzz_seen.accepted);
	for (i = 0; i < ARRAY_SIZE(fuzz_seen.refused); i++)
		if (fuzz_seen.refused[i])
			printf("%s %lu\n", strerrorname_np(i),
			       fuzz_seen.refused[i]);
	return 0;
}
