"""How a network's numbers are found: every layer forward and backward, and the descent.

`layer` says what a layer is to those that train it; `convolution`, `vectors`, `activation`,
`pooling` and `normalization` have what each gives and, beside it, how a gradient passes back;
`chain` puts them in a row. A batch is laid out (rows, channels, cols, images), or (values, images)
where maps have been flattened: see `featcli.engine.columns`.

`architectures` has the networks that have a name, `starting` where the weights begin, `loss` what
is minimised, `descent` how, `augmentation` how images are changed. `batches` finds the gradients of
a batch, `training` goes through the epochs, `tracing` tells of one step, `scoring` says how good
the guesses are; `checkpoint` keeps what a later run needs, and `product` makes a model of it all.
"""
