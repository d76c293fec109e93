// What the launch tests run inside the sandbox: says what it sees, or does the one thing it is
// told.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace {

void fact(const char* name, const std::string& value) {
  std::printf("%s=%s\n", name, value.c_str());
}
void fact(const char* name, long value) { fact(name, std::to_string(value)); }
// 0, or the errno.
int outcome(long result) { return result < 0 ? errno : 0; }

int open_outcome(const char* path, int flags) {
  const int fd = ::open(path, flags | O_CLOEXEC, 0600);
  const int result = outcome(fd);
  if (fd >= 0) {
    ::close(fd);
  }
  return result;
}

void tell_descriptors() {
  std::string open;
  for (int fd = 0; fd < 4096; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) {
      open += (open.empty() ? "" : ",") + std::to_string(fd);
    }
  }
  fact("fds", open);
}

void tell_privileges() {
  fact("uid", ::getuid());
  fact("gid", ::getgid());
  fact("groups", ::getgroups(0, nullptr));
  fact("nnp", ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  fact("securebits", ::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  ::syscall(SYS_capget, &header, data);
  fact("caps", data[0].effective | data[0].permitted | data[0].inheritable | data[1].effective);
  fact("effective", data[0].effective);
}

void tell_files() {
  fact("proc", open_outcome("/proc/self/status", O_RDONLY));
  fact("etc", open_outcome("/etc/passwd", O_RDONLY));
  fact("write_root", outcome(::mkdir("/made", 0700)));
  fact("write_library", open_outcome("/usr/lib/made", O_CREAT | O_WRONLY));
  fact("ungranted", open_outcome("/empty", O_RDONLY | O_DIRECTORY));
  fact("scratch", open_outcome("/scratch/file", O_CREAT | O_WRONLY));
  fact("null", open_outcome("/dev/null", O_RDWR));
  char directory[256] = {};
  fact("cwd", ::getcwd(directory, sizeof directory) == nullptr ? "?" : directory);
}

void tell_sockets() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  static_cast<void>(name);
  fact("socket", outcome(fd));
}

int tell_facts() {
  utsname names{};
  ::uname(&names);
  fact("pid", ::getpid());
  fact("ppid", ::getppid());
  fact("sid", ::getsid(0));
  fact("host", names.nodename);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  fact("nofile", static_cast<long>(files.rlim_max));
  fact("kill_init", outcome(::syscall(SYS_kill, 1, 0)));
  tell_descriptors();
  tell_privileges();
  tell_files();
  tell_sockets();
  const char* const variable = ::getenv("GIVEN");  // NOLINT(concurrency-mt-unsafe): one thread
  fact("env", variable == nullptr ? "" : variable);
  return 0;
}

// Children and grandchildren that ignore what they can.
int spawn_tree() {
  for (int i = 0; i < 3; ++i) {
    if (::fork() == 0) {
      ::setsid();
      ::fork();
      ::pause();
    }
  }
  std::puts("tree=up");
  std::fflush(stdout);
  ::pause();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string act = argc > 1 ? argv[1] : "facts";
  if (act == "facts") {
    return tell_facts();
  }
  if (act == "exit") {
    return 7;
  }
  if (act == "abort") {
    ::abort();
  }
  if (act == "violate") {
    ::syscall(SYS_personality, 0xffffffffUL);
    return 0;
  }
  if (act == "exec") {
    char* const arguments[] = {argv[0], const_cast<char*>("exit"), nullptr};
    ::execv(argv[0], arguments);
    std::printf("exec=%d\n", errno);
    return 0;
  }
  if (act == "tree") {
    return spawn_tree();
  }
  std::puts("waiting=1");
  std::fflush(stdout);
  ::pause();
  return 0;
}
