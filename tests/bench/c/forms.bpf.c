/* The C forms that rtscript is measured against. All of them watch task_rename.
 *
 *   *_empty            nothing: what calling a program costs
 *   *_article          the article's C: BPF_CORE_READ or the tracepoint's fields, and perf_event_output
 *   raw_core           the same reads, but a ring buffer record reserved and submitted without wakeup
 *   *_direct           the cheapest C known: direct loads, names of fixed 16 bytes, reserve and submit without wakeup
 *   raw_count          `@ = count()`: an add in a per-CPU array
 *   raw_count_by_pid   `@[pid] = count()`: look up and add in place in a per-CPU hash, BPF_NOEXIST on a miss
 *
 * with raw for a raw tracepoint, btf for a raw tracepoint with typed arguments, tp for a tracepoint by perf_event.
 * Kernel structs are declared with what is read of them only; CO-RE finds the offsets.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <asm/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "form.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct signal_struct {
	short oom_score_adj;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	char comm[NAME_LENGTH];
	struct signal_struct *signal;
} __attribute__((preserve_access_index));

/* What the tracepoint's format file says. Not by CO-RE: the verifier wants constant offsets in this context, and the
 * names, which lie at multiples of 4, are words here so that they are copied as words. */
struct task_rename_format {
	__u64 common;
	int pid;
	__u32 old_name[NAME_LENGTH / 4];
	__u32 new_name[NAME_LENGTH / 4];
	short oom_score_adj;
};

/* Untyped memory that may be read directly at any offset; an address that cannot be read gives 0 (6.2 and later). */
extern void *bpf_rdonly_cast(void *pointer, __u32 btf_id) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} count SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4096);
} count_by_pid SEC(".maps");

/* Records for which the ring had no room. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} lost SEC(".maps");

static __always_inline struct event *reserve(void)
{
	struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		__u32 zero = 0;
		__u64 *n = bpf_map_lookup_elem(&lost, &zero);
		if (n)
			__sync_fetch_and_add(n, 1);
	}
	return e;
}

/* Two loads and two stores of 8 bytes. */
static __always_inline void copy_name(char *to, const void *from)
{
	const __u64 *source = from;
	__u64 *target = (__u64 *)to;
	target[0] = source[0];
	target[1] = source[1];
}

/* ---- nothing ---- */

SEC("raw_tp/task_rename") int raw_empty(void *ctx) { return 0; }
SEC("tp_btf/task_rename") int btf_empty(void *ctx) { return 0; }
SEC("tracepoint/task/task_rename") int tp_empty(void *ctx) { return 0; }
SEC("kprobe/__set_task_comm") int kprobe_empty(void *ctx) { return 0; }
SEC("fentry/__set_task_comm") int fentry_empty(void *ctx) { return 0; }

/* ---- the article's body ---- */

static __always_inline void read_with_core(struct event *e, struct task_struct *task, const char *new_name)
{
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->pid = BPF_CORE_READ(task, pid);
	e->oom_score_adj = BPF_CORE_READ(task, signal, oom_score_adj);
	BPF_CORE_READ_STR_INTO(&e->old_name, task, comm);
	bpf_probe_read_kernel_str(e->new_name, sizeof(e->new_name), new_name);
}

static __always_inline int output_with_core(void *ctx, struct task_struct *task, const char *new_name)
{
	struct event e = {};
	read_with_core(&e, task, new_name);
	bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &e, sizeof(e));
	return 0;
}

SEC("raw_tp/task_rename") int raw_article(struct bpf_raw_tracepoint_args *ctx)
{
	return output_with_core(ctx, (struct task_struct *)ctx->args[0], (const char *)ctx->args[1]);
}

SEC("kprobe/__set_task_comm") int BPF_KPROBE(kprobe_article, struct task_struct *task, const char *new_name)
{
	return output_with_core(ctx, task, new_name);
}

SEC("fentry/__set_task_comm") int BPF_PROG(fentry_article, struct task_struct *task, const char *new_name)
{
	return output_with_core(ctx, task, new_name);
}

SEC("tracepoint/task/task_rename") int tp_article(struct task_rename_format *ctx)
{
	struct event e = {};
	bpf_get_current_comm(e.comm, sizeof(e.comm));
	e.pid = ctx->pid;
	e.oom_score_adj = ctx->oom_score_adj;
	__builtin_memcpy(e.old_name, ctx->old_name, NAME_LENGTH);
	__builtin_memcpy(e.new_name, ctx->new_name, NAME_LENGTH);
	bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &e, sizeof(e));
	return 0;
}

SEC("raw_tp/task_rename") int raw_core(struct bpf_raw_tracepoint_args *ctx)
{
	struct event *e = reserve();
	if (!e)
		return 0;
	read_with_core(e, (struct task_struct *)ctx->args[0], (const char *)ctx->args[1]);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* ---- direct loads ---- */

SEC("raw_tp/task_rename") int raw_direct(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = bpf_rdonly_cast((void *)ctx->args[0], 0);
	struct task_struct *current = bpf_rdonly_cast((void *)bpf_get_current_task(), 0);
	struct event *e = reserve();
	if (!e)
		return 0;
	copy_name(e->comm, current->comm);
	e->pid = task->pid;
	struct signal_struct *signal = bpf_rdonly_cast(task->signal, 0);
	e->oom_score_adj = signal->oom_score_adj;
	copy_name(e->old_name, task->comm);
	copy_name(e->new_name, bpf_rdonly_cast((void *)ctx->args[1], 0));
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/task_rename") int BPF_PROG(btf_direct, struct task_struct *task, const char *new_name)
{
	struct task_struct *current = (void *)bpf_get_current_task_btf();
	struct event *e = reserve();
	if (!e)
		return 0;
	copy_name(e->comm, current->comm);
	e->pid = task->pid;
	e->oom_score_adj = task->signal->oom_score_adj;
	copy_name(e->old_name, task->comm);
	bpf_probe_read_kernel(e->new_name, sizeof(e->new_name), new_name);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tracepoint/task/task_rename") int tp_direct(struct task_rename_format *ctx)
{
	struct task_struct *current = (void *)bpf_get_current_task_btf();
	struct event *e = reserve();
	if (!e)
		return 0;
	copy_name(e->comm, current->comm);
	e->pid = ctx->pid;
	e->oom_score_adj = ctx->oom_score_adj;
	__builtin_memcpy(e->old_name, ctx->old_name, NAME_LENGTH);
	__builtin_memcpy(e->new_name, ctx->new_name, NAME_LENGTH);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* ---- counting ---- */

static __always_inline int add_one(void)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&count, &zero);
	if (n)
		*n += 1;
	return 0;
}

SEC("raw_tp/task_rename") int raw_count(void *ctx) { return add_one(); }

SEC("raw_tp/task_rename") int raw_count_by_pid(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 *n = bpf_map_lookup_elem(&count_by_pid, &pid);
	if (!n) {
		__u64 zero = 0;
		bpf_map_update_elem(&count_by_pid, &pid, &zero, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&count_by_pid, &pid);
	}
	if (n)
		*n += 1;
	return 0;
}
