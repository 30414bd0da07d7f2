/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the steps of a page allocator cost on this host, in native code: bench/native.py builds and runs it.
 *
 *	steps costs			one "name value" a line: nanoseconds; medians of short batches
 *	steps run DESIGN LOCK THREADS HOLD OUTSIDE REFILL BURST
 *					nanoseconds an operation and thread, one line a window
 *
 * => DESIGN: "shared" takes one lock around a list and two counters for each page. "percpu" has a list and a lock for
 *    each thread, refills from the shared list REFILL pages at a time and spills as many beyond twice that.
 * => LOCK: "ttas" waits as a NetBSD spin mutex does, "ticket" and "mcs" in the order of arrival.
 * => A thread takes BURST pages and frees them again. After each operation it works OUTSIDE nanoseconds, +-30 %;
 *    HOLD are spent under each shared lock on top of the steps themselves. Both are loops, calibrated at the start.
 * => Threads are pinned, the first to the first processor that is allowed. A window in which the kernel took a
 *    processor from a thread counts for nothing; so a busy host makes fewer windows, not slower ones.
 * => Shared data, by line: the lock; the list's head and the counters; each page. Nothing else is shared.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINE 64
#define PAGES_MAX 4096
#define BURST_MAX 512
#define WINDOWS 30		/* of a run, those that count */
#define WINDOW_NS 400000	/* short: most windows end before the kernel takes the processor away */
#define TRIES_MAX 4000
#define BATCHES 101
#define COLD_BYTES (512UL << 20)	/* larger than any cache that one core gets at */
#define ZERO_BYTES (64UL << 20)

#if defined(__x86_64__) || defined(__i386__)
#define spin_pause() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define spin_pause() __asm__ volatile("yield" ::: "memory")
#else
#define spin_pause() __asm__ volatile("" ::: "memory")
#endif

enum kind { TTAS, TICKET, MCS };

struct waiter {
	_Alignas(LINE) _Atomic(struct waiter *) next;
	atomic_int granted;
};

struct lock {
	_Alignas(LINE) atomic_uint word;	/* ttas: taken; ticket: the next ticket */
	atomic_uint serving;
	_Atomic(struct waiter *) tail;
};

struct page {
	_Alignas(LINE) struct page *next;
	uint64_t flags;
};

struct list {
	_Alignas(LINE) struct page *head;
	uint64_t length, allocs, frees;
};

struct player {
	_Alignas(LINE) struct waiter node;
	struct lock own;
	struct list cache;
	struct page *held[BURST_MAX];
	uint64_t random, ops, nanoseconds;
	unsigned nheld;
	bool freeing, disturbed;
	int cpu;
};

static struct lock lock;
static struct list shared;
static struct page pages[PAGES_MAX];
static struct player players[2];
static _Alignas(LINE) atomic_int gate, window_over;
static _Alignas(LINE) atomic_int arrived;
static sem_t done;		/* the main thread sleeps on it: it shares a processor with a player */
static double loops_per_ns;

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void
die(const char *what)
{
	fprintf(stderr, "steps: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void
pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("sched_setaffinity");
}

static int
allowed_cpu(int n)
{
	static cpu_set_t set;
	static bool read;
	int cpu;

	if (!read && sched_getaffinity(0, sizeof(set), &set) != 0)
		die("sched_getaffinity");
	read = true;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- == 0)
			return cpu;
	fprintf(stderr, "steps: needs two processors\n");
	exit(3);
}

static long
switches(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nivcsw;
}

/* One copy, aligned: copies of a loop differ in speed by where they happen to stand. */
static __attribute__((noinline, aligned(LINE))) void
work(uint64_t loops)
{
	while (loops-- != 0)
		__asm__ volatile("" ::: "memory");
}

static inline uint64_t
drawn(struct player *me)
{
	me->random ^= me->random << 13;
	me->random ^= me->random >> 7;
	me->random ^= me->random << 17;
	return me->random;
}

