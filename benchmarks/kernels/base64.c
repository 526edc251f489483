/* Base64: n KiB encoded and decoded again. Byte loads and stores, shifts, small tables. */

#define LIMIT (1 << 20)

static unsigned char input[LIMIT], encoded[LIMIT / 3 * 4 + 8], decoded[LIMIT + 8];
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static signed char value_of[256];

static int encode(const unsigned char *in, int length, unsigned char *out) {
    int o = 0;
    for (int i = 0; i + 3 <= length; i += 3) {
        unsigned v = (unsigned)in[i] << 16 | (unsigned)in[i + 1] << 8 | in[i + 2];
        out[o++] = (unsigned char)alphabet[v >> 18];
        out[o++] = (unsigned char)alphabet[v >> 12 & 63];
        out[o++] = (unsigned char)alphabet[v >> 6 & 63];
        out[o++] = (unsigned char)alphabet[v & 63];
    }
    return o;
}

static int decode(const unsigned char *in, int length, unsigned char *out) {
    int o = 0;
    for (int i = 0; i < length; i += 4) {
        int a = value_of[in[i]], b = value_of[in[i + 1]], c = value_of[in[i + 2]], d = value_of[in[i + 3]];
        if ((a | b | c | d) < 0)
            return -1;
        unsigned v = (unsigned)(a << 18 | b << 12 | c << 6 | d);
        out[o++] = (unsigned char)(v >> 16);
        out[o++] = (unsigned char)(v >> 8);
        out[o++] = (unsigned char)v;
    }
    return o;
}

unsigned run(int n) {
    int length = n * 1024 / 3 * 3;
    for (int i = 0; i < 256; i++)
        value_of[i] = -1;
    for (int i = 0; i < 64; i++)
        value_of[(unsigned char)alphabet[i]] = (signed char)i;
    for (int i = 0; i < length; i++)
        input[i] = (unsigned char)((unsigned)i * 2654435761u >> 23);
    unsigned checksum = 0;
    for (int round = 0; round < 8; round++) {
        int size = encode(input, length, encoded);
        int back = decode(encoded, size, decoded);
        if (back != length)
            return 0;
        for (int i = 0; i < back; i++)
            checksum = checksum * 33 + (decoded[i] ^ input[i]) + encoded[i];
        input[round] ^= 0x55;
    }
    return checksum;
}
