/* rename: renames itself COUNT times with prctl(PR_SET_NAME).
 *
 *     rename COUNT [-c CPU] [-r RATE]
 *
 * Events: task:task_rename fires COUNT times in this process (and once before, in its exec). Rename number i is to
 * `rename-NNNNNNN`, i in seven decimal digits, so every name but the first old one (`rename`) has 14 bytes; after
 * 9 999 999 the digits start again at 0.
 *
 *   -c CPU    run on this CPU alone
 *   -r RATE   rename no faster than RATE times a second, evenly spaced, by spinning between renames; default: flat out
 *
 * Prints `renames=COUNT elapsed_ns=… ns_each=… per_second=…`, the time of the loop alone.
 */
#include "workload.h"
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	long cpu = -1, rate = 0;
	for (int option; (option = getopt(argc, argv, "c:r:")) != -1;) {
		if (option == 'c')
			cpu = number(optarg, 0);
		else if (option == 'r')
			rate = number(optarg, 1);
		else
			fail("usage", "rename COUNT [-c CPU] [-r RATE]");
	}
	if (argc - optind != 1)
		fail("usage", "rename COUNT [-c CPU] [-r RATE]");
	long count = number(argv[optind], 0);
	if (cpu >= 0)
		pin_to_cpu(cpu);

	char name[16] = "rename-0000000";
	long start = now_ns();
	for (long i = 0; i < count; i++) {
		if (rate)
			while ((now_ns() - start) * (double)rate < i * 1e9)
				;
		next_name(name, sizeof("rename-0000000") - 1);
		prctl(PR_SET_NAME, name);
	}
	report("renames", count, now_ns() - start);
	return 0;
}
