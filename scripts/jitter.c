/* Loaded into every process of a test run by jitter.mjs: system calls about sockets take irregularly long, and what is
 * ready is told in any order. The kernel promises neither, so a test that fails with this may fail on a busy machine. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

/* Microseconds, of the longest delay; 0: nothing is delayed or shuffled. */
static uint64_t longest;

__attribute__((constructor)) static void configure(void) {
  const char *text = getenv("FERRONET_JITTER");
  longest = text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* xorshift64, for each thread from another start. */
static uint64_t random_number(void) {
  static __thread uint64_t state;
  if (state == 0) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    state = (uint64_t)now.tv_nsec ^ (uintptr_t)&state ^ 0x9e3779b97f4a7c15;
  }
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static int one_in(uint64_t count) { return longest > 0 && random_number() % count == 0; }

static void delay(uint64_t seldom) {
  if (!one_in(seldom)) return;
  uint64_t microseconds = random_number() % longest;
  struct timespec time = {(time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000};
  nanosleep(&time, NULL);
}

static int shuffled(int count, struct epoll_event *events) {
  if (count < 2 || !one_in(2)) return count;
  for (int last = count - 1; last > 0; last--) {
    int other = (int)(random_number() % (uint64_t)(last + 1));
    struct epoll_event event = events[last];
    events[last] = events[other];
    events[other] = event;
  }
  return count;
}

/* The function of this name that we stand in front of. */
#define REAL(name) \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
  REAL(epoll_wait);
  if (timeout != 0) delay(12);
  /* What is left out here comes next time. */
  if (one_in(4) && most > 3) most = 1 + (int)(random_number() % 3);
  return shuffled(real(epoll, events, most, timeout), events);
}

/* libuv's. It is asked for as many as it wants: with fewer libuv would poll again in the same iteration. */
int epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout, const sigset_t *mask) {
  REAL(epoll_pwait);
  if (timeout != 0) delay(12);
  return shuffled(real(epoll, events, most, timeout, mask), events);
}

int connect(int socket, const struct sockaddr *address, socklen_t length) {
  REAL(connect);
  delay(8);
  return real(socket, address, length);
}

int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags) {
  REAL(accept4);
  delay(8);
  return real(socket, address, length, flags);
}

int shutdown(int socket, int how) {
  REAL(shutdown);
  delay(8);
  return real(socket, how);
}

ssize_t recv(int socket, void *bytes, size_t length, int flags) {
  REAL(recv);
  delay(20);
  return real(socket, bytes, length, flags);
}

ssize_t send(int socket, const void *bytes, size_t length, int flags) {
  REAL(send);
  delay(20);
  return real(socket, bytes, length, flags);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
  REAL(sendmsg);
  delay(20);
  return real(socket, message, flags);
}
