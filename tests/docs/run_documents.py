#!/usr/bin/env python3
"""Runs or checks every edm2 command in the documents.

Looks at the blocks marked `sh` in README.md and docs/**/*.md. An HTML comment on the line before a block says what is
done with it:

    <!-- test: run; needs photos, runs/photos -->   run with bash in a folder of the document, where every command must
                                                    succeed; the named fixtures are put there first
    <!-- test: run; with train: --seed=1 -->        ... and append options to those commands
    <!-- test: check -->                            without a comment too: every edm2 command is given to
                                                    `edm2 --check-options`, and nothing is executed
    <!-- test: skip REASON -->                      the same, and other programs may stand in the block

All blocks of a document share one folder, in their order. In a block that runs, options that make the work small
(fewer steps, narrow networks) are appended, see `shrink`; the command as the document has it is checked then, too.
Downloads come from a cache of small stand-ins. Links to files and headings that are not there are errors as well.

Usage: run_documents.py --program build/release/edm2 [--source DIR] [--only FILE]... [--keep DIR]
"""

import argparse
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TIME_LIMIT = 120  # seconds for a block
SHOWN_LINES = 40  # of the output of what failed
WORKERS = 2  # documents at a time

# ---- Reading documents


class DocumentError(Exception):
    """A sentence about a line of a document."""


class Block:
    """A fenced block of shell commands and what its comment says."""

    def __init__(self, line, text, directive):
        self.line = line  # of the document, in which the first line of the text stands
        self.text = text
        self.mode, self.needs, self.extra = parse_directive(directive)


def parse_directive(text):
    """("run" | "check" | "skip", names of fixtures, {command: options}) of what stands behind `test:`."""
    if text is None:
        return "check", [], {}
    if text == "skip" or text.startswith("skip "):
        if not text[4:].strip():
            raise DocumentError("'test: skip' needs a reason")
        return "skip", [], {}
    needs, extra = [], {}
    mode, *parts = [part.strip() for part in text.split(";")]
    if mode not in ("run", "check"):
        raise DocumentError(f"'test: {text}' is none of run, check, skip REASON")
    for part in parts:
        with_options = re.fullmatch(r"with ([a-z ]+): (-.*)", part)
        if mode == "run" and part.startswith("needs "):
            needs += [name.strip() for name in part[6:].split(",")]
        elif mode == "run" and with_options:
            extra[with_options[1]] = with_options[2].split()
        else:
            raise DocumentError(f"'test: {text}': '{part}' is not understood")
    for name in needs:
        if name not in Fixtures.MAKERS:
            raise DocumentError(f"'test: {text}': there is no fixture '{name}'")
    return mode, needs, extra


def find_blocks(lines):
    """Blocks of a document's lines. Raises DocumentError with the line in its text."""
    blocks, comment, comment_line, fence, number = [], None, 0, None, 0
    for number, line in enumerate(lines, start=1):
        opening = re.match(r"\s*(`{3,})\s*(\S*)", line)
        if fence:
            if opening and opening[1] == fence and not opening[2]:
                if language == "sh":
                    blocks.append(make_block(begin + 1, lines[begin:number - 1], comment))
                fence = comment = None
            continue
        if opening:
            fence, language, begin = opening[1], opening[2], number
            continue
        directive = re.fullmatch(r"\s*<!--\s*test:\s*(.*?)\s*-->\s*", line)
        if comment is not None and (directive or line.strip()):
            raise DocumentError(f"{comment_line}: 'test: {comment}' stands before no block")
        if directive:
            comment, comment_line = directive[1], number
        elif "<!-- test" in line:
            raise DocumentError(f"{number}: '{line.strip()}' is not understood")
    if fence:
        raise DocumentError(f"{begin}: the block does not end")
    if comment is not None:
        raise DocumentError(f"{comment_line}: 'test: {comment}' stands before no block")
    return blocks