/* The locks. */

static inline __attribute__((always_inline)) void
acquire(enum kind kind, struct lock *l, struct waiter *me)
{
	if (kind == TTAS) {
		unsigned count = 4;

		while (atomic_exchange_explicit(&l->word, 1, memory_order_acquire) != 0) {
			while (atomic_load_explicit(&l->word, memory_order_relaxed) != 0) {
				for (unsigned i = count; i != 0; i--)
					spin_pause();
				if (count < 128)
					count += count;
			}
		}
	} else if (kind == TICKET) {
		unsigned mine = atomic_fetch_add_explicit(&l->word, 1, memory_order_relaxed);

		while (atomic_load_explicit(&l->serving, memory_order_acquire) != mine)
			spin_pause();
	} else {
		struct waiter *before;

		atomic_store_explicit(&me->next, NULL, memory_order_relaxed);
		atomic_store_explicit(&me->granted, 0, memory_order_relaxed);
		before = atomic_exchange_explicit(&l->tail, me, memory_order_acq_rel);
		if (before != NULL) {
			atomic_store_explicit(&before->next, me, memory_order_release);
			while (atomic_load_explicit(&me->granted, memory_order_acquire) == 0)
				spin_pause();
		}
	}
}

static inline __attribute__((always_inline)) void
release(enum kind kind, struct lock *l, struct waiter *me)
{
	if (kind == TTAS) {
		atomic_store_explicit(&l->word, 0, memory_order_release);
	} else if (kind == TICKET) {
		unsigned mine = atomic_load_explicit(&l->serving, memory_order_relaxed);

		atomic_store_explicit(&l->serving, mine + 1, memory_order_release);
	} else {
		struct waiter *after = atomic_load_explicit(&me->next, memory_order_acquire);

		if (after == NULL) {
			struct waiter *expected = me;

			if (atomic_compare_exchange_strong(&l->tail, &expected, NULL))
				return;
			while ((after = atomic_load_explicit(&me->next, memory_order_acquire)) == NULL)
				spin_pause();
		}
		atomic_store_explicit(&after->granted, 1, memory_order_release);
	}
}

/* The designs. */

struct load {
	bool percpu;
	enum kind kind;
	int threads;
	uint64_t hold, outside;		/* in loops of work() */
	unsigned refill, burst;
};

static struct load load;

static inline struct page *
pop(struct list *list)
{
	struct page *pg = list->head;

	if (pg != NULL) {
		list->head = pg->next;
		list->length--;
		pg->next = NULL;
	}
	return pg;
}

static inline void
push(struct list *list, struct page *pg)
{
	pg->next = list->head;
	list->head = pg;
	list->length++;
}

static inline __attribute__((always_inline)) struct page *
take(enum kind kind, bool percpu, struct player *me)
{
	struct page *pg;

	if (!percpu) {
		acquire(kind, &lock, &me->node);
		pg = pop(&shared);
		shared.allocs++;
		work(load.hold);
		release(kind, &lock, &me->node);
		return pg;
	}
	acquire(TTAS, &me->own, NULL);
	if (me->cache.head == NULL) {
		acquire(kind, &lock, &me->node);
		for (unsigned n = load.refill; n != 0; n--)
			push(&me->cache, pop(&shared));
		shared.allocs += load.refill;
		work(load.hold);
		release(kind, &lock, &me->node);
	}
	pg = pop(&me->cache);
	release(TTAS, &me->own, NULL);
	return pg;
}

static inline __attribute__((always_inline)) void
give(enum kind kind, bool percpu, struct player *me, struct page *pg)
{
	if (!percpu) {
		acquire(kind, &lock, &me->node);
		push(&shared, pg);
		shared.frees++;
		work(load.hold);
		release(kind, &lock, &me->node);
		return;
	}
	acquire(TTAS, &me->own, NULL);
	push(&me->cache, pg);
	if (me->cache.length > 2 * (uint64_t)load.refill) {
		acquire(kind, &lock, &me->node);
		for (unsigned n = load.refill; n != 0; n--)
			push(&shared, pop(&me->cache));
		shared.frees += load.refill;
		work(load.hold);
		release(kind, &lock, &me->node);
	}
	release(TTAS, &me->own, NULL);
}

