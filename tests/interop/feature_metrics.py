"""Metrics of features by numpy, scipy and torch-fidelity, where that is there.

    feature_metrics.py FOLDER SUBSET   all metrics, the kernel distance over subsets of that size
    feature_metrics.py FOLDER          the Fréchet distance alone

Reads x, y (generated and real features) and logits from FOLDER/features.npz, writes FOLDER/expected.npz.
"""

import sys
import time

import numpy as np
import scipy.linalg

folder = sys.argv[1]
file = np.load(f"{folder}/features.npz")
x, y, logits = (file[name].astype(np.float64) for name in ("x", "y", "logits"))
results = {}


def frechet(x, y):
    difference = x.mean(0) - y.mean(0)
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    begin = time.perf_counter()
    root = scipy.linalg.sqrtm(a @ b)
    results["sqrtm_seconds"] = time.perf_counter() - begin
    return np.real(difference @ difference + np.trace(a + b - 2 * root))


def kernel_distance(x, y, size, subsets=100):
    kernel = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
    random = np.random.RandomState(2020)
    values = []
    for _ in range(subsets):
        a = x[random.choice(len(x), size, replace=False)]
        b = y[random.choice(len(y), size, replace=False)]
        aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
        within = aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)
        values.append(within / (size * (size - 1)) - 2 * ab.sum() / size**2)
    return np.mean(values), np.std(values)


def distances(a, b):
    return np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(2))


def neighbourhoods(fake, real):
    between = distances(fake, real)
    reach = lambda z, k: np.sort(distances(z, z), axis=1)[:, k]
    precision = (between <= reach(real, 3)[None, :]).any(1).mean()
    recall = (between <= reach(fake, 3)[:, None]).any(0).mean()
    inside = between <= reach(real, 5)[None, :]
    return precision, recall, inside.sum(1).mean() / 5, inside.any(0).mean()


def inception_score(logits, splits=10):
    logits = logits[np.random.RandomState(2020).permutation(len(logits))]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    values = []
    for i in range(splits):
        q = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        values.append(np.exp((q * np.log(q / q.mean(0))).sum(1).mean()))
    return np.mean(values), np.std(values)


def add_torch_fidelity(size):
    import torch
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    fx, fy, fl = (torch.from_numpy(a.astype(np.float32)) for a in (x, y, logits))
    kid = kid_features_to_metric(fx, fy, kid_subsets=100, kid_subset_size=size, verbose=False)
    prc = prc_features_to_metric(fx, fy, verbose=False)
    isc = isc_features_to_metric(fl)
    results["fidelity_kid"] = kid["kernel_inception_distance_mean"]
    results["fidelity_kid_deviation"] = kid["kernel_inception_distance_std"]
    results["fidelity_precision"], results["fidelity_recall"] = prc["precision"], prc["recall"]
    results["fidelity_is"] = isc["inception_score_mean"]
    results["fidelity_is_deviation"] = isc["inception_score_std"]


results["fid"] = frechet(x, y)
if len(sys.argv) > 2:
    size = int(sys.argv[2])
    results["kid"], results["kid_deviation"] = kernel_distance(x, y, size)
    results["precision"], results["recall"], results["density"], results["coverage"] = neighbourhoods(x, y)
    results["is"], results["is_deviation"] = inception_score(logits)
    try:
        add_torch_fidelity(size)
    except ImportError:
        pass

np.savez(f"{folder}/expected.npz", **{name: np.float64(value) for name, value in results.items()})
print(" ".join(f"{name}={value}" for name, value in results.items()))
