"""Training of a model from a data set, and evaluation of a model on one.

`preparing` chooses the preprocessing, `trunks` has fixed layers before a trained head, `session`
trains, saves checkpoints and writes the model, `reports` draws the results, and `evaluation`
measures a finished model.
"""
