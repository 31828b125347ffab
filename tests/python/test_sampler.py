"""edm2.Sampler and edm2.Batch."""

import pickle
import threading

import pytest
import torch

import edm2
from edm2.sampler import encode_png, parse_seeds


def test_seeds():
    assert parse_seeds(5) == [5]
    assert parse_seeds("1,2,5-7") == [1, 2, 5, 6, 7]
    assert parse_seeds(range(3)) == parse_seeds(torch.arange(3)) == parse_seeds((0, 1, 2)) == [0, 1, 2]
    for wrong in ("", "a", "3-", "-1", "1;2"):
        with pytest.raises(edm2.UsageError, match="no list of seeds"):
            parse_seeds(wrong)
    with pytest.raises(edm2.UsageError, match="64 bits"):
        parse_seeds(2**70)
    with pytest.raises(TypeError):
        parse_seeds(1.5)


def test_pictures_are_those_of_the_program(run_program, tmp_path):
    image = pytest.importorskip("PIL.Image")
    run_program("generate", "--preset=demo", f"--outdir={tmp_path}", "--seeds=0-15", "--steps=8")
    batch = edm2.Sampler(preset="demo").generate("0-15", steps=8)
    for seed, picture in zip(batch.seeds, batch):
        with image.open(tmp_path / f"{seed:06d}.png") as stored:
            expected = torch.tensor(list(stored.convert("RGB").tobytes()), dtype=torch.uint8)
        assert torch.equal(picture.permute(1, 2, 0).flatten(), expected), seed


def test_pictures_depend_on_their_seed_alone(sampler):
    alone = sampler.generate(7)
    batch = sampler.generate([3, 7, 5], batch=2)
    assert torch.equal(batch.images[1], alone.images[0])
    assert torch.equal(batch.latents[1], alone.latents[0])


def test_batch(sampler):
    batch = sampler.generate("0-4")
    assert len(batch) == 5 and batch.seeds == [0, 1, 2, 3, 4]
    assert batch.images.dtype == torch.uint8 and batch.images.shape == (5, 3, 32, 32)
    assert batch.latents.dtype == torch.float32 and batch.latents.shape == (5, 3, 32, 32)
    assert batch.labels.shape == (5, sampler.label_dim)
    assert torch.equal(batch[-1], batch.images[4])
    assert batch[1:3].seeds == [1, 2] and torch.equal(batch[[4, 0]].latents, batch.latents[[4, 0]])
    assert len(list(batch)) == 5
    with pytest.raises(IndexError):
        batch[5]
    assert repr(batch) == "<edm2.Batch of 5 pictures [5, 3, 32, 32]>"
    assert torch.equal(pickle.loads(pickle.dumps(batch)).images, batch.images)


