"""From a data set to a model's file, and from a model's file to how good it is.

`preparing` decides what an image becomes before the network, `trunks` what of the network is
there already; `session` trains, keeps checkpoints and writes the model; `reports` draws what
happened; `evaluation` measures a finished model.
"""
