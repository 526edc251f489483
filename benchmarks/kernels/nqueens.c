/* The n queens problem, solutions counted by recursive backtracking over bit sets. */

static unsigned place(unsigned all, unsigned columns, unsigned left, unsigned right) {
    if (columns == all)
        return 1;
    unsigned count = 0, free = all & ~(columns | left | right);
    while (free) {
        unsigned bit = free & -free;
        free ^= bit;
        count += place(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

unsigned run(int n) { return place((1u << n) - 1, 0, 0, 0); }
