#include "edm2/core/process_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

using testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

ProcessEnvironment read(const Variables& variables) {
  return read_process_environment([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string error_of(const Variables& variables) {
  try {
    read(variables);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST(ProcessEnvironment, AloneByDefault) {
  const auto e = read({});
  EXPECT_EQ(e.rank, 0);
  EXPECT_EQ(e.size, 1);
  EXPECT_EQ(e.local_rank, 0);
  EXPECT_EQ(e.master_addr, "localhost");
  EXPECT_EQ(e.launcher, "");
  EXPECT_EQ(read({{"WORLD_SIZE", "1"}}).size, 1);
  EXPECT_EQ(read({{"RANK", ""}, {"WORLD_SIZE", ""}}).launcher, "");
  EXPECT_EQ(read({{"LOCAL_RANK", "3"}}).local_rank, 3) << "chooses a device";
}

TEST(ProcessEnvironment, Torchrun) {
  auto e = read({{"RANK", "5"},
                 {"LOCAL_RANK", "1"},
                 {"WORLD_SIZE", "8"},
                 {"MASTER_ADDR", "node0"},
                 {"MASTER_PORT", "29500"}});
  EXPECT_EQ(e.rank, 5);
  EXPECT_EQ(e.size, 8);
  EXPECT_EQ(e.local_rank, 1);
  EXPECT_EQ(e.master_addr, "node0");
  EXPECT_EQ(e.master_port, 29500);
  EXPECT_FALSE(e.launcher_has_store);
  e = read({{"RANK", "0"},
            {"WORLD_SIZE", "2"},
            {"MASTER_PORT", "1"},
            {"TORCHELASTIC_USE_AGENT_STORE", "True"},
            {"TORCHELASTIC_RESTART_COUNT", "3"}});
  EXPECT_TRUE(e.launcher_has_store);
  EXPECT_EQ(e.attempt, 3);
}

TEST(ProcessEnvironment, SlurmStep) {
  Variables step = {{"SLURM_PROCID", "3"},
                    {"SLURM_LOCALID", "1"},
                    {"SLURM_NTASKS", "8"},
                    {"SLURM_STEP_NUM_TASKS", "4"},
                    {"SLURM_STEP_ID", "0"},
                    {"SLURM_JOB_ID", "1234"},
                    {"SLURM_JOB_NODELIST", "node[003-005,7],gpu1"},
                    {"SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1"}};
  const auto e = read(step);
  EXPECT_EQ(e.rank, 3);
  EXPECT_EQ(e.size, 4) << "of this step, not of the job";
  EXPECT_EQ(e.local_rank, 1);
  EXPECT_EQ(e.master_addr, "node003");
  EXPECT_GE(e.master_port, 20000);
  EXPECT_LT(e.master_port, 30000);
  EXPECT_EQ(e.launcher, "Slurm");
  step["SLURM_PROCID"] = "0";
  step["SLURM_LOCALID"] = "0";
  EXPECT_EQ(read(step).master_port, e.master_port) << "the same for all";
  step["SLURM_STEP_ID"] = "1";
  EXPECT_NE(read(step).master_port, e.master_port) << "steps of a job side by side";
  step["MASTER_ADDR"] = "other";
  step["MASTER_PORT"] = "77";
  EXPECT_EQ(read(step).master_addr, "other");
  EXPECT_EQ(read(step).master_port, 77);
  step.erase("SLURM_JOB_NODELIST");
  step.erase("MASTER_ADDR");
  EXPECT_EQ(read(step).master_addr, "10.0.0.1");
  step.erase("SLURM_STEP_NUM_TASKS");
  EXPECT_EQ(read(step).size, 8);
}

TEST(ProcessEnvironment, ShellInsideOfASlurmJobIsAlone) {
  // As salloc and sbatch set them: no step.
  Variables job = {{"SLURM_NTASKS", "8"},
                   {"SLURM_PROCID", "0"},
                   {"SLURM_JOB_ID", "1234"},
                   {"SLURM_JOB_NODELIST", "node[1-8]"}};
  EXPECT_EQ(read(job).size, 1);
  job["SLURM_STEP_ID"] = "4294967290";  // salloc with an interactive step
  EXPECT_EQ(read(job).size, 1);
}

TEST(ProcessEnvironment, SlurmHosts) {
  EXPECT_EQ(first_slurm_host("node1"), "node1");
  EXPECT_EQ(first_slurm_host("a,b[1-2]"), "a");
  EXPECT_EQ(first_slurm_host("n[01-03]"), "n01");
  EXPECT_EQ(first_slurm_host("n[7]"), "n7");
  EXPECT_EQ(first_slurm_host("n[5,8-9]-ib,m"), "n5-ib");
  EXPECT_EQ(first_slurm_host("r[1-2]n[3-4]"), "r1n3");
  EXPECT_EQ(first_slurm_host("n["), "n");
}

TEST(ProcessEnvironment, OpenMpi) {
  Variables mpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                   {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                   {"OMPI_COMM_WORLD_SIZE", "2"},
                   {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                   {"PMIX_NAMESPACE", "prterun-host-1@1"}};
  const auto e = read(mpi);
  EXPECT_EQ(e.rank, 1);
  EXPECT_EQ(e.size, 2);
  EXPECT_EQ(e.master_addr, "localhost");
  EXPECT_GT(e.master_port, 0);
  mpi["OMPI_COMM_WORLD_SIZE"] = "4";
  EXPECT_THAT(error_of(mpi), HasSubstr("set MASTER_ADDR"));
  mpi["MASTER_ADDR"] = "head";
  EXPECT_EQ(read(mpi).master_addr, "head");
}

TEST(ProcessEnvironment, PlainMpi) {
  const auto e = read(
      {{"PMI_RANK", "2"}, {"PMI_SIZE", "3"}, {"MPI_LOCALNRANKS", "3"}, {"MPI_LOCALRANKID", "2"}});
  EXPECT_EQ(e.rank, 2);
  EXPECT_EQ(e.size, 3);
  EXPECT_EQ(e.local_rank, 2);
}

TEST(ProcessEnvironment, TorchrunWinsInsideOfSlurm) {
  const auto e = read({{"RANK", "1"},
                       {"WORLD_SIZE", "2"},
                       {"MASTER_PORT", "5"},
                       {"SLURM_PROCID", "7"},
                       {"SLURM_STEP_ID", "0"},
                       {"SLURM_NTASKS", "9"}});
  EXPECT_EQ(e.rank, 1);
  EXPECT_EQ(e.size, 2);
}

TEST(ProcessEnvironment, NonsenseIsOneSentence) {
  EXPECT_EQ(error_of({{"WORLD_SIZE", "two"}}),
            "the environment variable WORLD_SIZE is 'two', which is not an integer from 1 to "
            "1048576");
  EXPECT_THAT(error_of({{"WORLD_SIZE", "0"}}), HasSubstr("WORLD_SIZE is '0'"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "-3"}}), HasSubstr("WORLD_SIZE is '-3'"));
  EXPECT_THAT(error_of({{"RANK", "1x"}}), HasSubstr("RANK is '1x'"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "99999999999999999999"}}), HasSubstr("WORLD_SIZE"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}}), HasSubstr("RANK is not set"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}, {"RANK", "2"}, {"MASTER_PORT", "1"}}),
              HasSubstr("RANK is 2, but WORLD_SIZE is 2"));
  EXPECT_THAT(error_of({{"RANK", "1"}}), HasSubstr("RANK is 1, but WORLD_SIZE is 1"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "4"}, {"RANK", "1"}, {"LOCAL_RANK", "2"}}),
              HasSubstr("LOCAL_RANK is 2, but RANK is only 1"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}, {"RANK", "0"}}), HasSubstr("MASTER_PORT is not set"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}, {"RANK", "0"}, {"MASTER_PORT", "70000"}}),
              HasSubstr("MASTER_PORT is '70000'"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "2"}, {"RANK", "0"}, {"MASTER_PORT", "0"}}),
              HasSubstr("MASTER_PORT is 0"));
}

}  // namespace edm2
