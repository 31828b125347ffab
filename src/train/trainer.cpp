#include "edm2/train/trainer.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "core/measuring.h"
#include "edm2/core/error.h"
#include "train/kept_settings.h"
#include "train/round_draws.h"
#include "train/trainer_state.h"

namespace edm2 {
namespace {

ProcessGroup& this_process_alone() {
  static const auto alone = ProcessGroup::single();  // has no state
  return *alone;
}

}  // namespace

Trainer::Trainer(TrainOptions options, std::shared_ptr<Progress> progress)
    : Trainer(std::move(options), std::move(progress), this_process_alone()) {}

Trainer::Trainer(TrainOptions options, std::shared_ptr<Progress> progress, ProcessGroup& group)
    : state_(new State(std::move(options), std::move(progress), group)) {}

Trainer::~Trainer() = default;

Precond& Trainer::network() { return *state_->learner.network; }
PowerFunctionEma& Trainer::ema() { return *state_->learner.ema; }
int64_t Trainer::cur_nimg() const { return state_->run.cur_nimg; }
double Trainer::last_learning_rate() const { return state_->learner.last_lr; }
const ImageDataset& Trainer::dataset() const { return *state_->data.dataset; }
TrainOptions& Trainer::options() { return state_->options; }
nlohmann::ordered_json Trainer::configuration() const {
  return with_kept_settings(state_->config(), state_->options.outdir);
}

void Trainer::load_data() { state_->data.load(state_->options); }

void Trainer::setup() {
  if (!state_->data.dataset) load_data();
  state_->set_up(/*measuring=*/false);
}

RunEnd Trainer::run() {
  State& s = *state_;
  if (s.is_done()) return s.say_finished();
  s.say_begin();
  for (;;) {
    const DueWork due = s.due_work();
    if (due.status) s.write_status();
    if (due.snapshots) s.save_snapshots();
    if (due.samples) s.draw_samples();
    if (due.state) s.save_state();
    if (s.is_done()) return s.finish();
    if (const std::string reason = s.suspend_reason(); !reason.empty()) return s.suspend(reason);
    try {
      step();
    } catch (const GroupError&) {
      throw;
    } catch (const Error& error) {
      s.explain(error);
    }
    s.progress->note(s.status->loss_text());
    s.progress->advance(s.options.batch_size);
  }
}

void Trainer::step() {
  State& s = *state_;
  const double begin = seconds_now();
  set_seed({s.options.seed, s.group.rank(), s.run.cur_nimg});
  clear_gradients(*s.learner.network);
  for (int64_t round = 0; round < s.num_rounds; ++round) {
    const LoadedRound loaded = s.load(round);
    const auto [loss, sigma] = s.evaluate(loaded);
    if (on_round) on_round({loss.detach(), sigma, loaded.indices, loaded.positions});
    if (round + 1 == s.num_rounds) s.learner.average->begin();
    s.accumulate_gradients(loss);
  }
  s.learner.average->finish();
  s.update();
  s.status->add_training_time(seconds_now() - begin);
}

LoadedRound Trainer::State::load(int64_t round) {
  auto batch = data.loader->next();
  auto positions = positions_of_round(group, run.cur_nimg, batch_gpu, round);
  const RoundDraws draws = draws_for(options, device, positions);
  const Tensor images = data.encoder->encode_latents(batch.images.to(device), draws.normal);
  return {{images, batch.labels.to(device), run.cur_nimg},
          draws,
          std::move(batch.indices),
          std::move(positions)};
}

LossTerms Trainer::State::evaluate(const LoadedRound& round) {
  Precond& network = *learner.network;
  const auto usual = network.context.dropout;
  if (round.draws.dropout) network.context.dropout = round.draws.dropout;
  LossTerms terms = learner.objective->loss(network, learner.loss, round.input, round.draws);
  network.context.dropout = usual;
  status->after_forward(terms.loss, terms.sigma);
  return terms;
}

void Trainer::State::accumulate_gradients(const Tensor& loss) {
  const int64_t share = options.batch_size / group.size();
  loss.sum().mul(options.loss_scaling / static_cast<double>(share)).backward();
}

/// The optimizer's step and that of the averages.
void Trainer::State::update() {
  learner.last_lr = learning_rate_at(options.learning_rate, run.cur_nimg, options.batch_size);
  const bool move = status->after_backward(run.cur_nimg, learner.last_lr);
  run.cur_nimg += options.batch_size;
  if (move)
    update_weights(*learner.network, *learner.optimizer, learner.last_lr, *learner.ema,
                   run.cur_nimg, options.batch_size);
}

}  // namespace edm2
