"""How a correlation is computed fast. No user words here: arrays in, arrays out.

`correlation` checks what it is given and chooses one of four ways: `compiled` calls the C of
`kernel.c` and `correlate.h` through `library`; `scipy_ways` has Fourier transforms, and SciPy's own
correlation, which defines the result and computes it where there is no compiled kernel. `layers`,
`bottleneck` and `columns` are a network's own convolutions.
"""