static inline __attribute__((always_inline)) void
play(enum kind kind, bool percpu, struct player *me)
{
	uint64_t ops = 0, began;
	long before = switches();

	began = now_ns();
	do {
		if (me->freeing) {
			give(kind, percpu, me, me->held[--me->nheld]);
			me->freeing = me->nheld != 0;
		} else {
			me->held[me->nheld++] = take(kind, percpu, me);
			me->freeing = me->nheld == load.burst;
		}
		if (load.outside != 0)	/* 0.7 to 1.3 of it */
			work(load.outside * (717 + drawn(me) % 614) / 1024);
		ops++;
	} while (atomic_load_explicit(&window_over, memory_order_relaxed) == 0 &&
	    ((ops & 15) != 0 || now_ns() - began < WINDOW_NS));
	me->nanoseconds = now_ns() - began;
	/* Who is first at the end ends the window for all: nobody goes on alone. */
	atomic_store(&window_over, 1);
	me->ops = ops;
	me->disturbed = switches() != before;
}

static void
play_kind(struct player *me)
{
	switch (load.kind) {
	case TTAS:
		load.percpu ? play(TTAS, true, me) : play(TTAS, false, me);
		break;
	case TICKET:
		load.percpu ? play(TICKET, true, me) : play(TICKET, false, me);
		break;
	default:
		load.percpu ? play(MCS, true, me) : play(MCS, false, me);
	}
}

/* Play one window after the other; window n begins when `gate` becomes n, and ends for all when it has for one. */
static void *
player_main(void *arg)
{
	struct player *me = arg;
	int n, opened;

	pin(me->cpu);
	for (n = 1; ; n++) {
		while ((opened = atomic_load(&gate)) != n) {
			if (opened < 0)
				return NULL;
			sched_yield();
		}
		atomic_fetch_add(&arrived, 1);
		for (unsigned spins = 0; atomic_load(&arrived) < load.threads; )
			if ((++spins & 0xfff) == 0)
				sched_yield();	/* the other one has no processor yet */
		play_kind(me);
		sem_post(&done);
	}
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[n / 2];
}

static void
calibrate(void)
{
	double each[BATCHES];

	for (int i = 0; i < BATCHES; i++) {
		uint64_t began = now_ns();

		work(100000);
		each[i] = (double)(now_ns() - began) / 100000;
	}
	loops_per_ns = 1 / median(each, BATCHES);
}

static void
run(void)
{
	pthread_t threads[2];
	int i, counted = 0, tries;

	if (sem_init(&done, 0, 0) != 0)
		die("sem_init");
	for (i = 0; i < PAGES_MAX; i++)
		push(&shared, &pages[i]);
	for (i = 0; i < load.threads; i++) {
		players[i].cpu = allowed_cpu(i);
		players[i].random = 88172645463325252U + (uint64_t)i * 7919;
		if (pthread_create(&threads[i], NULL, player_main, &players[i]) != 0)
			die("pthread_create");
	}
	for (tries = 1; counted < WINDOWS && tries < TRIES_MAX; tries++) {
		bool fine = true;
		double ns = 0;
		uint64_t ops = 0;

		atomic_store(&arrived, 0);
		atomic_store(&window_over, 0);
		atomic_store(&gate, tries);
		for (i = 0; i < load.threads; i++)
			while (sem_wait(&done) != 0)
				;
		for (i = 0; i < load.threads; i++) {
			fine &= !players[i].disturbed && players[i].nanoseconds > WINDOW_NS * 9 / 10;
			ns += (double)players[i].nanoseconds;
			ops += players[i].ops;
		}
		if (fine && tries > 4) {
			printf("%.3f\n", ns / (double)ops);
			counted++;
		}
	}
	atomic_store(&gate, -1);
	for (i = 0; i < load.threads; i++)
		pthread_join(threads[i], NULL);
	if (counted == 0) {
		fprintf(stderr, "steps: the host was too busy: no window without a switch in %d\n", TRIES_MAX);
		exit(4);
	}
}

