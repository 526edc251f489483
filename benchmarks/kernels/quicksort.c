/* Recursive quicksort (median of three, insertion sort for short ranges) of n pseudo-random ints. */

#define LIMIT 1000000

static int values[LIMIT];

static void sort(int low, int high) {
    while (high - low > 12) {
        int middle = low + (high - low) / 2;
        int a = values[low], b = values[middle], c = values[high];
        int pivot = a < b ? (b < c ? b : (a < c ? c : a)) : (a < c ? a : (b < c ? c : b));
        int i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i <= j) {
                int swap = values[i];
                values[i++] = values[j];
                values[j--] = swap;
            }
        }
        if (j - low < high - i) {
            sort(low, j);
            low = i;
        } else {
            sort(i, high);
            high = j;
        }
    }
    for (int i = low + 1; i <= high; i++) {
        int value = values[i], j = i - 1;
        while (j >= low && values[j] > value) {
            values[j + 1] = values[j];
            j--;
        }
        values[j + 1] = value;
    }
}

unsigned run(int n) {
    unsigned state = 88172645u;
    for (int i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        values[i] = (int)(state >> 1);
    }
    sort(0, n - 1);
    unsigned checksum = 0;
    for (int i = 0; i < n; i++)
        checksum = checksum * 16777619u ^ (unsigned)values[i];
    return checksum;
}
