/* Statistics of text in UTF-8: lines, words, characters, and the most frequent words.
 *
 *   textstat [-n COUNT] [FILES...]      without files, standard input
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *text;
    unsigned count;
} Word;

typedef struct {
    Word *slots; /* open addressing; the number of slots is a power of two */
    unsigned size, used;
} Words;

typedef struct {
    unsigned long bytes, characters, lines, words, letters, longest_line;
} Totals;

static unsigned hash(const char *text) {
    unsigned h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) {
        fprintf(stderr, "textstat: out of memory\n");
        exit(1);
    }
    return memory;
}

static Word *slot_of(Words *words, const char *text) {
    unsigned i = hash(text) & (words->size - 1);
    while (words->slots[i].text && strcmp(words->slots[i].text, text) != 0)
        i = (i + 1) & (words->size - 1);
    return &words->slots[i];
}

static void grow(Words *words) {
    Words larger = {allocate(words->size * 2, sizeof(Word)), words->size * 2, words->used};
    for (unsigned i = 0; i < words->size; i++)
        if (words->slots[i].text)
            *slot_of(&larger, words->slots[i].text) = words->slots[i];
    free(words->slots);
    *words = larger;
}

static void count_word(Words *words, const char *text) {
    Word *word = slot_of(words, text);
    if (!word->text) {
        word->text = allocate(strlen(text) + 1, 1);
        strcpy(word->text, text);
        if (++words->used * 3 > words->size * 2) {
            grow(words);
            word = slot_of(words, text);
        }
    }
    word->count++;
}

static void scan(FILE *file, Totals *totals, Words *words) {
    char word[128];
    size_t length = 0;
    unsigned long line = 0;
    for (int c; (c = getc(file)) != EOF;) {
        totals->bytes++;
        int continuation = (c & 0xC0) == 0x80;
        totals->characters += !continuation;
        line += !continuation && c != '\n';
        if (c == '\n') {
            totals->lines++;
            if (line > totals->longest_line)
                totals->longest_line = line;
            line = 0;
        }
        if (isalpha(c) || c >= 0x80 || (c == '\'' && length > 0)) {
            totals->letters += !continuation;
            if (length < sizeof word - 1)
                word[length++] = (char)tolower(c);
        } else if (length > 0) {
            word[length] = 0;
            length = 0;
            totals->words++;
            count_word(words, word);
        }
    }
    if (length > 0) {
        word[length] = 0;
        totals->words++;
        count_word(words, word);
    }
}

static int by_count(const void *a, const void *b) {
    const Word *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->text, y->text);
}

int main(int argc, char **argv) {
    Totals totals = {0};
    Words words = {allocate(1024, sizeof(Word)), 1024, 0};
    unsigned top = 8;
    int first = 1, failed = 0;
    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        top = (unsigned)atoi(argv[2]);
        first = 3;
    }
    if (first == argc)
        scan(stdin, &totals, &words);
    for (int i = first; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            fprintf(stderr, "textstat: %s: %s\n", argv[i], strerror(errno));
            failed = 1;
            continue;
        }
        scan(file, &totals, &words);
        fclose(file);
    }
    printf("%lu bytes, %lu characters, %lu lines, %lu words, %u different\n", totals.bytes, totals.characters,
           totals.lines, totals.words, words.used);
    if (totals.words)
        printf("letters a word: %.2f, longest line: %lu\n", (double)totals.letters / (double)totals.words,
               totals.longest_line);
    unsigned used = 0; /* from here on the words stand at the front, no longer by hash */
    for (unsigned i = 0; i < words.size; i++)
        if (words.slots[i].text)
            words.slots[used++] = words.slots[i];
    qsort(words.slots, used, sizeof(Word), by_count);
    for (unsigned i = 0; i < top && i < used; i++) {
        printf("%6u  %-12s ", words.slots[i].count, words.slots[i].text);
        for (unsigned bar = words.slots[i].count * 40 / words.slots[0].count; bar > 0; bar--)
            fputs("█", stdout);
        putchar('\n');
    }
    return failed;
}
