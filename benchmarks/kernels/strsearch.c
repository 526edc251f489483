/* String search: Horspool's algorithm and a naive scan over n KiB of text with few letters. Returns the matches. */

#define LIMIT (2 << 20)

static unsigned char text[LIMIT];
static const char *const patterns[] = {"abacabadaba", "ddcbabcddcb", "cabbagecabb", "aaaaaaaab"};

static unsigned horspool(const unsigned char *haystack, int length, const unsigned char *needle, int m) {
    int skip[256];
    for (int i = 0; i < 256; i++)
        skip[i] = m;
    for (int i = 0; i < m - 1; i++)
        skip[needle[i]] = m - 1 - i;
    unsigned matches = 0;
    for (int at = 0; at <= length - m; at += skip[haystack[at + m - 1]]) {
        int i = m - 1;
        while (i >= 0 && haystack[at + i] == needle[i])
            i--;
        matches += i < 0;
    }
    return matches;
}

static unsigned naive(const unsigned char *haystack, int length, const unsigned char *needle, int m) {
    unsigned matches = 0;
    for (int at = 0; at <= length - m; at++) {
        int i = 0;
        while (i < m && haystack[at + i] == needle[i])
            i++;
        matches += i == m;
    }
    return matches;
}

unsigned run(int n) {
    int length = n * 1024;
    unsigned state = 12345;
    for (int i = 0; i < length; i++) {
        state = state * 1664525u + 1013904223u;
        text[i] = "aabacabadcbagdca"[state >> 28];
    }
    unsigned checksum = 0;
    for (int p = 0; p < 4; p++) {
        const unsigned char *needle = (const unsigned char *)patterns[p];
        int m = 0;
        while (needle[m])
            m++;
        for (int take = 3; take <= m; take += 4)
            checksum = checksum * 31 + horspool(text, length, needle, take) + naive(text, length, needle, take) * 7;
    }
    return checksum;
}
