/* mangled: renames itself to `traced` COUNT times, from functions whose symbols are those of C++ and of Rust.
 *
 *     mangled COUNT
 *
 * main calls core::fmt::write, which calls tracer::call(long).
 *
 * build: -fno-omit-frame-pointer -fno-optimize-sibling-calls
 */
#include "workload.h"
#include <sys/prctl.h>
#include <sys/syscall.h>

#define HAS_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

long of_cpp(long) __asm__("_ZN6tracer4callEl");
long of_rust(long) __asm__("_ZN4core3fmt5write17h0123456789abcdefE");

__attribute__((noinline, noclone)) long of_cpp(long one)
{
	long result;
	HAS_FRAME();
	__asm__ volatile("syscall; nop"
			 : "=a"(result)
			 : "0"((long)SYS_prctl), "D"((long)PR_SET_NAME), "S"("traced")
			 : "rcx", "r11", "memory");
	return result + one;
}

__attribute__((noinline, noclone)) long of_rust(long count)
{
	long sum = 0;
	HAS_FRAME();
	for (long i = 0; i < count; i++)
		sum += of_cpp(1);
	return sum;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage", "mangled COUNT");
	long count = number(argv[1], 1);
	if (of_rust(count) != count)
		fail("cannot rename itself", "prctl");
	say("mangled=%ld\n", count);
	return 0;
}
