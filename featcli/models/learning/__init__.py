"""Training of networks: initial weights, gradients, optimizers, epochs and checkpoints.

The forward and backward pass of each operation is in `featcli.models.operations`; `chain` runs
those of a whole network, `starting` draws its initial weights.

`architectures` has networks with names, `descent` the optimizers, `augmentation` random changes of
images. `batches` computes the gradients of a batch, `training` runs the epochs, `tracing` explains
one step, `scoring` measures predictions, `checkpoint` saves the state of a training, and `product`
makes a model file from it.
"""
