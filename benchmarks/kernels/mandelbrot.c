/* The Mandelbrot set on an n x n grid, at most 100 iterations a point: a tight loop of double arithmetic. */

unsigned run(int n) {
    unsigned checksum = 0;
    for (int py = 0; py < n; py++)
        for (int px = 0; px < n; px++) {
            double cx = 3.0 * px / n - 2.25, cy = 2.5 * py / n - 1.25, x = 0.0, y = 0.0;
            int i = 0;
            while (i < 100 && x * x + y * y <= 4.0) {
                double t = x * x - y * y + cx;
                y = 2.0 * x * y + cy;
                x = t;
                i++;
            }
            checksum = checksum * 31 + (unsigned)i;
        }
    return checksum;
}
