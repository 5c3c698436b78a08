"""What a filter wants to see, and where in a picture it sees it: gradients of the network's input.

`parts` cuts a network off at a layer and gives gradients of what goes in, `canvas` has pictures as
frequencies and colours that photos have too, `ascent` finds the picture that a filter answers
most, `attributing` the places of one picture that an answer comes from.
"""
