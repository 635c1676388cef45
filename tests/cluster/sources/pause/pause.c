/* The first program of every pod: it holds the pod's namespaces and waits for the signal to end. */
#include <signal.h>
#include <unistd.h>

static void end(int number) { _exit(number == SIGTERM || number == SIGINT ? 0 : 1); }

int main(void)
{
	signal(SIGTERM, end);
	signal(SIGINT, end);
	signal(SIGCHLD, SIG_IGN); /* children of a shared process namespace need no one to wait for them */
	for (;;)
		pause();
}
