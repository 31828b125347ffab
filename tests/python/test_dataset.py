"""edm2.dataset."""

import pickle

import pytest
import torch

import edm2


def test_items(dataset_zip):
    dataset = edm2.dataset.open(dataset_zip)
    assert len(dataset) == 24 and dataset.image_shape == (3, 8, 8)
    assert dataset.label_dim == 2 and dataset.label_kind == "classes"
    image, label = dataset[0]
    assert image.dtype == torch.uint8 and image.shape == (3, 8, 8)
    assert label.dtype == torch.float32 and label.tolist() in ([1, 0], [0, 1])
    assert torch.equal(dataset[-1][0], dataset[23][0]) and dataset.name(-1) == dataset.name(23)
    assert torch.equal(dataset[torch.tensor(3)][0], dataset[3][0])
    assert len(list(dataset)) == 24
    for beyond in (24, -25):
        with pytest.raises(IndexError):
            dataset[beyond]
    with pytest.raises(TypeError):
        dataset["0"]


def test_options(photos, dataset_zip):
    assert len(edm2.dataset.open(photos)) == 24
    unlabelled = edm2.dataset.open(dataset_zip, use_labels=False)
    assert unlabelled.label_dim == 0 and unlabelled[0][1].shape == (0,)
    mirrored = edm2.dataset.open(dataset_zip, xflip=True)
    assert len(mirrored) == 48 and torch.equal(mirrored[24][0], mirrored[0][0].flip(2))
    few = [edm2.dataset.open(dataset_zip, max_size=5, seed=seed) for seed in (1, 1, 2)]
    assert len(few[0]) == 5
    assert [few[0].name(i) for i in range(5)] == [few[1].name(i) for i in range(5)]


def test_wrong_files(tmp_path, dataset_zip):
    with pytest.raises(edm2.Error, match="nowhere"):
        edm2.dataset.open(tmp_path / "nowhere")
    with pytest.raises(edm2.Error):
        edm2.dataset.open(tmp_path)
    truncated = tmp_path / "truncated.zip"
    truncated.write_bytes(dataset_zip.read_bytes()[:-50])
    with pytest.raises(edm2.Error, match="truncated.zip"):
        edm2.dataset.open(truncated)
    with pytest.raises(edm2.UsageError, match="no option 'resolutoin'; the nearest is 'resolution'"):
        edm2.dataset.convert(tmp_path, tmp_path / "x.zip", resolutoin="8x8")
    with pytest.raises(edm2.Error):
        edm2.dataset.convert(tmp_path / "nowhere", tmp_path / "x.zip")


def test_pickling(dataset_zip):
    dataset = edm2.dataset.open(dataset_zip, xflip=True)
    again = pickle.loads(pickle.dumps(dataset))
    assert len(again) == 48 and torch.equal(again[30][0], dataset[30][0])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loader_with_workers(dataset_zip, context):
    dataset = edm2.dataset.open(dataset_zip)
    torch.ones(1000, 1000).mm(torch.ones(1000, 1000))  # threads that a forked process does not have
    loader = torch.utils.data.DataLoader(dataset, batch_size=5, num_workers=2, multiprocessing_context=context)
    batches = list(loader)
    assert [len(images) for images, _ in batches] == [5, 5, 5, 5, 4]
    assert torch.equal(torch.cat([images for images, _ in batches]), torch.stack([image for image, _ in dataset]))
    assert batches[0][1].shape == (5, 2)


def test_threads(dataset_zip):
    from concurrent.futures import ThreadPoolExecutor

    dataset = edm2.dataset.open(dataset_zip)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda i: dataset[i % 24][0], range(240)))
    assert all(torch.equal(image, dataset[i % 24][0]) for i, image in enumerate(images))
