/* Conway's Game of Life on a torus, two rows of cells to a line of text.
 *
 *   life [GENERATIONS]       start from Gosper's glider gun; print the field after so many generations
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 80
#define HEIGHT 48

static unsigned char field[2][HEIGHT][WIDTH];

static const char *const gun[] = {
    "........................O...........", "......................O.O...........", "............OO......OO............OO",
    "...........O...O....OO............OO", "OO........O.....O...OO..............", "OO........O...O.OO....O.O...........",
    "..........O.....O.......O...........", "...........O...O....................", "............OO......................",
};

static int neighbours(unsigned char cells[HEIGHT][WIDTH], int row, int column) {
    int up = (row + HEIGHT - 1) % HEIGHT, down = (row + 1) % HEIGHT;
    int left = (column + WIDTH - 1) % WIDTH, right = (column + 1) % WIDTH;
    return cells[up][left] + cells[up][column] + cells[up][right] + cells[row][left] + cells[row][right] +
           cells[down][left] + cells[down][column] + cells[down][right];
}

static void print(unsigned char cells[HEIGHT][WIDTH]) {
    static const char *const halves[] = {" ", "▄", "▀", "█"};
    for (int row = 0; row < HEIGHT; row += 2) {
        int last = WIDTH;
        while (last > 0 && !cells[row][last - 1] && !cells[row + 1][last - 1])
            last--;
        for (int column = 0; column < last; column++)
            fputs(halves[cells[row][column] * 2 + cells[row + 1][column]], stdout);
        putchar('\n');
    }
}

int main(int argc, char **argv) {
    int generations = argc > 1 ? atoi(argv[1]) : 200;
    for (int row = 0; row < 9; row++)
        for (int column = 0; column < (int)strlen(gun[row]); column++)
            field[0][row + 2][column + 2] = gun[row][column] == 'O';
    for (int generation = 0; generation < generations; generation++) {
        unsigned char(*now)[WIDTH] = field[generation & 1], (*next)[WIDTH] = field[~generation & 1];
        for (int row = 0; row < HEIGHT; row++)
            for (int column = 0; column < WIDTH; column++) {
                int count = neighbours(now, row, column);
                next[row][column] = count == 3 || (count == 2 && now[row][column]);
            }
    }
    int alive = 0;
    for (int row = 0; row < HEIGHT; row++)
        for (int column = 0; column < WIDTH; column++)
            alive += field[generations & 1][row][column];
    print(field[generations & 1]);
    printf("generation %d, %d cells alive\n", generations, alive);
    return 0;
}
