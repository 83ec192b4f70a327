"""How the weights in `analysis/weights` are made. Needs requirements-train.txt; nothing here is imported at run time."""
