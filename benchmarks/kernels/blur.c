/* A 3 x 3 filter over a 256 x 256 image of float, n times: single precision, nine loads a pixel. */

#define SIZE 256

static float image[2][SIZE][SIZE];

unsigned run(int n) {
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++)
            image[0][y][x] = (float)((x * 13 ^ y * 7) & 255);
    for (int round = 0; round < n; round++) {
        float(*in)[SIZE] = image[round & 1], (*out)[SIZE] = image[~round & 1];
        for (int y = 1; y < SIZE - 1; y++)
            for (int x = 1; x < SIZE - 1; x++) {
                float edge = in[y - 1][x] + in[y][x - 1] + in[y][x + 1] + in[y + 1][x];
                float corner = in[y - 1][x - 1] + in[y - 1][x + 1] + in[y + 1][x - 1] + in[y + 1][x + 1];
                out[y][x] = in[y][x] * 0.25f + edge * 0.125f + corner * 0.0625f;
            }
    }
    float sum = 0.0f;
    for (int y = 1; y < SIZE - 1; y++)
        for (int x = 1; x < SIZE - 1; x++)
            sum += image[n & 1][y][x] * (float)(x & 3);
    return (unsigned)sum;
}
