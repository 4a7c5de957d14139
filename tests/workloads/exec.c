/* exec: forks COUNT times; each child executes a program, and is waited for before the next one.
 *
 *     exec COUNT [PROGRAM]
 *
 * PROGRAM is a path, /bin/true unless given, and runs without arguments. Events for COUNT children: one fork
 * (sched:sched_process_fork), one exec where PROGRAM can be executed (sched:sched_process_exec and one
 * task:task_rename), one exit (sched:sched_process_exit). A child that cannot execute it exits with 127.
 *
 * Prints `children=COUNT zero=…`, how many of them exited with status 0.
 */
#include "workload.h"
#include <sys/wait.h>

int main(int argc, char **argv)
{
	if (argc != 2 && argc != 3)
		fail("usage", "exec COUNT [PROGRAM]");
	long count = number(argv[1], 0), zero = 0;
	char *program = argc == 3 ? argv[2] : "/bin/true";
	for (long i = 0; i < count; i++) {
		pid_t child = fork();
		if (child < 0)
			fail("cannot fork", strerror(errno));
		if (child == 0) {
			execv(program, (char *[]){ program, NULL });
			_exit(127);
		}
		int status;
		if (waitpid(child, &status, 0) != child)
			fail("cannot wait", strerror(errno));
		zero += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	say("children=%ld zero=%ld\n", count, zero);
	return 0;
}
