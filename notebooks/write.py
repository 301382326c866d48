"""Writes `decal_colab.ipynb`, which stands beside this file; a test holds the two against each other.

python notebooks/write.py
"""

from pathlib import Path

from decal.notebooks import Cell, code, prose, to_bytes

SETTINGS = """
# Change these, then  Runtime > Run all.
PICTURES = "/content/drive/MyDrive/pictures"  # a folder of pictures with captions, a zip, or hf:owner/name
KEYWORD = "zorbfox"                           # the word that will call your style
BASE = "sd2.1-base"                           # or sd1.5, sd2.1, sdxl, a hub id or a folder on your Drive
NAME = "my-fox"                               # the project; its folder is on your Drive
CHANGES = []                                  # further settings, such as "train.steps=1500"; keep them for a project
DECAL = "decal"                               # what pip installs: a name, git+https://..., or a wheel on your Drive
"""

CELLS: list[Cell] = [
    prose(
        """
        # Train a LoRA with Decal on Colab

        For a T4, the GPU that Colab lends for nothing: *Runtime > Change runtime type > T4 GPU*. Everything that must last lies in one
        folder on your Google Drive.

        **When Colab disconnects**, open the notebook again and choose *Runtime > Run all*. Pictures are not copied twice, the training
        goes on at its last checkpoint, and what was drawn is not drawn again. A T4 computes in fp16, whose loss is scaled so that small
        gradients are not lost; the scale is part of each checkpoint, so a training that was cut off goes on with it.
        """
    ),
    prose("## Settings"),
    code(SETTINGS),
    prose("## Install, and open the Drive"),
    code(
        """
        import importlib.util
        import subprocess
        import sys
        from pathlib import Path

        HOME = Path("decal")
        if importlib.util.find_spec("google.colab") is not None:
            from google.colab import drive

            drive.mount("/content/drive")
            HOME = Path("/content/drive/MyDrive/decal")
        if importlib.util.find_spec("decal") is None:
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", DECAL], check=True)
        HOME.mkdir(parents=True, exist_ok=True)
        PROJECT = HOME / NAME


        def decal(*words):
            \"\"\"Run a command of Decal and show what it says.\"\"\"
            settings = [word for change in CHANGES for word in ("--set", change)]
            takes_settings = words[0] not in ("new", "show", "doctor")
            command = [sys.executable, "-m", "decal", *map(str, words), *(settings if takes_settings else [])]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as work:
                for line in work.stdout:
                    print(line, end="")
            if work.returncode:
                raise SystemExit(f"decal {words[0]} ended with code {work.returncode}; what it said is above.")


        decal("doctor")
        """
    ),
    prose(
        """
        ## The pictures

        Copied once. What `check` calls an error has to be mended before training; the lines say how.
        """
    ),
    code(
        """
        if not (PROJECT / "decal.toml").exists():
            decal("new", PROJECT, "--from", PICTURES, "--keyword", KEYWORD, "--base", BASE)
        decal("check", PROJECT)
        """
    ),
    prose(
        """
        ## Train

        *Runtime > Interrupt execution* saves and stops; this cell goes on, after a disconnect too. Where memory is short, put
        `"train.gradient_checkpointing=true"` into CHANGES before the training begins; `decal("train", PROJECT, "--dry-run")` measures it.
        """
    ),
    code('decal("train", PROJECT)'),
    prose("## Which checkpoint to keep"),
    code(
        """
        decal("compare", PROJECT, "--quick")
        """
    ),
    prose("## New prompts, drawn with it"),
    code(
        """
        from IPython.display import Image, display

        decal("grid", PROJECT)
        for sheet in sorted(PROJECT.glob("runs/*/sheets/grid-*.png"))[-1:]:
            display(Image(filename=str(sheet), width=900))
        """
    ),
    prose(
        """
        The LoRA is on your Drive, in `decal/NAME/runs/run-01/checkpoints/`, and works in diffusers, A1111 and ComfyUI.
        `decal("export", PROJECT, "--format", "kohya")` writes it for tools that want kohya's keys.
        """
    ),
]


def main() -> None:
    """Write the notebook."""
    (Path(__file__).parent / "decal_colab.ipynb").write_bytes(to_bytes(CELLS))


if __name__ == "__main__":
    main()
