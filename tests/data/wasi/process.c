// Arguments, environment, standard streams, clocks, polling, random numbers, exit.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++) printf("argv[%d] = %s\n", i, argv[i]);
    for (char **variable = environ; *variable; variable++) printf("%s\n", *variable);
    printf("HOME is %s\n", getenv("HOME") ? getenv("HOME") : "not set");

    size_t size = 1 << 20, total = 0;
    char *data = malloc(size);
    unsigned sum = 0;
    for (ssize_t n; (n = read(0, data, size)) > 0; total += n)
        for (ssize_t i = 0; i < n; i++) sum = sum * 31 + (unsigned char)data[i];
    printf("stdin: %zu bytes, sum %u\n", total, sum);

    struct timespec before, after, wait = {0, 20000000};
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&wait, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long long slept = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    printf("slept %s\n", slept >= 20000000 ? "long enough" : "too short");
    clock_gettime(CLOCK_REALTIME, &after);
    printf("the year is %s\n", after.tv_sec > 1600000000 ? "late" : "early");

    struct pollfd polled[2] = {{1, POLLOUT, 0}, {2, POLLOUT, 0}};
    int ready = poll(polled, 2, 1000);
    printf("poll %d: %d %d\n", ready, polled[0].revents == POLLOUT, polled[1].revents == POLLOUT);

    unsigned char random[64] = {0};
    int different = 0;
    getentropy(random, sizeof random);
    for (int i = 1; i < 64; i++) different += random[i] != random[0];
    printf("random: %s\n", different > 30 ? "yes" : "no");
    fflush(stdout);
    fprintf(stderr, "to stderr\n");
    exit(argc > 1 ? atoi(argv[1]) : 0);
}
