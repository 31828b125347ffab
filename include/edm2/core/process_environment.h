/// How this process was started: alone, or as one of many by torchrun, Slurm, an MPI launcher or
/// `--nproc`.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace edm2 {

/// One process's place among all. Rank 0 is the one that reports and writes files.
struct ProcessEnvironment {
  int rank = 0;        ///< in [0, size)
  int size = 1;        ///< processes on all machines, >= 1
  int local_rank = 0;  ///< among the processes of this machine; also the index of the CUDA device
  std::string master_addr = "localhost";  ///< where rank 0 (or the launcher's store) is reached
  int master_port = 0;                    ///< 0 only if size is 1
  /// The launcher runs the key-value store at that address; otherwise rank 0 does.
  bool launcher_has_store = false;
  /// torchrun's count of restarts: a restarted group must not read what the last one left.
  int attempt = 0;
  std::string launcher;  ///< "torchrun", "Slurm", ... for messages; empty = alone
};

/// The value of an environment variable, or none.
using LookUpVariable = std::function<std::optional<std::string>(const char* name)>;

/// Reads, first found wins:
/// - RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT (torchrun, and `--nproc`),
/// - OMPI_COMM_WORLD_RANK, _LOCAL_RANK, _SIZE (Open MPI),
/// - SLURM_PROCID, SLURM_LOCALID, SLURM_STEP_NUM_TASKS or SLURM_NTASKS, if the process belongs to a
///   step started by srun (a shell or script inside of a job has the same variables and is alone),
/// - PMI_RANK, PMI_SIZE (MPICH, Intel MPI).
/// MASTER_ADDR and MASTER_PORT win where they are set; under Slurm they are otherwise the first
/// host of the step and a port made from the job's number, under mpirun on one machine localhost
/// and a port made from the job's name.
/// Throws Error, one sentence that names the variables, if the values make no sense.
ProcessEnvironment read_process_environment(const LookUpVariable& look_up);
/// The same with this process's own variables.
ProcessEnvironment read_process_environment();

/// "node[003-005,7],gpu1" -> "node003": the first host of a Slurm node list.
std::string first_slurm_host(const std::string& list);

}  // namespace edm2