/* The costs. */

#define ROUNDS 1000

static _Alignas(LINE) atomic_int ball;
static _Alignas(LINE) atomic_int ball_over;

static void *
returner(void *arg)
{
	bool cas = *(bool *)arg;

	pin(allowed_cpu(1));
	while (!atomic_load_explicit(&ball_over, memory_order_relaxed)) {
		if (cas) {
			int one = 1;

			atomic_compare_exchange_strong(&ball, &one, 0);
		} else if (atomic_load_explicit(&ball, memory_order_acquire) == 1) {
			atomic_store_explicit(&ball, 0, memory_order_release);
		}
	}
	return NULL;
}

/* The median over batches of what a batch took, by `count`; batches in which the processor was lost are left out. */
#define MEASURED(name, count, ...) do {							\
	double each[BATCHES];								\
	int kept = 0;									\
											\
	for (int batch = 0; kept < BATCHES && batch < 20 * BATCHES; batch++) {		\
		long before = switches();						\
		uint64_t began = now_ns();						\
											\
		__VA_ARGS__								\
		uint64_t took = now_ns() - began;					\
		if (switches() == before)						\
			each[kept++] = (double)took / (double)(count);			\
	}										\
	if (kept > 0)									\
		printf("%s %.3f\n", name, median(each, kept));				\
} while (0)

static void
bounce(const char *name, bool cas)
{
	pthread_t other;

	atomic_store(&ball_over, 0);
	if (pthread_create(&other, NULL, returner, &cas) != 0)
		die("pthread_create");
	MEASURED(name, 2 * ROUNDS, for (int i = 0; i < ROUNDS; i++) {
		if (cas) {
			int zero = 0;

			while (!atomic_compare_exchange_strong(&ball, &zero, 1))
				zero = 0;
		} else {
			while (atomic_load_explicit(&ball, memory_order_acquire) != 0)
				;
			atomic_store_explicit(&ball, 1, memory_order_release);
		}
	});
	atomic_store(&ball_over, 1);
	pthread_join(other, NULL);
}

static _Alignas(LINE) atomic_int door;

static void
futex_pass(int from, int to)
{
	while (atomic_load(&door) != from)
		syscall(SYS_futex, &door, FUTEX_WAIT_PRIVATE, to, NULL, NULL, 0);
	atomic_store(&door, to);
	syscall(SYS_futex, &door, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *
sleeper(void *arg)
{
	(void)arg;
	pin(allowed_cpu(1));
	for (int i = 0; i < BATCHES * 20; i++)
		futex_pass(1, 0);
	return NULL;
}

static void
wakeups(void)
{
	pthread_t other;
	double each[BATCHES];

	if (pthread_create(&other, NULL, sleeper, NULL) != 0)
		die("pthread_create");
	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t began = now_ns();

		for (int i = 0; i < 20; i++)
			futex_pass(0, 1);
		each[batch] = (double)(now_ns() - began) / 40;
	}
	pthread_join(other, NULL);
	printf("wakeup %.3f\n", median(each, BATCHES));
}

static void *
mapped(size_t bytes, bool huge)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	if (huge)	/* as a kernel maps its page structs; without it the walk of page tables counts, too */
		(void)madvise(at, bytes, MADV_HUGEPAGE);
	memset(at, 1, bytes);
	return at;
}