def make_block(line, lines, comment):
    indent = min((len(text) - len(text.lstrip()) for text in lines if text.strip()), default=0)
    try:
        return Block(line, "".join(text[indent:].rstrip("\n") + "\n" for text in lines), comment)
    except DocumentError as error:
        raise DocumentError(f"{line - 1}: {error}") from None


def outside_of_blocks(lines):
    """(line, text) of the lines that are in no fenced block."""
    fenced = False
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors_of(path):
    """What GitHub calls the headings of a document."""
    headings = [line.lstrip("#").strip() for _, line in
                outside_of_blocks(path.read_text(encoding="utf-8").splitlines()) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def find_broken_links(path, lines):
    """(line, target) of links to files and headings that are not there."""
    for number, line in outside_of_blocks(lines):
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = path.parent / name if name else path
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors_of(file)):
                yield number, target


# ---- Smaller work


def shrink(args):
    """Options that make a command of a document quick; the last occurrence of an option counts."""
    name = " ".join(word for word in args[:2] if re.fullmatch("[a-z]+", word))
    given = {word.split("=")[0]: word.partition("=")[2] for word in args if word.startswith("--")}
    extra = []
    if "--nproc" in given:
        extra.append("--nproc=2")
    if name == "dataset convert" and "--resolution" in given:
        extra.append("--resolution=8x8")
    if args[:1] == ["train"] and "--init-from" not in given:
        extra += ["--channels=8", "--channel-mult=1,2", "--num-blocks=1", "--attn-resolutions=4",
                  "--channels-per-head=8"]
    if args[:1] == ["train"]:
        batch = 16 if "--estimate" in given else 256
        extra += ["--duration=1Ki", f"--batch={batch}", f"--batch-gpu={batch}", "--status=1Ki", "--snapshot=1Ki",
                  "--checkpoint=1Ki"]
        extra += ["--sample-every=1Ki", "--sample-steps=2", "--sample-count=4"] * ("--sample-every" in given)
    if args[:1] in (["generate"], ["sweep"]) or name == "metrics gen":
        extra.append("--steps=2")
        if count_seeds(given.get("--seeds", "")) > 16:
            extra.append("--seeds=0-15")
    if args[:1] == ["sweep"]:
        extra += ["--stds=0.05,0.10", "--seeds=0-3"]
    if args[:1] in (["sweep"], ["metrics"]) and "--num" in given or name in ("metrics gen", "metrics calc"):
        extra.append("--num=16")
    # The stand-in for DINOv2 is small, but InceptionV3 has one size only.
    if name in ("metrics calc", "metrics gen", "metrics ref", "metrics distance"):
        extra.append("--metrics=" + on_dinov2(given.get("--metrics", "fid,fd_dinov2")))
    if args[:1] == ["sweep"] and given.get("--metric", "none") != "none":
        extra.append("--metric=" + on_dinov2(given["--metric"]))
    if name == "toy train":
        extra += ["--batch=64", "--iterations=256", "--viz=false"]
    if name == "toy explore":
        extra += ["--samples=64", "--guidance=1,2", "--steps=8"]
    if args[:1] == ["flops"]:
        extra.append("--no-time")
    return extra


def count_seeds(text):
    ranges = re.findall(r"(\d+)-(\d+)", text)
    return text.count(",") + 1 + sum(int(last) - int(first) for first, last in ranges)


def on_dinov2(metrics):
    twins = {"fid": "fd_dinov2", "kid": "kd_dinov2"}
    names = [twins.get(name, name if name.endswith("_dinov2") else name + "_dinov2")
             for name in metrics.split(",") if name != "is"]
    return ",".join(dict.fromkeys(names)) or "fd_dinov2"


# ---- Files that documents need


