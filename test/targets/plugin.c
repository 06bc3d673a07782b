/* A library that makes system calls of its own, for plugins.c to load and unload. Compiled with -shared -fPIC. */
#include <sys/types.h>

__attribute__((visibility("default"))) ssize_t plugin_write(int fd, const void *bytes, size_t length) {
  ssize_t result;
  __asm__ volatile("mov $1, %%eax\n\tsyscall\n\tcmp $-4096, %%rax\n\tja 1f\n1:"
                   : "=a"(result)
                   : "D"(fd), "S"(bytes), "d"(length)
                   : "rcx", "r11", "memory");
  return result;
}

__attribute__((visibility("default"))) ssize_t plugin_read(int fd, void *bytes, size_t length) {
  ssize_t result;
  __asm__ volatile("mov $0, %%eax\n\tsyscall\n\tcmp $-4096, %%rax\n\tja 1f\n1:"
                   : "=a"(result)
                   : "D"(fd), "S"(bytes), "d"(length)
                   : "rcx", "r11", "memory");
  return result;
}
