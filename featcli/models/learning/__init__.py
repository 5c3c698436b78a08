"""How a network's numbers are found: every layer forward and backward, and the descent.

`layers` and the modules beside it say what each layer gives and, side by side, how a gradient
passes back through it; `chain` puts them in a row. A batch is laid out (rows, channels, cols,
images), or (values, images) where maps have been flattened: see `featcli.engine.columns`.
`loss`, `descent` and `starting` say what is minimised, how, and from where; `trainer` goes
through the epochs; `checkpoint` keeps what a later run needs to go on.
"""
