/* Product of two n x n matrices of int, rows by columns. Returns a sum over the product. */

#define MAX 350

static int a[MAX][MAX], b[MAX][MAX], c[MAX][MAX];

unsigned run(int n) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            a[i][j] = i * 3 + j;
            b[i][j] = (i ^ j) - 7;
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
    unsigned checksum = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            checksum = checksum * 31 + (unsigned)c[i][j];
    return checksum;
}
