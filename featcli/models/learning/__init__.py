"""How a network's numbers are found: its operations forward and backward, and the descent.

What an operation gives for a batch, and its gradients, stand with the operation in
`featcli.models.operations`, with where its weights begin; `chain` goes through those of a network
both ways, `starting` draws the weights.

`architectures` has the networks that have a name, `descent` how a loss is made smaller,
`augmentation` how images are changed. `batches` finds the gradients of a batch, `training` goes
through the epochs, `tracing` tells of one step, `scoring` says how good the guesses are;
`checkpoint` keeps what a later run needs, and `product` makes a model of it all.
"""
