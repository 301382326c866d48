"""Decal: from a folder of pictures to a Stable Diffusion LoRA, the checkpoint to keep, and pictures drawn with it."""
