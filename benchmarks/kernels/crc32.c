/* CRC-32 (polynomial 0xEDB88320) of n KiB: a table look-up that depends on the one before. */

static unsigned table[256];
static unsigned char data[1024];

unsigned run(int n) {
    for (unsigned i = 0; i < 256; i++) {
        unsigned c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
        table[i] = c;
    }
    for (int i = 0; i < 1024; i++)
        data[i] = (unsigned char)(i * 7 + (i >> 3));
    unsigned crc = ~0u;
    for (int block = 0; block < n; block++) {
        data[block & 1023] ^= (unsigned char)block;
        for (int i = 0; i < 1024; i++)
            crc = table[(crc ^ data[i]) & 255] ^ (crc >> 8);
    }
    return ~crc;
}
