/// Many processes of one program on this machine, without a launcher from elsewhere.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/process_group.h"

namespace edm2 {

/// Exit code of a program that has put its work aside before the end, in good order, and goes on
/// with it when it is started again (EX_TEMPFAIL of sysexits.h).
inline constexpr int suspended_exit_code = 75;

/// How the processes have ended.
struct LaunchResult {
  /// 0 if all processes ended with 0; otherwise that of the first failure, 128 + N for signal N;
  /// suspended_exit_code if they ended with that and none failed.
  int exit_code = 0;
  /// What went wrong, if no process has told the user.
  std::optional<ProcessFailure> untold;
};

/// Starts `count` processes of `program` with these arguments and waits until they have ended.
///
/// They get the variables that torchrun sets (RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR,
/// MASTER_PORT and the like), and OMP_NUM_THREADS, where it is not set, so that they share the
/// processor's cores. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, stop and continue are
/// passed on to them; if this process dies, so do they. If one dies, the others learn of it and
/// end; what then still hangs is killed.
///
/// Call it before the program has started threads. Throws Error if they cannot be started,
/// or could not connect with each other as GLOO_SOCKET_IFNAME wants it.
LaunchResult launch_processes(const std::filesystem::path& program,
                              const std::vector<std::string>& arguments, int count);

/// This process was started by launch_processes().
bool started_by_launch();

}  // namespace edm2
