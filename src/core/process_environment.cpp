#include "edm2/core/process_environment.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

/// The variables in which a launcher says where a process stands.
struct Names {
  const char *launcher, *rank, *local_rank, *size;
};
constexpr Names torchrun{"torchrun", "RANK", "LOCAL_RANK", "WORLD_SIZE"};
constexpr Names open_mpi{"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK",
                         "OMPI_COMM_WORLD_SIZE"};
constexpr Names slurm{"Slurm", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS"};
constexpr Names pmi{"MPI", "PMI_RANK", "MPI_LOCALRANKID", "PMI_SIZE"};

class Reader {
 public:
  explicit Reader(const LookUpVariable& look_up) : look_up_(look_up) {}

  std::optional<std::string> text(const char* name) const {
    auto value = look_up_(name);
    return value && !value->empty() ? value : std::nullopt;
  }
  bool has(const char* name) const { return text(name).has_value(); }

  std::optional<int> number(const char* name, int min, int max) const {
    const auto value = text(name);
    if (!value) return std::nullopt;
    int number = -1;
    const char* end = value->data() + value->size();
    const auto [parsed, error] = std::from_chars(value->data(), end, number);
    if (error != std::errc() || parsed != end || number < min || number > max)
      throw Error(std::string("the environment variable ") + name + " is '" + *value +
                  "', which is not an integer from " + std::to_string(min) + " to " +
                  std::to_string(max));
    return number;
  }

 private:
  const LookUpVariable& look_up_;
};

constexpr int max_processes = 1 << 20;

/// Rank and size under one launcher's names.
ProcessEnvironment read_place(const Reader& read, const Names& names) {
  ProcessEnvironment e;
  e.launcher = names.launcher;
  e.size = read.number(names.size, 1, max_processes).value_or(1);
  const auto rank = read.number(names.rank, 0, max_processes);
  if (!rank && e.size > 1)
    throw Error(std::string(names.size) + " is " + std::to_string(e.size) + ", but " + names.rank +
                " is not set; start the processes with a launcher, or set both");
  e.rank = rank.value_or(0);
  if (e.rank >= e.size)
    throw Error(std::string(names.rank) + " is " + std::to_string(e.rank) + ", but " + names.size +
                " is " + std::to_string(e.size) +
                ": ranks are counted from 0; correct the two variables");
  const auto local = read.number(names.local_rank, 0, max_processes);
  e.local_rank = local.value_or(0);
  if (e.local_rank > e.rank)
    throw Error(std::string(names.local_rank) + " is " + std::to_string(e.local_rank) + ", but " +
                names.rank + " is only " + std::to_string(e.rank) + "; correct the two variables");
  return e;
}

/// A port that all processes of a job arrive at without talking: FNV-1a of the job's name.
int port_of_job(const std::string& name) {
  uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return 20000 + static_cast<int>(hash % 10000);
}

/// Inside of a step that srun started, and not in a shell or batch script of the job.
bool in_slurm_step(const Reader& read) {
  const auto step = read.text("SLURM_STEP_ID");
  if (!step || !read.has("SLURM_PROCID")) return false;
  // Slurm's own numbers for the batch script, interactive shells and what runs beside the steps.
  return *step != "4294967290" && *step != "4294967291" && *step != "4294967292";
}

ProcessEnvironment read_slurm(const Reader& read) {
  Names names = slurm;
  if (!read.has(names.size)) names.size = "SLURM_NTASKS";
  ProcessEnvironment e = read_place(read, names);
  for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"})
    if (const auto list = read.text(name)) {
      e.master_addr = first_slurm_host(*list);
      break;
    }
  if (e.master_addr == "localhost")
    e.master_addr = read.text("SLURM_LAUNCH_NODE_IPADDR").value_or(e.master_addr);
  const std::string job = read.text("SLURM_JOB_ID").value_or("");
  e.master_port = port_of_job("slurm " + job + "." + *read.text("SLURM_STEP_ID"));
  return e;
}

/// MPI launchers do not say where rank 0 is; on one machine it is here.
ProcessEnvironment read_mpi(const Reader& read, const Names& names, const char* local_size,
                            const char* job_name) {
  ProcessEnvironment e = read_place(read, names);
  const bool one_machine = read.number(local_size, 1, max_processes) == e.size;
  if (e.size > 1 && !one_machine && !read.has("MASTER_ADDR"))
    throw Error(std::string(names.launcher) +
                " started processes on several machines, which must know where rank 0 is; "
                "set MASTER_ADDR to the name of its machine");
  e.master_port = port_of_job(names.launcher + read.text(job_name).value_or(""));
  return e;
}

ProcessEnvironment read_torchrun(const Reader& read) {
  ProcessEnvironment e = read_place(read, torchrun);
  e.launcher_has_store = read.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  e.attempt = read.number("TORCHELASTIC_RESTART_COUNT", 0, max_processes).value_or(0);
  if (e.size > 1 && !read.has("MASTER_PORT"))
    throw Error("WORLD_SIZE is " + std::to_string(e.size) +
                ", but MASTER_PORT is not set; set it to a free port, the same for all "
                "processes");
  return e;
}

ProcessEnvironment read_launcher(const Reader& read) {
  if (read.has("RANK") || read.has("WORLD_SIZE")) return read_torchrun(read);
  if (read.has(open_mpi.rank))
    return read_mpi(read, open_mpi, "OMPI_COMM_WORLD_LOCAL_SIZE", "PMIX_NAMESPACE");
  if (in_slurm_step(read)) return read_slurm(read);
  if (read.has(pmi.rank)) return read_mpi(read, pmi, "MPI_LOCALNRANKS", "PMI_JOBID");
  ProcessEnvironment alone;
  alone.local_rank = read.number("LOCAL_RANK", 0, max_processes).value_or(0);
  return alone;
}

}  // namespace

ProcessEnvironment read_process_environment(const LookUpVariable& look_up) {
  const Reader read(look_up);
  ProcessEnvironment e = read_launcher(read);
  e.master_addr = read.text("MASTER_ADDR").value_or(e.master_addr);
  e.master_port = read.number("MASTER_PORT", 0, 65535).value_or(e.master_port);
  if (e.size > 1 && e.master_port == 0)
    throw Error("MASTER_PORT is 0; set it to a free port, the same for all processes");
  return e;
}

ProcessEnvironment read_process_environment() {
  return read_process_environment([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
  });
}

std::string first_slurm_host(const std::string& list) {
  std::string host;
  for (size_t i = 0; i < list.size() && list[i] != ','; ++i) {
    if (list[i] != '[') {
      host += list[i];
      continue;
    }
    // "[003-005,7]": the first number stands for the rest.
    const size_t end = std::min(list.find(']', i), list.size());
    host += list.substr(i + 1, std::min(list.find_first_of("-,", i), end) - i - 1);
    i = end;
  }
  return host;
}

}  // namespace edm2
