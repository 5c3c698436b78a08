"""Feature visualization and attribution, by gradients of the network's input.

`parts` runs a network up to a layer and computes gradients of the input, `canvas` represents
pictures by frequencies and colours, `ascent` finds the picture that activates a filter most, and
`attributing` the places of a picture that a result depends on.
"""