def write_png(path, width, height, pixel):
    """An RGB picture; pixel(x, y) gives three numbers from 0 to 255."""
    rows = b"".join(b"\0" + bytes(value for x in range(width) for value in pixel(x, y)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
                     + chunk(b"IEND", b""))


def write_safetensors(path, tensors):
    """tensors: {name: (shape, list of floats)}."""
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        begin = len(data)
        data += struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def small_dinov2():
    """A DINOv2 with random weights and one block of 64 dimensions."""
    rng = random.Random(0)
    dim, tensors = 64, {}

    def put(name, shape, scale, offset=0.0):
        count = math.prod(shape)
        tensors[name] = (shape, [offset + scale * rng.gauss(0, 1) for _ in range(count)])

    put("cls_token", (1, 1, dim), 1)
    put("pos_embed", (1, 257, dim), 0.5)
    put("mask_token", (1, dim), 1)
    put("patch_embed.proj.weight", (dim, 3, 14, 14), 0.05)
    put("patch_embed.proj.bias", (dim,), 0.1)
    for name, inputs, outputs in [("attn.qkv", dim, 3 * dim), ("attn.proj", dim, dim), ("mlp.fc1", dim, 4 * dim),
                                  ("mlp.fc2", 4 * dim, dim)]:
        put(f"blocks.0.{name}.weight", (outputs, inputs), inputs ** -0.5)
        put(f"blocks.0.{name}.bias", (outputs,), 0.1)
    for name in ("blocks.0.norm1", "blocks.0.norm2", "norm"):
        put(name + ".weight", (dim,), 0.1, 1)
        put(name + ".bias", (dim,), 0.1)
    for name in ("ls1", "ls2"):
        put(f"blocks.0.{name}.gamma", (dim,), 0.1, 1)
    return tensors


class Fixtures:
    """Files and folders by the names that documents use, made when they are first needed."""

    def __init__(self, root, program, environment):
        self.root = root / "fixtures"
        self.cache = Path(environment["DNNLIB_CACHE_DIR"]) / "downloads"
        self.program, self.environment = program, environment
        self.made, self.lock = set(), threading.RLock()
        self.root.mkdir()
        self.cache.mkdir(parents=True)

    def get(self, name):
        """The path of a fixture, or None if it is in the cache of downloads."""
        with self.lock:
            if name not in self.made:
                self.made.add(name)
                Fixtures.MAKERS[name](self)
        path = self.root / name
        return path if path.exists() else None

    def edm2(self, *args):
        result = subprocess.run([self.program, *args], cwd=self.root, env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=TIME_LIMIT)
        if result.returncode != 0:
            raise DocumentError(f"a fixture cannot be made: edm2 {' '.join(args)}: exit code {result.returncode}\n"
                                + result.stdout)
        return result.stdout

    def download(self, address, path):
        """Makes a file the download of an address."""
        name = re.sub(r"[^0-9A-Za-z._-]", "_", address)[:128]
        target = self.cache / f"{hashlib.md5(address.encode()).hexdigest()}_{name}"
        if not target.exists():
            os.link(path, target)

    def make_photos(self):
        """Discs, squares and crosses of random colours."""
        rng = random.Random(1)
        shapes = {"discs": lambda x, y: x * x + y * y < 64, "squares": lambda x, y: max(abs(x), abs(y)) < 7,
                  "crosses": lambda x, y: min(abs(x), abs(y)) < 3}
        for kind, inside in shapes.items():
            for i in range(24):
                front, back = ([rng.randrange(256) for _ in range(3)] for _ in range(2))
                u, v = rng.randrange(10, 22), rng.randrange(10, 14)
                write_png(self.root / "photos" / kind / f"{i:02d}.png", 32, 24,
                          lambda x, y, u=u, v=v, f=front, b=back, s=inside: f if s(x - u, y - v) else b)

    def make_dataset(self, name):
        self.get("photos")
        self.edm2("dataset", "convert", "--source=photos", f"--dest={name}", "--transform=center-crop",
                  "--resolution=8x8")

    def make_run(self, name, seed):
        self.get("photos-64x64.zip")
        self.edm2("train", "--data=photos-64x64.zip", f"--outdir={name}", "--preset=edm2-img64-xs", "--channels=8",
                  "--channel-mult=1,2", "--num-blocks=1", "--attn-resolutions=4", "--channels-per-head=8",
                  "--batch=256", "--duration=4Ki", "--rampup=1024", "--snapshot=1Ki", "--checkpoint=4Ki",
                  "--status=1Ki", f"--seed={seed}")

    def make_network(self, name):
        self.get("runs/photos")
        shutil.copy(self.root / "runs/photos/network-snapshot-0000004-0.100.pkl", self.root / name)

    def make_detectors(self):
        write_safetensors(self.root / "dinov2", small_dinov2())
        self.download("https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
                      self.root / "dinov2")
        (self.root / "dinov2").unlink()

    def make_statistics(self):
        self.get("detectors")
        self.get("photos-64x64.zip")
        self.edm2("metrics", "ref", "--data=photos-64x64.zip", "--dest=photos-ref.pkl", "--metrics=fd_dinov2",
                  "--features=photos-features.npz")
        self.made |= {"photos-ref.pkl", "photos-features.npz"}

    def make_published(self):
        """Downloads of all networks and statistics of the original's authors."""
        self.get("photos-ref.pkl")
        self.get("net.pkl")
        for preset in json.loads(self.edm2("presets", "--json")):
            for network in (preset["net"], preset["gnet"]):
                if network and network["source"].startswith("https://"):
                    self.download(network["source"], self.root / "net.pkl")
        for size in ("img512", "img64"):
            self.download(f"https://nvlabs-fi-cdn.nvidia.com/edm2/dataset-refs/{size}.pkl",
                          self.root / "photos-ref.pkl")

    def make_vae(self):
        """Stability's VAE in the cache of the hub."""
        cache = Path(self.environment["HOME"]) / ".cache/huggingface/hub/models--stabilityai--sd-vae-ft-mse"
        shutil.copytree(Path(__file__).resolve().parents[1] / "data/vae", cache / "snapshots/small")

    MAKERS = {
        "photos": make_photos,
        "photos-64x64.zip": lambda self: self.make_dataset("photos-64x64.zip"),
        "datasets/img512.zip": lambda self: self.make_dataset("datasets/img512.zip"),
        "runs/photos": lambda self: self.make_run("runs/photos", 0),
        "runs/guide": lambda self: self.make_run("runs/guide", 1),
        "net.pkl": lambda self: self.make_network("net.pkl"),
        "photos-ref.pkl": make_statistics,
        "photos-features.npz": make_statistics,
        "detectors": make_detectors,
        "published": make_published,
        "vae": make_vae,
    }


# ---- Running

# What bash reads before a block: it tells the line of every command, and asks what is done with unknown ones.
PREAMBLE = """
trap 'export EDM2_DOCS_LINE=$LINENO' DEBUG
if [ "$EDM2_DOCS_MODE" = run ]; then
  set -eEo pipefail
else
  command_not_found_handle() {
    edm2 --docs-unknown "$@"
  }
fi
"""


class Runner:
    """Works through documents in a folder of its own."""

    def __init__(self, root, program, source, times=False):
        self.root, self.program, self.source, self.times = root, program, source, times
        self.counts = {"run": 0, "checked": 0}
        self.failures, self.lock = [], threading.Lock()
        for name in ("bin", "documents", "home"):
            (root / name).mkdir()
        self.preamble = root / "preamble"
        self.preamble.write_text(PREAMBLE)
        wrapper = root / "bin" / "edm2"
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{Path(__file__).resolve()}" --call "$@"\n')
        wrapper.chmod(0o755)
        self.environment = self.make_environment()
        self.fixtures = Fixtures(root, program, self.environment)

    def make_environment(self):
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("EDM2_DOCS_", "HF_", "SLURM_", "OMPI_", "PMI_"))
                and name not in ("XDG_CACHE_HOME", "WORLD_SIZE", "RANK", "LOCAL_RANK", "BASH_ENV")}
        nowhere = "http://127.0.0.1:9"  # documents' tests use no network
        threads = max(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1) // WORKERS, 1)
        return kept | {"HOME": str(self.root / "home"), "DNNLIB_CACHE_DIR": str(self.root / "cache"),
                       "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive",
                       "http_proxy": nowhere, "https_proxy": nowhere, "all_proxy": nowhere,
                       "LC_ALL": "C.UTF-8"}

    def fail(self, document, line, command, reason, output=""):
        lines = output.rstrip().splitlines()
        if len(lines) > SHOWN_LINES:
            lines = [f"... ({len(lines) - SHOWN_LINES} lines more)"] + lines[-SHOWN_LINES:]
        text = "".join(f"\n    {part}" for part in lines)
        message = f"{document}:{line}: {command + ': ' if command else ''}{reason}{text}"
        with self.lock:
            self.failures.append(message)
            print(message, flush=True)

    def document(self, path):
        start = time.monotonic()
        self.all_blocks(path)
        if self.times:
            print(f"{time.monotonic() - start:6.1f} s  {path.relative_to(self.source)}", flush=True)

    def all_blocks(self, path):
        name = path.relative_to(self.source).as_posix()
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        for line, target in find_broken_links(path, lines):
            self.fail(name, line, "", f"the link to '{target}' leads nowhere")
        try:
            blocks = find_blocks(lines)
        except DocumentError as error:
            line, _, reason = str(error).partition(": ")
            self.fail(name, line, "", reason)
            return
        folder = self.root / "documents" / name.replace("/", "+")
        folder.mkdir()
        (folder / "edm2").symlink_to(self.root / "bin" / "edm2")
        for block in blocks:
            try:
                self.provide(block.needs, folder)
            except (DocumentError, subprocess.TimeoutExpired) as error:
                self.fail(name, block.line, "", str(error))
                return
            self.block(name, block, folder)

    def provide(self, names, folder):
        for name in names:
            path, target = self.fixtures.get(name), folder / name
            if path is None or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, target)
            else:
                shutil.copy(path, target)

    def block(self, document, block, folder):
        script, log = folder.with_suffix(".block"), folder.with_suffix(".log")
        script.write_text(block.text, encoding="utf-8")
        log.write_text("")
        runs = block.mode == "run"
        path = str(self.root / "bin") + (os.pathsep + self.environment.get("PATH", "") if runs else "")
        environment = self.environment | {
            "PATH": path, "BASH_ENV": str(self.preamble), "EDM2_DOCS_MODE": block.mode, "EDM2_DOCS_LINE": "0",
            "EDM2_DOCS_PROGRAM": str(self.program), "EDM2_DOCS_LOG": str(log),
            "EDM2_DOCS_EXTRA": json.dumps(block.extra)}
        process = subprocess.Popen([shutil.which("bash"), str(script)], cwd=folder, env=environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, errors="replace")
        try:
            output, _ = process.communicate(timeout=TIME_LIMIT)
            code = str(process.returncode)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            code = f"none within {TIME_LIMIT} s"
        output = output.replace(f"{script}: ", "")

        calls = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        told = False
        for call in calls:
            with self.lock:
                self.counts["run" if call["runs"] else "checked"] += not call["unknown"]
            if self.times and call["runs"]:
                print(f"    {call['seconds']:5.1f} s  {call['command']}", flush=True)
            if call["code"] != 0:
                told = True
                self.fail(document, block.line + call["line"] - 1, call["command"], call["reason"],
                          output if call["runs"] else call["output"])
        if told:
            return
        if code != "0" and (runs or "syntax error" in output):
            self.fail(document, block.line, "", f"the block ended with exit code {code}", output)
        elif block.mode == "check" and output.strip():
            self.fail(document, block.line, "", "not only edm2 commands ('test: skip REASON' allows others)", output)
        elif block.mode != "skip" and not calls:
            self.fail(document, block.line, "", "no edm2 command was reached ('test: skip REASON' allows that)",
                      output)


