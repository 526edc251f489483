/* Chasing indices through n nodes of a shuffled list: the latency of a dependent load. */

#define NODES 4096

typedef struct {
    unsigned next;
    int value;
} Node;

static Node nodes[NODES];
static int order[NODES];

unsigned run(int n) {
    unsigned state = 31337;
    for (int i = 0; i < NODES; i++)
        order[i] = i;
    for (int i = NODES - 1; i > 0; i--) {
        state = state * 1664525u + 1013904223u;
        int j = (int)((state >> 8) % (unsigned)(i + 1)), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int i = 0; i < NODES; i++) {
        nodes[order[i]].next = (unsigned)order[(i + 1) % NODES];
        nodes[order[i]].value = i * 17;
    }
    unsigned checksum = 0;
    unsigned node = 0;
    for (int i = 0; i < n; i++) {
        checksum += (unsigned)nodes[node].value;
        node = nodes[node].next;
    }
    return checksum + (unsigned)nodes[node].value;
}
