#!/usr/bin/env bash
# diffusers: AutoGuidance asks the weakened model with the *empty* condition, so it is classifier-free guidance with a damaged branch and not Autoguidance (whose guide gets the same condition); who takes the paper's strengths over gets oversaturated, less varied pictures and blames the method.
#
# Versions: diffusers 0.42.1, transformers not needed, torch 2.11.0; Python 3.10 and newer.
# What is done: a tiny Flux transformer with random weights and a condition that matters, guided with strength 3 by itself
#   with one layer "weakened" by a dropout of 1e-9, that is, not at all.
# What one expects: a guide that equals the model pulls nowhere, so the result is the conditional prediction, whatever the
#   strength: D0 + 3 (D1 - D0) with D0 = D1 (arXiv 2406.02507, Eq. 5, in which both have the same label).
# What happens: the result is, to the last bit, classifier-free guidance of strength 3. (The layers by number,
#   auto_guidance_layers=[0] with dropout=0.5, end in a TypeError: LayerSkipConfig wants the list that was taken apart.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.11.0 diffusers==0.42.1
OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 DIFFUSERS_VERBOSITY=error "$folder/venv/bin/python" - <<'END'
import diffusers
import torch
from diffusers.guiders import AutoGuidance
from diffusers.hooks import LayerSkipConfig

STRENGTH = 3.0
torch.manual_seed(0)
model = diffusers.FluxTransformer2DModel(
    patch_size=1, in_channels=4, num_layers=2, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
    joint_attention_dim=8, pooled_projection_dim=8, axes_dims_rope=(4, 4, 8)).eval()
noisy = torch.randn(1, 16, 4)
condition, empty = torch.randn(1, 3, 8), torch.zeros(1, 3, 8)


@torch.no_grad()
def predict(text):
    return model(hidden_states=noisy, encoder_hidden_states=text, pooled_projections=torch.zeros(1, 8),
                 timestep=torch.tensor([0.5]), img_ids=torch.zeros(16, 3), txt_ids=torch.zeros(3, 3),
                 return_dict=False)[0]


conditional, unconditional = predict(condition), predict(empty)
assert (conditional - unconditional).abs().max() > 1e-3

weakening = LayerSkipConfig([0], fqn="auto", skip_attention=False, skip_ff=False, dropout=1e-9)
guider = AutoGuidance(guidance_scale=STRENGTH, auto_guidance_config=weakening)
guider.set_state(step=0, num_inference_steps=10, timestep=torch.tensor(5.0))
branches = guider.prepare_inputs({"encoder_hidden_states": (condition, empty)})
for branch in branches:
    guider.prepare_models(model)
    branch.noise_pred = predict(branch.encoder_hidden_states)
    guider.cleanup_models(model)
result = guider(branches).pred

to_conditional = (result - conditional).abs().max().item()
to_cfg = (result - (unconditional + STRENGTH * (conditional - unconditional))).abs().max().item()
print(f"diffusers {diffusers.__version__}, torch {torch.__version__}")
print(f"distance to the conditional prediction {to_conditional:.3g}, to classifier-free guidance {to_cfg:.3g}")
try:
    by_number = AutoGuidance(auto_guidance_layers=[0], dropout=0.5)
    by_number.set_state(step=0, num_inference_steps=10, timestep=torch.tensor(5.0))
    for _ in range(2):
        by_number.prepare_models(model)
    print("layers by number: accepted")
except TypeError as error:
    print("layers by number:", error)
if not (to_cfg < 1e-6 < 1e-3 < to_conditional):
    raise SystemExit("CHANGED: the weakened model gets the condition now")
END
echo "as described: the weakened model gets the empty condition"
