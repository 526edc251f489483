// Files: create, write, seek, read in pieces, append, truncate, stat, rename, link, unlink; failures with their errno.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void report(const char *what, long result) {
    if (result < 0) printf("%s: %s\n", what, strerror(errno));
    else printf("%s: %ld\n", what, result);
}

int main(int argc, char **argv) {
    char buffer[64];
    struct stat status;
    const char *dir = argv[1];
    report("chdir", chdir(dir));

    int fd = open("a.txt", O_RDWR | O_CREAT | O_EXCL, 0644);
    report("write", write(fd, "hello, world", 12));
    report("seek", lseek(fd, -5, SEEK_END));
    memset(buffer, 0, sizeof buffer);
    report("read", read(fd, buffer, 3));
    printf("%s\n", buffer);
    report("tell", lseek(fd, 0, SEEK_CUR));
    report("pread", pread(fd, buffer, 5, 0));
    report("pwrite", pwrite(fd, "J", 1, 0));
    report("seek before the start", lseek(fd, -1, SEEK_SET));
    report("read at the end", (lseek(fd, 0, SEEK_END), read(fd, buffer, 10)));
    report("hole", (lseek(fd, 20, SEEK_SET), write(fd, "!", 1)));
    report("truncate", ftruncate(fd, 15));
    report("fstat", fstat(fd, &status));
    printf("size %lld links %d regular %d\n", (long long)status.st_size, (int)status.st_nlink, S_ISREG(status.st_mode));
    report("fsync", fsync(fd));
    report("fdatasync", fdatasync(fd));
    report("close", close(fd));
    report("close again", close(fd));

    report("exclusive", open("a.txt", O_RDWR | O_CREAT | O_EXCL, 0644));
    report("missing", open("nothing", O_RDONLY));
    report("directory", open(".", O_WRONLY));
    report("not a directory", open("a.txt/x", O_RDONLY));

    fd = open("a.txt", O_WRONLY | O_APPEND);
    report("append", (lseek(fd, 0, SEEK_SET), write(fd, "+", 1)));
    report("read of write-only", read(fd, buffer, 1));
    close(fd);
    fd = open("a.txt", O_RDONLY);
    report("write of read-only", write(fd, "x", 1));
    memset(buffer, 0, sizeof buffer);
    report("whole", read(fd, buffer, sizeof buffer));
    for (int i = 0; i < 16; i++) printf("%02x ", buffer[i]);
    printf("\n");
    close(fd);

    report("link", link("a.txt", "b.txt"));
    report("stat", stat("b.txt", &status));
    printf("links %d\n", (int)status.st_nlink);
    report("link over", link("a.txt", "b.txt"));
    report("symlink", symlink("a.txt", "s.txt"));
    report("readlink", readlink("s.txt", buffer, sizeof buffer));
    report("readlink of a file", readlink("a.txt", buffer, sizeof buffer));
    report("lstat", lstat("s.txt", &status));
    printf("link %d\n", S_ISLNK(status.st_mode));
    report("rename", rename("b.txt", "c.txt"));
    report("rename missing", rename("b.txt", "d.txt"));
    report("unlink", unlink("c.txt"));
    report("unlink missing", unlink("c.txt"));
    report("outside", open("../outside", O_RDONLY));
    report("symlink outside", symlink("/etc/passwd", "p"));

    struct timespec times[2] = {{1000000001, 5}, {1500000000, 7}};
    report("utimensat", utimensat(AT_FDCWD, "a.txt", times, 0));
    stat("a.txt", &status);
    printf("%lld.%09ld %lld.%09ld\n", (long long)status.st_atim.tv_sec, (long)status.st_atim.tv_nsec,
           (long long)status.st_mtim.tv_sec, (long)status.st_mtim.tv_nsec);
    return 0;
}