def test_grid(sampler):
    batch = sampler.generate("0-4")
    sheet = batch.grid()
    assert sheet.dtype == torch.uint8 and sheet.shape == (64, 96, 3)
    assert torch.equal(sheet[32:, 32:64], batch.images[4].permute(1, 2, 0))
    assert (sheet[32:, 64:] == 255).all()
    assert batch.grid(columns=1).shape == (160, 32, 3)
    assert batch.grid(columns=9).shape == (32, 160, 3)
    with pytest.raises(edm2.UsageError):
        batch.grid(columns=-1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png(channels, tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = torch.randint(256, (5, 7, channels), dtype=torch.uint8)
    (tmp_path / "picture.png").write_bytes(encode_png(picture))
    with image.open(tmp_path / "picture.png") as stored:
        assert stored.size == (7, 5) and len(stored.getbands()) == channels
        assert stored.tobytes() == bytes(picture.flatten().tolist())


def test_saving(sampler, tmp_path):
    batch = sampler.generate("0-2")
    assert batch._repr_png_().startswith(b"\x89PNG")
    batch.save(tmp_path / "sheets" / "sheet.png", columns=3)
    assert (tmp_path / "sheets" / "sheet.png").read_bytes() == encode_png(batch.grid(3))
    batch.save(tmp_path / "folder")
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["000000.png", "000001.png", "000002.png"]
    image = pytest.importorskip("PIL.Image")
    batch.save(tmp_path / "sheet.bmp")
    with image.open(tmp_path / "sheet.bmp") as stored:
        assert stored.tobytes() == bytes(batch.grid().flatten().tolist())


def test_latents_alone(sampler):
    batch = sampler.generate([1, 2], decode=False)
    assert batch.images is None and batch._repr_png_() is None
    with pytest.raises(edm2.Error, match="only latents"):
        batch.grid()
    assert torch.equal(sampler.decode(batch.latents), sampler.generate([1, 2]).images)
    assert torch.equal(sampler.decode(batch.latents.numpy()), sampler.generate([1, 2]).images)


def test_labels(sampler):
    by_class = sampler.generate([1, 2], class_idx=3)
    assert by_class.labels.argmax(1).tolist() == [3, 3]
    assert torch.equal(sampler.generate([1, 2], labels=3).images, by_class.images)
    assert torch.equal(sampler.generate([1, 2], labels=by_class.labels[0]).images, by_class.images)
    mixed = sampler.generate([1, 2], labels=[3, 0])
    assert mixed.labels.argmax(1).tolist() == [3, 0]
    assert torch.equal(mixed.images[0], by_class.images[0])
    repeated = sampler.generate([2, 1, 2, 2], labels=[3, 0, 0, 1])
    assert repeated.labels.argmax(1).tolist() == [3, 0, 0, 1] and repeated.seeds == [2, 1, 2, 2]
    assert torch.equal(repeated.images[0], by_class.images[1]) and torch.equal(repeated.images[2], mixed.images[1])
    for wrong in (-1, sampler.label_dim, [0, sampler.label_dim]):
        with pytest.raises(edm2.UsageError, match="no class"):
            sampler.generate([1, 2], labels=wrong)
    with pytest.raises(edm2.UsageError, match="labels must be"):
        sampler.generate([1, 2], labels=torch.zeros(2, 1))
    with pytest.raises(edm2.Error):
        sampler.generate([1, 2], class_idx=sampler.label_dim)


def test_options(sampler):
    names = {option["name"].replace("-", "_") for option in edm2.sampling_options()}
    assert {"solver", "steps", "guidance_interval", "S_churn"} <= names
    before = sampler.options
    for options in ({"solver": "unipc", "steps": 3}, {"S_churn": 10.0, "S_max": float("inf")}, {"rho": 5},
                    {"guidance_interval": (0.3, 2.5)}, {"guidance": 1}, {"sigma_min": 0.01, "sigma_max": 40}):
        changed = sampler.generate(1, **options)
        assert not torch.equal(changed.latents, sampler.generate(1).latents), options
    assert sampler.options == before
    own = edm2.Sampler("bundled:demo-emoji32.pkl", solver="euler", steps=3)
    assert own.options["solver"] == "euler" and own.options["steps"] == 3
    own.set_options(steps=2)
    assert own.options["steps"] == 2 and own.options["solver"] == "euler"


@pytest.mark.parametrize("options", [{"stesp": 3}, {"steps": 0}, {"steps": "many"}, {"solver": "magic"},
                                     {"guidance_interval": (2, 1)}, {"rho": object()}, {"net": "other.pkl"}])
def test_wrong_options(sampler, options):
    with pytest.raises(edm2.UsageError):
        sampler.generate(1, **options)
    with pytest.raises(ValueError):
        sampler.set_options(**options)
    assert len(sampler.generate(1)) == 1


def test_the_nearest_option_is_told(sampler):
    with pytest.raises(edm2.UsageError, match="steps"):
        sampler.generate(1, stesp=3)


def test_guide(sampler):
    alone = edm2.Sampler("bundled:demo-emoji32.pkl", steps=4)
    preset = next(preset for preset in edm2.presets() if preset["name"] == "demo")
    alone.set_guide(preset["gnet"], preset["guidance"])
    assert torch.equal(alone.generate(1).images, sampler.generate(1).images)


def test_steps_are_told(sampler):
    steps = []
    batch = sampler.generate("0-2", batch=2, on_step=lambda step: steps.append((step, step.denoised.clone())))
    assert [step.step for step, _ in steps] == [0, 1, 2, 3] * 2
    assert all(step.num_steps == 4 for step, _ in steps)
    assert steps[3][0].sigma == 0
    assert [denoised.shape[0] for _, denoised in steps] == [2] * 4 + [1] * 4
    assert torch.allclose(steps[3][1], batch.latents[:2], atol=1e-4)


def test_exceptions_of_callbacks_come_out_as_themselves(sampler):
    class Own(Exception):
        pass

    own = Own("mine")

    def fail(step):
        if step.step == 1:
            raise own

    for _ in range(3):
        with pytest.raises(Own) as caught:
            sampler.generate("0-3", on_step=fail)
        assert caught.value is own
    for error in (KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            sampler.generate(0, progress=lambda *_: (_ for _ in ()).throw(error()))
    assert len(sampler.generate(0)) == 1


def test_a_sampler_at_work_refuses_its_own_callback(sampler):
    with pytest.raises(edm2.Error, match="at work"):
        sampler.generate(0, on_step=lambda step: sampler.generate(1))
    assert len(sampler.generate(0, on_step=lambda step: edm2.Sampler(preset="demo", steps=1).generate(1))) == 1


def test_threads_take_turns(sampler):
    expected = sampler.generate("0-7").images
    pictures = {}

    def draw(seed):
        pictures[seed] = sampler.generate(seed).images[0]

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(pictures[seed], expected[seed]) for seed in range(8))


def test_other_threads_run_meanwhile(sampler):
    count, done = 0, threading.Event()

    def work():
        nonlocal count
        while not done.is_set():
            count += 1
            done.wait(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    sampler.generate("0-15", steps=8)
    done.set()
    thread.join()
    assert count > 20


def test_wrong_networks(tmp_path, models):
    with pytest.raises(edm2.UsageError, match="network or a preset"):
        edm2.Sampler()
    with pytest.raises(edm2.Error, match="nowhere.pkl"):
        edm2.Sampler(tmp_path / "nowhere.pkl")
    with pytest.raises(edm2.Error, match="magic"):
        edm2.Sampler(preset="magic")
    with pytest.raises(edm2.UsageError):
        edm2.Sampler(preset="demo", device="toaster")
    truncated = tmp_path / "truncated.pkl"
    truncated.write_bytes((models / "demo-emoji32.pkl").read_bytes()[:-1000])
    with pytest.raises(edm2.Error, match="truncated.pkl"):
        edm2.Sampler(truncated)
    with pytest.raises(RuntimeError):  # what edm2.Error is, too
        edm2.Sampler(truncated)


def test_hostile_pickle_is_not_executed(tmp_path):
    witness = tmp_path / "witness"

    class Hostile:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    path = tmp_path / "hostile.pkl"
    path.write_bytes(pickle.dumps({"ema": Hostile()}))
    for load in (edm2.Sampler, edm2.load_denoiser, edm2.info):
        with pytest.raises(edm2.Error, match="hostile.pkl"):
            load(path)
    assert not witness.exists()
