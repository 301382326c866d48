"""The families of base models, behind one protocol."""
