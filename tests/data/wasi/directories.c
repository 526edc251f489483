// Directories: make, list, seek in the listing, remove; many entries, so that the listing comes in pieces.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void report(const char *what, long result) {
    if (result < 0) printf("%s: %s\n", what, strerror(errno));
    else printf("%s: %ld\n", what, result);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

int main(int argc, char **argv) {
    report("chdir", chdir(argv[1]));
    report("mkdir", mkdir("d", 0755));
    report("mkdir again", mkdir("d", 0755));
    report("mkdir below nothing", mkdir("x/y", 0755));
    char name[64];
    for (int i = 0; i < 500; i++) {
        sprintf(name, "d/a rather long name of a file, number %d", i);
        FILE *file = fopen(name, "w");
        fprintf(file, "%d\n", i);
        fclose(file);
    }
    mkdir("d/sub", 0755);
    symlink("sub", "d/link");
    DIR *dir = opendir("d");
    char *names[600];
    int count = 0, types[16] = {0};
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        names[count++] = strdup(entry->d_name);
        types[entry->d_type & 15]++;
    }
    qsort(names, count, sizeof *names, by_name);
    printf("%d entries: %s %s %s ... %s\n", count, names[0], names[1], names[2], names[count - 1]);
    printf("regular %d directory %d link %d\n", types[DT_REG & 15], types[DT_DIR & 15], types[DT_LNK & 15]);
    rewinddir(dir);
    int again = 0;
    while (readdir(dir) != NULL) again++;
    printf("again %d\n", again);
    closedir(dir);
    report("rmdir full", rmdir("d"));
    report("rmdir file", rmdir(("d/a rather long name of a file, number 1")));
    for (int i = 0; i < 500; i++) {
        sprintf(name, "d/a rather long name of a file, number %d", i);
        unlink(name);
    }
    report("unlink directory", unlink("d/sub"));
    report("rmdir", rmdir("d/sub"));
    report("unlink link", unlink("d/link"));
    report("rmdir", rmdir("d"));
    report("rmdir missing", rmdir("d"));
    report("opendir missing", opendir("d") == NULL ? -1 : 0);
    return 0;
}