# ---- In place of edm2


def report(command, code, reason="", output="", runs=False, unknown=False, seconds=0.0):
    entry = {"line": max(int(os.environ["EDM2_DOCS_LINE"]), 1), "command": " ".join(command), "code": code,
             "reason": reason, "output": output, "runs": runs, "unknown": unknown, "seconds": seconds}
    with open(os.environ["EDM2_DOCS_LOG"], "a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


def check_options(args):
    """Reports options that the program does not take. True if all are good."""
    result = subprocess.run([os.environ["EDM2_DOCS_PROGRAM"], "--check-options", *args], text=True, check=False,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode != 0:
        report(["edm2", *args], result.returncode, "wrong options", result.stdout)
    return result.returncode == 0


def call(args):
    """What `edm2 ARGS` does in a block. Returns its exit code."""
    mode = os.environ["EDM2_DOCS_MODE"]
    if args[:1] == ["--docs-unknown"]:
        # Something like `torchrun ... edm2 train ...`.
        command = args[1:]
        for i, word in enumerate(command):
            if word.split("/")[-1] == "edm2" and i + 1 < len(command):
                return call(command[i + 1:])
        if mode == "check":
            report(command, 127, "no such command ('test: skip REASON' allows other programs)", unknown=True)
        return 0
    if mode != "run":
        if check_options(args):
            report(["edm2", *args], 0)
        return 0
    command = ["edm2", *args]
    extra = shrink(args)
    for name, options in json.loads(os.environ["EDM2_DOCS_EXTRA"]).items():
        if args[:len(name.split())] == name.split():
            extra += options
    # The last occurrence of an option counts, so that those before it are not even looked at.
    given = {word.split("=")[0] for word in args}
    if any(option.split("=")[0] in given for option in extra) and not check_options(args):
        return 2
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EDM2_DOCS_")}
    start = time.monotonic()
    code = subprocess.run([os.environ["EDM2_DOCS_PROGRAM"], *args, *extra], env=environment, check=False).returncode
    report(command + [f"[{' '.join(extra)}]"] * bool(extra), code, f"exit code {code}", runs=True,
           seconds=time.monotonic() - start)
    return code if code >= 0 else 128 - code


# ---- The program


def documents_of(source):
    return [source / "README.md", *sorted((source / "docs").rglob("*.md"))]


def main():
    if sys.argv[1:2] == ["--call"]:
        return call(sys.argv[2:])
    parser = argparse.ArgumentParser(description="Runs or checks every edm2 command in the documents.")
    parser.add_argument("--program", type=Path, required=True, help="the edm2 program")
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2], help="the repository")
    parser.add_argument("--only", action="append", default=[], metavar="FILE", help="of these documents only")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in this new folder and leave it")
    parser.add_argument("--times", action="store_true", help="print how long documents and commands take")
    options = parser.parse_args()
    program, source = options.program.resolve(), options.source.resolve()
    documents = [source / name for name in options.only] or [path for path in documents_of(source) if path.exists()]
    missing = [str(path) for path in [program, *documents] if not path.exists()]
    if missing:
        parser.error(f"there is no {missing[0]}")

    with tempfile.TemporaryDirectory(prefix="edm2-documents-") as temporary:
        if options.keep:
            options.keep.mkdir(parents=True)
        runner = Runner((options.keep or Path(temporary)).resolve(), program, source, options.times)
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(runner.document, documents))  # raises what they raise
    print(f"{len(documents)} documents, {runner.counts['run']} commands run, {runner.counts['checked']} checked, "
          f"{len(runner.failures)} failures")
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())
