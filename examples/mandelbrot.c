/* The Mandelbrot set, on the terminal or into a picture.
 *
 *   mandelbrot                          80 x 32 characters
 *   mandelbrot COLUMNS ROWS             another size
 *   mandelbrot WIDTH HEIGHT FILE.ppm    a colour picture (Portable Pixmap)
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ITERATIONS 400

/* How fast the point escapes, smoothed to a real number; MAX_ITERATIONS if it does not. */
static double escape_time(double cx, double cy) {
    double x = 0, y = 0;
    for (int i = 0; i < MAX_ITERATIONS; i++) {
        double x2 = x * x, y2 = y * y;
        if (x2 + y2 > 256)
            return i + 1 - log2(log2(x2 + y2) / 2);
        y = 2 * x * y + cy;
        x = x2 - y2 + cx;
    }
    return MAX_ITERATIONS;
}

static double at(int column, int row, int columns, int rows) {
    double cx = -2.2 + 3.2 * (column + 0.5) / columns, cy = -1.25 + 2.5 * (row + 0.5) / rows;
    return escape_time(cx, cy);
}

static void print_characters(int columns, int rows) {
    static const char shades[] = " .,:;=+ox%O#@";
    for (int row = 0; row < rows; row++) {
        for (int column = 0; column < columns; column++) {
            double time = at(column, row, columns, rows);
            int shade = time >= MAX_ITERATIONS ? 12 : (int)(2.2 * log(time > 1 ? time : 1));
            putchar(shades[shade > 12 ? 12 : shade]);
        }
        putchar('\n');
    }
}

static int colour(double phase) { return (int)(127.5 - 127.5 * cos(6.283185307179586 * phase)); }

static int write_picture(int width, int height, const char *name) {
    FILE *file = fopen(name, "wb");
    if (!file) {
        perror(name);
        return 1;
    }
    fprintf(file, "P6\n%d %d\n255\n", width, height);
    for (int row = 0; row < height; row++)
        for (int column = 0; column < width; column++) {
            double time = at(column, row, width, height), t = sqrt(time > 0 ? time : 0) / 8;
            int inside = time >= MAX_ITERATIONS;
            fputc(inside ? 0 : colour(t), file);
            fputc(inside ? 0 : colour(t + 0.1), file);
            fputc(inside ? 0 : colour(t + 0.25), file);
        }
    if (fclose(file) != 0) {
        perror(name);
        return 1;
    }
    printf("%s: %d x %d pixels\n", name, width, height);
    return 0;
}

int main(int argc, char **argv) {
    int width = argc > 2 ? atoi(argv[1]) : 80, height = argc > 2 ? atoi(argv[2]) : 32;
    if (width < 1 || height < 1 || width > 10000 || height > 10000) {
        fprintf(stderr, "usage: mandelbrot [WIDTH HEIGHT [FILE.ppm]]\n");
        return 2;
    }
    if (argc > 3)
        return write_picture(width, height, argv[3]);
    print_characters(width, height);
    return 0;
}
