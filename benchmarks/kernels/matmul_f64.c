/* Product of two n x n matrices of double, in the order i-k-j with rows of 400. Returns a sum over the product. */

#define MAX 400

static double a[MAX][MAX], b[MAX][MAX], c[MAX][MAX];

unsigned run(int n) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            a[i][j] = (double)(i + j) * 0.125;
            b[i][j] = (double)(i - j) * 0.5;
            c[i][j] = 0.0;
        }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            double x = a[i][k];
            for (int j = 0; j < n; j++)
                c[i][j] += x * b[k][j];
        }
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            sum += c[i][j] * (double)((i * 5 + j) & 15);
    union {
        double d;
        unsigned long long u;
    } bits = {sum};
    return (unsigned)(bits.u ^ (bits.u >> 32));
}