/* Follow pointers through all structs in one random circle: each load waits for the one before. */
static void
chase(const char *name, size_t bytes)
{
	size_t n = bytes / sizeof(struct page);
	struct page *all = mapped(bytes, true), *pg = all;
	uint32_t *order = malloc(n * sizeof(*order));
	struct player dice = { .random = 88172645463325252U };

	if (order == NULL)
		die("malloc");
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = drawn(&dice) % i;
		uint32_t kept = order[i];

		order[i] = order[j];
		order[j] = kept;
	}
	for (size_t i = 0; i < n; i++)
		all[order[i]].next = &all[order[(i + 1) % n]];
	free(order);
	MEASURED(name, ROUNDS, for (int i = 0; i < ROUNDS; i++) {
		pg = pg->next;
		__asm__ volatile("" : "+r"(pg));
	});
	munmap(all, bytes);
}

static void
zeroing(void)
{
	char *at = mapped(ZERO_BYTES, true);
	size_t where = 0;

	MEASURED("zero_page", 256, for (int i = 0; i < 256; i++) {
		memset(at + where, 0, 4096);
		where = (where + 4096) % ZERO_BYTES;
		__asm__ volatile("" ::: "memory");
	});
	munmap(at, ZERO_BYTES);
}

static void
costs(void)
{
	struct player *me = &players[0];
	atomic_uint *word = &players[1].own.word;

	pin(allowed_cpu(0));
	MEASURED("spin_pause", ROUNDS, for (int i = 0; i < ROUNDS; i++)
		spin_pause(););
	MEASURED("atomic", ROUNDS, for (int i = 0; i < ROUNDS; i++)
		atomic_fetch_add(word, 1););
	MEASURED("pair_ttas", ROUNDS, for (int i = 0; i < ROUNDS; i++) {
		acquire(TTAS, &lock, &me->node);
		release(TTAS, &lock, &me->node);
	});
	MEASURED("pair_ticket", ROUNDS, for (int i = 0; i < ROUNDS; i++) {
		acquire(TICKET, &lock, &me->node);
		release(TICKET, &lock, &me->node);
	});
	MEASURED("pair_mcs", ROUNDS, for (int i = 0; i < ROUNDS; i++) {
		acquire(MCS, &lock, &me->node);
		release(MCS, &lock, &me->node);
	});
	bounce("line_cas", true);
	bounce("line_store", false);
	wakeups();
	zeroing();
	chase("line_cache", 16UL << 10);
	chase("line_memory", COLD_BYTES);
}

static uint64_t
number(const char *text, uint64_t most)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value > most) {
		fprintf(stderr, "steps: %s: must be a number up to %llu\n", text, (unsigned long long)most);
		exit(2);
	}
	return value;
}

int
main(int argc, char **argv)
{
	static const char *const kinds[] = { "ttas", "ticket", "mcs" };
	unsigned kind;

	if (argc == 2 && strcmp(argv[1], "costs") == 0) {
		costs();
		return 0;
	}
	if (argc != 9 || strcmp(argv[1], "run") != 0) {
		fprintf(stderr, "usage: steps costs | steps run DESIGN LOCK THREADS HOLD OUTSIDE REFILL BURST\n");
		return 2;
	}
	for (kind = 0; kind < 3 && strcmp(argv[3], kinds[kind]) != 0; kind++)
		;
	if (kind == 3) {
		fprintf(stderr, "steps: %s: must be ttas, ticket or mcs\n", argv[3]);
		return 2;
	}
	pin(allowed_cpu(0));
	calibrate();
	load.percpu = strcmp(argv[2], "percpu") == 0;
	load.kind = (enum kind)kind;
	load.threads = (int)number(argv[4], 2);
	load.hold = (uint64_t)((double)number(argv[5], 1000000) * loops_per_ns);
	load.outside = (uint64_t)((double)number(argv[6], 1000000) * loops_per_ns);
	load.refill = (unsigned)number(argv[7], 256);
	load.burst = (unsigned)number(argv[8], BURST_MAX);
	if (load.threads == 0 || load.refill == 0 || load.burst == 0) {
		fprintf(stderr, "steps: THREADS, REFILL and BURST must be at least 1\n");
		return 2;
	}
	run();
	return 0;
}
