#!/usr/bin/env bash
# diffusers: EDMEulerScheduler.set_timesteps(sigmas=...) does not take noise levels but places between 0 and 1 on its own schedule; the levels of another program become numbers like -2.6e14, and whoever brings a schedule along gets black or NaN pictures without an error.
#
# Versions: diffusers 0.42.1, torch 2.11.0; Python 3.10 and newer.
# What is done: the noise levels that the scheduler itself gives for 18 steps (80 to 0.002) are given back to it.
# What one expects: the same levels ("custom sigmas to use for the denoising process", says the documentation), as with
#   EulerDiscreteScheduler, which takes 10, 5, 1 as 10, 5, 1.
# What happens: levels go through the formula of the schedule as if they were its ramp: the first becomes -2.6e14. The
#   same call with the ramp 0, 1/17, ..., 1 gives 80 to 0.002. A list, which the documentation allows too, is an
#   AttributeError, so the error that one meets first leads to a tensor, and that is accepted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.11.0 diffusers==0.42.1
OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'END'
import diffusers
import torch


def scheduler():
    return diffusers.EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0)


own = scheduler()
own.set_timesteps(18)
levels = own.sigmas[:-1].clone()
given = scheduler()
given.set_timesteps(sigmas=levels)
ramp = scheduler()
ramp.set_timesteps(sigmas=torch.linspace(0, 1, 18))
other = diffusers.EulerDiscreteScheduler()
other.set_timesteps(sigmas=[10.0, 5.0, 1.0])
try:
    scheduler().set_timesteps(sigmas=levels.tolist())
    of_list = "accepted"
except Exception as error:
    of_list = type(error).__name__

print(f"diffusers {diffusers.__version__}, torch {torch.__version__}")
print("own levels:      ", levels[:3].tolist(), "...", levels[-1].item())
print("given back:      ", given.sigmas[:3].tolist(), "...", given.sigmas[-2].item())
print("ramp 0 to 1:     ", ramp.sigmas[:3].tolist(), "...", ramp.sigmas[-2].item())
print("as a list:       ", of_list)
print("another scheduler:", other.sigmas[:3].tolist())
as_described = (given.sigmas[0] < -1e14 and torch.allclose(ramp.sigmas[:-1], levels)
                and of_list == "AttributeError" and other.sigmas[:3].tolist() == [10, 5, 1])
if not as_described:
    raise SystemExit("CHANGED: sigmas are noise levels now, or refused")
END
echo "as described: noise levels are taken for places on the schedule"
