"""How good a small base model is. A package only so that its run.py is not taken for that of another benchmark."""
