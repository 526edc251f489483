/* Edit distance of two strings of length n by dynamic programming over two rows: minima and dependent loads. */

#define LIMIT 4096

static unsigned char a[LIMIT], b[LIMIT];
static int row[LIMIT + 1];

unsigned run(int n) {
    unsigned state = 99;
    for (int i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        a[i] = (unsigned char)(state >> 29);
        b[i] = (unsigned char)(state >> 19 & 7);
    }
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 0; i < n; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            int substitute = diagonal + (a[i] != b[j]);
            int insert = row[j] + 1, remove = row[j + 1] + 1;
            diagonal = row[j + 1];
            int best = insert < remove ? insert : remove;
            row[j + 1] = substitute < best ? substitute : best;
        }
    }
    return (unsigned)row[n];
}
