"""Does the whole of it recover what an audience likes, and claim nothing where it likes nothing? A synthetic audience of known taste."""
