"""How the weights in `analysis/weights` are made. Needs requirements-train.txt; never imported at run time."""
