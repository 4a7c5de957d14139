/* What the programs in forms.bpf.c tell the loader in load.c: one event, in the fields that the article prints. */
#ifndef FORM_H
#define FORM_H

#define NAME_LENGTH 16 /* TASK_COMM_LEN */

struct event {
	char comm[NAME_LENGTH];
	char old_name[NAME_LENGTH];
	char new_name[NAME_LENGTH];
	unsigned int pid;
	int oom_score_adj;
};

#endif
