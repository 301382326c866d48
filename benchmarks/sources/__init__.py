"""How much CPU the data check takes. A package only so that its run.py is not taken for that of another benchmark."""
