"""train_dreambooth_lora.py of diffusers, trained by Decal: the same flags, the same folder at the end (docs/diffusers.md)."""

from decal.cli.compat import as_script

if __name__ == "__main__":
    as_script("train_dreambooth_lora.py")
