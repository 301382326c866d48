"""Where the weights of an embedder lie, without loading them; so this file needs no torch."""

from pathlib import Path

from decal.errors import BaseModelError

DEFAULT = "squeezenet"
OURS = Path(__file__).parents[1] / "mini" / "squeezenet" / "model.safetensors"
PATTERNS = ("*.json", "*.txt", "*.model", "*.safetensors")


def weights_of(embedder: str) -> list[Path]:
    """The files of an embedder that decide what it sees, in order. Raises BaseModelError where it cannot be had."""
    if embedder == DEFAULT:
        return [OURS]
    folder = folder_of(embedder)
    files = sorted(path for pattern in PATTERNS for path in folder.glob(pattern))
    if not any(path.suffix == ".safetensors" for path in files) or not (folder / "config.json").is_file():
        raise BaseModelError(
            f"{folder} holds no model that can look at pictures: config.json or *.safetensors is missing.\n"
            f'Name a folder as transformers saves one, a hub id, or "{DEFAULT}" in compare.embedder.'
        )
    return files


def folder_of(embedder: str) -> Path:
    """The folder of an embedder, fetched from the hub where it is an id. Raises BaseModelError where it cannot be had."""
    folder = Path(embedder).expanduser()
    if folder.is_dir():
        return folder
    if embedder.count("/") != 1 or embedder.startswith((".", "/", "~")):
        raise BaseModelError(f'"{embedder}" is no folder here and no hub id.\nName a folder, an id such as owner/name, or "{DEFAULT}".')
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(embedder, allow_patterns=list(PATTERNS)))
    # The client passes on the errors of the HTTP library that it happens to be built on, so they cannot be named.
    except Exception as problem:
        said = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise BaseModelError(
            f"The model {embedder!r} is not to be had from the hub ({said}).\n"
            f'Check the spelling and the network, name a folder, or write "{DEFAULT}".'
        ) from problem
