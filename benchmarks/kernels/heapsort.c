/* Heap sort of n pseudo-random ints: loads, compares and moves with unpredictable outcomes. */

#define LIMIT 1000000

static int values[LIMIT];

static void sift_down(int root, int end) {
    int value = values[root];
    for (;;) {
        int child = 2 * root + 1;
        if (child >= end)
            break;
        if (child + 1 < end && values[child] < values[child + 1])
            child++;
        if (value >= values[child])
            break;
        values[root] = values[child];
        root = child;
    }
    values[root] = value;
}

unsigned run(int n) {
    unsigned state = 2463534242u;
    for (int i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        values[i] = (int)state;
    }
    for (int i = n / 2 - 1; i >= 0; i--)
        sift_down(i, n);
    for (int end = n - 1; end > 0; end--) {
        int top = values[0];
        values[0] = values[end];
        values[end] = top;
        sift_down(0, end);
    }
    unsigned checksum = 0;
    for (int i = 0; i < n; i++)
        checksum = checksum * 16777619u ^ (unsigned)values[i];
    return checksum;
}
